"""Step `features`: what the shipped (INT8) encoder says of clips, tick by tick, for the head to learn from.

    python features.py --bundle ../bundle --data DATA --lab LAB --renders RENDERS

Writes `LAB/encoded/<name>.npz` (see `encoded.py`). Clips already there are kept: empty the folder for another encoder.
Each rendered clip is read at its own rate, so the head meets repeated ticks as the daemon does.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
from tqdm import tqdm

import config
import truth
from frames import read
from stream import Bundle, encode_clip

WEAK = 0.15  # of a rendered clip: generated clips whose room gives the class away


def fitted_boxes(people, about):
    """Known boxes (n,K,4) of the source picture -> in the fitted picture."""
    scale = min(config.WIDTH / about["width"], config.HEIGHT / about["height"])
    ratio = np.array([about["height"] * scale / config.HEIGHT, about["width"] * scale / config.WIDTH] * 2)
    return ((people[..., 51:55] - 0.5) * ratio + 0.5) * (people[..., 55:] > 0.1)


def save(path, encoded, **more):
    times, missed, people, scene = encoded
    temporary = path.with_suffix(".tmp.npz")
    np.savez_compressed(temporary, times=times, missed=missed, people=people.astype(np.float32), scene=scene.astype(np.float16), **more)
    temporary.rename(path)


def rendered(bundle, folder, out):
    for path in tqdm(sorted(Path(folder).glob("*.json")), "renders"):
        target = out / f"r_{path.stem}.npz"
        if target.exists() or not path.exists():
            continue
        about, people, labels, each = truth.read(path)
        encoded = encode_clip(bundle.encode, read(path.with_suffix(".mp4")))
        frame = np.clip(np.round(encoded[0] * about["fps"]).astype(int), 0, about["frames"] - 1)
        save(target, encoded, labels=labels[frame], boxes=fitted_boxes(people[frame], about), who=each[frame], split=truth.part(about), weight=1.0,
             scenario=about["scenario"])


def loose(bundle, data, out, folders):
    """Clips of `folders` (climb, t2v_bed), with their loose intervals as labels."""
    intervals = {}
    for row in csv.DictReader(open(data / "labels.csv")):
        intervals.setdefault(row["clip"], []).append(row)
    for clip, rows in tqdm(sorted(intervals.items()), "loose"):
        folder = clip.split("/")[0]
        target = out / f"{folder}_{Path(clip).stem}.npz"
        if folder not in folders or target.exists():
            continue
        encoded = encode_clip(bundle.encode, read(data / clip))
        labels = np.zeros(len(encoded[0]), np.uint8)
        for row in rows:
            start, end = float(row["start_s"]), float(row["end_s"])
            if row["label"] == "fall":
                labels[encoded[0] >= start] = 1
                labels[encoded[0] >= end] = 2
            elif row["label"] == "climb":
                labels[(encoded[0] >= start) & (encoded[0] < end)] = 3
        save(target, encoded, labels=labels, split="train", weight=WEAK if folder == "t2v_bed" else 1.0, scenario=folder)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--bundle", type=Path, required=True)
    args.add_argument("--data", type=Path, required=True)
    args.add_argument("--lab", type=Path, required=True)
    args.add_argument("--renders", type=Path)
    args.add_argument("--also", nargs="*", default=["climb"], help="folders of loosely labelled clips")
    args = args.parse_args()
    out = args.lab / "encoded"
    out.mkdir(parents=True, exist_ok=True)
    bundle = Bundle(args.bundle)
    if args.renders:
        rendered(bundle, args.renders, out)
    loose(bundle, args.data, out, args.also)


if __name__ == "__main__":
    main()
