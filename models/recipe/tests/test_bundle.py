"""A bundle takes over what stands where it is built, unless something else was trained or chosen."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import bundle
import case
import measure
from bare import bare
from bundle import build, finish, main
from evaluate import record
from frames import letterbox, read
from nets.head import exported
from restore import restored
from resume import sha256

SHIPPED = Path(__file__).resolve().parents[2] / "bundle"
CLIP = Path(__file__).resolve().parents[3] / "tests/data/fall.mp4"
POLICY = {name: {"enter": 0.75, "exit": 0.375, "k": 4, "n": 5} for name in ("fall", "climb")}


@pytest.fixture
def lab(tmp_path):
    folder = tmp_path / "lab"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """What ships, without what was added to it."""
    folder = tmp_path_factory.mktemp("plain")
    (folder / "new").mkdir()
    finish(folder / "new", bare(SHIPPED, folder / "new"), folder / "bundle")
    return folder / "bundle"


@pytest.fixture
def standing(plain, tmp_path):
    """That, at other rules than those that any file has by itself."""
    folder = shutil.copytree(plain, tmp_path / "bundle")
    about = json.loads((folder / "manifest.json").read_text())
    about |= {"temperature": 1.3, "policy": POLICY, "second_look": {"from": 0.7, "frames": 9}}
    about["head"]["scene_row"] = True
    (folder / "manifest.json").write_text(json.dumps(about))
    return folder


def put_head(lab, name):
    """A head in LAB that is not the one that ships."""
    weights = {key: value * 1.5 if key.startswith("last") else value for key, value in exported(SHIPPED / "head.onnx").state_dict().items()}
    torch.save({"ship": weights}, lab / name)


def test_where_nothing_was_chosen_the_rules_of_the_bundle_that_stands_there_stay(lab, plain, standing):
    about = build(lab, standing, {}, "9.9.9", keep_encoder=True)
    assert (about["version"], about["temperature"], about["policy"], about["second_look"]) == ("9.9.9", 1.3, POLICY, {"from": 0.7, "frames": 9})
    assert about["head"]["scene_row"] and about["head"]["sha256"] == sha256(plain / "head.onnx")


def test_a_choice_takes_the_place_of_the_rules_and_a_choice_of_ways_alone_does_not(lab, standing):
    (lab / "choice.json").write_text(json.dumps({"calibration": "percentile"}))
    assert build(lab, standing, {}, "9.9.8", keep_encoder=True)["policy"] == POLICY
    chosen = {name: rule | {"n": 6} for name, rule in POLICY.items()}
    (lab / "choice.json").write_text(json.dumps({"temperature": 0.9, "policy": chosen}))
    about = build(lab, standing, {}, "9.9.9", keep_encoder=True)
    assert (about["temperature"], about["policy"]) == (0.9, chosen)


def test_a_choice_for_other_networks_is_told_of(lab, standing, capsys):
    of = {part: json.loads((standing / "manifest.json").read_text())[part]["sha256"] for part in ("encoder", "head")}
    for told, which in (({}, ""), ({"of": of}, ""), ({"of": of | {"head": "another"}}, "for another head than"), ({"of": dict.fromkeys(of, "")}, "for another encoder and another head than")):
        (lab / "choice.json").write_text(json.dumps({"temperature": 1.0, "policy": POLICY, **told}))
        build(lab, standing, {}, "9.9.9", keep_encoder=True)
        said = capsys.readouterr().out
        assert which in said and ("WARNING" in said) == bool(which)


def test_who_looks_once_goes_on_looking_once(lab, standing):
    about = json.loads((standing / "manifest.json").read_text())
    del about["second_look"]
    (standing / "manifest.json").write_text(json.dumps(about))
    assert "second_look" not in build(lab, standing, {}, "9.9.9", keep_encoder=True)


def test_a_second_look_that_begins_above_a_bar_is_refused(lab, standing):
    about = json.loads((standing / "manifest.json").read_text())
    (standing / "manifest.json").write_text(json.dumps(about | {"second_look": {"from": 0.8, "frames": 9}}))
    with pytest.raises(SystemExit, match="begins at 0.8, above a bar"):
        build(lab, standing, {}, "9.9.9", keep_encoder=True)
    assert json.loads((standing / "manifest.json").read_text())["version"] == about["version"], "and what stood there stands"


def test_a_head_that_is_named_must_be_there(lab, standing):
    put_head(lab, "head.pt")
    with pytest.raises(SystemExit, match="--head: .*told.pt is missing. Train it"):
        build(lab, standing, {}, "9.9.9", keep_encoder=True, head="told.pt")


def test_a_head_in_lab_is_taken_unless_the_one_that_stands_there_shall_stay(lab, plain, standing):
    put_head(lab, "head.pt")
    kept = build(lab, standing, {}, "9.9.8", keep_encoder=True, keep_head=True)
    assert kept["head"]["sha256"] == sha256(plain / "head.onnx") == sha256(standing / "head.onnx")
    assert build(lab, standing, {}, "9.9.9", keep_encoder=True)["head"]["sha256"] != kept["head"]["sha256"]


def test_no_head_can_stay_where_none_stands(lab, tmp_path):
    with pytest.raises(SystemExit, match="no bundle stands at"):
        build(lab, tmp_path / "nowhere", {}, "9.9.9", keep_head=True)


def test_a_head_is_kept_or_named(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["bundle.py", "--lab", "LAB", "--data", "DATA", "--head", "told.pt", "--keep-head"])
    with pytest.raises(SystemExit):
        main()
    assert "not allowed with" in capsys.readouterr().err


def test_an_encoder_that_was_trained_on_comes_with_the_head_that_stands_there():
    rule = (Path(bundle.__file__).parent / "Makefile").read_text().split("\nexport-on:\n")[1].split("\n\n")[0]
    assert "--encoder encoder_on.pt" in rule and "--keep-head" in rule


def test_the_float_encoder_is_that_of_the_bundle_or_is_not_shown_beside_it(lab, tmp_path, monkeypatch, capsys):
    pictures = np.stack([letterbox(p) for _, p in read(CLIP)])[::12]
    net = restored(SHIPPED / "encoder.onnx")
    monkeypatch.setattr(bundle, "calibration", lambda lab: pictures)
    monkeypatch.setattr(bundle.encoder, "load", lambda path: net)
    out = tmp_path / "bundle"
    about = build(lab, out, {}, "9.9.9")
    source = lab / "encoder_fp32.onnx"
    assert measure.encoders(lab, out) == {"float": source, "INT8 (shipped)": out / "encoder.onnx"}
    assert list(case.encoders(out, source)) == ["falld, fp32", "falld, INT8 (shipped)"]
    assert "nothing says so" not in capsys.readouterr().out
    for how in (lambda: source.write_bytes(source.read_bytes()[:-1]), source.unlink):
        how()
        assert list(measure.encoders(lab, out)) == ["INT8 (shipped)"] and "INT8 is measured alone" in capsys.readouterr().out
        assert list(case.encoders(out, source)) == ["falld, INT8 (shipped)"] and "it has no row" in capsys.readouterr().out
    assert list(measure.encoders(lab, SHIPPED)) == ["INT8 (shipped)"] and about["encoder"]["sha256"] == sha256(out / "encoder.onnx")


def test_events_of_another_bundle_have_no_row_in_the_case(lab):
    about = json.loads((SHIPPED / "manifest.json").read_text())
    assert case.events(lab, about) == {}
    counted = {"seen": 8, "falls": 8, "recall_95": [0.68, 1.0], "clips_alarmed": 0, "clips": 8}
    record(lab / "evaluation.json", SimpleNamespace(manifest=about), {f"real, room not trained on: {kind}": counted for kind in ("falls", "everyday")})
    assert case.events(lab, about)["clips_alarmed"] == "0 of 8"
    assert case.events(lab, about | {"policy": POLICY}) == {}
