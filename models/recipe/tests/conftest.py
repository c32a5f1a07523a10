import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))


@pytest.fixture(scope="session")
def random_weights():
    """Gives a network seeded weights under which every layer says something."""
    def fill(net):
        torch.manual_seed(0)
        for module in net.modules():
            if isinstance(module, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(module.weight)
        return net.eval()

    return fill
