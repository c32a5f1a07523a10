"""The report: which events count, which bins a clip falls into, what the curves are made of."""

import numpy as np
import pytest

import config
import mistakes
import plots
from cases import Case, climb_events, overlap
from difficulty import bin_of, bins, lies, on_floor, origin
from evaluate import judge_rows
from plots import ENTER, bars, calibration_error, confusion, precision_recall, reliability
from render.camera import Camera, project
from report import share
from tracker import BOX

POLICY = {"enter": 0.8, "exit": 0.4, "k": 3, "n": 4}
MANIFEST = {"policy": {"fall": POLICY, "climb": POLICY}, "tracker": config.TRACKER}
KNOWN = {"onset": 2.0, "contact": 2.6}
CAMERA = {"eye": (0.0, -4.0, 2.4), "target": (0.0, 0.0, 0.3), "fov": 60.0, "roll": 2.0, "width": 320, "height": 240, "k1": 0.2}


def rows(fall=None, climb=None, seconds=8):
    """Scores of a clip: 0.9 within the spans, else 0.1."""
    def score(t, span):
        return 0.9 if span and span[0] <= t < span[1] else 0.1
    return [(t, score(t, fall), score(t, climb), 0) for t in np.arange(seconds * 15) / 15]


def clip(label="fall", **more):
    """The JSON of a rendered clip of 4 s at 10 frames a second: one adult of half the picture's height."""
    n = 40
    joints = np.tile([160.0, 120.0, 2.0], (n, 17, 1)).reshape(n, 51)
    person = {"kind": "adult", "labels": [["normal", 0, 20], [label, 20, 30], ["normal", 30, n]], "keypoints": joints.tolist(),
              "full": [[130, 60, 190, 180]] * n, "seen": [1.0] * n}
    return {"frames": n, "fps": 10.0, "width": 320, "height": 240, "scenario": "fall-side", "infrared": False, "camera": CAMERA, "people": [person],
            "labels": person["labels"], **more}


def case(scores, known=None, about=None, kind="falls", found=True):
    """A case of such a clip; the encoder finds the adult at every tick, or never."""
    people = np.zeros((len(scores), config.PEOPLE, config.FEATURES), np.float32)
    people[:, 0, BOX], people[:, 0, -1] = (0.25, 0.4, 0.75, 0.6), 0.9 * found
    encoded = (np.array([r[0] for r in scores]), np.zeros(len(scores), int), people, None)
    return Case("rendered, test", kind, "fall-side/000000", None, scores, encoded, known, None, about or clip(), MANIFEST)


@pytest.mark.parametrize(("t", "seen"), [(3.4, False), (3.5, True), (5.0, True), (9.0, True), (9.1, False)])
def test_a_climb_is_seen_from_half_a_second_before_its_label_to_three_after(t, seen):
    assert climb_events([(t, "climb")], [(4.0, 6.0)]) == ([seen], [] if seen else [t])


def test_a_fall_alarm_sees_no_climb_and_one_alarm_may_see_two():
    assert climb_events([(5.0, "fall")], [(4.0, 6.0)]) == ([False], [])
    assert climb_events([(6.5, "climb")], [(4.0, 6.0), (6.8, 8.0)]) == ([True, True], [])


def test_false_alarms_keep_their_times():
    judged = judge_rows(MANIFEST, rows(fall=(0.5, 1.5)), KNOWN)
    assert not judged["seen"] and judged["false"] == 1 and judged["false_at"] == [pytest.approx(0.5 + 3 / 15, abs=0.07)]


def test_a_value_on_an_edge_belongs_above_it():
    assert [bin_of(v, [0.3, 0.5], ["low", "middle", "high"]) for v in (0.29, 0.3, 0.49, 0.5)] == ["low", "middle", "middle", "high"]


def test_falls_start_from_what_their_name_says():
    assert [origin(s) for s in ("fall-chair-tip", "fall-bed-roll", "fall-slip")] == ["chair", "bed", "standing"]


def test_a_pixel_is_found_again_on_the_floor():
    camera = Camera(**CAMERA)
    pixel, _ = project(camera, np.array([[0.7, 1.1, 0.12]]))
    assert on_floor({"camera": CAMERA}, pixel[0]) == pytest.approx([0.7, 1.1], abs=0.01)
    assert on_floor({"camera": CAMERA}, (160, -2000)) is None  # above the horizon


@pytest.mark.parametrize(("head", "says"), [((0, 1.6), "along, head far"), ((0, -1.6), "along, head near"), ((1.6, 0.1), "across")])
def test_how_a_body_lies_to_the_camera(head, says):
    world = np.zeros((17, 3))
    world[:, 2], world[[5, 6], :2] = 0.12, head
    assert lies({"camera": CAMERA}, project(Camera(**CAMERA), world)[0]) == says


def test_a_clip_falls_into_its_bins():
    plain = bins(clip(), "fall", 2.0, 2.6, 4.6)
    assert plain["height in the picture"] == "0.5–0.7" and plain["share of the body seen"] == "0.95–1.0"
    assert plain["joints outside the picture"] == "0" and plain["company"] == "alone" and plain["frames a second"] == "10.0"
    hard = clip(infrared=True)
    person = hard["people"][0]
    person["kind"] = "toddler"
    person["full"][20] = [130, 180, 190, 300]                       # partly below the picture: 60 of 240 rows are left
    person["seen"][26:] = [0.4] * 14
    for joints in person["keypoints"][26:]:
        joints[1:18:3] = [250.0] * 6                                # 6 of 17
    got = bins(hard, "fall", 2.0, 2.6, 4.6)
    assert (got["height in the picture"], got["share of the body seen"], got["joints outside the picture"]) == ("0.0–0.3", "0.0–0.5", "0.25–1.0")
    assert (got["picture"], got["person"]) == ("infrared", "child")
    assert "from" not in bins(clip("climb"), "climb", 2.0, 2.0, 3.0)


def test_a_higher_bar_loses_falls_and_false_alarms():
    low_fall = [(t, 0.6 if 2.5 <= t < 4 else 0.1, 0.0, 0) for t, *_ in rows()]
    clips = [(rows(fall=(2.5, 4)), KNOWN), (low_fall, KNOWN), (low_fall, None)]
    points = {enter: (precision, recall) for enter, precision, recall in precision_recall(MANIFEST, clips, [0.5, 0.8, 0.95])}
    assert points == {0.5: (pytest.approx(2 / 3), 1.0), 0.8: (1.0, 0.5), 0.95: (None, 0.0)}


def test_no_bar_is_drawn_below_the_second_look(tmp_path, monkeypatch):
    assert bars(MANIFEST) == bars(MANIFEST | {"second_look": None}) == ENTER.tolist()
    assert bars(MANIFEST | {"second_look": {"from": 0.4, "frames": 15}})[:3] == [0.4, 0.45, 0.5]
    twice = MANIFEST | {"second_look": {"from": 0.42, "frames": 15}}
    assert bars(twice)[:2] == [0.42, 0.45]
    drawn = []
    monkeypatch.setattr(plots, "precision_recall", lambda manifest, clips, enters=ENTER: drawn.extend(enters) or [(e, 1.0, 1.0) for e in enters])
    plots.draw_precision_recall(tmp_path / "curve.png", twice, [case(rows(fall=(2.5, 4)), KNOWN)])
    assert min(drawn) == 0.42


def test_the_alarm_rearms_below_half_of_the_bar():
    twice = [(t, 0.9 if t < 1 or t > 32 else 0.3, 0.0, 0) for t, *_ in rows(seconds=34)]
    points = precision_recall(MANIFEST, [(twice, None), (rows(fall=(2.5, 4)), KNOWN)], [0.5, 0.8])
    assert [precision for _, precision, _ in points] == [0.5, pytest.approx(1 / 3)]  # 0.3 is below half of 0.8 alone


def test_reliability_counts_every_tick_once():
    got = reliability([0.05, 0.07, 0.95, 1.0, 1.0], [False, True, True, True, False])
    assert got == [(pytest.approx(0.06), 0.5, 2), (pytest.approx(2.95 / 3), pytest.approx(2 / 3), 3)]
    assert calibration_error(got) == pytest.approx((2 * 0.44 + 3 * (2.95 / 3 - 2 / 3)) / 5)


def test_the_first_alarm_decides_the_column():
    both = case(rows(fall=(2.5, 4), climb=(1, 2)), KNOWN)
    assert confusion([both, case(rows(fall=(2.5, 4)), KNOWN), case(rows(), KNOWN)]) == {"fall-side": [1, 1, 1]}


def test_found_means_the_one_who_falls():
    assert overlap(np.array([[0, 0, 1, 1], [0, 0.5, 1, 1.5], [2, 2, 3, 3]]), np.array([0, 0, 1, 1])) == pytest.approx([1, 1 / 3, 0])
    away = case(rows(), KNOWN)
    away.encoded[2][:, 0, BOX] = (0.0, 0.0, 0.3, 0.1)
    assert case(rows(), KNOWN).found(2.6, 4.0) == 1 and away.found(2.6, 4.0) == 0


def test_mistakes_take_turns_and_tell_the_lost_body():
    seen = case(rows(fall=(2.5, 4)), KNOWN)
    lost, missed = case(rows(), KNOWN, found=False), case([(t, 0.5 if t == 3 else 0.1, 0.1, 0) for t, *_ in rows()], KNOWN)
    alarm, low_alarm = (case([(t, score if 1 < t < 2 else 0.1, 0.1, 0) for t, *_ in rows()], kind="everyday", about=clip("normal")) for score in (0.9, 0.85))
    climb = case(rows(), kind="climbs", about=clip("climb"))
    got = mistakes.worst([seen, missed, lost, low_alarm, alarm, climb])
    assert [m.case for m in got] == [lost, alarm, climb, missed, low_alarm]
    assert [m.what for m in got[:3]] == ["missed fall", "false fall alarm", "missed climb"]
    assert len(mistakes.worst([missed, lost], 1)) == 1
    assert "lost the body so in 1 of the 2 falls that were missed, and in 0 of the 1 that were seen" in mistakes.in_common([seen, missed, lost], got)


def test_a_share_is_given_with_its_interval():
    assert share([True] * 8) == "8 of 8 (0.68–1.00)" and share([False] * 5) == "0 of 5 (0.00–0.43)" and share([]) == "–"
