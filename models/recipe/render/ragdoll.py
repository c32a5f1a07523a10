"""Falls as physics: a MuJoCo body with joint motors that can hold a pose, weaken, protect, and go limp.

The model is built at the body's own joints with identity rest frames, so what the simulator calls a body's rotation is
the part rotation used everywhere else, and nothing has to be retargeted.
"""

from dataclasses import dataclass, field

import mujoco
import numpy as np
from scipy.spatial.transform import Rotation

from .body import PARENT, PART, PARTS, Body
from .pose import elbow_axis

STEP = 0.0025
_HINGES = ("shinL", "shinR", "farmL", "farmR")
_STIFF = dict(
    abdomen=500, chest=400, neck=40, head=25, clav=150, uarm=70, farm=40, hand=4, thigh=350, shin=250, foot=60
)
_CONE = dict(abdomen=42, chest=30, neck=32, head=32, clav=20, uarm=130, hand=50, thigh=118, foot=42)


def _kind(part: str) -> str:
    return part[:-1] if part[-1] in "LR" else part


@dataclass
class Effort:
    """How hard the body works against its fall. Times are seconds after the loss of balance.

    The pelvis is carried until then and for `carry` seconds more, fading; the joint motors fade from full strength to
    `strength` within `weaken`, and to `slack` once `limp` has passed. `pushes` are (part, acceleration [3]) of the
    body's mass that act for `push_time`. `legs` strengthens the legs against buckling. A share `stretch` of the full
    strength straightens hips, knees and back once the body is limp, for two seconds: people who have fallen seldom
    stay folded.
    """

    carry: float = 0.12
    strength: float = 0.35
    weaken: float = 0.35
    limp: float = 1.0
    slack: float = 0.12
    push_time: float = 0.3
    pushes: list = field(default_factory=list)
    legs: float = 1.0
    stretch: float = 0.0


class Ragdoll:
    """One body among fixed boxes (centre [3], half size [3], yaw in degrees) on a floor at z = 0."""

    def __init__(self, body: Body, boxes=(), friction: float = 0.8, box_friction: float = 0.6):
        self.body = body
        self.model = mujoco.MjModel.from_xml_string(_mjcf(body, boxes, friction, box_friction))
        self.data = mujoco.MjData(self.model)
        self.mass = float(self.model.body_mass.sum())
        self.size = self.mass / 75 * body.height / 1.75
        self.ids = [self.model.body(p).id for p in PARTS]
        self.balls = [p for p in PARTS[1:] if p not in _HINGES]
        at = {p: (self.model.joint(p).qposadr[0], self.model.joint(p).dofadr[0]) for p in PARTS[1:]}
        self.ball_q = np.array([[at[p][0] + k for k in range(4)] for p in self.balls])
        self.ball_d = np.array([[at[p][1] + k for k in range(3)] for p in self.balls])
        self.hinge_q = np.array([at[p][0] for p in _HINGES])
        self.hinge_d = np.array([at[p][1] for p in _HINGES])
        self.ball_k = np.array([_STIFF[_kind(p)] * self.size for p in self.balls])
        self.ball_leg = np.array([_kind(p) in ("thigh", "foot") for p in self.balls])
        self.ball_stretch = np.array([_kind(p) in ("thigh", "abdomen", "chest") for p in self.balls])
        self.hinge_leg = np.array([_kind(p) == "shin" for p in _HINGES])
        self.hinge_k = np.array([_STIFF[_kind(p)] * self.size for p in _HINGES])
        self.hinge_axis = np.array([[1.0, 0, 0] if p.startswith("shin") else elbow_axis(body, p[-1]) for p in _HINGES])

    def locals(self, turn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Joint targets of part rotations [T,19,3,3]: ball quaternions [T,B,4] (w first), hinge angles [T,4]."""
        rel = np.swapaxes(turn[:, PARENT[1:]], -1, -2) @ turn[:, 1:]
        index = {p: i for i, p in enumerate(PARTS[1:])}
        balls = rel[:, [index[p] for p in self.balls]]
        quat = Rotation.from_matrix(balls.reshape(-1, 3, 3)).as_quat()[:, [3, 0, 1, 2]].reshape(*balls.shape[:2], 4)
        hinges = rel[:, [index[p] for p in _HINGES]]
        vec = Rotation.from_matrix(hinges.reshape(-1, 3, 3)).as_rotvec().reshape(*hinges.shape[:2], 3)
        return quat, (vec * self.hinge_axis).sum(-1)

    def place(self, quat, hinge, root, pelvis) -> None:
        d = self.data
        d.qpos[:3], d.qpos[3:7] = root, Rotation.from_matrix(pelvis).as_quat()[[3, 0, 1, 2]]
        d.qpos[self.ball_q], d.qpos[self.hinge_q] = quat, hinge
        d.qvel[:] = 0
        mujoco.mj_forward(self.model, d)

    def _drive(self, quat, hinge, gain_ball, gain_hinge, damping) -> None:
        d, now = self.data, self.data.qpos[self.ball_q]
        w = now[:, 0] * quat[:, 0] + (now[:, 1:] * quat[:, 1:]).sum(1)
        v = now[:, :1] * quat[:, 1:] - quat[:, :1] * now[:, 1:] - np.cross(now[:, 1:], quat[:, 1:])
        v *= np.where(w < 0, -1, 1)[:, None]
        n = np.sqrt((v * v).sum(1))
        error = v * (2 * np.arctan2(n, abs(w)) / (n + 1e-9))[:, None]
        d.qfrc_applied[self.ball_d] = (gain_ball * self.ball_k)[:, None] * error
        d.qfrc_applied[self.hinge_d] = gain_hinge * self.hinge_k * (hinge - d.qpos[self.hinge_q])
        share = 0.012 + 0.07 * damping
        self.model.dof_damping[self.ball_d] = (share * self.ball_k)[:, None]
        self.model.dof_damping[self.hinge_d] = share * self.hinge_k

    def _carry(self, root, pelvis, strength: float) -> None:
        d, i, mass = self.data, self.ids[0], self.mass
        speed = np.zeros(6)
        mujoco.mj_objectVelocity(self.model, d, mujoco.mjtObj.mjOBJ_BODY, i, speed, 0)
        force = strength * mass * (400 * (root - d.xpos[i]) - 30 * speed[3:] + np.array([0, 0, 9.81]))
        error = Rotation.from_matrix(pelvis @ d.xmat[i].reshape(3, 3).T).as_rotvec()
        d.xfrc_applied[i, :3] = force
        d.xfrc_applied[i, 3:] = strength * self.size * (2500 * error - 120 * speed[:3])

    def fall(
        self,
        turn: np.ndarray,
        root: np.ndarray,
        release: int,
        effort: Effort,
        rng: np.random.Generator,
        rate: int = 30,
        wriggle: float = 0.0,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Follows the targets `turn` [T,19,3,3], `root` [T,3] until frame `release`, then falls. After `limp`, limbs
        move by up to `wriggle` (0 to 1). Gives T frames of part rotations and pelvis places."""
        quat, hinge = self.locals(turn)
        per = int(round(1 / rate / STEP))
        self.place(quat[0], hinge[0], root[0], turn[0, 0])
        out_turn, out_root = np.empty_like(turn), np.empty_like(root)
        ball_luck, hinge_luck = rng.uniform(0.45, 1.3, len(self.balls)), rng.uniform(0.4, 1.3, len(_HINGES))
        ball_luck *= np.where(self.ball_leg, effort.legs, 1.0)
        hinge_luck *= np.where(self.hinge_leg, effort.legs, 1.0)
        straight = np.tile([1.0, 0, 0, 0], (len(self.balls), 1))
        flop = rng.uniform(0, 0.5, len(_HINGES))
        sideways = rng.normal(0, 0.6, 2)
        chest = self.ids[PART["chest"]]
        restless = _Restless(self, rng, wriggle)
        d = self.data
        for f in range(len(turn)):
            out_turn[f] = d.xmat[self.ids].reshape(-1, 3, 3)
            out_root[f] = d.xpos[self.ids[0]]
            for k in range(per):
                since = (f - release + k / per) / rate
                d.xfrc_applied[:] = 0
                if since < 0:
                    self._drive(quat[f], hinge[f], 1.0, 1.0, 1.0)
                    self._carry(root[f], turn[f, 0], 1.0)
                else:
                    gain = effort.strength + (1 - effort.strength) * max(0, 1 - since / effort.weaken)
                    if since > effort.limp:
                        gain *= max(effort.slack, 1 - (since - effort.limp) / 0.8)
                    carry = max(0.0, 1 - since / max(effort.carry, 1e-3))
                    if carry > 0:
                        self._carry(root[f], turn[f, 0], 0.6 * carry**2)
                    if since < effort.push_time:
                        d.xfrc_applied[chest, :2] += sideways * self.mass
                        for part, push in effort.pushes:
                            d.xfrc_applied[self.ids[PART[part]], :3] += np.asarray(push) * self.mass
                    if wriggle > 0 and since > effort.limp + 0.8:
                        restless.drive(since - effort.limp - 0.8)
                    elif k % 2 == 0 and effort.stretch > 0 and 0 < since - effort.limp < 2.0:
                        rise = effort.stretch * min(1.0, since - effort.limp)
                        ball = np.where(self.ball_stretch, rise, gain * 0.3)
                        self._drive(straight, flop, ball, np.where(self.hinge_leg, rise, gain * 0.3), 0.6)
                    elif k % 2 == 0:
                        self._drive(quat[f], hinge[f], gain * ball_luck, gain * hinge_luck, max(gain, 0.35))
                mujoco.mj_step(self.model, d)
        return out_turn, out_root


class _Restless:
    """Slow limb movements of somebody who lies on the floor: targets wander around the pose of coming to rest."""

    def __init__(self, doll: Ragdoll, rng: np.random.Generator, amount: float):
        self.doll, self.amount, self.rest = doll, amount, None
        self.beat = rng.uniform(0.1, 0.45, 8)
        self.phase = rng.uniform(0, 6.28, 8)
        scope = np.array([0.15 if p in ("abdomen", "chest", "neck", "head") else 0.6 for p in doll.balls])
        self.axes = rng.normal(size=(len(doll.balls), 3)) * scope[:, None] * rng.uniform(0, 1, (len(doll.balls), 1))
        self.bends = rng.uniform(0, 0.9, len(_HINGES))

    def drive(self, since: float) -> None:
        d, doll = self.doll.data, self.doll
        if self.rest is None:
            self.rest = (d.qpos[doll.ball_q].copy(), d.qpos[doll.hinge_q].copy())
        wave = np.sin(2 * np.pi * self.beat * since + self.phase) - np.sin(self.phase)
        rise = min(1.0, since / 0.7) * self.amount
        turn = Rotation.from_quat(self.rest[0][:, [1, 2, 3, 0]])
        step = Rotation.from_rotvec(self.axes * (wave[np.arange(len(self.axes)) % 8] * rise)[:, None])
        quat = (turn * step).as_quat()[:, [3, 0, 1, 2]]
        hinge = self.rest[1] + self.bends * wave[4:8] * rise
        doll._drive(quat, hinge, 0.45, 0.45, 0.6)


def _vec(v) -> str:
    return " ".join(f"{x:.4f}" for x in v)


def _girth(body: Body, part: str, start, end) -> float:
    """Median distance of a part's skin from its bone."""
    own = body.verts[body.weights[:, PART[part]] > 0.6] - start
    d = (end - start) / np.linalg.norm(end - start)
    return float(np.median(np.linalg.norm(own - np.outer(own @ d, d), axis=1)))


def _geoms(body: Body, part: str, friction: float) -> str:
    j, s = body.joints, body.height / 1.75
    o = j[PART[part]]
    kind, side = _kind(part), part[-1]
    common = (
        f'contype="1" conaffinity="2" density="950" friction="{friction:.2f} 0.02 0.001" '
        'solref="0.012 1" solimp="0.9 0.97 0.005"/>'
    )

    def capsule(a, b, r):
        return f'<geom type="capsule" fromto="{_vec(a - o)} {_vec(b - o)}" size="{r:.4f}" {common}'

    def ellipsoid(centre, size):
        return f'<geom type="ellipsoid" pos="{_vec(centre - o)}" size="{_vec(size)}" {common}'

    if part == "pelvis":
        up = np.array([0, 0.02, 0.03]) * s
        return capsule(j[PART["thighL"]] + up, j[PART["thighR"]] + up, 0.105 * s * (1 + 0.25 * body.fat))
    if part == "abdomen":
        centre = o + (j[PART["chest"]] - o) * 0.6 + [0, -0.03 * s, 0]
        return ellipsoid(centre, np.array([0.145, 0.11 * (1 + 0.3 * body.fat), 0.10]) * s)
    if part == "chest":
        return ellipsoid((j[PART["neck"]] + o) / 2 + [0, -0.03 * s, 0], np.array([0.165, 0.12, 0.19]) * s)
    if part == "neck":
        return capsule(o, j[PART["head"]], 0.05 * s)
    if part == "head":
        own = body.verts[body.weights[:, PART["head"]] > 0.6]
        return ellipsoid((own.max(0) + own.min(0)) / 2, (own.max(0) - own.min(0)) / 2 * 0.95)
    if kind == "clav":
        return capsule(o, j[PART["uarm" + side]], 0.045 * s)
    if kind == "hand":
        tip = body.tips["LR".index(side)]
        return capsule(o, tip + (tip - o) * 0.6, 0.025 * s)
    if kind == "foot":
        own = body.verts[body.weights[:, PART[part]] > 0.5]
        low, high = own.min(0), own.max(0)
        centre, half = (low + high) / 2, (high - low) / 2 * [0.9, 1, 1]
        centre[2], half[2] = low[2] + 0.03 * s, 0.03 * s
        return f'<geom type="box" pos="{_vec(centre - o)}" size="{_vec(half)}" {common}'
    end = j[PART[{"uarm": "farm", "farm": "hand", "thigh": "shin", "shin": "foot"}[kind] + side]]
    return capsule(o, end, _girth(body, part, o, end) * (0.92 if kind == "thigh" else 1))


def _mjcf(body: Body, boxes, friction: float, box_friction: float) -> str:
    def joint(part: str) -> str:
        kind = _kind(part)
        if part == "pelvis":
            return "<freejoint/>"
        if kind == "shin":
            return (
                f'<joint name="{part}" type="hinge" axis="1 0 0" range="-2 150" limited="true" armature="0.02" '
                'solreflimit="0.02 1"/>'
            )
        if kind == "farm":
            return (
                f'<joint name="{part}" type="hinge" axis="{_vec(elbow_axis(body, part[-1]))}" range="-40 105" '
                'limited="true" armature="0.01" solreflimit="0.02 1"/>'
            )
        return (
            f'<joint name="{part}" type="ball" range="0 {_CONE[kind]}" limited="true" armature="0.01" '
            'solreflimit="0.02 1"/>'
        )

    def link(i: int) -> str:
        offset = body.joints[i] - (body.joints[PARENT[i]] if i else 0)
        inner = "".join(link(k) for k in range(len(PARTS)) if PARENT[k] == i)
        return (
            f'<body name="{PARTS[i]}" pos="{_vec(offset)}">{joint(PARTS[i])}'
            f"{_geoms(body, PARTS[i], friction)}{inner}</body>"
        )

    world = f'<geom type="plane" size="20 20 .1" contype="2" conaffinity="1" friction="{friction:.2f} 0.02 0.001"/>'
    for centre, half, yaw in boxes:
        world += (
            f'<geom type="box" pos="{_vec(centre)}" size="{_vec(half)}" euler="0 0 {yaw:.3f}" contype="2" '
            f'conaffinity="1" friction="{box_friction:.2f} 0.02 0.001" solref="0.015 1"/>'
        )
    return (
        f'<mujoco><compiler angle="degree" autolimits="true"/><option timestep="{STEP}" '
        f'integrator="implicitfast" iterations="20"/><worldbody>{world}{link(0)}</worldbody></mujoco>'
    )
