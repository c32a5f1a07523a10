"""The truth that goes with each frame: keypoints with visibility, boxes, share seen, labels."""

import numpy as np

from .body import keypoints, probes
from .camera import Camera, project, unbend
from .stage import LABELS, Actor

# how far the skin lies in front of a keypoint inside the body, as a share of body height: bare, and under own cloth
_SKIN = np.array(
    [0.04] + [0.05] * 2 + [0.06] * 2 + [0.08] * 2 + [0.06] * 2 + [0.05] * 2 + [0.11] * 2 + [0.075] * 2 + [0.065] * 2
)
_CLOTH = np.array(
    [0.04] + [0.05] * 2 + [0.06] * 2 + [0.10] * 2 + [0.07] * 2 + [0.06] * 2 + [0.17] * 2 + [0.13] * 2 + [0.09] * 2
)
_SEVERITY = {"normal": 0, "climb": 1, "fallen": 2, "fall": 3}


def runs(labels: np.ndarray) -> list[list]:
    """Run-length form [[label, first, last exclusive], …] of labels u8 [T]."""
    cut = np.flatnonzero(np.diff(labels)) + 1
    edges = [0, *cut.tolist(), len(labels)]
    return [[LABELS[labels[a]], a, b] for a, b in zip(edges, edges[1:]) if b > a]


def worst(all_labels: list[np.ndarray], frames: int) -> np.ndarray:
    """The label of a frame: the gravest of its people."""
    rank = np.array([_SEVERITY[name] for name in LABELS])
    out = np.zeros(frames, np.uint8)
    for labels in all_labels:
        out = np.where(rank[labels] > rank[out], labels, out)
    return out


class Lens:
    """Takes half-size pictures from before the lens to after it."""

    def __init__(self, camera: Camera):
        w, h = camera.width // 2, camera.height // 2
        x, y = np.meshgrid((np.arange(w) + 0.5) / w - 0.5, (np.arange(h) + 0.5) / h - 0.5)
        source = unbend(np.stack([x, y], -1), camera.k1) + 0.5
        self.rows = np.clip((source[..., 1] * h).astype(int), 0, h - 1)
        self.cols = np.clip((source[..., 0] * w).astype(int), 0, w - 1)

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        return picture[self.rows, self.cols]


class Witness:
    """Collects one person's truth frame by frame."""

    def __init__(self, actor: Actor, camera: Camera, indices: np.ndarray):
        self.camera, self.actor = camera, actor
        turn, root = actor.turn[indices], actor.root[indices]
        self.xy, self.depth = project(camera, keypoints(actor.body, turn, root))
        skin_xy, skin_depth = project(camera, probes(actor.body, turn, root))
        size = np.array([camera.width, camera.height])
        with np.errstate(invalid="ignore"):
            self.skin_inside = (((skin_xy > 0) & (skin_xy < size)).all(-1) & (skin_depth > 0.05)).mean(1)
        self.full = [None if np.isnan(p).all() else [*np.nanmin(p, 0), *np.nanmax(p, 0)] for p in skin_xy]
        self.keypoints, self.boxes, self.seen = [], [], []

    def see(self, k: int, mask: np.ndarray, depth: np.ndarray, alone: int) -> None:
        """Adds frame k. `mask` is the person's visible silhouette and `depth` the scene's depth, both at half size and
        after the lens; `alone` is the silhouette in pixels if nothing stood before it."""
        camera = self.camera
        xy, own = self.xy[k], self.depth[k]
        inside = (xy[:, 0] > 0) & (xy[:, 0] < camera.width) & (xy[:, 1] > 0) & (xy[:, 1] < camera.height) & (own > 0.05)
        col = np.clip(np.nan_to_num(xy[:, 0]) / 2, 0, depth.shape[1] - 1).astype(int)
        row = np.clip(np.nan_to_num(xy[:, 1]) / 2, 0, depth.shape[0] - 1).astype(int)
        slack = np.where(mask[row, col], _CLOTH, _SKIN) * self.actor.body.height
        free = depth[row, col] > own - slack
        flags = np.where(inside & free, 2, 1)
        safe = np.clip(np.nan_to_num(xy, nan=-9999.0), -9999, 9999)
        self.keypoints.append([round(float(v), 1) for p, f in zip(safe, flags) for v in (p[0], p[1], f)])
        rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        area = int(mask.sum())
        self.boxes.append(
            None if area < 3 else [int(cols[0]) * 2, int(rows[0]) * 2, int(cols[-1]) * 2 + 2, int(rows[-1]) * 2 + 2]
        )
        self.seen.append(round(float(self.skin_inside[k] * min(1.0, area / max(alone, 1))), 3) if alone else 0.0)

    def as_json(self, index: int, labels: np.ndarray) -> dict:
        a = self.actor
        number = lambda x: None if x is None else round(float(x), 3)
        return dict(
            person=index,
            kind=a.body.kind,
            height=round(a.body.height, 3),
            fall_start=number(a.fall_start),
            contact=number(a.contact),
            labels=runs(labels),
            keypoints=self.keypoints,
            box=self.boxes,
            full=[None if b is None else [round(float(np.clip(v, -9999, 9999)), 1) for v in b] for b in self.full],
            seen=self.seen,
        )
