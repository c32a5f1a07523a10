"""The stream of training pictures for the encoder: endless, seeded, drawn by source."""


import cv2
import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

import augment
import config
from frames import Cache, photos

SHARES = {"t2v": 0.25, "r": 0.52, "g": 0.12, "climb": 0.04, "room": 0.07}  # of the draws, among the sources that are there
DOWN = 0.5  # of the draws from a rendered clip, among its frames in which somebody lies: few do, and they matter most


def lying(people, h, w):
    """Indices of the frames of (n,4,F) known people in which somebody fairly visible is wider than tall; pictures of (h,w)."""
    height, width = (people[..., 53] - people[..., 51]) * h, (people[..., 54] - people[..., 52]) * w
    return np.flatnonzero(((width > height) & (people[..., 55] > 0.3)).any(1))


class Pictures(IterableDataset):
    """Yields (clean, spoiled, known): u8 (H,W,3) twice, the teacher looks at the first, the student at the second; and
    f32 (4,F) exact people of rendered pictures, NaN of others."""

    def __init__(self, cache, rooms, seed):
        self.cache, self.rooms, self.seed = cache, rooms, seed

    def setup(self):
        cache = Cache(self.cache)
        self.frames, self.poses, self.groups, self.known, self.down = {}, {}, {}, {}, {}
        for name in cache.names():
            pose = cache.folder / f"{name}.pose.npy"
            if not pose.exists():
                continue
            self.frames[name], self.poses[name] = cache.frames(name), np.load(pose)
            self.groups.setdefault(name.split("_")[0], []).append(name)
            truth = cache.folder / f"{name}.truth.npy"
            if truth.exists():
                self.known[name] = np.load(truth)
                self.down[name] = lying(self.known[name], *self.frames[name].shape[1:3])
        self.room = [cv2.imread(str(p))[..., ::-1].copy() for p in photos(self.rooms, "train")]
        sources = [s for s in SHARES if s in self.groups or s == "room"]
        share = np.array([SHARES[s] for s in sources])
        self.sources, self.share = sources, share / share.sum()

    def draw(self, rng, source=None):
        """A picture, the box of one of its people or None, and its exact people or None."""
        source = source or rng.choice(self.sources, p=self.share)
        if source == "room":
            return self.room[rng.integers(len(self.room))], None, None
        name = self.groups[source][rng.integers(len(self.groups[source]))]
        index = rng.integers(len(self.frames[name]))
        if len(down := self.down.get(name, ())) and rng.random() < DOWN:
            index = down[rng.integers(len(down))]
        known = self.known[name][index] if name in self.known else None
        people = self.poses[name][index] if known is None else known
        people = people[people[:, 55] > 0.2]
        return self.frames[name][index], people[rng.integers(len(people)), 51:55] if len(people) else None, known

    def picture(self, rng):
        none = np.full((4, config.FEATURES), np.nan, np.float32)
        picture, box, known = self.draw(rng)
        if known is not None:
            out, matrix = augment.view(rng, picture, box, known=True)
            return out, augment.carry(known, picture.shape[:2], matrix)
        kind = rng.random()
        if kind < 0.1:  # four small ones
            out = np.zeros((config.HEIGHT, config.WIDTH, 3), np.uint8)
            cy, cx = int(config.HEIGHT * rng.uniform(0.3, 0.7)), int(config.WIDTH * rng.uniform(0.3, 0.7))
            for y, x in ((slice(0, cy), slice(0, cx)), (slice(0, cy), slice(cx, None)),
                         (slice(cy, None), slice(0, cx)), (slice(cy, None), slice(cx, None))):
                part = out[y, x]
                seen = augment.view(rng, *self.draw(rng)[:2])[0]
                part[:] = cv2.resize(seen, part.shape[1::-1], interpolation=cv2.INTER_AREA)
            return out, none
        if kind < 0.4 and box is not None:
            room = self.room[rng.integers(len(self.room))] if rng.random() < 0.7 else self.draw(rng)[0]
            out = augment.view(rng, augment.paste(rng, room, picture, box))[0]
        else:
            out = augment.view(rng, picture, box)[0]
        if rng.random() < 0.15:
            out = augment.cover(rng, out, augment.view(rng, *self.draw(rng)[:2])[0])
        return augment.bars(rng, out), none

    def __iter__(self):
        cv2.setNumThreads(1)
        info = get_worker_info()
        self.setup()
        rng = np.random.default_rng([self.seed, info.id if info else 0])
        while True:
            clean, known = self.picture(rng)
            yield torch.from_numpy(clean), torch.from_numpy(augment.spoil(rng, clean)), torch.from_numpy(known)
