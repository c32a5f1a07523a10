"""Pieces of everyday life that falls, climbs and harmless scenes share, so that none of them gives itself away."""

import numpy as np

from . import stances as st
from .body import Body
from .pose import ahead, spin, standing
from .stage import Cast, Prop
from .story import Story, heading, pose_now


def chair_prop(cast: Cast, xy=(0.0, 0.0), yaw: float | None = None, height: float | None = None) -> Prop:
    """A chair; children get a lower one half of the time."""
    rng = cast.rng
    yaw = rng.uniform(0, 360) if yaw is None else yaw
    small = cast.body.height < 1.4 and rng.random() < 0.5
    height = height or rng.uniform(0.41, 0.5) * (max(cast.body.scale, 0.55) if small else 1)
    wide = rng.uniform(0.4, 0.5)
    return Prop("chair", np.array(xy, float), yaw, (wide, wide * 0.95, height), int(rng.integers(1 << 16)))


def sofa_prop(cast: Cast, xy=(0.0, 0.0), yaw: float | None = None) -> Prop:
    rng = cast.rng
    yaw = rng.uniform(0, 360) if yaw is None else yaw
    kind = cast.pick("sofa", "armchair")
    size = (rng.uniform(1.6, 2.0) if kind == "sofa" else 0.85, rng.uniform(0.75, 0.9), rng.uniform(0.38, 0.45))
    return Prop(kind, np.array(xy, float), yaw, size, int(rng.integers(1 << 16)))


def bed_prop(cast: Cast, xy=(0.0, 0.0), yaw: float | None = None) -> Prop:
    rng = cast.rng
    yaw = rng.uniform(0, 360) if yaw is None else yaw
    size = (2.0, rng.uniform(0.85, 1.5), rng.uniform(0.4, 0.6))
    return Prop("bed", np.array(xy, float), yaw, size, int(rng.integers(1 << 16)))


def seat_spot(body: Body, prop: Prop, side: float = 0.0) -> np.ndarray:
    """Where the pelvis of somebody sitting on a prop is [2]: as far back as the legs allow."""
    thigh = body.bone("thighL", "shinL")
    front = max(prop.size[1] / 2 - thigh * 0.62, -prop.size[1] / 2 + 0.22 * body.scale)
    return prop.spot(side, front)


def stand_spot(body: Body, prop: Prop, side: float = 0.0) -> np.ndarray:
    """Where one stands right before sitting down."""
    return prop.spot(side, prop.size[1] / 2 + 0.17 * body.scale)


def seated_pose(cast: Cast, prop: Prop, side: float = 0.0) -> dict:
    """One of many ways to sit on a prop."""
    u = cast.rng.uniform
    pose = st.seated(cast.body, seat_spot(cast.body, prop, side), prop.size[2], prop.yaw, u(0, 14), u(-0.06, 0.1))
    pose |= dict(bend=u(2, 24), twist=u(-10, 10), lean=u(-5, 5), head=u(-5, 25), head_yaw=u(-20, 20))
    style = cast.pick("lap", "lap", "knees", "apart")
    arm = {
        "lap": (u(26, 40), u(4, 10), u(50, 75)),
        "knees": (u(34, 48), u(6, 12), u(30, 45)),
        "apart": (u(5, 25), u(15, 30), u(20, 60)),
    }[style]
    return pose | st.both(arm=arm)


def sit_on(cast: Cast, prop: Prop, early: float = 0.0, side: float = 0.0) -> Story:
    """A story that starts sitting on a prop."""
    pose = seated_pose(cast, prop, side)
    return Story(cast.body, seat_spot(cast.body, prop, side), prop.yaw, pose, stoop=cast.stoop)


def sit_down(cast: Cast, story: Story, prop: Prop, seconds: float, side: float = 0.0) -> None:
    """From standing in front of a prop to sitting on it within `seconds`; short is a plop."""
    body, yaw = cast.body, prop.yaw
    goal = seated_pose(cast, prop, side)
    middle = story.upright()
    w = 0.55
    middle["pelvis"] = np.asarray(middle["pelvis"]) * (1 - w) + np.asarray(goal["pelvis"]) * w
    middle |= dict(spin=spin(yaw, 30), bend=22, head=-12) | st.both(arm=(28, 10, 22))
    for side_name in "LR":
        goal[f"foot{side_name}"] = (
            np.asarray(goal[f"foot{side_name}"]) * 0.4 + np.asarray(middle[f"foot{side_name}"]) * 0.6
        )
    story.go(middle, seconds * 0.55, through=True)
    story.go(goal, seconds * 0.45, at=(seat_spot(body, prop), yaw))


def stand_up(cast: Cast, story: Story, prop: Prop, seconds: float, side: float = 0.0) -> None:
    """From sitting on a prop to standing in front of it."""
    body = cast.body
    xy = stand_spot(body, prop, side)
    lean = st.crouched(body, xy, prop.yaw, 0.55, 32)
    story.go(lean, seconds * 0.5, through=True)
    story.go(standing(body, xy, prop.yaw, story.stoop), seconds * 0.5, at=(xy, prop.yaw))


def get_out_of_bed(cast: Cast, when: float) -> tuple[Story, Prop]:
    """Lies in bed, sits up at its edge and begins to stand at about second `when`."""
    rng, body = cast.rng, cast.body
    prop = bed_prop(cast)
    story = lie_in_bed(cast, prop)
    rise = rng.uniform(1.2, 2.2)
    if when > rise + 0.8:
        story.hold(when - rise - 0.6)
        story.go(seated_pose(cast, prop), rise * 0.8, at=(seat_spot(body, prop), prop.yaw))
    else:
        story = sit_on(cast, prop)
        story.hold(max(0.1, when - 0.7))
    story.go(st.crouched(body, stand_spot(body, prop), prop.yaw, 0.5, 30), 0.6)
    return story, prop


def lie_in_bed(cast: Cast, prop: Prop, side: str | None = None) -> Story:
    """A story that starts lying on a bed or sofa."""
    rng = cast.rng
    head_yaw = prop.yaw + cast.pick(90, -90)
    side = side or cast.pick("back", "back", "left", "right")
    xy = prop.spot(rng.uniform(-0.1, 0.1), prop.size[1] * rng.uniform(-0.1, 0.15))
    pose = st.lying(cast.body, xy, head_yaw, side, rng, prop.size[2])
    return Story(cast.body, xy, head_yaw, pose, stoop=cast.stoop)


def gesture(cast: Cast, story: Story, seated: bool = False) -> None:
    """A small movement of the arms, the head or the trunk, and back."""
    u = cast.rng.uniform
    side = cast.pick("L", "R")
    kind = cast.pick("arm", "arm", "look", "phone", "lean", "hips")
    before = pose_now(story)
    change = {
        "arm": {f"arm{side}": (u(20, 110), u(5, 50), u(10, 100))},
        "look": dict(head_yaw=u(-60, 60), twist=u(-15, 15)),
        "phone": {f"arm{side}": (u(35, 55), 8, u(100, 130))} | dict(head=u(5, 20)),
        "lean": dict(bend=u(8, 30), lean=u(-12, 12)),
        "hips": st.both(arm=(u(-10, 10), u(30, 45), u(80, 100))),
    }[kind]
    story.go(before | change, u(0.5, 1.0)).hold(u(0.2, 1.6))
    story.go(before, u(0.5, 1.0))


def live_until(cast: Cast, story: Story, when: float, roam: float = 0.9, seated: bool = False) -> Story:
    """Fills the time up to second `when` with standing, small walks and gestures (or sitting and gestures)."""
    rng = cast.rng
    home = story.xy.copy()
    while when - story.time > 1.2:
        room = when - story.time
        act = rng.random()
        if seated or act < 0.35:
            if room > 3.8 or (room > 2.6 and rng.random() < 0.5):
                gesture(cast, story, seated)
            story.hold(min(rng.uniform(0.3, 2.0), max(0.1, when - story.time)))
        elif act < 0.6 or room < 3.0:
            story.hold(min(rng.uniform(0.4, 2.5), room))
        else:
            goal = home + rng.uniform(-roam, roam, 2)
            story.walk(goal, cast.pace, cast.gait)
            if story.time > when + 0.5:
                break
    story.hold(max(0, when - story.time))
    return story


def arrive(cast: Cast, story: Story, xy, face: float, when: float | None = None) -> None:
    """Walks to `xy`, turns to `face`, and waits until `when`."""
    story.walk(xy, cast.pace, cast.gait, face=face)
    if when is not None and when > story.time:
        story.hold(when - story.time)


def start_near(cast: Cast, xy, distance: float, yaw_hint: float | None = None) -> Story:
    """A story that starts standing `distance` metres before `xy`, coming from the side that `yaw_hint` looks to."""
    rng = cast.rng
    way = rng.uniform(0, 360) if yaw_hint is None else yaw_hint + rng.uniform(-60, 60)
    begin = np.array(xy) + ahead(way)[:2] * distance
    face = heading(np.append(np.array(xy) - begin, 0)) if distance > 0.05 else way + 180
    return Story(cast.body, begin, face + rng.uniform(-25, 25), stoop=cast.stoop)
