"""Path and heads that compute as their INT8 export will, for a training that feels what rounding costs.

Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference": weights and maps
are rounded on the way forward, and on the way back a rounding is taken for nothing. The backbone stays in float: integers cost it
next to nothing.
"""

import copy

import numpy as np
import torch
from torch.nn import functional as F

import config
from nets.movenet import Same


class Rounded(Same):
    """A convolution whose weights and input are rounded, and its output as well where `end` gives its range."""

    def __init__(self, conv, start, end=None):
        super().__init__(conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, groups=conv.groups)
        self.load_state_dict(conv.state_dict())
        self.start, self.end = start, end

    def filters(self):
        scale = self.weight.detach().abs().amax((1, 2, 3)).clamp(min=1e-8) / 127
        return torch.fake_quantize_per_channel_affine(self.weight, scale, torch.zeros(len(scale), dtype=torch.int32), 0, -127, 127)

    def forward(self, x):
        with torch.autocast("cpu", enabled=False):  # bfloat16 has as few levels as what it would have to show
            y = super().forward(rounded(x.float(), *self.start))
            return rounded(y, *self.end) if self.end else y


def rounded(x, low, high):
    """`x` in 256 steps from `low` <= 0 to `high` >= 0, what is beyond them at them."""
    scale = max(high - low, 1e-8) / 255
    return torch.fake_quantize_per_tensor_affine(x, scale, round(-low / scale), 0, 255)


@torch.no_grad()
def aware(net, pictures):
    """A copy of `net`, a `MoveNet` for inference, whose path and heads are `Rounded`, with ranges as `pictures` u8 (n,H,W,3) reach."""
    net = copy.deepcopy(net)
    ends = {*net.fpn.lateral, *net.fpn.point, *(last for _, _, last in net.heads.heads.values())}  # no convolution reads what they say
    places = [(parent, name, conv) for part in (net.fpn, net.heads) for parent in part.modules()
              for name, conv in parent.named_children() if isinstance(conv, Same)]
    ranges, hooks = {}, []

    def watch(conv):
        def see(_, enter, out):
            for side, x in (("start", enter[0]), ("end", F.relu(out) if conv in set(net.fpn.point) else out)):
                ranges.setdefault((conv, side), []).append(np.percentile(x.numpy(), (100 - config.PERCENTILE, config.PERCENTILE)))
        hooks.append(conv.register_forward_hook(see))

    for _, _, conv in places:
        watch(conv)
    for at in range(0, len(pictures), 8):
        net(torch.from_numpy(pictures[at : at + 8]).permute(0, 3, 1, 2).float())
    for hook in hooks:
        hook.remove()

    def reach(conv, side):
        low, high = np.mean(ranges[conv, side], 0)
        return min(float(low), 0.0), max(float(high), 0.0)

    for parent, name, conv in places:
        setattr(parent, name, Rounded(conv, reach(conv, "start"), reach(conv, "end") if conv in ends else None))
    return net
