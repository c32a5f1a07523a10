"""What was begun from one file does not go on as if from another."""

from pathlib import Path
from types import SimpleNamespace

import pytest

import choose
import head_train
import resume
from evaluate import record


def test_a_training_goes_on_only_from_its_own_start(tmp_path):
    start, other, state = (tmp_path / name for name in ("head.onnx", "newer.onnx", "told.pt"))
    start.write_bytes(b"one"), other.write_bytes(b"two")
    saved = {"origin": resume.origin(start)}
    resume.same_start(saved, start, state)
    for wrong in (other, None):
        with pytest.raises(SystemExit, match="told.pt holds a training that did not begin with"):
            resume.same_start(saved, wrong, state)


def test_a_file_is_there_whole_or_not_at_all(tmp_path):
    path = tmp_path / "people.npz"
    with pytest.raises(OSError, match="disk full"), resume.whole(path) as part:
        part.write(b"half")
        raise OSError("disk full")
    assert not list(tmp_path.iterdir())


def test_what_was_counted_stays_where_its_successor_cannot_be_written(tmp_path, monkeypatch):
    counted, bundle = tmp_path / "evaluation.json", SimpleNamespace(manifest={part: {"sha256": part} for part in ("encoder", "head")})
    record(counted, bundle, {"rendered falls": {"seen": 19}})
    before = counted.read_bytes()

    def full(*_):
        raise OSError("disk full")

    monkeypatch.setattr(resume.Path, "rename", full)
    with pytest.raises(OSError, match="disk full"):
        record(counted, bundle, {"rendered falls": {"seen": 20}})
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("evaluation.json", before)]


def test_two_processes_make_the_same_file(tmp_path, monkeypatch):
    path, process = tmp_path / "people.npz", iter((1, 2))
    monkeypatch.setattr(resume.os, "getpid", lambda: next(process))
    with resume.whole(path) as slow:
        slow.write(b"all ")
        with resume.whole(path) as quick:
            quick.write(b"all of it")
        assert path.read_bytes() == b"all of it"
        slow.write(b"of it")
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"all of it"]


def test_a_folder_holds_what_one_encoder_said(tmp_path):
    folder = tmp_path / "encoded"
    resume.said_by(folder, "a" * 64)
    (folder / "clip.npz").touch()
    resume.said_by(folder, "a" * 64)
    with pytest.raises(SystemExit, match="another encoder"):
        resume.said_by(folder, "b" * 64)


def test_words_of_an_unknown_encoder_are_not_taken(tmp_path):
    (tmp_path / "clip.npz").touch()
    with pytest.raises(SystemExit, match="another encoder"):
        resume.said_by(tmp_path, "a" * 64)


def test_asking_who_said_it_makes_nothing(tmp_path):
    resume.by_another(tmp_path / "encoded", "a" * 64)
    assert not list(tmp_path.iterdir())
    resume.said_by(tmp_path / "encoded", "a" * 64)
    resume.by_another(tmp_path / "encoded", "b" * 64)
    (tmp_path / "encoded/clip.npz").touch()
    resume.by_another(tmp_path / "encoded", "a" * 64)
    with pytest.raises(SystemExit, match="another encoder"):
        resume.by_another(tmp_path / "encoded", "b" * 64)
    assert (tmp_path / "encoded/encoder.sha256").read_text() == "a" * 64 + "\n"


@pytest.mark.parametrize("step", [choose, head_train])
def test_nothing_is_chosen_and_nothing_learnt_from_what_another_encoder_said(step, tmp_path, monkeypatch):
    resume.said_by(tmp_path / "encoded", "another")
    (tmp_path / "encoded/r_000001.npz").touch()
    words = {"bundle": Path(__file__).resolve().parents[2] / "bundle", "lab": tmp_path, "data": tmp_path, "renders": tmp_path, "motions": tmp_path}
    monkeypatch.setattr("sys.argv", ["step", *(word for name in (("bundle", "lab", "data", "renders") if step is choose else ("bundle", "lab", "motions"))
                                               for word in (f"--{name}", str(words[name])))])
    with pytest.raises(SystemExit, match="holds what another encoder said of clips"):
        step.main()
