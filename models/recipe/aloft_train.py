"""Step `aloft`: who has left the floor for something, learnt from what the shipped encoder's backbone says of single pictures.

    python aloft_train.py --bundle ../bundle --data DATA --lab LAB --renders UP…

Pictures: one a second of rendered clips (`make up`), each as it is and once more as another camera might have it; the filmed
and generated people of training, of whom nobody climbs. The encoder stays. Writes `LAB/aloft/<encoder>/<name>.npz`, what stands around
each person found, and `LAB/aloft.pt`.
"""

import argparse
import math
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch.nn import functional as F
from tqdm import tqdm

import augment
import config
import truth
from evaluate import area
from frames import letterbox, read
from motions import CLIMB
from nets.aloft import SPOTS, STREAMS, Aloft, cells, spots
from resume import sha256, whole
from runtime import session
from tracker import overlap

NODES = {12: "/pose/Add_21", 16: "/pose/blocks.15.2/Conv"}  # of the blocks in STREAMS, in the shipped graph
FOUND = 0.4    # overlap above which a person found is a true one
SHOWN = 0.3    # of whose silhouette so much must be seen
PACE = 1.0     # seconds between the pictures of a clip that are learnt from
FILMED = 0.25  # share of a batch of filmed and generated people


class Backbone:
    """The shipped encoder with its `STREAMS` as outputs."""

    def __init__(self, path, threads=1):
        model = onnx.load(path)
        graph, constant = model.graph, {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
        said = {node.name: node.output[0] for node in graph.node}
        rounded = {node.input[0]: node for node in graph.node if node.op_type == "QuantizeLinear"}
        nodes = [rounded[said[NODES[block]]] for block in STREAMS]
        self.scales = [tuple(float(constant[name]) for name in node.input[1:3]) for node in nodes]
        self.names = ["people", *(node.output[0] for node in nodes)]
        for name in self.names[1:]:
            graph.output.append(helper.make_tensor_value_info(name, TensorProto.UINT8, None))
        self.session = session(model.SerializeToString(), threads)

    def __call__(self, picture):
        """u8 (H,W,3) -> people (P,F), and of each stream u8 (P,C,3,3*SPOTS) around their spots with (P,1,3,3*SPOTS), true inside of the map."""
        people, *maps = self.session.run(self.names, {"frame": picture[None], "previous": picture[None]})
        places = spots(torch.from_numpy(people))[0].transpose(0, 1)  # (P,SPOTS,2)
        return people[0], [self._around(m[0], places, int(zero)) for m, (_, zero) in zip(maps, self.scales, strict=True)]

    @staticmethod
    def _around(stream, places, zero):
        _, h, w = stream.shape
        rows, cols = (x.numpy() for x in cells(places, h, w))
        near = np.arange(-1, 2)
        r, c = np.broadcast_arrays((rows[:, None] + near[:, None])[..., None], (cols[..., None] + near)[:, None])  # (P,3,SPOTS,3)
        r, c = r.reshape(len(rows), 3, 3 * SPOTS), c.reshape(len(rows), 3, 3 * SPOTS)
        inside = (r >= 0) & (r < h) & (c >= 0) & (c < w)
        seen = stream[:, r.clip(0, h - 1), c.clip(0, w - 1)].transpose(1, 0, 2, 3)
        return np.where(inside[:, None], seen, np.uint8(zero)), inside[:, None]


def looks(path, about):
    """(picture u8 (H,W,3), true people (K,F) in it, their labels (K,)) of a rendered clip, each picture twice."""
    _, people, _, each = truth.read(path, steady=True)
    boxes, rng, last = truth.fitted(people, about), np.random.default_rng([config.SEED, about["seed"]]), -math.inf
    for index, (t, picture) in enumerate(read(path.with_suffix(".mp4"))):
        if t - last < PACE - 1e-3:
            continue
        last = t
        yield letterbox(picture), boxes[index], each[index]
        there = people[index][people[index][:, 55] > 0.2]
        seen, matrix = augment.view(rng, picture, there[rng.integers(len(there)), 51:55] if len(there) else None, known=True)
        moved = augment.carry(people[index], picture.shape[:2], matrix)
        moved[:, 51:55] *= moved[:, 55:] > 0.1
        yield augment.spoil(rng, seen), moved, each[index]


def rendered(backbone, path, about):
    """What is learnt from a rendered clip: (patches and insides of each stream, labels (n,))."""
    out, label = [], []
    for picture, true, each in looks(path, about):
        people, near = backbone(picture)
        for k in np.flatnonzero(people[:, 55] >= config.TRACKER["min_score"]):
            shared = [overlap(people[k, 51:55], box) if seen > SHOWN else 0 for box, seen in zip(true[:, 51:55], true[:, 55], strict=True)]
            if max(shared) > FOUND:
                out.append([(patch[k], there[k]) for patch, there in near])
                label.append(each[int(np.argmax(shared))] == CLIMB)
    return out, label


def filmed(backbone, path, pace=PACE):
    """As `rendered`, of a clip in which nobody climbs."""
    out, last = [], -math.inf
    for t, picture in read(path):
        if t - last >= pace - 1e-3:
            last = t
            people, near = backbone(letterbox(picture))
            out += [[(patch[k], there[k]) for patch, there in near] for k in np.flatnonzero(people[:, 55] >= config.TRACKER["start_score"])]
    return out, [False] * len(out)


def kept(folder, name, make):
    """The patches of a clip, made once."""
    path = folder / f"{name}.npz"
    if not path.exists():
        out, label = make()
        columns = {f"{kind}{k}": np.stack([row[k][i] for row in out]) for k in range(len(STREAMS)) for i, kind in enumerate(("patch", "inside"))} if out else {}
        with whole(path) as part:
            np.savez(part, label=np.array(label, bool), **columns)
    return path


def gathered(paths):
    """All patches, insides (of each stream) and labels of some files."""
    files = [d for d in (np.load(p) for p in paths) if len(d["label"])]
    if not files:
        raise SystemExit(f"nobody was found in {len(paths)} clips: --renders and --data need clips with people")
    streams = range(len(STREAMS))
    return ([np.concatenate([d[f"patch{k}"] for d in files]) for k in streams], [np.concatenate([d[f"inside{k}"] for d in files]) for k in streams],
            np.concatenate([d["label"] for d in files]))


def batch(data, which, scales):
    """Patches and insides of the rows `which`, float, for `Aloft.patches`."""
    patches, inside, _ = data
    near = [(torch.from_numpy(p[which]).float() - zero) * scale for p, (scale, zero) in zip(patches, scales, strict=True)]
    return near, [torch.from_numpy(i[which]).float() for i in inside]


@torch.inference_mode()
def scored(net, data, scales, size=1024):
    return torch.cat([net.patches(*batch(data, slice(i, i + size), scales)) for i in range(0, len(data[2]), size)]).numpy()


def train(own, other, scales, steps, seed, size=256, rate=2e-3, decay=1.0):
    """A network of `own`, rendered people, and `other`, people of whom nobody climbs: half of the rendered ones climb."""
    torch.manual_seed(seed)
    rng, net = np.random.default_rng(seed), Aloft().train()
    optimiser = torch.optim.AdamW(net.parameters(), rate, weight_decay=decay)
    up, down = np.flatnonzero(own[2]), np.flatnonzero(~own[2])
    count = round(size * FILMED)
    bar = tqdm(range(steps), "aloft")
    for step in bar:
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1, (step + 1) / 50) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / steps)))
        half = (size - count) // 2
        parts = [(own, rng.choice(up, half)), (own, rng.choice(down, size - count - half)), (other, rng.integers(len(other[2]), size=count))]
        drawn = [batch(data, which, scales) for data, which in parts]
        near, inside = ([torch.cat([part[i][k] for part in drawn]) for k in range(len(STREAMS))] for i in (0, 1))
        label = torch.from_numpy(np.concatenate([data[2][which] for data, which in parts])).float()
        loss = F.binary_cross_entropy_with_logits(net.patches(near, inside), label)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
    return net.eval()


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--bundle", type=Path, required=True)
    args.add_argument("--data", type=Path, required=True)
    args.add_argument("--lab", type=Path, required=True)
    args.add_argument("--renders", type=Path, required=True, nargs="+")
    args.add_argument("--steps", type=int, default=3000)
    args.add_argument("--seed", type=int, default=config.SEED)
    args = args.parse_args()
    encoder = args.bundle / "encoder.onnx"
    backbone, folder = Backbone(encoder), args.lab / "aloft" / sha256(encoder)[:12]
    folder.mkdir(parents=True, exist_ok=True)
    own, held = [], []
    for path in tqdm(sorted(p for r in args.renders for p in r.glob("[0-9]*.json")), "rendered"):
        about = truth.read(path)[0]
        if truth.part(about) != about["split"]:
            continue  # it validates, and its people train
        (own if about["split"] == "train" else held).append(kept(folder, f"{path.parent.name}_{path.stem}", lambda p=path, a=about: rendered(backbone, p, a)))
    others = [*sorted((args.data / "gmdcsa24").glob("s1_*.mp4")), *sorted((args.data / "t2v_bed").glob("*.mp4"))]
    other = [kept(folder, path.stem, lambda p=path: filmed(backbone, p)) for path in tqdm(others, "filmed")]
    net = train(gathered(own), gathered(other), backbone.scales, args.steps, args.seed)
    torch.save({"net": net.state_dict(), "encoder": sha256(encoder)}, args.lab / "aloft.pt")
    if held:
        data = gathered(held)
        score = scored(net, data, backbone.scales)
        bar = np.quantile(score[~data[2]], 0.97)
        print(f"people never trained on: {data[2].sum()} climb of {len(data[2])}, area {area(score, data[2]):.3f}, {(score[data[2]] >= bar).mean():.2f} of them at 3 % of the others")


if __name__ == "__main__":
    main()
