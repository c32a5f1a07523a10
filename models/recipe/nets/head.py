"""The head: 64 ticks of one person and of the scene -> logits of the last tick.

Everything is measured in units that do not know the camera: lengths in the person's own size (the mean box diagonal of
the ring), positions from where the person was on average. Space was folded by the encoder; here only time is convolved
(the factorised half of (2+1)D), and attention looks inside windows of 16 ticks.
"""

import copy
import re

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

import config

J = config.JOINTS
WIDTH = 64
WINDOW = 16
SPAN = 24  # ticks, 1.6 s, over which it is averaged who is up on something; the policy of climbs has a window of its own
LAGS = (1, 4, 10)  # ticks over which movement is measured: 67, 267, 667 ms
CHANNELS = 2 * J + J + 2 + 2 + 2 + 4 + 1 + 1 + 1 + 7 * len(LAGS) + 2 + 4  # of `features`: the person's (pose first), then the scene's


def _shift(x, lag):
    """x (R,T,C) delayed by `lag` ticks, zeros before."""
    return F.pad(x, (0, 0, lag, 0))[:, : x.shape[1]]


def person_features(person, mask):
    """(R,T,F), (R,T,2) -> (R,T,C): pose, place, size, movement; all zero where the person was not seen."""
    exist, seen = mask[..., :1], mask[..., 1:]
    unit = torch.tensor([1.0, config.WIDTH / config.HEIGHT], device=person.device)  # y, x in picture heights
    rows = person[..., : 3 * J].unflatten(-1, (J, 3))
    joints, score = rows[..., :2] * unit, rows[..., 2]
    low, high = person[..., 3 * J : 3 * J + 2] * unit, person[..., 3 * J + 2 : 3 * J + 4] * unit
    centre, size = (low + high) / 2, high - low

    count = seen.sum(1, keepdim=True).clamp(min=1)
    length = ((size ** 2).sum(-1, keepdim=True) * seen).sum(1, keepdim=True) / count
    length = torch.sqrt(length + 1e-4)
    home = (centre * seen).sum(1, keepdim=True) / count

    sure = torch.clamp(score * 2.5, 0, 1)
    pose = (joints - centre[..., None, :]) / length[..., None] * sure[..., None]
    place = (centre - home) / length
    torso = (joints[..., 5, :] + joints[..., 6, :] - joints[..., 11, :] - joints[..., 12, :]) / 2
    axis = torso / torch.sqrt((torso ** 2).sum(-1, keepdim=True) + 1e-4)
    moves = []
    for lag in LAGS:
        both = seen * _shift(seen, lag)
        moves += [(centre - _shift(centre, lag)) / length * both, (size - _shift(size, lag)) / length * both,
                  (torso - _shift(torso, lag)) / length * both, both]
    edge = torch.cat([low, unit - high], -1).clamp(-0.2, 0.3) * 3
    still = torch.cat([pose.flatten(-2), sure, place, size / length, axis, edge, high[..., :1] * 2 - 1,
                       torch.log(length).expand(-1, exist.shape[1], -1), person[..., -1:]], -1)
    return torch.cat([still.clamp(-4, 4) * seen, *moves, exist, seen], -1)


def scene_features(scene, person, mask):
    """(R,T,G) -> (R,T,4): movement everywhere and inside the person's box, change of brightness there over 1 s, and
    whether there is a picture at all."""
    rows, cols = config.GRID
    moved, light = scene.unflatten(-1, (2, rows * cols)).unbind(-2)
    box = person[..., 3 * J : 3 * J + 4]

    def cover(low, high, n):
        start = torch.arange(n, device=scene.device, dtype=torch.float32) / n
        return F.relu(torch.minimum(high, start + 1 / n) - torch.maximum(low, start)) * n

    inside = (cover(box[..., :1], box[..., 2:3], rows)[..., None] * cover(box[..., 1:2], box[..., 3:4], cols)[..., None, :]).flatten(-2)
    area = inside.sum(-1, keepdim=True) + 1e-3
    there = (light.mean(-1, keepdim=True) > 0.004).float() * mask[..., :1]
    change = (light - _shift(light, 15)).abs() * _shift(there, 15)
    seen = mask[..., 1:] * there
    return torch.cat([moved.mean(-1, keepdim=True) * 8, (moved * inside).sum(-1, keepdim=True) / area * 4 * seen,
                      (change * inside).sum(-1, keepdim=True) / area * 4 * seen, there], -1)


def features(person, scene, mask):
    """What every head reads: (R,CHANNELS,T)."""
    return torch.cat([person_features(person, mask), scene_features(scene, person, mask)], -1).transpose(1, 2)


class Temporal(nn.Module):
    """Residual pair of a dilated convolution over time (5 ticks) and a mixing one; (R,C,T) -> same."""

    def __init__(self, width, dilation, drop):
        super().__init__()
        self.time = nn.Conv1d(width, width, 5, padding=2 * dilation, dilation=dilation)
        self.mix = nn.Conv1d(width, width, 1)
        self.norm = nn.BatchNorm1d(width)
        self.drop = nn.Dropout(drop)

    def forward(self, x):
        return x + self.drop(self.mix(F.relu(self.norm(self.time(x)))))


class Local(nn.Module):
    """Self-attention inside windows of 16 ticks, one pass; (R,C,T) -> same."""

    def __init__(self, width, heads=4):
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.query, self.key, self.value = (nn.Conv1d(width, width, 1) for _ in range(3))
        self.out = nn.Conv1d(width, width, 1)
        self.place = nn.Parameter(torch.zeros(heads, WINDOW, WINDOW))

    def forward(self, x):
        windows, h = config.TICKS // WINDOW, self.heads

        def split(y):  # (R,C,T) -> (R,windows,h,c,16)
            return y.unflatten(2, (windows, WINDOW)).unflatten(1, (h, WIDTH // h)).permute(0, 3, 1, 2, 4)

        q, k, v = split(self.query(x)), split(self.key(x)), split(self.value(x))
        weight = torch.softmax(torch.matmul(q.transpose(-1, -2), k) * self.scale + self.place, -1)
        y = torch.matmul(v, weight.transpose(-1, -2))  # (R,windows,h,c,16)
        return x + self.out(y.permute(0, 2, 3, 1, 4).flatten(3).flatten(1, 2))


class Reader(nn.Module):
    """What heads have in common: ticks are embedded, a subclass's `body` (of the parts that its `build` makes) mixes
    them, and what it says is read at the end.

    `forward`: `person` (R,T,F), `scene` (R,T,G), `mask` (R,T,2) -> logits (R,K) of the last tick.
    `both` gives (R,T,K) as well, a guess for each tick, for the training's second loss."""

    def __init__(self, drop=0.1):
        super().__init__()
        self.enter = nn.Conv1d(CHANNELS, WIDTH, 1)
        self.build(drop)
        self.tick = nn.Conv1d(WIDTH, len(config.CLASSES), 1)
        self.last = nn.Sequential(nn.Linear(3 * WIDTH, WIDTH), nn.ReLU(), nn.Dropout(drop), nn.Linear(WIDTH, len(config.CLASSES)))

    def embed(self, x):
        return F.relu(self.enter(x))

    def pool(self, x):
        return torch.cat([x[..., -1], x[..., -12:].mean(-1), x.mean(-1)], -1)

    def both(self, person, scene, mask):
        x = F.relu(self.body(self.embed(features(person, scene, mask))))
        return self.last(self.pool(x)), self.tick(x).transpose(1, 2)

    def forward(self, person, scene, mask):
        return self.both(person, scene, mask)[0]


class Head(Reader):
    """The shipped one: dilated convolutions, attention in windows between them."""

    def build(self, drop):
        self.early = nn.ModuleList([Temporal(WIDTH, d, drop) for d in (1, 2, 4)])
        self.local = Local(WIDTH)
        self.late = nn.ModuleList([Temporal(WIDTH, d, drop) for d in (1, 2, 4, 8)])

    def body(self, x):
        for block in (*self.early, self.local, *self.late):
            x = block(x)
        return x


class Mirrored(nn.Module):
    """A head that is asked about the people and about their mirror image, and answers with the mean: who falls to the left falls as
    surely as who falls to the right. Same inputs and logits as `net`."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, person, scene, mask):
        both = torch.cat([person, mirror(person, mask[..., 1:])]), torch.cat([scene, mirror_grid(scene)]), torch.cat([mask, mask])
        return self.net(*both).reshape(2, -1, len(config.CLASSES)).mean(0)


class Grounded(nn.Module):
    """A head that is also told, by the number behind each person's F, who is up on something: it moves probability between normal and
    climb, and none of fall and fallen. `person` (R,T,F+1); else as `net`."""

    def __init__(self, net, weight, bar):
        super().__init__()
        self.net = net
        self.register_buffer("weight", torch.tensor(float(weight)))  # of the mean over SPAN ticks, in nats
        self.register_buffer("bar", torch.tensor(float(bar)))        # where it says nothing

    def forward(self, person, scene, mask):
        said, aloft, seen = self.net(person[..., : config.FEATURES], scene, mask), person[:, -SPAN:, config.FEATURES], mask[:, -SPAN:, 1]
        count = seen.sum(1)
        shift = self.weight * ((aloft * seen).sum(1) / count.clamp(min=1) - self.bar) * count.clamp(max=1)
        normal, fall, fallen, climb = said.unbind(1)
        both, gap = normal + F.softplus(climb - normal), climb - normal + shift
        return torch.stack([both - F.softplus(gap), fall, fallen, both - F.softplus(-gap)], 1)


def mirror(person, seen):
    """Person rows (R,T,F) of the mirrored picture; zeros stay zeros where `seen` (R,T,1) is 0."""
    rows = person[..., : 3 * J].unflatten(-1, (J, 3))[..., list(config.FLIP), :]
    joints = torch.stack([rows[..., 0], 1 - rows[..., 1], rows[..., 2]], -1).flatten(-2)
    y0, x0, y1, x1, score = person[..., 3 * J :].unbind(-1)
    return torch.cat([joints, torch.stack([y0, 1 - x1, y1, 1 - x0, score], -1)], -1) * seen


def mirror_grid(scene):
    """Scene rows (R,T,G) of the mirrored picture."""
    cells = scene.unflatten(-1, (2, *config.GRID))
    return cells[..., list(range(config.GRID[1]))[::-1]].flatten(-3)


def folded(net):
    """A copy for inference with BatchNorm folded into the convolution before it; same outputs within rounding."""
    net = copy.deepcopy(net).eval()
    for module in net.modules():
        if isinstance(module, Temporal) and isinstance(module.norm, nn.BatchNorm1d):
            module.time, module.norm = fuse_conv_bn_eval(module.time, module.norm), nn.Identity()
    return net


def restore(weights):
    """A head with the saved `weights` (a state dict), whether its BatchNorm was folded or not."""
    net = Head()
    if not any(".norm." in name for name in weights):
        net = folded(net)
    net.load_state_dict(weights)
    return net


def exported(path):
    """The head of a bundle, with or without what is around it (`Mirrored`, `Grounded`), to be trained on: folded, with a new `tick` layer, which
    only training uses."""
    import onnx
    from onnx import numpy_helper

    net = folded(Head())
    found = {re.sub(r"^(net\.)+", "", i.name): torch.from_numpy(numpy_helper.to_array(i).copy()) for i in onnx.load(path).graph.initializer}
    weights = {name: value if name.startswith("tick.") else found[name] for name, value in net.state_dict().items()}
    net.load_state_dict(weights)
    return net
