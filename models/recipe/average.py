"""Step `average`: the head whose weights lie between two heads that grew from one another.

    python average.py --from ../bundle/head.onnx --to OTHER/head.onnx --share 0.75 --out LAB/average.pt

Two trainings that begin at the same weights mostly end in the same basin, and what lies between them may err less than either where they err differently, at
the price of one (model soups, Wortsman et al. 2022). Here it did not (`docs/model-comparisons.md`): count it like any other head before it ships. Writes
what `bundle.py --head` reads.
"""

import argparse
from pathlib import Path

import torch

from nets.blend import between
from nets.head import exported
from resume import whole


def average(start, end, share):
    """The heads of two bundles, ONNX files -> state dict of the one `share` of the way from `start` to `end`.

    `tick`, which no file keeps and only training uses, is drawn anew."""
    return between(*(exported(path).state_dict() for path in (start, end)), share)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--from", dest="start", type=Path, required=True, help="head.onnx of one bundle")
    args.add_argument("--to", dest="end", type=Path, required=True, help="head.onnx of another")
    args.add_argument("--share", type=float, required=True, help="how much of the way, 0 to 1")
    args.add_argument("--out", type=Path, required=True)
    args = args.parse_args()
    if not 0 <= args.share <= 1:
        raise SystemExit(f"--share {args.share}: what lies between two heads lies from 0 to 1 of the way")
    with whole(args.out) as part:
        torch.save({"ship": average(args.start, args.end, args.share)}, part)


if __name__ == "__main__":
    main()
