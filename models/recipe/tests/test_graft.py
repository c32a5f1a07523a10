"""A cheaper graph of the network that ships says what ships."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

import config
from bundle import UNMEASURED, commit, sha256
from evaluate import stamp, stamped
from frames import letterbox, read
from graft import grafted, main, scales
from nets import encoder
from restore import restored, restored_aloft
from runtime import session

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = ROOT / "models/bundle/encoder.onnx"


@pytest.fixture(scope="module")
def pictures():
    return np.stack([letterbox(p) for _, p in read(ROOT / "tests/data/fall.mp4")][::16])


def says(path, pictures):
    return session(path).run(["people", "scene"], {"frame": pictures[1:], "previous": pictures[:-1]})


def test_what_ships_says_the_same_when_it_is_grafted_on_itself(pictures, tmp_path):
    old, new = says(SHIPPED, pictures), says(grafted(SHIPPED, restored(SHIPPED), tmp_path / "encoder.onnx", restored_aloft(SHIPPED)), pictures)
    assert (old[0][..., config.SCORE] > 0.2).any(), "somebody is seen"
    assert all(np.allclose(a, b, atol=1e-5) for a, b in zip(old, new, strict=True))
    assert scales(tmp_path / "encoder.onnx") == scales(SHIPPED)


def test_what_is_new_around_the_network_is_new(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(encoder, "NOISE", 2.0)  # nothing moves by more than that
    old, new = says(SHIPPED, pictures), says(grafted(SHIPPED, restored(SHIPPED), tmp_path / "encoder.onnx", restored_aloft(SHIPPED)), pictures)
    half = old[1].shape[1] // 2
    assert old[1][:, :half].any() and not new[1][:, :half].any()
    assert np.allclose(old[0], new[0], atol=1e-5)


@pytest.mark.parametrize("name", ["pose.stem.weight", "/pose/Mul_7"])
def test_a_network_that_is_another_is_refused(name, tmp_path):
    model = onnx.load(SHIPPED)
    for node in model.graph.node:
        node.name = node.name.replace(name, "elsewhere")
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(ValueError, match=f"would be others at .*{name}"):
        grafted(tmp_path / "other.onnx", restored(SHIPPED), tmp_path / "encoder.onnx")


def test_what_was_counted_holds_and_what_was_timed_does_not(tmp_path, monkeypatch, capsys):
    bundle = shutil.copytree(SHIPPED.parent, tmp_path / "bundle")
    about = json.loads((bundle / "manifest.json").read_text())
    about["head"]["sha256"] = "0" * 64
    scores = {**stamped({"rendered falls": {"seen": 19}}, about), "ordinary life": {"false": 3, "of": "another"}}
    about["provenance"] |= {"scores": scores, "commit": "old", "created": "2026-01-01"}
    (bundle / "manifest.json").write_text(json.dumps(about))
    monkeypatch.setattr("sys.argv", ["graft.py", "--bundle", str(bundle)])
    main()
    about = json.loads((bundle / "manifest.json").read_text())
    source = about["provenance"]
    assert source["scores"] == {"rendered falls": {"seen": 19, "of": stamp(about)}}, "but what was not of this bundle before is not of it now"
    assert "measured" not in source and (bundle / "CARD.md").read_text() == UNMEASURED
    assert source["commit"] == commit() and source["created"] > "2026-01-01" and source["data"]
    said = capsys.readouterr().out
    assert "## head 000000000000" in said and f"## limits {about['encoder']['sha256'][:12]} 000000000000" in said


def test_the_bundle_is_swapped_whole(tmp_path, monkeypatch):
    bundle = shutil.copytree(SHIPPED.parent, tmp_path / "bundle")
    about = json.loads((bundle / "manifest.json").read_text())
    about["encoder"]["sha256"], about["probe"]["logits"] = "old", []
    (bundle / "manifest.json").write_text(json.dumps(about))
    monkeypatch.setattr("sys.argv", ["graft.py", "--bundle", str(bundle)])
    main()
    about = json.loads((bundle / "manifest.json").read_text())
    assert about["encoder"]["sha256"] == sha256(bundle / "encoder.onnx") and len(about["probe"]["logits"]) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
