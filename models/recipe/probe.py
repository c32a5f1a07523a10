"""The probe: a stream made by formula on both sides, so that a wrong file or runtime is found before the first frame."""

import numpy as np

import config
from stream import Rings


def frame(t):
    """Frame `t` of the probe, u8 (H,W,3)."""
    y, x, c = np.ogrid[: config.HEIGHT, : config.WIDTH, :3]
    value = x * (3 + c) + y * (5 - c) + t * 7 + ((x // 16 + y // 16 + t) % 2) * 64
    return (value % 256).astype(np.uint8)


def logits(manifest, encode, head, ticks=config.TICKS):
    """The logits that `manifest.probe.logits` must hold: of the scene's row, else of the first followed person, else of zeros."""
    rings, before = Rings(manifest), None
    for t in range(ticks):
        now = frame(t)[None]
        people, scene = encode(now, now if before is None else before)
        rings.tick(people[0], scene[0])
        before = now
    asked = rings.inputs()
    if asked is not None:
        return head(*(x[:1] for x in asked[1:]))[0]
    scene = np.stack(rings.scene)[None]
    zeros = np.zeros((1, config.TICKS, config.FEATURES), np.float32)
    mask = np.zeros((1, config.TICKS, 2), np.float32)
    mask[..., 0] = 1
    return head(zeros, scene, mask)[0]
