"""Step `shift`: does the shipped encoder place joints better if its blocks also look at the picture before?

    python shift_trial.py --bundle ../bundle --lab LAB --data DATA --teacher movenet.tflite --renders HELD_OUT --pairs TRAINING

`TRAINING` are rendered training clips at the camera's full rate, `HELD_OUT` clips among which those that show nobody and nothing of training are
looked at. Three rows: as it ships, trained on single pictures, trained on the same pictures with the one before. Truth alone teaches.
"""

import argparse
import copy
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


def clips(folder, split):
    """(about, people (n,4,F), labels (n,4), pictures) of the rendered clips of a split."""
    for path in sorted(Path(folder).glob("[0-9]*.json")):
        about, rows, _, each = truth.read(path)
        if about["split"] == split and path.with_suffix(".mp4").exists():
            yield about, rows, each, [picture for _, picture in read(path.with_suffix(".mp4"))]


def training(folder, kept, seed):
    """u8 earlier and present pictures (n,H,W,3), and people (n,4,F) of the present: seen as `augment` sees, both alike."""
    if not kept.exists():
        rng, out = np.random.default_rng(seed), ([], [], [])
        for about, rows, _, pictures in clips(folder, "train"):
            down = lying(rows[1 : len(pictures)], about["height"], about["width"]) + 1
            for _ in range(EACH):
                at = rng.choice(down) if len(down) and rng.random() < DOWN else rng.integers(1, min(len(pictures), len(rows)))
                there = rows[at][rows[at, :, 55] > 0.2]
                box = there[rng.integers(len(there)), BOX] if len(there) else None
                drawn = int(rng.integers(2**62))
                seen = [augment.view(np.random.default_rng(drawn), pictures[i], box, known=True) for i in (at - 1, at)]
                for side, (picture, _) in zip(out, seen):
                    side.append(augment.spoil(np.random.default_rng(drawn), picture))
                out[2].append(augment.carry(rows[at], pictures[at].shape[:2], seen[1][1]))
        np.savez(kept, earlier=np.stack(out[0]), present=np.stack(out[1]), known=np.stack(out[2]))
    with np.load(kept) as d:
        return d["earlier"], d["present"], d["known"]


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


def held_out(folder, kept):
    """Of rendered clips that share nothing with training, some frames as falld fits them, the ones before, people, labels."""
    if not kept.exists():
        out = ([], [], [], [])
        for about, rows, each, pictures in clips(folder, "valid"):
            fitted = truth.fitted(rows, about)
            for i in range(EVERY, min(len(pictures), len(rows)), EVERY):
                for side, part in zip(out, (letterbox(pictures[i - 1]), letterbox(pictures[i]), fitted[i], each[i])):
                    side.append(part)
        np.savez(kept, earlier=np.stack(out[0]), present=np.stack(out[1]), people=np.stack(out[2]), labels=np.stack(out[3]))
    with np.load(kept) as d:
        return d["earlier"], d["present"], d["people"], d["labels"]


def filmed(data, teacher, kept):
    """Filmed frames of the room not trained on, the ones before, and the teacher's people in them."""
    if not kept.exists():
        pairs = []
        for clip in sorted(Path(data, "gmdcsa24").glob("s[23]_*.mp4")):
            frames = [letterbox(p) for _, p in read(clip)]
            pairs += [(frames[i - 1], frames[i]) for i in range(FILMED, len(frames), FILMED)]
        earlier, present = (np.stack(side) for side in zip(*pairs))
        net = movenet.load(teacher)
        np.savez(kept, earlier=earlier, present=present, people=np.concatenate([see(net, present[i : i + 16]) for i in range(0, len(present), 16)]))
    with np.load(kept) as d:
        return d["earlier"], d["present"], d["people"]


def row(name, net, rendered, real, seconds=None):
    """What the table says of an encoder."""
    earlier, present, known, labels = rendered
    seen = pose_check.found(known, labels, np.concatenate([present, earlier], -1), lambda both, _: (people(net, both[..., :3].copy(), both[..., 3:].copy()),))
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
    pairs = training(args.pairs, folder / "pairs.npz", config.SEED)
    rendered, real = held_out(args.renders, folder / "rendered.npz"), filmed(args.data, args.teacher, folder / "filmed.npz")
    shipped = restored(args.bundle / "encoder.onnx")
    with_past = Shifted(shipped.widths).eval()
    with_past.load_state_dict(copy.deepcopy(shipped.state_dict()))
    rows = [row("as it ships, float", shipped, rendered, real), row("the same, shifted, untrained", with_past, rendered, real)]
    for seed in range(args.seeds):
        for name, net in (("single pictures", shipped), ("with the one before", with_past)):
            batches = Batches(pairs, isinstance(net, Shifted), seed)
            learnt, seconds = train(net, batches, batches.pictures(batches.order[:64]), RATE)
            rows.append(row(f"{name}, seed {seed}", learnt, rendered, real, seconds))
            print(rows[-1], flush=True)
    about = {"machine": apart.machine(), "budget": f"{batches.count} batches of {SIZE}, rate {RATE}", "rendered frames": len(rendered[1]), "filmed frames": len(real[1]),
             "numbers carried from tick to tick": with_past.state(config.HEIGHT, config.WIDTH)}
    apart.write(args.lab / "shift_trial", about, rows, COLUMNS)


if __name__ == "__main__":
    main()
