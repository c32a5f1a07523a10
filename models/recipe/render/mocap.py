"""Motion capture (CMU, ASF/AMC at 120 Hz) played by our bodies: real everyday movement and real climbing.

Subject 01 climbs playground equipment, subject 02 walks, bends, jumps and plays. Without the folder everything
else still works; scenarios that want it fall back to their procedural relatives.
Acknowledgement: mocap.cs.cmu.edu, created with funding from NSF EIA-0196217.
"""

import csv
import re
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from resume import whole

from .body import PART, PARTS, Body, joint_positions, probes
from .pose import rot_z
from .stage import CLIMB, Actor, Cast, Prop, Take, breathe, fit
from .story import RATE

_TO_OURS = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
_BONES = dict(pelvis="root", abdomen="lowerback", chest="thorax", neck="lowerneck", head="head")
for _s, _l in (("L", "l"), ("R", "r")):
    _BONES |= {
        "clav" + _s: _l + "clavicle",
        "uarm" + _s: _l + "humerus",
        "farm" + _s: _l + "radius",
        "hand" + _s: _l + "wrist",
        "thigh" + _s: _l + "femur",
        "shin" + _s: _l + "tibia",
        "foot" + _s: _l + "foot",
    }
_NEXT = {
    a + s: b + s for s in "LR" for a, b in (("uarm", "farm"), ("farm", "hand"), ("thigh", "shin"), ("shin", "foot"))
}
_SWAP = [PART[p[:-1] + {"L": "R", "R": "L"}[p[-1]]] if p[-1] in "LR" else PART[p] for p in PARTS]
CLIMBING = {"train": [f"01_{k:02d}" for k in range(2, 11)], "valid": ["01_11", "01_12"], "test": ["01_13"]}
MOVING = {"train": ["02_04", "02_05", "02_06", "02_07", "02_10"], "valid": ["02_08"], "test": ["02_09"]}


class Library:
    """The trials of a folder `cmu/SS/SS_TT.amc`, read when first wanted and kept in `cache`."""

    def __init__(self, folder: Path, cache: Path):
        self.folder, self.cache, self.known, self.skeletons = Path(folder), Path(cache), {}, {}
        self.segments: dict[str, list[tuple[float, float]]] = {}
        table = self.folder / "climb_segments.csv"
        if table.exists():
            for row in csv.DictReader(table.open()):
                if row["kind"] == "feet_off_ground" and float(row["root_rise_m"]) > 0.3:
                    span = int(row["start_frame_120fps"]) / 120, int(row["end_frame_120fps"]) / 120
                    self.segments.setdefault(row["file"][:5], []).append(span)

    def __bool__(self) -> bool:
        return (self.folder / "cmu").exists()

    def motion(self, trial: str, body: Body) -> tuple[np.ndarray, np.ndarray]:
        """Part rotations [T,19,3,3] and pelvis places [T,3] of a trial at 30 frames a second, standing on z = 0."""
        bones, turns, places = self._read(trial)
        turn = np.empty((len(places), len(PARTS), 3, 3))
        for part in PARTS:
            i, fit_turn = PART[part], np.eye(3)
            if part in _NEXT:
                ours = body.joints[PART[_NEXT[part]]] - body.joints[i]
                fit_turn = _shortest(ours, _TO_OURS @ bones[_BONES[part]]["direction"])
            source = "farm" + part[-1] if part.startswith("hand") else part
            turn[:, i] = turn[:, PART[source]] if source != part else turns[part] @ fit_turn
        leg = bones["lfemur"]["length"] + bones["ltibia"]["length"]
        root = places * ((body.bone("thighL", "shinL") + body.bone("shinL", "footL")) / leg)
        floor = np.percentile(probes(body, turn[::4], root[::4])[..., 2].min(1), 3)
        return turn, root - [0, 0, floor]

    def _read(self, trial: str):
        if trial not in self.known:
            subject = trial[:2]
            if subject not in self.skeletons:
                self.skeletons[subject] = _skeleton(self.folder / "cmu" / subject / f"{subject}.asf")
            bones, parents = self.skeletons[subject]
            store = self.cache / f"cmu-{trial}.npz"
            if not store.exists():
                turns, places = _world_turns(bones, parents, self.folder / "cmu" / subject / f"{trial}.amc")
                with whole(store) as part:
                    np.savez_compressed(part, places=places, **turns)
            data = np.load(store)
            self.known[trial] = bones, {p: data[p] for p in PARTS}, data["places"]
        return self.known[trial]


def _skeleton(path: Path) -> tuple[dict, dict]:
    """Bones (direction, length, axis, degrees of freedom) and each bone's parent."""
    text, bones, parents = path.read_text(), {}, {}
    for block in re.findall(r"begin\s(.*?)end", text.split(":bonedata")[1].split(":hierarchy")[0], re.S):
        words = {line.split()[0]: line.split()[1:] for line in block.splitlines() if line.split()}
        bones[words["name"][0]] = dict(
            direction=np.array(words["direction"], float),
            length=float(words["length"][0]),
            axis=np.array(words["axis"][:3], float),
            dof=words.get("dof", []),
        )
    for line in text.split(":hierarchy")[1].splitlines():
        words = line.split()
        if len(words) > 1:
            parents |= {child: words[0] for child in words[1:]}
    return bones, parents


def _world_turns(bones, parents, path: Path) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """World rotations [T,3,3] of each part and root places [T,3], every fourth frame, in our axes."""
    frames, current = [], None
    for line in path.read_text().splitlines():
        words = line.split()
        if len(words) == 1 and words[0].isdigit():
            current = {} if (int(words[0]) - 1) % 4 == 0 else None
            if current is not None:
                frames.append(current)
        elif current is not None and len(words) > 1:
            current[words[0]] = np.array(words[1:], float)
    root = np.array([f["root"] for f in frames])
    world = {"root": Rotation.from_euler("xyz", root[:, 3:], degrees=True).as_matrix()}

    def turn_of(name: str) -> np.ndarray:
        if name not in world:
            bone = bones[name]
            own = np.tile(np.eye(3), (len(frames), 1, 1))
            if bone["dof"] and name in frames[0]:
                values, angles = np.array([f[name] for f in frames]), np.zeros((len(frames), 3))
                for k, dof in enumerate(bone["dof"]):
                    angles[:, "xyz".index(dof[1])] = values[:, k]
                axis = Rotation.from_euler("xyz", bone["axis"], degrees=True).as_matrix()
                own = axis @ Rotation.from_euler("xyz", angles, degrees=True).as_matrix() @ axis.T
            world[name] = turn_of(parents[name]) @ own
        return world[name]

    return {p: _TO_OURS @ turn_of(_BONES[p]) @ _TO_OURS.T for p in PARTS}, root[:, :3] @ _TO_OURS.T


def _shortest(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The smallest rotation that takes direction a to direction b."""
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    axis = np.cross(a, b)
    s = np.linalg.norm(axis)
    return Rotation.from_rotvec(axis / (s + 1e-9) * np.arctan2(s, a @ b)).as_matrix()


def _window(cast: Cast, turn, root, start: float, speed: float, mirror: bool):
    """`cast.frames` frames from second `start` at `speed`, turned to a random heading, the middle at the origin."""
    index = np.clip(np.round((start + np.arange(cast.frames) / RATE * speed) * RATE).astype(int), 0, len(root) - 1)
    turn, root = turn[index], root[index].copy()
    if mirror:
        flip = np.diag([-1.0, 1, 1])
        turn, root = flip @ turn[:, _SWAP] @ flip, root * [-1, 1, 1]
    middle = (root[:, :2].min(0) + root[:, :2].max(0)) / 2
    root[:, :2] -= middle
    spun = rot_z(cast.rng.uniform(0, 360))
    return spun @ turn, root @ spun.T


def _speed(cast: Cast) -> float:
    return float(cast.rng.uniform(0.6, 0.9) if cast.old else cast.rng.uniform(0.85, 1.2))


def move(cast: Cast, library: Library, split: str) -> Take:
    """A stretch of real everyday movement; everything in it is normal."""
    rng = cast.rng
    trial = cast.pick(*MOVING[split])
    turn, root = library.motion(trial, cast.body)
    speed = _speed(cast)
    start = rng.uniform(0, max(0.01, len(root) / RATE - cast.seconds * speed))
    turn, root = _window(cast, turn, root, start, speed, rng.random() < 0.5)
    actor = Actor(cast.body, turn, root, np.zeros(cast.frames, np.uint8))
    breathe(actor, rng, rng.uniform(0.1, 0.6))
    return Take([actor])


def climb(cast: Cast, library: Library, split: str) -> Take:
    """A real ascent, with steps under the feet wherever they rest above the floor."""
    rng = cast.rng
    trial = cast.pick(*(t for t in CLIMBING[split] if t in library.segments))
    turn, root = library.motion(trial, cast.body)
    spans, speed = library.segments[trial], _speed(cast)
    first = spans[int(rng.integers(len(spans)))]
    start = max(0.0, first[0] - rng.uniform(0.8, max(0.9, cast.seconds * 0.5)) * speed)
    turn, root = _window(cast, turn, root, start, speed, rng.random() < 0.5)
    labels = np.zeros(cast.frames, np.uint8)
    for a, b in spans:
        labels[max(0, int((a - start) / speed * RATE)) : max(0, int((b - start) / speed * RATE))] = CLIMB
    turn, root, labels = fit(cast.frames, turn, root, labels)
    actor = Actor(cast.body, turn, root, labels)
    steps = _steps(cast, turn, root)
    breathe(actor, rng, rng.uniform(0.1, 0.6))
    return Take([actor], steps)


def _steps(cast: Cast, turn, root) -> list[Prop]:
    """A small step under each place where a foot rests above the floor."""
    body, look = cast.body, int(cast.rng.integers(1 << 16))
    feet = joint_positions(body, turn, root)[:, [PART["footL"], PART["footR"]]]
    sole = np.stack(
        [probes(body, turn, root)[:, body.probe_part == PART[f]][..., 2].min(1) for f in ("footL", "footR")], 1
    )
    slow = np.linalg.norm(np.gradient(feet, axis=0), axis=2) * RATE < 0.18
    found: list[np.ndarray] = []
    for frame, side in zip(*np.nonzero(slow & (sole > 0.14))):
        spot = np.array([*feet[frame, side, :2], sole[frame, side]])
        if all(np.linalg.norm(spot - f) > 0.2 for f in found):
            found.append(spot)
    return [Prop("step", s[:2], 0.0, (0.28, 0.28, float(s[2])), look) for s in found[:12]]
