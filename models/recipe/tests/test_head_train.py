"""What a head is told in training."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import config
from head_train import Mixtures, kept_windows, losses, said
from motions import CLIMB, FALL, IGNORE, NORMAL
from nets.head import Head, Mirrored


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    n, t = 4, config.TICKS
    label = np.array([FALL, NORMAL, NORMAL, IGNORE], np.uint8)
    return {"person": rng.random((n, t, config.FEATURES)).astype(np.float32), "scene": rng.random((n, t, config.SCENE)).astype(np.float32),
            "mask": np.ones((n, t, 2), np.float32), "label": label, "ticks": label[:, None].repeat(t, 1)}


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Head(drop=0).eval()


KEEP = np.array([True, False, True, False])


def test_what_is_kept_is_not_told_the_truth(net, batch):
    batch["label"][3], batch["ticks"][3] = NORMAL, NORMAL
    kept = said(net, batch, KEEP)
    once = losses(net, batch, KEEP, kept)[0]
    batch["label"][KEEP], batch["ticks"][KEEP] = CLIMB, CLIMB
    assert losses(net, batch, KEEP, kept)[0] == once
    batch["label"][3] = FALL
    assert losses(net, batch, KEEP, kept)[0] != once


def test_saying_what_was_said_costs_nothing_and_leaving_it_does(net, batch):
    batch["label"][:], batch["ticks"][:] = IGNORE, IGNORE
    batch["ticks"][3, :2] = NORMAL  # so that the mean over known ticks is one
    kept = said(net, batch, KEEP)
    same, moved = losses(net, batch, KEEP, kept)[0], losses(net, batch, KEEP, kept + torch.tensor([0.0, 2.0, 0.0, 0.0]))[0]
    assert moved > same + 0.1
    assert losses(net, batch, KEEP, kept.flip(0))[0] > same, "each window has its own"
    moved.backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)


def test_a_climb_is_told_wherever_it_comes_from_and_a_fall_nowhere(batch):
    batch["label"][:] = NORMAL, CLIMB, NORMAL, FALL
    assert kept_windows(batch, 1).tolist() == [True, False, True, True]
    assert kept_windows(batch, 2).tolist() == [True, False, False, True]


def test_a_mirrored_head_is_asked_as_it_will_ship(net, batch):
    assert said(Mirrored(net), batch, KEEP).shape == (2, len(config.CLASSES))
    assert torch.allclose(said(net, batch, KEEP), losses(net, batch)[1][torch.from_numpy(KEEP)], atol=1e-5)


class Numbers:
    """Windows that are numbers of the dice."""

    def windows(self, rng, n):
        return {"label": rng.integers(0, 2**40, n)}


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_differ_whoever_draws_them_and_come_again_with_the_seed(workers):
    def drawn():
        batches = iter(DataLoader(Mixtures([5, 100], Numbers(), [(2, Numbers())], 6), None, num_workers=workers))
        return [tuple(next(batches)["label"].tolist()) for _ in range(4)]

    first = drawn()
    assert all(len(set(batch)) == 6 for batch in first) and len(set(first)) == 4
    assert drawn() == first
