"""Step `restore`: the shipped encoder's weights back from the bundle, to be trained on where the float ones are lost.

    python restore.py --bundle ../bundle --lab LAB

Writes `LAB/restored.pt` (nothing if it is there). Weights are those of the INT8 file times their scales, so what comes
back says what ships, but for the rounding of activations; it is not the float network that was quantised.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper

import config
import export
from grow import V3
from nets.mobilenet import made
from quantise import quantise

WHOLE = 127  # of the greatest weight of a filter, in integers


def dequantised(path):
    """Convolutions of a QDQ encoder in the order of its graph: [(weight OIHW, bias)], float."""
    graph = onnx.load(path).graph
    constant = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    maker = {o: n for n in graph.node for o in n.output}

    def value(name):
        node = maker[name]
        assert node.op_type == "DequantizeLinear", node
        whole, scale = constant[node.input[0]].astype(np.float32), constant[node.input[1]]
        assert not constant[node.input[2]].any(), "weights are symmetric"
        return whole * scale.reshape(-1, *[1] * (whole.ndim - 1)) if scale.ndim else whole * scale

    return [tuple(value(name) for name in node.input[1:3]) for node in graph.node if node.op_type == "Conv"]


def in_order(net):
    """The convolutions of `net` as they stand in the graph that `quantise.py` makes, where those of side branches move: each is
    marked by the ratio of its first two weights, which are all it has, and sent the whole way."""
    convs = [module for module in net.modules() if isinstance(module, torch.nn.Conv2d)]
    for mark, conv in enumerate(convs):
        torch.nn.init.zeros_(conv.weight)
        torch.nn.init.constant_(conv.bias, 0.1)
        conv.weight.data.flatten(1)[:, 0] = 0.01
        conv.weight.data.flatten(1)[:, 1] = 0.01 * mark / WHOLE
    picture = np.random.default_rng(config.SEED).integers(0, 256, (1, config.HEIGHT, config.WIDTH, 3), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        plain, integer = Path(folder) / "plain.onnx", Path(folder) / "integer.onnx"
        export.encoder(net, plain)
        quantise(plain, integer, picture)
        first = [weight.reshape(-1)[:2] for weight, _ in dequantised(integer)]
        return [convs[round(WHOLE * float(second / one))] for one, second in first]


def restored(path, widths=V3):
    """The pose network inside the shipped encoder at `path`, ready for inference. An encoder of other widths is an error."""
    net = made(widths).eval()
    order, found = in_order(net), dequantised(path)
    if [tuple(conv.weight.shape) for conv in order] != [weight.shape for weight, _ in found]:
        raise ValueError(f"{path}: its convolutions are not those of the widths asked for")
    for conv, (weight, bias) in zip(order, found, strict=True):
        conv.weight.data.copy_(torch.from_numpy(weight))
        conv.bias.data.copy_(torch.from_numpy(bias))
    return net


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--bundle", type=Path, required=True)
    args.add_argument("--lab", type=Path, required=True)
    args = args.parse_args()
    out = args.lab / "restored.pt"
    if out.exists():
        raise SystemExit(f"{out} is there already: nothing was written. Move it away to restore the shipped one")
    weights = restored(args.bundle / "encoder.onnx").state_dict()
    torch.save({"widths": V3, "net": weights, "mean": weights}, out)


if __name__ == "__main__":
    main()
