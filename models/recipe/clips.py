"""Writes the golden clips of the Rust tests: rendered clips, and beside each what the recipe's own runner says of it.

    python clips.py --bundle ../bundle --out ../../tests/data fall=000317.mp4 everyday=000041.mp4
"""

import argparse
import json
import shutil
from pathlib import Path

from stream import Bundle, run


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--bundle", type=Path, required=True)
    args.add_argument("--out", type=Path, required=True)
    args.add_argument("clips", nargs="+", help="name=path of a rendered clip")
    args = args.parse_args()
    bundle = Bundle(args.bundle)
    args.out.mkdir(parents=True, exist_ok=True)
    for pair in args.clips:
        name, path = pair.split("=", 1)
        about = json.loads(Path(path).with_suffix(".json").read_text())
        shutil.copyfile(path, args.out / f"{name}.mp4")
        rows, raised = run(bundle, path)
        falls = [p for p in about["people"] if isinstance(p.get("fall_start"), float)]
        expected = {
            "encoder": bundle.manifest["encoder"]["sha256"], "head": bundle.manifest["head"]["sha256"], "scenario": about["scenario"],
            "onset_s": falls[0]["fall_start"] if falls else None, "contact_s": falls[0]["contact"] if falls else None,
            "alerts": [{"t": round(t, 4), "class": kind} for t, kind in raised], "tolerance_s": 0.2,
            "scores": [{"t": round(t, 4), "fall": round(f, 4), "climb": round(c, 4)} for t, f, c, _ in rows[::5]]}
        (args.out / f"{name}.expected.json").write_text(json.dumps(expected, indent=1) + "\n")
        print(name, expected["alerts"], f"{(args.out / f'{name}.mp4').stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
