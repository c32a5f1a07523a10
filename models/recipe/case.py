"""The original against the light one: SlowFast on whole clips, and the bundle, which keeps what it saw of each frame.

    python case.py --lab LAB --bundle ../bundle [--float-encoder LAB/encoder_fp32.onnx]

Size on disk, peak memory of inference above the bare process (libraries loaded, no model), and frames a second: of a whole
clip of 64 frames, and streaming, where every new frame wants an answer. Each row is a process of its own, one thread, and the
least of `--times`. SlowFast is `nets/slowfast.py` with random weights, which cost what trained ones cost; events are those
of `LAB/evaluation.json`, if they were counted with this bundle, and of nothing else; the float encoder has a row if the bundle's was made of it.
Writes `LAB/case.{json,md}`.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
from tqdm import tqdm

import config
from apart import Peak, apart, least_seconds, machine, write
from resume import is_of
from stream import row_length

PUBLISHED = (  # a published SlowFast compression; accuracy on its own data, so not to be compared with the events here
    {"name": "published: SlowFast, original", "disk_mb": 328, "peak_mb": 7800, "clip_fps": 12, "accuracy": "93.5 %"},
    {"name": "published: SlowFast, light", "disk_mb": 43, "peak_mb": 3200, "clip_fps": 28, "accuracy": "91.2 %"})
COLUMNS = {"name": "network", "disk_mb": "on disk, MB", "peak_mb": "inference peak, MiB", "stream_peak_mb": "streaming peak, MiB",
           "clip_fps": "whole clip, frames/s", "stream_fps": "streaming, frames/s", "accuracy": "accuracy, published",
           "falls_seen": "real falls seen, other room", "clips_alarmed": "everyday clips alarmed"}
GROUP = 8  # frames that the encoder takes at once, as `stream.encode_clip` does


def row(load, whole, newest, times):
    """Peaks and rates of a network that `load()` gives: asked about a whole clip, and about the newest frame alone."""
    peak = Peak()
    network = load()
    newest(network)
    streaming = peak.bytes()
    clip = least_seconds(lambda: whole(network), times)
    frame = clip if newest is whole else least_seconds(lambda: newest(network), 20 * times)
    return {"peak_mb": round(peak.bytes() / 2**20), "stream_peak_mb": round(streaming / 2**20),
            "clip_fps": round(config.TICKS / clip, 1), "stream_fps": round(1 / frame, 2 if frame > 0.1 else 1)}


def original(times):
    """SlowFast R50 in fp32. It remembers nothing: a new frame costs a whole clip."""
    import torch

    from nets.slowfast import SlowFast
    from teacher_train import ask

    torch.set_num_threads(1)
    clip = np.random.default_rng(0).integers(0, 256, (1, config.TICKS, config.HEIGHT, config.WIDTH, 3), np.uint8)

    def whole(net):
        ask(net, clip, half=False)

    found = row(lambda: SlowFast("r50").eval(), whole, whole, times)
    with tempfile.NamedTemporaryFile() as file:
        torch.save(SlowFast("r50").state_dict(), file.name)
        return {"disk_mb": round(Path(file.name).stat().st_size / 1e6, 1), **found}


def light(encoder, head, row, times):
    """An encoder and the head, whose rows have `row` numbers, one person followed. Following itself, some additions a frame, is left out."""
    from runtime import session

    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (config.TICKS, config.HEIGHT, config.WIDTH, 3), np.uint8)
    feed = {"person": rng.random((1, config.TICKS, row), np.float32), "scene": rng.random((1, config.TICKS, config.SCENE), np.float32),
            "mask": np.ones((1, config.TICKS, 2), np.float32)}

    def load():
        return [session(path) for path in (encoder, head)]

    def ask(sessions, count, size):
        for k in range(0, count, size):
            sessions[0].run(None, {"frame": frames[k : k + size], "previous": frames[k : k + size]})
        sessions[1].run(None, feed)

    size = Path(encoder).stat().st_size + Path(head).stat().st_size
    return {"disk_mb": round(size / 1e6, 2), **row(load, lambda s: ask(s, config.TICKS, GROUP), lambda s: ask(s, 1, 1), times)}


def events(lab, about):
    """Real events, in a room that it did not learn from, of the bundle with the manifest `about`, as counted by `evaluate.py`."""
    from card import measured  # which loads what no row shall pay for

    if not (summary := measured(lab, about, "evaluation.json").get("summary")):
        print(f"{lab / 'evaluation.json'} is missing, or of another bundle: there are no events in the table. `make evaluate` counts them")
        return {}
    falls, everyday = (summary[f"real, room not trained on: {kind}"] for kind in ("falls", "everyday"))
    low, high = falls["recall_95"]
    return {"falls_seen": f"{falls['seen']} of {falls['falls']} (95 %: {low:.2f}–{high:.2f})",
            "clips_alarmed": f"{everyday['clips_alarmed']} of {everyday['clips']}"}


def encoders(bundle, source=None):
    """{name: file} of the encoders that have a row; of float `source` only if the bundle's was made of it."""
    shown, shipped = {}, bundle / "encoder.onnx"
    if source and is_of(shipped, source):
        shown["falld, fp32"] = source
    elif source:
        print(f"--float-encoder: {shipped} was not made of {source}, or nothing says so: it has no row")
    return {**shown, "falld, INT8 (shipped)": shipped}


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--lab", type=Path, required=True)
    args.add_argument("--bundle", type=Path, required=True)
    args.add_argument("--float-encoder", type=Path, help="the encoder before quantisation")
    args.add_argument("--times", type=int, default=3)
    args = args.parse_args()
    about = json.loads((args.bundle / "manifest.json").read_text())
    head, shown = args.bundle / "head.onnx", encoders(args.bundle, args.float_encoder)
    progress = tqdm(total=1 + len(shown), desc="case")
    rows = [{"name": "SlowFast R50, fp32 (original)", **apart(original, args.times)}]
    progress.update()
    for name, encoder in shown.items():
        rows.append({"name": name, **apart(light, encoder, head, row_length(about), args.times)})
        progress.update()
    progress.close()
    rows[-1] |= events(args.lab, about)
    measured_on = {"input": f"{config.TICKS} frames of {config.HEIGHT}x{config.WIDTH}", "machine": machine(),
                   "time": f"processor time of one thread, the least of {args.times} clips and {20 * args.times} frames; other programs ran beside it"}
    write(args.lab / "case", measured_on, [*rows, *PUBLISHED], COLUMNS)


if __name__ == "__main__":
    main()
