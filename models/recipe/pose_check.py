"""How well an encoder sees people it never learnt from: what the teacher sees in real frames (GMDCSA-24, subjects 2 and 3),
and, with `--renders`, who is truly there in rendered frames of validation clips of people and rooms that no training clip shows.

    python pose_check.py --data DATA --teacher movenet.tflite --lab LAB [--renders RENDERS] encoder.onnx encoder.pt …
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

import config
import truth
from evaluate import of_split
from frames import letterbox, read
from nets import encoder, movenet
from poses import see
from quantise import agreement
from resume import whole
from runtime import session
from tracker import BOX, overlap


def reference(data, teacher, lab, every=8):
    """(pictures u8 (n,H,W,3), teacher's people (n,4,56)); kept in `lab/pose_check.npz`."""
    kept = Path(lab) / "pose_check.npz"
    if not kept.exists():
        clips = sorted(Path(data, "gmdcsa24").glob("s[23]_*.mp4"))
        pictures = [letterbox(p) for f in clips for i, (_, p) in enumerate(read(f)) if i % every == 0]
        pictures = np.stack(pictures)
        net = movenet.load(teacher)
        people = np.concatenate([see(net, pictures[i : i + 16]) for i in range(0, len(pictures), 16)])
        with whole(kept) as part:
            np.savez(part, pictures=pictures, people=people)
    kept = np.load(kept)
    return kept["pictures"], kept["people"]


def known(renders, lab, every=1.0):
    """Frames of rendered validation clips of people never trained on, one in `every` seconds: (pictures u8 (n,H,W,3), true people (n,4,56)
    in the fitted picture, labels u8 (n,4)); kept in `lab/pose_check_unseen.npz`."""
    kept = Path(lab) / "pose_check_unseen.npz"
    if not kept.exists():
        pictures, people, labels = [], [], []
        for path in tqdm(sorted(Path(renders).glob("[0-9]*.json")), "rendered frames"):
            about, rows, _, each = truth.read(path)
            if not of_split(about, "unseen"):
                continue
            step, rows = round(every * about["fps"]), truth.fitted(rows, about)
            for i, (_, p) in enumerate(read(path.with_suffix(".mp4"))):
                if i % step == 0 and i < len(rows):
                    pictures.append(letterbox(p))
                    people.append(rows[i])
                    labels.append(each[i])
        with whole(kept) as part:
            np.savez(part, pictures=np.stack(pictures), people=np.stack(people), labels=np.stack(labels))
    kept = np.load(kept)
    return kept["pictures"], kept["people"], kept["labels"]


def distance(true, seen):
    """Mean distance of the joints of a found person (F,) from the true ones (F,) that are visible, over the true box's diagonal; NaN if none is."""
    unit = np.array([1, config.WIDTH / config.HEIGHT])
    joints, said = (row[:51].reshape(17, 3) for row in (true, seen))
    apart = np.linalg.norm((joints[:, :2] - said[:, :2]) * unit, axis=1)[joints[:, 2] > 0.9]
    return float(apart.mean() / np.linalg.norm((true[53:55] - true[51:53]) * unit)) if len(apart) else np.nan


def found(people, labels, pictures, encode, least=0.4):
    """By true label: [share of the people of whom at least `least` is visible that are found (box overlap above 0.5, score at
    the tracker's bar), how many there are, mean distance of the visible joints of the found ones over their boxes' diagonals]; and
    people per frame that are not there."""
    count, apart, extra = {name: [] for name in config.CLASSES}, {name: [] for name in config.CLASSES}, 0
    for i in range(0, len(pictures), 8):
        for row, label, seen in zip(people[i : i + 8], labels[i : i + 8], encode(pictures[i : i + 8], pictures[i : i + 8])[0], strict=True):
            seen = seen[seen[:, 55] >= config.TRACKER["min_score"]]
            shared = np.array([overlap(seen[:, BOX], p[BOX]) for p in row])
            for k in np.flatnonzero(row[:, 55] >= least):
                name = config.CLASSES[label[k]]
                count[name].append(shared[k].max(initial=0) > 0.5)
                if count[name][-1]:
                    apart[name].append(distance(row[k], seen[shared[k].argmax()]))
            extra += (shared[row[:, 55] > 0].max(0, initial=0) < 0.1).sum()
    return {**{k: [round(float(np.mean(v)), 3) if v else None, len(v), round(float(np.nanmean(apart[k])), 3) if apart[k] else None]
               for k, v in count.items()}, "extra": round(float(extra / len(pictures)), 3)}


def report(people, pictures, encode, floor=0.25):
    """Agreement with the teacher for upright and lying people, and people per frame that the teacher did not see."""
    seen = np.concatenate([encode(pictures[i : i + 8], pictures[i : i + 8])[0] for i in range(0, len(pictures), 8)])
    flat = (people[..., 54] - people[..., 52]) * 4 / 3 > (people[..., 53] - people[..., 51])
    out = {}
    for name, which in (("upright", ~flat), ("lying", flat)):
        part = people.copy()
        part[~which, 55] = 0
        out[name] = agreement(part, seen, floor)
    out["extra"] = float(np.mean([max(0, (b[:, 55] > floor).sum() - (a[:, 55] > 0.1).sum()) for a, b in zip(people, seen, strict=True)]))
    return out


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--data", type=Path, required=True)
    args.add_argument("--teacher", type=Path, required=True)
    args.add_argument("--lab", type=Path, required=True)
    args.add_argument("--renders", type=Path)
    args.add_argument("models", nargs="+", help="encoder .onnx or .pt")
    args = args.parse_args()
    pictures, people = reference(args.data, args.teacher, args.lab)
    rendered = known(args.renders, args.lab) if args.renders else None
    for model in args.models:
        if model.endswith(".pt"):
            net = encoder.Encoder(encoder.load(model))

            def encode(f, p, net=net):
                with torch.inference_mode():
                    return [x.numpy() for x in net(torch.from_numpy(f), torch.from_numpy(p))]
        else:
            running = session(model)

            def encode(f, p, session=running):
                return session.run(["people", "scene"], {"frame": f, "previous": p})
        print(model, {k: np.round(v, 4).tolist() for k, v in report(people, pictures, encode).items()})
        if rendered:
            print(" " * len(model), found(rendered[1], rendered[2], rendered[0], encode))


if __name__ == "__main__":
    main()
