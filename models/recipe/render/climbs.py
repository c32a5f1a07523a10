"""Climbing onto furniture, and what people do at the same furniture without climbing it."""

import numpy as np

from . import life
from . import stances as st
from .body import PART
from .ending import finish
from .pose import solve, spin, standing
from .stage import Actor, Cast, Prop, Take, breathe, climb_labels, fit
from .story import Story, pose_now

KINDS = ("chair", "table", "sill", "shelf", "ladder", "rail", "sofa", "bed", "box")


def _prop(cast: Cast, kind: str) -> Prop:
    """The object at the origin, its front towards heading 0 before turning; heights fit the climber."""
    rng, body = cast.rng, cast.body
    yaw, u = rng.uniform(0, 360), rng.uniform
    leg = body.joints[PART["thighL"]][2]
    if kind == "chair":
        prop = life.chair_prop(cast, yaw=yaw)
    elif kind == "sofa":
        prop = Prop("sofa", np.zeros(2), yaw, (1.7, 0.85, u(0.38, 0.45)), 0)
    elif kind == "bed":
        prop = Prop("bed", np.zeros(2), yaw, (2.0, u(0.9, 1.3), u(0.42, 0.6)), 0)
    elif kind == "table":
        prop = Prop("table", np.zeros(2), yaw, (u(0.9, 1.5), u(0.6, 0.85), min(u(0.45, 0.76), leg * 1.15)), 0)
    elif kind == "sill":
        prop = Prop("sill", np.zeros(2), yaw, (u(1.0, 1.8), u(0.35, 0.5), min(u(0.5, 0.9), leg * 1.2)), 0)
    elif kind == "box":
        prop = Prop("box", np.zeros(2), yaw, (u(0.4, 0.9), u(0.4, 0.6), min(u(0.25, 0.5), leg * 0.8)), 0)
    elif kind == "shelf":
        prop = Prop("shelf", np.zeros(2), yaw, (u(0.7, 1.1), u(0.25, 0.35), u(1.5, 1.9)), 0)
    elif kind == "ladder":
        prop = Prop("ladder", np.zeros(2), yaw, (u(0.4, 0.5), 0.06, u(1.6, 2.2)), 0)
    else:
        prop = Prop("rail", np.zeros(2), yaw, (u(1.1, 1.8), 0.06, leg * u(0.75, 1.1)), 0)
    prop.look = int(rng.integers(1 << 16))
    return prop


def _approach(cast: Cast, prop: Prop, gap: float) -> tuple[Story, float]:
    """A story that ends in front of the prop, facing it; gives the story and the facing heading."""
    rng = cast.rng
    face = prop.yaw + 180
    spot = prop.spot(0, prop.size[1] / 2 + gap)
    story = life.start_near(cast, spot, rng.uniform(0.0, 1.4), prop.yaw)
    life.live_until(cast, story, rng.uniform(0.2, max(0.3, cast.seconds - 6.5)), roam=0.25)
    life.arrive(cast, story, spot, face)
    story.xy, story.yaw = spot, face
    story.go(story.upright(), 0.3).hold(rng.uniform(0, 0.5))
    return story, face


def _grip(prop: Prop, depth: float, height: float, width: float) -> dict:
    """Both hands on the prop, `depth` metres behind its front edge."""
    edge = prop.size[1] / 2
    return {
        f"hand{side}": np.array([*prop.spot(-sign * width, edge - depth), height])
        for side, sign in (("L", 1), ("R", -1))
    } | st.both(hand_fix=1)


def _foot(cast: Cast, prop: Prop, side: str, depth: float, height: float, face: float, wide: float = 0.1) -> dict:
    sign = 1 if side == "L" else -1
    spot = prop.spot(-sign * wide * cast.body.scale, prop.size[1] / 2 - depth)
    return {
        f"foot{side}": np.array([*spot, height + cast.body.joints[PART["footL"]][2]]),
        f"foot_yaw{side}": face + 10 * sign,
        f"foot_pitch{side}": 0,
    }


def _mount(cast: Cast, story: Story, prop: Prop, face: float) -> None:
    """Up onto a flat top: hands, first foot, second foot, standing. Marks `up` as the first foot leaves the floor."""
    body, rng, s = cast.body, cast.rng, cast.body.scale
    h, edge = prop.size[2], prop.size[1] / 2
    first = cast.pick("L", "R")
    second = "R" if first == "L" else "L"
    hips = body.joints[0][2]
    slow = rng.uniform(0.7, 1.3) * (1.4 if cast.old else 1.0)
    reach = min(0.3 * s, prop.size[1] - 0.08)
    hold = _grip(prop, reach * 0.6, h + 0.03, 0.2 * s)
    lean = story.upright() | hold | dict(spin=spin(face, 24), bend=32, head=-28)
    story.go(lean, 0.7 * slow)
    story.mark("up")
    depth = min(0.18 * s, prop.size[1] * 0.5)
    lift = lean | _foot(cast, prop, first, depth, h, face) | dict(spin=spin(face, 34), bend=30)
    lift["pelvis"] = np.array([*prop.spot(0, edge + 0.14 * s), max(hips * 0.97, h + 0.32 * s)])
    lift[f"knee_out{first}"] = 26
    story.go(lift, 0.8 * slow)
    rise = lift | _foot(cast, prop, second, depth * 0.9, h, face) | dict(spin=spin(face, 44), bend=38)
    rise["pelvis"] = np.array([*prop.spot(0, edge - depth * 0.8), h + 0.42 * s])
    story.go(rise, 0.8 * slow)
    top = prop.spot(0, edge - min(prop.size[1] * 0.5, 0.2 * s))
    up = standing(body, top, face, story.stoop)
    for key in ("pelvis", "footL", "footR"):
        up[key] = np.asarray(up[key]) + [0, 0, h]
    if rng.random() < 0.25:
        up = st.crouched(body, top, face, 0.8, 25)
        for key in ("pelvis", "footL", "footR"):
            up[key] = np.asarray(up[key]) + [0, 0, h]
    story.go(up, 0.8 * slow, at=(top, face))


def _on_top(cast: Cast, story: Story) -> None:
    """A while up there: stands, reaches up, turns the trunk."""
    rng = cast.rng
    story.hold(rng.uniform(0.3, 2.0))
    before = pose_now(story)
    if rng.random() < 0.6:
        up = {
            f"arm{x}": (rng.uniform(60, 170), rng.uniform(5, 30), rng.uniform(5, 50)) for x in cast.pick("L", "R", "LR")
        }
        story.go(before | up | dict(head=-12), rng.uniform(0.5, 1)).hold(rng.uniform(0.2, 1.5)).go(before, 0.7)
    story.hold(rng.uniform(0, 1.0))


def _get_down(cast: Cast, story: Story, prop: Prop, face: float) -> None:
    """Steps or jumps down to the front; marks `down` once both feet are on the floor."""
    body, rng, s = cast.body, cast.rng, cast.body.scale
    spot = prop.spot(0, prop.size[1] / 2 + (0.45 if cast.old else 0.35) * s)
    out = face + 180 if rng.random() < 0.5 else face
    if out != face:
        up = standing(body, prop.spot(0, prop.size[1] / 2 - 0.16 * s), out, story.stoop)
        for key in ("pelvis", "footL", "footR"):
            up[key] = np.asarray(up[key]) + [0, 0, prop.size[2]]
        story.go(up, 1.0)
    if rng.random() < 0.5 and out != face and not cast.old:
        crouch = pose_now(story, bend=28)
        crouch["pelvis"] = crouch["pelvis"] - [0, 0, 0.16 * s]
        story.go(crouch | st.both(arm=(-20, 15, 20)), 0.35, through=True)
        story.go(st.crouched(body, spot, out, 0.55, 28), 0.42, through=True)
    else:
        crouch = pose_now(story, bend=30)
        crouch["pelvis"] = np.array([*prop.spot(0, prop.size[1] / 2), prop.size[2] + 0.5 * s])
        first = standing(body, spot, out)
        story.go(crouch | {"footL": first["footL"], "foot_yawL": out}, 0.9)
    story.mark("down")
    story.go(standing(body, spot, out, story.stoop), 0.7, at=(spot, out))


def _climb_rungs(cast: Cast, story: Story, prop: Prop, face: float) -> None:
    """Hand over hand and foot over foot up a shelf or a ladder, hanging on at the end."""
    body, rng, s = cast.body, cast.rng, cast.body.scale
    gap = 0.28 if prop.kind == "ladder" else 1.0 / max(2, int(prop.size[2] / 0.36)) * prop.size[2]
    levels = int(prop.size[2] / gap)
    wide = min(0.17 * s, prop.size[0] * 0.4)
    reach = min(levels, max(2, int(1.12 * body.height / gap * 0.8)))
    hips = body.joints[0][2]
    front = prop.size[1] / 2
    foot_depth = -0.02 if prop.kind == "ladder" else 0.06
    step = rng.uniform(0.45, 0.95)
    top = int(rng.integers(2, max(3, min(levels - 1, 5))))
    pose = story.upright() | dict(spin=spin(face, 4), bend=4, head=-20)
    pose |= _grip(prop, 0.02, gap * reach * 0.85, wide)
    story.go(pose, 0.8)
    story.mark("up")
    for k in range(top):
        side = "LR"[k % 2]
        level = (k // 2 + 1) * gap
        pose = dict(pose) | _foot(cast, prop, side, foot_depth, level, face, 0.08)
        pose[f"knee_out{side}"] = 24
        rise = level - gap * 0.5 if k % 2 == 0 else level
        pose["pelvis"] = np.array([*prop.spot(0, front + 0.2 * s), hips * 0.93 + rise])
        other = "RL"[k % 2]
        hand = pose[f"hand{other}"].copy()
        hand[2] = min(prop.size[2], gap * reach * 0.85 + rise + gap * 0.4)
        pose[f"hand{other}"] = hand
        story.go(pose, step)
    story.xy, story.yaw = prop.spot(0, front + 0.22 * s), face


def _over_rail(cast: Cast, story: Story, prop: Prop, face: float) -> None:
    """One leg after the other over a rail, as a child climbs out of a crib."""
    body, rng, s = cast.body, cast.rng, cast.body.scale
    h, hips = prop.size[2], body.joints[0][2]
    pose = story.upright() | _grip(prop, 0.03, h, 0.22 * s) | dict(spin=spin(face, 14), bend=18)
    story.go(pose, 0.6)
    story.mark("up")
    first, second = cast.pick(("L", "R"), ("R", "L"))
    astride = pose | dict(spin=spin(face, 28), bend=28)
    astride["pelvis"] = np.array([*prop.spot(0, 0.06), max(h + 0.14 * s, hips * 0.9)])
    astride |= _foot(cast, prop, first, 0.06 + 0.18 * s, max(0, h - 0.5 * s), face)
    slow = rng.uniform(0.8, 1.5)
    story.go(astride, 1.2 * slow)
    if rng.random() < 0.3:
        return
    across = astride | _foot(cast, prop, second, 0.06 + 0.24 * s, max(0, h - 0.42 * s), face)
    across["pelvis"] = np.array([*prop.spot(0, -0.16 * s), h + 0.1 * s])
    story.go(across, 1.1 * slow)
    spot = prop.spot(0, -0.32 * s)
    story.go(standing(body, spot, face, story.stoop), 0.9 * slow, at=(spot, face))
    story.mark("down")


def _climb(kind: str):
    def play(cast: Cast) -> Take:
        for _ in range(6):
            take, up = once(cast)
            if up < cast.seconds - 2:
                break
        return take

    def once(cast: Cast) -> tuple[Take, float]:
        prop = _prop(cast, kind)
        if cast.rng.random() < 0.1 and kind in ("chair", "table", "sofa", "bed", "box"):
            story = _already_up(cast, prop)
            face = story.yaw
        else:
            story, face = _approach(cast, prop, 0.17 * cast.body.scale)
            if kind in ("shelf", "ladder"):
                _climb_rungs(cast, story, prop, face)
            elif kind == "rail":
                _over_rail(cast, story, prop, face)
            else:
                _mount(cast, story, prop, face)
        if "down" not in story.marks and kind not in ("shelf", "ladder", "rail"):
            _on_top(cast, story)
            if story.time < cast.seconds - 1.5 and cast.rng.random() < 0.6:
                _get_down(cast, story, prop, face)
        if "down" in story.marks:
            life.live_until(cast, story, cast.seconds, roam=0.0)
        return _labelled(cast, story, prop), story.marks["up"]

    return play


def _already_up(cast: Cast, prop: Prop) -> Story:
    face = prop.yaw + cast.pick(0, 180)
    top = prop.spot(0, prop.size[1] / 2 - min(prop.size[1] * 0.5, 0.2 * cast.body.scale))
    up = standing(cast.body, top, face, 4)
    for key in ("pelvis", "footL", "footR"):
        up[key] = np.asarray(up[key]) + [0, 0, prop.size[2]]
    story = Story(cast.body, top, face, up)
    story.marks["up"] = 0.0
    return story


def _labelled(cast: Cast, story: Story, prop: Prop) -> Take:
    rng = cast.rng
    turn, root = solve(cast.body, story.track(rng, rng.uniform(0.2, 0.8)))
    turn, root = fit(cast.frames, turn, root)
    up = story.marks["up"] + 0.12 if story.marks["up"] > 0 else 0.0
    labels = climb_labels(cast.frames, [(up, story.marks.get("down", cast.seconds))])
    actor = Actor(cast.body, turn, root, labels)
    breathe(actor, rng, rng.uniform(0.2, 1.0))
    return Take([actor], [prop], prop.yaw + 180)


def _beside(act: str):
    def play(cast: Cast) -> Take:
        """Touches, leans on, sits on, reaches over or walks past the object; both feet stay on the floor."""
        rng, body, s = cast.rng, cast.body, cast.body.scale
        kind = cast.pick(*(("chair", "sofa", "bed", "box") if act == "sit" else KINDS))
        prop = _prop(cast, kind)
        if act == "pass":
            side = prop.size[0] / 2 + 1.1
            front = prop.size[1] / 2 + rng.uniform(0.3, 0.8)
            story = Story(body, prop.spot(-side, front), prop.yaw + 90, stoop=cast.stoop)
            life.live_until(cast, story, rng.uniform(0.1, max(0.2, cast.seconds - 5)), roam=0.1)
            while story.time < cast.seconds:
                story.walk(prop.spot(side, front), cast.pace, cast.gait).hold(rng.uniform(0.2, 1.5))
                story.walk(prop.spot(-side, front), cast.pace, cast.gait)
            return finish(cast, story, [prop])
        if act == "sit":
            spot = life.stand_spot(body, prop)
            story = life.start_near(cast, spot, rng.uniform(0.0, 1.4), prop.yaw)
            life.live_until(cast, story, rng.uniform(0.2, max(0.3, cast.seconds - 6)), roam=0.2)
            life.arrive(cast, story, spot, prop.yaw)
            life.sit_down(cast, story, prop, rng.uniform(0.5, 1.5))
            life.live_until(cast, story, cast.seconds, seated=True)
            return finish(cast, story, [prop])
        story, face = _approach(cast, prop, rng.uniform(0.17, 0.28) * s)
        h = min(prop.size[2], 1.25 * body.height)
        while story.time < cast.seconds - 1.2:
            hands = _grip(prop, rng.uniform(0.0, 0.2) * s, h + 0.02, rng.uniform(0.1, 0.25) * s)
            if act == "touch":
                side = cast.pick("L", "R")
                hands = {k: v for k, v in hands.items() if k.endswith(side)}
            deep = {"touch": (10, 14), "lean": (26, 30), "reach": (16, 8)}[act]
            pose = story.upright() | hands | dict(spin=spin(face, deep[0]), bend=deep[1], head=-10)
            if act == "reach":
                pose |= {f"foot_pitch{x}": 22 for x in "LR"}
                for key in ("pelvis", "footL", "footR"):
                    pose[key] = np.asarray(pose[key]) + [0, 0, 0.05 * s]
            story.go(pose, rng.uniform(0.5, 1.2)).hold(rng.uniform(0.3, 2.5)).go(story.upright(), rng.uniform(0.4, 1.0))
            if rng.random() < 0.4:
                story.walk(
                    prop.spot(rng.uniform(-0.5, 0.5), prop.size[1] / 2 + rng.uniform(0.5, 1.2)), cast.pace, cast.gait
                )
                life.arrive(cast, story, prop.spot(0, prop.size[1] / 2 + 0.2 * s), face)
        return finish(cast, story.until(cast.seconds), [prop])

    return play


CLIMBS = {f"climb-{kind}": _climb(kind) for kind in KINDS}
BESIDE = {f"beside-{act}": _beside(act) for act in ("touch", "lean", "sit", "pass", "reach")}
