"""Step `candidates`: temporal heads of five kinds under one short budget: what each costs and what it sees.

    python head_candidates.py --lab LAB --motions skeletons.npz --renders RENDERS --bundle ../bundle

Every candidate of `nets/candidates.py` starts from scratch and takes the same steps on the same batches (those of
`head_train.py`: simulated movements, and encoded rendered clips). Then each is exported, made INT8, and judged on the same
validation windows and clips. Goes on where it was cut; writes `LAB/head_candidates.json` and a table beside it.
"""

import argparse
import json
import math
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

import config
import evaluate
import export
from encoded import Encoded
from head_train import fall_score, learn, mistakes, mixture
from measure import milliseconds
from motions import FALL, FALLEN, NORMAL, Motions
from nets.candidates import CANDIDATES
from nets.head import folded
from quantise import quantise_head
from runtime import session
from stream import one_look, replay

RATE, RENDERED = 2e-3, 0.35  # as `head_train.py`'s


def cost(net):
    """Parameters and multiply-adds of the products of one row, as exported."""
    net = folded(net)
    row = torch.rand(1, config.TICKS, config.FEATURES), torch.rand(1, config.TICKS, config.SCENE), torch.ones(1, config.TICKS, 2)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net.both(*row)
    ticks = config.TICKS * net.tick.weight.numel()  # only training asks every tick
    return (sum(p.numel() for name, p in net.named_parameters() if not name.startswith("tick.")), counter.get_total_flops() // 2 - ticks)


def train(make, motions, clips, steps, size, seed):
    """A new network after `steps` batches; the same seed gives every kind of network the same batches."""
    torch.manual_seed(seed)
    net, rng = make().train(), np.random.default_rng(seed)
    optimiser = torch.optim.AdamW(net.parameters(), RATE, weight_decay=0.02)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / 30) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / steps)))
        loss = learn(net, optimiser, mixture(rng, motions, [(round(RENDERED * size), clips)], size))
        if step % 50 == 0:
            print(f"  step {step}, loss {loss:.3f}", flush=True)
    return net.eval()


def area(score, label):
    """`evaluate.area` of windows of a fall or of a fallen person against normal ones."""
    known = np.isin(label, (FALL, FALLEN, NORMAL))
    return evaluate.area(score[known], label[known] != NORMAL)


def windows_report(model, windows):
    """Mistakes and area of an ONNX head on a batch of windows."""
    feeds = [{k: windows[k][i : i + 64] for k in ("person", "scene", "mask")} for i in range(0, len(windows["label"]), 64)]
    logits = torch.from_numpy(np.concatenate([model.run(None, feed)[0] for feed in feeds]))
    return {"wrong": mistakes(logits, windows["label"]), "auc": round(area(fall_score(logits).numpy(), windows["label"]), 4)}


class Ticks:
    """The encoded clips in place of `evaluate.Encodings`; a twin is made of them: the rows stand still, nothing moves."""

    def __init__(self, folder):
        self.folder = folder

    def of(self, path, onset=None):
        with np.load(self.folder / f"r_{path.stem}.npz") as d:
            times, missed, people, scene = (d[k] for k in ("times", "missed", "people", "scene"))
        scene = scene.astype(np.float32)
        if onset is None:
            return times, missed, people, scene
        keep, frozen = int((times < onset).sum()), round(evaluate.FREEZE * config.RATE)
        still = scene[keep - 1].copy()
        still[: config.SCENE // 2] = 0
        times = np.concatenate([times[:keep], times[keep - 1] + np.arange(1, frozen + 1) / config.RATE])
        return (times, np.concatenate([missed[:keep], np.zeros(frozen, int)]), np.concatenate([people[:keep], people[[keep - 1] * frozen]]),
                np.concatenate([scene[:keep], np.repeat(still[None], frozen, 0)]))


def valid_clips(encoded, renders):
    """The encoded validation clips -> [(kind, ticks of `stream.replay`, the fall or None)], twins among them."""
    ticks, out = Ticks(encoded), []
    for path in sorted(encoded.glob("r_*.npz")):
        with np.load(path) as d:
            if str(d["split"]) != "valid" or not len(d["times"]):
                continue
        path = renders / f"{path.stem[2:]}.json"
        about = json.loads(path.read_text())
        fall = evaluate.known(about)
        out.append((evaluate.shows(about), ticks.of(path), fall))
        if fall and fall["onset"] > 1:
            out.append(("twins", ticks.of(path, fall["onset"]), None))
    return out


def events_report(model, manifest, clips):
    """Counts of events by kind of clip, by the bundle's policy."""
    def logits(person, scene, mask):
        return model.run(None, {"person": person, "scene": scene, "mask": mask})[0]

    results = {}
    for kind, ticks, fall in clips:
        results.setdefault(kind, []).append(evaluate.judge_rows(manifest, replay(manifest, logits, ticks), fall))
    peaks = [(r["peak"], FALL if kind == "falls" else NORMAL) for kind, rows in results.items() for r in rows]
    return {**{kind: evaluate.summary(rows) for kind, rows in results.items()}, "auc": round(area(*map(np.array, zip(*peaks, strict=True))), 4)}


def latencies(folder, names):
    """{name: {"fp32": [ms of 1 row, of 4 rows], "int8": [...]}}: one thread, the least of many, all in turns."""
    models = {(name, kind): session(folder / f"{name}.{kind}.onnx", 1) for name in names for kind in ("fp32", "int8")}
    rng, out = np.random.default_rng(0), {name: {"fp32": [], "int8": []} for name in names}
    for rows in (1, 4):
        feed = {name: rng.random((rows, config.TICKS, width), np.float32)
                for name, width in (("person", config.FEATURES), ("scene", config.SCENE), ("mask", 2))}
        for (name, kind), ms in zip(models, milliseconds(list(models.values()), feed, 200), strict=True):
            out[name][kind].append(round(ms, 3))
    return out


def spread(values, form=".3f"):
    """Mean of the seeds, and their range if there are several."""
    values = list(values)
    text = format(float(np.mean(values)), form)
    return text if len(values) == 1 else f"{text} ({format(min(values), form)}–{format(max(values), form)})"


def table(report):
    """The Markdown table of a report."""
    first = next(iter(report["candidates"].values()))["runs"][0]["events"]
    counts = {kind: first[kind]["clips"] for kind in ("falls", "everyday", "twins", "climbs")}
    rows = ["| head | parameters | multiply-adds | ms float, 1 / 4 rows | ms INT8, 1 / 4 rows | AUC simulated | AUC encoded | the same, INT8 "
            f"| wrong encoded: normal / fall / fallen / climb | falls seen of {counts['falls']} | median delay, s "
            f"| alarmed of {counts['everyday']} everyday / {counts['twins']} twins / {counts['climbs']} climbs | AUC of clips |", "|---" * 13 + "|"]
    for name, r in report["candidates"].items():
        runs = r["runs"]
        others = ("everyday", "twins", "climbs")
        cells = [name, f"{r['parameters'] / 1e3:.0f} k", f"{r['multiply_adds'] / 1e6:.1f} M"]
        cells += [" / ".join(f"{x:.2f}" for x in r["ms"][kind]) for kind in ("fp32", "int8")]
        cells += [spread(run[kind][data]["auc"] for run in runs) for kind, data in (("fp32", "simulated"), ("fp32", "encoded"), ("int8", "encoded"))]
        cells += [" / ".join(spread((run["fp32"]["encoded"]["wrong"][k] for run in runs), ".2f") for k in config.CLASSES)]
        cells += [spread((run["events"]["falls"]["seen"] for run in runs), ".3g")]
        delays = [d for run in runs if (d := run["events"]["falls"]["delay_median_s"]) is not None]
        cells += [spread(delays, "+.2f") if delays else "–"]
        cells += [" / ".join(spread((run["events"][k]["clips_alarmed"] for run in runs), ".3g") for k in others)]
        rows.append(f"| {' | '.join(cells)} | {spread(run['events']['auc'] for run in runs)} |")
    return "\n".join(rows)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--lab", type=Path, required=True)
    args.add_argument("--motions", type=Path, required=True, nargs="+")
    args.add_argument("--renders", type=Path, required=True)
    args.add_argument("--bundle", type=Path, required=True, help="whose tracker and policy judge the clips")
    args.add_argument("--steps", type=int, default=250)
    args.add_argument("--batch", type=int, default=128)
    args.add_argument("--seeds", type=int, default=2)
    args = args.parse_args()
    torch.set_num_threads(1)
    folder = args.lab / "candidates"
    folder.mkdir(exist_ok=True)
    encoded, manifest = args.lab / "encoded", one_look(json.loads((args.bundle / "manifest.json").read_text()))
    motions, clips = Motions(args.motions, "train"), Encoded(encoded, "train", "r_")
    valid, rng = {"simulated": Motions(args.motions, "valid"), "encoded": Encoded(encoded, "valid", "r_")}, np.random.default_rng(1)
    windows = {name: source.windows(rng, 2048) for name, source in valid.items()}
    calibration, films = clips.windows(rng, 512), valid_clips(encoded, args.renders)
    runs = {name: [] for name in CANDIDATES}
    for seed in range(config.SEED, config.SEED + args.seeds):
        for name, make in CANDIDATES.items():
            kept = folder / f"{name} {seed} {args.steps}x{args.batch}.json"
            if not kept.exists():
                print(name, seed, flush=True)
                net = train(make, motions, clips, args.steps, args.batch, seed)
                export.head(net, folder / f"{name}.fp32.onnx")
                quantise_head(folder / f"{name}.fp32.onnx", folder / f"{name}.int8.onnx", calibration)
                run = {"seed": seed}
                for kind in ("fp32", "int8"):
                    model = session(folder / f"{name}.{kind}.onnx", 1)
                    run[kind] = {data: windows_report(model, batch) for data, batch in windows.items()}
                    if kind == "fp32":
                        run["events"] = events_report(model, manifest, films)
                kept.write_text(json.dumps(run, indent=1))
            runs[name].append(json.loads(kept.read_text()))
    ms = latencies(folder, CANDIDATES)
    report = {"budget": {"steps": args.steps, "batch": args.batch, "seeds": args.seeds},
              "windows": {name: {c: int((batch["label"] == k).sum()) for k, c in enumerate(config.CLASSES)} for name, batch in windows.items()},
              "candidates": {name: {**dict(zip(("parameters", "multiply_adds"), cost(make()), strict=True)), "ms": ms[name], "runs": runs[name]}
                             for name, make in CANDIDATES.items()}}
    (args.lab / "head_candidates.json").write_text(json.dumps(report, indent=1))
    (args.lab / "head_candidates.md").write_text(table(report) + "\n")
    print(table(report))


if __name__ == "__main__":
    main()
