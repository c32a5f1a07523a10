"""A short training that is the same for every encoder: the same batches in the same order, no part frozen.

The teacher looks at the batches once; what it said is kept on disk, so that ten encoders do not pay for it ten times. An
encoder's own processor time is counted. Pictures and losses are those of `encoder_train.py`, but for rendered pictures the teacher is asked as well. Statistics of the
normalisation are those of the start: over a hundred small batches running ones lag behind the weights.
"""

import math
import time
from itertools import islice

import numpy as np
import torch

import augment
import config
from encoder_train import WEIGHT, imitation, teach
from nets import norm
from nets.movenet import HEADS
from pictures import Pictures

WARM = 10  # steps up to the peak of the cosine
SAID = [("feature", 24), *HEADS.items()]  # what is kept of the teacher: channels of the features, then of the maps
NOTHING = {"centre": -10.0, "heat": -10.0}  # logits of maps that tell of nobody


class Rendered(Pictures):
    """Rendered pictures alone, of which the truth is known."""

    def draw(self, rng, source=None):
        return super().draw(rng, "r")


def split(said):
    """f16 (n,C,h,w) as kept -> (features, maps) in float."""
    parts = torch.from_numpy(np.array(said)).float().split([width for _, width in SAID], 1)
    return parts[0], dict(zip(HEADS, parts[1:], strict=True))


@torch.inference_mode()
def said(teacher, clean):
    """What the teacher says of u8 (n,H,W,3), as kept."""
    with torch.autocast("cpu", torch.bfloat16):
        features, maps = teacher(clean.permute(0, 3, 1, 2).float())
    return torch.cat([features.float(), *(maps[name].float() for name in HEADS)], 1).half().numpy()


class Batches:
    """`count` batches of `size` pictures in `folder`, made when they are not there: spoiled pictures, what the teacher says of
    the clean ones (unless `teacher` is None: then the pictures are rendered), and the people who are known."""

    def __init__(self, folder, count, size, teacher, cache, rooms):
        folder.mkdir(parents=True, exist_ok=True)
        names, self.size, self.count = ("spoiled", "known") + (("said",) if teacher else ()), size, count
        paths = {name: folder / f"{name}.npy" for name in names}
        if not (folder / "made").exists():
            pictures = (Pictures if teacher else Rendered)(cache, rooms, config.SEED)
            shapes = {"spoiled": ((config.HEIGHT, config.WIDTH, 3), np.uint8), "known": ((config.PEOPLE, config.FEATURES), np.float32),
                      "said": ((sum(width for _, width in SAID), config.HEIGHT // config.STRIDE, config.WIDTH // config.STRIDE), np.float16)}
            files = {name: np.lib.format.open_memmap(paths[name], "w+", shapes[name][1], (count * size, *shapes[name][0])) for name in names}
            source = iter(pictures)
            for place in range(0, count * size, size):
                clean, *rest = (torch.stack(x) for x in zip(*islice(source, size), strict=True))
                for name, part in zip(("spoiled", "known"), rest, strict=True):
                    files[name][place : place + size] = part
                if teacher:
                    files["said"][place : place + size] = said(teacher, clean)
            for file in files.values():
                file.flush()
            (folder / "made").touch()
        self.files = {name: np.load(path, mmap_mode="r") for name, path in paths.items()}

    def __iter__(self):
        """Yields (pictures (n,3,H,W), features, maps, known); without a teacher features are None, the maps tell of nobody."""
        for place in range(0, self.count * self.size, self.size):
            part = {name: file[place : place + self.size] for name, file in self.files.items()}
            spoiled, known = (torch.from_numpy(np.array(part[name])) for name in ("spoiled", "known"))
            if "said" in part:
                features, maps = split(part["said"])
            else:
                shape = len(spoiled), config.HEIGHT // config.STRIDE, config.WIDTH // config.STRIDE
                features, maps = None, {name: torch.full((shape[0], width, *shape[1:]), NOTHING.get(name, 0.0)) for name, width in HEADS.items()}
            yield spoiled.permute(0, 3, 1, 2).float(), features, maps, known


def train(net, batches, start, rate, terms=tuple(WEIGHT)):
    """(A copy of `net` that has learnt by `terms` of the loss, ready for inference; its processor time in seconds). Normalisation begins
    with the statistics of `start`, float RGB (n,3,H,W)."""
    torch.manual_seed(config.SEED)
    net = norm.normalise(net, start).requires_grad_(True).to(memory_format=torch.channels_last).eval()
    decay, rest = ([p for p in net.parameters() if (p.ndim > 1) == matrix] for matrix in (True, False))
    optimiser = torch.optim.AdamW([{"params": decay, "weight_decay": 0.005}, {"params": rest, "weight_decay": 0.0}], rate)
    began = time.process_time()
    for step, (spoiled, target_features, target, known) in enumerate(batches):
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1, (step + 1) / WARM) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / batches.count)))
        with torch.autocast("cpu", torch.bfloat16):
            features, maps = net(spoiled.to(memory_format=torch.channels_last))
        example = teach(target, known)
        features, maps = features.float(), {k: v.float() for k, v in maps.items()}
        loss = imitation(features, maps, target_features, target, example)
        total = sum(WEIGHT[k] * loss[k] for k in terms)
        optimiser.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        if step % 20 == 0:
            print(f"  step {step}, loss {total.item():.3f}, {time.process_time() - began:.0f} s", flush=True)
    return norm.fold(net.eval()).to(memory_format=torch.contiguous_format).requires_grad_(False), time.process_time() - began


class HeldOut:
    """Pictures that no encoder learnt from, spoiled, and what the teacher says of them as they are. Kept at `path`."""

    def __init__(self, path, teacher, clean):
        if not path.exists():
            rng = np.random.default_rng(config.SEED)
            spoiled = np.stack([augment.spoil(rng, p) for p in clean])
            what = [said(teacher, torch.from_numpy(clean[i : i + 8])) for i in range(0, len(clean), 8)]
            np.savez(path, spoiled=spoiled, said=np.concatenate(what))
        with np.load(path) as d:
            self.spoiled, self.said = d["spoiled"], d["said"]

    @torch.inference_mode()
    def loss(self, net):
        """Weighted terms of the imitation loss, means over the pictures."""
        sums = {}
        for i in range(0, len(self.spoiled), 8):
            with torch.autocast("cpu", torch.bfloat16):
                features, maps = net(torch.from_numpy(self.spoiled[i : i + 8]).permute(0, 3, 1, 2).float())
            part = imitation(features.float(), {k: v.float() for k, v in maps.items()}, *split(self.said[i : i + 8]))
            for k, v in part.items():
                sums.setdefault(k, []).append(WEIGHT[k] * v.item())
        return {k: round(float(np.mean(v)), 4) for k, v in sums.items()}
