"""What comes back of a shipped encoder says what it says."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from frames import letterbox, read
from grow import V3
from nets.encoder import Encoder
from nets.movenet import FULL
from quantise import agreement
from restore import restored
from stream import Bundle

ROOT = Path(__file__).resolve().parents[3]


def as_read(path, pictures):
    """Pictures u8 as the integer encoder at `path` reads them, float: in steps of its own, which 0.10.0's calibration made."""
    graph = onnx.load(path).graph
    constant = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    casts = {out for node in graph.node if node.op_type == "Cast" for out in node.output}
    steps = {float(constant[n.input[1]]) for n in graph.node if n.op_type == "QuantizeLinear" and n.input[0] in casts}
    assert len(steps) == 1, "of the picture alone"
    step = np.float32(steps.pop())
    return np.clip(np.round(pictures / step), 0, 255).astype(np.float32) * step


def test_the_restored_network_sees_the_people_that_the_shipped_one_sees():
    bundle = Bundle(ROOT / "models/bundle")
    pictures = np.stack([letterbox(p) for _, p in read(ROOT / "tests/data/fall.mp4")][::8])
    shipped = bundle.encode(pictures, pictures)
    with torch.no_grad():
        seen = torch.from_numpy(as_read(ROOT / "models/bundle/encoder.onnx", pictures))
        back = [x.numpy() for x in Encoder(restored(ROOT / "models/bundle/encoder.onnx")).eval()(seen, torch.from_numpy(pictures))]
    found, apart, count = agreement(shipped[0], back[0], json.loads((ROOT / "models/bundle/manifest.json").read_text())["tracker"]["start_score"])
    assert count > 5 and found > 0.9 and apart < 0.04, (found, apart, count)
    assert np.abs(shipped[1] - back[1]).max() < 1e-4, "the motion grid is in float in both"


def test_another_network_is_refused():
    with pytest.raises(ValueError, match="not those of the widths"):
        restored(ROOT / "models/bundle/encoder.onnx", FULL)
    assert V3 != FULL
