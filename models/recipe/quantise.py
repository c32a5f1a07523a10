"""Step `quantise`: float ONNX -> QDQ INT8. Of the encoder every convolution is an integer one, decoding and motion grid stay
in float; of a head every convolution and matrix product, the features' arithmetic stays in float."""

import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

import config

METHODS = {"minmax": CalibrationMethod.MinMax, "percentile": CalibrationMethod.Percentile, "entropy": CalibrationMethod.Entropy}
QUANTISED = ("Conv", "Add", "Mul", "GlobalAveragePool", "Resize", "Relu", "Clip")
PRODUCTS = ("Conv", "Gemm", "MatMul")
# heads that are asked at a few cells are called outside the pose network, so the exporter names their nodes on their own; where
# `nets/aloft.py` looks is reckoned in float
ENCODER = {"/pose/": QUANTISED, "/heads": QUANTISED, "/aloft/": ("Conv", "Relu")}
AT_ONCE = 8  # feeds whose activations are held at a time: histograms would otherwise want all of them in memory


class Reader(CalibrationDataReader):
    """Feeds inputs by name, one at a time, of the range that was asked for."""

    def __init__(self, feeds):
        self.feeds = feeds

    def __len__(self):
        """In whole ranges, as the runtime wants it; the last may be short."""
        return -(-len(self.feeds) // AT_ONCE) * AT_ONCE

    def set_range(self, start_index, end_index):
        self.rest = iter(self.feeds[start_index:end_index])

    def get_next(self):
        return next(self.rest, None)


def quantise(source, target, pictures, method="minmax", percentile=config.PERCENTILE, known=None):
    """Writes `target` from the float encoder `source`, calibrated on `pictures` u8 (n,H,W,3). `known`: as in `_static`."""
    feeds = [{"frame": p[None], "previous": p[None]} for p in pictures]
    return _static(source, target, feeds, ENCODER, METHODS[method], percentile, known)


def quantise_head(source, target, windows, size=16):
    """Writes `target` from the float head `source`, calibrated on `windows` (dict of person, scene, mask), `size` a feed."""
    feeds = [{k: windows[k][i : i + size] for k in ("person", "scene", "mask")} for i in range(0, len(windows["person"]), size)]
    return _static(source, target, feeds, {"/": PRODUCTS}, CalibrationMethod.MinMax)


def _static(source, target, feeds, kinds, method, percentile=config.PERCENTILE, known=None):
    """Integer nodes, by how their names begin of these `kinds`: per-channel symmetric weights, asymmetric activations.
    `known`, from the nodes that become integers to {tensor: (scale, zero point)}, says what is not to be calibrated."""
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready.onnx"
        quant_pre_process(str(source), str(ready), skip_symbolic_shape=True)
        merged = merge_pads(onnx.load(ready))
        onnx.save(merged, ready)
        graph = merged.graph
        nodes = [n for n in graph.node if any(n.name.startswith(start) and n.op_type in which for start, which in kinds.items())]
        whole = {out: (1.0, 0) for n in graph.node if n.op_type == "Cast" for out in n.output}  # a picture's levels are kept as they come
        read = {tensor: whole[tensor] for n in nodes for tensor in n.input if tensor in whole}
        scales = {tensor: [{"scale": np.array(scale, np.float32), "zero_point": np.array(zero, np.uint8)}]
                  for tensor, (scale, zero) in (read | (known(nodes) if known else {})).items()}
        quantize_static(
            str(ready), str(target), Reader(feeds), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, nodes_to_quantize=[n.name for n in nodes],
            op_types_to_quantize=sorted({kind for which in kinds.values() for kind in which}), calibrate_method=method,
            extra_options={"CalibPercentile": percentile, "CalibMovingAverage": False, "ActivationSymmetric": False,
                           "CalibStridedMinMax": AT_ONCE, "TensorQuantOverrides": scales})
    model = onnx.load(target)
    model.ir_version = min(model.ir_version, 8)
    onnx.save(shorten(model), target)
    assert_integer(model)
    return target


def shorten(model, weights=True):
    """`model` with short names for what is neither an input nor an output, nor, without `weights`, one of them: long ones are a
    thirtieth of the file."""
    graph, short = model.graph, {}
    for value in (*graph.input, *graph.output, *(() if weights else graph.initializer)):
        short[value.name] = value.name

    def name(old):
        return short.setdefault(old, f"t{len(short)}") if old else old

    for node in graph.node:
        node.input[:], node.output[:] = [name(i) for i in node.input], [name(o) for o in node.output]
    for initializer in graph.initializer:
        initializer.name = name(initializer.name)
    del graph.value_info[:]
    return model


def merge_pads(model):
    """`model` with each padding by zeros that only a convolution reads taken into it. The runtime does so with a float graph; an
    integer one it pads in float, on the largest maps, for an eighth of the whole time."""
    graph = model.graph
    constant = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    readers = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    for pad in [n for n in graph.node if n.op_type == "Pad"]:
        conv, amounts = readers[pad.output[0]], constant.get(pad.input[1])
        if len(conv) != 1 or conv[0].op_type != "Conv" or amounts is None or amounts.reshape(2, -1)[:, :2].any():
            continue
        if len(pad.input) > 2 and pad.input[2] and constant[pad.input[2]].any():
            continue
        old = next((a for a in conv[0].attribute if a.name == "pads"), None)
        pads = amounts.reshape(2, -1)[:, 2:].ravel() + (np.array(old.ints) if old else 0)
        if old:
            conv[0].attribute.remove(old)
        conv[0].attribute.append(helper.make_attribute("pads", pads.tolist()))
        conv[0].input[0] = pad.input[0]
        graph.node.remove(pad)
    read = {name for node in graph.node for name in node.input}
    for unread in [i for i in graph.initializer if i.name not in read]:
        graph.initializer.remove(unread)
    return model


def assert_integer(model):
    """Every convolution and matrix product reads two tensors that come from DequantizeLinear, so that the runtime can fold
    it into its integer kernel."""
    made = {o: n for n in model.graph.node for o in n.output}
    for node in model.graph.node:
        if node.op_type in PRODUCTS:
            kinds = [made[i].op_type if i in made else "float" for i in node.input[:2]]
            assert kinds == ["DequantizeLinear"] * 2, (node.name, kinds)


def agreement(a, b, floor=0.2):
    """Two encoders' people (n,P,F) on the same pictures -> (people of `a` found by `b`, mean joint distance over the
    box diagonal). Found: a box with intersection over union above 0.5 and score above 0.6 of the floor."""
    found, apart, count = 0, [], 0
    for one, two in zip(a, b, strict=True):
        for p in one[one[:, 55] > floor]:
            count += 1
            best, value = None, 0.5
            for q in two[two[:, 55] > 0.6 * floor]:
                y0, x0, y1, x1 = np.maximum(p[51:53], q[51:53]).tolist() + np.minimum(p[53:55], q[53:55]).tolist()
                inter = max(0, y1 - y0) * max(0, x1 - x0)
                iou = inter / (np.prod(p[53:55] - p[51:53]) + np.prod(q[53:55] - q[51:53]) - inter + 1e-9)
                if iou > value:
                    best, value = q, iou
            if best is not None:
                found += 1
                d = (p[:51].reshape(17, 3) - best[:51].reshape(17, 3))[:, :2] * [1, 4 / 3]
                sure = p[:51].reshape(17, 3)[:, 2] > 0.2
                if sure.any():
                    apart.append(np.linalg.norm(d[sure], axis=1).mean() / np.linalg.norm((p[53:55] - p[51:53]) * [1, 4 / 3]))
    return found / max(1, count), float(np.mean(apart)) if apart else float("nan"), count
