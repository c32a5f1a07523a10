"""Windows from encoded clips: what varies, and what stays true."""

import numpy as np

import config
import truth
from encoded import EDGE, WHOLE, Encoded, elsewhere
from frames import area
from motions import CLIMB, FALL, IGNORE, NORMAL, judge


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
    moved = elsewhere(np.random.default_rng(0), rows, seen, np.tile(WHOLE, (200, 1)))
    low, high = moved[..., 51:53], moved[..., 53:55]
    assert low.min() > EDGE - 1e-3 and high.max() < 1 - EDGE + 1e-3
    assert np.ptp(low[:, 0], 0).min() > 0.1, "in many places"
    joints = moved[..., :51].reshape(200, config.TICKS, config.JOINTS, 3)
    assert np.allclose(joints[..., 0, :2], low, atol=1e-5) and np.allclose(joints[..., -1, :2], high, atol=1e-5)
    assert (joints[..., 2] == 0.5).all() and (moved[..., 55] == rows[..., 55]).all()


def test_somebody_cut_by_an_edge_stays_there():
    rows, seen = somebody((0.3, 0.0), (0.7, 0.2), 20), np.ones((20, config.TICKS), bool)
    assert (elsewhere(np.random.default_rng(0), rows, seen, np.tile(WHOLE, (20, 1))) == rows).all()


def test_a_wide_picture_ends_where_its_bars_begin():
    wide = np.tile(area(720, 1280), (50, 1))
    assert np.allclose(wide[0], [0.125, 0, 0.875, 1])
    seen = np.ones((50, config.TICKS), bool)
    cut = somebody((0.4, 0.4), (0.87, 0.55), 50)
    assert (elsewhere(np.random.default_rng(0), cut, seen, wide) == cut).all()
    moved = elsewhere(np.random.default_rng(0), somebody((0.3, 0.4), (0.7, 0.55), 50), seen, wide)
    assert np.ptp(moved[:, 0, 51]) > 0.02
    assert moved[..., 51].min() > 0.125 + EDGE - 1e-3 and moved[..., 53].max() < 0.875 - EDGE + 1e-3


def test_a_bystander_stays_normal_though_the_one_who_falls_is_less_to_be_seen_at_times():
    faller, bystander = np.array([0.2, 0.1, 0.8, 0.3]), np.array([0.2, 0.6, 0.8, 0.9])
    about = {"frames": 60, "width": 320, "height": 240, "people": []}
    for box, seen in ((faller, [1.0] * 30 + [0.3] * 30), (bystander, [0.6] * 60)):
        pixels = [[box[1] * 320, box[0] * 240, box[3] * 320, box[2] * 240]] * 60
        about["people"].append({"keypoints": np.zeros((60, 17, 3)).tolist(), "seen": seen, "box": pixels})
    rows, order = truth.people(about, steady=True)
    assert (order[:, :2] == [0, 1]).all() and (truth.people(about)[1][40, :2] == [1, 0]).all()
    who = np.zeros((60, 4), np.uint8)
    who[40:, 0] = FALL
    labels = [Encoded._who(rows[:, k], np.ones(60, bool), rows[..., 51:55], who) for k in (0, 1)]
    assert (labels[0][40:] == FALL).all() and not labels[1].any()


def test_who_was_not_seen_is_nowhere():
    rows, seen = somebody((0.3, 0.4), (0.7, 0.55), 20), np.ones((20, config.TICKS), bool)
    seen[:, 10:20] = False
    moved = elsewhere(np.random.default_rng(0), rows * seen[..., None], seen, np.tile(WHOLE, (20, 1)))
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
