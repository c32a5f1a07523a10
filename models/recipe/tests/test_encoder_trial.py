"""Encoders that are compared: published backbones, scaled widths, and the short training they share."""

import itertools
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch

import config
import export
import short_training
from encoder_candidates import join, settle
from encoder_trial import cells, cost
from nets import backbones
from nets.backbones import Inverted, ShuffleNet, load, published
from nets.movenet import FULL, HEADS, MoveNet
from prune import SLIM
from pruning_ratios import SHARES, scaled
from quantise import quantise

DESIGNS = {"small": backbones.SMALL, "minimalistic": backbones.MINIMALISTIC, "lite0": backbones.LITE0}
MAKES = {**{name: lambda design=design: Inverted(design) for name, design in DESIGNS.items()}, "shuffle": ShuffleNet}


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).integers(0, 256, (3, config.HEIGHT, config.WIDTH, 3), np.uint8)


@pytest.mark.parametrize("name", MAKES)
def test_a_backbone_reads_four_strides_and_says_what_the_pose_network_says(name):
    net, sizes = MAKES[name]().eval(), []
    for conv in net.fpn.lateral:
        conv.register_forward_hook(lambda m, enter, out: sizes.append(config.HEIGHT // enter[0].shape[2]))
    with torch.inference_mode():
        features, maps = net(torch.zeros(1, 3, config.HEIGHT, config.WIDTH))
    assert sorted(sizes) == [4, 8, 16, 32]
    assert features.shape == (1, 24, 48, 64) and {name: m.shape[1] for name, m in maps.items()} == HEADS


def test_every_channel_of_an_untrained_backbone_speaks(pictures):
    net, read = settle(ShuffleNet(), pictures), []
    net.last.register_forward_hook(lambda m, enter, out: read.append(out))
    with torch.inference_mode():
        net(torch.from_numpy(pictures).permute(0, 3, 1, 2).float())
    assert torch.allclose(read[0].std((0, 2, 3)), torch.ones(1024), atol=0.01)


@pytest.mark.parametrize("name", ["small", "shuffle"])
def test_every_convolution_of_a_backbone_becomes_an_integer_one(name, random_weights, pictures, tmp_path):
    source = export.encoder(random_weights(MAKES[name]()), tmp_path / "float.onnx")
    pose = [n for n in onnx.load(quantise(source, tmp_path / "int8.onnx", pictures)).graph.node if n.name.startswith("/pose/")]
    assert "Pad" not in {n.op_type for n in pose}  # `quantise` itself asserts the rest


def state_of(net):
    """A state dict as published ones are, with the convolutions of `net` and made-up normalisations."""
    torch.manual_seed(0)
    state = {}
    for name, module in net.named_modules():
        if not isinstance(module, backbones.Same) or name.startswith(("fpn", "heads")):
            continue
        state[f"{name}.weight"] = module.weight.detach().clone()
        n = module.out_channels
        values = {"weight": torch.rand(n) + 0.5, "bias": torch.randn(n), "running_mean": torch.randn(n), "running_var": torch.rand(n) + 0.5}
        state |= {f"{name}_norm.{key}": value for key, value in values.items()}
    return state


def test_a_normalisation_is_folded_into_the_convolution_before_it():
    torch.manual_seed(0)
    conv, norm = torch.nn.Conv2d(3, 5, 3, bias=False), torch.nn.BatchNorm2d(5, eps=backbones.EPS)
    norm.running_mean.normal_(), norm.running_var.uniform_(0.5, 2), norm.weight.data.uniform_(0.5, 2), norm.bias.data.normal_()
    state = {**{f"0.{k}": v for k, v in conv.state_dict().items()}, **{f"1.{k}": v for k, v in norm.state_dict().items()}}
    (weight, bias), = published(state)
    x = torch.rand(1, 3, 8, 8)
    assert torch.allclose(torch.nn.functional.conv2d(x, weight, bias), norm.eval()(conv(x)), atol=1e-5)


def test_published_weights_fill_the_backbone_and_a_wrong_file_is_noticed():
    state = state_of(Inverted(backbones.MINIMALISTIC))
    net = load(Inverted(backbones.MINIMALISTIC), state)
    assert torch.equal(net.last.bias, list(published(state))[-1][1])
    with pytest.raises((AssertionError, RuntimeError)):
        load(Inverted(backbones.LITE0), state)


def test_a_joined_backbone_speaks_through_the_teachers_path(random_weights, pictures):
    teacher, net = random_weights(MoveNet(FULL)), Inverted(backbones.MINIMALISTIC)
    before = net.fpn.lateral[0].weight.clone()
    join(net, teacher, pictures)
    assert torch.equal(net.heads.heads["heat"][0].weight, teacher.heads.heads["heat"][0].weight)
    assert not torch.equal(net.fpn.lateral[0].weight, before)


def test_fewer_channels_cost_less_and_stay_in_eights():
    costs = [cost(MoveNet(scaled(SLIM, share))) for share in (1.0, *SHARES)]
    assert costs == sorted(costs, reverse=True) and costs[0] == cost(MoveNet(SLIM))
    for widths in (scaled(SLIM, share) for share in SHARES):
        assert all(n % 8 == 0 for row in widths["blocks"] for n in row[:2])
        shortcut = [[a[1] == b[1] and b[2] == 1 for a, b in itertools.pairwise(w["blocks"])] for w in (widths, SLIM)]
        assert shortcut[0] == shortcut[1], "residuals stay residuals"
    assert scaled(SLIM, 9)["blocks"] == FULL["blocks"]


@pytest.fixture
def few(tmp_path, monkeypatch, pictures):
    """Two batches of two rendered pictures of one known person, without a cache."""
    known = np.zeros((config.PEOPLE, config.FEATURES), np.float32)
    known[0, 51:] = 0.2, 0.3, 0.8, 0.6, 1.0
    row = tuple(torch.from_numpy(x) for x in (pictures[0], pictures[1], known))
    monkeypatch.setattr(short_training.Pictures, "__iter__", lambda self: iter([row] * 4))
    return lambda teacher: short_training.Batches(tmp_path / str(teacher is None), 2, 2, teacher, tmp_path, tmp_path)


def test_a_training_leaves_the_start_as_it_was_and_learns_from_either(few, random_weights, pictures):
    seen = torch.from_numpy(pictures).permute(0, 3, 1, 2).float()
    teacher, start = random_weights(MoveNet(FULL)), random_weights(MoveNet(scaled(SLIM, 0.5)))
    kept = start.stem.weight.clone()
    for batches in (few(teacher), few(None)):
        net, seconds = short_training.train(start, batches, seen, 1e-4)
        assert torch.equal(start.stem.weight, kept) and not torch.equal(net.stem.weight, kept)
        assert seconds > 0 and len(list(batches)) == 2


def test_what_the_teacher_said_is_kept(few, random_weights):
    teacher = random_weights(MoveNet(FULL))
    _, features, maps, known = next(iter(few(teacher)))
    again = next(iter(few(SimpleNamespace())))  # it is not asked twice
    assert torch.equal(features, again[1]) and torch.equal(maps["heat"], again[2]["heat"])
    assert known[0, 0, 55] == 1


def test_a_row_that_found_nobody_is_told():
    said = {"real": [0, 8], "apart": None, "rendered": [1, 4]}
    row = {"name": "one", "parameters": 1e6, "products": 2e6, "bytes": [4e6, 1e6],
           "before": {"loss": {"feature": 1.0, "heat": 2.0}, **said}, "after": {"loss": {"feature": 1.0, "heat": 2.0}, "fp32": said, "int8": said}}
    assert cells(row, [3.0, 1.0]) | {"seconds": None, "loss": "3.00", "apart": "– / –", "maps": "2.00"} == cells(row, [3.0, 1.0])
