"""The daemon's road from frames to alerts, in Python: cadence, rings, head, policy.

falld does the same in Rust; `tests/data/golden/` holds what both must give. Numbers come from the bundle's manifest.
"""

import functools
import json
import operator
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import config
from frames import letterbox, read
from tracker import Tracker

EARLY = 0.25   # of a period: a frame may come this much before its tick is due
LOCK = 0.02    # a source whose mean interval is this near to the period drives the grid
PULL = 0.1     # how much of a frame's distance from its tick a driving source takes off at once
MEAN = 1 / 16  # weight of the newest interval in the mean
THERE = 10, 12  # so many of so many ticks with somebody at one place where only climbers are raise a climb by themselves


class Cadence:
    """Which frames of a source are kept, and how many ticks were missed before each: falld's `src/cadence.rs`.

    A frame takes the latest tick that is due at most EARLY periods after it; ticks only grow. A source at the model's own
    rate pulls the grid along, so that one that runs a hair fast or slow loses nothing."""

    def __init__(self, rate=config.RATE):
        self.rate, self.origin = rate, None

    def keep(self, t):
        """None to drop the frame, else the number of ticks missed since the last kept one."""
        if self.origin is None:
            self.origin, self.at, self.seen, self.interval = t, 0.0, 0.0, None
            return 0
        time = (t - self.origin) * self.rate
        interval = time - self.seen
        if interval <= 0:
            return None
        self.seen = time
        self.interval = interval if self.interval is None else self.interval + MEAN * (interval - self.interval)
        steps = int(np.floor(time - self.at + EARLY))
        if steps < 1:
            return None
        self.at += steps
        if abs(self.interval - 1) < LOCK:
            self.at += PULL * (time - self.at)
        return steps - 1


def row_length(manifest):
    """Numbers of one person's row, the contract's F."""
    people = manifest["people"]
    return 3 * people["keypoints"] + 5 + people["embedding"]


@dataclass
class Ring:
    """The last T entries of one followed person."""

    rows: deque
    seen: deque


@dataclass
class Rings:
    """All state of one camera after the encoder: tracker, a ring for each person, the scene's ring."""

    manifest: dict
    tracker: Tracker = field(init=False)

    def __post_init__(self):
        clip, self.row = self.manifest["clip"], row_length(self.manifest)
        self.ticks, self.hold, self.least = clip["ticks"], clip["hold_ticks"], clip["min_ticks"]
        self.tracker = Tracker(**self.manifest["tracker"], people=self.manifest["people"]["max"])
        self.clear()

    def clear(self):
        self.tracker.clear()
        self.scene = deque(maxlen=self.ticks)
        self.people = {}

    def _push(self, scene, entries):
        self.scene.append(scene)
        for track, row in entries:
            ring = self.people[track]
            ring.rows.append(row if row is not None else np.zeros(self.row, np.float32))
            ring.seen.append(float(row is not None))

    def tick(self, people, scene, missed=0):
        """Takes one tick's encoder outputs. `missed` ticks before it repeat the last entry, or empty all rings."""
        if missed > self.hold:
            self.clear()
        elif self.scene:
            last = [(k, r.rows[-1] if r.seen[-1] else None) for k, r in self.people.items()]
            for _ in range(missed):
                self._push(self.scene[-1], last)
        matched = self.tracker.update(people)
        alive = {t.id for t, _ in matched}
        self.people = {k: r for k, r in self.people.items() if k in alive}
        for track, _ in matched:
            self.people.setdefault(track.id, Ring(deque(maxlen=self.ticks), deque(maxlen=self.ticks)))
        self._push(scene, [(t.id, None if i is None else people[i]) for t, i in matched])

    def inputs(self):
        """(ids, person (R,T,F), scene (R,T,G), mask (R,T,2)) for the head, or None while there are too few ticks or
        there is nobody to ask about. Id -1 is the scene's own row."""
        ids = ([-1] if self.manifest["head"]["scene_row"] else []) + list(self.people)
        have = len(self.scene)
        if have < self.least or not ids:
            return None
        person = np.zeros((len(ids), self.ticks, self.row), np.float32)
        scene = np.zeros((len(ids), self.ticks, config.SCENE), np.float32)
        mask = np.zeros((len(ids), self.ticks, 2), np.float32)
        scene[:, self.ticks - have :] = np.stack(self.scene)
        mask[:, self.ticks - have :, 0] = 1
        for k, track in enumerate(ids):
            if track >= 0:
                ring = self.people[track]
                person[k, self.ticks - len(ring.rows) :] = np.stack(ring.rows)
                mask[k, self.ticks - len(ring.rows) :, 1] = ring.seen
        return ids, person, scene, mask

    def judge(self, ids, zones):
        """What `scores` asks about the rows of `inputs`: everybody is where they were seen last."""
        if zones is None:
            return None

        def judged(row, fall, climb):
            ring = self.people.get(ids[row])
            seen = list(reversed(ring.seen)) if ring else []
            if 1 not in seen:
                return fall, climb * zones.elsewhere, 0
            ago = seen.index(1)
            return zones.judge(ring.rows[-1 - ago], ago, fall, climb)

        return judged


def shares(logits, temperature):
    """Logits (R,K) -> (R,2): the fall and the climb score of each row."""
    z = logits / temperature
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    return np.stack([p[:, 1] + p[:, 2], p[:, 3]], 1)


def scores(logits, temperature, judge=None):
    """Logits (R,K) -> (fall score, climb score) of the camera: the greatest over the rows, of which `judge(row, fall, climb)` says
    what each becomes where places are marked, and all places where only climbers are and somebody is, a bit for each."""
    each = shares(logits, temperature)
    if not judge:
        return tuple(float(greatest) for greatest in each.max(0))
    falls, climbs, places = zip(*(judge(row, *pair) for row, pair in enumerate(each)), strict=True)
    return float(max(falls)), float(max(climbs)), functools.reduce(operator.or_, places)


@dataclass
class Policy:
    """k of the last n ticks at or above `enter` raise, or THERE of them with somebody at one place where only climbers are; it rearms when k
    of n are below `exit` and `cooldown` passed. A tick that was bridged counts as the lesser of the scores on both sides for `enter`, as the
    greater for `exit`."""

    enter: float
    exit: float
    k: int
    n: int
    cooldown: float = 30.0  # falld's default

    def __post_init__(self):
        self.window, self.there, self.place, self.last, self.up = deque(maxlen=self.n), deque(maxlen=THERE[1]), None, None, False

    def step(self, t, score, bridged=0, places=0):
        """True if this score, so many bridged ticks after the last one, raises an alert; `places` are those where only climbers are and
        somebody is, a bit for each."""
        if places and (self.place is None or not places >> self.place & 1):
            self.there.clear()
            self.place = (places & -places).bit_length() - 1
        before = self.window[-1] if self.window else None
        for _ in range(bridged if before else 0):
            self.window.append((min(before[0], score), max(before[1], score)))
            if self.there:
                self.there.append(self.there[-1] and places != 0)
        self.window.append((score, score))
        self.there.append(places != 0)
        enough = sum(least >= self.enter for least, _ in self.window) >= self.k or sum(self.there) >= THERE[0]
        if self.up:
            self.up = sum(most < self.exit for _, most in self.window) < self.k
            return False
        if not enough or (self.last is not None and t - self.last < self.cooldown):
            return False
        self.up, self.last = True, t
        return True


class Bundle:
    """The two ONNX sessions and the manifest of a bundle."""

    def __init__(self, folder, threads=1):
        from runtime import session

        self.folder = folder = Path(folder)
        self.manifest = json.loads((folder / "manifest.json").read_text())
        self.encoder, self.head = (session(folder / self.manifest[part]["file"], threads) for part in ("encoder", "head"))

    def encode(self, frame, previous):
        """u8 (B,H,W,3) twice -> people (B,P,F), scene (B,G)."""
        return self.encoder.run(["people", "scene"], {"frame": frame, "previous": previous})

    def logits(self, person, scene, mask):
        return self.head.run(["logits"], {"person": person, "scene": scene, "mask": mask})[0]


def encode_clip(encode, frames, rate=config.RATE):
    """Iterable of (t, picture) -> (times (n,), missed (n,), people (n,P,F), scene (n,G)) of the kept frames."""
    cadence, times, missed, kept = Cadence(rate), [], [], []
    for t, picture in frames:
        gap = cadence.keep(t)
        if gap is not None:
            times.append(t)
            missed.append(gap)
            kept.append(letterbox(picture))
    if not kept:
        return np.zeros(0), np.zeros(0, int), np.zeros((0, config.PEOPLE, config.FEATURES), np.float32), np.zeros((0, config.SCENE), np.float32)
    kept = np.stack(kept)
    before = np.concatenate([kept[:1], kept[:-1]])
    people, scene = zip(*(encode(kept[i : i + 8], before[i : i + 8]) for i in range(0, len(kept), 8)), strict=True)
    return np.array(times), np.array(missed), np.concatenate(people), np.concatenate(scene)


def replay(manifest, logits, encoded, zones=None):
    """The encoded ticks of one clip -> list of (t, fall score, climb score, ticks bridged before it); with the places of `zones` marked
    also the places where only climbers are and somebody is, a bit for each."""
    rings, out = Rings(manifest), []
    for t, gap, people, scene in zip(*encoded, strict=True):
        rings.tick(people, scene, int(gap))
        asked = rings.inputs()
        fall, climb, *places = scores(logits(*asked[1:]), manifest["temperature"], rings.judge(asked[0], zones)) if asked else (0.0, 0.0)
        out.append((float(t), fall, climb, int(gap) if gap <= rings.hold else 0, *places))
    return out


def alerts(manifest, rows):
    """Rows of `replay` -> [(t, "fall" | "climb")] by the manifest's policy."""
    found = []
    policies = {name: Policy(**manifest["policy"][name]) for name in ("fall", "climb")}
    for t, fall, climb, bridged, *places in rows:
        for name, said in (("fall", (fall, bridged)), ("climb", (climb, bridged, *places))):
            if policies[name].step(t, *said):
                found.append((t, name))
    return found


def run(bundle, path):
    """A clip through a bundle: (rows, alerts)."""
    rows = replay(bundle.manifest, bundle.logits, encode_clip(bundle.encode, read(path)))
    return rows, alerts(bundle.manifest, rows)
