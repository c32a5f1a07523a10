"""Step `hours`: false alarms in hours of rendered ordinary life (`render/ordinary.py`), of people, rooms and looks never trained on.

    python hours.py --bundle ../bundle --lab LAB --ordinary LAB/ordinary

Nobody falls or climbs there, so every alert is a false one. No policy is chosen on these clips, but heads have been compared on them
and their alarms looked at: other seeds must tell what a next bundle does. A long lie, which falld tells after 30 s, is not counted. The
clips of one room are not independent, and the bound takes alarms for independent ones. Writes `LAB/hours.json`.
"""

import argparse
import json
from pathlib import Path

from tqdm import tqdm

import truth
from evaluate import Encodings, poisson_upper, rater, record, summary
from stream import Bundle


def ordinary(manifest, logits, encodings, folder, keep_rows=False):
    """{clip: what `evaluate.rater` says}; a clip of somebody trained on is an error."""
    rate, out = rater(manifest, logits, keep_rows), {}
    for path in tqdm(sorted(Path(folder).glob("[0-9]*.json")), "ordinary"):
        about = json.loads(path.read_text())
        if about["split"] == "train" or about["scenario"] != "ordinary":
            raise SystemExit(f"{path} shows {about['scenario']} of the split {about['split']}: expected ordinary life that nothing was trained on")
        if truth.labels(about, about["labels"]).any():
            raise SystemExit(f"{path} shows a fall or a climb")
        out[path.stem] = rate(encodings.of(path.with_suffix(".mp4")))
    return out


def totals(results):
    """What the results of `ordinary` come to: `evaluate.summary`, with rates an hour for both classes."""
    found = summary(list(results.values()))
    for kind, count in (("fall", found["false"]), ("climb", found["climb_alerts"])):
        found[f"{kind}_per_hour"] = round(count / found["hours"], 2)
        found[f"{kind}_per_hour_upper_95"] = round(poisson_upper(count) / found["hours"], 2)
    return found


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--bundle", type=Path, required=True)
    args.add_argument("--lab", type=Path, required=True)
    args.add_argument("--ordinary", type=Path, required=True)
    args = args.parse_args()
    bundle = Bundle(args.bundle)
    results = ordinary(bundle.manifest, bundle.logits, Encodings(bundle, args.lab / "events"), args.ordinary)
    if not results:
        raise SystemExit(f"{args.ordinary} holds no clips: run `make ordinary` first")
    found = totals(results)
    found["alarmed"] = {name: {"falls_at": r["false_at"], "climbs": r["climb_alerts"]} for name, r in results.items() if r["false"] or r["climb_alerts"]}
    record(args.lab / "hours.json", bundle, {"ordinary life": found})
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
