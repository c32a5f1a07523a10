"""The vocabulary of key poses: every function gives a complete pose for `pose.solve`, sized to the body."""

import numpy as np

from .body import PART, Body
from .pose import ahead, left, spin, standing

_SIGN = {"L": 1.0, "R": -1.0}
_MIRROR = {"L": "R", "R": "L"}


def both(**fields) -> dict:
    """The same value for the left and the right limb."""
    return {name + side: value for name, value in fields.items() for side in "LR"}


def _at(xy, height) -> np.ndarray:
    return np.array([xy[0], xy[1], height])


def seated(body: Body, seat_xy, seat_height: float, yaw: float, lean_back: float = 5.0, knees: float = 0.0) -> dict:
    """Sitting with the pelvis at `seat_xy`, feet on the floor in front; short legs hang."""
    s = body.scale
    pose = standing(body, seat_xy, yaw)
    ankle_z = body.joints[PART["footL"]][2]
    thigh, shin = body.bone("thighL", "shinL"), body.bone("shinL", "footL")
    pose |= dict(
        pelvis=_at(seat_xy, seat_height + 0.105 * s * (1 + 0.2 * body.fat)), spin=spin(yaw, -lean_back), bend=8, head=5
    )
    floor_z = max(ankle_z, seat_height + 0.02 - shin * 0.98)
    for side, sign in _SIGN.items():
        spot = np.array(seat_xy) + ahead(yaw)[:2] * (thigh * 0.93 + knees) + left(yaw)[:2] * sign * 0.1 * s
        pose |= {f"foot{side}": _at(spot, floor_z), f"arm{side}": (32, 8, 50)}
    return pose


def crouched(body: Body, xy, yaw: float, depth: float = 0.5, bend: float = 30.0) -> dict:
    """Feet flat, knees bent: `depth` 0 stands, 1 sits on the heels."""
    pose = standing(body, xy, yaw)
    stand_z, low_z = pose["pelvis"][2], 0.2 * body.height
    back = ahead(yaw) * -0.12 * body.scale * depth
    pose |= dict(
        pelvis=_at(np.array(xy) + back[:2], stand_z + (low_z - stand_z) * depth),
        spin=spin(yaw, 12 + 20 * depth),
        bend=bend,
        head=-0.5 * bend,
    )
    return pose | both(arm=(30 + 30 * depth, 8, 25), knee_out=12)


def bent(body: Body, xy, yaw: float, amount: float = 1.0) -> dict:
    """Bowed from the hips towards the floor, knees soft."""
    pose = standing(body, xy, yaw)
    pose["pelvis"] = pose["pelvis"] - ahead(yaw) * 0.10 * body.scale * amount - [0, 0, 0.08 * body.scale * amount]
    return pose | dict(spin=spin(yaw, 48 * amount), bend=38 * amount, head=10) | both(arm=(75 * amount, 6, 12))


def on_knees(body: Body, xy, yaw: float, sit_back: float = 0.0) -> dict:
    """Both knees on the floor under `xy`; `sit_back` 1 rests on the heels."""
    s, thigh, shin = body.scale, body.bone("thighL", "shinL"), body.bone("shinL", "footL")
    knee_z = 0.05 * s
    pose = standing(body, xy, yaw)
    hips = np.array(xy) - ahead(yaw)[:2] * thigh * 0.85 * sit_back
    height = knee_z + thigh * np.sqrt(max(0.05, 1 - (0.85 * sit_back) ** 2)) + (pose["pelvis"][2] - _hip_z(body))
    pose |= dict(pelvis=_at(hips, height), spin=spin(yaw, 3 + 10 * sit_back), bend=6)
    for side, sign in _SIGN.items():
        ankle = np.array(xy) - ahead(yaw)[:2] * shin * 0.99 + left(yaw)[:2] * sign * 0.09 * s
        pose |= {
            f"foot{side}": _at(ankle, 0.07 * s),
            f"foot_yaw{side}": yaw,
            f"foot_pitch{side}": 140,
            f"knee_out{side}": 2,
            f"arm{side}": (12, 8, 30),
        }
    return pose


def _hip_z(body: Body) -> float:
    return body.joints[PART["thighL"]][2] * 0.985


def all_fours(body: Body, xy, yaw: float) -> dict:
    """Hands and knees; the knees are under `xy`."""
    s = body.scale
    pose = on_knees(body, xy, yaw)
    pose["pelvis"] = pose["pelvis"] - [0, 0, 0.05 * s]
    pose |= dict(spin=spin(yaw, 72), bend=12, head=-45)
    trunk = body.bone("pelvis", "uarmL")
    for side, sign in _SIGN.items():
        palm = np.array(xy) + ahead(yaw)[:2] * trunk * 0.98 + left(yaw)[:2] * sign * 0.17 * s
        pose |= {f"hand{side}": _at(palm, 0.06 * s), f"hand_fix{side}": 1}
    return pose


def bowed(body: Body, xy, yaw: float) -> dict:
    """On the knees under `xy`, the forehead at the floor, as in prayer or to look under a bed."""
    pose = on_knees(body, xy, yaw, 0.7)
    pose |= dict(spin=spin(yaw, 96), bend=24, head=-12)
    trunk = body.bone("pelvis", "uarmL")
    for side, sign in _SIGN.items():
        palm = np.array(xy) + ahead(yaw)[:2] * trunk * 0.8 + left(yaw)[:2] * sign * 0.2 * body.scale
        pose |= {f"hand{side}": _at(palm, 0.05 * body.scale), f"hand_fix{side}": 1}
    return pose


def half_kneeling(body: Body, xy, yaw: float, front: str = "L") -> dict:
    """One knee down under `xy`, the other foot ahead, the hand of that side on its knee."""
    s, thigh = body.scale, body.bone("thighL", "shinL")
    pose = on_knees(body, xy, yaw)
    foot = np.array(xy) + ahead(yaw)[:2] * thigh * 0.9 + left(yaw)[:2] * _SIGN[front] * 0.12 * s
    pose |= {
        f"foot{front}": _at(foot, body.joints[PART["footL"]][2]),
        f"foot_pitch{front}": 0,
        f"foot_yaw{front}": yaw + 6 * _SIGN[front],
        f"arm{front}": (38, 6, 40),
    }
    return pose | dict(spin=spin(yaw, 15), bend=14)


def seated_on_floor(body: Body, xy, yaw: float, hands_behind: bool = True, knees: float = 60.0) -> dict:
    """On the buttocks with the legs ahead and the knees bent by `knees` degrees."""
    s = body.scale
    pose = standing(body, xy, yaw)
    pose |= dict(pelvis=_at(xy, 0.105 * s * (1 + 0.2 * body.fat)), spin=spin(yaw, -18), bend=22, head=8)
    pose |= both(leg=(68, 8, knees), leg_free=1, foot_follow=1, foot_pitch=0, arm=(35, 12, 35))
    if hands_behind:
        for side, sign in _SIGN.items():
            palm = np.array(xy) - ahead(yaw)[:2] * 0.28 * s + left(yaw)[:2] * sign * 0.25 * s
            pose |= {f"hand{side}": _at(palm, 0.05 * s), f"hand_fix{side}": 1}
    return pose


def lying(body: Body, xy, head_yaw: float, side: str, rng: np.random.Generator, height: float = 0.0) -> dict:
    """At rest on the `back`, `front`, `left` or `right` side; the feet point along `ahead(head_yaw)`, the limbs lie as
    chance has it. `height` is that of the surface."""
    s, u = body.scale, rng.uniform
    thick = 0.105 * s * (1 + 0.25 * body.fat)
    pose = standing(body, xy, head_yaw)
    if side == "back":
        turn = spin(head_yaw, -90)
        limbs = {f"leg{x}": (u(-2, 35), u(0, 18), u(0, 80) if rng.random() < 0.4 else u(3, 20)) for x in "LR"}
        arms = {f"arm{x}": (u(0, 25), u(5, 75), u(5, 80)) for x in "LR"}
    elif side == "front":
        turn = spin(head_yaw + 180, 90)
        limbs = {f"leg{x}": (u(-8, 2), u(0, 25), u(0, 15)) for x in "LR"}
        arms = {f"arm{x}": (u(-6, 0), u(15, 150), u(5, 60)) for x in "LR"}
    else:
        under, over = ("L", "R") if side == "left" else ("R", "L")
        sign = 1 if side == "left" else -1
        turn = spin(head_yaw + 90 * sign, 0, 90 * sign)
        limbs = {f"leg{under}": (u(5, 60), u(-4, 0), u(10, 90)), f"leg{over}": (u(15, 80), u(-14, -2), u(20, 100))}
        arms = {f"arm{under}": (u(55, 110), u(-12, 0), u(15, 90)), f"arm{over}": (u(5, 75), u(-30, -8), u(15, 100))}
        thick *= 1.35
    pose |= dict(
        pelvis=_at(xy, height + thick),
        spin=turn,
        bend=u(0, 18),
        lean=u(-8, 8),
        twist=u(-12, 12),
        head=u(-5, 20),
        head_yaw=u(-40, 40),
    )
    return pose | limbs | arms | both(leg_free=1, foot_follow=1, foot_pitch=u(15, 45))


def curled_up_rise(body: Body, xy, yaw: float) -> dict:
    """Hands on the thighs, half way between kneeling and standing."""
    pose = crouched(body, xy, yaw, 0.45, 32)
    return pose | both(arm=(45, 4, 40))
