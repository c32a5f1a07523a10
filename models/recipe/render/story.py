"""A story is one person's movement written as a list of acts (stand, walk there, sit); it becomes a pose track."""

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from .body import PART, Body
from .pose import LAYOUT, ahead, fill, flat, left, standing

RATE = 30
_SIGN = {"L": 1.0, "R": -1.0}
_QUAT = LAYOUT["spin"]


def ease(u: np.ndarray) -> np.ndarray:
    """From 0 to 1 with zero speed at both ends."""
    u = np.clip(u, 0, 1)
    return u * u * u * (10 - 15 * u + 6 * u * u)


def angle_between(a: float, b: float) -> float:
    """Degrees from heading a to heading b, -180 to 180."""
    return (b - a + 180) % 360 - 180


def heading(vector) -> float:
    """Heading in degrees of somebody who looks along `vector`."""
    return float(np.degrees(np.arctan2(vector[0], -vector[1])))


class Story:
    """Collects frames [n, WIDTH] at 30 per second. `xy` and `yaw` are where the person stands and looks."""

    def __init__(self, body: Body, xy=(0.0, 0.0), yaw: float = 0.0, pose: dict | None = None, stoop: float = 4.0):
        self.body, self.xy, self.yaw, self.stoop = body, np.array(xy, float), yaw, stoop
        self.now = flat(pose or self.upright())
        self.frames = [self.now[None]]
        self.marks: dict[str, float] = {}

    def upright(self, **changes) -> dict:
        return standing(self.body, self.xy, self.yaw, self.stoop, **changes)

    @property
    def time(self) -> float:
        return sum(len(f) for f in self.frames) / RATE

    def mark(self, name: str) -> None:
        """Remembers the present moment under a name (for labels)."""
        self.marks[name] = self.time

    def hold(self, seconds: float) -> "Story":
        count = int(round(seconds * RATE))
        if count > 0:
            self.frames.append(np.repeat(self.now[None], count, 0))
        return self

    def go(self, pose: dict, seconds: float, at: tuple | None = None, through: bool = False) -> "Story":
        """Moves to a pose. Pinned feet that change place are lifted in an arc; `through` passes on without a stop;
        `at` = (xy, yaw) is where the person stands afterwards."""
        goal = self._near(flat(pose))
        count = max(2, int(round(seconds * RATE)))
        u = np.arange(1, count + 1)[:, None] / count
        smooth = ease(u) * 0.6 + u * 0.4 if through else ease(u)
        start = np.where(np.isfinite(self.now), self.now, goal)
        end = np.where(np.isfinite(goal), goal, start)
        rows = start + (end - start) * smooth
        for side in "LR":
            place, free = LAYOUT["foot" + side], LAYOUT["leg_free" + side]
            moved = np.linalg.norm(np.nan_to_num(end[place] - start[place]))
            if moved > 0.04 and not (start[free] > 0.5).any() and not (end[free] > 0.5).any():
                rows[:, place.start + 2] += min(0.35 * moved, 0.25 * self.body.scale) * np.sin(np.pi * u[:, 0])
                rows[:, LAYOUT["foot_pitch" + side]] += 18 * np.sin(np.pi * u)
        self.frames.append(rows)
        self.now = end
        if at:
            self.xy, self.yaw = np.array(at[0], float), at[1]
        return self

    def _near(self, goal: np.ndarray) -> np.ndarray:
        """The same pose written with the angles and the quaternion sign that are nearest to the present ones."""
        if np.dot(goal[_QUAT], self.now[_QUAT]) < 0:
            goal[_QUAT] *= -1
        for side in "LR":
            where = LAYOUT["foot_yaw" + side]
            goal[where] = self.now[where] + angle_between(self.now[where], goal[where])
        return goal

    def stand(self, seconds: float, **changes) -> "Story":
        """Stands where the person is, shifting weight a little (the pose itself may be changed)."""
        if seconds < 0.2:
            return self.hold(max(0, seconds))
        return self.go(self.upright(**changes), min(0.8, seconds)).hold(seconds - min(0.8, seconds))

    def walk(self, target, pace: float = 0.9, gait: dict | None = None, face: float | None = None) -> "Story":
        """Walks to `target` [2] at about `pace` m/s for a grown-up, then turns to `face` if given. `gait` may set
        `step` (share of leg length), `width` (metres), `lift` (metres), `swing` (degrees)."""
        body, gait = self.body, dict(step=0.62, width=0.16, lift=0.06, swing=22) | (gait or {})
        leg = body.joints[PART["thighL"]][2]
        step = gait["step"] * leg
        period = step / max(pace, 0.15)
        plan = [(self.xy.copy(), self.yaw)]
        target = np.array(target, float)
        way = target - self.xy
        distance = np.linalg.norm(way)
        if distance > 0.5 * step:
            self._turn_plan(plan, heading(way))
            count = max(1, int(np.ceil(distance / step)))
            plan += [(self.xy + way * (k + 1) / count, heading(way)) for k in range(count)]
        if face is not None:
            self._turn_plan(plan, face)
        if len(plan) > 1:
            self._step_through(plan, period, gait)
        return self

    @staticmethod
    def _turn_plan(plan: list, goal: float) -> None:
        xy, yaw = plan[-1]
        turn = angle_between(yaw, goal)
        count = int(np.ceil(abs(turn) / 42))
        plan += [(xy, yaw + turn * (k + 1) / count) for k in range(count)]

    def _foot_spot(self, at, side: str, width: float) -> np.ndarray:
        xy, yaw = at
        ankle = self.body.joints[PART["footL"]] - self.body.joints[0]
        spot = np.array(xy) + left(yaw)[:2] * _SIGN[side] * width / 2 * self.body.scale - ahead(yaw)[:2] * ankle[1]
        return np.array([*spot, self.body.joints[PART["footL"]][2]])

    def _step_through(self, plan: list, period: float, gait: dict) -> None:
        """Frames of a plan of body places (xy, yaw), one step a place."""
        s = self.body.scale
        base = self._near(flat(self.upright()))
        yaws = np.unwrap(np.radians([y for _, y in plan]), period=2 * np.pi)
        plan = [(xy, float(np.degrees(y))) for (xy, _), y in zip(plan, yaws)]
        steps = len(plan)
        per = max(4, int(round(period * RATE)))
        total = steps * per
        clock = np.arange(1, total + 1) / per
        points = np.array([[*xy, yaw] for xy, yaw in plan] + [[*plan[-1][0], plan[-1][1]]])
        where = np.stack([np.interp(clock, np.arange(steps + 1), points[:, k]) for k in range(3)], 1)
        where = gaussian_filter1d(where, per * 0.22, axis=0, mode="nearest")
        rows = np.repeat(base[None], total, 0)
        hips = base[LAYOUT["pelvis"]][2]
        sway, phase = np.zeros(total), np.pi * clock
        feet = {
            side: (self.now[LAYOUT["foot" + side]].copy(), float(self.now[LAYOUT["foot_yaw" + side]][0]))
            for side in "LR"
        }
        for k in range(steps):
            side = "LR"[k % 2]
            ahead_of = plan[min(k + 1, steps - 1)]
            last = k >= steps - 2
            goal = self._foot_spot(
                plan[-1] if last else self._midway(ahead_of, plan[min(k + 2, steps - 1)]),
                side,
                gait["width"] * (1.15 if last else 1),
            )
            goal_yaw = (plan[-1] if last else ahead_of)[1] + 6 * _SIGN[side]
            span = slice(k * per, (k + 1) * per)
            u = np.arange(1, per + 1)[:, None] / per
            start, start_yaw = feet[side]
            goal_yaw = start_yaw + angle_between(start_yaw, goal_yaw)
            moved = np.linalg.norm(goal - start)
            path = start + (goal - start) * ease(u)
            path[:, 2] += gait["lift"] * s * np.sin(np.pi * u[:, 0]) * min(1, 0.4 + moved / (0.3 * s))
            rows[span, LAYOUT["foot" + side]] = path
            rows[span, LAYOUT["foot_yaw" + side]] = start_yaw + (goal_yaw - start_yaw) * ease(u)
            rows[span, LAYOUT["foot_pitch" + side]] = 24 * np.sin(2 * np.pi * u) * min(1, moved / (0.4 * s))
            other = "RL"[k % 2]
            rows[span, LAYOUT["foot" + other]] = feet[other][0]
            rows[span, LAYOUT["foot_yaw" + other]] = feet[other][1]
            feet[side] = (goal, goal_yaw)
            sway[span] = -_SIGN[side] * np.sin(np.pi * u[:, 0])
        speed = np.linalg.norm(np.gradient(where[:, :2], axis=0), axis=1) * RATE / (0.9 * s)
        drive = np.clip(gaussian_filter1d(speed, 4), 0, 1.4)
        sideways = np.stack([left(y)[:2] for y in where[:, 2]])
        rows[:, LAYOUT["pelvis"]] = np.column_stack(
            [
                where[:, :2] + sideways * (sway * 0.022 * s)[:, None],
                hips - 0.012 * s - 0.02 * s * drive * abs(np.cos(phase)),
            ]
        )
        rows[:, _QUAT] = Rotation.from_euler(
            "zyx",
            np.column_stack([where[:, 2] + 5 * drive * np.cos(phase), 2 * sway, np.full(total, 4.0)]),
            degrees=True,
        ).as_quat()
        self._same_hemisphere(rows[:, _QUAT], self.now[_QUAT])
        rows[:, LAYOUT["twist"]] = (-8 * drive * np.cos(phase))[:, None]
        for side in "LR":
            swing = _SIGN[side] * gait["swing"] * drive * np.cos(phase)
            rows[:, LAYOUT["arm" + side].start] += swing
            rows[:, LAYOUT["arm" + side].start + 2] += np.maximum(0, swing) * 0.7
        # the first and last quarter second melt into the poses beside the walk
        n = min(total, 8)
        w = ease(np.arange(1, n + 1) / n)[:, None]
        start = np.where(np.isfinite(self.now), self.now, rows[0])
        soft = [k for name, k in LAYOUT.items() if not name.startswith(("foot", "pelvis"))]
        for k in soft:
            rows[:n, k] = start[k] * (1 - w) + rows[:n, k] * w
        self.frames.append(rows)
        self.now = rows[-1].copy()
        self.xy, self.yaw = np.array(plan[-1][0]), plan[-1][1]

    @staticmethod
    def _same_hemisphere(quats: np.ndarray, before: np.ndarray) -> None:
        for k in range(len(quats)):
            if np.dot(quats[k], before) < 0:
                quats[k] *= -1
            before = quats[k]

    @staticmethod
    def _midway(a, b):
        return (np.array(a[0]) + np.array(b[0])) / 2, (a[1] + b[1]) / 2

    def until(self, seconds: float) -> "Story":
        """Holds the present pose up to a moment of the clip."""
        return self.hold(seconds - self.time)

    def track(self, rng: np.random.Generator | None = None, sway: float = 1.0) -> np.ndarray:
        """The whole story [T, WIDTH], its corners rounded, with the small swaying of a living body."""
        rows = fill(np.concatenate(self.frames))
        rows = gaussian_filter1d(rows, 1.6, axis=0, mode="nearest")
        if rng is not None and sway > 0:
            self._sway(rows, rng, sway)
        rows[:, _QUAT] /= np.linalg.norm(rows[:, _QUAT], axis=1, keepdims=True)
        return rows

    def _sway(self, rows: np.ndarray, rng: np.random.Generator, amount: float) -> None:
        for name, size in (
            ("pelvis", 0.012 * self.body.scale),
            ("bend", 1.2),
            ("lean", 1.5),
            ("twist", 3.0),
            ("head", 3.0),
            ("head_yaw", 7.0),
            ("armL", 2.5),
            ("armR", 2.5),
        ):
            where = LAYOUT[name]
            noise = rng.normal(size=(len(rows), where.stop - where.start))
            noise = gaussian_filter1d(noise, RATE * 0.5, axis=0, mode="reflect") * np.sqrt(RATE * 0.5 * 3.5)
            if name == "pelvis":
                noise[:, 2] *= 0.15
            rows[:, where] += noise * size * amount


def pose_now(story: Story, **changes) -> dict:
    """The story's present pose as a dictionary, changed in some fields."""
    pose = {name: story.now[where] for name, where in LAYOUT.items()}
    return pose | changes
