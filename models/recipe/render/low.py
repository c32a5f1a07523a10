"""Everyday scenes near the floor, in bed and on it: the ones that look most like a fall and are none."""

import numpy as np

from . import life
from . import stances as st
from .ending import finish
from .pose import ahead, spin
from .stage import Cast, Prop, Take
from .story import RATE, Story, pose_now


def _rise(cast: Cast, story: Story, knees) -> None:
    """From the knees, which are under `knees`, to the feet, and on with life."""
    rng, body, yaw = cast.rng, cast.body, story.yaw
    story.xy = knees
    story.go(st.half_kneeling(body, knees, yaw), rng.uniform(0.6, 1.2))
    story.go(st.curled_up_rise(body, knees, yaw), rng.uniform(0.5, 1.0)).go(story.upright(), rng.uniform(0.5, 1.0))
    life.live_until(cast, story, cast.seconds, roam=0.5)


def kneel_down(cast: Cast) -> Take:
    """Goes down on one knee or both, fast or slowly: ties a shoe, works on the floor, crawls a little, gets up."""
    rng, body = cast.rng, cast.body
    story = Story(body, rng.uniform(-0.5, 0.5, 2), rng.uniform(0, 360), stoop=cast.stoop)
    life.live_until(cast, story, rng.uniform(0.5, max(0.6, cast.seconds - 5)), roam=0.4)
    yaw, fast = story.yaw, rng.uniform(0.35, 1.6)
    knees = story.xy + ahead(yaw)[:2] * 0.1 * body.scale
    kind = cast.pick("shoe", "knees", "drop", "work", "crawl")
    if kind == "shoe":
        front = cast.pick("L", "R")
        pose = st.half_kneeling(body, story.xy, yaw, front)
        story.go(pose, fast)
        foot = np.asarray(pose[f"foot{front}"]) + [0, 0, 0.06]
        story.go(pose | dict(bend=48, head=20) | st.both(hand=foot, hand_fix=1), 0.7).hold(rng.uniform(0.8, 3))
    elif kind in ("knees", "drop"):
        story.go(st.on_knees(body, knees, yaw, rng.uniform(0, 0.9)), 0.4 if kind == "drop" else fast)
        life.live_until(cast, story, story.time + rng.uniform(0.5, 3), seated=True)
    else:
        story.go(st.on_knees(body, knees, yaw), fast).go(st.all_fours(body, knees, yaw), rng.uniform(0.4, 0.9))
        for _ in range(int(rng.integers(2, 9))):
            if kind == "crawl":
                knees = knees + ahead(yaw)[:2] * 0.2 * body.scale
                story.go(st.all_fours(body, knees, yaw), rng.uniform(0.35, 0.6), through=True)
            else:
                hand = cast.pick("L", "R")
                reach = pose_now(story)
                reach[f"hand{hand}"] = reach[f"hand{hand}"] + np.array([*rng.uniform(-0.15, 0.15, 2), 0]) * body.scale
                story.go(reach, rng.uniform(0.25, 0.6))
    if rng.random() < 0.7:
        _rise(cast, story, knees)
    return finish(cast, story.until(cast.seconds))


def bow_down(cast: Cast) -> Take:
    """Bends forward, puts the hands on the floor and is on all fours, fast or slowly; looks under something, prays, rests there,
    perhaps with the forehead down; sits back on the heels or gets up."""
    rng, body = cast.rng, cast.body
    story = Story(body, rng.uniform(-0.5, 0.5, 2), rng.uniform(0, 360), stoop=cast.stoop)
    life.live_until(cast, story, rng.uniform(0.3, max(0.4, cast.seconds - 5)), roam=0.3)
    yaw, fast = story.yaw, float(np.exp(rng.uniform(np.log(0.3), np.log(1.2))))
    knees = story.xy + ahead(yaw)[:2] * 0.05 * body.scale
    if rng.random() < 0.5:
        story.go(story.upright() | dict(spin=spin(yaw, rng.uniform(25, 60)), bend=rng.uniform(15, 40)), rng.uniform(0.4, 1.0))
        story.hold(rng.uniform(0, 0.8))
    hands = st.all_fours(body, knees, yaw)
    reach = st.crouched(body, story.xy, yaw, rng.uniform(0.4, 0.8), 50)
    reach |= {key: hands[key] for key in ("handL", "handR", "hand_fixL", "hand_fixR")} | dict(spin=spin(yaw, 60), head=-10)
    story.go(reach, fast, through=True).go(hands, fast * rng.uniform(0.6, 1.2))
    for _ in range(int(rng.integers(1, 4))):
        low = rng.random() < 0.75
        story.go(st.bowed(body, knees, yaw) if low else hands, rng.uniform(0.5, 1.2)).hold(rng.uniform(0.3, 2.5))
        if rng.random() < 0.4:
            story.go(st.on_knees(body, knees, yaw, rng.uniform(0.5, 0.9)), rng.uniform(0.6, 1.2)).hold(rng.uniform(0.2, 1.5))
    if rng.random() < 0.5:
        _rise(cast, story, knees)
    return finish(cast, story.until(cast.seconds))


def squat(cast: Cast) -> Take:
    rng, body = cast.rng, cast.body
    story = Story(body, rng.uniform(-0.4, 0.4, 2), rng.uniform(0, 360), stoop=cast.stoop)
    life.live_until(cast, story, rng.uniform(0.3, max(0.4, cast.seconds - 5)), roam=0.4)
    repeat = rng.random() < 0.5
    depth, pace = rng.uniform(0.6, 1.0), rng.uniform(0.4, 1.3)
    while story.time < cast.seconds - 1.5:
        story.go(st.crouched(body, story.xy, story.yaw, depth, rng.uniform(10, 40)), pace)
        story.hold(rng.uniform(0, 0.5) if repeat else rng.uniform(0.5, 4))
        story.go(story.upright(), pace * 1.1).hold(rng.uniform(0, 0.6))
        if not repeat:
            break
    life.live_until(cast, story, cast.seconds)
    return finish(cast, story)


def sit_on_floor(cast: Cast) -> Take:
    """Sits down on the floor, legs ahead or crossed, plays or reads there, perhaps gets up again."""
    rng, body = cast.rng, cast.body
    story = Story(body, rng.uniform(-0.4, 0.4, 2), rng.uniform(0, 360), stoop=cast.stoop)
    if rng.random() < 0.75:
        life.live_until(cast, story, rng.uniform(0.3, max(0.4, cast.seconds - 5)), roam=0.4)
        slow = float(np.exp(rng.uniform(np.log(0.55), np.log(1.6))))
        story.go(st.crouched(body, story.xy, story.yaw, 0.9, 35), 0.8 * slow, through=True)
        hips = story.xy - ahead(story.yaw)[:2] * 0.15 * body.scale
        story.go(_floor_seat(cast, hips, story.yaw), 0.8 * slow)
    else:
        hips = story.xy.copy()
        story = Story(body, hips, story.yaw, _floor_seat(cast, hips, story.yaw), stoop=story.stoop)
    life.live_until(cast, story, story.time + rng.uniform(1.0, 5.0), seated=True)
    if rng.random() < 0.5:
        story.go(st.all_fours(body, hips, story.yaw + 30), rng.uniform(0.7, 1.3))
        story.go(st.half_kneeling(body, hips, story.yaw + 30), rng.uniform(0.6, 1.2))
        story.xy, story.yaw = hips, story.yaw + 30
        story.go(st.curled_up_rise(body, hips, story.yaw), rng.uniform(0.5, 1.0)).go(story.upright(), 0.7)
        life.live_until(cast, story, cast.seconds, roam=0.5)
    life.live_until(cast, story, cast.seconds, seated=True)
    return finish(cast, story)


def _floor_seat(cast: Cast, xy, yaw: float) -> dict:
    """One of many ways to sit on the floor."""
    u = cast.rng.uniform
    pose = st.seated_on_floor(cast.body, xy, yaw, cast.rng.random() < 0.3, u(5, 90))
    if cast.rng.random() < 0.5:
        pose |= st.both(leg=(u(62, 78), u(35, 50), u(105, 130))) | dict(bend=u(15, 40))
    return pose


def lie_on_floor(cast: Cast) -> Take:
    """Lies down on the floor on purpose, slowly or fast, lies still or not, perhaps gets up."""
    rng, body = cast.rng, cast.body
    story = Story(body, rng.uniform(-0.4, 0.4, 2), rng.uniform(0, 360), stoop=cast.stoop)
    life.live_until(cast, story, rng.uniform(0.4, max(0.5, cast.seconds - 6)), roam=0.4)
    slow = float(np.exp(rng.uniform(np.log(0.6), np.log(1.8))))
    yaw, xy = story.yaw, story.xy.copy()
    if rng.random() < 0.5:
        story.go(st.crouched(body, xy, yaw, 0.9, 35), 0.8 * slow, through=True)
        hips = xy - ahead(yaw)[:2] * 0.15 * body.scale
        story.go(st.seated_on_floor(body, hips, yaw, knees=70), 0.7 * slow).hold(rng.uniform(0, 0.8))
        final = st.lying(body, hips, yaw, cast.pick("back", "back", "left", "right"), rng)
        story.go(final, 1.0 * slow, at=(hips, yaw))
    else:
        knees = xy + ahead(yaw)[:2] * 0.08
        story.go(st.on_knees(body, knees, yaw), 0.7 * slow, through=True)
        story.go(st.all_fours(body, knees, yaw), 0.6 * slow, through=True).hold(rng.uniform(0, 0.5))
        hips = knees + ahead(yaw)[:2] * 0.15 * body.scale
        final = st.lying(body, hips, yaw + 180, cast.pick("front", "left", "right"), rng)
        story.go(final, 1.0 * slow, at=(hips, yaw))
    return finish(cast, story, sway=rng.uniform(0.1, 0.6), rest=cast.pick("still", "still", "stirs"))


def exercise(cast: Cast) -> Take:
    """Push-ups, leg raises, sit-ups or stretching on the floor, already there or just getting there."""
    rng, body = cast.rng, cast.body
    xy, yaw = rng.uniform(-0.3, 0.3, 2), rng.uniform(0, 360)
    kind = cast.pick("legs", "sit-ups", "bridge", "fours")
    if kind == "fours":
        a = st.all_fours(body, xy, yaw)
        b = (
            a | dict(bend=rng.uniform(-20, 0), head=-30)
            if rng.random() < 0.5
            else a | dict(legL=(10, 5, 5), leg_freeL=1, armR=(150, 10, 5), hand_fixR=0)
        )
    else:
        a = st.lying(body, xy, yaw, "back", rng)
        b = dict(a)
        if kind == "legs":
            side = cast.pick("L", "R")
            b |= {f"leg{side}": (rng.uniform(40, 85), 5, rng.uniform(5, 50))}
        elif kind == "sit-ups":
            b = st.seated_on_floor(body, xy, yaw, hands_behind=False, knees=80)
        else:
            a |= st.both(leg=(45, 6, 95))
            b = a | dict(pelvis=np.asarray(a["pelvis"]) + [0, 0, 0.14 * body.scale], spin=spin(yaw, -108))
    story = Story(body, xy, yaw, a, stoop=cast.stoop)
    if rng.random() < 0.4:
        story = Story(body, xy, yaw, stoop=cast.stoop).hold(rng.uniform(0.3, 1.5))
        story.go(st.crouched(body, xy, yaw, 0.9), 0.9)
        story.go(st.seated_on_floor(body, xy, yaw) if kind != "fours" else a, 0.9).go(a, 1.0)
    pace = rng.uniform(0.5, 1.5)
    while story.time < cast.seconds - 1:
        story.hold(rng.uniform(0, 0.6)).go(b, pace).hold(rng.uniform(0, 0.8)).go(a, pace)
    return finish(cast, story, sway=0.3)


def lie_in_bed(cast: Cast) -> Take:
    """Goes to bed or to a sofa, or turns over in it, or gets out of it."""
    rng, body = cast.rng, cast.body
    prop = life.bed_prop(cast) if rng.random() < 0.7 else life.sofa_prop(cast)
    if prop.kind == "armchair":
        prop = Prop("sofa", prop.xy, prop.yaw, (2.0, 0.85, 0.42), prop.look)
    kind = cast.pick("go", "go", "turn", "leave")
    slow = float(np.exp(rng.uniform(np.log(0.45), np.log(1.6))))
    if kind == "go":
        story = life.start_near(cast, life.stand_spot(body, prop), rng.uniform(0, 1.3), prop.yaw)
        life.live_until(cast, story, rng.uniform(0, max(0.1, cast.seconds - 6)), roam=0.2)
        life.arrive(cast, story, life.stand_spot(body, prop), prop.yaw)
        life.sit_down(cast, story, prop, 1.1 * slow)
        story.hold(rng.uniform(0, 1.2))
        head_yaw = prop.yaw + cast.pick(90, -90)
        final = st.lying(
            body,
            prop.spot(0, prop.size[1] * 0.05),
            head_yaw,
            cast.pick("back", "back", "left", "right"),
            rng,
            prop.size[2],
        )
        story.go(final, 1.3 * slow)
    elif kind == "turn":
        story = life.lie_in_bed(cast, prop)
        while story.time < cast.seconds - 1.5:
            story.hold(rng.uniform(0.3, 2.5))
            head_yaw = story.yaw
            story.go(
                st.lying(
                    body, pose_now(story)["pelvis"][:2], head_yaw, cast.pick("back", "left", "right"), rng, prop.size[2]
                ),
                rng.uniform(0.6, 1.8),
            )
    else:
        story, prop = life.get_out_of_bed(cast, rng.uniform(1.5, max(1.6, cast.seconds - 3)))
        xy = life.stand_spot(body, prop)
        story.xy, story.yaw = xy, prop.yaw
        story.go(story.upright(), 0.7)
        life.live_until(cast, story, cast.seconds, roam=0.0)
    if kind == "go":
        return finish(cast, story, [prop], sway=rng.uniform(0.1, 0.6), rest=cast.pick("still", "still", "stirs"))
    return finish(cast, story.until(cast.seconds), [prop], sway=rng.uniform(0.1, 0.6))


def already_lying(cast: Cast) -> Take:
    """Lies on the floor from the start, at ease: a nap, play, sunbathing; nobody fell."""
    rng, body = cast.rng, cast.body
    xy, yaw = rng.uniform(-0.3, 0.3, 2), rng.uniform(0, 360)
    pose = st.lying(body, xy, yaw, cast.pick("back", "front", "left", "right"), rng)
    story = Story(body, xy, yaw, pose, stoop=cast.stoop)
    warm_up = int(1.2 * RATE)
    longer = Cast(body, rng, cast.seconds + 1.2)
    take = finish(longer, story, sway=0.2, rest=cast.pick("still", "stirs", "stirs"))
    actor = take.actors[0]
    actor.turn, actor.root, actor.labels = (
        x[warm_up : warm_up + cast.frames] for x in (actor.turn, actor.root, actor.labels)
    )
    return take


LOW = {
    "kneel": kneel_down,
    "bow": bow_down,
    "squat": squat,
    "sit-floor": sit_on_floor,
    "lie-floor": lie_on_floor,
    "exercise": exercise,
    "lie-bed": lie_in_bed,
    "lying": already_lying,
}
