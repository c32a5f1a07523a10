"""What an encoder costs and what it sees, before and after the short training: one row of a table.

A row is kept as JSON in `LAB/short/` when it is done and is not done again; rows are shared between tables. Costs are those of
the exported files. Real people are those whom the teacher sees in `pose_check.py`'s filmed frames, rendered ones are truly there, and no
training clip shows them: rows that were counted on other people have other names, and are not taken.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from torch.utils.flop_counter import FlopCounterMode

import apart
import config
import export
import pose_check
from bundle import calibration
from encoder_train import WEIGHT
from evaluate import wilson
from measure import milliseconds
from nets import movenet
from quantise import quantise
from runtime import session
from short_training import Batches, HeldOut, train

HELD_OUT, CALIBRATION, EVERY = 128, 32, 5  # filmed pictures, pictures, and which of the rendered frames are looked at
OURS = 1e-4  # rate of a network that least squares has already brought close to the teacher; a greater one first undoes that
COLUMNS = {"name": "encoder", "parameters": "parameters, M", "products": "multiply-adds, M", "mb": "MB fp32 / INT8", "ms": "ms fp32 / INT8",
           "seconds": "trained for, s", "loss": "imitation loss, before → after", "maps": "of it maps", "before": "found before, real / rendered",
           "real": "real found after, fp32 (95 %) / INT8", "apart": "joints apart, fp32 / INT8", "rendered": "rendered found after, fp32 (95 %) / INT8"}


def parser():
    args = argparse.ArgumentParser()
    args.add_argument("--lab", type=Path, required=True)
    args.add_argument("--data", type=Path, required=True)
    args.add_argument("--teacher", type=Path, required=True)
    args.add_argument("--renders", type=Path, required=True)
    args.add_argument("--steps", type=int, default=100)
    args.add_argument("--batch", type=int, default=8)
    return args


def cost(net):
    """Parameters and multiply-adds of the pose network for one picture."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(torch.zeros(1, 3, config.HEIGHT, config.WIDTH))
    return sum(p.numel() for p in net.parameters()), counter.get_total_flops() // 2


class Trial:
    """The frames and batches that every row of one budget shares."""

    def __init__(self, args):
        torch.set_num_threads(1)
        self.args, self.folder = args, args.lab / "short" / f"{args.steps}x{args.batch}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.teacher = movenet.load(args.teacher)
        self.real = pose_check.reference(args.data, args.teacher, args.lab)
        self.rendered = [part[::EVERY] for part in pose_check.known(args.renders, args.lab)]
        clean = self.real[0][np.linspace(0, len(self.real[0]) - 1, HELD_OUT).astype(int)]
        self.held_out = HeldOut(args.lab / "short" / "held_out.npz", self.teacher, clean)

    def batches(self, teacher=True):
        folder = self.folder / ("taught" if teacher else "known")
        return Batches(folder, self.args.steps, self.args.batch, self.teacher if teacher else None, self.args.lab / "cache",
                       self.args.data / "rooms")

    def start(self):
        """Pictures whose statistics every training begins with."""
        return torch.from_numpy(calibration(self.args.lab, 64)).permute(0, 3, 1, 2).float()

    def seen(self, path):
        """Of the people in filmed and in rendered frames: found, how many there are; mean joint distance of the filmed."""
        model = session(path, 1)

        def encode(frame, previous):
            return model.run(["people", "scene"], {"frame": frame, "previous": previous})

        filmed = pose_check.report(self.real[1], self.real[0], encode)
        kinds = [filmed["upright"], filmed["lying"]]
        found = [share * n for share, _, n in kinds]
        apart = sum(f * d for f, (_, d, _) in zip(found, kinds, strict=True) if f) / sum(found) if sum(found) else None
        known = pose_check.found(self.rendered[1], self.rendered[2], self.rendered[0], encode)
        there = [known[name] for name in config.CLASSES if known[name][1]]
        return {"real": [round(sum(found)), sum(n for *_, n in kinds)], "apart": apart, "extra": filmed["extra"],
                "rendered": [round(sum(share * n for share, n in there)), sum(n for _, n in there)], "kinds": {**filmed, "rendered": known}}

    def row(self, name, make, rate=OURS, terms=tuple(WEIGHT), teacher=True):
        """The row of the network that `make()` gives; it learns at `rate` (None: not at all) by `terms`, from the teacher or from
        known people alone."""
        kept, paths = self.folder / f"{name}.unseen.json", {kind: self.folder / f"{name}.{kind}.onnx" for kind in ("start", "fp32", "int8")}
        if kept.exists():
            return {**json.loads(kept.read_text()), "paths": paths}
        print(name, flush=True)
        net, row = make().eval(), {"name": name, "rate": rate}
        row["parameters"], row["products"] = cost(net)
        export.encoder(net, paths["start"])
        row["before"] = {"loss": self.held_out.loss(net), **self.seen(paths["start"])}
        if rate:
            net, row["seconds"] = train(net, self.batches(teacher), self.start(), rate, terms)
            row["after"] = {"loss": self.held_out.loss(net)}
        export.encoder(net, paths["fp32"])
        quantise(paths["fp32"], paths["int8"], calibration(self.args.lab, CALIBRATION))
        row["after"] = {**row.get("after", row["before"]), **{kind: self.seen(paths[kind]) for kind in ("fp32", "int8")}}
        row["bytes"] = [paths[kind].stat().st_size for kind in ("fp32", "int8")]
        kept.write_text(json.dumps(row, indent=1))
        return {**row, "paths": paths}


def share(found, n):
    low, high = wilson(found, n)
    return f"{found / n:.3f} ({low:.2f}–{high:.2f})"


def cells(row, ms):
    """What the table says of a row."""
    before, fp32, int8 = row["before"], row["after"]["fp32"], row["after"]["int8"]
    losses = {side: (sum(row[side]["loss"].values()), sum(v for k, v in row[side]["loss"].items() if k != "feature")) for side in ("before", "after")}
    learnt = "seconds" in row

    def pair(values, form):
        return " / ".join("–" if v is None else format(v, form) for v in values)

    return {"name": row["name"], "parameters": f"{row['parameters'] / 1e6:.2f}", "products": round(row["products"] / 1e6),
            "mb": pair((b / 1e6 for b in row["bytes"]), ".2f"), "ms": pair(ms, ".1f"), "seconds": round(row["seconds"]) if learnt else None,
            "loss": f"{losses['before'][0]:.2f}" + f" → {losses['after'][0]:.2f}" * learnt, "maps": f"{losses['after'][1]:.2f}",
            "before": pair((found / n for found, n in (before["real"], before["rendered"])), ".3f"),
            "apart": pair((fp32["apart"], int8["apart"]), ".3f"),
            **{kind: f"{share(*fp32[kind])} / {int8[kind][0] / int8[kind][1]:.3f}" for kind in ("real", "rendered")}}


def write(trial, name, rows):
    """`LAB/<name>.json` and `.md` of the rows; their latencies are measured together, in turns, the least of many."""
    frames = trial.real[0]
    kinds = [(row, kind) for row in rows for kind in ("fp32", "int8")]
    took = milliseconds([session(row["paths"][kind], 1) for row, kind in kinds], {"frame": frames[:1], "previous": frames[1:2]})
    ms = [took[i : i + 2] for i in range(0, len(took), 2)]
    first = rows[0]["before"]
    about = {"machine": apart.machine(), "runtime": ort.__version__, "budget": f"{trial.args.steps} batches of {trial.args.batch}, one seed",
             "held out": len(trial.held_out.spoiled), "real people": first["real"][1], "rendered people": first["rendered"][1]}
    (trial.args.lab / f"{name}.raw.json").write_text(json.dumps([{k: v for k, v in row.items() if k != "paths"} for row in rows], indent=1))
    apart.write(trial.args.lab / name, about, [cells(*pair) for pair in zip(rows, ms, strict=True)], COLUMNS)
