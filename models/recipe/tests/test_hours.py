"""What counts as a false alarm an hour."""

import json

import pytest

from hours import ordinary, totals


def test_rates_are_an_hour_of_what_was_shown():
    clip = {"seconds": 900.0, "peak": 0.9}
    found = totals({"a": {**clip, "false": 1, "climb_alerts": 0}, "b": {**clip, "false": 0, "climb_alerts": 0}})
    assert (found["hours"], found["clips_alarmed"]) == (0.5, 1)
    assert found["fall_per_hour"] == 2.0 and found["climb_per_hour"] == 0.0
    assert found["fall_per_hour_upper_95"] == pytest.approx(4.74 / 0.5, abs=0.01)  # Poisson: 4.74 after one
    assert found["climb_per_hour_upper_95"] == pytest.approx(3.0 / 0.5, abs=0.01)  # and 3.00 after none


@pytest.mark.parametrize("about", ({"split": "train", "scenario": "ordinary"}, {"split": "test", "scenario": "fall-side"},
                                   {"split": "test", "scenario": "ordinary", "frames": 9, "labels": [["fall", 3, 6]]}))
def test_who_was_trained_on_or_falls_is_refused(tmp_path, about):
    (tmp_path / "000001.json").write_text(json.dumps(about))
    with pytest.raises(SystemExit):
        ordinary(None, None, None, tmp_path)


def test_what_a_killed_rendering_left_is_no_clip(tmp_path):
    (tmp_path / ".000001.part.json").write_text('{"split": "te')
    assert ordinary(None, None, None, tmp_path) == {}
