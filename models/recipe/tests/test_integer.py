"""Path and heads that compute in eight bits: as the export does, and still able to learn."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import config
from measure import session
from nets.integer import Rounded, aware, rounded
from nets.movenet import Fpn, Heads, Same
from quantise import quantise


class Small(nn.Module):
    """Path and heads over averages of the picture."""

    def __init__(self):
        super().__init__()
        self.fpn, self.heads = Fpn((3, 3, 3, 3)), Heads()

    def forward(self, x):
        features = self.fpn([F.avg_pool2d(x / 255, stride) for stride in (4, 8, 16, 32)])
        return features, self.heads(features)


class Shown(nn.Module):
    def __init__(self, pose):
        super().__init__()
        self.pose = pose

    def forward(self, frame, previous):
        return self.pose(frame.permute(0, 3, 1, 2).float())[1]["heat"], previous.float().mean((1, 2))


@pytest.fixture(scope="module")
def pictures():
    coarse = np.random.default_rng(0).integers(0, 256, (16, 8, 8, 3), np.uint8)
    return coarse.repeat(8, 1).repeat(8, 2)


@pytest.fixture(scope="module")
def net(random_weights):
    return random_weights(Small())


def heat(net, pictures):
    with torch.no_grad():
        return net(torch.from_numpy(pictures).permute(0, 3, 1, 2).float())[1]["heat"].numpy()


def test_rounding_costs_as_much_as_in_the_integer_export(net, pictures, tmp_path):
    names = ["frame", "previous", "people", "scene"]
    torch.onnx.export(Shown(net), tuple(torch.from_numpy(pictures[:2]) for _ in range(2)), str(tmp_path / "float.onnx"), input_names=names[:2],
                      output_names=names[2:], opset_version=config.OPSET, dynamic_axes={n: {0: "batch"} for n in names}, dynamo=False)
    quantise(tmp_path / "float.onnx", tmp_path / "int8.onnx", pictures, "percentile")
    integer = session(tmp_path / "int8.onnx", 1).run(["people"], {"frame": pictures, "previous": pictures})[0]
    said = heat(net, pictures)
    export, training = (np.abs(other - said).mean() for other in (integer, heat(aware(net, pictures), pictures)))
    assert 0.7 < training / export < 1.3 and export > 0.01 * said.std()  # ranges differ a little, so the roundings themselves are others


def test_the_given_network_stays_in_float(net, pictures):
    before = heat(net, pictures)
    rounds = aware(net, pictures)
    assert (heat(net, pictures) == before).all() and not any(isinstance(m, Rounded) for m in net.modules())
    convolutions = [m for m in rounds.modules() if isinstance(m, Same)]
    assert len(convolutions) == 28 and all(isinstance(m, Rounded) for m in convolutions)
    assert rounds.state_dict().keys() == net.state_dict().keys()  # so that what it learnt can be exported


def test_a_rounding_is_nothing_on_the_way_back_and_an_end_is_an_end(net, pictures):
    x = torch.tensor([-3.0, -0.5, 0.3, 2.0], requires_grad=True)
    y = rounded(x, -1.0, 1.0)
    y.sum().backward()
    assert torch.allclose(y, torch.tensor([-1.0, -0.5, 0.3, 1.0]), atol=0.5 * 2 / 255 + 1e-6) and x.grad.tolist() == [0, 1, 1, 0]
    rounds = aware(net, pictures).train()
    rounds(torch.from_numpy(pictures).permute(0, 3, 1, 2).float())[1]["heat"].square().mean().backward()
    depth, point, last = rounds.heads.heads["heat"]
    assert all(conv.weight.grad.abs().sum() > 0 for conv in (depth, point, last, *rounds.fpn.lateral))
