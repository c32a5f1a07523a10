"""Step `bare`: the bundle without what `ground.py` added, for steps that make another encoder or another head of it. All else says what it said.

    python bare.py --bundle ../bundle --out LAB/bare

Rules and version stay, though climbs were decided by other scores: a bundle that ships is grounded again and counted anew.
"""

import argparse
import json
from pathlib import Path

import export
from bundle import begun, finish, renewed
from graft import grafted
from nets.head import Mirrored, exported
from restore import restored


def bare(bundle, new):
    """Writes into the folder `new` the networks of `bundle` without what was added; gives the manifest."""
    about = json.loads((bundle / "manifest.json").read_text())
    if not about["people"]["embedding"]:
        raise SystemExit(f"{bundle} has nothing that `ground.py` added: use it as it is")
    shipped = bundle / "encoder.onnx"
    grafted(shipped, restored(shipped), new / "encoder.onnx")
    export.head(Mirrored(exported(bundle / "head.onnx")), new / "head.onnx")
    return renewed(about, new, 0, {})


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--bundle", type=Path, required=True)
    args.add_argument("--out", type=Path, required=True, help="the new bundle's folder")
    args = args.parse_args()
    new = begun(args.out)
    about = finish(new, bare(args.bundle, new), args.out)
    print(f"{args.out}: encoder {about['encoder']['sha256'][:12]}, head {about['head']['sha256'][:12]}, probe {about['probe']['logits']}")


if __name__ == "__main__":
    main()
