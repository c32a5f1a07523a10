"""Published backbones under the pose network's upsampling path and heads, to compare with ours.

MobileNetV3-Small and -Large-minimalistic (Howard et al. 2019), EfficientNet-Lite0 (Google's EfficientNet without squeeze-and-excitation,
after Tan and Le 2019) and ShuffleNetV2 1.0x (Ma et al. 2018), each up to its last convolution at stride 32. They see pictures
and pad as `MoveNet` does, and say the same: features at stride 4 and the dict of head maps. `load` puts ImageNet weights in.
"""

import torch
from torch import nn
from torch.nn import functional as F

from nets.mobilenet import Squeeze, hard_swish
from nets.movenet import Fpn, Heads, Same

ACTIVATIONS = {"relu": F.relu, "relu6": F.relu6, "hard": hard_swish}
EPS = 1e-3  # of the published normalisations
# blocks: kernel, expanded (0: no expansion), out, stride, reduced channels of the gate (0: none), activation
SMALL = {"stem": (16, "hard"), "last": (576, "hard"), "taps": [1, 3, 8], "blocks": [
    (3, 0, 16, 2, 8, "relu"), (3, 72, 24, 2, 0, "relu"), (3, 88, 24, 1, 0, "relu"), (5, 96, 40, 2, 24, "hard"), (5, 240, 40, 1, 64, "hard"),
    (5, 240, 40, 1, 64, "hard"), (5, 120, 48, 1, 32, "hard"), (5, 144, 48, 1, 40, "hard"), (5, 288, 96, 2, 72, "hard"),
    (5, 576, 96, 1, 144, "hard"), (5, 576, 96, 1, 144, "hard")]}
MINIMALISTIC = {"stem": (16, "relu"), "last": (960, "relu"), "taps": [3, 6, 12], "blocks": [
    (3, expanded, out, stride, 0, "relu") for expanded, out, stride in (
        (0, 16, 1), (64, 24, 2), (72, 24, 1), (72, 40, 2), (120, 40, 1), (120, 40, 1), (240, 80, 2), (200, 80, 1), (184, 80, 1),
        (184, 80, 1), (480, 112, 1), (672, 112, 1), (672, 160, 2), (960, 160, 1), (960, 160, 1))]}
LITE0 = {"stem": (32, "relu6"), "last": (1280, "relu6"), "taps": [3, 5, 11], "blocks": [
    (kernel, expanded, out, stride, 0, "relu6") for kernel, expanded, out, stride in (
        (3, 0, 16, 1), (3, 96, 24, 2), (3, 144, 24, 1), (5, 144, 40, 2), (5, 240, 40, 1), (3, 240, 80, 2), (3, 480, 80, 1), (3, 480, 80, 1),
        (5, 480, 112, 1), (5, 672, 112, 1), (5, 672, 112, 1), (5, 672, 192, 2), (5, 1152, 192, 1), (5, 1152, 192, 1), (5, 1152, 192, 1),
        (3, 1152, 320, 1))]}


class Inverted(nn.Module):
    """Inverted residuals by `design`. Hard-swish and gates say six times the published, as in `nets.mobilenet`."""

    def __init__(self, design):
        super().__init__()
        self.design = design
        width, _ = design["stem"]
        self.stem = Same(3, width, 3, 2)
        blocks, gates, outs = [], {}, [width]
        for index, (kernel, expanded, out, stride, reduced, _) in enumerate(design["blocks"], start=1):
            inner = expanded or width
            block = [Same(inner, inner, kernel, stride, groups=inner), Same(inner, out, 1)]
            blocks.append(nn.ModuleList([Same(width, expanded, 1), *block] if expanded else block))
            if reduced:
                gates[str(index)] = Squeeze(inner, reduced)
            outs.append(width := out)
        self.blocks, self.squeeze = nn.ModuleList(blocks), nn.ModuleDict(gates)
        self.last = Same(width, design["last"][0], 1)
        self.fpn = Fpn([outs[i] for i in design["taps"]] + [design["last"][0]])
        self.heads = Heads()

    def forward(self, x, names=None):
        x = ACTIVATIONS[self.design["stem"][1]](self.stem(x * (2 / 255) - 1))
        taps = []
        for index, (block, row) in enumerate(zip(self.blocks, self.design["blocks"], strict=True), start=1):
            y = x
            for conv in block[:-1]:
                y = ACTIVATIONS[row[-1]](conv(y))
            y = block[-1](self.squeeze[str(index)](y) if str(index) in self.squeeze else y)
            x = x + y if row[3] == 1 and row[2] == x.shape[1] else y
            if index in self.design["taps"]:
                taps.append(x)
        features = self.fpn([*taps, ACTIVATIONS[self.design["last"][1]](self.last(x))])
        return features, self.heads(features, names)


class Shuffled(nn.Module):
    """ShuffleNetV2's unit: one half of the channels passes, the other is convolved, then they are interleaved."""

    def __init__(self, enter, leave, stride):
        super().__init__()
        half, self.stride = leave // 2, stride
        self.branch = nn.ModuleList([Same(enter if stride == 2 else half, half, 1), Same(half, half, 3, stride, groups=half), Same(half, half, 1)])
        self.skip = nn.ModuleList([Same(enter, enter, 3, 2, groups=enter), Same(enter, half, 1)]) if stride == 2 else None

    def forward(self, x):
        passed, y = (x, x) if self.skip else x.chunk(2, 1)
        if self.skip:
            passed = F.relu(self.skip[1](self.skip[0](passed)))
        y = F.relu(self.branch[2](self.branch[1](F.relu(self.branch[0](y)))))
        return torch.stack([passed, y], 2).flatten(1, 2)


class ShuffleNet(nn.Module):
    """ShuffleNetV2 1.0x; there are no ImageNet weights of it here, so it begins untrained."""

    def __init__(self):
        super().__init__()
        self.stem, self.last = Same(3, 24, 3, 2), Same(464, 1024, 1)
        stages = ((24, 116, 4), (116, 232, 8), (232, 464, 4))
        self.stages = nn.ModuleList(nn.Sequential(Shuffled(enter, leave, 2), *(Shuffled(leave, leave, 1) for _ in range(count - 1)))
                                    for enter, leave, count in stages)
        self.fpn, self.heads = Fpn([24, 116, 232, 1024]), Heads()
        for module in self.modules():
            if isinstance(module, Same):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)

    def forward(self, x, names=None):
        x = F.max_pool2d(F.relu(self.stem(x * (2 / 255) - 1)), 3, 2, 1)
        taps = [x]
        for stage in self.stages:
            taps.append(x := stage(x))
        features = self.fpn([*taps[:3], F.relu(self.last(x))])
        return features, self.heads(features, names)


def published(state):
    """(weight, bias) of each convolution of a published state dict in its order, the normalisation after it folded in."""
    names = list(state)
    for place, name in enumerate(names):
        if state[name].ndim != 4:
            continue
        weight, after = state[name], [state[n] for n in names[place + 1 : place + 5]]
        if name.removesuffix("weight") + "bias" == names[place + 1]:  # of a gate: not normalised
            yield weight, after[0]
        else:
            gamma, beta, mean, var = after
            scale = gamma / torch.sqrt(var + EPS)
            yield weight * scale[:, None, None, None], beta - mean * scale


@torch.no_grad()
def load(net, state):
    """Puts a published state dict into the backbone of `net`, an `Inverted`; path and heads stay as they are."""
    found = published(state)

    def put(conv, sixth):
        weight, bias = next(found)
        conv.weight.copy_(weight / sixth)
        conv.bias.copy_(bias)

    put(net.stem, 1)
    sixth = 6 if net.design["stem"][1] == "hard" else 1  # how many times too large is what the next convolution reads
    for index, (block, row) in enumerate(zip(net.blocks, net.design["blocks"], strict=True), start=1):
        for conv in block[:-1]:
            put(conv, sixth)
            sixth = 6 if row[-1] == "hard" else 1
        if str(index) in net.squeeze:
            put(net.squeeze[str(index)].reduce, sixth)
            put(net.squeeze[str(index)].expand, 1)
            sixth *= 6
        put(block[-1], sixth)
        sixth = 1
    put(net.last, sixth)
    assert next(found, None) is None, "every convolution is read"
    return net
