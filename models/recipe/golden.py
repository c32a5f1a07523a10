"""Step `golden`: small inputs of the daemon's road and what must come out of it, written where the Rust tests read them.

    python golden.py
"""

import json
from pathlib import Path

import numpy as np

import config
from frames import fit, letterbox
from stream import Cadence, Policy, replay
from tracker import BOX, Tracker
from zones import Zones

FOLDER = Path(__file__).resolve().parents[2] / "tests/data/golden"


def letterboxes(rng):
    out = []
    for h, w, width, height, pad in ((9, 16, 8, 6, 0), (16, 9, 8, 6, 7), (3, 4, 8, 6, 0), (12, 16, 8, 6, 0), (10, 10, 8, 6, 114)):
        picture = rng.integers(0, 256, (h, w, 3)).astype(np.uint8)
        fitted = letterbox(picture, width, height, pad)
        out.append({"source": picture.tolist(), "width": width, "height": height, "pad": pad, "fitted": fitted.tolist(), "tolerance": 1})
    return out


def cadences(rng):
    sources = {"30 fps": np.arange(31) / 30, "25 fps": np.arange(26) / 25, "15 fps": np.arange(16) / 15, "10 fps": np.arange(12) / 10,
               "8 fps": np.arange(10) / 8, "jitter": np.sort(np.arange(40) / 20 + rng.uniform(-0.01, 0.01, 40)),
               "gap": np.concatenate([np.arange(6) / 15, 1.0 + np.arange(6) / 15])}
    out = []
    for name, times in sources.items():
        times, cadence = np.round(times, 5), Cadence()
        out.append({"name": name, "rate_hz": config.RATE, "times": times.tolist(), "missed_or_null": [cadence.keep(t) for t in times]})
    return out


def followings(rng):
    out = []
    for case in range(3):
        tracker, ticks = Tracker(**{**config.TRACKER, "max_missed": 6}), []
        place = rng.uniform(0.2, 0.8, (6, 2))
        size = rng.uniform(0.05, 0.3, (6, 2))
        for _ in range(40):
            place = (place + rng.normal(0, 0.03, place.shape)).clip(0, 1)
            rows = np.zeros((config.PEOPLE, config.FEATURES), np.float32)
            shown = [i for i in rng.permutation(6) if rng.random() < (0.7, 0.5, 0.25)[case]][: config.PEOPLE]
            for row, i in zip(rows, shown, strict=False):
                box = np.concatenate([place[i] - size[i] / 2, place[i] + size[i] / 2]).round(3)
                row[BOX], row[config.SCORE] = box, round(float(rng.uniform(0.02, 0.4)), 2)
            answer = tracker.update(rows)
            ticks.append({"boxes": rows[:, 51:56].round(3).astype(float).round(3).tolist(), "followed": [[t.id, -1 if i is None else i] for t, i in answer]})
        out.append({"tracker": {**config.TRACKER, "max_missed": 6}, "width": config.WIDTH, "height": config.HEIGHT, "ticks": ticks})
    return out


def policies(rng):
    """The first alert alone: when an alarm ends, only the daemon knows. The last forty are climbs, with somebody where only climbers are
    now and then."""
    out = []
    for case in range(80):
        rule = {"enter": 0.6, "exit": 0.3, **dict(zip("kn", ((5, 7), (6, 8), (8, 10), (20, 24))[case % 4], strict=True))}
        score = np.round(np.clip(np.repeat(rng.uniform(0, 0.9, 12), 5) + rng.normal(0, 0.1, 60), 0, 1), 3)
        bridged = rng.choice(config.HOLD_TICKS + 1, 60, p=((1, 0, 0, 0), (0.5, 0.5, 0, 0), (0, 1, 0, 0), (0.2, 0.3, 0.3, 0.2))[case // 10 if case < 40 else case // 5 % 4])
        places = np.zeros(60, int)
        if case >= 40:
            # Now and then at one of two places, of which the other is seen as well or instead for a moment.
            places = np.repeat(rng.choice(3, 6, p=(0.5, 0.3, 0.2)), 10) * (rng.uniform(size=60) < 0.85)
            places = np.where((places > 0) & (rng.uniform(size=60) < 0.1), rng.integers(1, 4, 60), places)
        policy, times = Policy(**rule), np.cumsum(1 + bridged) / config.RATE
        alerts = [i for i in range(len(score)) if policy.step(times[i], score[i], int(bridged[i]), int(places[i]))]
        out.append({"policy": rule, "rate_hz": config.RATE, "scores": score.tolist(), "bridged": bridged.tolist(),
                    "class": "fall" if case < 40 else "climb", "places": places.tolist(), "first_alert": alerts[0] if alerts else None})
    return out


def placings(rng):
    """Who rests and who climbs where places are marked, in pictures of several shapes."""
    out = []
    for case in range(45):
        height, width = ((480, 640), (1080, 1920), (640, 360))[case % 3]
        outlines = [rng.uniform(0, 1, (n, 2)).round(3) for n in (3, 4, 6, 5)]
        zones = Zones(height, width, rest=outlines[:2], climb=outlines[2:])
        row = np.zeros(config.FEATURES, np.float32)
        row[: config.SCORE] = rng.uniform(0, 1, config.SCORE).round(3)
        # Joints that are hardly seen, now and then all of the trunk.
        row[2 : 3 * config.JOINTS : 3] *= rng.uniform(0, (0.12, 0.3, 1)[case // 3 % 3], config.JOINTS)
        row = row.round(3)
        _, _, high, wide = fit(height, width)
        out.append({"rest": [o.tolist() for o in zones.rest], "climb": [o.tolist() for o in zones.climb], "row": row.astype(float).round(3).tolist(),
                    "width": config.WIDTH, "height": config.HEIGHT, "view": [(config.WIDTH - wide) // 2, (config.HEIGHT - high) // 2, wide, high],
                    "rests": zones.rests(row), "climbs": zones.climbs(row) != 0})
    return out


# What the model of the Rust tests (`ScriptedClassifier`) says of itself, with one person and a second look.
SCRIPTED = {"clip": {"ticks": 16, "hold_ticks": 2, "min_ticks": 2}, "people": {"max": 1, "keypoints": config.JOINTS, "embedding": 0}, "head": {"scene_row": False},
            "tracker": {"min_score": 0.3, "start_score": 0.4, "start_overlap": 0.3, "gate": 0.6, "gate_growth": 0.1, "max_missed": 45},
            "temperature": 1.0, "second_look": {"from": 0.5, "frames": 2}}
OVER = 4  # ticks whose noses a fall's score is the mean of, so that it hangs on what each look remembers


def second_looks(rng):
    """What both looks come to: somebody who stands still, of whom each picture says one thing by the nose's score, in levels of 255, and its mirror
    image another; the score of a fall is the mean of the last noses. `told`: whether a tick is looked at twice, and the lesser and the greater score."""

    def people(level):
        row = np.full((1, config.FEATURES), 0.1, np.float32)
        row[0, 2], row[0, BOX], row[0, config.SCORE] = level / 255, (0.2, 0.4, 0.8, 0.6), 0.9
        return row

    def logits(person, scene, mask):
        fall = np.clip(person[:, -OVER:, 2].mean(1), 1e-6, 1 - 1e-6)
        return np.log(np.stack([1 - fall, fall / 2, fall / 2, np.full_like(fall, 2e-9)], 1))

    out = []
    for _ in range(12):
        levels = [np.clip(np.repeat(rng.uniform(0, 255, 12), 5) + rng.normal(0, 20, 60), 0, 255).astype(int) for _ in range(2)]
        missed = rng.choice(4, 60, p=(0.9, 0.05, 0.03, 0.02))
        missed[0] = 0
        said = [np.stack([people(level) for level in each]) for each in levels]
        rows = replay(SCRIPTED, logits, (np.arange(60), missed, said[0], np.zeros((60, config.SCENE), np.float32), lambda said=said: said[1]))
        told = [[row.fall_most > 0, round(row.fall, 4), round(max(row.fall, row.fall_most), 4)] for row in rows]
        out.append({"over": OVER, "ticks": np.cumsum(1 + missed).tolist(), "pictures": levels[0].tolist(), "mirrored": levels[1].tolist(), "told": told})
    return out


PARTS = {"letterbox": letterboxes, "cadence": cadences, "tracker": followings, "policy": policies, "zones": placings, "second_look": second_looks}


def cases(name):
    """The golden cases of one part of the road, always the same."""
    return PARTS[name](np.random.default_rng(config.SEED))


def main():
    for name in PARTS:
        (FOLDER / f"{name}.json").write_text(json.dumps(cases(name), separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
