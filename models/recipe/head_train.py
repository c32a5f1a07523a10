"""Step `head`: the temporal network learns from skeleton motions and from what the encoder really says of clips.

    python head_train.py --lab LAB --motions skeletons.npz --minutes 10 [--bundle ../bundle]

Two losses: cross-entropy of the last tick, and a third of that over every tick. State is saved every minute. A head that went
on from `--start` is shipped half way back to it (`nets/blend.py`). With `--keep` it is shipped as it is: the truth is then told of
ordinary life, of strangers to the encoder who do not fall, and of climbs, and elsewhere the head learns to say what it said at the
start ("Learning without Forgetting", Li and Hoiem 2016), since more truth of rendered falls costs sight of filmed ones.
"""

import argparse
import copy
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

import config
from encoded import Encoded
from motions import CLIMB, FALL, FALLEN, IGNORE, NORMAL, Motions
from nets.blend import between
from nets.head import Head, Mirrored, exported
from resume import by_another, origin, same_start

KEEP = 3.0  # what a nat of distance from the head at the start costs, in nats of the truth
TOLD = ("o_", "s_")  # sources of which a head that keeps is told the truth
COST = {NORMAL: 1.3, FALL: 0.9, FALLEN: 1.0, CLIMB: 0.8}  # a false alarm costs more than a tick's delay


def inputs(batch, device, which=slice(None)):
    """What a head reads of the windows `which` of a batch, on `device`."""
    return [torch.as_tensor(batch[k])[which].to(device) for k in ("person", "scene", "mask")]


def losses(net, batch, keep=None, kept=None):
    """Mean loss of a batch of windows, and the last tick's logits. Windows `keep` (N,) shall go on having the logits `kept` (n,K),
    whatever their labels are."""
    device = next(net.parameters()).device
    person, scene, mask = inputs(batch, device)
    label, ticks = (torch.as_tensor(batch[k]).long().to(device) for k in ("label", "ticks"))
    weight = torch.tensor([COST[k] for k in range(len(config.CLASSES))], device=device)
    with torch.autocast(device.type, torch.bfloat16, enabled=net.training):
        last, every = net.both(person, scene, mask)
    last, every = last.float(), every.float()
    told = torch.ones_like(label, dtype=torch.bool) if keep is None else torch.from_numpy(~keep).to(device)
    kwargs = {"ignore_index": IGNORE, "weight": weight, "label_smoothing": 0.03}
    known = (label[told] != IGNORE).any()
    loss = F.cross_entropy(last[told], label[told], **kwargs) if known else last.sum() * 0
    loss = loss + 0.33 * F.cross_entropy(every[told].flatten(0, 1), ticks[told].flatten(), **kwargs)
    if kept is not None and len(kept):
        share = len(kept) / len(label)
        asked = F.kl_div(F.log_softmax(last[~told], -1), F.log_softmax(kept, -1), reduction="batchmean", log_target=True)
        loss = loss * (1 - share) + KEEP * asked * share
    return loss, last


def fall_score(logits):
    p = torch.softmax(logits, -1)
    return p[:, FALL] + p[:, FALLEN]


def mistakes(logits, label):
    """Share of known windows by true kind whose score is on the wrong side of one half: logits (n,K), label (n,)."""
    score, climb = fall_score(logits).numpy(), torch.softmax(logits, -1)[:, CLIMB].numpy()
    bad = {NORMAL: score > 0.5, FALL: score < 0.5, FALLEN: score < 0.5, CLIMB: climb < 0.5}
    return {config.CLASSES[k]: round(float(b[label == k].mean()), 4) if (label == k).any() else None for k, b in bad.items()}


@torch.inference_mode()
def validate(net, batches):
    """`mistakes` of a network in training on `batches`."""
    net.eval()
    logits = torch.cat([losses(net, batch)[1].cpu() for batch in batches])
    net.train()
    return mistakes(logits, np.concatenate([batch["label"] for batch in batches]))


def mixture(rng, motions, others, size):
    """A batch of `size` windows: of each of `others`, (count, clips), its count; the rest simulated movements."""
    parts = [motions.windows(rng, size - sum(count for count, _ in others))] + [clips.windows(rng, count) for count, clips in others]
    return {k: np.concatenate([part[k] for part in parts]) for k in parts[0]}


class Mixtures(IterableDataset):
    """Endless batches of `mixture`. Drawn by the training's own process, `workers` 0, they depend on seed and first step alone."""

    def __init__(self, seed, motions, others, size):
        self.seed, self.drawn_from = seed, (motions, others, size)

    def __iter__(self):
        info = get_worker_info()
        rng = np.random.default_rng(self.seed + ([info.id] if info else []))
        while True:
            yield mixture(rng, *self.drawn_from)


def kept_windows(batch, told):
    """Which windows (N,) of a batch are not told the truth: all but climbs, which every source knows alike, and those of the last
    `told` at whose end nobody has fallen, for the truth of rendered falls costs sight of filmed ones."""
    label = np.asarray(batch["label"])
    calm = (np.arange(len(label)) >= len(label) - told) & ~np.isin(label, (FALL, FALLEN))
    return ~(calm | (label == CLIMB))


def said(head, batch, which):
    """Logits (n,K) of the windows `which` (N,) of a batch by `head`, for inference."""
    with torch.no_grad():
        return head(*inputs(batch, next(head.parameters()).device, which))


def learn(net, optimiser, batch, keep=None, kept=None):
    """One step on a batch; its loss."""
    loss, _ = losses(net, batch, keep, kept)
    optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(net.parameters(), 2.0)
    optimiser.step()
    return loss.item()


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--lab", type=Path, required=True)
    args.add_argument("--motions", type=Path, required=True, nargs="+")
    args.add_argument("--minutes", type=float, default=10)
    args.add_argument("--batch", type=int, default=192)
    args.add_argument("--rendered", type=float, default=0.35, help="share of a batch from encoded rendered clips, if any")
    args.add_argument("--filmed", type=float, default=0.2, help="share of a batch from encoded filmed clips, if any")
    args.add_argument("--generated", type=float, default=0.0, help="share of a batch from encoded generated clips, if any")
    args.add_argument("--ordinary", type=float, default=0.0, help="share of a batch from encoded minutes of ordinary life, if any")
    args.add_argument("--strangers", type=float, default=0.0, help="share of a batch from encoded clips of strangers to the encoder, if any")
    args.add_argument("--keep", action="store_true", help="with --start: but for ordinary life, strangers who do not fall, and climbs, go on saying what that head says")
    args.add_argument("--rate", type=float, default=2e-3)
    args.add_argument("--start", type=Path, help="an exported head (head.onnx) to train on; what ships lies half way")
    args.add_argument("--bundle", type=Path, help="whose encoder must have said what is learnt from; without it nothing is checked")
    args.add_argument("--out", default="head.pt")
    args.add_argument("--seed", type=int, default=config.SEED)
    args.add_argument("--threads", type=int, default=1, help="small layers gain little from more")
    args.add_argument("--workers", type=int, default=0, help="processes that draw windows: a GPU waits for fewer than four")
    args = args.parse_args()
    if args.keep and not args.start:
        raise SystemExit("--keep needs --start, the head that is to go on saying what it says")
    if args.bundle:
        by_another(args.lab / "encoded", json.loads((args.bundle / "manifest.json").read_text())["encoder"]["sha256"])
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    net = (exported(args.start).train() if args.start else Head()).to(device)
    before = Mirrored(exported(args.start)).to(device).eval() if args.keep else None
    mean = copy.deepcopy(net)
    first = {k: v.clone() for k, v in net.state_dict().items() if not k.startswith("tick.")}  # only training uses `tick`
    optimiser = torch.optim.AdamW(net.parameters(), args.rate, weight_decay=0.02)
    path, step, seconds = args.lab / args.out, 0, 0.0
    if path.exists():
        saved = torch.load(path, map_location=device, weights_only=True)
        same_start(saved, args.start, path)
        net.load_state_dict(saved["net"])
        mean.load_state_dict(saved["mean"])
        optimiser.load_state_dict(saved["optimiser"])
        step, seconds = saved["step"], saved["seconds"]
    mean.eval().requires_grad_(False)
    train, valid = Motions(args.motions, "train"), Motions(args.motions, "valid")
    shares = {"r_": args.rendered, "g_": args.filmed, "t_": args.generated, "o_": args.ordinary, "s_": args.strangers}
    others = [(round(share * args.batch), Encoded(args.lab / "encoded", "train", prefix)) for prefix, share in shares.items()]
    told = sum(count for count, clips in others if clips.prefix in TOLD)  # the last of each batch
    if args.keep and (not told or any(count and not len(clips) for count, clips in others)):
        raise SystemExit(f"--keep needs --ordinary or --strangers above 0, and in {args.lab / 'encoded'} clips for every share above 0: "
                         f"there are {({clips.prefix: len(clips) for _, clips in others})}. `features.py` makes them")
    others = [(count, clips) for count, clips in others if count and len(clips)]
    batches = iter(DataLoader(Mixtures([args.seed, step], train, others, args.batch), None, num_workers=args.workers))
    check = [valid.windows(np.random.default_rng(1), 256) for _ in range(4)]
    log, last, saved_at, total = open(args.lab / "head.log", "a"), time.time(), time.time(), []

    def save():
        rest = {name: value for name, value in mean.state_dict().items() if name in first}
        ship = {**mean.state_dict(), **between(first, rest)} if args.start and not args.keep else mean.state_dict()
        torch.save({"net": net.state_dict(), "mean": mean.state_dict(), "ship": ship, "optimiser": optimiser.state_dict(), "step": step,
                    "seconds": seconds, "origin": origin(args.start)}, path.with_suffix(".tmp"))
        path.with_suffix(".tmp").rename(path)

    while (done := seconds / (60 * args.minutes)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = args.rate * min(1, (step + 1) / 100) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))
        batch = next(batches)
        keep = kept_windows(batch, told) if args.keep else None
        total.append(learn(net, optimiser, batch, keep, said(before, batch, keep) if args.keep else None))
        step += 1
        with torch.no_grad():
            rate = max(0.005, 1 / (step + 1))
            for a, b in zip(mean.state_dict().values(), net.state_dict().values(), strict=True):
                a.lerp_(b, rate) if a.dtype.is_floating_point else a.copy_(b)
        now = time.time()
        seconds, last = seconds + now - last, now
        if step % 100 == 0:
            row = {"step": step, "minutes": round(seconds / 60, 1), "loss": round(float(np.mean(total)), 4), **validate(mean, check)}
            print(json.dumps(row), file=log, flush=True)
            total = []
            mean.eval()
        if now - saved_at > 60:
            save()
            saved_at = now
    save()


if __name__ == "__main__":
    main()
