"""Step `head-int8`: what an integer head would gain and lose against the float head of a bundle, on the same ground.

    python head_int8.py --lab LAB --bundle ../bundle --renders RENDERS [clip.mp4 ...]

Calibrated on windows of the encoded training clips. Compared: time of one row and of four, mistakes on encoded validation
windows, events of the validation clips, and the greatest change of a score on whole clips through the daemon's road.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from encoded import Encoded
from frames import read
from head_candidates import events_report, latencies, valid_clips, windows_report
from head_train import fall_score
from quantise import quantise_head
from runtime import session
from stream import Bundle, encode_clip, one_look, replay


def drift(one, two, windows):
    """Change of the fall score from one head to the other on windows: mean, 99th percentile, greatest."""
    feed = {k: windows[k] for k in ("person", "scene", "mask")}
    a, b = (fall_score(torch.from_numpy(head.run(None, feed)[0])).numpy() for head in (one, two))
    return [round(float(f(np.abs(a - b))), 4) for f in (np.mean, lambda d: np.quantile(d, 0.99), np.max)]


def clip_drift(bundle, heads, path):
    """Greatest change of the fall and of the climb score over a clip."""
    encoded = encode_clip(bundle.encode, read(path))
    rows = [replay(one_look(bundle.manifest), lambda *x, h=h: h.run(None, dict(zip(("person", "scene", "mask"), x, strict=True)))[0], encoded) for h in heads]
    return [round(float(x), 4) for x in np.abs(np.subtract(*rows)).max(0)[1:3]]


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--lab", type=Path, required=True)
    args.add_argument("--bundle", type=Path, required=True)
    args.add_argument("--renders", type=Path, required=True)
    args.add_argument("clips", type=Path, nargs="*")
    args = args.parse_args()
    folder, bundle = args.lab / "head_int8", Bundle(args.bundle)
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(1)
    calibration, windows = (Encoded(args.lab / "encoded", split, "r_").windows(rng, n) for split, n in (("train", 512), ("valid", 2048)))
    (folder / "head.fp32.onnx").write_bytes((args.bundle / "head.onnx").read_bytes())
    quantise_head(folder / "head.fp32.onnx", folder / "head.int8.onnx", calibration)
    heads = {kind: session(folder / f"head.{kind}.onnx", 1) for kind in ("fp32", "int8")}
    films, report = valid_clips(args.lab / "encoded", args.renders), {}
    for name, measure in (
            ("bytes", lambda: {kind: (folder / f"head.{kind}.onnx").stat().st_size for kind in heads}),
            ("drift", lambda: drift(*heads.values(), windows)),
            ("windows", lambda: {kind: windows_report(head, windows) for kind, head in heads.items()}),
            ("clips", lambda: {path.stem: clip_drift(bundle, heads.values(), path) for path in args.clips}),
            ("ms", lambda: latencies(folder, ["head"])["head"]),
            ("events", lambda: {kind: events_report(head, bundle.manifest, films) for kind, head in heads.items()})):
        report[name] = measure()
        print(name, json.dumps(report[name]), flush=True)
        (args.lab / "head_int8.json").write_text(json.dumps(report, indent=1))



if __name__ == "__main__":
    main()
