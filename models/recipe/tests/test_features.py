"""What clips the head learns from."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np

import config
import evaluate
import features
import truth
from frames import letterbox, photos
from motions import IGNORE
from other_cameras import CAMERAS

CLIP = Path(__file__).resolve().parents[3] / "tests/data/fall.mp4"


def nobody(frame, previous):
    """An encoder that finds nobody."""
    return np.zeros((len(frame), config.PEOPLE, config.FEATURES), np.float32), np.zeros((len(frame), config.SCENE), np.float32)


def test_who_is_trained_on_comes_through_every_camera_and_who_validates_as_filmed(tmp_path):
    clips, out = tmp_path / "data/gmdcsa24", tmp_path / "encoded"
    clips.mkdir(parents=True)
    out.mkdir()
    for name in ("s1_fall_13", "s2_fall_12"):
        shutil.copy(CLIP, clips / f"{name}.mp4")
    (tmp_path / "data/labels.csv").write_text(
        "clip,label,start_s,end_s\ngmdcsa24/s1_fall_13.mp4,fall,1.0,4.0\ngmdcsa24/s2_fall_12.mp4,fall,1.0,4.0\n")
    features.filmed(SimpleNamespace(encode=nobody), tmp_path / "data", out)
    split = {path.stem: str(np.load(path)["split"]) for path in out.glob("*.npz")}
    assert sorted(name for name, part in split.items() if part == "train") == sorted(f"g_s1_fall_13_{camera.replace(' ', '-')}" for camera in CAMERAS)
    assert [name for name, part in split.items() if part == "valid"] == ["g_s2_fall_12_as-filmed"]
    slow, usual = (len(np.load(out / f"g_s1_fall_13_{camera}.npz")["times"]) for camera in ("7.5-fps", "as-filmed"))
    assert 0 < slow < 0.6 * usual, "a slow camera shows fewer pictures"


def test_what_a_killed_rendering_left_is_no_clip(tmp_path):
    (tmp_path / ".000001.part.json").write_text('{"split": "tra')
    features.rendered(SimpleNamespace(encode=nobody), tmp_path, tmp_path)
    assert evaluate.rendered(None, None, None, tmp_path) == {"falls": {}, "everyday": {}, "twins": {}, "climbs": {}}
    assert not list(tmp_path.glob("*.npz"))


def test_generated_people_come_without_the_labels_that_nobody_checked(tmp_path):
    clips, out = tmp_path / "data/t2v_bed", tmp_path / "encoded"
    clips.mkdir(parents=True)
    out.mkdir()
    shutil.copy(CLIP, clips / "mage_fall_001.mp4")
    features.generated(SimpleNamespace(encode=nobody), tmp_path / "data", out)
    kept = np.load(out / "t_mage_fall_001.npz")
    assert len(kept["times"]) > 10 and (kept["labels"] == IGNORE).all()


def test_known_people_are_fitted_as_the_picture_is():
    picture = np.zeros((180, 320, 3), np.uint8)
    picture[128:142, 233:247] = 255  # about (135, 240)
    people = np.zeros((1, 1, config.FEATURES), np.float32)
    people[0, 0, :3], people[0, 0, 51:] = [135 / 180, 240 / 320, 1], [128 / 180, 233 / 320, 142 / 180, 247 / 320, 1]
    got = truth.fitted(people, {"width": 320, "height": 180})[0, 0]
    rows, cols = np.nonzero(letterbox(picture)[..., 0] > 127)
    box = np.array([rows.min(), cols.min(), rows.max() + 1, cols.max() + 1]) / np.array([config.HEIGHT, config.WIDTH] * 2)
    assert np.allclose(got[51:55], box, atol=1.5 / config.HEIGHT)
    assert np.allclose(got[:2], (box[:2] + box[2:]) / 2, atol=1.5 / config.HEIGHT)


def test_each_place_of_the_photos_belongs_to_one_split(tmp_path):
    for place in range(12):
        for view in (0, 90):
            (tmp_path / f"place{place:02}_y{view}.jpg").touch()
    parts = {split: {photo.stem[:7] for photo in photos(tmp_path, split)} for split in ("train", "valid", "test")}
    assert {split: len(places) for split, places in parts.items()} == {"train": 8, "valid": 2, "test": 2}
    assert not parts["train"] & parts["valid"] and not parts["train"] & parts["test"] and not parts["valid"] & parts["test"]
    assert len(photos(tmp_path, "train")) == 16, "every view of a place"
