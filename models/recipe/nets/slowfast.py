"""SlowFast (Feichtenhofer et al. 2019, arXiv 1812.03982): 64 ticks of pictures -> logits of the last tick, no skeletons.

The slow pathway sees every eighth tick (alpha) with all channels, the fast one every tick with an eighth of them (beta);
after the first pooling and after stages 2 to 4 a time-strided convolution adds what the fast one saw to the slow one. Layers
and widths are those of the paper's Table 1. Stages can be computed anew in the backward pass instead of being kept.
"""

from contextlib import contextmanager, nullcontext

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

import config

ALPHA, BETA = 8, 1 / 8
DESIGNS = {"r50": ((3, 4, 6, 3), 64), "r101": ((3, 4, 23, 3), 64), "small": ((1, 1, 1, 1), 32)}  # blocks a stage, first width
SLOW_TIME, FAST_TIME = (1, 1, 3, 3), (3, 3, 3, 3)  # temporal kernel of each stage
KERNELS = ("paper", "full", "factorised")
MEAN, SPREAD = 0.45, 0.225  # of pictures in 0..1, as the authors' PySlowFast has them


def unit(enter, leave, time, space, stride=1, relu=True):
    """Convolution, normalisation, activation. Even padding, so that only `stride` makes pictures smaller."""
    layers = [nn.Conv3d(enter, leave, (time, space, space), (1, stride, stride), (time // 2, space // 2, space // 2), bias=False), norm(leave)]
    return nn.Sequential(*layers, *[nn.ReLU(inplace=True)] * relu)


def norm(width):
    layer = nn.BatchNorm3d(width)
    layer.register_buffer("num_batches_tracked", None)  # a recomputed stage would count twice
    return layer


def spacetime(enter, leave, time, space, stride, kernels):
    """A time x space x space convolution, or the same field as a spatial one and a temporal one after it: (2+1)D
    (Tran et al. 2018, arXiv 1711.11248)."""
    if kernels == "factorised" and time > 1:
        return nn.Sequential(unit(enter, leave, 1, space, stride), unit(leave, leave, time, 1))
    return unit(enter, leave, time, space, stride)


class Bottleneck(nn.Module):
    """Narrow, look around, widen; (B,C,T,h,w) -> (B,4 inner,T,h/stride,w/stride). The paper looks along time in the first
    convolution; `full` and `factorised` do it in the middle one, in space and time at once or one after the other."""

    def __init__(self, enter, inner, time, stride, kernels):
        super().__init__()
        first, middle = (time, 1) if kernels == "paper" else (1, time)
        self.branch = nn.Sequential(unit(enter, inner, first, 1), spacetime(inner, inner, middle, 3, stride, kernels),
                                    unit(inner, 4 * inner, 1, 1, relu=False))
        same = stride == 1 and enter == 4 * inner
        self.skip = nn.Identity() if same else unit(enter, 4 * inner, 1, 1, stride, relu=False)

    def forward(self, x):
        return F.relu(self.branch(x) + self.skip(x), inplace=True)


class Stage(nn.Module):
    """One residual stage of both pathways; hands the fast one's result on to the slow one unless `lateral` is off."""

    def __init__(self, index, blocks, slow_in, width, kernels, lateral):
        super().__init__()
        stride, inner = (1 if index == 0 else 2), width * 2**index
        fast_in, fast_inner = round(BETA * (width if index == 0 else 2 * inner)), round(BETA * inner)

        def pathway(enter, inner, time):
            return nn.Sequential(*(Bottleneck(enter if k == 0 else 4 * inner, inner, time, stride if k == 0 else 1, kernels) for k in range(blocks)))

        self.slow = pathway(slow_in, inner, SLOW_TIME[index])
        self.fast = pathway(fast_in, fast_inner, FAST_TIME[index])
        self.lateral = Lateral(4 * fast_inner) if lateral else None

    def forward(self, slow, fast):
        slow, fast = self.slow(slow), self.fast(fast)
        return (self.lateral(slow, fast) if self.lateral else slow), fast


class Lateral(nn.Module):
    """Fast to slow: a convolution over 5 ticks at every alpha-th, with twice the fast channels, set beside the slow ones."""

    def __init__(self, fast):
        super().__init__()
        self.conv = nn.Conv3d(fast, 2 * fast, (5, 1, 1), (ALPHA, 1, 1), (2, 0, 0), bias=False)
        self.norm = norm(2 * fast)

    def forward(self, slow, fast):
        return torch.cat([slow, F.relu(self.norm(self.conv(fast)), inplace=True)], 1)


@contextmanager
def settled(module):
    """Running statistics of `module` stay as they are: a recomputed stage has already counted its batch."""
    norms = [m for m in module.modules() if isinstance(m, nn.BatchNorm3d)]
    momenta = [m.momentum for m in norms]
    for m in norms:
        m.momentum = 0.0
    try:
        yield
    finally:
        for m, momentum in zip(norms, momenta, strict=True):
            m.momentum = momentum


class SlowFast(nn.Module):
    """`forward`: clips (B,64,H,W,3), u8 or float in 0..255, H and W multiples of 32 -> logits (B,K) in f32.

    `kernels`: how stages and the fast stem look along time (KERNELS). `recompute`: keep only what enters each stage."""

    def __init__(self, design="r50", kernels="paper", recompute=False, drop=0.5):
        super().__init__()
        blocks, width = DESIGNS[design]
        self.recompute = recompute
        fast = round(BETA * width)
        self.slow_stem = unit(3, width, 1, 7, 2)
        self.fast_stem = spacetime(3, fast, 5, 7, 2, kernels)
        self.pool = nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))
        self.lateral = Lateral(fast)
        stages, slow_in = [], width + 2 * fast
        for index, count in enumerate(blocks):
            stages.append(Stage(index, count, slow_in, width, kernels, lateral=index < len(blocks) - 1))
            slow_in = 4 * width * 2**index + 8 * fast * 2**index
        self.stages = nn.ModuleList(stages)
        self.drop = nn.Dropout(drop)
        self.last = nn.Linear((width + fast) * 4 * 2 ** (len(blocks) - 1), len(config.CLASSES))
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def stem(self, clip):
        x = (clip.permute(0, 4, 1, 2, 3).float() - 255 * MEAN) / (255 * SPREAD)
        slow, fast = self.pool(self.slow_stem(x[:, :, ::ALPHA])), self.pool(self.fast_stem(x))
        return self.lateral(slow, fast), fast

    def pooled(self, clip):
        """What both pathways say of the clip, (B, slow then fast channels)."""
        state = (clip,)
        for part, module in ((self.stem, self), *((stage, stage) for stage in self.stages)):
            if self.recompute and self.training:
                state = checkpoint(part, *state, use_reentrant=False, context_fn=lambda m=module: (nullcontext(), settled(m)))
            else:
                state = part(*state)
        return torch.cat([x.mean((2, 3, 4)) for x in state], 1)

    def forward(self, clip):
        x = self.drop(self.pooled(clip))
        with torch.autocast(x.device.type, enabled=False):
            return self.last(x.float())
