"""Marked places, and how rendered furniture is marked."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import config
import zoned
from render.camera import Camera
from render.stage import Prop
from stream import Row, alerts, replay
from zoned import corners, outline
from zones import Zones, inside

MANIFEST = {"clip": {"ticks": 8, "hold_ticks": 3, "min_ticks": 2}, "tracker": config.TRACKER, "people": {"max": 4, "keypoints": config.JOINTS, "embedding": 0},
            "head": {"scene_row": False}, "temperature": 1.0}
LEFT = np.array([[0, 0], [0.5, 0], [0.5, 1], [0, 1]])
CAMERA = Camera((0, -4, 2.2), (0, 0, 0.5), 70, 0, 640, 480)


def person(x, y=0.5):
    row = np.zeros(config.FEATURES, np.float32)
    row[: 3 * config.JOINTS] = np.tile([y, x, 0.5], config.JOINTS)
    row[3 * config.JOINTS :] = (y - 0.2, x - 0.1, y + 0.2, x + 0.1, 0.9)
    return row


def encoded(*ticks):
    people = np.zeros((len(ticks), config.PEOPLE, config.FEATURES), np.float32)
    for slots, rows in zip(people, ticks, strict=True):
        for slot, row in zip(slots, rows, strict=False):
            slot[:] = row
    return np.arange(len(ticks)) / 15, np.zeros(len(ticks), int), people, np.zeros((len(ticks), config.SCENE), np.float32)


def everybody_falls(person, scene, mask):
    return np.tile(np.log([0.05, 0.5, 0.4, 0.05]), (len(person), 1))


def test_who_rests_scores_no_fall_and_who_is_beside_them_does():
    zones = Zones(480, 640, rest=[LEFT])
    falls = lambda *ticks: [round(row[1], 2) for row in replay(MANIFEST, everybody_falls, encoded(*ticks), zones)][2:]
    assert falls(*[[person(0.3)]] * 4) == [0, 0]
    assert falls(*[[person(0.7)]] * 4) == [0.9, 0.9]
    assert falls(*[[person(0.3), person(0.7)]] * 4) == [0.9, 0.9]


def test_who_is_not_seen_is_where_they_were_seen_last():
    zones = Zones(480, 640, rest=[LEFT])
    ticks = [[person(0.3)]] * 3 + [[]] * 16
    falls = [round(row[1], 2) for row in replay(MANIFEST | {"clip": MANIFEST["clip"] | {"ticks": 32}}, everybody_falls, encoded(*ticks), zones)]
    assert falls[2:] == [0] * 16 + [0.9], "for a second"


def test_a_knee_where_it_does_not_belong_climbs():
    zones = Zones(480, 640, climb=[LEFT])
    climb = lambda row: replay(MANIFEST, everybody_falls, encoded(*[[row]] * 3), zones)[-1][2]
    assert climb(person(0.3)) == 1 and climb(person(0.7)) == pytest.approx(0.05)
    glimpse = encoded([person(0.7)], [person(0.7)], [person(0.3)], [])
    assert [round(row[2], 2) for row in replay(MANIFEST, everybody_falls, glimpse, zones)] == [0, 0.05, 1, 0.05], "for as long as it is seen"


def test_who_is_at_a_place_for_ten_of_twelve_ticks_climbs_and_elsewhere_only_the_model_says_so():
    manifest = MANIFEST | {"policy": {name: {"enter": 0.7, "exit": 0.35, "k": 20, "n": 24} for name in ("fall", "climb")}}
    on, off = [person(0.3)], [person(0.7)]
    told = lambda zones, *ticks: [t for t, kind in alerts(manifest, replay(manifest, climbers, encoded(*ticks), zones)) if kind == "climb"]
    climbers = everybody_falls
    zones = Zones(480, 640, climb=[LEFT])
    assert told(zones, *[off] * 4, *[on] * 6, off, *[on] * 3, *[off] * 3) == []
    assert told(zones, *[off] * 4, *[on] * 6, off, *[on] * 4) == [pytest.approx(14 / 15)]
    climbers = lambda person, scene, mask: np.tile(np.log([0.05, 0.05, 0.05, 0.85]), (len(person), 1))
    assert len(told(zones, *[off] * 26)) == 1 and told(replace(zones, elsewhere=False), *[off] * 26) == []


def test_a_place_lies_where_the_camera_sees_the_furniture():
    bed = Prop("bed", np.zeros(2), 0, (2.0, 1.0, 0.5))
    shape = outline(CAMERA, corners(bed))
    assert inside(shape, (0.5, 0.5)) and not inside(shape, (0.5, 0.95)) and not inside(shape, (0.05, 0.5))
    assert outline(CAMERA, corners(replace(bed, xy=np.array([0, -40.0])))) is None, "behind the camera"
    assert outline(CAMERA, corners(replace(bed, xy=np.array([0, 90.0])))) is None, "too small to be marked"
    cut = outline(CAMERA, corners(replace(bed, xy=np.array([-2.2, 0.0]))))
    assert cut.min() >= 0 and cut.max() <= 1


def put(folder, name, scenario, split, *labels, frames=90):
    """The JSON of a rendered clip of six seconds."""
    (folder / f"{name}.json").write_text(json.dumps({"split": split, "scenario": scenario, "frames": frames, "fps": 15.0, "people": [], "labels": labels}))


@pytest.fixture
def climbers(monkeypatch):
    """A bundle that calls a climb in every clip, from two seconds on, through a place to climb that is marked in each."""
    monkeypatch.setattr(zoned, "marked", lambda spec, people, library: (Zones(480, 640, climb=[LEFT]), ["sill"]))
    monkeypatch.setattr(zoned, "replay", lambda *_: [Row(i / 15, 0.0, 0.9 * (i >= 30), 0) for i in range(90)])
    policy = {"enter": 0.7, "exit": 0.35, "k": 3, "n": 3}
    bundle, encodings = SimpleNamespace(manifest={"policy": {"fall": policy, "climb": policy}}, logits=None), SimpleNamespace(of=lambda *_: None)
    return lambda folder: zoned.table(zoned.counted(bundle, encodings, [folder], None, None))


def test_a_climb_is_told_of_by_an_alert_that_belongs_to_it(tmp_path, climbers):
    put(tmp_path, "000001", "climb-sill", "test", ["normal", 0, 30], ["climb", 30, 90])
    put(tmp_path, "000002", "climb-sill", "test", ["normal", 0, 80], ["climb", 80, 90])
    put(tmp_path, "000003", "walk", "valid", ["normal", 0, 90])
    found = climbers(tmp_path)
    for way in zoned.WAYS:
        assert (found["climbs"][way]["climbs_told"], found["climbs"][way]["climbs_in_vain"], found["climbs"][way]["climb_alerts"]) == (1, 1, 2)
        assert (found["everyday"][way]["climbs_told"], found["everyday"][way]["climbs_in_vain"]) == (0, 1)


def test_who_is_trained_on_is_not_counted(tmp_path, climbers):
    put(tmp_path, "000001", "walk", "train", ["normal", 0, 90])
    put(tmp_path, "000002", "walk", "test", ["normal", 0, 90])
    assert climbers(tmp_path)["everyday"]["with"]["clips"] == 1
