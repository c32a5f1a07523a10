"""Step `bare`: the bundle without what `ground.py` added, for steps that make another encoder or another head of it. All else says what it said.

    python bare.py --bundle ../bundle --out LAB/bare

Rules and version stay, though climbs were decided by other scores: a bundle that ships is grounded again and counted anew.
"""

import argparse
import datetime
import json
import shutil
from pathlib import Path

import export
from bundle import UNMEASURED, commit, finish, tensors
from graft import grafted
from nets.head import Mirrored, exported
from restore import restored
from resume import sha256


def bare(bundle, new):
    """Writes into the folder `new` the networks of `bundle` without what was added; gives the manifest."""
    about = json.loads((bundle / "manifest.json").read_text())
    if not about["people"]["embedding"]:
        raise SystemExit(f"{bundle} has nothing that `ground.py` added: use it as it is")
    shipped = bundle / "encoder.onnx"
    grafted(shipped, restored(shipped), new / "encoder.onnx")
    export.head(Mirrored(exported(bundle / "head.onnx")), new / "head.onnx")
    about["people"]["embedding"] = 0
    for part, batch in (("encoder", "batch"), ("head", "rows")):
        about[part] |= {"sha256": sha256(new / f"{part}.onnx"), **tensors(part, batch)}
    source = about["provenance"]
    source |= {"commit": commit(), "created": datetime.date.today().isoformat(), "scores": {}}
    for of_another in ("measured", "chosen_on"):
        source.pop(of_another, None)
    return about


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--bundle", type=Path, required=True)
    args.add_argument("--out", type=Path, required=True, help="the new bundle's folder")
    args = args.parse_args()
    new = args.out.with_name(args.out.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    (new / "CARD.md").write_text(UNMEASURED)
    about = finish(new, bare(args.bundle, new), args.out)
    print(f"{args.out}: encoder {about['encoder']['sha256'][:12]}, head {about['head']['sha256'][:12]}, probe {about['probe']['logits']}")


if __name__ == "__main__":
    main()
