"""Networks are compared on people whom none of them learnt from."""

import json
import shutil
from pathlib import Path

import config
import pose_check
import teacher_evaluate

CLIP = Path(__file__).resolve().parents[3] / "tests/data/everyday.mp4"


def put(folder, seed, split, frames=10):
    """A rendered clip of somebody who falls in its middle."""
    person = {"keypoints": [[160.0, 120.0, 2.0] * config.JOINTS] * frames, "seen": [1.0] * frames, "box": [[130, 60, 190, 180]] * frames,
              "labels": [["normal", 0, frames]], "fall_start": 2.0, "contact": 2.5}
    about = {"seed": seed, "split": split, "frames": frames, "fps": 10.0, "width": 320, "height": 240, "people": [person], "labels": person["labels"]}
    (folder / f"{seed:06}.json").write_text(json.dumps(about))
    shutil.copy(CLIP, folder / f"{seed:06}.mp4")


def test_who_validates_beside_the_training_is_not_asked_about(tmp_path):
    for seed, split in ((4, "train"), (5, "train"), (7, "valid"), (9, "test")):
        put(tmp_path, seed, split)
    pictures, people, labels = pose_check.known(tmp_path, tmp_path)
    assert len(pictures) == len(people) == len(labels) == 1, "a frame of the one clip whose people and rooms no training clip shows"
    assert teacher_evaluate.rendered(tmp_path, "unseen") == ([tmp_path / "000007.mp4"], {"000007": {"onset": 2.0, "contact": 2.5}})
    assert [path.stem for path in teacher_evaluate.rendered(tmp_path, "valid")[0]] == ["000004", "000007"]


def test_frames_that_were_kept_of_other_people_are_not_taken(tmp_path):
    (tmp_path / "pose_check_rendered.npz").write_bytes(b"of people who train")
    put(tmp_path, 7, "valid")
    assert len(pose_check.known(tmp_path, tmp_path)[0]) == 1
