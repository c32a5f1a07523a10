"""Batch normalisation that comes for the training and goes before export."""

import pytest
import torch

import config
from nets import encoder, norm
from nets.movenet import MoveNet
from prune import V3


@pytest.fixture(scope="module")
def net(random_weights):
    return random_weights(MoveNet(V3))


@pytest.fixture(scope="module")
def pictures():
    return torch.randint(0, 256, (6, 3, config.HEIGHT, config.WIDTH), generator=torch.Generator().manual_seed(1)).float()


def close(a, b):
    return all(torch.allclose(x, y, atol=2e-3 * float(x.abs().max() + 1)) for x, y in zip([a[0], *a[1].values()], [b[0], *b[1].values()], strict=True))


def test_it_comes_and_goes_without_a_change_of_the_outputs(net, pictures):
    normed = norm.normalise(net, pictures).eval()
    with torch.no_grad():
        said = net(pictures[:2])
        assert close(said, normed(pictures[:2]))
        assert close(said, norm.fold(normed)(pictures[:2]))


def test_every_filter_below_the_heads_is_of_unit_length(net, pictures):
    normed = norm.normalise(net, pictures)
    found = {name: m for name, m in normed.named_modules() if isinstance(m, norm.Normed)}
    assert len(found) == 1 + 2 + 3 * len(V3["blocks"]) + 1 + 4 + 6
    assert not any(name.startswith("heads.") for name in found)
    assert all(torch.allclose(m.weight.flatten(1).norm(dim=1), torch.tensor(1.0), atol=1e-4) for m in found.values())


def test_a_trained_state_is_loaded_folded(net, pictures, tmp_path):
    normed = norm.normalise(net, pictures).train()
    with torch.no_grad():
        normed(pictures * 0.7)  # statistics move
    normed.eval()
    torch.save({"widths": V3, "mean": normed.state_dict()}, tmp_path / "encoder.pt")
    loaded = encoder.load(tmp_path / "encoder.pt")
    assert not any(isinstance(m, norm.Normed) for m in loaded.modules())
    with torch.no_grad():
        assert close(normed(pictures[:2]), loaded(pictures[:2]))
