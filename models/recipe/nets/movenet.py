"""The pose teacher: MoveNet MultiPose Lightning (Google, Apache-2.0) as a PyTorch module.

The `.tflite` file stores the graph in half precision. `load(path)` reads its weights and rebuilds the part up to the
six dense outputs, at stride 4, so that a student can learn from every cell and not only from decoded people.
The decoding of the original (peaks, gathering) is replaced by `nets.decode`, which the student shares.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

# name of an output -> channels; the order is that of `nets.encoder.HEADS`
HEADS = {"centre": 1, "size": 2, "offset": 2, "regress": 34, "heat": 17, "kpt_offset": 34}
_FILE_ORDER = ("offset", "size", "centre", "heat", "kpt_offset", "regress")  # heads as they stand in the file
# widths: stem, first, blocks (expanded, out, stride), last; `taps` are the blocks read at strides 4, 8, 16
FULL = {"stem": 48, "first": 24, "last": 1280, "taps": [2, 5, 9], "blocks": [
    [144, 40, 2], [240, 40, 1], [240, 48, 2], [288, 48, 1], [288, 48, 1], [288, 96, 2], [576, 96, 1], [576, 96, 1],
    [576, 96, 1], [576, 144, 1], [864, 144, 1], [864, 144, 1], [864, 240, 2], [1440, 240, 1], [1440, 240, 1],
    [1440, 480, 1]]}


class Same(nn.Conv2d):
    """Convolution of odd kernel with TensorFlow's SAME padding for even sizes: stride 2 pads one row and column less, at the
    top and left."""

    def forward(self, x):
        if self.stride[0] == 2:
            after = self.kernel_size[0] // 2
            x = F.pad(x, (after - 1, after, after - 1, after))
            if self.groups > 1 and torch.is_autocast_enabled("cpu"):  # oneDNN's gradient of it is 2 to 15 times slower in bfloat16
                with torch.autocast("cpu", enabled=False):
                    return F.conv2d(x.float(), self.filters(), self.bias, 2, 0, 1, self.groups)
            return F.conv2d(x, self.filters(), self.bias, 2, 0, 1, self.groups)
        pad = self.kernel_size[0] // 2
        return F.conv2d(x, self.filters(), self.bias, 1, pad, 1, self.groups)

    def filters(self):
        """The weights that it convolves with."""
        return self.weight


class Fpn(nn.Module):
    """Upsampling path: features at strides 4, 8, 16, 32 -> one map of `channels[0]` channels at stride 4."""

    def __init__(self, taps, channels=(24, 32, 64)):
        super().__init__()
        c4, c8, c16 = channels
        self.lateral = nn.ModuleList([Same(taps[0], c4, 1), Same(taps[1], c8, 1), Same(taps[2], c16, 1),
                                      Same(taps[3], c16, 1)])
        self.deep = nn.ModuleList([Same(c, c, 3, groups=c) for c in (c4, c8, c16)])
        self.point = nn.ModuleList([Same(c4, c4, 1), Same(c8, c4, 1), Same(c16, c8, 1)])

    def forward(self, taps):
        x = self.lateral[3](taps[3])
        for level in (2, 1, 0):
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False) + self.lateral[level](taps[level])
            x = F.relu(self.point[level](self.deep[level](x)))
        return x


class Heads(nn.Module):
    """Six light heads over the stride-4 map: a dict of raw maps (`centre` and `heat` are logits); those in `limits`,
    name -> (least, most), end there."""

    def __init__(self, channels=24, width=96, names=tuple(HEADS)):
        super().__init__()
        self.limits = {}
        self.heads = nn.ModuleDict({
            name: nn.ModuleList([Same(channels, channels, 3, groups=channels), Same(channels, width, 1),
                                 Same(width, HEADS[name], 1)]) for name in names})

    def forward(self, x, names=None, spots=False):
        """The maps of heads `names`, or of all. With `spots`, `x` is what `around` gives, and the maps are (B,channels,1,n)."""
        said = {name: self._say(name, x, spots) for name in names or self.heads}
        return {name: y.clamp(*self.limits[name]) if name in self.limits else y for name, y in said.items()}

    def _say(self, name, x, spots):
        depth, point, last = self.heads[name]
        return last(F.relu(point(F.conv2d(x, depth.filters(), depth.bias, 3, 0, 1, depth.groups) if spots else depth(x))))


def around(x, rows, cols):
    """The 3x3 neighbourhoods of n cells, `rows` and `cols` (B,n), of `x` (B,C,h,w), zero beyond its edge, side by side: (B,C,3,3n).
    A 3x3 convolution at stride 3 says of them what it says of the whole map at those cells, for the price of n."""
    (b, c, _, w), n = x.shape, rows.shape[1]
    first = (rows * (w + 2) + cols)[:, None, :, None]  # of each neighbourhood, in the map with its edge of zeros
    near = torch.arange(3, device=x.device)
    index = first + near[:, None, None] * (w + 2) + near
    return torch.gather(F.pad(x, (1, 1, 1, 1)).flatten(2), 2, index.reshape(b, 1, 9 * n).expand(-1, c, -1)).reshape(b, c, 3, 3 * n)


class MoveNet(nn.Module):
    """`forward`: float RGB (B,3,H,W) in 0..255, H and W multiples of 32 -> (features at stride 4, dict of head maps).

    `widths` as `FULL`; a slimmer one is what `prune.py` makes. Inverted residuals with ReLU6, no BatchNorm left."""

    def __init__(self, widths=FULL):
        super().__init__()
        self.widths = widths
        width = widths["first"]
        self.stem = Same(3, widths["stem"], 3, stride=2)
        self.first = nn.ModuleList([Same(widths["stem"], widths["stem"], 3, groups=widths["stem"]), Same(widths["stem"], width, 1)])
        blocks, outs = [], [width]
        for expanded, out, stride in widths["blocks"]:
            blocks.append(nn.ModuleList([Same(width, expanded, 1), Same(expanded, expanded, 3, stride, groups=expanded),
                                         Same(expanded, out, 1)]))
            width = out
            outs.append(out)
        self.blocks = nn.ModuleList(blocks)
        self.last = Same(width, widths["last"], 1)
        self.fpn = Fpn([outs[i] for i in widths["taps"]] + [widths["last"]])
        self.heads = Heads()

    def forward(self, x, names=None, streams=()):
        """`names`: the heads that are asked, or all. With `streams`, blocks (1-based), their outputs are given as well."""
        x = F.relu6(self.stem(x * (2 / 255) - 1))
        x = self.first[1](F.relu6(self.first[0](x)))
        taps, kept = [], []
        for index, (expand, depth, project) in enumerate(self.blocks, start=1):
            y = project(self.inside(index, x))
            x = x + y if expand.in_channels == project.out_channels and depth.stride[0] == 1 else y
            if index in self.widths["taps"]:
                taps.append(x)
            if index in streams:
                kept.append(x)
        features = self.fpn([*taps, self.activation(len(self.blocks) + 1)(self.last(x))])
        return (features, self.heads(features, names), kept) if streams else (features, self.heads(features, names))

    def activation(self, index):
        """The nonlinearity of block `index`, 1-based; the last convolution counts as one more."""
        return F.relu6

    def inside(self, index, x):
        """Block `index` (1-based) up to its projection: expanded, convolved channel by channel."""
        expand, depth, _ = self.blocks[index - 1]
        act = self.activation(index)
        return act(depth(act(expand(x))))


def _convolutions(path):
    """Weights of the file's convolutions in the order of the graph: [(name of output, weight OIHW, bias)]."""
    import tflite

    with open(path, "rb") as file:
        model = tflite.Model.GetRootAsModel(file.read(), 0)
    graph = model.Subgraphs(0)
    kinds = {v: k for k, v in vars(tflite.BuiltinOperator).items() if isinstance(v, int)}
    source, found = {}, []

    def array(index):
        tensor = graph.Tensors(source.get(index, index))
        raw = model.Buffers(tensor.Buffer()).DataAsNumpy().tobytes()
        kind = np.float16 if tensor.Type() == tflite.TensorType.FLOAT16 else np.float32
        return np.frombuffer(raw, kind).astype(np.float32).reshape(tensor.ShapeAsNumpy())

    for i in range(graph.OperatorsLength()):
        op = graph.Operators(i)
        code = model.OperatorCodes(op.OpcodeIndex())
        kind = kinds[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        inputs, output = [int(x) for x in op.InputsAsNumpy()], int(op.OutputsAsNumpy()[0])
        if kind == "DEQUANTIZE":
            source[output] = inputs[0]
        elif kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            weight = array(inputs[1])
            weight = weight.transpose(0, 3, 1, 2) if kind == "CONV_2D" else weight.transpose(3, 0, 1, 2)
            found.append((graph.Tensors(output).Name().decode(), weight, array(inputs[2])))
    return found


def load(path):
    """The teacher with the weights of `path` (MoveNet MultiPose Lightning, float16 TFLite), ready for inference."""
    found = _convolutions(path)
    net = MoveNet()
    order = [net.stem, *net.first]
    lateral = {2: net.fpn.lateral[0], 5: net.fpn.lateral[1], 9: net.fpn.lateral[2]}
    for index, block in enumerate(net.blocks, start=1):
        order += list(block)
        if index in lateral:
            order.append(lateral[index])
    order += [net.last, net.fpn.lateral[3]]
    for level in (2, 1, 0):
        order += [net.fpn.deep[level], net.fpn.point[level]]
    for head in _FILE_ORDER:
        order += list(net.heads.heads[head])
    for conv, (name, weight, bias) in zip(order, found, strict=True):
        assert conv.weight.shape == weight.shape, (name, conv, weight.shape)
        conv.weight.data.copy_(torch.from_numpy(weight.copy()))
        conv.bias.data.copy_(torch.from_numpy(bias.copy()))
    return net.eval().requires_grad_(False)
