"""Step `clips`: what the recipe's own runner says of the golden clips of the Rust tests, which are our own rendered ones.

    python clips.py --bundle ../bundle --out ../../tests/data [fall=000339.mp4 everyday=000041.mp4]

Without clips it says anew what the bundle says of those that are there; a clip named takes the place of one.
"""

import argparse
import json
import shutil
from pathlib import Path

from stream import Bundle, run


def shown(path):
    """What a rendered clip shows, from its JSON: scenario, onset and contact of the first fall, in seconds or None."""
    about = json.loads(Path(path).with_suffix(".json").read_text())
    falls = [p for p in about["people"] if isinstance(p.get("fall_start"), float)]
    return {"scenario": about["scenario"], "onset_s": falls[0]["fall_start"] if falls else None, "contact_s": falls[0]["contact"] if falls else None}


def expected(bundle, video, shows):
    """What falld must say of a clip: networks, alerts, and the scores of every fifth tick."""
    rows, raised = run(bundle, video)
    return {
        "encoder": bundle.manifest["encoder"]["sha256"], "head": bundle.manifest["head"]["sha256"], **shows,
        "alerts": [{"t": round(t, 4), "class": kind} for t, kind in raised], "tolerance_s": 0.2,
        "scores": [{"t": round(t, 4), "fall": round(f, 4), "climb": round(c, 4)} for t, f, c, *_ in rows[::5]]}


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--bundle", type=Path, required=True)
    args.add_argument("--out", type=Path, required=True)
    args.add_argument("clips", nargs="*", help="name=path of a rendered clip")
    args = args.parse_args()
    bundle = Bundle(args.bundle)
    args.out.mkdir(parents=True, exist_ok=True)
    known = {path.name.removesuffix(".expected.json"): json.loads(path.read_text()) for path in args.out.glob("*.expected.json")}
    shows = {name: {key: old[key] for key in ("scenario", "onset_s", "contact_s")} for name, old in known.items()}
    for name, path in (pair.split("=", 1) for pair in args.clips):
        shutil.copyfile(path, args.out / f"{name}.mp4")
        shows[name] = shown(path)
    for name, what in sorted(shows.items()):
        says = expected(bundle, args.out / f"{name}.mp4", what)
        (args.out / f"{name}.expected.json").write_text(json.dumps(says, indent=1) + "\n")
        print(name, says["alerts"])


if __name__ == "__main__":
    main()
