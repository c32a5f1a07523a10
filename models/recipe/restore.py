"""Step `restore`: the shipped encoder's weights back from the bundle, to be trained on where the float ones are lost.

    python restore.py --bundle ../bundle --lab LAB

Writes `LAB/restored.pt`; nothing if it is there and of this encoder. Weights are those of the INT8 file times their scales, so what comes
back says what ships, but for the rounding of activations; it is not the float network that was quantised.
"""

import argparse
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from grow import V3
from nets.aloft import Aloft
from nets.mobilenet import made
from resume import origin, same_start

MARK = "_DequantizeLinear"  # after a weight's name, the name of the node that makes it a float again
POSE, ALOFT = "pose.", "aloft."  # before it, the part of the encoder (`nets/encoder.py`)


def dequantised(path, part=POSE):
    """Weights (OIHW) and biases of the convolutions in a part of a QDQ encoder, float, by their names in that part."""
    graph = onnx.load(path).graph
    constant = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    maker = {o: n for n in graph.node for o in n.output}
    out = {}
    for node in (maker[name] for conv in graph.node if conv.op_type == "Conv" for name in conv.input[1:3]):
        if not node.name.startswith(part):
            continue
        whole, scale = constant[node.input[0]].astype(np.float32), constant[node.input[1]]
        assert not constant[node.input[2]].any(), "weights are symmetric"
        name = node.name.removesuffix(MARK).removeprefix(part)
        out[name] = torch.from_numpy(whole * scale.reshape(-1, *[1] * (whole.ndim - 1)) if scale.ndim else whole * scale)
    return out


def restored(path, widths=V3):
    """The pose network inside the shipped encoder at `path`, ready for inference. An encoder of other widths is an error."""
    net, found = made(widths).eval(), dequantised(path)
    if {k: v.shape for k, v in net.state_dict().items()} != {k: v.shape for k, v in found.items()}:
        raise ValueError(f"{path}: its convolutions are not those of the widths asked for")
    net.load_state_dict(found)
    return net


def restored_aloft(path):
    """What `ground.py` added to the shipped encoder at `path`, ready for inference; None if nothing was."""
    found = dequantised(path, ALOFT)
    if not found:
        return None
    net = Aloft().eval()
    net.load_state_dict(found)
    return net


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--bundle", type=Path, required=True)
    args.add_argument("--lab", type=Path, required=True)
    args = args.parse_args()
    out = args.lab / "restored.pt"
    shipped = args.bundle / "encoder.onnx"
    if out.exists():
        return same_start(torch.load(out, weights_only=True), shipped, out)
    weights = restored(shipped).state_dict()
    torch.save({"widths": V3, "net": weights, "mean": weights, "origin": origin(shipped)}, out)


if __name__ == "__main__":
    main()
