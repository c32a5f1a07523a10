"""Channels that reach equally far: the same network, easier to say in integers."""

import numpy as np
import pytest
import torch

import config
from nets.even import LEAST, LIMITS, _reaches, even
from nets.movenet import MoveNet
from prune import SLIM


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).integers(0, 256, (9, config.HEIGHT, config.WIDTH, 3), np.uint8)


@pytest.fixture(scope="module")
def uneven(random_weights, pictures):
    """A network some of whose channels reach a thousand times farther than others, and whose maps reach a little beyond the limits."""
    net = random_weights(MoveNet(SLIM))
    for conv in (*net.fpn.lateral, *net.fpn.deep, *net.fpn.point, *(d for d, _, _ in net.heads.heads.values())):
        loud = torch.logspace(-1.5, 1.5, conv.out_channels)
        conv.weight.data.mul_(loud[:, None, None, None])
        conv.bias.data.mul_(loud)
    with torch.no_grad():
        for name, said in net(torch.from_numpy(pictures[:1]).permute(0, 3, 1, 2).float())[1].items():
            last = net.heads.heads[name][-1]
            last.weight.data.mul_(4 / said.std()), last.bias.data.mul_(4 / said.std())
    return net


def test_an_even_network_says_what_it_said_within_the_limits(uneven, pictures):
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        before, after = uneven(x)[1], even(uneven, pictures)(x)[1]
    for name, said in before.items():
        said = said.clamp(*LIMITS[name]) if name in LIMITS else said
        assert 1 < said.std() and torch.allclose(after[name], said, rtol=1e-3, atol=1e-3), name


def test_every_channel_reaches_as_far_as_the_loudest(uneven, pictures):
    before, after = (_reaches(net, pictures) for net in (uneven, even(uneven, pictures)))
    for place, reach in after.items():
        quiet = before[place] < LEAST * before[place].max()
        assert torch.allclose(reach[~quiet], reach.max().expand_as(reach)[~quiet], rtol=1e-2), place
    assert any((before[place] < 0.1 * before[place].max()).any() for place in before)
