"""The daemon's road from frames to alerts, in Python: cadence, rings, head, policy.

falld does the same in Rust; `tests/data/golden/` holds what both must give. Numbers come from the bundle's manifest.
"""

import copy
import functools
import itertools
import json
import operator
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

import config
from frames import letterbox, read
from tracker import BOX, Tracker

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

    def copy(self):
        """Rings that hold the same and go their own way from here on."""
        other = copy.copy(self)
        other.tracker, other.scene = copy.deepcopy(self.tracker), self.scene.copy()
        other.people = {k: Ring(r.rows.copy(), r.seen.copy()) for k, r in self.people.items()}
        return other

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

    def step(self, t, score, bridged=0, places=0, most=0.0):
        """True if this score, so many bridged ticks after the last one, raises an alert; `places` are those where only climbers are and
        somebody is, a bit for each; `most` is what the other of two looks says, if that is more."""
        if places and (self.place is None or not places >> self.place & 1):
            self.there.clear()
            self.place = (places & -places).bit_length() - 1
        before, most = self.window[-1] if self.window else None, max(score, most)
        for _ in range(bridged if before else 0):
            self.window.append((min(before[0], score), max(before[1], most)))
            if self.there:
                self.there.append(self.there[-1] and places != 0)
        self.window.append((score, most))
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


def mirrored(people, scene):
    """What was said of mirrored pictures, people (n,P,F) and scene (n,G), as if it had been said of the pictures themselves."""
    people = people.copy()
    joints, box = people[..., : 3 * config.JOINTS].reshape(*people.shape[:-1], config.JOINTS, 3), people[..., BOX]
    people[..., : 3 * config.JOINTS] = np.stack([joints[..., 0], 1 - joints[..., 1], joints[..., 2]], -1)[..., list(config.FLIP), :].reshape(*people.shape[:-1], -1)
    people[..., BOX] = np.stack([box[..., 0], 1 - box[..., 3], box[..., 2], 1 - box[..., 1]], -1)
    return people, scene.reshape(len(scene), 2, *config.GRID)[..., ::-1].reshape(scene.shape)


def encode_clip(encode, frames, rate=config.RATE, mirror=False):
    """Iterable of (t, picture) -> (times (n,), missed (n,), people (n,P,F), scene (n,G)) of the kept frames; with `mirror`, as it is said of
    their mirror images."""
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
    if mirror:
        kept = np.ascontiguousarray(kept[:, :, ::-1])
    before = np.concatenate([kept[:1], kept[:-1]])
    people, scene = zip(*(encode(kept[i : i + 8], before[i : i + 8]) for i in range(0, len(kept), 8)), strict=True)
    said = np.concatenate(people), np.concatenate(scene)
    return np.array(times), np.array(missed), *(mirrored(*said) if mirror else said)


def looks(manifest, encode, frames):
    """A clip, a list of (t, picture), as `replay` wants it: what `encode_clip` says, and, where the manifest asks for a second look, how to learn
    what it says of the mirror images."""
    encoded = encode_clip(encode, frames)
    return (*encoded, functools.cache(lambda: encode_clip(encode, frames, mirror=True)[2])) if manifest.get("second_look") else encoded


def one_look(manifest):
    """A manifest that asks for no second look: what the first says by itself."""
    return {key: facts for key, facts in manifest.items() if key != "second_look"}


class Row(NamedTuple):
    """What is said of one tick: scores of the camera, the lesser where two looks were taken; ticks bridged before it; the places where only climbers
    are and somebody is, a bit for each; the greater scores, 0 where there was one look."""

    t: float
    fall: float
    climb: float
    bridged: int
    places: int = 0
    fall_most: float = 0.0
    climb_most: float = 0.0


@dataclass
class SecondLook:
    """Who doubts what is seen: while the first look scores `start` or more, and for `frames` frames after, the mirror images are asked about as well.

    What the first look said before the frame that rouses suspicion holds for both."""

    start: float
    frames: int
    on: bool = False
    quiet: int = 0
    rings: Rings = None

    def follow(self, rings):
        """Keeps the first look's `rings` as they stand before a tick, as long as nobody is suspected."""
        if not self.on:
            self.rings = rings.copy()

    def doubts(self, score):
        """Whether a frame is looked at twice of which the first look says at most `score`."""
        self.quiet = 0 if score >= self.start else self.quiet + 1
        self.on = self.quiet == 0 or self.on and self.quiet <= self.frames
        return self.on


def replay(manifest, logits, encoded, zones=None):
    """The encoded ticks of one clip, as `looks` gives them -> list of `Row`; places are told where those of `zones` are marked."""
    facts, out = manifest.get("second_look"), []
    if facts and len(encoded) < 5:
        raise ValueError("this bundle looks twice: give what is said of the mirror images as well (`looks`), or ask for `one_look`")
    rings, second = Rings(manifest), SecondLook(facts["from"], facts["frames"]) if facts else None

    def ask(rings):
        asked = rings.inputs()
        return scores(logits(*asked[1:]), manifest["temperature"], rings.judge(asked[0], zones)) if asked else (0.0, 0.0)

    for index, (t, gap, people, scene) in enumerate(zip(*encoded[:4], strict=True)):
        gap = int(gap)
        if second:
            second.on &= gap <= rings.hold
            second.follow(rings)
        rings.tick(people, scene, gap)
        fall, climb, *places = ask(rings)
        row = Row(float(t), fall, climb, gap if gap <= rings.hold else 0, *places)
        if second and second.doubts(max(fall, climb)):
            second.rings.tick(encoded[4]()[index], scene, gap)
            fall2, climb2, *places2 = ask(second.rings)
            if any(places + places2):
                climb2 = climb  # a marked place is the site's word, and not the model's
            row = row._replace(fall=min(fall, fall2), climb=min(climb, climb2), fall_most=max(fall, fall2), climb_most=max(climb, climb2))
        out.append(row)
    return out


def alerts(manifest, rows):
    """Rows of `replay` -> [(t, "fall" | "climb")] by the manifest's policy."""
    found = []
    policies = {name: Policy(**manifest["policy"][name]) for name in ("fall", "climb")}
    for row in itertools.starmap(Row, rows):
        for name, said in (("fall", (row.fall, row.bridged, 0, row.fall_most)), ("climb", (row.climb, row.bridged, row.places, row.climb_most))):
            if policies[name].step(row.t, *said):
                found.append((row.t, name))
    return found


def run(bundle, path):
    """A clip through a bundle: (rows, alerts)."""
    rows = replay(bundle.manifest, bundle.logits, looks(bundle.manifest, bundle.encode, list(read(path))))
    return rows, alerts(bundle.manifest, rows)
