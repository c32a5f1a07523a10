"""What each saving saves: half precision, recomputed stages, factorised kernels; of training steps and of inference.

    python savings.py --lab LAB [--design r50 --size 128x160 --batch 1]

A row's training and its inference are a process each. Peak is resident memory above network and imports, over training steps
(from the second on there is the optimiser's state) or over inference; time is processor time, the least of `--times`. Writes
`LAB/savings.{json,md}`.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

import config
from apart import Peak, apart, least_seconds, machine, write
from budget import step_bytes
from nets.slowfast import DESIGNS, SlowFast
from teacher_train import Trainer, ask

ROWS = (("plain", "paper", False, False), ("+ bfloat16", "paper", True, False), ("+ recomputed stages", "paper", False, True),
        ("+ both", "paper", True, True), ("full 3x3x3", "full", False, False), ("the same as (2+1)D", "factorised", False, False),
        ("(2+1)D + both", "factorised", True, True))
COLUMNS = {"name": "row", "parameters_m": "parameters, M", "file_mb": "file, fp32, MB", "step_mb": "training step, peak MiB",
           "tensors_mb": "of it tensors, MiB", "step_s": "s a step", "ask_mb": "inference, peak MiB", "fps": "inference, frames/s"}


def trained(design, kernels, half, recompute, size, batch, times):
    """A row's training steps."""
    torch.set_num_threads(1)
    torch.manual_seed(config.SEED)
    net = SlowFast(design, kernels, recompute)
    weights = 4 * sum(p.numel() for p in net.parameters())
    clips, labels = torch.randint(0, 256, (batch, config.TICKS, *size, 3), dtype=torch.uint8), torch.zeros(batch, dtype=torch.int64)
    trainer, peak = Trainer(net, half=half), Peak()
    seconds = least_seconds(lambda: trainer.step(clips, labels), max(2, times))
    resident = peak.bytes()
    tensors = step_bytes(lambda: Trainer(SlowFast(design, kernels, recompute), half=half).step, clips.shape[1:], batch) - weights
    return {"parameters_m": round(weights / 4e6, 2), "file_mb": round(weights / 1e6, 1), "step_mb": round(resident / 2**20),
            "tensors_mb": round(tensors / 2**20), "step_s": round(seconds, 2)}


def asked(design, kernels, half, size, times):
    """A row's inference, of one whole clip; in bfloat16 where the row trains in it."""
    torch.set_num_threads(1)
    net = SlowFast(design, kernels).eval()
    clip = np.random.default_rng(config.SEED).integers(0, 256, (1, config.TICKS, *size, 3), np.uint8)
    peak = Peak()
    seconds = least_seconds(lambda: ask(net, clip, half), times)
    return {"ask_mb": round(peak.bytes() / 2**20), "fps": round(config.TICKS / seconds, 1)}


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--lab", type=Path, required=True)
    args.add_argument("--design", choices=DESIGNS, default="r50")
    args.add_argument("--size", default="128x160", help="height x width, multiples of 32")
    args.add_argument("--batch", type=int, default=1)
    args.add_argument("--times", type=int, default=3)
    args = args.parse_args()
    size = tuple(int(x) for x in args.size.split("x"))
    rows = []
    for name, kernels, half, recompute in tqdm(ROWS, "savings"):
        rows.append({"name": name, **apart(trained, args.design, kernels, half, recompute, size, args.batch, args.times),
                     **apart(asked, args.design, kernels, half, size, args.times)})
        tqdm.write(json.dumps(rows[-1]))
    about = {"network": f"SlowFast {args.design}, {config.TICKS} ticks of {args.size}, batch {args.batch}", "machine": machine(),
             "time": f"processor time of one thread, the least of {args.times}; other programs ran beside it", "torch": torch.__version__}
    write(args.lab / "savings", about, rows, COLUMNS)


if __name__ == "__main__":
    main()
