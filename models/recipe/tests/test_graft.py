"""A cheaper graph of the network that ships says what ships."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from frames import letterbox, read
from graft import grafted, scales
from nets import encoder
from restore import restored

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = ROOT / "models/bundle/encoder.onnx"


@pytest.fixture(scope="module")
def pictures():
    return np.stack([letterbox(p) for _, p in read(ROOT / "tests/data/fall.mp4")][::16])


def says(path, pictures):
    return ort.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(["people", "scene"], {"frame": pictures[1:], "previous": pictures[:-1]})


def test_what_ships_says_the_same_when_it_is_grafted_on_itself(pictures, tmp_path):
    old, new = says(SHIPPED, pictures), says(grafted(SHIPPED, restored(SHIPPED), tmp_path / "encoder.onnx"), pictures)
    assert (old[0][..., -1] > 0.2).any(), "somebody is seen"
    assert all(np.allclose(a, b, atol=1e-5) for a, b in zip(old, new, strict=True))
    assert scales(tmp_path / "encoder.onnx") == scales(SHIPPED)


def test_what_is_new_around_the_network_is_new(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(encoder, "NOISE", 2.0)  # nothing moves by more than that
    old, new = says(SHIPPED, pictures), says(grafted(SHIPPED, restored(SHIPPED), tmp_path / "encoder.onnx"), pictures)
    half = old[1].shape[1] // 2
    assert old[1][:, :half].any() and not new[1][:, :half].any()
    assert np.allclose(old[0], new[0], atol=1e-5)


def test_a_network_of_other_convolutions_has_no_scales(tmp_path):
    model = onnx.load(SHIPPED)
    for node in model.graph.node:
        node.name = node.name.replace("pose.stem.weight", "pose.root.weight")
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(ValueError, match="no scales of .*stem"):
        grafted(tmp_path / "other.onnx", restored(SHIPPED), tmp_path / "encoder.onnx")
