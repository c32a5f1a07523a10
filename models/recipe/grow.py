"""Step `grow`: MobileNetV3's blocks into a trained slim network, without a change of what it says but for what least squares leaves.

    python grow.py --lab LAB --out LAB/grown.pt

The network it grows from lies half way between `LAB/slim.pt` and `LAB/encoder.pt` (`nets/blend.py`).

Hard-swish of a large number is that number, so the channels before it are made `SHARP` times larger, and the projection is solved
again to give the old stream. A gate begins open by the same 5/6 for every channel. So what comes out sees
already, and training may go on from it, where one with random blocks would have to learn what a person is.
"""

import argparse
import copy
from pathlib import Path

import torch
from torch.nn import functional as F

import config
from bundle import calibration
from nets import encoder
from nets.blend import between
from nets.mobilenet import MobileNetV3, hard_swish
from prune import SLIM, choose, put, samples, solve

SHARP = 2.0  # hard-swish differs from ReLU by at most 3/8, here of a number that is twice as large
OPEN = 2.0   # what the gate's last convolution says at first: relu6(2 + 3) = 5 of 6
EXPANDED = {14: 960, 15: 960, 16: 960}  # MobileNetV3-Large's deepest expansion; pays for the gates
V3 = {**SLIM, "blocks": [[EXPANDED.get(i, row[0]), *row[1:]] for i, row in enumerate(SLIM["blocks"], start=1)],
      "hard": 6, "squeeze": {3: 64, 4: 64, 5: 64, 10: 48, 11: 48, 12: 48, 14: 24, 15: 24, 16: 24}}


def people(net, x):
    """Where somebody is, (B,1,h,w), for `samples`."""
    return F.max_pool2d(torch.sigmoid(net(x)[1]["heat"]).amax(1, keepdim=True), 9, 1, 4)


@torch.no_grad()
def grow(old, widths, pictures):
    """A `MobileNetV3(widths)` that says what `old`, a `MoveNet` of the same streams, says of `pictures` u8 (n,H,W,3)."""
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float()
    weight = people(old, x)
    net = MobileNetV3(widths).eval()
    kept = {name: value for name, value in old.state_dict().items() if not name.startswith(("blocks", "last", "fpn.lateral.3"))}
    net.load_state_dict(kept, strict=False)
    goal = mine = old.first[1](F.relu6(old.first[0](F.relu6(old.stem(x * (2 / 255) - 1)))))
    for index, (block, new) in enumerate(zip(old.blocks, net.blocks, strict=True), start=1):
        residual = block[0].in_channels == block[2].out_channels and block[1].stride[0] == 1
        said = block[2](old.inside(index, goal))
        goal = goal + said if residual else said
        expand, depth = copy.deepcopy(block[0]), copy.deepcopy(block[1])
        if index >= widths["hard"]:
            expand.weight.data.mul_(SHARP), expand.bias.data.mul_(SHARP)
            depth.weight.data.div_(6), depth.bias.data.mul_(SHARP)
        act = net.activation(index)
        z, y, s = samples([act(depth(act(expand(mine)))), goal, mine if residual else goal], weight)
        gate = 1.0
        if (squeeze := net.squeeze[str(index)] if str(index) in net.squeeze else None) is not None:
            squeeze.expand.weight.zero_()
            squeeze.expand.bias.fill_(OPEN)
            gate = OPEN + 3
        wanted = y - s if residual else y
        alive = choose(z, wanted, new[0].out_channels)
        put(new[0], expand.weight[alive], expand.bias[alive])
        put(new[1], depth.weight[alive], depth.bias[alive])
        put(new[2], *solve(z[:, alive] * gate, wanted))
        said = new[2](net.inside(index, mine))
        mine = mine + said if residual else said
        error = (mine - goal).pow(2).mean() / goal.var((0, 2, 3)).mean()
        print(f"block {index:2}: {block[0].out_channels}->{new[0].out_channels}, error {error:.4f}", flush=True)
    net.last.weight.data.copy_(old.last.weight * SHARP)
    net.last.bias.data.copy_(old.last.bias * SHARP)
    z, y = samples([hard_swish(net.last(mine)), old.fpn.lateral[3](F.relu6(old.last(goal)))], weight)
    put(net.fpn.lateral[3], *solve(z, y))
    return net


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--lab", type=Path, required=True)
    args.add_argument("--pictures", type=int, default=96)
    args.add_argument("--out", type=Path, required=True)
    args = args.parse_args()
    old = encoder.load(args.lab / "encoder.pt")
    old.load_state_dict(between(encoder.load(args.lab / "slim.pt").state_dict(), old.state_dict()))
    net = grow(old, V3, calibration(args.lab, args.pictures, seed=config.SEED + 1))
    print(f"{sum(p.numel() for p in net.parameters()) / 1e6:.2f} M parameters")
    torch.save({"widths": V3, "net": net.state_dict(), "mean": net.state_dict()}, args.out)


if __name__ == "__main__":
    main()
