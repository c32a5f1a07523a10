"""Step `quantisation`: ways to make one float encoder integer, in one table with it: size, time, and what is lost.

    python quantisation.py --lab LAB --data DATA --teacher movenet.tflite LAB/encoder_fp32.onnx

Dynamic: integer weights, activations measured at every call; nothing to calibrate, hence the naive baseline. Static: QDQ as
`quantise.py` makes it, with ranges from the same pictures by different rules. Agreement is with the teacher, on real frames
that no encoder learnt from (`pose_check.py`). Writes `LAB/quantisation.json` and a table beside it.
"""

import argparse
import json
from pathlib import Path

import onnxruntime as ort
from onnxruntime.quantization import QuantType, quantize_dynamic

from bundle import calibration
from evaluate import wilson
from measure import milliseconds
from pose_check import reference, report
from quantise import quantise
from runtime import session


def dynamic(source, target, pictures):
    """ONNX Runtime's own dynamic INT8, with unsigned weights: its depthwise convolution is several times slower with signed ones."""
    quantize_dynamic(str(source), str(target), op_types_to_quantize=["Conv"], weight_type=QuantType.QUInt8)


def static(method, percentile=None):
    def make(source, target, pictures):
        quantise(source, target, pictures, method, percentile)
    return make


WAYS = {"INT8 dynamic": dynamic, "INT8 static, min-max": static("minmax"),
        **{f"INT8 static, percentile {p}": static("percentile", p) for p in (99.9, 99.99, 99.999)},
        "INT8 static, entropy": static("entropy")}


def table(rows):
    """The Markdown table of {name: measured}."""
    def part(found, apart, n):
        low, high = wilson(round(found * n), n)
        return f"{found:.3f} ({low:.2f}–{high:.2f}) of {n} / {apart:.3f}"

    lines = ["| encoder | MB | ms, 1 thread | upright found / apart | lying found / apart | extra a frame |", "|---|---|---|---|---|---|"]
    for name, r in rows.items():
        lines.append(f"| {name} | {r['bytes'] / 1e6:.2f} | {r['ms']:.1f} | {part(*r['upright'])} | {part(*r['lying'])} | {r['extra']:.3f} |")
    return "\n".join(lines)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--lab", type=Path, required=True)
    args.add_argument("--data", type=Path, required=True)
    args.add_argument("--teacher", type=Path, required=True)
    args.add_argument("--pictures", type=int, default=96, help="to calibrate on")
    args.add_argument("source", type=Path, help="a float encoder")
    args = args.parse_args()
    folder = args.lab / "quantisation"
    folder.mkdir(exist_ok=True)
    models, drawn = {"float": args.source}, calibration(args.lab, args.pictures)
    for name, make in WAYS.items():
        models[name] = folder / f"{args.source.stem}, {name}.onnx"
        make(args.source, models[name], drawn)
        print(name, flush=True)
    pictures, people = reference(args.data, args.teacher, args.lab)
    sessions = [session(path, 1) for path in models.values()]
    took, rows = milliseconds(sessions, {"frame": pictures[:1], "previous": pictures[1:2]}), {}
    for (name, path), one, ms in zip(models.items(), sessions, took, strict=True):
        seen = report(people, pictures, lambda f, p, one=one: one.run(["people", "scene"], {"frame": f, "previous": p}))
        rows[name] = {"bytes": path.stat().st_size, "ms": ms, **seen}
        print(name, rows[name], flush=True)
    about = {"runtime": ort.__version__, "pictures": len(drawn), "frames": len(pictures), "encoders": rows}
    (args.lab / "quantisation.json").write_text(json.dumps(about, indent=1))
    (args.lab / "quantisation.md").write_text(table(rows) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
