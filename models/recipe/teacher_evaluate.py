"""Whether the teacher deserves the name: it and the bundle on the same ticks of the same clips, of rooms neither learnt from (but with `--split valid`).

    python teacher_evaluate.py --lab LAB --bundle ../bundle --data DATA [--renders RENDERS --split unseen]

Every `--every`-th tick's window is asked. Ticks: the area under the curve of the fall score, and the share of known ticks on the
right side of one half; ticks of one clip are not independent, so the clips are the sample size. Events: the bundle's policy,
as in `evaluate.py`. Writes `LAB/teacher_evaluation.json`.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

import config
import evaluate
import rgb
from motions import FALL, FALLEN, IGNORE
from stream import Bundle, replay
from teacher_train import ask, load

GROUP = 8  # windows at once


def teacher_rows(net, clip, every):
    """As `stream.replay`; frames that were not asked about keep the last answer."""
    asked = np.arange(config.MIN_TICKS - 1, len(clip.times), every)
    fall, climb = np.zeros(len(clip.times)), np.zeros(len(clip.times))
    for k in range(0, len(asked), GROUP):
        group = asked[k : k + GROUP]
        windows = np.stack([clip.window(clip.tick[i] + 1)[0] for i in group])
        for i, f, c in zip(group, *ask(net, windows), strict=True):
            fall[i : i + every], climb[i : i + every] = f, c
    bridged = np.diff(clip.tick, prepend=clip.tick[:1] - 1) - 1
    return list(zip(clip.times.tolist(), fall.tolist(), climb.tolist(), bridged.tolist(), strict=True))


def ticks(rows, clip, every):
    """Fall scores and labels of the asked ticks with a known label."""
    asked = np.arange(config.MIN_TICKS - 1, len(clip.times), every)
    score, label = np.array([r[1] for r in rows])[asked], clip.labels[clip.tick[asked]]
    return score[label != IGNORE], label[label != IGNORE]


def report(found, known, manifest):
    """`found`: {clip: (rows, scores, labels)} -> one network's ticks and events."""
    score, label = (np.concatenate([f[k] for f in found.values()]) for k in (1, 2))
    down = (label == FALL) | (label == FALLEN)
    judged = {name: evaluate.judge_rows(manifest, f[0], known.get(name)) for name, f in found.items()}
    parts = {"falls": [j for n, j in judged.items() if n in known], "everyday": [j for n, j in judged.items() if n not in known]}
    area_ = evaluate.area(score, down)
    return {"clips": len(found), "ticks": len(label), "down": int(down.sum()), "area": None if area_ is None else round(area_, 3),
            "right": round(float(((score > 0.5) == down).mean()), 3), "always_normal": round(float((~down).mean()), 3),
            "events": {kind: evaluate.summary(results) for kind, results in parts.items()}}


def rendered(folder, split, limit=None):
    """Paths of at most so many rendered clips of a split (see `evaluate.of_split`), and {clip: its fall}."""
    about = {p: json.loads(p.read_text()) for p in sorted(folder.glob("[0-9]*.json"))}
    chosen = [p for p, a in about.items() if evaluate.of_split(a, split)][:limit]
    return [p.with_suffix(".mp4") for p in chosen], {p.stem: fall for p in chosen if (fall := evaluate.known(about[p]))}


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--lab", type=Path, required=True)
    args.add_argument("--bundle", type=Path, required=True)
    args.add_argument("--data", type=Path, required=True)
    args.add_argument("--renders", type=Path)
    args.add_argument("--split", default="unseen", choices=("valid", "unseen", "test"), help="of the rendered clips; as for evaluate.py")
    args.add_argument("--teacher", default="teacher.pt")
    args.add_argument("--every", type=int, default=3)
    args.add_argument("--limit", type=int, help="at most so many rendered clips")
    args = args.parse_args()
    torch.set_num_threads(1)
    (net, side), bundle = load(args.lab / args.teacher), Bundle(args.bundle)
    encodings = evaluate.Encodings(bundle, args.lab / "events")
    filmed = [p for s in ("s2", "s3") for p in sorted((args.data / "gmdcsa24").glob(f"{s}_*.mp4"))]
    sources = {"real, room not trained on": (filmed, rgb.filmed_truth, evaluate.labels())}
    if args.renders:
        chosen, falls = rendered(args.renders, args.split, args.limit)
        sources[f"rendered, {args.split}"] = (chosen, rgb.rendered_truth, falls)
    out = {}
    for source, (paths, known_of, falls) in sources.items():
        found = {"teacher": {}, "bundle": {}}
        for path in tqdm(paths, source):
            clip = rgb.Clip(path, side, args.lab / "pictures", known_of)
            rows = {"teacher": teacher_rows(net, clip, args.every), "bundle": replay(bundle.manifest, bundle.logits, encodings.of(path))}
            for name in found:
                found[name][path.stem] = (rows[name], *ticks(rows[name], clip, args.every))
        out[source] = {name: report(f, falls, bundle.manifest) for name, f in found.items()}
    (args.lab / "teacher_evaluation.json").write_text(json.dumps(out, indent=1))
    print(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()
