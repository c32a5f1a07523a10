"""Windows from encoded clips: what varies, and what stays true."""

import numpy as np

import config
from encoded import EDGE, elsewhere
from motions import CLIMB, IGNORE, NORMAL, judge


def somebody(low, high, n=1):
    """Rows (n,64,F) of a person in a box whose joints lie on its diagonal."""
    rows = np.zeros((n, config.TICKS, config.FEATURES), np.float32)
    low, high = np.array(low, np.float32), np.array(high, np.float32)
    share = np.linspace(0, 1, config.JOINTS)[:, None]
    joints = np.concatenate([low + (high - low) * share, np.full((config.JOINTS, 1), 0.5)], 1)
    rows[..., :51], rows[..., 51:53], rows[..., 53:55], rows[..., 55] = joints.reshape(51), low, high, 0.9
    return rows


def test_somebody_elsewhere_stays_whole_and_in_the_picture():
    rows, seen = somebody((0.3, 0.4), (0.7, 0.55), 200), np.ones((200, config.TICKS), bool)
    moved = elsewhere(np.random.default_rng(0), rows, seen)
    low, high = moved[..., 51:53], moved[..., 53:55]
    assert low.min() > EDGE - 1e-3 and high.max() < 1 - EDGE + 1e-3
    assert np.ptp(low[:, 0], 0).min() > 0.1, "in many places"
    joints = moved[..., :51].reshape(200, config.TICKS, config.JOINTS, 3)
    assert np.allclose(joints[..., 0, :2], low, atol=1e-5) and np.allclose(joints[..., -1, :2], high, atol=1e-5)
    assert (joints[..., 2] == 0.5).all() and (moved[..., 55] == rows[..., 55]).all()


def test_somebody_cut_by_an_edge_stays_there():
    rows, seen = somebody((0.3, 0.0), (0.7, 0.2), 20), np.ones((20, config.TICKS), bool)
    assert (elsewhere(np.random.default_rng(0), rows, seen) == rows).all()


def test_who_was_not_seen_is_nowhere():
    rows, seen = somebody((0.3, 0.4), (0.7, 0.55), 20), np.ones((20, config.TICKS), bool)
    seen[:, 10:20] = False
    moved = elsewhere(np.random.default_rng(0), rows * seen[..., None], seen)
    assert not moved[:, 10:20].any() and moved[:, 20:].any()


def test_a_climb_is_known_once_somebody_was_seen_on_the_floor():
    ticks = np.full((3, config.TICKS), CLIMB)
    ticks[:, :10] = NORMAL
    seen, before = np.ones((3, config.TICKS), bool), np.zeros((3, config.TICKS), bool)
    seen[1, :10] = False  # comes into the picture up there
    seen[2, 10:40] = False  # is lost on the way up
    labels = judge(ticks, seen, before)
    assert (labels[0, 10:] == CLIMB).all()
    assert (labels[1, 10:] == IGNORE).all()
    assert (labels[2, 10:] == CLIMB).all()
