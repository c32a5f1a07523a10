"""Step `prune`: the teacher made slim, block after block, each step solved by least squares instead of by training.

    python prune.py --lab LAB --teacher movenet.tflite --out LAB/slim.pt

The inverted residual has two kinds of width. The stream between blocks is linear, so its axes may be turned: the
principal ones are kept. The expanded channels are not, so the most useful are kept, and the projection is solved again
to give the teacher's stream, from what the slim network itself says up to there (so that errors do not add up).
Pixels on people count more. The result is a start for `encoder_train.py`, and already close to the teacher.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

import config
from bundle import calibration
from nets import movenet
from nets.movenet import FULL, MoveNet

SLIM = {"stem": 48, "first": 24, "last": 640, "taps": [2, 5, 9], "blocks": [
    [144, 40, 2], [208, 40, 1], [240, 48, 2], [256, 48, 1], [256, 48, 1], [288, 96, 2], [480, 96, 1], [480, 96, 1],
    [480, 96, 1], [576, 144, 1], [672, 144, 1], [672, 144, 1], [864, 224, 2], [1120, 224, 1], [1120, 224, 1],
    [1120, 320, 1]]}
# MobileNetV3-Large-minimalistic's widths on the same stages (its 13th to 15th rows and last convolution at stride 32)
V3 = {"stem": 16, "first": 16, "last": 960, "taps": [2, 5, 9], "blocks": [
    [64, 24, 2], [72, 24, 1], [72, 40, 2], [120, 40, 1], [120, 40, 1], [240, 80, 2], [200, 80, 1], [184, 80, 1],
    [184, 80, 1], [480, 112, 1], [672, 112, 1], [672, 160, 2], [960, 160, 1], [960, 160, 1]]}
WIDTHS = {"slim": SLIM, "v3": V3}
SAMPLES = 60000
torch.manual_seed(config.SEED)


def samples(maps, weight):
    """Rows (n,C) of the same random pixels of several maps (B,C,h,w); pixels on people are drawn more often."""
    b, _, h, w = maps[0].shape
    p = F.interpolate(weight, (h, w), mode="area").flatten() + 0.15
    index = torch.multinomial(p, min(SAMPLES, p.numel()), replacement=False) if p.numel() < 2**24 else torch.randint(p.numel(), (SAMPLES,))
    return [m.permute(0, 2, 3, 1).reshape(-1, m.shape[1])[index].double() for m in maps]


def principal(rows, keep):
    """Mean (C,) and the `keep` first principal axes (C,keep) of rows."""
    mean = rows.mean(0)
    _, vectors = torch.linalg.eigh((rows - mean).T @ (rows - mean))
    return mean, vectors.flip(1)[:, :keep]


def solve(z, y):
    """Weights (out,in) and bias (out,) with z @ W.T + b close to y; a little ridge."""
    mz, my = z.mean(0), y.mean(0)
    zc = z - mz
    gram = zc.T @ zc
    gram += 1e-4 * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
    w = torch.linalg.solve(gram, zc.T @ (y - my)).T
    return w, my - w @ mz


def choose(z, y, keep):
    """Indices of the `keep` columns of z that matter most for y: drop, solve, drop again."""
    alive = torch.arange(z.shape[1])
    while len(alive) > keep:
        w, _ = solve(z[:, alive], y)
        use = z[:, alive].std(0) * w.norm(dim=0)
        count = max(keep, int(len(alive) * 0.75))
        alive = alive[use.topk(count).indices.sort().values]
    return alive


def put(conv, weight, bias):
    conv.weight.data.copy_(weight.reshape(conv.weight.shape).float())
    conv.bias.data.copy_(bias.float())


def groups(count_full, count_slim):
    """Teacher block that each slim block starts from (1-based), when the slim network has fewer."""
    if count_full == count_slim:
        return list(range(1, count_full + 1))
    return [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14, 15]


@torch.inference_mode()
def slim(teacher, widths, pictures):
    """A `MoveNet(widths)` that imitates the teacher on `pictures` u8 (n,H,W,3) as well as least squares can."""
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float()
    _, maps = teacher(x)
    weight = torch.sigmoid(maps["heat"]).amax(1, keepdim=True)
    weight = F.max_pool2d(weight, 9, 1, 4)
    net = MoveNet(widths).eval()
    source = groups(len(FULL["blocks"]), len(widths["blocks"]))

    t0 = F.relu6(teacher.stem(x * (2 / 255) - 1))
    a0 = F.relu6(teacher.first[0](t0))
    stream_t = teacher.first[1](a0)
    z, y = samples([a0, stream_t], weight)
    alive = choose(z, y, widths["stem"])
    net.stem.weight.data.copy_(teacher.stem.weight[alive])
    net.stem.bias.data.copy_(teacher.stem.bias[alive])
    net.first[0].weight.data.copy_(teacher.first[0].weight[alive])
    net.first[0].bias.data.copy_(teacher.first[0].bias[alive])
    mean, axes = principal(y, widths["first"])
    put(net.first[1], *solve(z[:, alive], (y - mean) @ axes))
    stream_s = net.first[1](F.relu6(net.first[0](F.relu6(net.stem(x * (2 / 255) - 1)))))

    streams, full = {}, stream_t
    for index, block in enumerate(teacher.blocks, start=1):
        expand, depth, project = block
        out = project(F.relu6(depth(F.relu6(expand(full)))))
        full = full + out if expand.in_channels == project.out_channels and depth.stride[0] == 1 else out
        streams[index] = full
    taps = [streams[i] for i in FULL["taps"]]
    last_t = F.relu6(teacher.last(full))

    for k, (index, block) in enumerate(zip(source, net.blocks, strict=True)):
        expand, depth, project = teacher.blocks[index - 1]
        target = streams[source[k + 1] - 1] if k + 1 < len(source) else streams[source[-1] if len(source) < 16 else 16]
        out, residual = widths["blocks"][k][1], block[0].in_channels == block[2].out_channels and block[1].stride[0] == 1
        # the expansion reads the slim stream: W (mean + axes a) + b
        wide_w = (expand.weight.flatten(1).double() @ axes).float()[..., None, None]
        wide_b = (expand.bias.double() + expand.weight.flatten(1).double() @ mean).float()
        wide = F.relu6(F.conv2d(stream_s, wide_w, wide_b))
        wide = F.relu6(depth(wide))
        if residual:
            z, y, s = samples([wide, target, stream_s], weight)
            goal = (y - mean) @ axes - s
        else:
            z, y = samples([wide, target], weight)
            mean, axes = principal(y, out)
            goal = (y - mean) @ axes
        alive = choose(z, goal, block[0].out_channels)
        put(block[0], wide_w[alive], wide_b[alive])
        put(block[1], depth.weight[alive], depth.bias[alive])
        put(block[2], *solve(z[:, alive], goal))
        small = block[2](F.relu6(block[1](F.relu6(block[0](stream_s)))))
        stream_s = stream_s + small if residual else small
        if k + 1 in widths["taps"]:
            level = widths["taps"].index(k + 1)
            z, y = samples([stream_s, teacher.fpn.lateral[level](taps[level])], weight)
            put(net.fpn.lateral[level], *solve(z, y))
        z, y = samples([stream_s, target], weight)
        error = ((y - mean) @ axes - z).pow(2).sum() / (y - y.mean(0)).pow(2).sum()
        lost = 1 - ((y - mean) @ axes).pow(2).sum() / (y - mean).pow(2).sum()
        print(f"block {k + 1:2} from {index:2}: {expand.out_channels}->{block[0].out_channels}, {project.out_channels}->{out}, error {error:.4f}, axes lost {lost:.4f}", flush=True)

    goal_map = teacher.fpn.lateral[3](last_t)
    if len(source) == 16:
        reader = teacher.last
    else:  # block 16 is gone: its expansion becomes the last convolution
        reader = teacher.blocks[15][0]
    wide_w = (reader.weight.flatten(1).double() @ axes).float()[..., None, None]
    wide_b = (reader.bias.double() + reader.weight.flatten(1).double() @ mean).float()
    z, y = samples([F.relu6(F.conv2d(stream_s, wide_w, wide_b)), goal_map], weight)
    alive = choose(z, y, widths["last"])
    put(net.last, wide_w[alive], wide_b[alive])
    put(net.fpn.lateral[3], *solve(z[:, alive], y))
    net.fpn.deep.load_state_dict(teacher.fpn.deep.state_dict())
    net.fpn.point.load_state_dict(teacher.fpn.point.state_dict())
    net.heads.load_state_dict(teacher.heads.state_dict())
    return net


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--lab", type=Path, required=True)
    args.add_argument("--teacher", type=Path, required=True)
    args.add_argument("--widths", default="slim", choices=WIDTHS)
    args.add_argument("--pictures", type=int, default=96)
    args.add_argument("--out", type=Path, required=True)
    args = args.parse_args()
    teacher = movenet.load(args.teacher)
    pictures = calibration(args.lab, args.pictures, seed=config.SEED + 1)
    net = slim(teacher, WIDTHS[args.widths], pictures)
    print(f"{sum(p.numel() for p in net.parameters()) / 1e6:.2f} M parameters of {sum(p.numel() for p in teacher.parameters()) / 1e6:.2f} M")
    torch.save({"widths": WIDTHS[args.widths], "net": net.state_dict(), "mean": net.state_dict()}, args.out)


if __name__ == "__main__":
    np.seterr(all="raise")
    main()
