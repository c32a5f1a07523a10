"""Windows of pictures for the teacher: 64 ticks of a rendered or filmed clip at their true times, and the last tick's label.

Each clip is read once and kept as `<name>.npy` u8 (n,h,w,3), memory-mapped, with `<name>.npz`: times, missed, labels u8
and seen bool (n,). Pictures keep their clip's shape within 32 pixels, so batches of one shape hold fewer or more clips.
"""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

import config
import evaluate
import truth
from frames import read
from motions import FALL, FALLEN, IGNORE, judge
from resume import whole
from stream import Cadence

STEP = 32       # SlowFast halves a picture five times
VISIBLE = 0.1   # share of a rendered body that must be in sight


def shape_of(height, width, side):
    """(height, width) for a shorter side of `side`: multiples of STEP, nearest to the clip's own shape."""
    scale = side / min(height, width)
    return tuple(max(STEP, STEP * round(x * scale / STEP)) for x in (height, width))


def ticks(path, side):
    """A clip's kept frames -> times (n,), missed (n,) and pictures u8 (n,h,w,3)."""
    cadence, times, missed, pictures = Cadence(), [], [], []
    for t, picture in read(path):
        if (gap := cadence.keep(t)) is not None:
            h, w = shape_of(*picture.shape[:2], side)
            times.append(t)
            missed.append(gap)
            pictures.append(cv2.resize(picture, (w, h), interpolation=cv2.INTER_AREA))
    return np.array(times), np.array(missed), np.stack(pictures)


def rendered_truth(path, times):
    """Labels of the camera and whether anybody is in sight, at the times of a rendered clip."""
    about, people, labels, _ = truth.read(path.with_suffix(".json"))
    frame = np.clip(np.round(times * about["fps"]).astype(int), 0, about["frames"] - 1)
    return labels[frame], (people[frame, :, 55] > VISIBLE).any(1)


def filmed_truth(path, times):
    """The same for a clip of GMDCSA-24, whose falls were labelled by eye; somebody is always in sight."""
    labels = np.zeros(len(times), np.uint8)
    if fall := evaluate.labels().get(path.stem):
        spans = csv.DictReader(open(path.parents[1] / "labels.csv"))
        lies_until = next(float(r["end_s"]) for r in spans if Path(r["clip"]).stem == path.stem and r["label"] == "fall")
        labels[times >= fall["onset"]] = FALL
        labels[times >= fall["rest"]] = FALLEN
        labels[times > max(lies_until, fall["contact"] + 1.5) + 0.3] = IGNORE  # perhaps getting up
    return labels, np.ones(len(times), bool)


class Clip:
    """One clip on the grid of ticks; `pictures` stay on the disk until they are asked for."""

    def __init__(self, path, side, cache, known=rendered_truth):
        folder = Path(cache) / str(side)
        pictures, about = folder / f"{path.stem}.npy", folder / f"{path.stem}.npz"
        if not about.exists():
            folder.mkdir(parents=True, exist_ok=True)
            times, missed, frames = ticks(path, side)
            labels, seen = known(path, times)
            with whole(pictures) as part:
                np.save(part, frames)
            with whole(about) as part:
                np.savez(part, times=times, missed=missed, labels=labels, seen=seen)
        with np.load(about) as d:
            self.times, missed, labels, seen = (d[k] for k in ("times", "missed", "labels", "seen"))
        self.path, self.pictures = path, np.load(pictures, mmap_mode="r")
        self.broken = bool((missed[1:] > config.HOLD_TICKS).any())  # the daemon would have begun anew
        missed[0] = 0
        self.tick = np.cumsum(missed + 1) - 1                                               # of each kept frame
        self.frame = np.searchsorted(self.tick, np.arange(self.tick[-1] + 1), side="right") - 1  # a missed tick repeats
        self.labels, self.seen = labels[self.frame], seen[self.frame]
        self.shape = self.pictures.shape[1:3]

    def window(self, end, freeze=None, least=0):
        """Pictures (64,h,w,3) and label of the window whose last tick is `end` - 1; black before the clip and before the
        window's tick `least`, and the same picture from tick `freeze` on."""
        total = len(self.frame)
        at = np.arange(end - config.TICKS, end)
        exist = (at >= 0) & (np.arange(config.TICKS) >= least)
        source = np.clip(at, 0, (total if freeze is None else freeze) - 1)
        pictures = np.where(exist[:, None, None, None], self.pictures[self.frame[source]], np.uint8(config.PAD))
        label = judge(self.labels[source][None], (exist & self.seen[source])[None], ~exist[None])[0, -1]
        return pictures, label


class Rendered:
    """Rendered clips of one split, sharded by `rank` of `world`, and random windows of them."""

    def __init__(self, folder, split, side, cache, rank=0, world=1, limit=None):
        paths = [p for p in sorted(Path(folder).glob("[0-9]*.json")) if truth.part(json.loads(p.read_text())) == split][:limit]
        clips = [Clip(p.with_suffix(".mp4"), side, cache) for p in tqdm(paths[rank::world], f"{split} clips")]
        self.by_shape = {}
        for clip in clips:
            if not clip.broken:
                self.by_shape.setdefault(clip.shape, []).append(clip)

    def clips(self):
        return [clip for clips in self.by_shape.values() for clip in clips]

    def batch(self, rng, counts):
        """u8 (n,64,h,w,3) and labels (n,) of one shape, with as many windows as `counts` has for it. Shapes come up so often
        that each clip is drawn equally often."""
        shapes = list(self.by_shape)
        weight = np.array([len(self.by_shape[s]) / counts[s] for s in shapes])
        shape = shapes[rng.choice(len(shapes), p=weight / weight.sum())]
        windows = [self._draw(rng, self.by_shape[shape]) for _ in range(counts[shape])]
        return np.stack([p for p, _ in windows]), np.array([label for _, label in windows], np.int64)

    @staticmethod
    def _draw(rng, clips):
        """A random window with a known label; emphasis on falls and their frozen twins as in `encoded.py`."""
        while True:
            clip = clips[rng.integers(len(clips))]
            total, down = len(clip.frame), np.flatnonzero((clip.labels == FALL) | (clip.labels == FALLEN))
            if len(down) and rng.random() < 0.6:
                end = int(np.clip(down[0] + rng.integers(-8, 60), config.MIN_TICKS, total))
            else:
                end = int(rng.integers(min(config.MIN_TICKS, total), total + 1))
            freeze = None
            if len(down) and down[0] > 5 and rng.random() < 0.25:
                freeze, end = down[0], down[0] + int(rng.integers(0, 80))
            least = int(rng.integers(0, config.TICKS - config.MIN_TICKS)) if rng.random() < 0.15 else 0
            pictures, label = clip.window(end, freeze, least)
            if label != IGNORE:
                return vary(rng, pictures), label


def vary(rng, pictures):
    """The window mirrored at random, brighter or darker, with more or less contrast."""
    if rng.random() < 0.5:
        pictures = pictures[:, :, ::-1]
    level = np.clip((np.arange(256) - 128) * rng.uniform(0.7, 1.3) + 128 + rng.uniform(-30, 30), 0, 255)
    return level.astype(np.uint8)[pictures]
