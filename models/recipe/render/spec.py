"""One seed gives one spec: a small JSON object that says everything about a clip, and nothing about its pixels.

Seeds come in groups of five. Slots 0 and 2 are an event (fall or climb), slots 1 and 3 their harmless twins: same
person, room, light, clothes, camera habits and length, other story. Slot 4 is one more fall. That makes 45 % falls,
15 % climbs, 40 % neither. The split is drawn first, and people, rooms and looks belong to one split each.
"""

import numpy as np

from .body import Body
from .climbs import BESIDE, CLIMBS
from .daily import DAILY
from .falls import FALLS

VERSION = 1
SPLITS = ("train", "valid", "test")
_FALL_WEIGHT = {
    "fall-side": 11,
    "fall-forward": 11,
    "fall-backward": 11,
    "fall-trip": 10,
    "fall-slip": 8,
    "fall-slump": 10,
    "fall-chair-tip": 6,
    "fall-chair-slide": 6,
    "fall-chair-fold": 6,
    "fall-chair-rise": 8,
    "fall-bed-roll": 7,
    "fall-bed-edge": 6,
}
_CLIMB_WEIGHT = {
    "climb-chair": 20,
    "climb-table": 16,
    "climb-sill": 14,
    "climb-sofa": 10,
    "climb-bed": 6,
    "climb-box": 8,
    "climb-shelf": 10,
    "climb-ladder": 6,
    "climb-rail": 10,
}
_DAILY_WEIGHT = {
    "stand-about": 5,
    "stand-still": 5,
    "walk-about": 9,
    "walk-across": 8,
    "sit": 13,
    "sit-slouched": 5,
    "pick-up": 8,
    "kneel": 9,
    "squat": 5,
    "lie-floor": 14,
    "exercise": 7,
    "lie-bed": 10,
    "stretch": 3,
    "jump": 3,
    "stoop": 4,
    "lying": 5,
    "empty": 2,
}
_BESIDE_WEIGHT = {
    "beside-touch": 22,
    "beside-lean": 18,
    "beside-sit": 20,
    "beside-pass": 14,
    "beside-reach": 14,
    "walk-about": 6,
    "stand-about": 6,
}
_HARD = {  # falls that are missed most, or begin lowest
    "fall-forward",
    "fall-slump",
    "fall-chair-tip",
    "fall-chair-slide",
    "fall-chair-fold",
    "fall-chair-rise",
    "fall-bed-roll",
    "fall-bed-edge",
}
_HEIGHT = {"elderly": (1.46, 1.80), "adult": (1.52, 1.90), "child": (0.98, 1.42), "toddler": (0.76, 0.97)}
_SIZES = ((320, 240), (426, 240), (180, 320))


def _draw(rng: np.random.Generator, weights: dict) -> str:
    names, w = list(weights), np.array(list(weights.values()), float)
    return names[int(rng.choice(len(names), p=w / w.sum()))]


def people_of(people: list[Body], kind: str, split: str) -> list[int]:
    """Who of a kind may play in a split: the last of the pool is for the test, the one before for validation; strangers,
    where there are any, train in the place of the others."""
    all_of_kind = [i for i, b in enumerate(people) if b.kind == kind and not b.stranger]
    new = [i for i, b in enumerate(people) if b.kind == kind and b.stranger]
    return {"train": new or all_of_kind[:-2], "valid": all_of_kind[-2:-1], "test": all_of_kind[-1:]}[split]


def make_spec(seed: int, people: list[Body], instead: str | None = None, lasting: float | None = None) -> dict:
    """The spec of a seed. `people` is the pool; read is who is of which kind, and who is a stranger. `instead`, an everyday
    scenario, is played in place of the seed's own, for `lasting` seconds if given."""
    group, slot = divmod(int(seed), 5)
    pair = slot // 2
    scene = np.random.default_rng([VERSION, group, pair, 1])
    own = np.random.default_rng([VERSION, group, pair, slot, 2])
    split = SPLITS[int(np.searchsorted([0.84, 0.92], scene.random(), side="right"))]
    climb_pair = pair == 1 and scene.random() < 0.75
    event = _draw(scene, _CLIMB_WEIGHT if climb_pair else _FALL_WEIGHT)
    if climb_pair:
        kind = _draw(scene, {"toddler": 30, "child": 42, "adult": 20, "elderly": 8})
    else:
        kind = _draw(scene, {"elderly": 50, "adult": 36, "child": 11, "toddler": 3})
    if slot % 2 == 0:
        scenario = event
    else:
        scenario = _draw(own, _BESIDE_WEIGHT if climb_pair and own.random() < 0.75 else _DAILY_WEIGHT)
    seconds = round(float(5.0 + 8.8 * scene.beta(1.2, 1.9)), 2)
    spec = dict(
        version=VERSION,
        seed=int(seed),
        split=split,
        scenario=scenario,
        seconds=seconds,
        person=_person(scene, people, split, kind),
        companion=None,
        motion_seed=[VERSION, int(seed), 3],
    )
    spec["prop"] = _prop_of(event) if scene.random() < 0.8 else None
    if spec["prop"] is None and scene.random() < 0.35:
        spec["prop"] = str(scene.choice(["chair", "sofa", "armchair", "bed", "table", "shelf", "box", "sill"]))
    spec["aftermath"] = _draw(own, {"still": 42, "moves": 26, "sits": 9, "rises": 23}) if scenario in FALLS else None
    if scene.random() < 0.22:
        other = _person(scene, people, split, _draw(scene, {"adult": 70, "elderly": 15, "child": 15}))
        spec["companion"] = other | dict(
            act=_draw(scene, {"passes": 5, "stands": 5, "comes": 4}), seed=[VERSION, group, pair, 4]
        )
    offset = SPLITS.index(split)
    spec |= dict(
        room=int(scene.integers(3000)) * 3 + offset,
        look=int(scene.integers(1 << 20)) * 3 + offset,
        infrared=bool(scene.random() < 0.2),
        fps=float(scene.choice([15, 30, 10, 7.5], p=[0.74, 0.05, 0.13, 0.08])),
    )
    size = _SIZES[int(scene.choice(3, p=[0.7, 0.2, 0.1]))]
    spec |= dict(
        width=size[0],
        height=size[1],
        camera_seed=[VERSION, group, pair, 5],
        camera_way=_draw(scene, {"any": 72, "toward": 17, "away": 11}),
        camera_fit=_draw(scene, {"whole": 74, "edge": 26}),
        picture_seed=[VERSION, int(seed), 6],
    )
    _vary(spec)
    if instead:
        spec |= dict(scenario=instead, aftermath=None, seconds=lasting or spec["seconds"])
    return spec


def hard(seed: int, people: list[Body]) -> bool:
    """Whether a seed's event is hard to see, or the seed is the twin of one that is: a fall from a chair or bed, forwards or in a
    heap, a climb, and whatever happens towards the camera, cut by the picture's edge or in infrared."""
    event = make_spec(seed - seed % 5 % 2, people)
    shown = event["camera_way"] == "toward" or event["camera_fit"] == "edge" or event["infrared"]
    return shown or event["scenario"] in _HARD or event["scenario"].startswith("climb")


def _vary(spec: dict) -> None:
    """Lets a share of the scenarios that motion capture covers be played from it, and some low ones on the floor."""
    rng, name = np.random.default_rng([VERSION, spec["seed"], 7]), spec["scenario"]
    real = {
        "stand-about": "mocap",
        "walk-about": "mocap",
        "walk-across": "mocap",
        "stoop": "mocap",
        "jump": "mocap",
        "climb-shelf": "climb-mocap",
        "climb-ladder": "climb-mocap",
        "climb-box": "climb-mocap",
        "climb-sill": "climb-mocap",
    }.get(name)
    if name in ("kneel", "squat", "exercise", "stretch", "stand-still") and rng.random() < 0.35:
        spec["scenario"] = "sit-floor"
    if real and rng.random() < 0.4:
        spec |= dict(scenario=real, fallback=name)


def _prop_of(event: str) -> str | None:
    """The furniture an event needs; its twin shows it too."""
    name, kind = event.split("-")[:2]
    return kind if name == "climb" or kind in ("chair", "bed") else None


def _person(rng: np.random.Generator, people: list[Body], split: str, kind: str) -> dict:
    fits = people_of(people, kind, split)
    low, high = _HEIGHT[kind]
    return dict(body=int(fits[int(rng.integers(len(fits)))]), kind=kind, height=round(float(rng.uniform(low, high)), 3))


SCENARIOS = (*FALLS, *CLIMBS, *DAILY, *BESIDE, "empty", "mocap", "climb-mocap")
