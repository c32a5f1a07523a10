"""What lies between two heads says what either says at its end of the way."""

import sys

import pytest
import torch

import average
import config
import export
from nets.head import Head, Mirrored, exported, folded, restore


@pytest.fixture(scope="module")
def ends(tmp_path_factory):
    """Two heads as bundles ship them: the networks, and their files."""
    folder, heads, files = tmp_path_factory.mktemp("heads"), [], []
    for seed in range(2):
        torch.manual_seed(seed)
        heads.append(folded(Head()))
        files.append(folder / f"{seed}.onnx")
        export.head(Mirrored(heads[-1]), files[-1])
    return heads, files


def said(head):
    torch.manual_seed(9)
    with torch.no_grad():
        return head.eval()(torch.rand(2, config.TICKS, config.FEATURES), torch.rand(2, config.TICKS, config.SCENE), torch.ones(2, config.TICKS, 2))


@pytest.mark.parametrize("share", (0, 1))
def test_at_the_ends_of_the_way_stand_the_two_heads(ends, share):
    heads, files = ends
    assert not torch.allclose(said(heads[0]), said(heads[1]), atol=1e-2)
    assert torch.allclose(said(restore(average.average(*files, share))), said(heads[share]), atol=1e-4)


def test_a_quarter_of_the_way_is_a_quarter_of_every_weight(ends):
    heads, files = ends
    quarter, (start, end) = average.average(*files, 0.25), (head.state_dict() for head in heads)
    told = [name for name in start if not name.startswith("tick.")]  # no file keeps it
    assert told
    for name in told:
        assert torch.allclose(quarter[name], 0.75 * start[name] + 0.25 * end[name], atol=1e-6), name


def test_what_is_written_is_what_a_bundle_is_made_of(ends, monkeypatch, tmp_path):
    _, files = ends
    monkeypatch.setattr(sys, "argv", ["average", "--from", str(files[0]), "--to", str(files[1]), "--share", "0.75", "--out", str(tmp_path / "average.pt")])
    average.main()
    export.head(Mirrored(restore(torch.load(tmp_path / "average.pt", weights_only=True)["ship"])), tmp_path / "head.onnx")
    between = average.average(*files, 0.75)
    assert torch.allclose(said(exported(tmp_path / "head.onnx")), said(restore(between)), atol=1e-4)


@pytest.mark.parametrize("share", ("-0.1", "1.5"))
def test_beyond_the_ends_lies_nothing(ends, share, monkeypatch, tmp_path):
    _, files = ends
    monkeypatch.setattr(sys, "argv", ["average", "--from", str(files[0]), "--to", str(files[1]), f"--share={share}", "--out", str(tmp_path / "average.pt")])
    with pytest.raises(SystemExit, match="from 0 to 1 of the way"):
        average.main()
    assert not any(tmp_path.iterdir())
