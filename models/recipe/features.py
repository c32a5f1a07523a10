"""Step `features`: what the shipped (INT8) encoder says of clips, tick by tick, for the head to learn from.

    python features.py --bundle ../bundle --data DATA --lab LAB --renders RENDERS

Writes `LAB/encoded/<name>.npz` (see `encoded.py`). Clips already there are kept, and another encoder's are an error.
Each clip is read at its own rate, so the head meets repeated ticks as the daemon does.
"""

import argparse
import csv
import itertools
from pathlib import Path

import numpy as np
from tqdm import tqdm

import evaluate
import truth
from frames import area, read
from motions import FALL, FALLEN, IGNORE
from other_cameras import CAMERAS
from resume import said_by, whole
from stream import Bundle, encode_clip


PICTURES = ("bow",)  # scenarios for the encoder alone: a head that learnt from bows took filmed falls for them


def save(path, encoded, **more):
    times, missed, people, scene = encoded
    with whole(path) as part:
        np.savez_compressed(part, times=times, missed=missed, people=people.astype(np.float32), scene=scene.astype(np.float16), **more)


def peek(frames):
    """Size (h, w) of a clip's first picture, and the clip, still whole."""
    frames = iter(frames)
    first = next(frames)
    return first[1].shape[:2], itertools.chain([first], frames)


def rendered(bundle, folder, out, prefix="r_"):
    for path in tqdm(sorted(Path(folder).glob("[0-9]*.json")), "renders"):
        target = out / f"{prefix}{path.stem}.npz"
        if target.exists() or not path.exists():
            continue
        about, people, labels, each = truth.read(path, steady=True)
        if about["scenario"] in PICTURES:
            continue
        encoded = encode_clip(bundle.encode, read(path.with_suffix(".mp4")))
        frame = np.clip(np.round(encoded[0] * about["fps"]).astype(int), 0, about["frames"] - 1)
        save(target, encoded, labels=labels[frame], boxes=truth.fitted(people[frame], about)[..., 51:55], who=each[frame], area=area(about["height"], about["width"]),
             split=truth.part(about), scenario=about["scenario"])


def filmed(bundle, data, out):
    """GMDCSA-24, with falls labelled by eye: subject 1 to train on, through every camera of `other_cameras.py`, for there are few of
    his clips; subjects 2 and 3, who share another room, to validate."""
    known = evaluate.labels()
    lies_until = {Path(row["clip"]).stem: float(row["end_s"]) for row in csv.DictReader(open(data / "labels.csv"))
                  if row["clip"].startswith("gmdcsa24/") and row["label"] == "fall"}
    for path in tqdm(sorted((data / "gmdcsa24").glob("*.mp4")), "filmed"):
        split = "train" if path.stem.startswith("s1_") else "valid"
        for camera in CAMERAS if split == "train" else ["as filmed"]:
            target = out / f"g_{path.stem}_{camera.replace(' ', '-')}.npz"
            if target.exists():
                continue
            size, frames = peek(CAMERAS[camera](read(path)))
            encoded = encode_clip(bundle.encode, frames)
            labels = np.zeros(len(encoded[0]), np.uint8)
            if fall := known.get(path.stem):
                labels[encoded[0] >= fall["onset"]] = FALL
                labels[encoded[0] >= fall["rest"]] = FALLEN
                labels[encoded[0] > max(lies_until[path.stem], fall["contact"] + 1.5) + 0.3] = IGNORE  # perhaps getting up
            save(target, encoded, labels=labels, area=area(*size), split=split, scenario="gmdcsa24")


def generated(bundle, data, out):
    """T2V-Bed, without labels, which are its own and unchecked: for a head that shall go on saying what it says of them."""
    for path in tqdm(sorted((data / "t2v_bed").glob("*.mp4")), "generated"):
        target = out / f"t_{path.stem}.npz"
        if not target.exists():
            size, frames = peek(read(path))
            encoded = encode_clip(bundle.encode, frames)
            save(target, encoded, area=area(*size), labels=np.full(len(encoded[0]), IGNORE, np.uint8), split="train", scenario="t2v_bed")


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--bundle", type=Path, required=True)
    args.add_argument("--data", type=Path, required=True)
    args.add_argument("--lab", type=Path, required=True)
    args.add_argument("--renders", type=Path)
    args.add_argument("--ordinary", type=Path, help="rendered minutes of ordinary life, for training; generated clips as well")
    args.add_argument("--strangers", type=Path, help="rendered clips of people whom the encoder was not trained on, for the head's training")
    args = args.parse_args()
    out, bundle = args.lab / "encoded", Bundle(args.bundle)
    said_by(out, bundle.manifest["encoder"]["sha256"])
    if args.renders:
        rendered(bundle, args.renders, out)
    if args.ordinary:
        rendered(bundle, args.ordinary, out, "o_")
        generated(bundle, args.data, out)
    if args.strangers:
        rendered(bundle, args.strangers, out, "s_")
    filmed(bundle, args.data, out)


if __name__ == "__main__":
    main()
