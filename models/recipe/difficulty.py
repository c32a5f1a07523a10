"""How hard a rendered clip is to see: the bins of the report, told from the clip's JSON alone.

`bins` gives {aspect: bin} for a fall or a climb: how tall the person stands in the picture when it begins, what hides it while
it matters (after contact, or during the climb), and what the clip is like.
"""

import numpy as np

from render.camera import Camera, unbend

REST = 0.5    # s after contact: most have come to lie
FLOOR = 0.12  # m: height of shoulders and ankles of somebody who lies


def bin_of(value, edges, names):
    """The name of the bin `value` is in; a value on an edge belongs above it."""
    return names[int(np.searchsorted(edges, value, side="right"))]


def origin(scenario):
    """Where a fall starts from, by the scenario's name."""
    return "chair" if "-chair" in scenario else "bed" if "-bed" in scenario else "standing"


def on_floor(about, xy):
    """Pixels (2,) -> metres (2,) on the plane at height FLOOR, or None if the ray does not meet it."""
    camera = Camera(**about["camera"])
    size = np.array([camera.width, camera.height])
    uv = unbend(np.asarray(xy, float) / size - 0.5, camera.k1)
    way = np.append(uv * size / camera.focal, 1.0) @ camera.axes()
    if way[2] > -1e-3:
        return None
    eye = np.array(camera.eye)
    return (eye + way * (FLOOR - eye[2]) / way[2])[:2]


def lies(about, joints):
    """How somebody on the floor lies as the camera sees it, from ankles to shoulders: the body's axis on the floor against
    the line of sight there. Joints (17,3) in pixels."""
    feet, head = on_floor(about, joints[[15, 16], :2].mean(0)), on_floor(about, joints[[5, 6], :2].mean(0))
    if feet is None or head is None or abs(joints[[5, 6, 15, 16], :2]).max() > 9000:
        return "cannot be told"
    sight, axis = (feet + head) / 2 - about["camera"]["eye"][:2], head - feet
    along = axis @ sight / (np.linalg.norm(axis) * np.linalg.norm(sight) + 1e-9)
    return bin_of(along, [-np.sqrt(0.5), np.sqrt(0.5)], ["along, head near", "across", "along, head far"])


def actor(about, label):
    """The first person of the clip who falls or climbs."""
    return next(p for p in about["people"] if any(r[0] == label for r in p["labels"]))


def bins(about, label, onset, start, end):
    """{aspect: bin} of the clip's first fall or climb. Seconds: its onset, and the span in which the body must be seen."""
    who, last = actor(about, label), about["frames"] - 1
    joints = np.array(who["keypoints"], float).reshape(-1, 17, 3)
    at, first, until = (min(last, round(t * about["fps"])) for t in (onset, start, end))
    full = who["full"][at]
    tall = (min(about["height"], full[3]) - max(0, full[1])) / about["height"] if full else 0.0
    while_seen = joints[first : until + 1, :, :2]
    outside = ((while_seen < 0) | (while_seen >= [about["width"], about["height"]])).any(-1).mean()
    out = {
        "height in the picture": bin_of(tall, [0.3, 0.5, 0.7], ["0.0–0.3", "0.3–0.5", "0.5–0.7", "0.7–1.0"]),
        "picture": "infrared" if about["infrared"] else "colour",
        "share of the body seen": bin_of(np.mean(who["seen"][first : until + 1]), [0.5, 0.8, 0.95],
                                         ["0.0–0.5", "0.5–0.8", "0.8–0.95", "0.95–1.0"]),
        "joints outside the picture": bin_of(outside, [1e-6, 0.25], ["0", "0.0–0.25", "0.25–1.0"]),
        "person": "child" if who["kind"] == "toddler" else who["kind"],
        "company": "somebody else" if len(about["people"]) > 1 else "alone",
        "frames a second": f"{about['fps']:4.1f}"}
    if label == "fall":
        out["from"] = origin(about["scenario"])
        out["lies"] = lies(about, joints[min(last, round((start + REST) * about["fps"]))])
    return out
