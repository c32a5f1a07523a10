"""Step `choose`: temperature and policies on validation clips: rendered ones, and the filmed room not trained on.

    python choose.py --bundle ../bundle --data DATA --lab LAB --renders RENDERS [--ordinary MINUTES]

Temperature: the one with the least cross-entropy over known ticks of rendered clips. Policies: among `enter` and k of n, first
those with the fewest mistakes on clips as filmed, which are few and what matters (they show no climb, but people who do not
climb); then those whose median alert of a fall comes at most `SLOW` after contact; then the cheapest on rendered clips and on
filmed ones through other cameras (`other_cameras.py`) together, where a clip alarmed without an event costs as much as `TRUST`
missed events, and a minute of ordinary life, of those that are given, as much; then the lowest bar, since a slow fall may never score high; then the longest window, since it forgives more.
Writes `LAB/choice.json`, with the hashes of the networks for which it was chosen.
"""

import argparse
import itertools
import json
from pathlib import Path

import numpy as np
from tqdm import tqdm

import cases
from encoded import Encoded
from evaluate import Encodings, judge_rows, rendered, summary
from hours import ordinary
from motions import IGNORE
from other_cameras import all_cameras
from resume import by_another, write
from stream import Bundle, alerts

ENTER = (0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.88, 0.9, 0.95)  # closer where scores crowd
COUNTS = {"fall": ((5, 7), (6, 8), (8, 10), (10, 12), (12, 15)), "climb": ((8, 10), (10, 12), (12, 15), (16, 20), (20, 24), (30, 36))}  # a climb lasts
TRUST = 2   # a caregiver who is called for nothing twice trusts the next call less; at 3 a bar of 0.9 won, which misses 24 of 195 falls
SLOW = 0.3  # s; half a second is the bar


def temperature(bundle, clips, rounds=12, size=128):
    """Best of a grid, on windows of the encoded validation clips."""
    rng, logits, label = np.random.default_rng(0), [], []
    for _ in range(rounds):
        batch = clips.windows(rng, size)
        known = batch["label"] != IGNORE
        logits.append(bundle.logits(batch["person"], batch["scene"], batch["mask"])[known])
        label.append(batch["label"][known])
    logits, label = np.concatenate(logits).astype(np.float64), np.concatenate(label)

    def loss(t):
        z = logits / t
        z = z - z.max(1, keepdims=True)
        return float(np.mean(np.log(np.exp(z).sum(1)) - z[np.arange(len(z)), label]))

    grid = np.round(np.arange(0.5, 3.01, 0.1), 2)
    return float(grid[np.argmin([loss(t) for t in grid])]), len(label)


def fall_costs(manifest, rows):
    """Of a policy on one source: whether it is too slow; falls missed; clips alarmed without a fall; falls; median delay, s."""
    got = {kind: summary([judge_rows(manifest, r, known) for r, known in clips.values()]) for kind, clips in rows.items()}
    wrong = sum(s["clips_alarmed"] for kind, s in got.items() if kind != "falls")
    falls = got.get("falls", summary([]))
    delay, of = falls["delay_median_s"], falls["falls"]
    return {"slow": of > 0 and (delay is None or delay > SLOW), "missed": of - falls["seen"], "wrong": wrong, "of": of, "delay": delay}


def climb_spans(renders, name):
    """[(start, end)] in seconds of the climbs of the rendered clip `scenario/clip`."""
    return cases.climb_spans(json.loads((renders / f"{Path(name).name}.json").read_text()))


def climb_costs(manifest, rows, spans):
    """As `fall_costs`, of clips with climbs; a twin shows none."""
    missed, wrong, count = 0, 0, 0
    for kind, clips in rows.items():
        for name, (scored, _) in clips.items():
            climbs = [] if kind == "twins" else spans.get(name, [])
            seen, false = cases.climb_events(alerts(manifest, scored), climbs)
            missed, wrong, count = missed + (kind == "climbs" and not any(seen)), wrong + bool(false), count + (kind == "climbs")
    return {"slow": False, "missed": missed, "wrong": wrong, "of": count}


def cheapest(manifest, name, costs):
    """The best policy of class `name`; the costs of each are printed. `costs`: manifest -> {source: costs}, one of them "filmed"."""
    best = None
    for enter, (k, n) in tqdm(list(itertools.product(ENTER, COUNTS[name])), name):
        policy = {"enter": enter, "exit": enter / 2, "k": k, "n": n}
        got = costs({**manifest, "policy": {**manifest["policy"], name: policy}})
        print(json.dumps({**policy, **got}))
        spent = sum(TRUST * c["wrong"] + c["missed"] for source, c in got.items() if source != "filmed")
        rank = (got["filmed"]["wrong"] + got["filmed"]["missed"], any(c["slow"] for c in got.values()), spent, enter, -n)
        if best is None or rank < best[0]:
            best = (rank, policy)
    return best[1]


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--bundle", type=Path, required=True)
    args.add_argument("--data", type=Path, required=True)
    args.add_argument("--lab", type=Path, required=True)
    args.add_argument("--renders", type=Path, required=True)
    args.add_argument("--ordinary", type=Path, help="minutes of ordinary life, of people never trained on")
    args.add_argument("--limit", type=int, help="at most so many clips")
    args = args.parse_args()
    bundle = Bundle(args.bundle)
    networks = {part: bundle.manifest[part]["sha256"] for part in ("encoder", "head")}
    by_another(args.lab / "encoded", networks["encoder"])
    clips = Encoded(args.lab / "encoded", "valid", "r_")
    grounded = bundle.manifest["people"]["embedding"]  # what windows lack; such a head leaves falls alone at 1 only
    bundle.manifest["temperature"], windows = temperature(bundle, clips) if len(clips) and not grounded else (1.0, 0)
    road = (bundle.manifest, bundle.logits, Encodings(bundle, args.lab / "events"))
    rows = rendered(*road, args.renders, "valid", keep_rows=True, limit=args.limit)
    filmed, *others = all_cameras(bundle, args.lab, args.data, ("s2", "s3"), keep_rows=True).items()
    other = {kind: {f"{camera}/{name}": row for camera, got in others for name, row in got[kind].items()} for kind in filmed[1]}
    sources = {"rendered": rows, "filmed": filmed[1], "other cameras": other}
    if args.ordinary:
        sources["ordinary"] = {"everyday": ordinary(*road, args.ordinary, keep_rows=True)}
    spans = {name: climb_spans(args.renders, name) for kind in ("falls", "everyday", "climbs") for name in rows[kind]}
    fall = cheapest(bundle.manifest, "fall", lambda m: {source: fall_costs(m, clips) for source, clips in sources.items()})
    climb = cheapest(bundle.manifest, "climb", lambda m: {source: climb_costs(m, clips, spans if source == "rendered" else {})
                                                          for source, clips in sources.items()})
    path = args.lab / "choice.json"
    choice = json.loads(path.read_text()) if path.exists() else {}
    count = {"windows": windows, **{source: {k: len(v) for k, v in kinds.items()} for source, kinds in sources.items()}}
    choice.update(temperature=bundle.manifest["temperature"], policy={"fall": fall, "climb": climb}, chosen_on=count, of=networks)
    write(path, json.dumps(choice, indent=1))
    print(json.dumps(choice))


if __name__ == "__main__":
    main()
