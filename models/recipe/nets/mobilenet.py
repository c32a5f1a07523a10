"""MobileNetV3's blocks on the slim MoveNet's road: squeeze-and-excitation, and hard-swish where maps are small.

Howard et al. 2019, "Searching for MobileNetV3": an inverted residual whose expanded channels are weighted by a gate that looks at
the whole map, and hard-swish, x * relu6(x + 3) / 6, in place of ReLU in the deeper half, where it costs little. Kernels are 3x3 and
the widths those of the pruned MoveNet, not the published ones; `grow.py` makes the first weights from it.

The sixth, here and in the gate's hard sigmoid, is left to the next convolution's weights: what remains is an addition that saturates
and a multiplication, both of which the runtime does in integers.
"""

from torch import nn
from torch.nn import functional as F

from nets.movenet import MoveNet, Same


def hard_swish(x):
    """Six times the hard-swish."""
    return x * F.relu6(x + 3)


class Squeeze(nn.Module):
    """Squeeze-and-excitation: (B,C,h,w) -> same, each channel times a gate in 0..6, a hard sigmoid times six."""

    def __init__(self, channels, reduced):
        super().__init__()
        self.reduce, self.expand = Same(channels, reduced, 1), Same(reduced, channels, 1)

    def forward(self, x):
        return x * F.relu6(self.expand(F.relu(self.reduce(F.adaptive_avg_pool2d(x, 1)))) + 3)


class MobileNetV3(MoveNet):
    """As `MoveNet`; `widths` say besides: `hard`, the first block with hard-swish (1-based), and `squeeze`, the reduced channels
    of the blocks that have squeeze-and-excitation."""

    def __init__(self, widths):
        super().__init__(widths)
        self.squeeze = nn.ModuleDict({str(index): Squeeze(widths["blocks"][index - 1][0], reduced)
                                      for index, reduced in widths["squeeze"].items()})

    def activation(self, index):
        return hard_swish if index >= self.widths["hard"] else F.relu6

    def inside(self, index, x):
        y = super().inside(index, x)
        return self.squeeze[str(index)](y) if str(index) in self.squeeze else y


def made(widths):
    """The network of these widths."""
    return MobileNetV3(widths) if "hard" in widths else MoveNet(widths)
