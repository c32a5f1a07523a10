"""Step `graft`: the graph of today with the weights and scales that ship, where code around or inside it became cheaper.

    python graft.py --bundle ../bundle

Every integer that the network says stays what it was, so it needs no training and no calibration, and what was counted of the bundle holds. What it
costs does not, and is measured again (`make card`); and `lineage.md` must know the new hashes. The bundle is swapped whole.
"""

import argparse
import datetime
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

import config
import export
from bundle import UNMEASURED, commit, finish
from card import unwritten
from evaluate import counted, stamped
from quantise import QUANTISED, quantise
from restore import MARK, restored, restored_aloft
from resume import sha256

ADDED = ("aloft.", "/aloft/")  # how the places of what is added to the network begin


def place(node, maker):
    """What a node of the network is known by in every graph: a convolution by its weight's name, another by its own. `maker`: what
    makes a tensor, for weights that are integers."""
    if node.op_type != "Conv":
        return node.name
    weight = node.input[1]
    return maker[weight].name.removesuffix(MARK) if weight in maker else weight


def scales(path):
    """Of each integer node of the QDQ encoder at `path`, by its `place`: {index of what it reads, or "out": (scale, zero point)},
    but of weights."""
    graph, out = onnx.load(path).graph, {}
    constant = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    maker = {o: n for n in graph.node for o in n.output}
    rounded = {n.input[0]: n for n in graph.node if n.op_type == "QuantizeLinear"}
    for node in (n for n in graph.node if n.op_type in QUANTISED):
        around = {index: maker.get(name) for index, name in enumerate(node.input[:2])} | {"out": rounded.get(node.output[0])}
        around = {index: n for index, n in around.items() if n is not None and n.op_type in ("DequantizeLinear", "QuantizeLinear")}
        if 0 in around:  # decoding is in float
            out[place(node, maker)] = {index: tuple(float(constant[name]) for name in n.input[1:3])
                                       for index, n in around.items() if n.input[0] not in constant}
    return out


def own(found):
    """`scales` without those of what was added to the network."""
    return {name: value for name, value in found.items() if not name.startswith(ADDED)}


def grafted(shipped, net, path, aloft=None, pictures=None):
    """Writes at `path` the INT8 encoder of `net` with the scales of the one at `shipped`, whose weights it has. A network that is not
    that one is an error. `aloft` (`nets/aloft.py`) is added to it: calibrated on `pictures` u8 (n,H,W,3), or, without pictures, the one that
    `shipped` has."""
    found, anew = scales(shipped), pictures is not None
    if anew or aloft is None:
        found = own(found)

    def known(nodes):
        said = {node.output[0] if index == "out" else node.input[index]: value
                for node in nodes for index, value in found.get(place(node, {}), {}).items()}
        # Taken into the convolution before it, whose scale is that of what comes out of both.
        return said | {node.output[0]: said[node.input[0]] for node in nodes if node.op_type == "Relu" and node.input[0] in said}

    with tempfile.TemporaryDirectory() as folder:
        plain = export.encoder(net, Path(folder) / "plain.onnx", aloft)
        quantise(plain, path, pictures if anew else np.zeros((1, config.HEIGHT, config.WIDTH, 3), np.uint8), known=known)
    new = own(scales(path)) if anew else scales(path)
    if other := sorted(name for name in {*found, *new} if found.get(name) != new.get(name)):
        raise ValueError(f"{shipped}: not the network of today's code, whose scales would be others at {other}")
    return path


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--bundle", type=Path, required=True)
    out = args.parse_args().bundle
    new = out.with_name(out.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    shutil.copytree(out, new)
    shipped = out / "encoder.onnx"
    grafted(shipped, restored(shipped), new / "encoder.onnx", restored_aloft(shipped))
    about = json.loads((new / "manifest.json").read_text())
    source = about["provenance"]
    scores = counted(source["scores"], about)
    about["encoder"]["sha256"] = sha256(new / "encoder.onnx")
    source |= {"commit": commit(), "created": datetime.date.today().isoformat(), "scores": stamped(scores, about)}
    source.pop("measured", None)  # latency, of another graph
    (new / "CARD.md").write_text(UNMEASURED)
    about = finish(new, about, out)
    print(f"{out}: encoder {about['encoder']['sha256'][:12]}, probe {about['probe']['logits']}")
    if missing := unwritten(about):
        print(f"lineage.md lacks, for the card: {', '.join(missing)}")


if __name__ == "__main__":
    main()
