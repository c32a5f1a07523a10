"""Every clip of the report, scored once: what was shown, what the encoder found, what was raised.

A case is a clip or a twin (see `evaluate.py`) through the shipped road. A climb counts as seen if a climb alert comes between
0.5 s before its label begins and 3 s after it ends; every other climb alert is a false one.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import config
import difficulty
import truth
from evaluate import Encodings, judge_rows, real, rendered
from frames import read
from stream import alerts
from tracker import BOX, overlap

EARLY, LATE = 0.5, 3.0  # s around a climb's label in which its alert counts
AFTER = 2.0             # s after contact in which the encoder may lose the body
OVERLAP = 0.3           # of a found box with the true one, over their union: the same body, if loosely held
REAL = {"real, room not trained on": ("s2", "s3"), "real, room trained on": ("s1",)}
RENDERED = {"rendered, test": "test", "rendered, validation": "unseen"}  # of people, rooms and looks that no training clip shows


def climb_spans(about):
    """[(start, end)] in seconds of the climbs of a rendered clip, from its JSON."""
    return [(a / about["fps"], b / about["fps"]) for label, a, b in about["labels"] if label == "climb"]


def climb_events(raised, spans):
    """Climb alerts of [(t, kind)] against spans [(start, end)] in seconds -> (seen or not for each span, false alerts)."""
    times = [t for t, kind in raised if kind == "climb"]
    windows = [(a - EARLY, b + LATE) for a, b in spans]
    seen = [any(a <= t <= b for t in times) for a, b in windows]
    return seen, [t for t in times if not any(a <= t <= b for a, b in windows)]


@dataclass
class Case:
    """One clip or twin. `known`: onset and contact of its fall; `climbs`: spans in seconds; `freeze`: onset of a twin."""

    source: str
    kind: str
    name: str
    path: Path
    rows: list
    encoded: tuple
    known: dict | None
    freeze: float | None
    about: dict | None
    manifest: dict

    def __post_init__(self):
        self.scenario = self.about["scenario"] if self.about else "filmed"
        self.climbs = [(start, end) for label, start, end in self.spans() if label == "climb"]
        self.raised = alerts(self.manifest, self.rows)
        self.result = judge_rows(self.manifest, self.rows, self.known)
        self.climbs_seen, self.climbs_false = climb_events(self.raised, self.climbs)

    def peak(self, column=1, start=-np.inf, end=np.inf):
        """(greatest score between two times, when): of a fall, or of a climb with column 2."""
        return max(((r[column], r[0]) for r in self.rows if start <= r[0] <= end), default=(0.0, 0.0))

    def found(self, start, end):
        """Share of the ticks between two times in which the encoder found who falls or climbs (of other clips, and of filmed
        ones: anybody), or None where there is no tick."""
        at = np.flatnonzero((self.encoded[0] >= start) & (self.encoded[0] <= end))
        people = self.encoded[2][at]
        there = people[..., config.SCORE] >= self.manifest["tracker"]["min_score"]
        if self.about and (self.known or self.climbs):
            there &= np.array([overlap(p[:, BOX], b) for p, b in zip(people, self._true_boxes()[at], strict=True)]).reshape(there.shape) >= OVERLAP
        return float(there.any(1).mean()) if len(at) else None

    def _true_boxes(self):
        """Whole body of who falls or climbs (n,4) at each tick, in the fitted picture."""
        who = difficulty.actor(self.about, "fall" if self.known else "climb")
        size = np.array([self.about["height"], self.about["width"]] * 2, float)
        rows = np.zeros((self.about["frames"], config.FEATURES))
        rows[:, 55] = 1
        for row, box in zip(rows, who["full"], strict=True):
            row[BOX] = np.array(box or [0, 0, 0, 0])[[1, 0, 3, 2]] / size
        return truth.fitted(rows, self.about)[..., 51:55][self.frames()]

    def spans(self):
        """[(label, start, end)] in seconds of what is not normal; of filmed clips the fall alone is known."""
        if self.about and self.freeze is None:
            return [(name, a / self.about["fps"], b / self.about["fps"]) for name, a, b in self.about["labels"] if name != "normal"]
        return [("fall", self.known["onset"], self.known["rest"])] if self.known else []

    def frames(self):
        """The frame of the rendered clip at each tick."""
        return np.clip(np.round(self.encoded[0] * self.about["fps"]).astype(int), 0, self.about["frames"] - 1)

    def down(self):
        """Whether somebody falls or lies fallen, at each tick of a rendered clip."""
        return np.isin(truth.labels(self.about, self.about["labels"])[self.frames()], (1, 2))

    def bins(self):
        """`difficulty.bins` of the fall, or of the first climb."""
        if self.known:
            contact = self.known["contact"]
            return difficulty.bins(self.about, "fall", self.known["onset"], contact, contact + AFTER)
        start, end = self.climbs[0]
        return difficulty.bins(self.about, "climb", start, start, end)

    def pictures(self, times):
        """The clip's pictures nearest to `times`; a twin stands still from its onset."""
        clip = [(t, p) for t, p in read(self.path) if self.freeze is None or t < self.freeze]
        return [min(clip, key=lambda x: abs(x[0] - t))[1] for t in times]


def cases(bundle, data, lab, renders):
    """All cases, source by source."""
    encodings = Encodings(bundle, lab / "events")
    road = (bundle.manifest, bundle.logits, encodings)
    scored = [(source, data / "gmdcsa24", real(*road, data, subjects, keep_rows=True)) for source, subjects in REAL.items()]
    scored += [(source, renders, rendered(*road, renders, split, keep_rows=True)) for source, split in RENDERED.items()]
    out = []
    for source, folder, kinds in scored:
        for kind, name, (rows, known) in ((kind, name, clip) for kind, clips in kinds.items() for name, clip in clips.items()):
            path = folder / f"{Path(name).name}.mp4"
            about = json.loads(path.with_suffix(".json").read_text()) if source in RENDERED else None
            freeze = kinds["falls"][name][1]["onset"] if kind == "twins" else None
            out.append(Case(source, kind, name, path, rows, encodings.of(path, freeze), known, freeze, about, bundle.manifest))
    return out
