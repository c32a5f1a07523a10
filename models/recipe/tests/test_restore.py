"""What comes back of a shipped encoder says what it says."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from frames import letterbox, read
from grow import V3
from nets.encoder import Encoder
from nets.movenet import FULL
from quantise import agreement
from restore import restored
from stream import Bundle

ROOT = Path(__file__).resolve().parents[3]


def test_the_restored_network_sees_the_people_that_the_shipped_one_sees():
    bundle = Bundle(ROOT / "models/bundle")
    pictures = np.stack([letterbox(p) for _, p in read(ROOT / "tests/data/fall.mp4")][::8])
    shipped = bundle.encode(pictures, pictures)
    with torch.no_grad():
        back = [x.numpy() for x in Encoder(restored(ROOT / "models/bundle/encoder.onnx")).eval()(*[torch.from_numpy(pictures)] * 2)]
    found, apart, count = agreement(shipped[0], back[0], json.loads((ROOT / "models/bundle/manifest.json").read_text())["tracker"]["start_score"])
    assert count > 5 and found > 0.9 and apart < 0.04, (found, apart, count)
    level = 1 / 255  # the shipped one reads the picture in eight bits of its own, off by less than a level of grey
    assert np.abs(shipped[1] - back[1]).max() < level, "the motion grid is in float in both"


def test_another_network_is_refused():
    with pytest.raises(ValueError, match="not those of the widths"):
        restored(ROOT / "models/bundle/encoder.onnx", FULL)
    assert V3 != FULL
