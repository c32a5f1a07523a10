"""Windows for the head from clips that the encoder really saw. `features.py` writes them; this reads them.

One file a clip, `<name>.npz`: times, missed, people (n,P,F), scene (n,G), labels u8 (n,) of the camera, split; optional
`boxes` f32 (n,K,4) of the true people with `who` u8 (n,K) labels of each, so that a bystander stays normal; a column is one
person in all of the clip. `area` (4,): ymin, xmin, ymax, xmax of the camera's picture in the fitted one, without its bars.
"""

from pathlib import Path

import numpy as np
import torch

import config
from motions import CLIMB, FALL, FALLEN, IGNORE, NORMAL, judge, spells
from nets.head import mirror, mirror_grid
from stream import Rings

MANIFEST = {"clip": {"ticks": 10**9, "hold_ticks": config.HOLD_TICKS, "min_ticks": 1}, "tracker": config.TRACKER,
            "people": {"max": config.PEOPLE, "keypoints": config.JOINTS, "embedding": 0}, "head": {"scene_row": False}}

PACE = 0.05        # spread of the logarithm of how much faster or slower a window is shown
MOVED = 0.4        # share of windows shown elsewhere in the picture
EDGE = 0.02        # of the fitted picture: who comes nearer to an edge of the camera's may be cut by it
WHOLE = (0.0, 0.0, 1.0, 1.0)  # `area` of a 4:3 camera: its picture's edges in the fitted one
JITTER = 0.012     # of a box's diagonal, at most, that joints and edges are shaken

SHARES = {FALL: 0.4, CLIMB: 0.22, NORMAL: 0.38}  # of the windows, by the gravest thing that their clips show


def follow(encoded):
    """The tracker over one encoded clip, of whose rows what stands behind F is left out -> (people of each track (k,n,F), seen (k,n), scene (n,G), tick -> frame (n,))."""
    rings, frame_of, rows = Rings(MANIFEST), [], {}
    n = 0
    for index, (gap, people, scene) in enumerate(zip(encoded["missed"], encoded["people"], encoded["scene"], strict=True)):
        gap = int(gap) if n else 0
        rings.tick(people[:, : config.FEATURES], scene, gap)
        if gap > config.HOLD_TICKS:
            return None
        frame_of += [max(0, index - 1)] * gap + [index]
        n = len(frame_of)
        for track, ring in rings.people.items():
            rows.setdefault(track, {})
            for back in range(gap + 1):
                if len(ring.rows) > back:
                    rows[track][n - 1 - back] = (ring.rows[-1 - back], ring.seen[-1 - back])
    person, seen = np.zeros((len(rows), n, config.FEATURES), np.float32), np.zeros((len(rows), n), bool)
    for k, ring in enumerate(rows.values()):
        for tick, (row, there) in ring.items():
            person[k, tick], seen[k, tick] = row, there > 0
    scene = np.stack(rings.scene)
    return person, seen, scene, np.array(frame_of)


class Encoded:
    """All encoded clips of one split, followed by the tracker once. Those for training are shown varied, others as they come."""

    def __init__(self, folder, split, prefix=""):
        self.clips, self.varied, self.prefix = [], split == "train", prefix
        for path in sorted(Path(folder).glob(f"{prefix}*.npz")):
            d = np.load(path, allow_pickle=False)
            if str(d["split"]) != split or not len(d["times"]):
                continue
            followed = follow(d)
            if followed is None or not len(followed[0]):
                continue
            person, seen, scene, frame = followed
            labels = np.repeat(d["labels"][frame][None], len(person), 0)
            if "boxes" in d:
                labels = np.stack([self._who(person[k], seen[k], d["boxes"][frame], d["who"][frame]) for k in range(len(person))])
            self.clips.append((person, seen, scene, labels.astype(np.uint8), d["area"] if "area" in d else WHOLE))
        kinds = np.array([self._kind(labels) for *_, labels, _ in self.clips])
        there = [np.flatnonzero(kinds == kind) for kind in SHARES]
        share = np.array([share * bool(len(which)) for share, which in zip(SHARES.values(), there, strict=True)])
        self.kinds, self.share = there, share / max(share.sum(), 1e-9)

    @staticmethod
    def _kind(labels):
        """The gravest thing that a clip shows."""
        return FALL if (labels == FALL).any() else CLIMB if (labels == CLIMB).any() else NORMAL

    @staticmethod
    def _who(person, seen, boxes, who):
        """Labels of a track: of the true person whose box overlaps it most over the clip."""
        votes = np.zeros(boxes.shape[1])
        for t in np.flatnonzero(seen):
            p = person[t, 51:55]
            low, high = np.maximum(p[:2], boxes[t, :, :2]), np.minimum(p[2:], boxes[t, :, 2:])
            inter = np.prod((high - low).clip(0), -1)
            union = np.prod(p[2:] - p[:2]) + np.prod(boxes[t, :, 2:] - boxes[t, :, :2], -1) - inter
            votes += np.nan_to_num(inter / (union + 1e-9))
        if votes.max() < 0.1 * max(1, seen.sum()):
            return np.full(len(person), NORMAL)
        return who[:, votes.argmax()]

    def __len__(self):
        return len(self.clips)

    def windows(self, rng, n):
        """As `Motions.windows`."""
        t = config.TICKS
        out = {"person": np.zeros((n, t, config.FEATURES), np.float32), "scene": np.zeros((n, t, config.SCENE), np.float32),
               "mask": np.zeros((n, t, 2), np.float32), "ticks": np.full((n, t), IGNORE, np.uint8)}
        seen_all, exist_all, area = np.zeros((n, t), bool), np.zeros((n, t), bool), np.zeros((n, 4), np.float32)
        for i in range(n):
            kind = self.kinds[rng.choice(len(self.kinds), p=self.share)]
            person, seen, scene, labels, area[i] = self.clips[kind[rng.integers(len(kind))]]
            k, total = rng.integers(len(person)), seen.shape[1]
            down = np.flatnonzero((labels[k] == FALL) | (labels[k] == FALLEN))
            up = np.flatnonzero(labels[k] == CLIMB)
            if len(down) and rng.random() < 0.6:
                end = int(np.clip(down[0] + rng.integers(-8, 60), config.MIN_TICKS, total + 20))
            elif len(up) and rng.random() < 0.6:
                end = int(max(rng.choice(up) + 1, config.MIN_TICKS))
            else:
                end = int(rng.integers(min(config.MIN_TICKS, total), total + 10))
            freeze = total
            if len(down) and down[0] > 5 and rng.random() < 0.25:   # a twin: the footage before the fall, then frozen
                freeze, end = down[0], down[0] + int(rng.integers(0, 80))
            pace = np.exp(rng.normal(0, PACE)) if self.varied else 1
            at = np.round(end - 1 - np.arange(t - 1, -1, -1) * pace).astype(int)
            exist = (at >= 0) & (np.arange(t) >= (rng.integers(0, t - 12) if rng.random() < 0.15 else 0))
            source = np.clip(at, 0, min(total, freeze) - 1)
            use = exist & seen[k][source]
            if self.varied:
                use &= ~spells(rng, np.full((1, t), rng.choice([0.0, 0.0, 0.04])), 5)[0]
            out["person"][i] = person[k][source] * use[:, None]
            s = scene[source].copy()
            s[at >= freeze, : config.SCENE // 2] = 0
            out["scene"][i] = s * exist[:, None]
            out["ticks"][i] = labels[k][source]
            seen_all[i], exist_all[i] = use, exist
        out["mask"] = np.stack([exist_all, seen_all], -1).astype(np.float32)
        flip = rng.random(n) < 0.5
        out["person"][flip] = mirror(*(torch.from_numpy(x) for x in (out["person"][flip], out["mask"][flip, :, 1:]))).numpy()
        out["scene"][flip] = mirror_grid(torch.from_numpy(out["scene"][flip])).numpy()
        out["scene"] *= (rng.random((n, 1, 1)) < 0.8)
        if self.varied:
            moved = rng.random(n) < MOVED
            out["person"][moved] = elsewhere(rng, out["person"][moved], seen_all[moved], area[moved])
            out["person"] = blur(rng, out["person"], seen_all)
            out["scene"][moved] = 0  # the grid does not move along
        out["ticks"] = judge(out["ticks"], seen_all, ~exist_all)
        out["label"] = out["ticks"][:, -1]
        return out


def elsewhere(rng, person, seen, area):
    """Rows (n,t,F) as if the person were nearer or farther, and in another place of the picture `area` (n,4); where nobody is cut by
    an edge of it, and nobody will be."""
    n, out = len(person), person.copy()
    low = np.where(seen[..., None], person[..., 51:53], 1).min(1)
    high = np.where(seen[..., None], person[..., 53:55], 0).max(1)
    first, last = area[:, :2] + EDGE, area[:, 2:] - EDGE
    whole = ((low > first) & (high < last) & (low < high)).all(1)
    room = (last - first) / np.maximum(high - low, 1e-6)
    zoom = np.minimum(np.exp(rng.normal(0, 0.25, (n, 1)) + rng.normal(0, 0.04, (n, 2))), room)
    at = first + rng.random((n, 2)) * np.maximum(last - first - zoom * (high - low), 0)
    near = low + np.clip(at - low, -0.2, 0.2)  # not far, for cameras see the floor at their picture's lower edge
    near = np.clip(near, first, np.maximum(last - zoom * (high - low), first))
    shift = near - zoom * low
    joints = person[..., :51].reshape(*person.shape[:-1], 17, 3)
    moved = joints.copy()
    moved[..., :2] = joints[..., :2] * zoom[:, None, None] + shift[:, None, None]
    boxes = person[..., 51:55] * np.tile(zoom, 2)[:, None] + np.tile(shift, 2)[:, None]
    out[whole, :, :51], out[whole, :, 51:55] = moved.reshape(*person.shape[:-1], 51)[whole], boxes[whole]
    return out * seen[..., None]


def blur(rng, person, seen):
    """Rows (n,t,F) with a little more of the encoder's own unsteadiness."""
    n, t = person.shape[:2]
    size = np.linalg.norm((person[..., 53:55] - person[..., 51:53]), axis=-1) * rng.uniform(0, JITTER, (n, 1))
    joints = person[..., :51].reshape(n, t, 17, 3).copy()
    joints[..., :2] += size[..., None, None] * rng.standard_normal((n, t, 17, 2), np.float32)
    joints[..., 2] *= np.exp(rng.normal(0, 0.15, (n, 1, 1)))
    out = person.copy()
    out[..., :51] = joints.reshape(n, t, 51)
    out[..., 51:55] += size[..., None] * rng.standard_normal((n, t, 4), np.float32)
    return out * seen[..., None]
