"""What a scenario works with and what it gives back: props with their solid boxes, actors, takes and labels.

Labels are decided here, once, for every scenario:

- `fall` from the loss of balance until the body has come to rest, at the latest 1 s after pelvis, chest or head first
  touched the floor; then `fallen` while the person lies, sits or kneels after it; `normal` again from upright on.
- `climb` from the moment the first foot or knee leaves the floor for the object, while up there, until both feet are
  down again.
- Everything else is `normal`, lying down on purpose included.
"""

from dataclasses import dataclass, field

import numpy as np

from .body import PART, Body, joint_positions, probes
from .pose import ahead, left
from .story import RATE

NORMAL, FALL, FALLEN, CLIMB = 0, 1, 2, 3
LABELS = ("normal", "fall", "fallen", "climb")
_TOUCH = 0.035
_TRUNK = [PART["pelvis"], PART["abdomen"], PART["chest"], PART["head"]]


@dataclass
class Prop:
    """A thing in the room. `size` = (width along `left(yaw)`, depth along `ahead(yaw)`, height); for what one sits on
    the height is that of the seat. `look` seeds its colour and details."""

    kind: str
    xy: np.ndarray
    yaw: float
    size: tuple[float, float, float]
    look: int = 0
    solid: bool = True

    def spot(self, side: float = 0.0, front: float = 0.0) -> np.ndarray:
        """A place [2] in the prop's own axes, metres to its left and to its front."""
        return np.array(self.xy) + left(self.yaw)[:2] * side + ahead(self.yaw)[:2] * front

    def boxes(self) -> list[tuple[np.ndarray, np.ndarray, float]]:
        """Solid boxes (centre, half size, yaw) that bodies collide with and that hide things."""
        w, d, h = self.size

        def box(side, front, up, hw, hd, hh):
            return np.array([*self.spot(side, front), up]), np.array([hw, hd, hh]), self.yaw

        if not self.solid:
            return []
        if self.kind in ("chair", "armchair", "sofa"):
            back = {"chair": 0.46, "armchair": 0.42, "sofa": 0.38}[self.kind]
            thick = 0.02 if self.kind == "chair" else 0.1
            parts = [
                box(0, 0, h / 2, w / 2, d / 2, h / 2),
                box(0, -d / 2 + thick, h + back / 2, w / 2, thick, back / 2),
            ]
            if self.kind != "chair":
                parts += [box(s * (w / 2 - 0.07), 0, (h + 0.18) / 2, 0.07, d / 2, (h + 0.18) / 2) for s in (-1, 1)]
            return parts
        if self.kind == "bed":
            return [box(0, 0, h / 2, w / 2, d / 2, h / 2), box(-w / 2 - 0.03, 0, 0.42, 0.03, d / 2, 0.42)]
        if self.kind in ("table", "desk"):
            legs = [
                box(a * (w / 2 - 0.05), b * (d / 2 - 0.05), h / 2, 0.03, 0.03, h / 2) for a in (-1, 1) for b in (-1, 1)
            ]
            return [box(0, 0, h - 0.02, w / 2, d / 2, 0.02), *legs]
        if self.kind == "shelf":
            levels = max(2, int(h / 0.36))
            return (
                [box(0, 0, h * k / levels, w / 2, d / 2, 0.015) for k in range(levels + 1)]
                + [box(s * w / 2, 0, h / 2, 0.015, d / 2, h / 2) for s in (-1, 1)]
                + [box(0, -d / 2, h / 2, w / 2, 0.01, h / 2)]
            )
        if self.kind == "ladder":
            rungs = int(h / 0.28)
            return [box(0, 0, 0.28 * (k + 1), w / 2, 0.015, 0.015) for k in range(rungs)] + [
                box(s * w / 2, 0, h / 2, 0.02, 0.03, h / 2) for s in (-1, 1)
            ]
        if self.kind == "step":
            return [box(0, 0, h - 0.02, w / 2, d / 2, 0.02), box(0, 0, h / 2, 0.025, 0.025, h / 2)]
        if self.kind == "rail":
            bars = max(4, int(w / 0.12))
            return [box(0, 0, h - 0.025, w / 2, 0.025, 0.025)] + [
                box((k / (bars - 1) - 0.5) * w, 0, h / 2, 0.012, 0.012, h / 2) for k in range(bars)
            ]
        return [box(0, 0, h / 2, w / 2, d / 2, h / 2)]


@dataclass
class Actor:
    """One person through the take: `turn` [T,19,3,3], `root` [T,3], `labels` u8 [T]; times in seconds or None."""

    body: Body
    turn: np.ndarray
    root: np.ndarray
    labels: np.ndarray
    fall_start: float | None = None
    contact: float | None = None


@dataclass
class Take:
    """A played scene at 30 frames a second. The first actor is the one it is about. `toward` is the way (heading in
    degrees) in which the scene moves, for cameras that want to see it coming."""

    actors: list[Actor]
    props: list[Prop] = field(default_factory=list)
    toward: float = 0.0


@dataclass
class Cast:
    """The means of a scenario: who plays, chance, and how long the clip lasts."""

    body: Body
    rng: np.random.Generator
    seconds: float

    @property
    def frames(self) -> int:
        return int(round(self.seconds * RATE))

    @property
    def old(self) -> bool:
        return self.body.kind == "elderly"

    @property
    def stoop(self) -> float:
        return float(self.rng.uniform(8, 26)) if self.old else float(self.rng.uniform(0, 8))

    @property
    def pace(self) -> float:
        """Walking speed in m/s."""
        low, high = {"elderly": (0.35, 0.8), "adult": (0.7, 1.35), "child": (0.5, 1.2), "toddler": (0.3, 0.7)}[
            self.body.kind
        ]
        return float(self.rng.uniform(low, high))

    @property
    def gait(self) -> dict:
        u = self.rng.uniform
        if self.old:
            return dict(step=u(0.3, 0.52), width=u(0.16, 0.26), lift=u(0.02, 0.04), swing=u(4, 14))
        return dict(step=u(0.5, 0.72), width=u(0.12, 0.2), lift=u(0.04, 0.08), swing=u(12, 30))

    def pick(self, *options):
        return options[int(self.rng.integers(len(options)))]


def fit(frames: int, *arrays: np.ndarray) -> list[np.ndarray]:
    """Arrays cut or held at their last row to exactly `frames` rows."""
    out = []
    for a in arrays:
        a = a[:frames]
        out.append(np.concatenate([a, np.repeat(a[-1:], frames - len(a), 0)]) if len(a) < frames else a)
    return out


def normal_actor(body: Body, turn: np.ndarray, root: np.ndarray) -> Actor:
    return Actor(body, turn, root, np.zeros(len(root), np.uint8))


def climb_labels(frames: int, spans: list[tuple[float, float]]) -> np.ndarray:
    """Labels with `climb` in the given spans of seconds."""
    labels = np.zeros(frames, np.uint8)
    for start, end in spans:
        labels[int(round(start * RATE)) : int(round(end * RATE))] = CLIMB
    return labels


def fall_labels(
    body: Body, turn: np.ndarray, root: np.ndarray, release: int, upright: int | None
) -> tuple[np.ndarray, int]:
    """Labels [T] of a fall that begins at frame `release` and the frame of first floor contact. `upright` is the frame
    from which the person stands again, if it happens."""
    touch = probes(body, turn[release:], root[release:])
    trunk = touch[:, np.isin(body.probe_part, _TRUNK)][..., 2].min(1) < _TOUCH
    place = joint_positions(body, turn[release:], root[release:])
    low = place[:, PART["chest"], 2] < 0.35 * body.height
    found = np.flatnonzero(trunk) if trunk.any() else np.flatnonzero(low)
    contact = int(found[0]) if len(found) else len(touch) - 1
    speed = np.linalg.norm(np.diff(place, axis=0, prepend=place[:1]), axis=2).mean(1) * RATE
    calm = np.flatnonzero(speed[contact:] < 0.3)
    rest = min(contact + (int(calm[0]) if len(calm) else RATE), contact + RATE)
    labels = np.zeros(len(root), np.uint8)
    labels[release : release + rest] = FALL
    labels[release + rest :] = FALLEN
    if upright is not None:
        labels[upright:] = NORMAL
    return labels, release + contact


def breathe(actor: Actor, rng: np.random.Generator, amount: float) -> None:
    """Small movements of trunk, head and arms that no living body is without, asleep or fallen."""
    from scipy.ndimage import gaussian_filter1d
    from scipy.spatial.transform import Rotation

    frames = len(actor.root)
    for part, size in (("chest", 0.8), ("head", 1.6), ("uarmL", 1.2), ("uarmR", 1.2), ("farmL", 1.6), ("farmR", 1.6)):
        noise = gaussian_filter1d(rng.normal(size=(frames, 3)), RATE * 0.6, axis=0, mode="reflect") * 8 * size * amount
        step = Rotation.from_rotvec(noise, degrees=True).as_matrix()
        actor.turn[:, PART[part]] = step @ actor.turn[:, PART[part]]
