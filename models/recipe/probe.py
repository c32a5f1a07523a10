"""The probe: a person drawn in whole numbers on both sides, so that a wrong file or runtime is found before the first frame."""

import numpy as np

import config
from stream import Rings, row_length

HAIR, SKIN, SHIRT, SLEEVE, TROUSERS, SHOE = (60, 40, 30), (215, 165, 135), (40, 70, 150), (30, 55, 120), (45, 45, 50), (20, 20, 20)
TOLERANCE = {"logits": 0.05, "person": 0.05}


def walker(t):
    """Strokes of the walker at tick `t`, back to front: (from, to, radius, colour), points as (x, y)."""
    x, s = 60 + 2 * t, abs(3 * t % 32 - 16) - 8
    return [((x - 5, 112), (x - 8 - s, 150), 6, TROUSERS), ((x - 8 - s, 150), (x - 10 - s, 176), 5, TROUSERS),
            ((x + 5, 112), (x + 8 + s, 150), 6, TROUSERS), ((x + 8 + s, 150), (x + 10 + s, 176), 5, TROUSERS),
            ((x - 10 - s, 179), (x - 16 - s, 180), 4, SHOE), ((x + 10 + s, 179), (x + 16 + s, 180), 4, SHOE),
            ((x - 13, 66), (x - 20 + s, 90), 5, SLEEVE), ((x - 20 + s, 90), (x - 20 + s, 110), 4, SKIN),
            ((x + 13, 66), (x + 20 + s, 90), 5, SLEEVE), ((x + 20 + s, 90), (x + 20 + s, 110), 4, SKIN),
            ((x, 69), (x, 107), 16, SHIRT), ((x, 56), (x, 50), 5, SKIN), ((x, 44), (x, 38), 10, SKIN), ((x - 5, 34), (x + 5, 34), 8, HAIR)]


def frame(t):
    """Frame `t` of the probe, u8 (H,W,3)."""
    y, x = np.mgrid[: config.HEIGHT, : config.WIDTH]
    chequer = (x // 16 + y // 16) % 2 * 8
    picture = np.repeat((150 + y // 4 + chequer)[..., None], 3, 2)
    floor = y > 140
    picture[floor] = (np.array([120, 90, 70]) + chequer[..., None])[floor]
    for (ax, ay), (bx, by), radius, colour in walker(t):
        dx, dy = bx - ax, by - ay
        px, py, length = x - ax, y - ay, dx * dx + dy * dy
        along = px * dx + py * dy
        beside = (px * dy - py * dx) ** 2 <= radius * radius * length
        before, behind = px * px + py * py <= radius * radius, (x - bx) ** 2 + (y - by) ** 2 <= radius * radius
        picture[np.where(along <= 0, before, np.where(along >= length, behind, beside))] = colour
    return picture.astype(np.uint8)


def facts(manifest, encode, head, ticks=config.TICKS):
    """`manifest.probe`: the logits after the last frame, of the scene's row, else of the first followed person, else of zeros;
    and the person whom the encoder is surest of in the last frame."""
    rings, before = Rings(manifest), None
    for t in range(ticks):
        now = frame(t)[None]
        people, scene = encode(now, now if before is None else before)
        rings.tick(people[0], scene[0])
        before = now
    asked = rings.inputs()
    if asked is not None:
        logits = head(*(x[:1] for x in asked[1:]))[0]
    else:
        zeros = np.zeros((1, config.TICKS, row_length(manifest)), np.float32)
        mask = np.zeros((1, config.TICKS, 2), np.float32)
        mask[..., 0] = 1
        logits = head(zeros, np.stack(rings.scene)[None], mask)[0]

    def rounded(row):
        return [round(float(x), 5) for x in row]

    return {"ticks": ticks, "tolerance": TOLERANCE["logits"], "logits": rounded(logits),
            "person": {"tolerance": TOLERANCE["person"], "row": rounded(people[0, 0])}}
