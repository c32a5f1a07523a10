"""Whether a person has left the floor for something, as the encoder's own features show it: a climb in joints alone looks like
standing, sitting or kneeling, and what is under the feet is in the picture.

Two maps of the backbone are looked at, 3x3 cells around a person's feet, the hips and the lower edge of the box.
"""

import torch
from torch import nn
from torch.nn import functional as F

import config
from nets.movenet import Same, around

STREAMS = (12, 16)      # blocks of the backbone that are read, 1-based: strides 16 and 32
CHANNELS = (144, 320)   # of them, in `prune.SLIM` and what grew from it
SPOTS = 3
MOST = 6.0              # logits end there: the head takes means of them

HIPS, ANKLES, BOX = 11, 15, 3 * config.JOINTS  # COCO's left ones, and where the box begins in a row


def spots(people):
    """(B,P,F) -> (B,SPOTS,P,2): y, x of the middle between the ankles, of that between the hips, of the box's lower edge."""
    joints, box = people[..., : 3 * config.JOINTS].unflatten(-1, (config.JOINTS, 3))[..., :2], people[..., BOX : BOX + 4]
    below = torch.stack([box[..., 2], (box[..., 1] + box[..., 3]) / 2], -1)
    return torch.stack([joints[..., ANKLES : ANKLES + 2, :].mean(-2), joints[..., HIPS : HIPS + 2, :].mean(-2), below], 1)


def cells(at, h, w):
    """Places (...,2) of 0..1 -> row and column of the cell of a map (h,w) that they lie in; the nearest if they lie outside."""
    return (at[..., 0] * h).floor().clamp(0, h - 1).long(), (at[..., 1] * w).floor().clamp(0, w - 1).long()


class Aloft(nn.Module):
    """`forward`: maps (B,C,h,w) of the blocks STREAMS, people (B,P,F) -> (B,P,1), logits that the person is up on something."""

    def __init__(self, channels=CHANNELS, widths=(16, 8), hidden=24, drop=0.4):
        super().__init__()
        self.enter = nn.ModuleList([Same(c, width, 1) for c, width in zip(channels, widths, strict=True)])
        self.look = nn.ModuleList([nn.Conv2d(SPOTS * width, hidden, 3, stride=3) for width in widths])
        self.out = Same(hidden, 1, 1)
        self.drop = nn.Dropout(drop)

    def forward(self, streams, people):
        places, near = spots(people), []
        for enter, stream in zip(self.enter, streams, strict=True):
            rows, cols = cells(places.flatten(1, 2), *stream.shape[2:])
            near.append(around(F.relu(enter(stream)), rows, cols))
        return self.said(near).clamp(-MOST, MOST).transpose(1, 2)

    def patches(self, patches, inside):
        """As `forward`, (n,), of what stands around one person's spots: for each stream (n,C,3,3*SPOTS), and `inside` (n,1,3,3*SPOTS),
        0 beyond the map's edge."""
        return self.said([F.relu(enter(patch)) * there for enter, patch, there in zip(self.enter, patches, inside, strict=True)])[:, 0, 0]

    def said(self, near):
        """Neighbourhoods (B,w,3,3*SPOTS*P) of each stream, spot by spot -> logits (B,1,P)."""
        x = 0
        for look, seen in zip(self.look, near, strict=True):
            seen = self.drop(seen).unflatten(3, (SPOTS, -1)).transpose(2, 3)
            x = x + look(seen.flatten(1, 2))
        return self.out(self.drop(F.relu(x)))[:, :, 0]
