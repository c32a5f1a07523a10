"""The second look: what is said of the mirror images, and what is made of it."""

import numpy as np
import pytest
import torch

import config
from nets.head import mirror, mirror_grid
from stream import Policy, Rings, Row, SecondLook, alerts, encode_clip, looks, mirrored, one_look, replay

RULE = {"enter": 0.6, "exit": 0.3, "k": 3, "n": 4}
MANIFEST = {"clip": {"ticks": 16, "hold_ticks": 3, "min_ticks": 2}, "tracker": config.TRACKER, "people": {"max": 4, "keypoints": config.JOINTS, "embedding": 0},
            "head": {"scene_row": False}, "temperature": 1.0, "policy": {"fall": RULE, "climb": RULE}, "second_look": {"from": 0.5, "frames": 2}}


def nose(falls):
    """Ticks with one person, whose nose's score is the fall score: people (n,P,F)."""
    people = np.full((len(falls), config.PEOPLE, config.FEATURES), 0.1, np.float32)
    people[:, 1:, config.SCORE] = 0
    people[:, 0, 2], people[:, 0, 51:] = falls, (0.2, 0.4, 0.8, 0.6, 0.9)
    return people


def head(person, scene, mask):
    fall = person[:, -1, 2].clip(1e-6, 1 - 1e-6)
    return np.log(np.stack([1 - fall, fall / 2, fall / 2, np.full_like(fall, 1e-9)], 1))


def rows(falls, others, missed=None):
    """What is said by the first look, and by the second if it is asked."""
    n = len(falls)
    encoded = np.arange(n) / 15, np.zeros(n, int) if missed is None else np.array(missed), nose(falls), np.zeros((n, config.SCENE), np.float32)
    return replay(MANIFEST, head, (*encoded, lambda: nose(others)))


def test_what_is_said_of_a_mirror_image_is_turned_back():
    rng = np.random.default_rng(0)
    people, scene = rng.random((3, config.PEOPLE, config.FEATURES), np.float32), rng.random((3, config.SCENE), np.float32)
    turned, grid = mirrored(people, scene)
    assert np.allclose(turned, mirror(torch.from_numpy(people), torch.ones(3, config.PEOPLE, 1)).numpy()), "as the head's own mirror image"
    assert np.array_equal(grid, mirror_grid(torch.from_numpy(scene)).numpy())
    again, back = mirrored(turned, grid)
    assert np.allclose(again, people) and np.array_equal(back, scene)


def test_the_mirror_images_are_asked_about():
    frames = [(k / 15, np.full((192, 256, 3), k, np.uint8)) for k in range(3)]
    for _, picture in frames:
        picture[0, 0] = 200
    asked = []

    def encode(frame, previous):
        asked.append((frame, previous))
        return np.zeros((len(frame), config.PEOPLE, config.FEATURES), np.float32), np.zeros((len(frame), config.SCENE), np.float32)

    encode_clip(encode, frames, mirror=True)
    frame, previous = asked[0]
    assert (frame[:, 0, -1] == 200).all() and frame[:, 0, 0, 0].tolist() == [0, 1, 2] and previous[:, 0, 0, 0].tolist() == [0, 0, 1]
    _, _, people, _, again = looks(MANIFEST, encode, frames)
    assert len(asked) == 2 and again().shape == people.shape and len(asked) == 3
    assert len(looks(one_look(MANIFEST), encode, frames)) == 4


def test_what_the_mirror_image_denies_calls_nobody():
    said = rows([0.1] * 5 + [0.9] * 10, [0.1] * 15)
    assert [round(row.fall, 1) for row in said[4:8]] == [0.1, 0.1, 0.1, 0.1]
    assert [round(row.fall_most, 1) for row in said[4:8]] == [0, 0.9, 0.9, 0.9]
    assert alerts(MANIFEST, said) == []
    assert alerts(MANIFEST, rows([0.1] * 5 + [0.9] * 10, [0.1] * 5 + [0.9] * 10)) == [(pytest.approx(7 / 15), "fall")]


def test_nobody_is_looked_at_twice_who_is_not_suspected():
    n = 20
    calm = np.arange(n) / 15, np.zeros(n, int), nose([0.4] * n), np.zeros((n, config.SCENE), np.float32)
    said = replay(MANIFEST, head, (*calm, lambda: pytest.fail("asked in vain")))
    assert not any(row.fall_most for row in said)
    with pytest.raises(ValueError, match="one_look"):
        replay(MANIFEST, head, calm)
    assert replay(one_look(MANIFEST), head, calm) == said


def test_the_second_look_ends_after_a_while_and_at_a_gap():
    twice = lambda said: [k for k, row in enumerate(said) if row.fall_most]
    assert twice(rows([0.1, 0.1, 0.9] + [0.1] * 7, [0.9] * 10)) == [2, 3, 4]
    assert twice(rows([0.9] * 6 + [0.1] * 4, [0.9] * 10, [0] * 6 + [9] + [0] * 3)) == [1, 2, 3, 4, 5], "nobody is suspected in the new clip"
    assert twice(rows([0.9] * 10, [0.9] * 10, [0] * 6 + [9] + [0] * 3)) == [1, 2, 3, 4, 5, 7, 8, 9]


def test_an_alarm_goes_on_as_long_as_one_of_them_says_so():
    policy = Policy(0.6, 0.3, 3, 5, cooldown=0)
    assert [policy.step(i / 15, s, most=m) for i, (s, m) in enumerate([(0.9, 0.9)] * 3 + [(0.1, 0.9)] * 5 + [(0.9, 0.9)] * 3)].count(True) == 1
    policy = Policy(0.6, 0.3, 3, 5, cooldown=0)
    assert [policy.step(i / 15, s) for i, s in enumerate([0.9] * 3 + [0.1] * 5 + [0.9] * 3)].count(True) == 2


def test_rows_of_one_look_are_judged_as_they_are():
    assert alerts(MANIFEST, [(k / 15, 0.9, 0.0, 0) for k in range(5)]) == alerts(MANIFEST, [Row(k / 15, 0.9, 0.0, 0, 0, 0.9, 0.2) for k in range(5)])


def test_what_the_first_look_said_before_the_suspicion_holds_for_both():
    first, second = Rings(MANIFEST), SecondLook(0.5, 2)
    for score in (0.1, 0.9, 0.9):
        second.follow(first)
        first.tick(nose([score])[0], np.zeros(config.SCENE, np.float32))
        if second.doubts(score):
            second.rings.tick(nose([0.2])[0], np.zeros(config.SCENE, np.float32))
    noses = lambda rings: [round(float(row[2]), 1) for row in rings.people[0].rows]
    assert noses(first) == [0.1, 0.9, 0.9] and noses(second.rings) == [0.1, 0.2, 0.2]
