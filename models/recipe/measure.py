"""Step `measure`: agreement with the teacher and latency, float against INT8 in the same run.

    python measure.py --bundle ../bundle --data DATA --teacher movenet.tflite --lab LAB

Float is `LAB/encoder_fp32.onnx`, if the bundle's encoder was made of it (`bundle.py` leaves a mark); else INT8 is measured alone.
"""

import argparse
import json
import platform
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort

import config
from pose_check import reference, report
from resume import is_of, sha256
from runtime import session
from stream import row_length


def milliseconds(sessions, feed, rounds=60):
    """Least time of each session, taken in turns so that a busy machine disturbs all alike."""
    times = [[] for _ in sessions]
    for _ in range(rounds):
        for k, s in enumerate(sessions):
            start = time.perf_counter()
            s.run(None, feed)
            times[k].append(1e3 * (time.perf_counter() - start))
    return [float(min(t)) for t in times]


def encoders(lab, bundle):
    """{name: file} of what is measured."""
    source, shipped = lab / "encoder_fp32.onnx", bundle / "encoder.onnx"
    if is_of(shipped, source):
        return {"float": source, "INT8 (shipped)": shipped}
    print(f"{shipped} was not made of {source}, or nothing says so: INT8 is measured alone, and not what it costs")
    return {"INT8 (shipped)": shipped}


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--bundle", type=Path, required=True)
    args.add_argument("--data", type=Path, required=True)
    args.add_argument("--teacher", type=Path, required=True)
    args.add_argument("--lab", type=Path, required=True)
    args.add_argument("--every", type=int, default=1)
    args = args.parse_args()
    pictures, people = reference(args.data, args.teacher, args.lab)
    pictures, people = pictures[:: args.every], people[:: args.every]
    models = encoders(args.lab, args.bundle)
    sessions = {(name, t): session(path, t) for name, path in models.items() for t in (1, 2)}
    feed = {"frame": pictures[:1], "previous": pictures[1:2]}
    took = dict(zip(sessions, milliseconds(list(sessions.values()), feed), strict=True))
    out = {"encoders": {}}
    for name in models:
        s = sessions[name, 2]
        seen = report(people, pictures, lambda f, p, s=s: s.run(["people", "scene"], {"frame": f, "previous": p}))
        out["encoders"][name] = {**seen, "ms": [took[name, 1], took[name, 2]]}
    head = session(args.bundle / "head.onnx", 1)
    rng, length = np.random.default_rng(0), row_length(json.loads((args.bundle / "manifest.json").read_text()))
    out["head_ms"] = []
    for rows in (1, 4):
        feed = {"person": rng.random((rows, config.TICKS, length), np.float32), "scene": rng.random((rows, config.TICKS, config.SCENE), np.float32),
                "mask": np.ones((rows, config.TICKS, 2), np.float32)}
        out["head_ms"] += milliseconds([head], feed)
    out["note"] = f"ONNX Runtime {ort.__version__}, {platform.machine()}, two busy cores: the least of 60 runs in turns."
    hashes = {part: sha256(args.bundle / f"{part}.onnx") for part in ("encoder", "head")}
    (args.lab / "measured.json").write_text(json.dumps({"of": hashes, **out}, indent=1))
    print(json.dumps(out))


if __name__ == "__main__":
    main()
