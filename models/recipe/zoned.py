"""Step `zoned`: what marking places in the picture changes (`zones.py`), on rendered clips whose furniture is known.

    python zoned.py --bundle ../bundle --lab LAB --data DATA --renders LAB/renders LAB/ordinary …

Each bed and sofa is marked for resting: the outline of its top and a hand's breadth above it, as the camera sees them. Each window sill, each shelf and each rail is
marked for climbing: the half metre above a sill's or a rail's top, a shelf's front above 0.6 m. So an installer would draw them who
draws well. Counts each clip without places, with them, with them and no climb told of sooner than elsewhere, and, where a place to climb is marked, with
climbs told of there alone (falld's `climbs = "places"`); and writes `LAB/zoned.json`. Clips of people and rooms that networks are trained on are left out.
A climb is told of by an alert that comes between shortly before it and shortly after (`cases.py`); clips with any other climb alert are counted by themselves.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from cases import climb_events, climb_spans
from evaluate import Encodings, judge_rows, known, record, shows, summary
from render.body import pool
from render.camera import Camera, project
from render.mocap import Library
from render.perform import perform
from stream import Bundle, alerts, replay
from zones import Zones

WAYS = "without", "with", "no sooner", "there alone"
REST, CLIMB = ("bed", "sofa"), ("sill", "shelf", "rail")
LYING = 0.1   # metres over a bed: a hand's breadth, under which nobody is seen who lies on the floor behind it
ABOVE = 0.5   # metres over a sill or a rail that belong to it
FIRST = 0.6   # metres from which on a shelf is marked
LEAST = 2e-3  # of the picture: nobody marks what is smaller


def corners(prop):
    """f64 (n,3): what encloses the marked part of a prop, in the world."""
    width, depth, height = prop.size
    low, high = (FIRST, height) if prop.kind == "shelf" else (height, height + (LYING if prop.kind in REST else ABOVE))
    return np.array([[*prop.spot(a * width / 2, b * depth / 2), up] for a in (-1, 1) for b in (-1, 1) for up in (low, high)])


def outline(camera, points):
    """(n,2) x, y, 0 to 1: the convex hull of world points (n,3) in the picture, or None where it hardly shows or a part is behind the camera."""
    seen, depth = project(camera, points)
    if (depth < 0.1).any():
        return None
    parts = (seen / (camera.width, camera.height)).astype(np.float32)
    hull = cv2.convexHull(parts)
    frame = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    area, cut = cv2.intersectConvexConvex(hull, frame)
    return cut[:, 0].astype(float) if area >= LEAST else None


def marked(spec, people, library):
    """The zones of a rendered clip, from its spec, and the kinds of props that were marked."""
    camera = Camera(**{k: tuple(v) if isinstance(v, list) else v for k, v in spec["camera"].items()})
    zones, kinds = Zones(camera.height, camera.width), []
    for prop in perform(spec, people, library).props:
        places = zones.rest if prop.kind in REST else zones.climb if prop.kind in CLIMB else None
        shape = outline(camera, corners(prop)) if places is not None else None
        if shape is not None:
            places.append(shape)
            kinds.append(prop.kind)
    return zones, kinds


def judged(bundle, encoded, zones, fall, climbs):
    """What `judge_rows` says of a clip with `climbs` [(start, end)] in each of WAYS, when its first climb alert comes, whether a climb is told of, and
    whether one is where there is none."""
    rows = [replay(bundle.manifest, bundle.logits, encoded, z) for z in (None, zones, replace(zones, elsewhere=False))]

    def told(rows):
        raised = alerts(bundle.manifest, rows)
        seen, false = climb_events(raised, climbs)
        return {"climb_at": next((t for t, kind in raised if kind == "climb"), None), "climb_told": any(seen), "climb_in_vain": bool(false)}

    return [judge_rows(bundle.manifest, r, fall) | told(r) for r in (rows[0], rows[1], [row._replace(places=0) for row in rows[1]], rows[2])]


def counted(bundle, encodings, folders, people, library):
    """{group: [(what `judged` says, kinds of props marked, scenario, clip)]} of the clips in `folders` that no network is trained on."""
    out = {}
    for path in tqdm([path for folder in folders for path in sorted(folder.glob("[0-9]*.json"))], "clips"):
        spec = json.loads(path.read_text())
        if spec["split"] == "train":
            continue
        zones, kinds = marked(spec, people, library)
        fall = known(spec)
        group = "ordinary life" if spec["scenario"] == "ordinary" else shows(spec)
        # A twin is the footage before the fall, and shows no climb.
        shown = [(group, None, fall, climb_spans(spec))] + ([("twins", fall["onset"], None, [])] if fall and fall["onset"] > 1 else [])
        for group, onset, fall, climbs in shown:
            encoded = encodings.of(path.with_suffix(".mp4"), onset)
            out.setdefault(group, []).append((judged(bundle, encoded, zones, fall, climbs), kinds, spec["scenario"], path.stem))
    return out


def table(clips):
    """What `counted` found, in numbers: each group, and climbs by what is climbed."""
    groups = dict(clips)
    for clip in clips.get("climbs", []):
        groups.setdefault(clip[2], []).append(clip)
    found = {}
    for group, of in groups.items():
        marks = [set(kinds) for _, kinds, _, _ in of]
        found[group] = {"marked": sum(map(bool, marks)), **{kind: sum(bool(m & set(props)) for m in marks) for kind, props in (("rest", REST), ("climb", CLIMB))}}
        for which, way in enumerate(WAYS):
            # falld refuses `climbs = "places"` where none is marked.
            results = [clip[0][which] for clip, m in zip(of, marks, strict=True) if way != "there alone" or m & set(CLIMB)]
            found[group][way] = summary(results) | {"climbs_told": sum(r["climb_told"] for r in results), "climbs_in_vain": sum(r["climb_in_vain"] for r in results)}
        at = [[clip[0][WAYS.index(way)]["climb_at"] for way in ("with", "no sooner")] for clip in of]
        found[group]["sooner_s"] = sorted(round(late - early, 2) for early, late in at if early is not None and late is not None)
        found[group]["changed"] = [name for (without, with_them, *_), _, _, name in of if without != with_them]
    return found


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--bundle", type=Path, required=True)
    args.add_argument("--lab", type=Path, required=True)
    args.add_argument("--data", type=Path, required=True)
    args.add_argument("--renders", type=Path, nargs="+", required=True)
    args = args.parse_args()
    bundle = Bundle(args.bundle)
    cache = args.renders[0] / ".cache"
    clips = counted(bundle, Encodings(bundle, args.lab / "events"), args.renders, pool(cache), Library(args.data / "mocap", cache))
    found = table(clips)
    record(args.lab / "zoned.json", bundle, found)
    for group, numbers in found.items():
        print(group, json.dumps(numbers))


if __name__ == "__main__":
    main()
