"""Step `poses`: caches the training frames and what the teacher sees in them.

    python poses.py --data DATA --teacher movenet.tflite --lab LAB [--renders RENDERS …]

`LAB/cache/<clip>.npy` holds frames, `LAB/cache/<clip>.pose.npy` f32 (n,4,56) the teacher's people in the coordinates of
the frame (0..1). Of GMDCSA-24 only subject 1 is cached: the other room is validation.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

import config
import truth
from frames import Cache, letterbox
from nets import movenet
from nets.decode import decode
from resume import whole


def unfit(people, h, w):
    """People in the fitted picture -> in the picture of (h,w) that was fitted, 0..1."""
    scale = min(config.WIDTH / w, config.HEIGHT / h)
    ratio = np.array([config.HEIGHT / (h * scale), config.WIDTH / (w * scale)])
    people = people.copy()
    joints = people[..., :51].reshape(*people.shape[:-1], 17, 3)
    joints[..., :2] = (joints[..., :2] - 0.5) * ratio + 0.5
    people[..., 51:53] = (people[..., 51:53] - 0.5) * ratio + 0.5
    people[..., 53:55] = (people[..., 53:55] - 0.5) * ratio + 0.5
    return people


@torch.inference_mode()
def see(net, pictures, flip=True):
    """The teacher's people (n,4,56) in fitted pictures u8 (n,H,W,3); heat and centre averaged with the mirrored ones."""
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float()
    maps = {k: v.float() for k, v in net(x)[1].items()}
    if flip:
        _, other = net(x.flip(3))
        order = list(config.FLIP)
        maps["centre"] = (maps["centre"] + other["centre"].flip(3)) / 2
        maps["heat"] = (maps["heat"] + other["heat"].flip(3)[:, order]) / 2
    return decode(maps, config.PEOPLE).numpy()


def keep(path, people):
    """Writes people (n,4,56), whole: what is there is not made again."""
    with whole(path) as part:
        np.save(part, people)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--data", type=Path, required=True)
    args.add_argument("--teacher", type=Path, required=True)
    args.add_argument("--lab", type=Path, required=True)
    args.add_argument("--renders", type=Path, nargs="*", default=[], help="folders of rendered clips")
    args = args.parse_args()
    cache = Cache(args.lab / "cache")
    for path in tqdm(sorted((args.data / "t2v_bed").glob("*.mp4")), "t2v_bed"):
        cache.add("t2v_" + path.stem, path, every=4)
    cache.add("climb", args.data / "climb/bouldering_fixed.mp4", every=3)
    for path in sorted((args.data / "gmdcsa24").glob("s1_*.mp4")):
        cache.add("g_" + path.stem, path, every=3)
    for path in tqdm(sorted(path for folder in args.renders for path in folder.glob("[0-9]*.mp4")), "renders"):
        if not path.with_suffix(".json").exists():
            continue
        about, people, _, _ = truth.read(path.with_suffix(".json"))
        if truth.part(about) == "train":
            every = max(1, round(about["fps"] / 4))
            cache.add("r_" + path.stem, path, every=every, side=240)
            keep(cache.folder / f"r_{path.stem}.truth.npy", people[::every])
    net = movenet.load(args.teacher).to(memory_format=torch.channels_last)
    for name in tqdm(cache.names(), "teacher"):
        out = cache.folder / f"{name}.pose.npy"
        if out.exists():
            continue
        if name.startswith("r_"):  # known exactly
            keep(out, np.load(cache.folder / f"{name}.truth.npy"))
            continue
        frames = cache.frames(name)
        fitted = np.stack([letterbox(f) for f in frames])
        with torch.autocast("cpu", torch.bfloat16):
            people = np.concatenate([see(net, fitted[i : i + 16]) for i in range(0, len(fitted), 16)])
        keep(out, unfit(people.astype(np.float32), *frames.shape[1:3]))


if __name__ == "__main__":
    main()
