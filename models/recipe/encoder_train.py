"""Step `encoder`: the slim network learns to see as the teacher does, in pictures that a camera spoiled.

    python encoder_train.py --lab LAB --data DATA --teacher movenet.tflite --start LAB/slim.pt --out encoder.pt --minutes 60

Student and teacher see the same picture, the student's is spoiled. Of a filmed or generated picture the student imitates the
teacher's features of the upsampling path and its six head maps; of a rendered one, whose people are known exactly, it learns
these, and no teacher is asked: his guesses would stand beside the truth. The state is saved every few minutes; the same command
goes on from there. The learning rate falls by a cosine over `--minutes` of training time, which is the schedule's only clock.
With `--integer` the backbone stays, and path and heads learn to say in eight bits what they say.
"""

import argparse
import copy
import json
import math
import time
from pathlib import Path

import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, default_collate

import config
from bundle import calibration
from nets import encoder, integer, movenet, norm
from nets.even import even
from nets.movenet import HEADS
from pictures import Pictures
from resume import origin, same_start

WEIGHT = {"feature": 1.0, "centre": 60.0, "heat": 40.0, "size": 0.05, "offset": 0.1, "regress": 0.1, "kpt_offset": 0.1}
SHOWN, HIDDEN = 0.8, 0.25  # heat of a known joint
NOBODY = -9.2              # logit of one in ten thousand


def imitation(features, maps, target_features, target, example=1.0, care=1.0):
    """Loss terms by name. Features: squared error over the teacher's spread; centre and heat: cross-entropy with the target's
    probabilities, weighted towards people, where `care` (B,1,h,w) is not 0; the rest: absolute error in cells where the target has somebody.
    `target_features` are of the first pictures alone, those that the teacher was asked about; None: of none."""
    where, loss = torch.sigmoid(target["centre"]), {"feature": features.sum() * 0}
    if target_features is not None:
        features = features[: len(target_features)]
        spread = target_features.var((0, 2, 3), keepdim=True) + 0.02
        weight = 0.3 + 3 * F.max_pool2d(where[: len(features)], 9, 1, 4)
        loss["feature"] = ((features - target_features) ** 2 / spread * weight * example).mean()
    for name in ("centre", "heat"):
        p = torch.sigmoid(target[name])
        entropy = F.binary_cross_entropy(p, p, reduction="none")
        loss[name] = ((F.binary_cross_entropy_with_logits(maps[name], p, reduction="none") - entropy) * (0.5 + 4 * p) * care).mean()
    for name in ("size", "offset", "regress"):
        loss[name] = ((maps[name] - target[name]).abs() * where).sum() / (where.sum() * maps[name].shape[1] + 1) * maps[name].shape[1] ** 0.5
    p = torch.sigmoid(target["heat"]).repeat_interleave(2, 1)
    loss["kpt_offset"] = ((maps["kpt_offset"] - target["kpt_offset"]).abs() * p).sum() / (p.sum() + 1)
    return loss


def teach(target, known):
    """Writes exact people (B,4,F) over the teacher's maps, in place, where they say more than the teacher sees. Gives
    f32 (B,1,h,w): 0 on known people, where the teacher's features are no example, else 1."""
    b, _, h, w = target["centre"].shape
    rows, cols = torch.arange(h).float(), torch.arange(w).float()
    scale = torch.tensor([h, w]).float()
    where = torch.sigmoid(target["centre"])
    example = torch.ones_like(where)
    for i, k in (known[..., 55] > 0.15).nonzero().tolist():
        row = known[i, k]
        low, high = row[51:53] * scale, row[53:55] * scale
        middle, size = (low + high) / 2, high - low
        if size.max() < 2:
            continue
        y0, x0, y1, x1 = (int(v) for v in (*(low - 1).clamp(min=0), *(high + 2)))
        example[i, 0, y0:y1, x0:x1] = 0
        spread = float((0.07 * size.max()).clamp(0.8, 2.5))
        bump = torch.exp(-0.5 * ((rows - middle[0] + 0.5) ** 2)[:, None] / spread**2 - 0.5 * ((cols - middle[1] + 0.5) ** 2)[None] / spread**2)
        better = bump > where[i, 0]
        where[i, 0] = torch.where(better, bump, where[i, 0])
        target["centre"][i, 0] = torch.where(better, torch.logit((0.9 * bump).clamp(1e-4, 0.9)), target["centre"][i, 0])
        near = bump > 0.25
        grid = torch.stack(torch.meshgrid(rows, cols, indexing="ij"))
        joints = row[:51].reshape(17, 3)
        point = joints[:, :2] * scale  # cell `i` covers i to i + 1
        place = point - 0.5
        for name, value in (("size", size[:, None, None].expand(2, h, w)), ("offset", middle[:, None, None] - grid),
                            ("regress", (point[:, :, None, None] - grid[None]).flatten(0, 1))):
            target[name][i] = torch.where(near, value, target[name][i])
        tight = float((0.022 * size.max()).clamp(0.7, 1.3))
        for j in (joints[:, 2] > 0.1).nonzero().flatten().tolist():
            sure = SHOWN if joints[j, 2] > 0.9 else HIDDEN
            dot = torch.exp(-0.5 * ((rows - place[j, 0]) ** 2)[:, None] / tight**2 - 0.5 * ((cols - place[j, 1]) ** 2)[None] / tight**2)
            old = torch.sigmoid(target["heat"][i, j])
            target["heat"][i, j] = torch.where(sure * dot > old, torch.logit((sure * dot).clamp(1e-4, sure)), target["heat"][i, j])
            target["kpt_offset"][i, 2 * j : 2 * j + 2] = torch.where(dot > 0.3, point[j, :, None, None] - grid, target["kpt_offset"][i, 2 * j : 2 * j + 2])
    return example


def told(known, h, w):
    """The six maps (B,..,h,w) of pictures in which the people (B,4,F) are all there is, and where they tell: f32 (B,1,h,w), 0 on
    somebody of whom too little shows to be either there or not."""
    target = {name: torch.full((len(known), n, h, w), NOBODY if name in ("centre", "heat") else 0.0) for name, n in HEADS.items()}
    teach(target, known)
    care = torch.ones(len(known), 1, h, w)
    for i, k in ((known[..., 55] > 0) & (known[..., 55] <= 0.15)).nonzero().tolist():
        y0, x0, y1, x1 = (known[i, k, 51:55] * torch.tensor([h, w, h, w])).int().tolist()
        care[i, 0, y0 : y1 + 1, x0 : x1 + 1] = 0
    return target, care


def lesson(drawn):
    """Pictures of `Pictures` as a batch: those whose people are not known, NaN, come first, for the teacher is asked about them.
    Gives u8 (n,H,W,3) what the student sees; u8 (m,H,W,3) the first m as the teacher sees them; the maps of the others; where all tell."""
    clean, spoiled, known = default_collate(drawn)
    exact = ~torch.isnan(known[:, 0, -1])
    order = torch.argsort(exact.int(), stable=True)
    asked = order[: int((~exact).sum())]
    h, w = clean.shape[1] // config.STRIDE, clean.shape[2] // config.STRIDE
    target, care = told(known[order[len(asked):]], h, w)
    return spoiled[order], clean[asked], target, torch.cat([torch.ones(len(asked), 1, h, w), care])


def targets(teacher, asked, target):
    """What a lesson's pictures should be taken for: the teacher's features of `asked`, float (m,3,H,W), None without any; and the maps
    of all, his before the known ones of `target`."""
    if not len(asked):
        return None, target
    with torch.inference_mode(), torch.autocast(asked.device.type, torch.bfloat16):
        features, maps = teacher(asked)
    return features.float().clone(), {name: torch.cat([maps[name].float(), value]) for name, value in target.items()}


class State:
    """Student, its moving average, optimiser and clock; saved and restored as one file."""

    def __init__(self, args):
        drawn, self.device = calibration(args.lab), "cuda" if torch.cuda.is_available() else "cpu"
        pictures = torch.from_numpy(drawn).permute(0, 3, 1, 2).float()
        net = encoder.load(args.start)
        net = integer.aware(even(net, drawn), drawn) if args.integer else norm.normalise(net, pictures)
        self.net = net.requires_grad_(True).to(self.device, memory_format=torch.channels_last)
        if args.integer:
            self.frozen = [part for part in net.children() if part not in (net.fpn, net.heads)]
        else:
            self.frozen = [net.stem, net.first, *net.blocks[: args.freeze]] if args.freeze else []
        for part in self.frozen:
            part.requires_grad_(False)
        self.mean = copy.deepcopy(self.net).eval().requires_grad_(False)
        decay = [p for p in self.net.parameters() if p.requires_grad and p.ndim > 1]
        rest = [p for p in self.net.parameters() if p.requires_grad and p.ndim <= 1]
        self.optimiser = torch.optim.AdamW([{"params": decay, "weight_decay": 0.005}, {"params": rest, "weight_decay": 0.0}], args.rate)
        self.step, self.seconds, self.path, self.origin = 0, 0.0, args.lab / args.out, origin(args.start)
        if self.path.exists():
            saved = torch.load(self.path, map_location=self.device, weights_only=True)
            same_start(saved, args.start, self.path)
            self.net.load_state_dict(saved["net"])
            self.mean.load_state_dict(saved["mean"])
            self.optimiser.load_state_dict(saved["optimiser"])
            self.step, self.seconds = saved["step"], saved["seconds"]

    def save(self):
        saved = {"widths": self.net.widths, "net": self.net.state_dict(), "mean": self.mean.state_dict(), "optimiser": self.optimiser.state_dict(),
                 "step": self.step, "seconds": self.seconds, "origin": self.origin}
        torch.save(saved, self.path.with_suffix(".tmp"))
        self.path.with_suffix(".tmp").rename(self.path)

    def average(self):
        rate = max(0.01, 1 / (self.step + 2))
        with torch.no_grad():
            for a, b in zip(self.mean.state_dict().values(), self.net.state_dict().values(), strict=True):
                if a.dtype.is_floating_point:
                    a.lerp_(b, rate)
                else:
                    a.copy_(b)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--data", type=Path, required=True)
    args.add_argument("--lab", type=Path, required=True)
    args.add_argument("--teacher", type=Path, required=True)
    args.add_argument("--start", type=Path, required=True)
    args.add_argument("--out", default="encoder.pt")
    args.add_argument("--freeze", type=int, default=0, help="blocks at the start that stay as they are")
    args.add_argument("--integer", action="store_true", help="quantisation-aware, of an encoder that needs no other training")
    args.add_argument("--minutes", type=float, default=60)
    args.add_argument("--batch", type=int, default=24)
    args.add_argument("--rate", type=float, default=4e-4)
    args.add_argument("--workers", type=int, default=1, help="processes that draw and spoil pictures: a GPU waits for fewer than a dozen")
    args = args.parse_args()
    torch.manual_seed(config.SEED)
    state = State(args)
    teacher = movenet.load(args.teacher).to(state.device, memory_format=torch.channels_last)
    net = state.net.train()
    for part in state.frozen:
        part.eval()
    pictures = Pictures(args.lab / "cache", args.data / "rooms", config.SEED + state.step)
    loader = iter(DataLoader(pictures, args.batch, num_workers=args.workers, prefetch_factor=4, collate_fn=lesson))
    log, last, saved, terms = open(state.path.with_suffix(".log"), "a"), time.time(), time.time(), {}
    while (done := state.seconds / (60 * args.minutes)) < 1:
        for group in state.optimiser.param_groups:
            group["lr"] = args.rate * min(1, (state.step + 1) / 60) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))
        spoiled, asked, target, care = next(loader)
        spoiled, asked = (x.to(state.device).permute(0, 3, 1, 2).float() for x in (spoiled, asked))
        target_features, target = targets(teacher, asked, {name: value.to(state.device) for name, value in target.items()})
        if args.integer:
            target_features = None  # even channels are not the teacher's
        with torch.autocast(state.device, torch.bfloat16):
            features, maps = net(spoiled)
        loss = imitation(features.float(), {k: v.float() for k, v in maps.items()}, target_features, target, care=care.to(state.device))
        total = sum(WEIGHT[k] * v for k, v in loss.items())
        state.optimiser.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        state.optimiser.step()
        state.average()
        state.step += 1
        now = time.time()
        state.seconds, last = state.seconds + now - last, now
        for k, v in loss.items():
            terms.setdefault(k, []).append(WEIGHT[k] * v.detach())
        if state.step % 25 == 0:
            row = {"step": state.step, "minutes": round(state.seconds / 60, 1), **{k: round(float(sum(v)) / len(v), 4) for k, v in terms.items()}}
            print(json.dumps(row), file=log, flush=True)
            terms = {}
        if now - saved > 180:
            state.save()
            saved = now
    state.save()


if __name__ == "__main__":
    main()
