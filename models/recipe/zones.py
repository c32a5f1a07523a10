"""Places that an installer marks in a camera's picture, and what it means that somebody is there: falld's `src/zone.rs`.

Where people *rest* (a bed, a sofa) nobody has fallen. Where nobody belongs who has not *climbed* (a window sill), who has a
knee there climbs. Points are parts of the camera's own picture, x and y from its left and top, 0 to 1.
"""

from dataclasses import dataclass, field

import numpy as np

import config
from frames import fit
from tracker import BOX

SHOULDERS, HIPS, KNEES = (5, 6), (11, 12), (13, 14)
SURE = 0.1      # a joint counts from this score on
RESTS_ON = 1.0  # seconds for which somebody who is not seen rests on where they were seen last


def joints(row, which):
    """f32 (n,2): y, x of those of a person's joints that are seen."""
    found = np.asarray(row)[: 3 * config.JOINTS].reshape(-1, 3)[list(which)]
    return found[found[:, 2] >= SURE, :2]


def centre(row):
    """y, x of the middle of a person's trunk, or where no trunk is seen of the box."""
    shoulders, hips = joints(row, SHOULDERS), joints(row, HIPS)
    if len(shoulders) and len(hips):
        return (shoulders.mean(0) + hips.mean(0)) / 2
    box = np.asarray(row)[BOX]
    return (box[:2] + box[2:]) / 2


def inside(outline, point):
    """True if a ray from `point` (x, y) to the right crosses the outline (n,2) an odd number of times."""
    x, y = point
    odd = False
    for (ax, ay), (bx, by) in zip(outline, np.roll(outline, 1, axis=0), strict=True):
        if (ay > y) != (by > y) and x < (bx - ax) * (y - ay) / (by - ay) + ax:
            odd = not odd
    return odd


@dataclass
class Zones:
    """The marked places of a camera whose pictures are of `height` × `width`."""

    height: int
    width: int
    rest: list = field(default_factory=list)
    climb: list = field(default_factory=list)
    elsewhere: bool = True  # climbs are told of where no place is marked too (falld's `climbs`)

    def part(self, point):
        """y, x in the fitted picture, 0 to 1 -> x, y in the camera's own."""
        top, left, high, wide = fit(self.height, self.width)
        return (point[1] * config.WIDTH - left) / wide, (point[0] * config.HEIGHT - top) / high

    def holds(self, outlines, point):
        return any(inside(outline, self.part(point)) for outline in outlines)

    def rests(self, row):
        """Of a person's row (F,): their trunk is where people rest."""
        return bool(self.rest) and self.holds(self.rest, centre(row))

    def climbs(self, row):
        """The places where a knee is and does not belong, a bit for the number of each."""
        knees = [self.part(knee) for knee in joints(row, KNEES)] if self.climb else []
        return sum(1 << at for at, outline in enumerate(self.climb) if any(inside(outline, knee) for knee in knees))

    def judge(self, row, ago, fall, climb):
        """What a person's scores become who was seen so many ticks ago as `row` says: (fall, climb, places as `climbs`)."""
        rests, places = ago <= RESTS_ON * config.RATE and self.rests(row), self.climbs(row) if ago == 0 else 0
        return 0.0 if rests else fall, 1.0 if places else climb * self.elsewhere, places
