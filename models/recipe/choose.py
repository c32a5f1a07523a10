"""Step `choose`: temperature and policy on the validation split of the rendered clips, never on real ones.

    python choose.py --bundle ../bundle --lab LAB --renders RENDERS

Temperature: the one with the least cross-entropy over known ticks. Policy: among `enter` and k of n, those whose median
delay is at most `SLOW`; of them those with the fewest alarms where nobody falls; then the greatest recall; then the lowest
bar, since a slow fall may never score high; then the longest window, since it forgives more. Writes `LAB/choice.json`.
"""

import argparse
import itertools
import json
from pathlib import Path

import numpy as np
from tqdm import tqdm

from encoded import Encoded
from evaluate import Encodings, judge_rows, rendered, summary
from motions import IGNORE
from stream import Bundle

ENTER = (0.4, 0.5, 0.6, 0.7, 0.8)
COUNTS = ((5, 7), (6, 8), (8, 10), (10, 12), (12, 15))
SLOW = 0.1  # s after contact that the median alert may take; real falls come some 0.4 s later, and may take 0.5


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


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--bundle", type=Path, required=True)
    args.add_argument("--lab", type=Path, required=True)
    args.add_argument("--renders", type=Path, required=True)
    args.add_argument("--limit", type=int, help="at most so many clips")
    args = args.parse_args()
    bundle = Bundle(args.bundle)
    clips = Encoded(args.lab / "encoded", "valid", "r_")
    bundle.manifest["temperature"], windows = temperature(bundle, clips) if len(clips) else (1.0, 0)
    rows = rendered(bundle.manifest, bundle.logits, Encodings(bundle, args.lab / "events"), args.renders, "valid", keep_rows=True, limit=args.limit)
    best, table = None, []
    for enter, (k, n) in tqdm(list(itertools.product(ENTER, COUNTS)), "policy"):
        policy = {**bundle.manifest["policy"], "fall": {"enter": enter, "exit": enter / 2, "k": k, "n": n}}
        manifest = {**bundle.manifest, "policy": policy}
        got = {kind: summary([judge_rows(manifest, r, truth) for r, truth in clips_of.values()]) for kind, clips_of in rows.items()}
        wrong = got["everyday"]["clips_alarmed"] + got["twins"]["clips_alarmed"] + got["climbs"]["clips_alarmed"]
        delay = got["falls"]["delay_median_s"]
        row = (delay is None or delay > SLOW, wrong, -got["falls"]["seen"], enter, -n)
        table.append({"enter": enter, "k": k, "n": n, "wrong": wrong, "seen": got["falls"]["seen"], "falls": got["falls"]["falls"], "delay": delay})
        if best is None or row < best[0]:
            best = (row, policy)
    print("\n".join(json.dumps(r) for r in table))
    path = args.lab / "choice.json"
    choice = json.loads(path.read_text()) if path.exists() else {}
    choice.update(temperature=bundle.manifest["temperature"], policy=best[1], chosen_on={"windows": windows, "clips": {k: len(v) for k, v in rows.items()}})
    path.write_text(json.dumps(choice, indent=1))
    print(json.dumps(choice))


if __name__ == "__main__":
    main()
