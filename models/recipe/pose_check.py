"""How well an encoder sees what the teacher sees, on real frames it never learnt from (GMDCSA-24)."""

import argparse
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch

from frames import letterbox, read
from nets import encoder, movenet
from poses import see
from quantise import agreement


def reference(data, teacher, lab, every=8):
    """(pictures u8 (n,H,W,3), teacher's people (n,4,56)); kept in `lab/pose_check.npz`."""
    kept = Path(lab) / "pose_check.npz"
    if not kept.exists():
        pictures = [letterbox(p) for f in sorted(Path(data, "gmdcsa24").glob("*.mp4")) for i, (_, p) in enumerate(read(f)) if i % every == 0]
        pictures = np.stack(pictures)
        net = movenet.load(teacher)
        people = np.concatenate([see(net, pictures[i : i + 16]) for i in range(0, len(pictures), 16)])
        np.savez(kept, pictures=pictures, people=people)
    kept = np.load(kept)
    return kept["pictures"], kept["people"]


def report(people, pictures, encode, floor=0.25):
    """Agreement with the teacher for upright and lying people, and people per frame that the teacher did not see."""
    seen = np.concatenate([encode(pictures[i : i + 8], pictures[i : i + 8])[0] for i in range(0, len(pictures), 8)])
    flat = (people[..., 54] - people[..., 52]) * 4 / 3 > (people[..., 53] - people[..., 51])
    out = {}
    for name, which in (("upright", ~flat), ("lying", flat)):
        part = people.copy()
        part[~which, 55] = 0
        out[name] = agreement(part, seen, floor)
    out["extra"] = float(np.mean([max(0, (b[:, 55] > floor).sum() - (a[:, 55] > 0.1).sum()) for a, b in zip(people, seen, strict=True)]))
    return out


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--data", type=Path, required=True)
    args.add_argument("--teacher", type=Path, required=True)
    args.add_argument("--lab", type=Path, required=True)
    args.add_argument("models", nargs="+", help="encoder .onnx or .pt")
    args = args.parse_args()
    pictures, people = reference(args.data, args.teacher, args.lab)
    for model in args.models:
        if model.endswith(".pt"):
            net = encoder.Encoder(encoder.load(model))

            def encode(f, p, net=net):
                with torch.inference_mode():
                    return [x.numpy() for x in net(torch.from_numpy(f), torch.from_numpy(p))]
        else:
            session = ort.InferenceSession(model)

            def encode(f, p, session=session):
                return session.run(["people", "scene"], {"frame": f, "previous": p})
        print(model, {k: np.round(v, 4).tolist() for k, v in report(people, pictures, encode).items()})


if __name__ == "__main__":
    main()
