"""Falls: a prepared start, a physical fall, and what comes after it."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from . import stances as st
from .body import PART, joint_positions, probes
from .life import chair_prop, get_out_of_bed, live_until, sit_on, sofa_prop
from .pose import ahead, blend_turns, left, settle_on_floor, solve, spin
from .ragdoll import Effort, Ragdoll
from .stage import Actor, Cast, Prop, Take, breathe, fall_labels, fit
from .story import RATE, Story, ease, heading, pose_now

LEAD = 12
_TRIES = 7


@dataclass
class Plan:
    """A fall ready to be played: the story up to the loss of balance (its end), the pose the body then strives for,
    the effort, the solid things around, and the way it goes (heading in degrees)."""

    story: Story
    guard: dict
    effort: Effort
    props: list[Prop]
    toward: float
    floor_grip: float = 0.8
    box_grip: float = 0.6
    low_start: bool = False


def _guard(story: Story, kind: str, rng: np.random.Generator) -> dict:
    """The pose that the body strives for while it falls."""
    s, u = story.body.scale, rng.uniform
    pose = pose_now(story)
    drop = {"front": 0.28, "back": 0.3, "side": 0.28, "fold": 0.5, "none": 0.0}[kind] * s
    pose["pelvis"] = pose["pelvis"] - [0, 0, drop]
    if kind == "front":
        pose |= dict(bend=8, head=-22) | {f"arm{x}": (u(55, 95), u(10, 30), u(20, 60)) for x in "LR"}
    elif kind == "back":
        pose |= dict(bend=34, head=25) | {f"arm{x}": (u(-50, 10), u(20, 50), u(10, 35)) for x in "LR"}
    elif kind == "side":
        pose |= dict(bend=10, lean=u(-14, 14), armL=(u(10, 50), u(40, 85), u(20, 50)), armR=(u(10, 50), u(30, 80), 40))
    elif kind == "fold":
        pose |= dict(bend=46, head=34) | st.both(arm=(12, 6, 20), hand_fix=0)
    if kind != "none":
        pose |= st.both(hand_fix=0)
    return pose


def _upright_story(cast: Cast, when: float, walking: bool) -> Story:
    """Standing or walking about, with the loss of balance due at second `when` near the middle of the scene."""
    rng, stoop = cast.rng, cast.stoop
    yaw = rng.uniform(0, 360)
    if not walking:
        story = Story(cast.body, rng.uniform(-0.5, 0.5, 2), yaw, stoop=stoop)
        return live_until(cast, story, when)
    pace, gait = cast.pace, cast.gait
    length = min(pace * when + 0.3, rng.uniform(1.0, 2.6))
    story = Story(cast.body, -ahead(yaw)[:2] * length, yaw + rng.uniform(-100, 100), stoop=stoop)
    live_until(cast, story, max(0, when - length / pace - 0.8), roam=0.3)
    story.walk(ahead(yaw)[:2] * 1.4, pace, gait)
    return story


def _cut(story: Story, when: float) -> None:
    """Ends the story at second `when` (held if it is shorter)."""
    rows = np.concatenate(story.frames)
    count = max(LEAD + 2, int(round(when * RATE)))
    story.frames = [fit(count, rows)[0]]
    story.now = story.frames[0][-1].copy()


def _standing_fall(kind: str):
    def plan(cast: Cast) -> Plan:
        rng = cast.rng
        when = rng.uniform(1.0, max(1.2, cast.seconds - 3.0))
        walking = kind in ("trip", "slip") or rng.random() < 0.35
        story = _upright_story(cast, when, walking)
        _cut(story, when)
        way, side = ahead(story.yaw), left(story.yaw) * cast.pick(-1, 1)
        m = rng.uniform(0.75, 1.25)
        carry = rng.uniform(0.06, 0.3)
        guard, pushes, span, toward = {
            "forward": ("front", [("chest", way * 3.2 * m)], 0.35, way),
            "backward": ("back", [("chest", -way * 3.0 * m)], 0.35, -way),
            "side": ("side", [("chest", side * 3.2 * m + way * rng.uniform(-1, 1))], 0.35, side),
            "slump": ("fold", [("chest", way * rng.uniform(-0.6, 0.9) + side * rng.uniform(0.3, 1.3))], 0.3, side),
            "trip": ("front", [("footL", -way * m), ("footR", -way * m), ("chest", way * 1.2 * m)], 0.22, way),
            "slip": (
                "back",
                [("footL", way * 2.6 * m), ("footR", way * 2.2 * m), ("chest", -way * 1.2 * m)],
                0.25,
                -way,
            ),
        }[kind]
        effort = Effort(
            carry=carry,
            strength=0.1 if kind == "slump" else rng.uniform(0.2, 0.45),
            weaken=rng.uniform(0.25, 0.45),
            limp=0.4 if kind == "slump" else rng.uniform(0.7, 1.3),
            push_time=span,
            pushes=pushes,
        )
        pose = _guard(story, guard, rng)
        return Plan(story, pose, effort, [], heading(toward), floor_grip=rng.uniform(0.6, 1.0))

    return plan


def _chair_fall(kind: str):
    def plan(cast: Cast) -> Plan:
        rng = cast.rng
        when = rng.uniform(0.9, max(1.1, cast.seconds - 3.2))
        prop = chair_prop(cast) if rng.random() < 0.75 else sofa_prop(cast)
        story = sit_on(cast, prop, early=when)
        way, side = ahead(prop.yaw), left(prop.yaw) * cast.pick(-1, 1)
        guard, grip = "none", 0.6
        effort = Effort(carry=0.2, strength=rng.uniform(0.12, 0.3), weaken=0.4, limp=rng.uniform(0.6, 1.0))
        if kind == "rise":
            live_until(cast, story, when - 0.7, seated=True)
            mid = st.crouched(cast.body, prop.spot(0, prop.size[1] / 2 + 0.12 * cast.body.scale), prop.yaw, 0.45, 30)
            story.go(mid, rng.uniform(0.6, 1.0))
            toward = cast.pick(way, side, -way * 0.6 + side)
            effort.pushes, effort.push_time = [("chest", toward * rng.uniform(2.0, 3.0))], 0.35
            guard = "front" if toward @ way > 0.5 else "side"
        else:
            live_until(cast, story, when - 0.6, seated=True)
            lean = {
                "tip": dict(lean=22 * float(np.sign(side @ left(prop.yaw))), bend=20),
                "slide": dict(bend=28, head=15),
                "fold": dict(bend=62, head=25),
            }[kind]
            pose = pose_now(story, **lean)
            if kind == "slide":
                pose["pelvis"] = pose["pelvis"] + way * 0.16 * cast.body.scale
                pose["spin"] = spin(prop.yaw, -28)
                grip, effort.limp, effort.strength = 0.12, 0.2, 0.06
                effort.pushes, effort.push_time = [("pelvis", way * rng.uniform(0.9, 1.8))], rng.uniform(0.5, 1.0)
            elif kind == "fold":
                pose["pelvis"] = pose["pelvis"] + way * 0.08 * cast.body.scale
                effort.pushes, effort.push_time = [("chest", way * rng.uniform(1.6, 2.4))], 0.55
            else:
                effort.pushes = [("chest", side * rng.uniform(1.5, 2.2) + way * 0.7), ("pelvis", side * 0.5)]
                effort.push_time = 0.5
            story.go(pose, rng.uniform(0.5, 1.2))
            toward = side if kind == "tip" else way
        _cut(story, max(story.time, when))
        return Plan(
            story,
            _guard(story, guard, rng),
            effort,
            [prop],
            heading(toward),
            box_grip=grip,
            floor_grip=rng.uniform(0.5, 0.9),
        )

    return plan


def _bed_roll(cast: Cast) -> Plan:
    rng, body = cast.rng, cast.body
    when = rng.uniform(0.9, max(1.1, cast.seconds - 3.2))
    yaw = rng.uniform(0, 360)
    prop = Prop(
        "bed",
        ahead(yaw)[:2] * -0.5,
        yaw,
        (2.0, rng.uniform(0.8, 1.3), rng.uniform(0.38, 0.6)),
        int(rng.integers(1 << 16)),
    )
    head_yaw = yaw + cast.pick(90, -90)
    xy = prop.spot(0, prop.size[1] / 2 - rng.uniform(0.16, 0.26) * body.scale)
    story = Story(
        body, xy, head_yaw, st.lying(body, xy, head_yaw, cast.pick("back", "back", "front"), rng, prop.size[2])
    )
    out = ahead(prop.yaw)
    story.hold(max(0.2, when - 0.8 - rng.uniform(0, 0.8)))
    edge = pose_now(story)
    edge["pelvis"] = np.array(
        [*prop.spot(0, prop.size[1] / 2 + rng.uniform(-0.03, 0.05) * body.scale), edge["pelvis"][2] + 0.03]
    ) + (edge["pelvis"] - [*xy, edge["pelvis"][2]])
    roll = Rotation.from_rotvec(np.radians(rng.uniform(25, 70)) * np.cross([0, 0, 1.0], out))
    edge["spin"] = (roll * Rotation.from_quat(edge["spin"])).as_quat()
    story.go(edge, rng.uniform(0.6, 1.2))
    _cut(story, max(when, story.time))
    push = out * rng.uniform(1.4, 2.4)
    effort = Effort(
        carry=0.25,
        strength=rng.uniform(0.1, 0.25),
        weaken=0.4,
        limp=rng.uniform(0.5, 1.0),
        push_time=0.45,
        pushes=[("chest", push * 0.8), ("pelvis", push)],
    )
    return Plan(story, _guard(story, "none", rng), effort, [prop], heading(out), box_grip=0.35, low_start=True)


def _bed_edge(cast: Cast) -> Plan:
    rng = cast.rng
    when = rng.uniform(1.6, max(1.8, cast.seconds - 3.2))
    story, prop = get_out_of_bed(cast, when)
    _cut(story, max(when, story.time))
    toward = ahead(prop.yaw) + left(prop.yaw) * rng.uniform(-0.9, 0.9)
    effort = Effort(
        carry=0.15,
        strength=rng.uniform(0.12, 0.35),
        weaken=0.35,
        limp=0.8,
        push_time=0.4,
        pushes=[("chest", toward * rng.uniform(1.6, 2.6))],
    )
    return Plan(story, _guard(story, "front", rng), effort, [prop], heading(toward))


FALLS = {
    **{f"fall-{k}": _standing_fall(k) for k in ("side", "forward", "backward", "trip", "slip", "slump")},
    **{f"fall-chair-{k}": _chair_fall(k) for k in ("tip", "slide", "fold", "rise")},
    "fall-bed-roll": _bed_roll,
    "fall-bed-edge": _bed_edge,
}


def play_fall(name: str, cast: Cast, aftermath: str) -> Take:
    """Plays a fall; a try whose body does not end low, flies or sinks is drawn again. `aftermath` is one of still,
    moves, sits, rises."""
    take = None
    for _ in range(_TRIES):
        plan = FALLS[name](cast)
        take, good = _play(plan, cast, aftermath)
        if good:
            break
    return take


def _loosen(effort: Effort, rng: np.random.Generator) -> None:
    """Chance in how the body gives way and comes to rest."""
    effort.legs = rng.uniform(0.8, 2.2)
    effort.stretch = 0.0 if rng.random() < 0.25 else rng.uniform(0.2, 0.55)


def _play(plan: Plan, cast: Cast, aftermath: str) -> tuple[Take, bool]:
    rng, body = cast.rng, cast.body
    before = plan.story.track(rng, 0.3 if plan.low_start else rng.uniform(0.4, 1.2))
    release = len(before)
    _loosen(plan.effort, rng)
    lie = int(RATE * rng.uniform(2.6, 3.8))
    end = cast.frames if aftermath == "moves" else min(cast.frames, release + lie)
    plan.story.go(plan.guard, 0.35).hold(max(0, (end - release) / RATE - 0.35) + 0.1)
    rows = np.concatenate([before, np.concatenate(plan.story.frames[1:])])[:end]
    rows[release:, :] = np.where(np.isfinite(rows[release:, :]), rows[release:, :], before[-1])
    turn, root = solve(body, rows)
    lead = max(0, release - LEAD)
    doll = Ragdoll(body, [b for p in plan.props for b in p.boxes()], plan.floor_grip, plan.box_grip)
    wriggle = rng.uniform(0.3, 1.0) if aftermath == "moves" else 0.0
    fallen_turn, fallen_root = doll.fall(turn[lead:], root[lead:], release - lead, plan.effort, rng, RATE, wriggle)
    mix = ease(np.arange(len(fallen_root)) / (LEAD - 2))
    turn = np.concatenate([turn[:lead], blend_turns(turn[lead:], fallen_turn, mix[:, None])])
    root = np.concatenate([root[:lead], root[lead:] * (1 - mix[:, None]) + fallen_root * mix[:, None]])
    good = _acceptable(body, turn, root, release)
    upright = None
    if aftermath in ("sits", "rises") and len(root) < cast.frames - 20:
        turn, root, upright = _get_up(cast, turn, root, aftermath == "rises")
    turn, root = fit(cast.frames, turn, root)
    upright = None if upright is None or upright >= cast.frames else upright
    labels, contact = fall_labels(body, turn, root, min(release, cast.frames - 1), upright)
    actor = Actor(body, turn, root, labels, release / RATE, contact / RATE)
    breathe(actor, rng, rng.uniform(0.2, 1.0))
    return Take([actor], plan.props, plan.toward), good


def _acceptable(body, turn, root, release) -> bool:
    """True if the body ended low, did not sink into the floor, and moved at a bodily pace."""
    place = joint_positions(body, turn[release:], root[release:])
    if len(place) < 20 or not np.isfinite(place).all():
        return False
    down = np.flatnonzero(place[:, PART["chest"], 2] < 0.3 * body.height)
    if not len(down) or down[0] > 2.2 * RATE:
        return False
    speed = np.linalg.norm(np.diff(place, axis=0), axis=2).max() * RATE
    sunk = -probes(body, turn[-1:], root[-1:])[..., 2].min()
    last = place[-1, :, 2] / body.height
    low = last[PART["pelvis"]] < 0.2 and last[PART["chest"]] < 0.26 and last[PART["head"]] < 0.34
    return bool(low and sunk < 0.09 and speed < 9.5)


def _get_up(cast: Cast, turn, root, all_the_way: bool):
    """Adds sitting up, or getting up over hands and knees, to a fallen body. Gives the frame from which it stands."""
    rng, body = cast.rng, cast.body
    place = joint_positions(body, turn[-1:], root[-1:])[0]
    towards_head = (place[PART["chest"]] - place[0]) * [1, 1, 0]
    face_up = float((turn[-1, PART["chest"]] @ np.array([0, -1.0, 0]))[2])
    slow = rng.uniform(1.0, 1.9) if cast.old else rng.uniform(0.6, 1.2)
    xy = place[0, :2]
    if face_up > 0.3:
        yaw = heading(-towards_head)
        first = st.seated_on_floor(body, xy, yaw, knees=rng.uniform(30, 80))
    else:
        yaw = heading(towards_head)
        first = st.all_fours(body, xy, yaw) if all_the_way else st.on_knees(body, xy, yaw, sit_back=rng.uniform(0.6, 1))
    story = Story(body, xy, yaw, first, stoop=cast.stoop)
    reach = 1.2 * slow
    story.hold(reach + rng.uniform(0.1, 0.8))
    upright = None
    if all_the_way:
        if face_up > 0.3:
            story.go(st.on_knees(body, xy, yaw + 20, sit_back=0.8), 0.9 * slow, through=True)
            story.go(st.all_fours(body, xy, yaw + 30), 0.6 * slow)
        story.go(st.half_kneeling(body, xy, yaw, cast.pick("L", "R")), 0.9 * slow).hold(rng.uniform(0, 0.5))
        story.go(st.curled_up_rise(body, xy, yaw), 0.8 * slow)
        rise = story.time
        story.go(story.upright(), 0.7 * slow)
        upright = len(root) + int((rise + 0.45 * slow) * RATE)
        live_until(cast, story, story.time + 2.5)
    up_turn, up_root = solve(body, story.track(rng, 0.7))
    w = ease(np.arange(1, len(up_root) + 1) / (reach * RATE))
    up_turn = blend_turns(np.broadcast_to(turn[-1], up_turn.shape), up_turn, w[:, None])
    up_root = root[-1] * (1 - w[:, None]) + up_root * w[:, None]
    up_root = settle_on_floor(body, up_turn, up_root)
    return np.concatenate([turn, up_turn]), np.concatenate([root, up_root]), upright
