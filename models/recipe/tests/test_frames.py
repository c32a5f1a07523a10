"""A clip is read to its end, or the reader hears that it was not."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

import frames
from frames import Cache, read

CLIP = Path(__file__).resolve().parents[3] / "tests/data/fall.mp4"


@pytest.fixture
def started(monkeypatch):
    """The ffmpeg processes that reading starts."""
    processes, start = [], subprocess.Popen

    def popen(command, **more):
        process = start(command, **more)
        if command[0] == "ffmpeg":
            processes.append(process)
        return process

    monkeypatch.setattr(frames.subprocess, "Popen", popen)
    return processes


def test_a_clip_comes_whole_and_at_its_own_times():
    times = [t for t, _ in read(CLIP)]
    assert len(times) > 30 and times[0] == 0 and (np.diff(times) > 0).all()


def test_an_ffmpeg_that_dies_leaves_no_short_clip_in_a_cache(started, tmp_path):
    clip = read(CLIP)
    next(clip)
    started[0].kill()
    with pytest.raises(RuntimeError, match=r"fall.mp4: ffmpeg gave \d+ of \d+ frames and ended with -9"):
        list(clip)

    def dies(path, side):
        clip = read(path, side)
        yield next(clip)
        started[-1].kill()
        yield from clip

    cache = Cache(tmp_path)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(frames, "read", dies)
        cache.add("fall", CLIP)
    assert not cache.names()
    cache.add("fall", CLIP)
    assert cache.names() == ["fall"]


def test_an_ffmpeg_that_ends_well_but_early_is_an_error_too(monkeypatch, tmp_path):
    listed = subprocess.run

    def lists_one_more(command, **more):
        found = listed(command, **more)
        found.stdout = found.stdout.replace('"frames": [', '"frames": [ {},', 1)
        return found

    monkeypatch.setattr(frames.subprocess, "run", lists_one_more)
    with pytest.raises(RuntimeError, match="and ended with 0"):
        list(read(CLIP))


def test_who_needs_no_more_frames_hears_of_none(started):
    clip = read(CLIP)
    next(clip)
    clip.close()
    assert started[0].returncode is not None, "and leaves no process behind"
