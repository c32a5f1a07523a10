"""The filmed clips through other cameras: the picture changes, the time does not, and twice the same comes out."""

import numpy as np
import pytest

from other_cameras import CAMERAS

RNG = np.random.default_rng(3)
CLIP = [(i / 30, RNG.integers(0, 255, (48, 64, 3), dtype=np.uint8)) for i in range(30)]


@pytest.mark.parametrize("camera", [c for c in CAMERAS if not c.endswith("fps")])
def test_a_changed_picture_comes_at_its_old_time_and_is_the_same_again(camera):
    once, again = (list(CAMERAS[camera](iter(CLIP))) for _ in range(2))
    assert [t for t, _ in once] == [t for t, _ in CLIP]
    for (_, a), (_, b), (_, old) in zip(once, again, CLIP, strict=True):
        assert a.dtype == np.uint8 and a.ndim == 3 and a.flags["C_CONTIGUOUS"]
        assert np.array_equal(a, b)
        assert camera == "as filmed" or a.shape != old.shape or not np.array_equal(a, old)


@pytest.mark.parametrize("rate, count", [(10, 10), (7.5, 8)])
def test_a_slower_camera_leaves_frames_out_and_changes_none(rate, count):
    kept = list(CAMERAS[f"{rate} fps"](iter(CLIP)))
    assert len(kept) == count
    assert all(any(t == u and p is q for u, q in CLIP) for t, p in kept)
