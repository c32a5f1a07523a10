"""Other heads for the same ticks: each reads the features of `nets/head.py` and keeps the head's contract.

From nothing that looks over time to everything that does: pooling; convolution; the shipped convolution with attention in
windows; attention along both axes of the grid of ticks and joints (Ho et al. 2019, arXiv:1912.12180); attention over all
ticks (pre-norm blocks of Vaswani et al. 2017, arXiv:1706.03762, as in Xiong et al. 2020, arXiv:2002.04745).
"""

import torch
from torch import nn

import config
from nets.head import CHANNELS, J, WIDTH, Head, Reader, Temporal

POSE = 3 * J  # channels of `features` that belong to single joints: y, x of each, then how sure each is
JOINT = 32    # width of a joint's token in the axial head


class Pooling(Reader):
    """No tick knows of another: embedded alone, then last, mean and greatest over time."""

    def build(self, drop):
        self.alone = nn.Sequential(nn.Conv1d(WIDTH, 2 * WIDTH, 1), nn.ReLU(), nn.Dropout(drop), nn.Conv1d(2 * WIDTH, WIDTH, 1))

    def body(self, x):
        return x + self.alone(x)

    def pool(self, x):
        return torch.cat([x[..., -1], x.mean(-1), x.amax(-1)], -1)


class Convolution(Reader):
    """The shipped head's dilated convolutions without its attention."""

    def build(self, drop):
        self.blocks = nn.Sequential(*(Temporal(WIDTH, d, drop) for d in (1, 2, 4, 1, 2, 4, 8)))

    def body(self, x):
        return self.blocks(x)


class Attention(nn.Module):
    """Pre-norm multi-head self-attention over the last axis but one, with its residual; (...,n,C) -> same."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.norm = nn.LayerNorm(width)
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x):
        def split(y):  # (...,n,C) -> (...,h,n,c)
            return y.unflatten(-1, (self.heads, y.shape[-1] // self.heads)).transpose(-2, -3)

        y = self.norm(x)
        q, k, v = split(self.query(y)), split(self.key(y)), split(self.value(y))
        weight = torch.softmax(torch.matmul(q, k.transpose(-1, -2)) * self.scale, -1)
        return x + self.out(torch.matmul(weight, v).transpose(-2, -3).flatten(-2))


def forward_part(width, drop):
    """The other half of a transformer's block: each token alone, without the residual."""
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.ReLU(), nn.Dropout(drop), nn.Linear(2 * width, width))


class Full(Reader):
    """Every tick asks every other: four blocks of attention over the 64 ticks, whose places are learnt."""

    def build(self, drop):
        self.place = nn.Parameter(0.02 * torch.randn(config.TICKS, WIDTH))
        self.attention = nn.ModuleList([Attention(WIDTH, 4) for _ in range(4)])
        self.alone = nn.ModuleList([forward_part(WIDTH, drop) for _ in range(4)])

    def body(self, x):
        x = x.transpose(1, 2) + self.place
        for attention, alone in zip(self.attention, self.alone, strict=True):
            x = attention(x)
            x = x + alone(x)
        return x.transpose(1, 2)


class Axial(Reader):
    """A token for each joint at each tick; attention over the joints of a tick, then over the ticks of a joint, twice.

    What belongs to no joint (place, size, movement, scene) is added to all tokens of its tick and kept beside them."""

    def build(self, drop):
        self.joint = nn.Linear(3, JOINT)
        self.rest = nn.Conv1d(CHANNELS - POSE, JOINT, 1)
        self.which = nn.Parameter(0.02 * torch.randn(J, JOINT))
        self.place = nn.Parameter(0.02 * torch.randn(config.TICKS, 1, JOINT))
        self.joints, self.ticks = (nn.ModuleList([Attention(JOINT, 2) for _ in range(2)]) for _ in range(2))
        self.alone = nn.ModuleList([forward_part(JOINT, drop) for _ in range(2)])
        self.leave = nn.Conv1d(JOINT, WIDTH, 1)

    def embed(self, x):
        pose, sure, rest = x[:, : 2 * J].unflatten(1, (J, 2)), x[:, 2 * J : POSE, None], x[:, POSE:]
        token = self.joint(torch.cat([pose, sure], 2).permute(0, 3, 1, 2))  # (R,T,J,C)
        return super().embed(x), token + self.rest(rest).transpose(1, 2)[:, :, None] + self.which + self.place

    def body(self, both):
        x, token = both
        for joints, ticks, alone in zip(self.joints, self.ticks, self.alone, strict=True):
            token = ticks(joints(token).transpose(1, 2)).transpose(1, 2)
            token = token + alone(token)
        return x + self.leave(token.mean(2).transpose(1, 2))


CANDIDATES = {"pooling": Pooling, "convolution": Convolution, "convolution, windows of 16": Head, "axial": Axial, "full attention": Full}
