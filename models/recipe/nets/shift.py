"""Causal temporal shift (Lin, Gan and Han 2019, "TSM"): a part of what each block looks at comes from the picture one tick earlier.

For trials: the earlier picture passes along. In a stream the shifted channels of each block would be carried state.
"""

import torch

from nets.mobilenet import MobileNetV3

SHARE = 8  # one channel in so many comes from the earlier picture, as in the paper's network for streams


class Shifted(MobileNetV3):
    """`forward`: (2B,3,H,W), B earlier pictures and then the B present ones -> what `MoveNet` says of the present ones. Blocks with a
    residual connection shift, inside alone: the connection carries the present. Earlier pictures see themselves as their own past."""

    def inside(self, index, x):
        expand, depth, project = self.blocks[index - 1]
        if expand.in_channels == project.out_channels and depth.stride[0] == 1:
            earlier, present = x.chunk(2)
            part = x.shape[1] // SHARE
            x = torch.cat([earlier, torch.cat([earlier[:, :part], present[:, part:]], 1)])
        return super().inside(index, x)

    def forward(self, x, names=None, streams=()):
        features, maps, *rest = super().forward(x, names, streams)
        half = len(x) // 2
        return (features[half:], {name: said[half:] for name, said in maps.items()}, *([kept[half:] for kept in part] for part in rest))

    def state(self, height, width):
        """How many numbers a stream would carry from tick to tick, for pictures of height × width."""
        count, stride = 0, 2
        for expand, depth, project in self.blocks:
            if expand.in_channels == project.out_channels and depth.stride[0] == 1:
                count += expand.in_channels // SHARE * (height // stride) * (width // stride)
            stride *= depth.stride[0]
        return count
