"""Step `graft`: the decoding and motion grid of today around the integer pose network that ships, which stays as it is.

    python graft.py --bundle ../bundle --lab LAB

Decoding is not quantised, so a better one needs no other training, calibration or rounding. `LAB/restored.pt` (see `restore.py`)
gives the graph around the network; its weights do not matter. Writes `encoder.onnx` and its hash into the bundle's manifest.
"""

import argparse
import json
import tempfile
from pathlib import Path

import onnx

import export
from bundle import sha256
from nets import encoder
from nets.movenet import HEADS
from quantise import assert_integer, shorten


def ancestors(graph, names):
    """Nodes of `graph`, in its order, that the tensors `names` are made of."""
    maker, wanted, found = {o: n for n in graph.node for o in n.output}, list(names), {}
    while wanted:
        node = maker.get(wanted.pop())
        if node is not None and id(node) not in found:
            found[id(node)] = node
            wanted += node.input
    return [n for n in graph.node if id(n) in found]


def head_maps(graph):
    """{head: tensor that decoding reads} of an encoder's graph, whether integer or not."""
    maker, out = {o: n for n in graph.node for o in n.output}, {}
    for node in graph.node:
        for name in node.input:
            source = name
            while source in maker and maker[source].op_type in ("DequantizeLinear", "QuantizeLinear"):
                source = maker[source].input[0]
            if source in maker and maker[source].op_type == "Conv" and not node.name.startswith("/pose/") and node.op_type not in ("DequantizeLinear", "QuantizeLinear"):
                out[maker[source].name.split("/")[3].split(".")[0]] = name
    assert out.keys() == HEADS.keys(), out
    return out


def grafted(integer, plain):
    """A model whose people and scene are those of `plain`, a float encoder, made of the maps of `integer`, one that ships."""
    maps, places = head_maps(integer.graph), head_maps(plain.graph)
    known = {value.name for value in (*plain.graph.input, *plain.graph.output)}
    joined = {places[head]: maps[head] for head in HEADS}

    def name(old):
        return old if not old or old in known else joined.get(old, f"decode/{old}")

    around = onnx.ModelProto()
    around.CopyFrom(plain)
    for node in [n for n in around.graph.node if set(n.output) & joined.keys()]:
        around.graph.node.remove(node)  # so that nothing of the float network is an ancestor
    nodes = ancestors(around.graph, [value.name for value in plain.graph.output])
    for node in nodes:
        node.input[:], node.output[:], node.name = [name(i) for i in node.input], [name(o) for o in node.output], f"/decode{node.name}"
    for constant in around.graph.initializer:
        constant.name = name(constant.name)
    kept = ancestors(integer.graph, maps.values())
    graph = onnx.GraphProto(name=integer.graph.name, input=integer.graph.input, output=plain.graph.output, node=[*kept, *nodes])
    read = {i for node in graph.node for i in node.input}
    graph.initializer.extend(c for c in (*integer.graph.initializer, *around.graph.initializer) if c.name in read)
    model = onnx.ModelProto(ir_version=integer.ir_version, opset_import=integer.opset_import, producer_name=integer.producer_name, graph=graph)
    assert_integer(model)
    onnx.checker.check_model(model, full_check=True)
    return shorten(model)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--bundle", type=Path, required=True)
    args.add_argument("--lab", type=Path, required=True)
    args = args.parse_args()
    path, manifest = args.bundle / "encoder.onnx", args.bundle / "manifest.json"
    with tempfile.TemporaryDirectory() as folder:
        plain = onnx.load(export.encoder(encoder.load(args.lab / "restored.pt"), Path(folder) / "plain.onnx"))
    onnx.save(grafted(onnx.load(path), plain), path)
    about = json.loads(manifest.read_text())
    about["encoder"]["sha256"] = sha256(path)
    manifest.write_text(json.dumps(about, indent=2) + "\n")
    print(f"{path}: {path.stat().st_size} bytes, {about['encoder']['sha256'][:12]}")


if __name__ == "__main__":
    main()
