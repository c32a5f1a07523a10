"""Step `ground`: the bundle with what `aloft_train.py` learnt in its encoder, and a head that hears it. All else says what it said.

    python ground.py --bundle ../bundle --lab LAB --out LAB/grounded --renders UP… --weight 0.5 --bar -2 [--climb 0.9 8 10] --version VERSION

The encoder's other integers stay what they are (`graft.py`), and so do the scores of falls (`nets/head.py`, `Grounded`) by one look. By two they may differ, for a
score of a climb, which is another now, may begin the second look or keep it going.
"""

import argparse
import itertools
import json
from pathlib import Path

import numpy as np
import torch

import config
import export
from bundle import begun, finish, renewed
from card import ONCE
from evaluate import counted
from frames import letterbox, read
from graft import grafted
from nets.aloft import Aloft
from nets.head import Grounded, Mirrored, exported
from restore import restored
from resume import sha256

KEPT = ("close by:", "validation:")  # sources of events, as `evaluate.py` names them


def pictures(folders, count=96, seed=config.SEED):
    """Fitted pictures u8 (n,H,W,3), one of each of so many rendered clips."""
    clips = sorted(p for folder in folders for p in Path(folder).glob("[0-9]*.mp4"))
    rng = np.random.default_rng(seed)
    chosen = [clips[i] for i in rng.permutation(len(clips))[:count]]
    return np.stack([letterbox(list(itertools.islice(read(clip), int(rng.integers(1, 5))))[-1][1]) for clip in chosen])


def grounded(bundle, new, aloft, seen, weight, bar, climb=None, version=None):
    """Writes into the folder `new` the bundle with the network `aloft`, calibrated on the pictures `seen`, in place of the one it may have; gives
    its manifest."""
    about = json.loads((bundle / "manifest.json").read_text())
    if about["temperature"] != 1:
        raise SystemExit(f"{bundle} divides its logits by {about['temperature']}: `Grounded` leaves falls alone at 1 only")
    scores = kept(counted(about["provenance"]["scores"], about), about.get("second_look"))
    grafted(bundle / "encoder.onnx", restored(bundle / "encoder.onnx"), new / "encoder.onnx", aloft, seen)
    export.head(Grounded(Mirrored(exported(bundle / "head.onnx")), weight, bar), new / "head.onnx", config.EMBEDDING)
    if climb:
        enter, k, n = climb
        about["policy"]["climb"] = {"enter": enter, "exit": enter / 2, "k": int(k), "n": int(n)}
    about["version"] = version or about["version"]
    return renewed(about, new, config.EMBEDDING, scores)


def kept(scores, second_look=None):
    """What stays true of the `scores` that were counted before: falls in clips that are not all counted with each bundle, and of a bundle with
    a second look those that were counted by one. How many climbs are told there has to be counted again."""
    return {name: {**row, "climb_alerts": None} for name, row in scores.items() if name.startswith(ONCE if second_look else KEPT)}


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--bundle", type=Path, required=True)
    args.add_argument("--lab", type=Path, required=True)
    args.add_argument("--renders", type=Path, required=True, nargs="+", help="clips whose pictures calibrate what is new")
    args.add_argument("--weight", type=float, required=True, help="of the mean over the last ticks, in nats")
    args.add_argument("--bar", type=float, required=True, help="mean at which it says nothing")
    args.add_argument("--climb", type=float, nargs=3, metavar=("ENTER", "K", "N"), help="another policy for climbs")
    args.add_argument("--version")
    args.add_argument("--out", type=Path, required=True, help="the new bundle's folder")
    args = args.parse_args()
    saved = torch.load(args.lab / "aloft.pt", weights_only=True)
    if saved["encoder"] != sha256(args.bundle / "encoder.onnx"):
        raise SystemExit(f"{args.lab / 'aloft.pt'} was learnt from another encoder than {args.bundle} has: run `aloft_train.py` again")
    aloft, out = Aloft().eval(), args.out
    aloft.load_state_dict(saved["net"])
    new = begun(out)
    about = finish(new, grounded(args.bundle, new, aloft, pictures(args.renders), args.weight, args.bar, args.climb, args.version), out)
    print(f"{out}: {sum(f.stat().st_size for f in out.iterdir()) / 1e6:.3f} MB, probe {about['probe']['logits']}")


if __name__ == "__main__":
    main()
