"""Plays a spec: from JSON to moving bodies, without a picture."""

import numpy as np

from . import life, mocap
from .body import Body, keypoints
from .climbs import BESIDE, CLIMBS
from .daily import DAILY
from .falls import FALLS, play_fall
from .pose import ahead, solve
from .stage import Actor, Cast, Prop, Take, fit, normal_actor
from .story import RATE, Story, heading


def cast_body(people: list[Body], person: dict) -> Body:
    body = people[person["body"]]
    return body.resized(person["height"] / body.height)


def perform(spec: dict, people: list[Body], library: mocap.Library | None = None) -> Take:
    """The take of a spec, a pure function of the arguments. The first actor is the person it is about. Without a
    library of motion capture the spec's `fallback` scenario is played instead."""
    rng = np.random.default_rng(spec["motion_seed"])
    cast = Cast(cast_body(people, spec["person"]), rng, spec["seconds"])
    name = spec["scenario"] if library or "mocap" not in spec["scenario"] else spec["fallback"]
    if name == "mocap":
        take = mocap.move(cast, library, spec["split"])
    elif name == "climb-mocap":
        take = mocap.climb(cast, library, spec["split"])
    elif name in FALLS:
        take = play_fall(name, cast, spec["aftermath"])
    elif name == "empty":
        take = Take([])
    else:
        take = {**CLIMBS, **DAILY, **BESIDE}[name](cast)
    if spec["companion"] and take.actors:
        other = _companion(spec, people, take)
        if other:
            take.actors.append(other)
    _furnish(spec, take)
    for actor in take.actors:
        actor.turn, actor.root = actor.turn.astype("f4"), actor.root.astype("f4")
    return take


def motion(spec: dict, people: list[Body], library=None) -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray]]:
    """(times [T] seconds, COCO-17 joints in metres of each person [T,17,3], labels of each person [T])."""
    take = perform(spec, people, library)
    times = np.arange(int(round(spec["seconds"] * RATE))) / RATE
    return times, [keypoints(a.body, a.turn, a.root) for a in take.actors], [a.labels for a in take.actors]


def _companion(spec: dict, people: list[Body], take: Take) -> Actor | None:
    """Somebody else in the room who keeps out of the way: passes by, stands there, or comes to the first person."""
    who = spec["companion"]
    rng = np.random.default_rng(who["seed"])
    cast = Cast(cast_body(people, who), rng, spec["seconds"])
    first = take.actors[0].root[:, :2]
    centre = first[-1]
    for _ in range(12):
        way = rng.uniform(0, 360)
        out = ahead(way)[:2]
        if who["act"] == "passes":
            aside = np.array([-out[1], out[0]]) * rng.uniform(0.8, 1.3)
            begin, end = centre + aside - out * 2.4, centre + aside + out * 2.4
        else:
            begin, end = centre + out * rng.uniform(1.8, 2.6), centre + out * rng.uniform(0.75, 1.1)
            if who["act"] == "stands":
                begin = end
        if _is_clear(begin, end, first, take):
            break
    else:
        return None
    face = heading(np.append(centre - begin, 0)) if who["act"] != "passes" else heading(np.append(end - begin, 0))
    story = Story(cast.body, begin, face, stoop=cast.stoop)
    story.hold(rng.uniform(0.1, max(0.2, spec["seconds"] * 0.5)))
    if who["act"] == "stands":
        life.live_until(cast, story, spec["seconds"], roam=0.0)
    else:
        story.walk(end, cast.pace, cast.gait)
        if who["act"] == "comes" and rng.random() < 0.5:
            from .stances import bent, crouched

            pose = (
                bent(cast.body, end, story.yaw, 0.7) if rng.random() < 0.5 else crouched(cast.body, end, story.yaw, 0.8)
            )
            story.go(pose, 1.0).hold(rng.uniform(0.5, 4)).go(story.upright(), 1.2)
        life.live_until(cast, story, spec["seconds"], roam=0.0)
    turn, root = solve(cast.body, story.track(rng, rng.uniform(0.3, 1.0)))
    turn, root = fit(len(first), turn, root)
    if np.linalg.norm(root[:, :2] - first, axis=1).min() < 0.45:
        return None
    return normal_actor(cast.body, turn, root)


def _furnish(spec: dict, take: Take) -> None:
    """Puts the furniture of the twin's event beside the action if the take has none, so that a chair, a bed or a shelf
    in the picture says nothing about what will happen."""
    kind = spec["prop"]
    if kind is None or any(p.solid for p in take.props):
        return
    rng = np.random.default_rng([*spec["camera_seed"], 9])
    size = {
        "chair": (0.46, 0.44, 0.45),
        "sofa": (1.7, 0.85, 0.42),
        "armchair": (0.85, 0.8, 0.42),
        "bed": (2.0, 1.0, 0.5),
        "table": (1.2, 0.75, 0.73),
        "shelf": (0.9, 0.3, 1.7),
        "ladder": (0.45, 0.06, 1.9),
        "rail": (1.4, 0.06, 0.7),
        "sill": (1.4, 0.4, 0.8),
        "box": (0.6, 0.5, 0.4),
    }[kind]
    path = np.concatenate([a.root[::6, :2] for a in take.actors]) if take.actors else np.zeros((1, 2))
    radius = float(np.hypot(*size[:2])) / 2
    for _ in range(20):
        away = rng.uniform(radius + 0.45, radius + 1.6)
        xy = path[int(rng.integers(len(path)))] + ahead(rng.uniform(0, 360))[:2] * away
        if np.linalg.norm(path - xy, axis=1).min() > radius + 0.4:
            yaw = heading(np.append(path.mean(0) - xy, 0)) + rng.uniform(-30, 30)
            take.props.append(Prop(kind, xy, yaw, size, int(rng.integers(1 << 16))))
            return


def _is_clear(begin, end, first, take: Take) -> bool:
    """True if a straight walk keeps away from the first person and from the props."""
    line = begin + (end - begin) * np.linspace(0, 1, 12)[:, None]
    gap = np.linalg.norm(line[:, None] - first[None, ::10], axis=2).min()
    if gap < 0.6:
        return False
    for prop in take.props:
        away = np.linalg.norm(line - prop.xy, axis=1).min()
        if prop.solid and away < max(prop.size[:2]) / 2 + 0.25:
            return False
    return True
