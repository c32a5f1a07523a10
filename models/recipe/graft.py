"""Step `graft`: the graph of today with the weights and scales that ship, where code around or inside it became cheaper.

    python graft.py --bundle ../bundle

Every integer that the network says stays what it was, so it needs no training and no calibration. Writes `encoder.onnx` and its
hash into the bundle's manifest.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

import config
import export
from bundle import sha256
from quantise import QUANTISED, quantise
from restore import MARK, restored


def place(node, weight):
    """What a node of the network is known by in every graph: a convolution by its weight's name, another by its own."""
    return weight.removesuffix(MARK) if node.op_type == "Conv" else node.name


def read(node):
    """Tensors of activations that a node reads."""
    return node.input[:1] if node.op_type == "Conv" else node.input[:2]


def scales(path):
    """Of each integer node of the QDQ encoder at `path`, by its `place`: {index of what it reads, or "out": (scale, zero point)}."""
    graph, out = onnx.load(path).graph, {}
    constant = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    maker = {o: n for n in graph.node for o in n.output}
    rounded = {n.input[0]: n for n in graph.node if n.op_type == "QuantizeLinear"}
    for node in (n for n in graph.node if n.op_type in QUANTISED):
        around = {index: maker.get(name) for index, name in enumerate(read(node))} | {"out": rounded.get(node.output[0])}
        around = {index: n for index, n in around.items() if n is not None and n.op_type in ("DequantizeLinear", "QuantizeLinear")}
        if 0 in around:  # decoding is in float
            out[place(node, maker[node.input[1]].name if node.op_type == "Conv" else "")] = {
                index: tuple(constant[name] for name in n.input[1:3]) for index, n in around.items() if n.input[0] not in constant}
    return out


def grafted(shipped, net, path):
    """Writes at `path` the INT8 encoder of `net` with the scales of the one at `shipped`, whose weights it has."""
    found = scales(shipped)

    def known(nodes):
        places = [place(node, node.input[1] if node.op_type == "Conv" else "") for node in nodes]
        if missing := [name for node, name in zip(nodes, places, strict=True) if node.op_type == "Conv" and name not in found]:
            raise ValueError(f"{shipped}: no scales of {missing}")
        return {node.output[0] if index == "out" else node.input[index]: value
                for node, name in zip(nodes, places, strict=True) for index, value in found.get(name, {}).items()}

    with tempfile.TemporaryDirectory() as folder:
        plain = export.encoder(net, Path(folder) / "plain.onnx")
        return quantise(plain, path, np.zeros((1, config.HEIGHT, config.WIDTH, 3), np.uint8), known=known)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--bundle", type=Path, required=True)
    args = args.parse_args()
    path, manifest = args.bundle / "encoder.onnx", args.bundle / "manifest.json"
    grafted(path, restored(path), path)
    about = json.loads(manifest.read_text())
    about["encoder"]["sha256"] = sha256(path)
    manifest.write_text(json.dumps(about, indent=2) + "\n")
    print(f"{path}: {path.stat().st_size} bytes, {about['encoder']['sha256'][:12]}")


if __name__ == "__main__":
    main()
