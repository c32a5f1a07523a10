"""Batch normalisation for the time of training: put in without a change of what the network says, folded away before export.

Least squares leaves weights of very unequal size, on which plain gradient steps diverge (`prune.py` and `grow.py` make such networks).
"""

import copy

import torch
from torch import nn

from nets.movenet import Same

FRESH = 0.05  # share of a batch in the running statistics


class Normed(Same):
    """`Same`, then batch normalisation."""

    def __init__(self, conv):
        super().__init__(conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, groups=conv.groups, bias=False)
        self.norm = nn.BatchNorm2d(conv.out_channels, momentum=FRESH)

    def forward(self, x):
        return self.norm(super().forward(x))


def _replace(net, change):
    """A deep copy of `net` with each convolution exchanged for `change(name, convolution)`."""
    net = copy.deepcopy(net)
    for name, module in list(net.named_modules()):
        if isinstance(module, Same):
            parent, _, own = name.rpartition(".")
            setattr(net.get_submodule(parent) if parent else net, own, change(name, module))
    return net


def _normed(name, module):
    """The heads stay as they are: they come from the teacher, well scaled, and hold the largest maps. So do gates, whose maps
    hold one pixel."""
    return module if name.startswith(("heads.", "squeeze.")) else Normed(module)


def empty(net):
    """`net` with batch normalisation everywhere, for weights to be loaded into."""
    return _replace(net, _normed)


@torch.no_grad()
def normalise(net, pictures):
    """`net` with batch normalisation whose statistics are those of `pictures`, float RGB (n,3,H,W): same outputs, every filter
    of unit length, so that a step of the optimiser is as large a part of each. At unit variance of what they say, filters that
    read six times a hard-swish times six times a gate are so short that one step of 4e-4 is half of them."""
    spread, hooks = {}, []
    for name, module in net.named_modules():
        if isinstance(module, Same):
            def keep(m, x, y, name=name):
                spread[name] = (y - m.bias[:, None, None]).var((0, 2, 3)), (y - m.bias[:, None, None]).mean((0, 2, 3))
            hooks.append(module.register_forward_hook(keep))
    net(pictures)
    for hook in hooks:
        hook.remove()

    def change(name, module):
        new = _normed(name, module)
        if new is module:
            return new
        var, mean = spread[name]
        length = module.weight.flatten(1).norm(dim=1).clamp(min=1e-10)
        new.weight.data.copy_(module.weight / length[:, None, None, None])
        new.norm.running_mean.copy_(mean / length)
        new.norm.running_var.copy_(var / length**2)
        new.norm.weight.data.copy_(length * torch.sqrt(new.norm.running_var + new.norm.eps))
        new.norm.bias.data.copy_(mean + module.bias)
        return new

    return _replace(net, change)


@torch.no_grad()
def fold(net):
    """`net` with every normalisation folded into its convolution, for inference: same outputs within rounding."""
    def change(name, module):
        if not isinstance(module, Normed):
            return module
        plain = Same(module.in_channels, module.out_channels, module.kernel_size, module.stride, groups=module.groups)
        norm = module.norm
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        plain.weight.data.copy_(module.weight * scale[:, None, None, None])
        plain.bias.data.copy_(norm.bias - norm.running_mean * scale)
        return plain

    return _replace(net, change)
