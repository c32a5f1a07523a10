"""The encoder that is shipped: raw bytes in; people and a motion grid out."""

import torch
from torch import nn
from torch.nn import functional as F

import config
from nets import mobilenet, norm
from nets.aloft import STREAMS
from nets.decode import decode
from nets.movenet import around

NOISE = 8 / 255  # a change of brightness below this is the camera's noise


def load(path, which="mean"):
    """The pose network saved by `prune.py`, `grow.py` or `encoder_train.py` (its moving average), ready for inference."""
    saved = torch.load(path, weights_only=True)
    net, normed = mobilenet.made(saved["widths"]), any(".norm." in name for name in saved[which])
    net = norm.empty(net) if normed else net
    net.load_state_dict(saved[which])
    return norm.fold(net.eval()) if normed else net.eval()


def motion_grid(frame, previous):
    """Two pictures (B,3,H,W), 0..255 -> (B, SCENE): mean change of brightness above the noise in each cell, times 8
    and at most 1; then mean brightness of each cell, 0..1."""
    now, before = (F.avg_pool2d(p, 2).mean(1, keepdim=True) / 255 for p in (frame, previous))
    cell = config.CELL // 2
    moved = F.avg_pool2d(F.relu((now - before).abs() - NOISE), cell)
    return torch.cat([(8 * moved).clamp(max=1).flatten(1), F.avg_pool2d(now, cell).flatten(1)], 1)


class Encoder(nn.Module):
    """`forward`: `frame`, `previous` u8 (B,H,W,3) -> `people` (B,P,F), `scene` (B,G). With `aloft` (`nets/aloft.py`) people have
    its number at their end, (B,P,F+1)."""

    def __init__(self, pose, aloft=None):
        super().__init__()
        self.pose, self.aloft = pose, aloft  # `pose` is asked as `MoveNet` is, for heads by their names

    def forward(self, frame, previous):
        frame, previous = (p.permute(0, 3, 1, 2).float() for p in (frame, previous))
        features, maps, *streams = self.pose(frame, ("centre", "heat"), STREAMS) if self.aloft else self.pose(frame, ("centre", "heat"))

        def at(names, rows, cols):
            said = self.pose.heads(around(features, rows, cols), names, spots=True)
            return torch.cat([said[name] for name in names], 1)[:, :, 0].transpose(1, 2)

        people = decode(maps, config.PEOPLE, at)
        if self.aloft:
            people = torch.cat([people, self.aloft(*streams, people)], -1)
        return people, motion_grid(frame, previous)
