"""Command line: `python -m render --out DIR` renders clips, `--skeletons OUT.npz` writes motions only."""

import argparse
import os
import sys
from pathlib import Path

from truth import part

from .body import pool, strangers
from .daily import DAILY
from .mocap import Library
from .spec import hard, make_spec
from .story import RATE

_RECIPE = Path(__file__).resolve().parents[1]
BEARABLE = 50  # one failed seed in so many asked for, those that were there already among them


def tell(failed: list[int], count: int) -> None:
    """Names the seeds that failed of `count`; too many of them end the program with 1. A few seeds always fail, however often they are tried, and
    shall not keep back what is made of the others."""
    if not failed:
        return
    said = f"{len(failed)} of {count} seeds failed: {', '.join(map(str, failed))}"
    if len(failed) * BEARABLE > count:
        raise SystemExit(f"{said}. That is more than one in {BEARABLE}: what each said stands above; what could be made is there, and the same command tries the others again")
    print(f"{said}. That is not more than one in {BEARABLE}, so the others do without them", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(prog="render", description=__doc__)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", type=Path, help="folder for NNNNNN.mp4 and NNNNNN.json")
    where.add_argument("--skeletons", type=Path, help="npz file for 3D joints, labels and cameras")
    parser.add_argument("--start", type=int, default=0, help="first seed")
    parser.add_argument("--count", type=int, default=100, help="number of seeds")
    parser.add_argument("--slots", default="01234", help="of each five seeds only these: 2 and 3 are mostly climbs and their twins")
    parser.add_argument("--hard", action="store_true", help="only events that are hard to see, and their twins")
    kept = parser.add_mutually_exclusive_group()
    kept.add_argument("--train", action="store_true", help="leave out the seeds whose clips validate or test")
    kept.add_argument("--held-out", action="store_true", help="only seeds whose people, rooms and looks are never trained on")
    parser.add_argument("--strangers", action="store_true", help="training's parts are played by people whom no encoder has been trained on")
    parser.add_argument("--scenario", choices=sorted(DAILY), help="what everybody does, in place of the seed's own story")
    parser.add_argument("--near", action="store_true", help="the camera hangs close by: the lower edge of its picture cuts whoever is there")
    parser.add_argument("--seconds", type=float, help="how long the clips of that scenario are (default: as the seed has it)")
    parser.add_argument("--fps", type=float, help="pictures a second, in place of the seed's own: few are enough to learn single pictures from")
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(os.environ.get("FALLD_DATA", _RECIPE.parents[2] / "shared/data")),
        help="folder with furniture/, rooms/ and mocap/; without it: boxes, plain walls, made-up movement",
    )
    parser.add_argument("--cache", type=Path, help="where the people are kept (default: .cache beside the output)")
    parser.add_argument("--sheets", type=Path, help="also write a contact sheet of each clip into this folder")
    args = parser.parse_args()
    if args.fps and (args.fps < 0 or RATE % args.fps):
        parser.error(f"--fps {args.fps}: {RATE} a second must be a multiple of it")
    cache = args.cache or (args.out or args.skeletons.parent) / ".cache"
    people, library = pool(cache) + (strangers(cache) if args.strangers else []), Library(args.data / "mocap", cache)
    seeds = [seed for seed in range(args.start, args.start + args.count) if str(seed % 5) in args.slots]
    if args.hard:
        seeds = [seed for seed in seeds if hard(seed, people)]
    specs = [make_spec(seed, people, args.scenario, args.seconds) for seed in seeds]
    if args.fps:
        specs = [spec | dict(fps=args.fps) for spec in specs]
    if args.near:
        specs = [spec | dict(camera_fit="near") for spec in specs]
    if args.train:
        specs = [spec for spec in specs if part(spec) == "train"]
    if args.held_out:
        specs = [spec for spec in specs if spec["split"] != "train"]
    if args.skeletons:
        from .skeletons import write_skeletons

        args.skeletons.parent.mkdir(parents=True, exist_ok=True)
        failed = write_skeletons(args.skeletons, specs, people, library)
    else:
        from .clip import write_clips

        failed = write_clips(args.out, specs, people, args.data, library, args.sheets)
    tell(failed, len(specs))


if __name__ == "__main__":
    main()
