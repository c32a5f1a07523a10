"""The daemon's road: fitting, cadence, following, rings, policy."""

import numpy as np
import pytest

import config
from frames import letterbox
from stream import Cadence, Policy, Rings, scores
from tracker import BOX, Tracker

MANIFEST = {"clip": {"ticks": 8, "hold_ticks": 3, "min_ticks": 2}, "tracker": config.TRACKER, "people": {"max": 4, "keypoints": config.JOINTS, "embedding": 0},
            "head": {"scene_row": True}}


def people(*boxes):
    rows = np.zeros((config.PEOPLE, config.FEATURES), np.float32)
    for row, (y0, x0, y1, x1) in zip(rows, boxes, strict=False):
        row[BOX], row[-1] = (y0, x0, y1, x1), 0.9
    return rows


def kept(times):
    cadence = Cadence()
    return [(i, gap) for i, t in enumerate(times) if (gap := cadence.keep(t)) is not None]


def test_a_wide_picture_gets_bars_above_and_below():
    fitted = letterbox(np.full((360, 640, 3), 200, np.uint8))
    assert fitted.shape == (192, 256, 3)
    assert (fitted[24:168] == 200).all() and not fitted[:24].any() and not fitted[168:].any()


def test_shrinking_averages_areas():
    picture = np.zeros((384, 512, 3), np.uint8)
    picture[::2] = 100
    assert (letterbox(picture) == 50).all()


def test_half_of_thirty_frames_a_second_is_kept():
    assert [i for i, _ in kept(np.arange(12) / 30)] == [0, 2, 4, 6, 8, 10]


def test_a_source_at_the_models_rate_keeps_all_in_spite_of_jitter():
    rng = np.random.default_rng(0)
    assert kept(np.arange(50) / 15 + rng.uniform(-0.012, 0.012, 50) * (np.arange(50) > 0)) == [(i, 0) for i in range(50)]


def test_a_slow_source_misses_ticks_but_keeps_time():
    got = kept(np.arange(9) / 10)
    assert len(got) == 9 and sum(1 + gap for _, gap in got) == 13  # 0.8 s are 13 ticks with the first
    assert max(gap for _, gap in got) == 1


def test_eight_frames_a_second_stay_within_the_hold():
    assert max(gap for _, gap in kept(np.arange(40) / 8)) <= config.HOLD_TICKS


def test_two_people_who_walk_past_keep_their_ids():
    tracker = Tracker(**config.TRACKER)
    first = [t.id for t, _ in tracker.update(people((0.2, 0.1, 0.8, 0.3), (0.2, 0.6, 0.8, 0.8)))]
    swapped = tracker.update(people((0.2, 0.58, 0.8, 0.78), (0.2, 0.12, 0.8, 0.32)))
    assert first == [0, 1]
    assert [(t.id, i) for t, i in swapped] == [(0, 1), (1, 0)]


def test_the_one_missed_longest_makes_room():
    tracker = Tracker(**config.TRACKER)
    places = [(0.1, x, 0.3, x + 0.05) for x in (0.0, 0.25, 0.5, 0.75)]
    tracker.update(people(*places))
    tracker.update(people(*places[1:]))
    tracker.update(people(*places[2:]))
    after = tracker.update(people(*places[2:], (0.7, 0.4, 0.9, 0.45)))
    assert [t.id for t, _ in after] == [1, 2, 3, 4]


def test_nobody_is_replaced_while_all_are_seen():
    tracker = Tracker(**config.TRACKER, people=2)
    tracker.update(people((0.1, 0.0, 0.3, 0.1), (0.1, 0.5, 0.3, 0.6)))
    after = tracker.update(people((0.1, 0.0, 0.3, 0.1), (0.1, 0.5, 0.3, 0.6), (0.8, 0.8, 0.9, 0.9)))
    assert [t.id for t, _ in after] == [0, 1]


def test_a_person_not_seen_is_forgotten_in_time():
    tracker = Tracker(**{**config.TRACKER, "max_missed": 2})
    tracker.update(people((0.1, 0.0, 0.3, 0.1)))
    assert [len(tracker.update(people())) for _ in range(3)] == [1, 1, 0]


def test_a_new_person_starts_with_unseen_ticks():
    rings = Rings(MANIFEST)
    for _ in range(4):
        rings.tick(people(), np.zeros(config.SCENE, np.float32))
    rings.tick(people((0.2, 0.2, 0.8, 0.4)), np.ones(config.SCENE, np.float32))
    ids, person, scene, mask = rings.inputs()
    assert ids == [-1, 0]
    assert mask[1, :, 0].tolist() == [0, 0, 0, 1, 1, 1, 1, 1]
    assert mask[1, :, 1].tolist() == [0, 0, 0, 0, 0, 0, 0, 1]
    assert not person[0].any() and person[1, -1].any() and not scene[0, :3].any()


def test_missed_ticks_repeat_and_a_long_gap_empties():
    rings = Rings(MANIFEST)
    rings.tick(people((0.2, 0.2, 0.8, 0.4)), np.ones(config.SCENE, np.float32))
    rings.tick(people((0.2, 0.2, 0.8, 0.4)), np.ones(config.SCENE, np.float32), missed=3)
    assert rings.inputs()[3][1, :, 1].sum() == 5
    rings.tick(people(), np.ones(config.SCENE, np.float32), missed=4)
    assert rings.inputs() is None and not rings.people


def test_scores_are_the_greatest_over_the_rows():
    fall, climb = scores(np.log(np.array([[0.7, 0.1, 0.1, 0.1], [0.1, 0.3, 0.5, 0.1]])), 1.0)
    assert fall == pytest.approx(0.8) and climb == pytest.approx(0.1)


def test_no_alert_without_k_hits_and_one_for_a_long_high_score():
    policy = Policy(0.6, 0.3, 3, 5)
    assert not any(policy.step(i / 15, s) for i, s in enumerate([0.9, 0.9, 0, 0, 0, 0.9, 0.9, 0, 0]))
    assert sum(policy.step(1 + i / 15, 0.9) for i in range(300)) == 1


def test_a_bridged_tick_counts_as_high_only_between_high_scores():
    assert [Policy(0.6, 0.3, 3, 5).step(0, s, 2) for s in (0.9,)] == [False]
    policy = Policy(0.6, 0.3, 3, 5)
    assert [policy.step(i / 5, s, 2) for i, s in enumerate([0, 0.9, 0, 0.9, 0.9])] == [False, False, False, False, True]
