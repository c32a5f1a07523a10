"""Step `evaluate`: events of a bundle on real clips, their twins, and held-out rendered clips.

    python evaluate.py --bundle ../bundle --data DATA --lab LAB [--renders RENDERS --split test --source rendered] [--json out.json]

What is scored is what ships: the ONNX files through the recipe's copy of the daemon's road. A fall counts as seen if an
alert is raised between 0.3 s before the onset and 4 s after contact; every other alert is a false one. A twin is the
footage before the onset, then frozen for 6 s.
"""

import argparse
import csv
import functools
import hashlib
import json
import math
from pathlib import Path

import numpy as np
from tqdm import tqdm

import truth
from frames import read
from resume import whole, write
from stream import Bundle, alerts, encode_clip, replay

FREEZE = 6.0


def wilson(hits, n, z=1.96):
    """95 % interval of a share."""
    if n == 0:
        return 0.0, 1.0
    p = hits / n
    middle, spread = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, middle - spread) / (1 + z * z / n), min(1.0, (middle + spread) / (1 + z * z / n))


def area(score, hit):
    """Area under the ROC curve: the chance that one of `hit` (n,) scores above another; None where there are not both."""
    from scipy.stats import rankdata
    hits, misses = int(hit.sum()), int((~hit).sum())
    if not hits or not misses:
        return None
    return float((rankdata(score)[hit].sum() - hits * (hits + 1) / 2) / (hits * misses))


def poisson_upper(events, confidence=0.95):
    """Upper bound of a Poisson mean after `events` were counted."""
    from scipy.stats import chi2
    return float(chi2.ppf(confidence, 2 * (events + 1)) / 2)


def twin(frames, onset):
    """The frames before `onset`, then the last of them at the clip's pace for `FREEZE` seconds."""
    frames = [(t, p) for t, p in frames if t < onset]
    if len(frames) < 2:
        return []
    step = (frames[-1][0] - frames[0][0]) / (len(frames) - 1)
    t, last = frames[-1]
    return frames + [(t + step * (i + 1), last) for i in range(int(FREEZE / step))]


def labels(path=Path(__file__).parent / "labels/gmdcsa24.csv"):
    rows = csv.DictReader(line for line in path.read_text().splitlines() if not line.startswith("#"))
    return {r["clip"]: {k: float(r[f"{k}_s"]) for k in ("onset", "contact", "rest")} for r in rows}


class Encodings:
    """Encoder outputs of a clip, or of its twin, kept in `folder` by the encoder's hash, so that heads can be compared."""

    def __init__(self, bundle, folder):
        self.encode, self.folder = bundle.encode, Path(folder) / bundle.manifest["encoder"]["sha256"][:12]
        self.folder.mkdir(parents=True, exist_ok=True)

    def name(self, path):
        """What a clip's file is called here."""
        return f"{path.stem}_{path.stat().st_size}"

    def frames(self, path):
        """(t, picture) of a clip, as the encoder shall see it."""
        return read(path)

    def of(self, path, onset=None):
        """As `stream.looks`, the second if it is asked for; with `onset`, of the twin that freezes there."""
        return (*self.look(path, onset), functools.cache(lambda: self.look(path, onset, mirror=True)[2]))

    def look(self, path, onset, mirror=False):
        """As `encode_clip`, kept."""
        kept = self.folder / f"{self.name(path)}_{'whole' if onset is None else round(1000 * onset)}{'_mirror' * mirror}.npz"
        if not kept.exists():
            frames = self.frames(path)
            encoded = encode_clip(self.encode, frames if onset is None else twin(list(frames), onset), mirror=mirror)
            with whole(kept) as part:
                np.savez_compressed(part, *encoded)
        with np.load(kept) as d:
            return tuple(d[f"arr_{i}"] for i in range(4))


def judge(manifest, logits, encoded, known=None):
    """One encoded clip -> as `judge_rows`."""
    return judge_rows(manifest, replay(manifest, logits, encoded), known)


def judge_rows(manifest, rows, known=None):
    """One clip's scores -> dict: seen, delay after contact, false alerts and their times, seconds, best fall score, climb alerts."""
    raised = alerts(manifest, rows)
    fall = [t for t, kind in raised if kind == "fall"]
    out = {"seconds": rows[-1][0] if rows else 0.0, "peak": max((r[1] for r in rows), default=0.0),
           "climb_alerts": sum(kind == "climb" for _, kind in raised)}
    if known is None:
        return {**out, "false": len(fall), "false_at": fall}
    good = [t for t in fall if known["onset"] - 0.3 <= t <= known["contact"] + 4]
    false = [t for t in fall if t not in good]
    return {**out, "seen": bool(good), "delay": good[0] - known["contact"] if good else None, "false": len(false), "false_at": false}


def summary(results):
    """Counts and intervals of a list of `judge` results."""
    falls = [r for r in results if "seen" in r]
    hours = sum(r["seconds"] for r in results) / 3600
    false = sum(r["false"] for r in results)
    delays = sorted(r["delay"] for r in falls if r["seen"])
    seen = sum(r["seen"] for r in falls)
    return {"clips": len(results), "falls": len(falls), "seen": seen, "recall_95": [round(x, 3) for x in wilson(seen, len(falls))],
            "delay_median_s": round(float(np.median(delays)), 2) if delays else None,
            "delay_p90_s": round(float(np.quantile(delays, 0.9)), 2) if delays else None,
            "false": false, "clips_alarmed": sum(r["false"] > 0 for r in results), "hours": round(hours, 6),
            "false_per_hour_upper_95": round(poisson_upper(false) / hours, 1) if hours else None,
            "climb_alerts": sum(r["climb_alerts"] for r in results)}


def decided_by(manifest):
    """What in a bundle decides its events: both networks, by their hashes, and the rules around them."""
    return {**{part: manifest[part]["sha256"] for part in ("encoder", "head")}, **{key: manifest.get(key) for key in ("clip", "tracker", "temperature", "policy", "second_look")}}


def stamp(manifest):
    """A short digest of what `decided_by` says: whose count a row is."""
    return hashlib.sha256(json.dumps(decided_by(manifest), sort_keys=True).encode()).hexdigest()[:12]


def stamped(scores, manifest):
    """Rows {name: `summary`} as counted with the bundle of this manifest."""
    return {name: {**row, "of": stamp(manifest)} for name, row in scores.items()}


def counted(scores, manifest):
    """Those of the `stamped` rows that were counted with the bundle of this manifest: its networks, its rules."""
    return {name: row for name, row in scores.items() if row.get("of") == stamp(manifest)}


def of_others(choice, manifest):
    """Which networks of the manifest are others than those for which `choose.py` made the choice; of a choice that does not say, none."""
    return [part for part, sha in choice.get("of", {}).items() if manifest[part]["sha256"] != sha]


def record(path, bundle, found, **more):
    """Writes what was counted, {name: `summary`}, with what decided it, for `card.py`."""
    write(path, json.dumps({"of": decided_by(bundle.manifest), "summary": found, **more}, indent=1))


def rater(manifest, logits, keep_rows):
    """(encoded clip, known) -> its result, or with `keep_rows` (score rows, known)."""
    def rate(encoded, known=None):
        return (replay(manifest, logits, encoded), known) if keep_rows else judge(manifest, logits, encoded, known)
    return rate


def real(manifest, logits, encodings, data, subjects, keep_rows=False):
    """GMDCSA-24 clips of `subjects`: {"falls", "everyday", "twins"} -> {clip: what `rater` says}."""
    rate, known, out = rater(manifest, logits, keep_rows), labels(), {"falls": {}, "everyday": {}, "twins": {}}
    for path in sorted(p for s in subjects for p in (Path(data) / "gmdcsa24").glob(f"{s}_*.mp4")):
        name = path.stem
        if name in known:
            out["falls"][name] = rate(encodings.of(path), known[name])
            encoded = encodings.of(path, known[name]["onset"])
            if len(encoded[0]):
                out["twins"][name] = rate(encoded)
        else:
            out["everyday"][name] = rate(encodings.of(path))
    return out


def known(about):
    """When a rendered clip's first fall begins and first touches the floor, from its JSON; None if nobody falls."""
    def times(key):
        return [p[key] for p in about["people"] if isinstance(p.get(key), (int, float)) and p[key] == p[key]]

    if not (starts := times("fall_start")):
        return None
    return {"onset": min(starts), "contact": min(times("contact"), default=min(starts) + 0.8)}


def shows(about):
    """"falls", "climbs" or "everyday": what a rendered clip shows."""
    return "falls" if known(about) else "climbs" if any(row[0] == "climb" for row in about["labels"]) else "everyday"


def of_split(about, split):
    """Whether a rendered clip is of `truth.part` `split`, or, "unseen", one of "valid" whose people, rooms and looks no training clip shows."""
    return about["split"] == "valid" if split == "unseen" else truth.part(about) == split


def rendered(manifest, logits, encodings, folder, split="test", keep_rows=False, limit=None):
    """Rendered clips of a split (see `of_split`) -> {"falls", "everyday", "twins", "climbs"}: {scenario/clip: what `rater` says}."""
    rate = rater(manifest, logits, keep_rows)
    out = {"falls": {}, "everyday": {}, "twins": {}, "climbs": {}}
    about = [(p, json.loads(p.read_text())) for p in sorted(Path(folder).glob("[0-9]*.json"))]  # what a killed rendering left begins with a dot
    for path, a in tqdm([x for x in about if of_split(x[1], split)][:limit], split):
        video, key = path.with_suffix(".mp4"), f"{a['scenario']}/{path.stem}"
        fall = known(a)
        out[shows(a)][key] = rate(encodings.of(video), fall)
        if fall and fall["onset"] > 1:
            out["twins"][key] = rate(encodings.of(video, fall["onset"]), None)
    return out


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--bundle", type=Path, required=True)
    args.add_argument("--data", type=Path, required=True)
    args.add_argument("--lab", type=Path, required=True)
    args.add_argument("--renders", type=Path)
    args.add_argument("--split", default=["test"], choices=("valid", "unseen", "test"), nargs="+")
    args.add_argument("--source", default="rendered", help="what the card calls these clips")
    args.add_argument("--limit", type=int, help="at most so many rendered clips")
    args.add_argument("--json", type=Path)
    args = args.parse_args()
    bundle = Bundle(args.bundle)
    encodings = Encodings(bundle, args.lab / "events")
    parts = {source: real(bundle.manifest, bundle.logits, encodings, args.data, subjects)
             for source, subjects in (("real, room not trained on:", ("s2", "s3")), ("real, trained on:", ("s1",)))}
    filmed = {kind: {clip: r for part in parts.values() for clip, r in part[kind].items()} for kind in ("falls", "twins", "everyday")}
    if args.renders:
        shown = [rendered(bundle.manifest, bundle.logits, encodings, args.renders, split, limit=args.limit) for split in args.split]
        parts[args.source] = {kind: {name: r for split in shown for name, r in split[kind].items()} for kind in shown[0]}
    report = {}
    for source, kinds in parts.items():
        for kind, results in kinds.items():
            report[f"{source} {kind}"] = summary(list(results.values()))
            print(source, kind, json.dumps(report[f"{source} {kind}"]))
    for name, r in {**filmed["falls"], **{f"twin {k}": v for k, v in filmed["twins"].items()}, **filmed["everyday"]}.items():
        print(f"  {name:18} {'seen' if r.get('seen') else 'MISSED' if 'seen' in r else ''} "
              f"{'' if r.get('delay') is None else format(r['delay'], '+.2f')} false {r['false']} climb {r['climb_alerts']} peak {r['peak']:.2f}")
    if args.json:
        record(args.json, bundle, report, clips=parts)


if __name__ == "__main__":
    main()
