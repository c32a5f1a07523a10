"""Everyday scenes on one's feet or on a seat, and all harmless scenes by name."""

import numpy as np

from . import life
from . import stances as st
from .ending import finish
from .low import LOW
from .ordinary import ordinary
from .pose import ahead, left, rot_z, spin
from .stage import Cast, Prop, Take
from .story import Story, pose_now


def stand_about(cast: Cast) -> Take:
    story = Story(cast.body, cast.rng.uniform(-0.5, 0.5, 2), cast.rng.uniform(0, 360), stoop=cast.stoop)
    life.live_until(cast, story, cast.seconds, roam=cast.pick(0.0, 0.9, 1.4))
    return finish(cast, story)


def stand_still(cast: Cast) -> Take:
    story = Story(cast.body, cast.rng.uniform(-0.4, 0.4, 2), cast.rng.uniform(0, 360), stoop=cast.stoop)
    if cast.rng.random() < 0.4:
        life.gesture(cast, story)
    return finish(cast, story.until(cast.seconds), sway=cast.rng.uniform(0.2, 0.7))


def walk_about(cast: Cast) -> Take:
    rng = cast.rng
    story = Story(cast.body, rng.uniform(-1.2, 1.2, 2), rng.uniform(0, 360), stoop=cast.stoop)
    while story.time < cast.seconds:
        story.walk(rng.uniform(-1.4, 1.4, 2), cast.pace, cast.gait)
        if rng.random() < 0.4:
            story.hold(rng.uniform(0.2, 1.5))
    return finish(cast, story)


def walk_across(cast: Cast) -> Take:
    """Comes in from far, passes, leaves; sometimes turns back."""
    rng = cast.rng
    yaw, off = rng.uniform(0, 360), rng.uniform(-0.8, 0.8)
    begin = -ahead(yaw)[:2] * rng.uniform(2.2, 3.0) + left(yaw)[:2] * off
    story = Story(cast.body, begin, yaw, stoop=cast.stoop)
    story.hold(rng.uniform(0, max(0.2, cast.seconds - 5)))
    story.walk(ahead(yaw)[:2] * rng.uniform(0.5, 3.0) + left(yaw)[:2] * off, cast.pace * 1.15, cast.gait)
    if rng.random() < 0.5:
        story.hold(rng.uniform(0.2, 1.5)).walk(begin, cast.pace, cast.gait)
    return finish(cast, story.until(cast.seconds), toward=yaw)


def sit_and_rise(cast: Cast) -> Take:
    """Walks up, sits down gently or with a plop, perhaps leans back, perhaps gets up again."""
    rng, body = cast.rng, cast.body
    prop = cast.pick(life.chair_prop, life.chair_prop, life.sofa_prop, life.bed_prop)(cast)
    if rng.random() < 0.75:
        story = life.start_near(cast, life.stand_spot(body, prop), rng.uniform(0.0, 1.4), prop.yaw)
        life.live_until(cast, story, rng.uniform(0, max(0.1, cast.seconds - 5)), roam=0.2)
        life.arrive(cast, story, life.stand_spot(body, prop), prop.yaw)
        story.hold(rng.uniform(0, 0.8))
        life.sit_down(cast, story, prop, rng.uniform(0.45, 0.75) if rng.random() < 0.5 else rng.uniform(0.9, 1.8))
        if rng.random() < 0.4:
            pose = pose_now(story, spin=spin(prop.yaw, -rng.uniform(15, 30)), head=rng.uniform(-15, 10))
            story.go(pose, rng.uniform(0.5, 1.2))
    else:
        story = life.sit_on(cast, prop)
    life.live_until(cast, story, story.time + rng.uniform(0.3, 4.0), seated=True)
    if rng.random() < 0.6:
        life.stand_up(cast, story, prop, rng.uniform(0.9, 2.2))
        life.live_until(cast, story, cast.seconds, roam=0.0)
        if rng.random() < 0.6:
            story.walk(prop.spot(rng.uniform(-0.8, 0.8), 1.4), cast.pace, cast.gait)
    life.live_until(cast, story, cast.seconds, seated=True)
    return finish(cast, story, [prop])


def sit_slouched(cast: Cast) -> Take:
    """Falls asleep or slouches on a seat without leaving it, or bends far forward (shoe, floor) and comes back."""
    rng = cast.rng
    prop = cast.pick(life.chair_prop, life.sofa_prop)(cast)
    story = life.sit_on(cast, prop)
    life.live_until(cast, story, rng.uniform(0.5, max(0.6, cast.seconds - 4)), seated=True)
    before = pose_now(story)
    if rng.random() < 0.5:
        story.go(before | dict(bend=rng.uniform(55, 75), head=20) | st.both(arm=(70, 6, 12)), rng.uniform(0.6, 1.6))
        story.hold(rng.uniform(0.5, 2.5)).go(before, rng.uniform(0.7, 1.5))
    else:
        lean = rng.uniform(8, 22) * cast.pick(-1, 1)
        story.go(before | dict(lean=lean, bend=rng.uniform(20, 34), head=28, head_yaw=0), rng.uniform(0.4, 2.0))
    life.live_until(cast, story, cast.seconds, seated=True)
    return finish(cast, story, [prop])


def pick_up(cast: Cast) -> Take:
    """Bends or squats for something on the floor and comes up again."""
    rng, body = cast.rng, cast.body
    story = Story(body, rng.uniform(-0.6, 0.6, 2), rng.uniform(0, 360), stoop=cast.stoop)
    life.live_until(cast, story, rng.uniform(0.5, max(0.6, cast.seconds - 4)), roam=0.5)
    yaw, hand = story.yaw, cast.pick("L", "R")
    spot = story.xy + ahead(yaw)[:2] * 0.38 * body.scale
    while True:
        down = (
            st.bent(body, story.xy, yaw, rng.uniform(0.8, 1.1))
            if rng.random() < 0.5
            else st.crouched(body, story.xy, yaw, rng.uniform(0.5, 0.95), rng.uniform(35, 60))
        )
        down |= {f"hand{hand}": np.array([*spot, 0.08]), f"hand_fix{hand}": 1}
        pace = rng.uniform(0.35, 1.3)
        story.go(down, pace).hold(rng.uniform(0.1, 1.8))
        story.go(story.upright(), pace * rng.uniform(1, 1.6)).hold(rng.uniform(0.2, 1.5))
        if story.time > cast.seconds - 3 or rng.random() < 0.4:
            break
    life.live_until(cast, story, cast.seconds)
    thing = Prop(
        cast.pick("bag", "box", "cloth"),
        spot,
        rng.uniform(0, 360),
        (0.22, 0.16, 0.12),
        int(rng.integers(1 << 16)),
        solid=False,
    )
    return finish(cast, story, [thing] if rng.random() < 0.6 else [])


def reach_and_stretch(cast: Cast) -> Take:
    rng = cast.rng
    story = Story(cast.body, rng.uniform(-0.5, 0.5, 2), rng.uniform(0, 360), stoop=cast.stoop)
    while story.time < cast.seconds - 1.5:
        life.live_until(cast, story, story.time + rng.uniform(0.3, 2.5), roam=0.4)
        up = rng.uniform(120, 175)
        arms = (
            st.both(arm=(up, rng.uniform(0, 30), rng.uniform(0, 25)))
            if rng.random() < 0.6
            else {"arm" + cast.pick("L", "R"): (up, 10, 10)}
        )
        story.go(story.upright(lean=rng.uniform(-20, 20), bend=rng.uniform(-10, 5)) | arms, rng.uniform(0.5, 1.2))
        story.hold(rng.uniform(0.2, 1.5)).go(story.upright(), rng.uniform(0.4, 1.0))
    return finish(cast, story.until(cast.seconds))


def jump(cast: Cast) -> Take:
    rng, body = cast.rng, cast.body
    story = Story(body, rng.uniform(-0.4, 0.4, 2), rng.uniform(0, 360), stoop=min(6, cast.stoop))
    while story.time < cast.seconds - 1:
        life.live_until(cast, story, story.time + rng.uniform(0.1, 1.8), roam=0.4)
        for _ in range(int(rng.integers(1, 5))):
            down, rise = (
                st.crouched(body, story.xy, story.yaw, rng.uniform(0.2, 0.45), 15),
                rng.uniform(0.06, 0.3) * body.scale,
            )
            up = story.upright() | st.both(arm=(rng.uniform(30, 160), 20, 15), foot_pitch=30)
            for key in ("pelvis", "footL", "footR"):
                up[key] = np.asarray(up[key]) + [0, 0, rise]
            story.go(down, 0.28, through=True).go(up, 0.24, through=True).go(down, 0.24, through=True)
            story.go(story.upright(), 0.3)
    return finish(cast, story.until(cast.seconds))


def push_about(cast: Cast) -> Take:
    """Stoops over something low (sweeping, playing, cleaning) and walks with it."""
    rng, body = cast.rng, cast.body
    story = Story(body, rng.uniform(-0.8, 0.8, 2), rng.uniform(0, 360), stoop=rng.uniform(25, 45))
    while story.time < cast.seconds:
        before = pose_now(story)
        for _ in range(int(rng.integers(1, 5))):
            shift = rot_z(story.yaw) @ np.array([rng.uniform(-0.12, 0.12), rng.uniform(-0.06, 0.06), 0]) * body.scale
            pose = before | dict(pelvis=before["pelvis"] + shift, twist=rng.uniform(-25, 25), bend=rng.uniform(25, 60))
            story.go(pose | st.both(arm=(rng.uniform(30, 70), 8, 25)), rng.uniform(0.3, 0.9))
        story.go(before, 0.5)
        story.walk(story.xy + rng.uniform(-0.8, 0.8, 2), cast.pace, cast.gait)
    return finish(cast, story)


DAILY = {
    "stand-about": stand_about,
    "stand-still": stand_still,
    "walk-about": walk_about,
    "walk-across": walk_across,
    "sit": sit_and_rise,
    "sit-slouched": sit_slouched,
    "pick-up": pick_up,
    "stretch": reach_and_stretch,
    "jump": jump,
    "stoop": push_about,
    "ordinary": ordinary,
    **LOW,
}
