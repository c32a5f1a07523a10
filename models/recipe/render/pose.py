"""Key poses and the inverse kinematics that turns them into part rotations, a whole track of frames at once.

A pose is a dictionary of the fields in `LAYOUT`; a track is an array [T, WIDTH] of such poses laid flat. Angles are
degrees, places metres in the world. Fields that blend two ways of saying a thing are weights from 0 to 1:
`leg_free` 0 pins the ankle at `foot`, 1 hangs the leg from the pelvis by `leg` = (flexion, abduction, knee bend);
`foot_follow` 0 keeps the foot at `foot_yaw` and `foot_pitch` in the world, 1 lets it follow the shin; `hand_fix` 0
hangs the arm from the chest by `arm` = (flexion, abduction, elbow bend), 1 puts the wrist at `hand`.
"""

import numpy as np
from scipy.spatial.transform import Rotation

from .body import PARENT, PART, PARTS, Body, probes

_SIDE = (
    ("foot", 3),
    ("foot_yaw", 1),
    ("foot_pitch", 1),
    ("knee_out", 1),
    ("leg", 3),
    ("leg_free", 1),
    ("foot_follow", 1),
    ("hand", 3),
    ("hand_fix", 1),
    ("arm", 3),
)
_FIELDS = (
    ("pelvis", 3),
    ("spin", 4),
    ("bend", 1),
    ("lean", 1),
    ("twist", 1),
    ("head", 1),
    ("head_yaw", 1),
    *((name + side, width) for side in "LR" for name, width in _SIDE),
)
LAYOUT: dict[str, slice] = {}
WIDTH = 0
for _name, _width in _FIELDS:
    LAYOUT[_name] = slice(WIDTH, WIDTH + _width)
    WIDTH += _width
_SIGN = {"L": 1.0, "R": -1.0}


def _about(axis: int, deg) -> np.ndarray:
    """Rotations [...,3,3] about one world axis by `deg` [...]."""
    deg = np.radians(np.asarray(deg, float))
    c, s = np.cos(deg), np.sin(deg)
    turn = np.zeros(deg.shape + (3, 3))
    i, j = (axis + 1) % 3, (axis + 2) % 3
    turn[..., axis, axis] = 1
    turn[..., i, i] = turn[..., j, j] = c
    turn[..., i, j], turn[..., j, i] = -s, s
    return turn


def rot_x(deg) -> np.ndarray:
    return _about(0, deg)


def rot_y(deg) -> np.ndarray:
    return _about(1, deg)


def rot_z(deg) -> np.ndarray:
    return _about(2, deg)


def ahead(yaw: float) -> np.ndarray:
    """Unit vector that a person with this heading looks along."""
    return rot_z(yaw) @ np.array([0.0, -1.0, 0.0])


def left(yaw: float) -> np.ndarray:
    return rot_z(yaw) @ np.array([1.0, 0.0, 0.0])


def spin(yaw: float = 0, pitch: float = 0, roll: float = 0) -> np.ndarray:
    """Pelvis orientation: lean forward by `pitch`, tip towards the own left by `roll`, then turn to `yaw`."""
    return Rotation.from_matrix(rot_z(yaw) @ rot_y(roll) @ rot_x(pitch)).as_quat()


def flat(pose: dict) -> np.ndarray:
    """A pose as one row [WIDTH]; what the pose leaves open is NaN."""
    row = np.full(WIDTH, np.nan)
    for name, value in pose.items():
        row[LAYOUT[name]] = value
    return row


def standing(body: Body, xy=(0.0, 0.0), yaw: float = 0.0, stoop: float = 4.0, **changes) -> dict:
    """Upright at `xy` with hanging arms; every field is set, so other poses start from this one."""
    base = np.array([xy[0], xy[1], 0.0])
    turn = rot_z(yaw)
    pose = dict(
        pelvis=base + [0, 0, body.joints[0][2] * 0.985],
        spin=spin(yaw, 2),
        bend=stoop,
        lean=0,
        twist=0,
        head=-0.4 * stoop,
        head_yaw=0,
    )
    for side, sign in _SIGN.items():
        ankle = body.joints[PART["foot" + side]] * [0.62, 1, 1] - body.joints[0] * [1, 1, 0]
        pose |= {
            f"foot{side}": base + turn @ ankle,
            f"foot_yaw{side}": yaw + 8 * sign,
            f"foot_pitch{side}": 0,
            f"knee_out{side}": 6,
            f"leg{side}": (5, 4, 10),
            f"leg_free{side}": 0,
            f"foot_follow{side}": 0,
            f"hand{side}": (np.nan,) * 3,
            f"hand_fix{side}": 0,
            f"arm{side}": (4, 8, 18),
        }
    return pose


def fill(track: np.ndarray) -> np.ndarray:
    """Open (NaN) places take the value of the nearest earlier frame, else the nearest later one, else the pelvis."""
    track = track.copy()
    for column in range(WIDTH):
        known = np.flatnonzero(np.isfinite(track[:, column]))
        if len(known) == len(track):
            continue
        if not len(known):
            track[:, column] = 0.0
            continue
        source = known[np.clip(np.searchsorted(known, np.arange(len(track)), side="right") - 1, 0, None)]
        track[:, column] = track[source, column]
    return track


def _unit(v: np.ndarray) -> np.ndarray:
    return v / (np.linalg.norm(v, axis=-1, keepdims=True) + 1e-9)


def _basis(along: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Orthonormal frames [...,3,3] with first column `along` and second column near `normal`."""
    a = _unit(along)
    n = _unit(normal - a * (a * normal).sum(-1, keepdims=True))
    return np.stack([a, n, np.cross(a, n)], -1)


def _two_bones(start, target, upper, lower, pole):
    """Middle and end joint of a chain that reaches for `target` and bends towards `pole`, and its hinge axis."""
    reach = target - start
    length = np.linalg.norm(reach, axis=-1, keepdims=True)
    d = reach / (length + 1e-9)
    length = np.clip(length, abs(upper - lower) + 0.02 * upper, (upper + lower) * 0.999)
    cosine = (upper**2 + length**2 - lower**2) / (2 * upper * length)
    sine = np.sqrt(np.maximum(0, 1 - cosine**2))
    out = _unit(pole - d * (d * pole).sum(-1, keepdims=True))
    return start + upper * (cosine * d + sine * out), start + length * d, -np.cross(d, out)


def _limb_end(frame, angles, sign, upper, lower):
    """Where a limb of given (flexion, abduction, bend) ends, relative to its root, in world axes."""
    flex, abduct = np.radians(angles[:, 0]), np.radians(angles[:, 1])
    d = np.stack([sign * np.sin(abduct) * np.cos(flex), -np.sin(flex), -np.cos(flex) * np.cos(abduct)], -1)
    span = np.sqrt(upper**2 + lower**2 + 2 * upper * lower * np.cos(np.radians(angles[:, 2])))
    return (frame @ (_unit(d) * span[:, None])[..., None])[..., 0]


def _above_floor(points: np.ndarray, height: float) -> np.ndarray:
    return np.concatenate([points[:, :2], np.maximum(points[:, 2:], height)], 1)


def elbow_axis(body: Body, side: str) -> np.ndarray:
    j = body.joints
    n = np.cross(j[PART["farm" + side]] - j[PART["uarm" + side]], j[PART["hand" + side]] - j[PART["farm" + side]])
    return n / np.linalg.norm(n)


def blend_turns(a: np.ndarray, b: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Rotations [...,3,3] part of the way from a to b along the shortest arc; `weight` broadcasts over [...]."""
    shape = np.broadcast_shapes(a.shape, b.shape)
    a, b = np.broadcast_to(a, shape).reshape(-1, 3, 3), np.broadcast_to(b, shape).reshape(-1, 3, 3)
    w = np.broadcast_to(weight, shape[:-2]).reshape(-1, 1)
    start = Rotation.from_matrix(a)
    step = (start.inv() * Rotation.from_matrix(b)).as_rotvec()
    return (start * Rotation.from_rotvec(step * w)).as_matrix().reshape(shape)


def solve(body: Body, track: np.ndarray, grounded: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Part rotations [T,19,3,3] and pelvis places [T,3] of a track [T,WIDTH]. With `grounded` the body is lifted
    wherever it would sink into the floor."""
    field = {name: track[:, where] for name, where in LAYOUT.items()}
    frames, j = len(track), body.joints
    turn = np.tile(np.eye(3), (frames, len(PARTS), 1, 1))
    place = np.zeros((frames, len(PARTS), 3))
    hips = Rotation.from_quat(field["spin"]).as_matrix()
    half = np.concatenate([field["bend"], field["lean"], field["twist"]], 1) / 2
    step = Rotation.from_euler("xyz", half, degrees=True).as_matrix()
    turn[:, 0], turn[:, PART["abdomen"]] = hips, hips @ step
    chest = turn[:, PART["chest"]] = turn[:, PART["clavL"]] = turn[:, PART["clavR"]] = hips @ step @ step
    nod = field["head"][:, 0]
    turn[:, PART["neck"]] = chest @ rot_x(nod / 2)
    look = np.stack([field["head_yaw"][:, 0], nod], 1)
    turn[:, PART["head"]] = chest @ Rotation.from_euler("zx", look, degrees=True).as_matrix()
    place[:, 0] = field["pelvis"]
    for name in ("abdomen", "chest", "clavL", "clavR", "uarmL", "uarmR", "thighL", "thighR"):
        i, p = PART[name], PARENT[PART[name]]
        place[:, i] = place[:, p] + turn[:, p] @ (j[i] - j[p])
    for side, sign in _SIGN.items():
        _solve_leg(body, field, turn, place, hips, side, sign)
        _solve_arm(body, field, turn, place, chest, side, sign)
    root = place[:, 0].copy()
    if grounded:
        root = settle_on_floor(body, turn, root)
    return turn, root


def _solve_leg(body, field, turn, place, hips, side, sign):
    names = ["thigh" + side, "shin" + side, "foot" + side]
    hip, knee, ankle = (body.joints[PART[n]] for n in names)
    upper, lower = body.bone(names[0], names[1]), body.bone(names[1], names[2])
    start, free = place[:, PART[names[0]]], field["leg_free" + side]
    hung = start + _limb_end(hips, field["leg" + side], sign, upper, lower)
    target = _above_floor(field["foot" + side] * (1 - free) + hung * free, 0.05 * body.scale)
    yaw = field["foot_yaw" + side][:, 0]
    out = rot_z(yaw + sign * field["knee_out" + side][:, 0]) @ np.array([0, -1.0, 0])
    pole = out * (1 - free) + hips @ np.array([0, -0.6, 0]) + np.array([0, 0, 0.3]) * (1 - free)
    middle, end, hinge = _two_bones(start, target, upper, lower, pole)
    axis = np.array([1.0, 0, 0])
    turn[:, PART[names[0]]] = _basis(middle - start, hinge) @ _basis(knee - hip, axis).T
    shin = turn[:, PART[names[1]]] = _basis(end - middle, hinge) @ _basis(ankle - knee, axis).T
    pitch = rot_x(field["foot_pitch" + side][:, 0])
    turn[:, PART[names[2]]] = blend_turns(rot_z(yaw) @ pitch, shin @ pitch, field["foot_follow" + side][:, 0])


def _solve_arm(body, field, turn, place, chest, side, sign):
    names = ["uarm" + side, "farm" + side, "hand" + side]
    shoulder, elbow, wrist = (body.joints[PART[n]] for n in names)
    upper, lower = body.bone(names[0], names[1]), body.bone(names[1], names[2])
    start, fix = place[:, PART[names[0]]], field["hand_fix" + side]
    hung = start + _limb_end(chest, field["arm" + side], sign, upper, lower) * 0.999
    target = _above_floor(hung * (1 - fix) + field["hand" + side] * fix, 0.04 * body.scale)
    middle, end, hinge = _two_bones(start, target, upper, lower, chest @ np.array([sign * 0.5, 1.0, -0.3]))
    axis = elbow_axis(body, side)
    turn[:, PART[names[0]]] = _basis(middle - start, hinge) @ _basis(elbow - shoulder, axis).T
    turn[:, PART[names[1]]] = _basis(end - middle, hinge) @ _basis(wrist - elbow, axis).T
    turn[:, PART[names[2]]] = turn[:, PART[names[1]]]


def settle_on_floor(body: Body, turn: np.ndarray, root: np.ndarray) -> np.ndarray:
    """Pelvis places lifted so that trunk and head do not sink into the floor; limbs lift the body by a few centimetres
    at most, since a limb on its way must not throw the body up."""
    height = probes(body, turn, root)[..., 2]
    trunk = np.isin(body.probe_part, [PART[p] for p in ("pelvis", "abdomen", "chest", "neck", "head")])
    sunk, limb = -height[:, trunk].min(1), -height[:, ~trunk].min(1)
    lifted = root.copy()
    lifted[:, 2] += np.maximum(0, np.maximum(sunk, np.minimum(limb, 0.05 * body.scale)))
    return lifted
