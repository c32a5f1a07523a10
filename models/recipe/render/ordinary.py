"""Ordinary minutes in a room: somebody sits, rests, walks about, works, goes out and comes back, and nobody falls."""

import numpy as np

from . import life
from . import stances as st
from .ending import finish
from .pose import ahead, left
from .stage import Cast, Prop, Take
from .story import Story, heading, pose_now

# How often an act comes, for people who sit on chairs and for those who play on the floor.
_ACTS = {"sit": 30, "rest": 10, "stroll": 18, "stand": 12, "fetch": 10, "leave": 12, "shoe": 4, "floor": 4}
_CHILD = {"sit": 16, "rest": 6, "stroll": 26, "stand": 12, "fetch": 14, "leave": 10, "shoe": 2, "floor": 14}


class _Room:
    """A seat, perhaps a bed, and the free place between them, through which all ways lead."""

    def __init__(self, cast: Cast):
        rng = cast.rng
        self.seat = cast.pick(life.chair_prop, life.sofa_prop)(cast)
        self.middle = self.seat.spot(0, self.seat.size[1] / 2 + rng.uniform(0.9, 1.5))
        self.door = self.middle + left(self.seat.yaw)[:2] * cast.pick(-1, 1) * rng.uniform(2.5, 5)
        self.bed = self._bed(cast) if rng.random() < 0.6 else None

    def _bed(self, cast: Cast) -> Prop:
        bed = life.bed_prop(cast)
        away = ahead(self.seat.yaw + cast.rng.uniform(-25, 25))[:2]
        bed.xy = self.middle + away * (bed.size[1] / 2 + cast.rng.uniform(0.8, 1.4))
        bed.yaw = heading(np.append(self.middle - bed.xy, 0))
        return bed


def ordinary(cast: Cast) -> Take:
    """Acts in any order until the time is over; about two thirds of it is quiet."""
    rng, room = cast.rng, _Room(cast)
    acts = {"sit": _sit, "rest": _rest, "stroll": _stroll, "stand": _stand, "fetch": _fetch, "leave": _leave, "shoe": _shoe, "floor": _floor}
    weights = dict(_CHILD if cast.body.kind in ("child", "toddler") else _ACTS)
    if room.bed is None:
        del weights["rest"]
    share = np.array(list(weights.values()), float)
    story = Story(cast.body, room.middle, rng.uniform(0, 360), stoop=cast.stoop)
    while story.time < cast.seconds:
        acts[list(weights)[int(rng.choice(len(share), p=share / share.sum()))]](cast, story, room)
        story.walk(room.middle + rng.uniform(-0.3, 0.3, 2), cast.pace, cast.gait)
    return finish(cast, story, [p for p in (room.seat, room.bed) if p], sway=rng.uniform(0.15, 0.6))


def _take_seat(cast: Cast, story: Story, prop: Prop) -> None:
    life.arrive(cast, story, life.stand_spot(cast.body, prop), prop.yaw)
    life.sit_down(cast, story, prop, cast.rng.uniform(0.5, 0.8) if cast.rng.random() < 0.3 else cast.rng.uniform(0.9, 1.8))


def _sit(cast: Cast, story: Story, room: _Room) -> None:
    rng = cast.rng
    _take_seat(cast, story, room.seat)
    for _ in range(int(rng.integers(1, 4))):
        story.hold(rng.uniform(3, 14))
        life.live_until(cast, story, story.time + rng.uniform(2, 6), seated=True)
        if rng.random() < 0.25:
            before = pose_now(story)
            story.go(before | dict(bend=rng.uniform(45, 70), head=15) | st.both(arm=(65, 6, 15)), rng.uniform(0.7, 1.6))
            story.hold(rng.uniform(0.5, 3)).go(before, rng.uniform(0.8, 1.5))
    life.stand_up(cast, story, room.seat, rng.uniform(1.0, 2.4))


def _rest(cast: Cast, story: Story, room: _Room) -> None:
    """Lies down on the bed, turns over now and then, sits up, stands up."""
    rng, body, bed = cast.rng, cast.body, room.bed
    _take_seat(cast, story, bed)
    story.hold(rng.uniform(0.2, 2))
    head_yaw = bed.yaw + cast.pick(90, -90)
    place = bed.spot(0, bed.size[1] * 0.05)
    for turn in range(int(rng.integers(1, 4))):
        side = cast.pick("back", "back", "left", "right")
        story.go(st.lying(body, place, head_yaw, side, rng, bed.size[2]), rng.uniform(1.0, 2.4) if turn == 0 else rng.uniform(0.8, 1.8))
        story.hold(rng.uniform(4, 18))
    story.go(life.seated_pose(cast, bed), rng.uniform(1.2, 2.4), at=(life.seat_spot(body, bed), bed.yaw)).hold(rng.uniform(0.3, 3))
    life.stand_up(cast, story, bed, rng.uniform(1.0, 2.4))


def _stroll(cast: Cast, story: Story, room: _Room) -> None:
    for _ in range(int(cast.rng.integers(1, 5))):
        story.walk(room.middle + cast.rng.uniform(-0.7, 0.7, 2), cast.pace, cast.gait).hold(cast.rng.uniform(0.2, 3))


def _stand(cast: Cast, story: Story, room: _Room) -> None:
    life.live_until(cast, story, story.time + cast.rng.uniform(4, 20), roam=0.2)


def _fetch(cast: Cast, story: Story, room: _Room) -> None:
    """Bends down for something on the floor and comes up again."""
    rng, body = cast.rng, cast.body
    if rng.random() < 0.5:
        down = st.bent(body, story.xy, story.yaw, rng.uniform(0.8, 1.1))
    else:
        down = st.crouched(body, story.xy, story.yaw, rng.uniform(0.5, 0.95), rng.uniform(35, 60))
    hand = cast.pick("L", "R")
    down |= {f"hand{hand}": np.array([*(story.xy + ahead(story.yaw)[:2] * 0.38 * body.scale), 0.08]), f"hand_fix{hand}": 1}
    pace = rng.uniform(0.6, 1.4)
    story.go(down, pace).hold(rng.uniform(0.2, 2)).go(story.upright(), pace * rng.uniform(1, 1.6)).hold(rng.uniform(0.3, 2))


def _leave(cast: Cast, story: Story, room: _Room) -> None:
    story.walk(room.door, cast.pace * 1.1, cast.gait).hold(cast.rng.uniform(2, 20))


def _shoe(cast: Cast, story: Story, room: _Room) -> None:
    """Goes down on one knee for a while."""
    rng, body = cast.rng, cast.body
    story.go(st.half_kneeling(body, story.xy, story.yaw, cast.pick("L", "R")), rng.uniform(0.8, 1.8)).hold(rng.uniform(2, 8))
    story.go(st.curled_up_rise(body, story.xy, story.yaw), rng.uniform(0.7, 1.2)).go(story.upright(), rng.uniform(0.6, 1.2))


def _floor(cast: Cast, story: Story, room: _Room) -> None:
    """Sits on the floor, plays or works there, gets up over the knees."""
    rng, body = cast.rng, cast.body
    hips = story.xy - ahead(story.yaw)[:2] * 0.15 * body.scale
    story.go(st.crouched(body, story.xy, story.yaw, 0.9, 35), rng.uniform(0.8, 1.4), through=True)
    story.go(st.seated_on_floor(body, hips, story.yaw, rng.random() < 0.3, rng.uniform(5, 90)), rng.uniform(0.8, 1.4))
    life.live_until(cast, story, story.time + rng.uniform(5, 20), seated=True)
    story.xy, story.yaw = hips, story.yaw + 30
    story.go(st.all_fours(body, hips, story.yaw), rng.uniform(0.8, 1.4)).go(st.half_kneeling(body, hips, story.yaw), rng.uniform(0.7, 1.3))
    story.go(st.curled_up_rise(body, hips, story.yaw), rng.uniform(0.6, 1.0)).go(story.upright(), 0.8)
