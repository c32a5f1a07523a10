"""What a policy costs, and what ships of a head that was trained on."""

import json
from pathlib import Path

import numpy as np
import torch

import choose
from choose import climb_costs, fall_costs
from nets.blend import between
from pictures import lying

POLICY = {"enter": 0.6, "exit": 0.3, "k": 2, "n": 3}
MANIFEST = {"policy": {"fall": POLICY, "climb": POLICY}}

def scores(fall=(), climb=(), n=60):
    """Rows (t, fall, climb, bridged) at 15 a second, 0.9 between the given seconds, else 0."""
    def at(t, span):
        return 0.9 if span and span[0] <= t < span[1] else 0.0
    return [(i / 15, at(i / 15, fall), at(i / 15, climb), 0) for i in range(n)]

def test_a_missed_fall_and_a_false_alarm_are_told_apart():
    known = {"onset": 1.0, "contact": 1.5}
    rows = {"falls": {"a": (scores((1.2, 3)), known), "b": (scores(), known)}, "everyday": {"c": (scores((2, 3)), None), "d": (scores(), None)}}
    got = fall_costs(MANIFEST, rows)
    assert (got["missed"], got["wrong"], got["of"], got["slow"]) == (1, 1, 2, False)

def test_a_late_median_is_slow():
    rows = {"falls": {"a": (scores((2.5, 4)), {"onset": 1.0, "contact": 1.5})}}
    assert fall_costs(MANIFEST, rows)["slow"]

def test_ordinary_life_has_no_falls_to_be_late_for():
    rows = {"everyday": {"a": (scores((1, 3)), None), "b": (scores(climb=(1, 3)), None)}}
    got = fall_costs(MANIFEST, rows)
    assert (got["missed"], got["wrong"], got["of"], got["slow"]) == (0, 1, 0, False)
    assert climb_costs(MANIFEST, rows, {})["wrong"] == 1

def test_a_climb_alert_counts_only_near_the_climb():
    rows = {"climbs": {"a": (scores(climb=(1, 2)), None), "b": (scores(), None)}, "twins": {"a": (scores(climb=(1, 2)), None)},
            "everyday": {"c": (scores(climb=(1, 2)), None)}}
    assert climb_costs(MANIFEST, rows, {"a": [(1, 2)], "b": [(1, 2)], "c": []}) == {"slow": False, "missed": 1, "wrong": 2, "of": 2}

def test_a_choice_says_for_which_networks_it_was_made(tmp_path, monkeypatch):
    nothing = {"falls": {}, "everyday": {}, "twins": {}, "climbs": {}}
    monkeypatch.setattr(choose, "rendered", lambda *_, **__: nothing)
    monkeypatch.setattr(choose, "all_cameras", lambda *_, **__: {"as filmed": nothing})
    monkeypatch.setattr(choose, "cheapest", lambda *_: POLICY)
    bundle = Path(__file__).resolve().parents[2] / "bundle"
    monkeypatch.setattr("sys.argv", ["choose.py", "--bundle", str(bundle), "--data", ".", "--lab", str(tmp_path), "--renders", "."])
    (tmp_path / "choice.json").write_text('{"calibration": "percentile"}')
    choose.main()
    about, choice = (json.loads(path.read_text()) for path in (bundle / "manifest.json", tmp_path / "choice.json"))
    assert choice["of"] == {part: about[part]["sha256"] for part in ("encoder", "head")}
    assert choice["policy"] == {"fall": POLICY, "climb": POLICY} and choice["calibration"] == "percentile"


def test_what_ships_lies_half_way():
    assert between({"w": torch.zeros(2)}, {"w": torch.tensor([1.0, 4.0])})["w"].tolist() == [0.5, 2.0]


def test_somebody_wider_than_tall_in_pixels_lies():
    people = np.zeros((3, 4, 56), np.float32)
    people[:, 0, 55] = 1
    people[0, 0, 51:55] = [0.1, 0.1, 0.5, 0.4]  # 96 x 96 pixels of 240 x 320: not wider
    people[1, 0, 51:55] = [0.5, 0.1, 0.7, 0.6]
    people[2, 0, 51:55], people[2, 0, 55] = [0.5, 0.1, 0.7, 0.6], 0.1  # hardly visible
    assert lying(people, 240, 320).tolist() == [1]
