"""Step `teacher`: SlowFast learns from rendered pictures, without skeletons; what a larger, slower network would see.

    python teacher_train.py --lab LAB --renders RENDERS --design r50 --side 128 --budget-mb 6000 --steps 20000
    torchrun --nproc-per-node 4 teacher_train.py …        the same on several devices; each reads its share of the clips

Mixed precision (bfloat16 on a CPU, float16 with scaled loss on CUDA); a batch is as large as the memory budget allows for its
pictures' size. A step's dice depend on seed, process and step alone, and the state is saved whole, so the same command goes
on where it was cut and ends as if it had not been.
"""

import argparse
import json
import math
import os
import time
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

import config
from budget import fitting
from head_train import COST, fall_score
from nets.slowfast import DESIGNS, KERNELS, SlowFast
from rgb import Rendered

SAVE_EVERY = 120  # seconds
HALF = {"cpu": torch.bfloat16, "cuda": torch.float16}


class Trainer:
    """Network, optimiser, loss scaler and step; one `step` is the whole of training, wherever it runs."""

    def __init__(self, net, rate=1e-3, half=True, world=1):
        self.net, self.half, self.rate, self.steps_done = net.train(), half, rate, 0
        self.device = next(net.parameters()).device.type
        self.called = DistributedDataParallel(net, gradient_as_bucket_view=True) if world > 1 else net
        self.optimiser = torch.optim.AdamW(net.parameters(), rate, weight_decay=0.02)
        self.scaler = torch.amp.GradScaler(self.device, enabled=half and self.device == "cuda")

    def step(self, clips, labels, share=1.0):
        """One step at `share` of the learning rate; the batch's loss."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate * share
        with torch.autocast(self.device, HALF[self.device], enabled=self.half):
            logits = self.called(clips.to(self.device))
        weight = torch.tensor([COST[k] for k in range(len(config.CLASSES))], device=self.device)
        loss = F.cross_entropy(logits, labels.to(self.device), weight, label_smoothing=0.03)
        self.optimiser.zero_grad()
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimiser)
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 2.0)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.steps_done += 1
        return loss

    def save(self, path, **about):
        saved = {"net": self.net.state_dict(), "optimiser": self.optimiser.state_dict(), "scaler": self.scaler.state_dict(),
                 "step": self.steps_done, **about}
        torch.save(saved, path.with_suffix(".tmp"))
        path.with_suffix(".tmp").rename(path)

    def restore(self, path):
        saved = torch.load(path, map_location=self.device, weights_only=True)
        self.net.load_state_dict(saved["net"])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.scaler.load_state_dict(saved["scaler"])
        self.steps_done = saved["step"]


def load(path):
    """The teacher saved at `path`, to be asked, and the shorter side of the pictures that it learnt from."""
    saved = torch.load(path, map_location="cpu", weights_only=True)
    net = SlowFast(saved["design"], saved["kernels"])
    net.load_state_dict(saved["net"])
    return net.eval(), saved["side"]


@torch.inference_mode()
def ask(net, clips, half=True):
    """u8 (n,64,h,w,3) -> (fall score, climb score), each (n,)."""
    device = next(net.parameters()).device.type
    with torch.autocast(device, HALF[device], enabled=half):
        logits = net(torch.from_numpy(clips).to(device))
    return fall_score(logits).cpu().numpy(), torch.softmax(logits, -1)[:, config.CLASSES.index("climb")].cpu().numpy()


def group():
    """(rank, world, device) of this process, which joins the others if `torchrun` started it."""
    world, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
    if world > 1:
        dist.init_process_group("nccl" if device == "cuda" else "gloo")
    return rank, world, device


def train(args, rank, world, device):
    torch.manual_seed(args.seed)

    def fresh():
        return SlowFast(args.design, args.kernels, args.recompute)

    clips = Rendered(args.renders, "train", args.side, args.cache or args.lab / "pictures", rank, world, args.limit)
    budget = args.budget_mb * 2**20
    # counted on the CPU's kind of tensors whatever the device: they have the same shapes and widths
    counts = {shape: fitting(lambda: Trainer(fresh()).step, (config.TICKS, *shape, 3), budget) for shape in clips.by_shape}
    trainer, path = Trainer(fresh().to(device), args.rate, world=world), args.lab / args.out
    if path.exists():
        trainer.restore(path)
    first, losses, last, saved = trainer.steps_done, [], time.time(), time.time()
    about = {"design": args.design, "kernels": args.kernels, "side": args.side}
    log = open(path.with_suffix(".log"), "a") if rank == 0 else open(os.devnull, "w")
    print(json.dumps({"step": first, "clips": len(clips.clips()), "batch": {f"{h}x{w}": n for (h, w), n in counts.items()}}), file=log, flush=True)
    for step in tqdm(range(first, args.steps), "teacher", initial=first, total=args.steps, disable=rank > 0):
        torch.manual_seed((args.seed * 1_000_003 + step) * world + rank)
        pictures, labels = clips.batch(np.random.default_rng([args.seed, rank, step]), counts)
        share = min(1, (step + 1) / 50) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / args.steps)))
        losses.append(trainer.step(torch.from_numpy(pictures), torch.from_numpy(labels), share).item())
        now = time.time()
        if (step + 1) % args.log_every == 0:
            print(json.dumps({"step": step + 1, "loss": round(float(np.mean(losses)), 4), "s_per_step": round((now - last) / len(losses), 3)}),
                  file=log, flush=True)
            losses, last = [], now
        if rank == 0 and now - saved > SAVE_EVERY:
            trainer.save(path, **about)
            saved = now
    if rank == 0:
        trainer.save(path, **about)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--lab", type=Path, required=True)
    args.add_argument("--renders", type=Path, required=True)
    args.add_argument("--cache", type=Path, help="where clips are kept as pictures (LAB/pictures)")
    args.add_argument("--design", choices=DESIGNS, default="r50")
    args.add_argument("--kernels", choices=KERNELS, default="paper")
    args.add_argument("--recompute", action="store_true", help="keep less, compute stages twice")
    args.add_argument("--side", type=int, default=128, help="shorter side of the pictures, pixels")
    args.add_argument("--budget-mb", type=float, default=4000, help="MiB that a step's tensors may take")
    args.add_argument("--steps", type=int, default=20000)
    args.add_argument("--rate", type=float, default=1e-3)
    args.add_argument("--limit", type=int, help="at most so many clips")
    args.add_argument("--log-every", type=int, default=25)
    args.add_argument("--out", default="teacher.pt")
    args.add_argument("--seed", type=int, default=config.SEED)
    args.add_argument("--threads", type=int, default=1)
    args = args.parse_args()
    torch.set_num_threads(args.threads)
    rank, world, device = group()
    try:
        train(args, rank, world, device)
    finally:
        if world > 1:
            dist.destroy_process_group()


if __name__ == "__main__":
    main()
