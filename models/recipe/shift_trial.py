"""Step `shift`: does the shipped encoder place joints better if its blocks also look at the picture before?

    python shift_trial.py --bundle ../bundle --lab LAB --data DATA --teacher movenet.tflite --renders HELD_OUT --pairs TRAINING

`TRAINING` are rendered training clips at the camera's full rate, `HELD_OUT` clips among which those that show nobody and nothing of training are
looked at. Rows: as it ships, the same with the past put in, and for each seed trained on single pictures and on the same pictures with the past. Truth alone teaches.
"""

import argparse
import copy
import json
from pathlib import Path

import numpy as np
import torch

import apart
import augment
import config
import pose_check
import truth
from evaluate import wilson
from frames import letterbox, read
from nets import movenet
from nets.decode import decode
from nets.shift import Shifted
from pictures import DOWN, lying
from poses import see
from quantise import agreement
from restore import restored
from short_training import NOTHING, train
from tracker import BOX

SIZE, EACH, EVERY, FILMED = 8, 10, 5, 8  # pairs in a batch, pairs of a training clip, and which frames are looked at, rendered and filmed
RATE = 1e-4
COLUMNS = {"name": "encoder", "seconds": "trained for, s", **{kind: f"{kind}: found / joints apart" for kind in ("normal", "fall", "fallen", "climb")},
           "extra": "people where nobody is, a frame", "filmed": "filmed: found (95 %) / joints apart"}


def cached(path, clips, make):
    """The arrays that `make()` gives by name, kept at `path` with the names of the `clips` that they were made of; a file of others is an error."""
    of = " ".join(clip.stem for clip in clips)
    if not path.exists():
        np.savez(path, of=of, **make())
    with np.load(path) as d:
        if str(d["of"]) != of:
            raise SystemExit(f"{path} was made of other clips: move it away")
        return [d[name] for name in d.files if name != "of"]


def rendered(folder, split):
    """Paths of the rendered clips of a split: their JSON."""
    return [p for p in sorted(Path(folder).glob("[0-9]*.json")) if json.loads(p.read_text())["split"] == split and p.with_suffix(".mp4").exists()]


def earlier(times, at):
    """The last picture that is at least a tick older than the one `at`, nearly; the first one if none is."""
    return max((i for i in range(at) if times[i] <= times[at] - 0.9 / config.RATE), default=0)


def training(paths, seed):
    """u8 earlier and present pictures (n,H,W,3), and people (n,4,F) of the present: both seen alike, but for the sensor's noise."""
    rng, out = np.random.default_rng(seed), {"earlier": [], "present": [], "known": []}
    for path in paths:
        about, rows, _, _ = truth.read(path)
        times, pictures = zip(*read(path.with_suffix(".mp4")), strict=True)
        down = lying(rows[1 : len(pictures)], about["height"], about["width"]) + 1
        for _ in range(EACH):
            at = rng.choice(down) if len(down) and rng.random() < DOWN else rng.integers(1, min(len(pictures), len(rows)))
            there = rows[at][rows[at, :, 55] > 0.2]
            box = there[rng.integers(len(there)), BOX] if len(there) else None
            drawn = int(rng.integers(2**62))
            for side, index in (("earlier", earlier(times, at)), ("present", at)):
                seen, matrix = augment.view(np.random.default_rng(drawn), pictures[index], box, known=True)
                out[side].append(augment.spoil(np.random.default_rng([drawn, 1]), seen, np.random.default_rng([drawn, 2, index])))
            out["known"].append(augment.carry(rows[at], pictures[at].shape[:2], matrix))
    return {name: np.stack(part) for name, part in out.items()}


class Batches:
    """Batches of `SIZE` in the order of `seed`; with the earlier pictures before the present ones if `both`."""

    def __init__(self, pairs, both, seed):
        self.earlier, self.present, self.known = pairs
        self.both, self.order = both, np.random.default_rng(seed).permutation(len(self.known))
        self.count = len(self.order) // SIZE

    def pictures(self, chosen):
        sides = (self.earlier, self.present) if self.both else (self.present,)
        return torch.from_numpy(np.concatenate([side[chosen] for side in sides])).permute(0, 3, 1, 2).float()

    def __iter__(self):
        shape = SIZE, config.HEIGHT // config.STRIDE, config.WIDTH // config.STRIDE
        for batch in range(self.count):
            chosen = self.order[batch * SIZE : (batch + 1) * SIZE]
            maps = {name: torch.full((shape[0], width, *shape[1:]), NOTHING.get(name, 0.0)) for name, width in movenet.HEADS.items()}
            yield self.pictures(chosen), None, maps, torch.from_numpy(self.known[chosen])


@torch.inference_mode()
def people(net, present, earlier):
    """Decoded people (n,4,F) of u8 present pictures."""
    both = np.concatenate([earlier, present]) if isinstance(net, Shifted) else present
    _, maps = net(torch.from_numpy(both).permute(0, 3, 1, 2).float())

    def at(names, rows, cols):
        said = torch.cat([maps[name] for name in names], 1)
        index = rows * said.shape[3] + cols
        return torch.gather(said.flatten(2), 2, index[:, None].expand(-1, said.shape[1], -1)).transpose(1, 2)

    return decode(maps, config.PEOPLE, at).numpy()


def held_out(paths):
    """Each `EVERY`th frame of rendered clips as falld fits it, the one a tick earlier, people and labels."""
    out = {"earlier": [], "present": [], "people": [], "labels": []}
    for path in paths:
        about, rows, _, each = truth.read(path)
        times, pictures = zip(*read(path.with_suffix(".mp4")), strict=True)
        fitted = truth.fitted(rows, about)
        for at in range(EVERY, min(len(pictures), len(rows)), EVERY):
            for part, new in zip(out.values(), (letterbox(pictures[earlier(times, at)]), letterbox(pictures[at]), fitted[at], each[at]), strict=True):
                part.append(new)
    return {name: np.stack(part) for name, part in out.items()}


def filmed(paths, teacher):
    """Each `FILMED`th frame of filmed clips, the one a tick earlier, and the teacher's people."""
    pairs = []
    for path in paths:
        times, pictures = zip(*read(path), strict=True)
        pairs += [(letterbox(pictures[earlier(times, at)]), letterbox(pictures[at])) for at in range(FILMED, len(pictures), FILMED)]
    before, present = (np.stack(side) for side in zip(*pairs, strict=True))
    net = movenet.load(teacher)
    return {"earlier": before, "present": present, "people": np.concatenate([see(net, present[i : i + 16]) for i in range(0, len(present), 16)])}


def row(name, net, shown, real, seconds=None):
    """What the table says of an encoder."""
    before, present, known, labels = shown
    seen = pose_check.found(known, labels, np.concatenate([present, before], -1), lambda both, _: (people(net, both[..., :3].copy(), both[..., 3:].copy()),))
    share, away, n = agreement(real[2], np.concatenate([people(net, real[1][i : i + 8], real[0][i : i + 8]) for i in range(0, len(real[1]), 8)]), 0.25)
    low, high = wilson(found := round(share * n), n)
    kinds = {kind: f"{share:.3f} of {count} / {distance:.3f}" for kind, (share, count, distance) in ((k, seen[k]) for k in config.CLASSES)}
    return {"name": name, "seconds": seconds and round(seconds), **kinds, "extra": seen["extra"], "filmed": f"{found} of {n} ({low:.2f}–{high:.2f}) / {away:.3f}"}


def main():
    args = argparse.ArgumentParser()
    for name in ("bundle", "lab", "data", "teacher", "renders", "pairs"):
        args.add_argument(f"--{name}", type=Path, required=True)
    args.add_argument("--seeds", type=int, default=2)
    args = args.parse_args()
    torch.set_num_threads(1)
    folder = args.lab / "shift"
    folder.mkdir(parents=True, exist_ok=True)
    taught, asked, rooms = rendered(args.pairs, "train"), rendered(args.renders, "valid"), sorted(Path(args.data, "gmdcsa24").glob("s[23]_*.mp4"))
    pairs = cached(folder / "pairs.npz", taught, lambda: training(taught, config.SEED))
    shown, real = cached(folder / "rendered.npz", asked, lambda: held_out(asked)), cached(folder / "filmed.npz", rooms, lambda: filmed(rooms, args.teacher))
    shipped = restored(args.bundle / "encoder.onnx")
    with_past = Shifted(shipped.widths).eval()
    with_past.load_state_dict(copy.deepcopy(shipped.state_dict()))
    rows = [row("as it ships, float", shipped, shown, real), row("the same, shifted, untrained", with_past, shown, real)]
    for seed in range(args.seeds):
        for name, net in (("single pictures", shipped), ("with the one before", with_past)):
            batches = Batches(pairs, isinstance(net, Shifted), seed)
            learnt, seconds = train(net, batches, batches.pictures(batches.order[:64]), RATE)
            rows.append(row(f"{name}, seed {seed}", learnt, shown, real, seconds))
            print(rows[-1], flush=True)
    about = {"machine": apart.machine(), "budget": f"{batches.count} batches of {SIZE}, rate {RATE}", "rendered frames": len(shown[1]), "filmed frames": len(real[1]),
             "numbers carried from tick to tick": with_past.state(config.HEIGHT, config.WIDTH)}
    apart.write(args.lab / "shift_trial", about, rows, COLUMNS)


if __name__ == "__main__":
    main()
