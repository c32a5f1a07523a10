"""Windows for the head from skeleton motions: random cameras, random source rates, and the errors a pose network makes.

`Motions.windows(rng, n)` is vectorised; a batch costs about as much as a training step of the head.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

import config

T, J = config.TICKS, config.JOINTS
NORMAL, FALL, FALLEN, CLIMB = range(4)
IGNORE = 255
HARD = ("kneel", "squat", "sit-floor", "lie-floor", "lie-bed", "ordinary")  # drawn three times as often as other everyday movements
# usual joint scores of the encoder against their mean, on real frames
SURE = np.array([0.9] * 5 + [1.2] * 2 + [0.9] * 2 + [0.72] * 2 + [1.28] * 2 + [1.03] * 2 + [1.03] * 2, np.float32)


@dataclass
class Errors:
    """How the encoder errs. Lengths in units of the person's box diagonal; widened at random."""

    jitter: float = 0.018        # of joints, upright
    jitter_lying: float = 0.045
    wander: float = 0.02         # slow error of joints, correlated over ticks
    box: float = 0.02
    lost: float = 0.03           # chance that an upright person is not seen at a tick
    lost_lying: float = 0.25
    lost_small: float = 0.4      # below a tenth of the picture's height
    swap: float = 0.03           # left and right exchanged, for a while
    heap_lying: float = 0.0      # chance that a lying person's joints are a heap; 0.25 cost recall on real falls
    hidden: bool = False         # furniture and half people; cost recall on real falls as well
    score: float = 0.55          # usual joint score upright
    score_lying: float = 0.38


class Motions:
    """Tracks of joints at 30 Hz, from one or several files (see the renderer's notes for the keys)."""

    def __init__(self, paths, split="train"):
        self.start, self.length, self.joints, self.labels, self.fall, self.contact, scenario = [], [], [], [], [], [], []
        rows = 0
        for path in paths:
            d = np.load(path, allow_pickle=False)
            which = np.flatnonzero(d["split"] == split)
            self.fps = float(d["fps"])
            self.start.append(d["start"][which].astype(np.int64) + rows)
            self.length.append(d["length"][which].astype(np.int64))
            self.joints.append(d["joints"])
            self.labels.append(d["labels"])
            self.fall.append(d["fall_start"][which])
            self.contact.append(d["contact"][which])
            scenario.append(d["scenario"][which])
            rows += len(d["labels"])
        for name in ("start", "length", "joints", "labels", "fall", "contact"):
            setattr(self, name, np.concatenate(getattr(self, name)))
        self.scenario = np.concatenate(scenario)
        self.contact = np.where(np.isnan(self.contact), self.fall + 0.8, self.contact)
        climbs = np.array([(self.labels[s : s + n] == CLIMB).any() for s, n in zip(self.start, self.length, strict=True)])
        calm = np.isnan(self.fall)
        self.falls, self.climbs, self.normals = (self._groups(w) for w in (~calm, climbs & calm, ~climbs & calm))
        self.normals += 2 * [group for group in self.normals if str(self.scenario[group[0]]) in HARD]
        # everyday movements may be much faster than they were made; lying down may not, or it would be a fall
        self.brisk = calm & ~climbs & ~np.char.startswith(self.scenario.astype(str), "l")
        self.drop = np.array([self._steepest(k) for k in range(len(self.start))])

    def _groups(self, which):
        """Tracks by scenario, so that rare ones are drawn as often as common ones."""
        found = {}
        for k in np.flatnonzero(which):
            found.setdefault(str(self.scenario[k]), []).append(k)
        return [np.array(v) for v in found.values()]

    def _steepest(self, k):
        """Second in which the body comes down fastest over half a second."""
        height = self.joints[self.start[k] : self.start[k] + self.length[k], :, 2].astype(np.float32).mean(1)
        lag = int(self.fps / 2)
        return float(np.argmin(height[lag:] - height[:-lag]) + lag) / self.fps if len(height) > lag else 0.0

    @staticmethod
    def _pick(rng, groups):
        group = groups[rng.integers(len(groups))]
        return group[rng.integers(len(group))]

    # -- which moment of which track -------------------------------------------------------------------------------
    def choose(self, rng, n):
        """(tracks, seconds of the last tick, freeze second or inf) of n windows; what to emphasise is decided here."""
        kind = rng.random(n)
        track = np.empty(n, np.int64)
        end, freeze = np.empty(n), np.full(n, np.inf)
        seconds = self.length / self.fps
        for i in range(n):
            if kind[i] < 0.36:      # around a fall
                k = self._pick(rng, self.falls)
                end[i] = rng.uniform(self.fall[k] - 0.6, self.contact[k] + 2.5)
            elif kind[i] < 0.46:    # twins: up to the loss of balance, then frozen
                k = self._pick(rng, self.falls)
                freeze[i] = self.fall[k] - 1 / self.fps - rng.choice([0.0, rng.uniform(0, 1.5)])  # the last frame without a fall
                end[i] = freeze[i] + rng.uniform(-0.5, 6)
            elif kind[i] < 0.6 and self.climbs:
                k = self._pick(rng, self.climbs)
                end[i] = rng.uniform(0.5, seconds[k] + 0.5)
            else:                   # everyday, half of it just after the body came down
                k = self._pick(rng, self.normals)
                end[i] = self.drop[k] + rng.uniform(-0.3, 2.5) if rng.random() < 0.55 else rng.uniform(0.5, seconds[k] + 1.5)
                if rng.random() < 0.12:
                    freeze[i] = end[i] - rng.uniform(0, 4)
            track[i] = k
        return track, end, freeze

    def windows(self, rng, n, errors=None):
        """-> dict of person (n,T,F), scene (n,T,G), mask (n,T,2), label (n,), ticks (n,T) labels of each tick
        (IGNORE where nothing can be known)."""
        track, end, freeze = self.choose(rng, n)
        pace = np.exp(rng.normal(0, 1, n) * np.where(self.brisk[track], 0.15, 0.12))
        source = rng.choice([30, 25, 24, 20, 15, 12, 10, 8], n) * np.exp(rng.normal(0, 0.02, n))
        when = end[:, None] - np.arange(T - 1, -1, -1) / config.RATE * pace[:, None]
        phase = rng.random(n)[:, None]
        step = np.maximum(1 / source[:, None], 1e-3) * pace[:, None]
        when = (np.floor(when / step + phase) - phase) * step              # the source's last frame before each tick
        when = np.minimum(when, freeze[:, None])
        index = np.clip(np.round(when * self.fps).astype(np.int64), 0, self.length[track, None] - 1)
        rows = self.start[track, None] + index
        joints = self.joints[rows].astype(np.float32)
        ticks = self.labels[rows].copy()
        before = (when < 0) & (rng.random(n) < 0.5)[:, None]           # the camera came up later
        short = np.where(rng.random(n) < 0.2, rng.integers(0, T - config.MIN_TICKS, n), 0)
        before |= np.arange(T)[None] < short[:, None]
        sudden = (rng.random(n) < 0.25) & np.isinf(freeze)             # the clip begins just before the body comes down
        onset = np.where(np.isnan(self.fall[track]), self.drop[track] - 0.5, self.fall[track])  # by a fall, or as a squat does
        before |= (when < (onset - rng.uniform(0.1, 1.2, n))[:, None]) & sudden[:, None]
        mirror = rng.random(n) < 0.5
        joints[mirror] = joints[mirror][:, :, list(config.FLIP)] * np.array([-1, 1, 1], np.float32)
        seen3d = joints.copy()
        flat, depth = project(rng, joints)
        person, seen = observe(rng, flat, depth, seen3d, errors or Errors())
        seen &= ~before
        late = rng.random(n) < 0.06                                    # the tracker met this person only now
        seen &= ~(late[:, None] & (np.arange(T)[None] < rng.integers(0, T, n)[:, None]))
        calm = np.isnan(self.fall[track]) & (rng.random(n) < 0.3)      # crouching on a sofa, behind a rail: lost for a while
        seen &= ~spells(rng, calm[:, None] * np.where(ticks == CLIMB, 0.4, 0.1), 12)
        gone = rng.random(n) < 0.05                                    # and lost it again
        seen &= ~(gone[:, None] & (np.arange(T)[None] > rng.integers(20, T, n)[:, None]))
        ticks = judge(ticks, seen, before).astype(np.uint8)
        scene = pretend_scene(rng, person, flat, before)
        person *= seen[..., None]
        mask = np.stack([~before, seen], -1).astype(np.float32)
        return {"person": person.astype(np.float32), "scene": scene, "mask": mask, "label": ticks[:, -1], "ticks": ticks}


def judge(ticks, seen, before):
    """Labels of the ticks given what can be seen: a fall that was not seen is unknown, not normal and not a fall; so is a
    climb of somebody who was not seen on the floor before, for joints alone do not tell who stands from who stands on a chair."""
    ticks = ticks.copy()
    down = (ticks == FALL) | (ticks == FALLEN)
    order = np.arange(ticks.shape[1])[None]
    first = np.where(down.any(1), down.argmax(1), ticks.shape[1])
    falling = np.cumsum((ticks == FALL) & seen, 1)
    upright = np.cumsum((ticks != FALL) & (ticks != FALLEN) & seen & (order < first[:, None]), 1)
    known = (falling >= 3) & (upright[:, -1:] >= 2)
    ticks[down & ~known] = IGNORE
    nobody = np.cumsum(seen, 1) == 0
    ticks[nobody & down] = IGNORE
    floor = np.cumsum((ticks == NORMAL) & seen, 1)
    ticks[(ticks == CLIMB) & (floor < 3)] = IGNORE
    ticks[before] = IGNORE
    return ticks


def project(rng, joints):
    """World joints (n,T,17,3) -> picture joints (n,T,17,2) as y, x in 0..1 of the fitted picture, and depth (n,T,17).
    One random camera a window, aimed near the person somewhere on the way."""
    n = len(joints)
    middle = joints.mean(2)
    pick = np.where(rng.random((n, 1)) < 0.5, middle.mean(1), middle[np.arange(n), rng.integers(0, T, n)])
    angle, away = rng.uniform(0, 2 * np.pi, n), rng.uniform(1.5, 6.5, n)
    eye = pick + np.stack([np.cos(angle) * away, np.sin(angle) * away, np.zeros(n)], 1)
    eye[:, 2] = np.where(rng.random(n) < 0.7, rng.uniform(1.2, 2.9, n), rng.uniform(0.3, 1.3, n))
    aim = pick + rng.normal(0, 1, (n, 3)) * np.stack([0.13 * away, 0.13 * away, 0.09 * away], 1)
    forward = aim - eye
    forward /= np.linalg.norm(forward, axis=1, keepdims=True)
    right = np.cross(forward, [0, 0, 1.0])
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    down = np.cross(forward, right)
    roll = rng.normal(0, 0.04, n)[:, None]
    right, down = np.cos(roll) * right + np.sin(roll) * down, np.cos(roll) * down - np.sin(roll) * right
    aspect = rng.choice([16 / 9, 4 / 3, 9 / 16, 1.0], n, p=[0.5, 0.35, 0.08, 0.07])
    fov = np.radians(rng.uniform(45, 95, n))
    frame = config.WIDTH / config.HEIGHT
    half = np.minimum(aspect / frame, 1.0)                              # of the source's width in the fitted picture
    focal = half / 2 / np.tan(fov / 2)                                  # in fitted widths
    local = joints - eye[:, None, None]
    z = np.einsum("ntjc,nc->ntj", local, forward)
    x = np.einsum("ntjc,nc->ntj", local, right) / np.maximum(z, 0.15) * focal[:, None, None] + 0.5
    y = np.einsum("ntjc,nc->ntj", local, down) / np.maximum(z, 0.15) * focal[:, None, None] * frame + 0.5
    inside = np.stack([np.minimum(frame / aspect, 1.0), half], 1)       # the part of the picture that the source fills
    flat = np.stack([y, x], -1)
    out = np.abs(flat - 0.5) > inside[:, None, None] / 2
    z = np.where(out.any(-1), -1.0, z)                                  # -1: outside the source's picture
    return flat, z


def smooth_noise(rng, shape, hold):
    """Noise correlated over axis 1 with a memory of about `hold` ticks, unit spread."""
    a = np.exp(-1.0 / hold)
    e = rng.standard_normal(shape).astype(np.float32)
    out = e.copy()
    for t in range(1, shape[1]):
        out[:, t] = a * out[:, t - 1] + np.sqrt(1 - a * a) * e[:, t]
    return out


def spells(rng, chance, hold):
    """Boolean (n,T) with the given mean chance (n,T), in runs of about `hold` ticks."""
    return smooth_noise(rng, chance.shape, hold) < ndtri(np.clip(chance, 1e-6, 1 - 1e-6))


def hidden(rng, flat):
    """Joints (n,T,17) that cannot be seen: behind furniture, which stands still in the picture while people walk by, or
    for a while the legs or the upper body, as when the encoder finds only half a person."""
    n = len(flat)
    y, x = flat[..., 0], flat[..., 1]
    out = np.zeros(y.shape, bool)
    kind = rng.random(n)
    at = rng.integers(0, T, n)
    here_y, here_x = y[np.arange(n), at], x[np.arange(n), at]
    tall = (here_y.max(1) - here_y.min(1)).clip(0.05)
    top = here_y.min(1) + tall * rng.uniform(0.25, 0.9, n)                       # furniture covers what is below this ...
    left = np.where(rng.random(n) < 0.3, -9, here_x.mean(1) - tall * rng.uniform(0, 0.6, n))
    wide = np.where(rng.random(n) < 0.3, 19, tall * rng.uniform(0.15, 1.2, n))   # ... and between these
    block = (y > top[:, None, None]) & (x > left[:, None, None]) & (x < (left + wide)[:, None, None])
    out |= block & (kind < 0.2)[:, None, None]
    half = spells(rng, np.where(kind[:, None] > 0.9, 0.1, 0.005) * np.ones((n, T)), 5)
    lower = rng.random(n) < 0.75
    part = np.zeros((2, J), bool)
    part[0, :11], part[1, 11:] = True, True
    out |= half[..., None] & part[lower.astype(int)][:, None]
    return out


def observe(rng, flat, depth, world, e):
    """What the encoder would say: person (n,T,F), seen (n,T)."""
    n = len(flat)
    scale = np.exp(rng.normal(0, 0.4, (n, 1, 1)))                       # some cameras are worse than others
    inside = depth > 0
    if e.hidden:
        inside &= ~hidden(rng, flat)
    share = inside.mean(-1)
    unit = np.array([1.0, config.WIDTH / config.HEIGHT], np.float32)
    metric = np.clip(flat, -0.3, 1.3) * unit
    use = np.where(inside[..., None], metric, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nobody inside: NaN, handled below
        low, high = np.nanmin(use, 2), np.nanmax(use, 2)
    none = share == 0
    low, high = np.where(none[..., None], 0.5, low), np.where(none[..., None], 0.5, high)
    size = np.linalg.norm(high - low, axis=-1).clip(0.03)
    torso = world[:, :, [5, 6]].mean(2) - world[:, :, [11, 12]].mean(2)
    lying = np.clip(1.3 - 1.6 * np.abs(torso[..., 2]) / (np.linalg.norm(torso, axis=-1) + 1e-3), 0, 1)
    wide = size[..., None] * np.exp(rng.normal(0, 0.25, (n, 1, 1)))     # a box is larger than its joints
    low = low - wide * np.stack([0.11 - 0.04 * lying, 0.065 + 0.04 * lying], -1)
    high = high + wide * np.stack([0.09 + 0.0 * lying, 0.07 + 0.035 * lying], -1)
    sigma = (e.jitter + (e.jitter_lying - e.jitter) * lying) * size
    wander = e.wander * (1 + 1.5 * lying) * size
    noise = rng.standard_normal((n, T, J, 2)) * sigma[..., None, None] + smooth_noise(rng, (n, T, J, 2), 8) * wander[..., None, None]
    bad = spells(rng, np.repeat((0.01 + 0.05 * lying)[..., None], J, 2).reshape(n, T, J).transpose(0, 2, 1).reshape(n * J, T), 3)
    bad = bad.reshape(n, J, T).transpose(0, 2, 1)
    noise += bad[..., None] * rng.standard_normal((n, T, J, 2)) * (0.2 * size)[..., None, None]
    joints = metric + noise * scale[..., None]
    # a body along the optical axis, or lying in an odd way: a heap of joints somewhere in the right box
    heap = spells(rng, np.clip(e.heap_lying * (0.1 + lying) * rng.choice([0.2, 1.0, 1.8], (n, 1)), 0, 0.9), 8)
    pile = (low + high)[:, :, None] / 2 + (high - low)[:, :, None] * (
        0.22 * rng.standard_normal((n, 1, J, 2)) * rng.uniform(0.3, 1, (n, 1, 1, 1)) + 0.1 * smooth_noise(rng, (n, T, J, 2), 4))
    joints = np.where(heap[..., None, None], pile, joints)
    swap = spells(rng, e.swap * (1 + 4 * lying), 6)
    joints = np.where(swap[..., None, None], joints[:, :, list(config.FLIP)], joints)
    cut = np.clip(joints, low[:, :, None], high[:, :, None]) * 0.7 + joints * 0.3   # a joint outside is guessed near the edge
    joints = np.where(inside[..., None] | heap[..., None, None], joints, cut)
    score = (e.score + (e.score_lying - e.score) * lying)[..., None] + 0.14 * smooth_noise(rng, (n, T, J), 12) + 0.05 * rng.standard_normal((n, T, J))
    score = score * SURE * np.exp(rng.normal(0, 0.2, (n, 1, 1)))
    score = np.where(heap[..., None], 0.45 * score, score)
    score = np.where(inside | heap[..., None], np.where(bad, 0.5 * score, score), 0.15 * score).clip(0.01, 0.95)
    score[:, :, :5] *= rng.uniform(0.4, 1.1, (n, 1, 1))
    edges = rng.standard_normal((n, T, 2, 2)) * (e.box * size)[..., None, None] + smooth_noise(rng, (n, T, 2, 2), 6) * (e.box * size)[..., None, None]
    low, high = (low + edges[:, :, 0]) / unit, (high + edges[:, :, 1]) / unit
    low, high = np.clip(low, -0.03, 1.03), np.clip(high, -0.03, 1.03)
    whole = (0.75 * score.mean(-1) + 0.25 * rng.random((n, 1)))[..., None]
    person = np.concatenate([np.concatenate([joints / unit, score[..., None]], -1).reshape(n, T, 3 * J), low, high, whole], -1)

    worse = np.exp(rng.normal(0, 0.7, (n, 1)))
    lost = (e.lost + (e.lost_lying - e.lost) * lying) * worse
    lost = np.where(size < 0.1, e.lost_small, lost) + 0.9 * (share < 0.25) + 0.35 * ((share >= 0.25) & (share < 0.5))
    seen = ~spells(rng, np.clip(lost, 0, 0.995), 5) & (share > 0.12) & (size > 0.04)
    return person, seen


def pretend_scene(rng, person, flat, before):
    """A motion grid that goes with the skeleton: cells of the box move as the joints do. Half of the windows have none."""
    scene = np.zeros((len(person), T, config.SCENE), np.float32)
    some = np.flatnonzero(rng.random(len(person)) < 0.5)
    n, (rows, cols) = len(some), config.GRID
    box = person[some][..., 3 * J : 3 * J + 4].astype(np.float32)

    def cover(low, high, count):
        start = np.arange(count, dtype=np.float32) / count
        return np.clip(np.minimum(high, start + np.float32(1 / count)) - np.maximum(low, start), 0, None) * count

    inside = cover(box[..., :1], box[..., 2:3], rows)[..., None] * cover(box[..., 1:2], box[..., 3:4], cols)[..., None, :]
    speed = np.zeros((n, T), np.float32)
    speed[:, 1:] = np.abs(np.diff(np.clip(flat[some], 0, 1), axis=1)).mean((2, 3))
    gain = np.exp(rng.normal(1.6, 0.6, (n, 1))).astype(np.float32)
    moved = inside * np.clip(speed * gain, 0, 0.6)[..., None, None] * (0.4 + 1.2 * rng.random((n, T, rows, cols), np.float32))
    restless = np.flatnonzero(rng.random(n) < 0.3)                      # leaves, screens, noise
    moved[restless] += 0.01 * rng.standard_exponential((len(restless), T, rows, cols), np.float32)
    light = rng.uniform(0.1, 0.8, (n, 1, rows, cols)).astype(np.float32) + inside * rng.normal(0, 0.15, (n, 1, 1, 1)).astype(np.float32)
    both = np.stack([moved, light.clip(0.01, 1)], 2).reshape(n, T, -1)
    scene[some] = both * ~before[some][..., None]
    return scene
