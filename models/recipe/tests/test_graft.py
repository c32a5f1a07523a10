"""A new decoding around the network that ships leaves the network as it is."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import export
from frames import letterbox, read
from graft import grafted
from nets import encoder
from restore import restored

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = ROOT / "models/bundle/encoder.onnx"


@pytest.fixture(scope="module")
def pictures():
    return np.stack([letterbox(p) for _, p in read(ROOT / "tests/data/fall.mp4")][::16])


def says(model, pictures):
    session = ort.InferenceSession(model if isinstance(model, str) else model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["people", "scene"], {"frame": pictures[1:], "previous": pictures[:-1]})


def plain(folder):
    return onnx.load(export.encoder(restored(SHIPPED), folder / "plain.onnx"))


def test_what_ships_says_the_same_with_its_own_decoding_grafted_on(pictures, tmp_path):
    old, new = says(str(SHIPPED), pictures), says(grafted(onnx.load(SHIPPED), plain(tmp_path)), pictures)
    assert (old[0][..., -1] > 0.2).any(), "somebody is seen"
    assert all(np.allclose(a, b, atol=1e-5) for a, b in zip(old, new, strict=True))


def test_what_is_around_the_network_is_the_new_one(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(encoder, "NOISE", 2.0)  # nothing moves by more than that
    old, new = says(str(SHIPPED), pictures), says(grafted(onnx.load(SHIPPED), plain(tmp_path)), pictures)
    half = old[1].shape[1] // 2
    assert old[1][:, :half].any() and not new[1][:, :half].any()
    assert np.allclose(old[0], new[0], atol=1e-5)
