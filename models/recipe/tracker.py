"""Following people from tick to tick: the contract's rule, in plain Python."""

from dataclasses import dataclass

import numpy as np

import config

BOX = slice(3 * config.JOINTS, 3 * config.JOINTS + 4)


def overlap(boxes, true):
    """Boxes (…,4) against one box (4,): intersection over union."""
    low, high = np.maximum(boxes[..., :2], true[:2]), np.minimum(boxes[..., 2:], true[2:])
    both = np.prod((high - low).clip(0), -1)
    return both / (np.prod(boxes[..., 2:] - boxes[..., :2], -1) + np.prod(true[2:] - true[:2]) - both + 1e-9)


@dataclass
class Track:
    """One followed person: `id` grows for ever; `box` is the last one seen; `missed` ticks since then."""

    id: int
    box: np.ndarray
    missed: int = 0


class Tracker:
    """`update(people)` takes (P,F) of one tick and gives [(track, row index or None)] in the order of the tracks."""

    def __init__(self, min_score, start_score, start_overlap, gate, gate_growth, max_missed, people=config.PEOPLE, aspect=config.WIDTH / config.HEIGHT):
        self.min_score, self.start_score, self.start_overlap = min_score, start_score, start_overlap
        self.gate, self.growth, self.max_missed = gate, gate_growth, max_missed
        self.people, self.unit = people, np.array([1.0, aspect])
        self.tracks, self.born = [], 0

    def clear(self):
        self.tracks = []

    def affinity(self, track, box):
        """1 - distance of centres / reach; above 0 where they may be the same person."""
        a, b = track.box.reshape(2, 2) * self.unit, box.reshape(2, 2) * self.unit
        diagonal = max(np.linalg.norm(a[1] - a[0]), np.linalg.norm(b[1] - b[0]))
        reach = self.gate * diagonal * (1 + self.growth * track.missed)
        return 1 - np.linalg.norm(a.mean(0) - b.mean(0)) / reach if reach > 0 else -1.0

    def starts(self, row, box, taken):
        """Whether a detection left over is somebody new: clear, and not a person that was found twice."""
        return row[config.SCORE] >= self.start_score and all(overlap(box, other) <= self.start_overlap for other in taken)

    def update(self, people):
        found = [i for i, row in enumerate(people) if row[config.SCORE] >= self.min_score and row[config.SCORE] > 0]
        boxes = {i: people[i, BOX].astype(np.float64) for i in found}
        pairs = sorted((t.missed, -self.affinity(t, boxes[i]), k, i) for k, t in enumerate(self.tracks) for i in found)
        match, used = {}, set()
        for _, negative, k, i in pairs:
            if negative < 0 and k not in match and i not in used:
                match[k] = i
                used.add(i)
        for k, track in enumerate(self.tracks):
            if k in match:
                track.box, track.missed = boxes[match[k]], 0
            else:
                track.missed += 1
        result = [(t, match.get(k)) for k, t in enumerate(self.tracks)]
        result = [(t, i) for t, i in result if t.missed <= self.max_missed]
        for i in found:
            if i in used or not self.starts(people[i], boxes[i], [boxes[k] for k in sorted(used)]):
                continue
            if len(result) >= self.people:
                longest = max(range(len(result)), key=lambda k: result[k][0].missed)
                if result[longest][0].missed == 0:
                    continue
                del result[longest]
            result.append((Track(self.born, boxes[i]), i))
            used.add(i)
            self.born += 1
        self.tracks = [t for t, _ in result]
        return result
