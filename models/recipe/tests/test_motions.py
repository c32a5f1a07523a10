"""Windows from simulated movements: which moment they end at, and what their labels say."""

import numpy as np
import pytest

from motions import FALL, FALLEN, NORMAL, Motions


@pytest.fixture
def motions(tmp_path):
    """Somebody who loses balance after a second and a half, and somebody who walks."""
    labels = np.zeros(180, np.uint8)
    labels[45:60], labels[60:90] = FALL, FALLEN
    joints = np.zeros((180, 17, 3), np.float16)
    joints[..., 2] = np.linspace(1.7, 0.1, 17)
    np.savez(tmp_path / "motions.npz", fps=30.0, split=np.array(["train"] * 2), scenario=np.array(["fall-side", "walk-about"]),
             start=np.array([0, 90]), length=np.array([90, 90]), joints=joints, labels=labels,
             fall_start=np.array([1.5, np.nan], np.float32), contact=np.array([2.0, np.nan], np.float32))
    return Motions([tmp_path / "motions.npz"])


def test_a_twin_freezes_before_the_fall_begins(motions):
    track, _, freeze = motions.choose(np.random.default_rng(0), 1000)
    twins = np.isfinite(freeze) & ~np.isnan(motions.fall[track])
    shown = motions.start[track] + np.round(np.where(twins, freeze, 0) * motions.fps).astype(int).clip(0)
    assert twins.sum() > 50 and (motions.labels[shown[twins]] == NORMAL).all()
