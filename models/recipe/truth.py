"""What a rendered clip is known to show: exact people for each frame, and labels for each of them."""

import json
from pathlib import Path

import numpy as np

import config


def people(about, steady=False):
    """Rendered clip's JSON -> (n, 4, F): joints y, x in 0..1 with score 1 where visible, 0.3 where hidden, 0 outside;
    box of the visible body; last the visible share of the silhouette. Those most visible first, at each frame anew; with `steady` in
    the JSON's order, so that a place is one person for the whole clip."""
    n, w, h = about["frames"], about["width"], about["height"]
    rows = np.zeros((n, max(4, len(about["people"])), config.FEATURES), np.float32)
    for k, person in enumerate(about["people"]):
        joints = np.array(person["keypoints"], np.float32).reshape(n, 17, 3)
        seen = np.array(person["seen"], np.float32)
        box = np.array([b if b is not None else [0, 0, 0, 0] for b in person["box"]], np.float32)
        x, y = joints[..., 0] / w, joints[..., 1] / h
        inside = (x > 0) & (x < 1) & (y > 0) & (y < 1)
        score = np.where(inside, np.where(joints[..., 2] >= 2, 1.0, 0.3), 0.0)
        rows[:, k, :51] = np.stack([y, x, score], -1).reshape(n, 51)
        rows[:, k, 51:55] = box[:, [1, 0, 3, 2]] / np.array([h, w, h, w], np.float32)
        rows[:, k, 55] = np.where(box.any(1), seen, 0)
    order = np.tile(np.arange(4), (n, 1)) if steady else np.argsort(-rows[..., 55], axis=1)[:, :4]
    return np.take_along_axis(rows, order[..., None], 1), order


def fitted(people, about):
    """Known people (n,K,F) of the source picture -> in the fitted picture; boxes of those who hardly show are empty."""
    scale = min(config.WIDTH / about["width"], config.HEIGHT / about["height"])
    ratio = np.array([about["height"] * scale / config.HEIGHT, about["width"] * scale / config.WIDTH], np.float32)
    out = people.copy()
    joints = out[..., :51].reshape(*out.shape[:-1], 17, 3)
    joints[..., :2] = (joints[..., :2] - 0.5) * ratio + 0.5
    out[..., 51:55] = ((people[..., 51:55] - 0.5) * np.tile(ratio, 2) + 0.5) * (people[..., 55:] > 0.1)
    return out


def labels(about, runs):
    """Run-length labels -> u8 (n,)."""
    out = np.zeros(about["frames"], np.uint8)
    for name, first, last in runs:
        out[first:last] = config.CLASSES.index(name)
    return out


def read(path, steady=False):
    """JSON of a rendered clip -> (about, people (n,4,F), labels of the camera (n,), labels of each person (n,4)); `steady` as for `people`."""
    about = json.loads(Path(path).read_text())
    rows, order = people(about, steady)
    each = np.stack([labels(about, p["labels"]) for p in about["people"]] + [np.zeros(about["frames"], np.uint8)] * 4, 1)
    return about, rows, labels(about, about["labels"]), np.take_along_axis(each, order, 1)


def part(about):
    """train, valid or test. Of the rendered training clips every fourth goes to validation: few are rendered, and the head
    learns from skeletons in the first place. Their people and rooms train too, and so may their twins, which are the next seeds: valid
    clips that show nobody and nothing of training are those whose spec says "valid" (`evaluate.py --split unseen`)."""
    return "valid" if about["split"] == "train" and about["seed"] % 4 == 0 else about["split"]
