"""Ways to make an encoder integer: each gives one that runs and says nearly the same."""

import numpy as np
import onnx
import pytest
import torch
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import nn

import config
from measure import session
from nets.movenet import Same
from quantisation import WAYS, table
from quantise import merge_pads


class Tiny(nn.Module):
    """Two convolutions where the pose network would be, the first padded below and right alone."""

    def __init__(self):
        super().__init__()
        self.pose = nn.Sequential(Same(3, 8, 3, 2), nn.ReLU(), nn.Conv2d(8, 4, 1))

    def forward(self, frame, previous):
        x = self.pose(frame.permute(0, 3, 1, 2).float() / 255)
        return x.mean((2, 3)), previous.float().mean((1, 2))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    torch.manual_seed(0)
    example = tuple(torch.zeros(2, 32, 32, 3, dtype=torch.uint8) for _ in range(2))
    path = tmp_path_factory.mktemp("tiny") / "tiny.onnx"
    names = ["frame", "previous", "people", "scene"]
    torch.onnx.export(Tiny().eval(), example, str(path), input_names=names[:2], output_names=names[2:], opset_version=config.OPSET,
                      dynamic_axes={n: {0: "batch"} for n in names}, dynamo=False)
    return path


@pytest.mark.parametrize("way", WAYS)
def test_every_way_says_nearly_what_the_float_encoder_says(source, tmp_path, way):
    pictures = np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), np.uint8)  # the last range of feeds is short
    WAYS[way](source, tmp_path / "int8.onnx", pictures)
    feed = {"frame": pictures[:4], "previous": pictures[:4]}
    full, small = (session(path, 1).run(["people"], feed)[0] for path in (source, tmp_path / "int8.onnx"))
    assert 0 < np.abs(full - small).max() < 0.05


def test_padding_goes_into_the_convolution_without_a_change(source, tmp_path):
    quant_pre_process(str(source), str(tmp_path / "ready.onnx"), skip_symbolic_shape=True)
    model = onnx.load(tmp_path / "ready.onnx")
    assert "Pad" in {node.op_type for node in model.graph.node}
    onnx.save(merge_pads(model), tmp_path / "merged.onnx")
    assert "Pad" not in {node.op_type for node in model.graph.node}
    pictures = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    feed = {"frame": pictures, "previous": pictures}
    before, after = (session(tmp_path / f"{name}.onnx", 1).run(["people"], feed)[0] for name in ("ready", "merged"))
    assert np.allclose(before, after, atol=1e-5)


def test_the_table_gives_the_interval_of_a_share():
    text = table({"float": {"bytes": 5e6, "ms": 9.4, "upright": (1.0, 0.03, 73), "lying": (0.5, 0.05, 30), "extra": 0.1}})
    assert "1.000 (0.95–1.00) of 73 / 0.030" in text and "5.00" in text and "0.500 (0.33–0.67) of 30" in text
