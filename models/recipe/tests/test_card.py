"""The card says what was measured of these very networks, and calls the rest not measured."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import card
from evaluate import record, stamp, stamped, summary

BUNDLE = Path(__file__).resolve().parents[2] / "bundle"
MEGABYTES = {"encoder": 4.0, "head": 1.0}


def manifest(**provenance):
    about = json.loads((BUNDLE / "manifest.json").read_text())
    return {**about, "provenance": {"scores": {}, **provenance}}


def row(clips, **more):
    """`summary` of so many clips of a minute each, in which nothing was alarmed."""
    return summary([{"seconds": 60.0, "false": 0, "climb_alerts": 0, **more}] * clips)


def test_the_card_that_ships_is_written_from_its_manifest():
    about = json.loads((BUNDLE / "manifest.json").read_text())
    megabytes = {part: (BUNDLE / about[part]["file"]).stat().st_size / 1e6 for part in ("encoder", "head")}
    assert card.card(about, megabytes) == (BUNDLE / "CARD.md").read_text()


def test_what_was_not_measured_is_called_so():
    text = card.card(manifest(), MEGABYTES)
    assert "**Ordinary life**, rendered, of people and rooms never trained on: not measured." in text
    assert "where the picture's lower edge cuts people: not measured" in text
    assert "\nNot measured.\n" in text, "joints and latency"


def test_counts_of_other_networks_or_of_another_policy_are_not_taken(tmp_path):
    about = manifest()
    counted = SimpleNamespace(manifest=about)
    record(tmp_path / "hours.json", counted, {"ordinary life": {}})
    assert "summary" in card.measured(tmp_path, about, "hours.json")
    for other in ({"head": {**about["head"], "sha256": "another"}}, {"policy": {**about["policy"], "fall": {**about["policy"]["fall"], "enter": 0.9}}}):
        assert card.measured(tmp_path, {**about, **other}, "hours.json") == {}
    assert card.measured(tmp_path, about, "near.json") == {}
    of = {key: value for key, value in json.loads((tmp_path / "hours.json").read_text())["of"].items() if key != "second_look"}
    (tmp_path / "hours.json").write_text(json.dumps({"of": of, "summary": {"ordinary life": {}}}))
    assert card.measured(tmp_path, about, "hours.json") == {}, "counted by one look, before there was another"
    (tmp_path / "measured.json").write_text(json.dumps({"of": {part: about[part]["sha256"] for part in ("encoder", "head")}, "note": ""}))
    assert card.measured(tmp_path, about, "measured.json"), "how fast networks are does not hang on the rules"


def test_another_network_has_another_past():
    about = manifest()
    assert "It grew from" in card.lineage("head", about["head"]["sha256"])
    assert card.lineage("head", "0" * 64) == ""


def test_a_sentence_of_events_counts_clips():
    scores = {"close by: falls": row(4, seen=True, delay=0.1), "close by: everyday": row(9), "close by: twins": row(4)}
    assert card.events(scores, "close by:") == "4 of 4 (51–100 %) falls are seen and 0 of 9 everyday, 0 of 4 twins alarmed"
    assert "in 2.0 hours (120 clips" in card.ordinary(row(120))


def test_what_int8_costs_is_said_where_the_float_encoder_was_measured_too():
    seen = {"upright": [0.988, 0.034, 167], "lying": [0.966, 0.048, 59], "ms": [8.6, 12.7]}
    found = {"encoders": {"INT8 (shipped)": seen}, "head_ms": [1.24, 5.04], "note": "Here."}
    alone, both = card.pose(found), card.pose({**found, "encoders": {"float": seen, **found["encoders"]}})
    assert alone.startswith("## Pose\n") and alone.count("| 8.6 | 12.7 |") == 1 and "what INT8 costs is not measured" in alone
    assert both.startswith("## Pose, and what INT8 costs\n") and "not measured" not in both


def test_rows_of_another_policy_leave_the_card_and_new_ones_come(tmp_path, monkeypatch, capsys):
    lab, bundle = tmp_path / "lab", shutil.copytree(BUNDLE, tmp_path / "bundle")
    lab.mkdir()
    old = manifest()
    about = {**old, "policy": {**old["policy"], "fall": {**old["policy"]["fall"], "k": 7}}}
    scores = {**stamped({"ordinary life": row(120), "real, trained on: everyday": row(2)}, old), **stamped({"validation, one look: falls": row(3, seen=True, delay=0.1)}, about),
              "close by: falls": row(4, seen=True, delay=0.1)}
    (bundle / "manifest.json").write_text(json.dumps({**about, "provenance": {"scores": scores}}))
    record(lab / "evaluation.json", SimpleNamespace(manifest=about), {"rendered falls": row(5, seen=True, delay=0.2)})
    record(lab / "near.json", SimpleNamespace(manifest=old), {"close by: falls": row(6, seen=True, delay=0.2)})
    monkeypatch.setattr("sys.argv", ["card.py", "--lab", str(lab), "--bundle", str(bundle)])
    card.main()
    found, text = json.loads((bundle / "manifest.json").read_text())["provenance"]["scores"], (bundle / "CARD.md").read_text()
    assert {name: r["of"] for name, r in found.items()} == dict.fromkeys(("validation, one look: falls", "rendered falls"), stamp(about))
    assert "| rendered falls | 5 | 5 of 5 |" in text and "where the picture's lower edge cuts people: not measured" in text
    assert "never trained on: not measured. A long lie" in text, "ordinary life"
    assert "ordinary life; real, trained on: everyday; close by: falls" in capsys.readouterr().out


def test_the_card_says_what_a_policy_was_chosen_on_if_it_was_chosen_for_these_networks(tmp_path, monkeypatch):
    lab, bundle = tmp_path / "lab", shutil.copytree(BUNDLE, tmp_path / "bundle")
    lab.mkdir()
    about, mine = manifest(), {part: manifest()[part]["sha256"] for part in ("encoder", "head")}
    monkeypatch.setattr("sys.argv", ["card.py", "--lab", str(lab), "--bundle", str(bundle)])
    for more, shown in (({"of": mine}, True), ({}, True), ({"of": mine | {"encoder": "another"}}, False), ({"of": mine, "policy": {}}, False)):
        (bundle / "manifest.json").write_text(json.dumps(about))
        (lab / "choice.json").write_text(json.dumps({"policy": about["policy"], "chosen_on": {"windows": 1415}, **more}))
        card.main()
        assert ('Chosen on {"windows": 1415}.' in (bundle / "CARD.md").read_text()) == shown


def test_the_rows_that_ship_are_of_what_ships(tmp_path, monkeypatch):
    before, bundle = json.loads((BUNDLE / "manifest.json").read_text()), shutil.copytree(BUNDLE, tmp_path / "bundle")
    assert len(before["provenance"]["scores"]) > 20 and {r["of"] for r in before["provenance"]["scores"].values()} == {stamp(before)}
    monkeypatch.setattr("sys.argv", ["card.py", "--lab", str(tmp_path), "--bundle", str(bundle)])
    card.main()
    assert [(bundle / name).read_text() for name in ("manifest.json", "CARD.md")] == [(BUNDLE / name).read_text() for name in ("manifest.json", "CARD.md")]
