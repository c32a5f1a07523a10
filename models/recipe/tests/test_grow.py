"""A slim network that grows MobileNetV3's blocks says what it said before."""

import numpy as np
import onnx
import pytest
import torch

import config
import export
from grow import OPEN, V3, grow
from nets import norm
from nets.mobilenet import Squeeze, hard_swish, made
from nets.movenet import MoveNet
from prune import SLIM
from quantise import quantise


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).integers(0, 256, (4, config.HEIGHT, config.WIDTH, 3), np.uint8)


@pytest.fixture(scope="module")
def old(random_weights):
    return random_weights(MoveNet(SLIM))


@pytest.fixture(scope="module")
def grown(old, pictures):
    return grow(old, V3, pictures)


def test_six_times_the_published_functions():
    x = torch.linspace(-5, 5, 101)
    assert torch.allclose(hard_swish(x), 6 * torch.nn.functional.hardswish(x), atol=1e-5)
    gate = Squeeze(8, 4)
    y = torch.rand(2, 8, 5, 6)
    with torch.no_grad():
        asked = gate.expand(torch.relu(gate.reduce(y.mean((2, 3), keepdim=True))))
        assert torch.allclose(gate(y), 6 * y * torch.nn.functional.hardsigmoid(asked), atol=1e-5)


def test_it_says_nearly_what_it_said(old, grown, pictures):
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        (features, maps), (new_features, new_maps) = old(x), grown(x)
    assert ((features - new_features) ** 2).mean() < 0.05 * features.var()
    assert ((maps["heat"] - new_maps["heat"]) ** 2).mean() < 0.05 * maps["heat"].var()


def test_gates_begin_open_and_alike(grown):
    assert sorted(map(int, grown.squeeze)) == sorted(V3["squeeze"])
    assert all((gate.expand.weight == 0).all() and (gate.expand.bias == OPEN).all() for gate in grown.squeeze.values())


def test_its_normalisation_leaves_gates_alone(grown, pictures):
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float()
    normed = norm.normalise(grown, x).eval()
    assert not any(name.startswith("squeeze.") for name, m in normed.named_modules() if isinstance(m, norm.Normed))
    with torch.no_grad():
        assert torch.allclose(norm.fold(normed)(x)[1]["heat"], grown(x)[1]["heat"], atol=2e-3 * float(grown(x)[1]["heat"].abs().max()))


def test_hard_swish_and_gates_are_integer_as_well(grown, pictures, tmp_path):
    model = onnx.load(quantise(export.encoder(grown, tmp_path / "float.onnx"), tmp_path / "int8.onnx", pictures))
    made_by = {name: node.op_type for node in model.graph.node for name in node.output}
    pose = [node for node in model.graph.node if node.name.startswith("/pose/")]
    assert "Pad" not in {node.op_type for node in pose}
    products = [node for node in pose if node.op_type == "Mul" and "/heads" not in node.name]
    within = [node for node in products if all(made_by.get(name) == "DequantizeLinear" for name in node.input)]
    assert len(within) >= len(V3["squeeze"]) + 2 * (len(V3["blocks"]) - V3["hard"] + 1) + 1, "one a gate, two a block, one at the end"


def test_widths_say_which_network():
    assert type(made(SLIM)) is MoveNet and type(made(V3)).__name__ == "MobileNetV3"
