"""Channels of equal reach for the integer network: scaled where nothing but a scale lies between two convolutions, so that the
network says what it said and eight bits for a whole map do not leave two levels to a quiet channel.

Nagel et al. 2019, "Data-Free Quantization through Weight Equalization and Bias Correction", here by what the activations reach
and not by the weights: those have a scale for each channel already. The upsampling path and the heads are linear, or ReLU, from
convolution to convolution; in the backbone ReLU6 and hard-swish are no scales, and it loses next to nothing.
"""

import copy

import torch
from torch.nn import functional as F

LEAST = 1 / 64  # of the loudest channel's reach: quieter ones are scaled no further
# What decoding can tell apart, in logits and cells of `nets.decode`; beyond it a map would spend its levels on the background.
LIMITS = {"centre": (-10.0, 6.0), "heat": (-10.0, 6.0), "kpt_offset": (-3.0, 4.0)}


@torch.no_grad()
def even(net, pictures):
    """A copy of `net`, a `MoveNet` for inference, whose path and heads have channels that reach equally far in `pictures` u8
    (n,H,W,3), and whose maps end at `LIMITS`; within them it says what `net` says, but for rounding."""
    net = copy.deepcopy(net)
    reach = _reaches(net, pictures)
    path = net.fpn
    for level in (2, 1, 0):
        above = path.lateral[3] if level == 2 else path.point[level + 1]
        _between((path.lateral[level], above), (path.deep[level],), reach["in", level])
        _between((path.deep[level],), (path.point[level],), reach["deep", level])
    branches = net.heads.heads.items()
    _between((path.point[0],), [depth for _, (depth, _, _) in branches], reach["out"])
    for name, (depth, point, last) in branches:
        _between((depth,), (point,), reach[name, "depth"])
        _between((point,), (last,), reach[name, "point"])
    net.heads.limits = LIMITS
    return net


def _between(before, after, reach):
    """Scales the channels that `before` write and `after` read by how far they reach, (C,)."""
    scale = (reach / reach.max()).clamp(min=LEAST)
    for conv in before:
        conv.weight.data.div_(scale[:, None, None, None])
        conv.bias.data.div_(scale)
    for conv in after:
        conv.weight.data.mul_(scale[:, None, None, None] if conv.groups > 1 else scale[None, :, None, None])


def _reaches(net, pictures):
    """Greatest magnitude of each channel in `pictures`, by place: {place: (C,)}."""
    reach, hooks = {}, []

    def watch(module, place, entering=False, relu=False):
        def see(_, enter, out):
            x = enter[0] if entering else F.relu(out) if relu else out
            most = x.abs().amax((0, 2, 3))
            reach[place] = torch.maximum(reach.get(place, most), most)
        hooks.append(module.register_forward_hook(see))

    for level, (deep, point) in enumerate(zip(net.fpn.deep, net.fpn.point, strict=True)):
        watch(deep, ("in", level), entering=True)
        watch(deep, ("deep", level))
    watch(net.fpn.point[0], "out", relu=True)
    for name, (depth, point, _) in net.heads.heads.items():
        watch(depth, (name, "depth"))
        watch(point, (name, "point"), relu=True)
    for at in range(0, len(pictures), 8):
        net(torch.from_numpy(pictures[at : at + 8]).permute(0, 3, 1, 2).float())
    for hook in hooks:
        hook.remove()
    return reach
