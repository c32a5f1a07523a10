"""Human bodies: shape, joints, skin weights and keypoints, made once with anny and kept in a small cache.

Frames of reference: metres, z up, the body looks along -y, its left is +x, its soles stand on z = 0. A pose is one
world rotation for each of the 19 parts (identity at rest) and the place of the pelvis; nothing else.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from resume import whole

PARTS = (
    "pelvis",
    "abdomen",
    "chest",
    "neck",
    "head",
    "clavL",
    "uarmL",
    "farmL",
    "handL",
    "clavR",
    "uarmR",
    "farmR",
    "handR",
    "thighL",
    "shinL",
    "footL",
    "thighR",
    "shinR",
    "footR",
)
PART = {name: i for i, name in enumerate(PARTS)}
PARENT = np.array([-1, 0, 1, 2, 3, 2, 5, 6, 7, 2, 9, 10, 11, 0, 13, 14, 0, 16, 17])
KEYPOINTS = (
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
)
KINDS = ("elderly", "adult", "child", "toddler")

_PIVOT = {"pelvis": "root", "abdomen": "spine04", "chest": "spine02", "neck": "neck01", "head": "head"}
for _s in "LR":
    _PIVOT |= {
        f"clav{_s}": f"clavicle.{_s}",
        f"uarm{_s}": f"upperarm01.{_s}",
        f"farm{_s}": f"lowerarm01.{_s}",
        f"hand{_s}": f"wrist.{_s}",
        f"thigh{_s}": f"upperleg01.{_s}",
        f"shin{_s}": f"lowerleg01.{_s}",
        f"foot{_s}": f"foot.{_s}",
    }
_PREFIX = (
    ("neck", "neck", 0),
    ("clavicle", "clav", 1),
    ("shoulder", "clav", 1),
    ("upperarm", "uarm", 1),
    ("lowerarm", "farm", 1),
    ("wrist", "hand", 1),
    ("finger", "hand", 1),
    ("metacarpal", "hand", 1),
    ("upperleg", "thigh", 1),
    ("lowerleg", "shin", 1),
    ("foot", "foot", 1),
    ("toe", "foot", 1),
    ("breast", "chest", 0),
    ("root", "pelvis", 0),
    ("pelvis", "pelvis", 0),
    ("spine05", "pelvis", 0),
    ("spine04", "abdomen", 0),
    ("spine03", "abdomen", 0),
    ("spine02", "chest", 0),
    ("spine01", "chest", 0),
)
_AGES = {"elderly": (0.9, 1.0), "adult": (0.6, 0.85), "child": (0.19, 0.33), "toddler": (0.11, 0.17)}
_POOL = ("elderly",) * 9 + ("adult",) * 9 + ("child",) * 6 + ("toddler",) * 4
_STRANGERS = ("elderly",) * 10 + ("adult",) * 10 + ("child",) * 12 + ("toddler",) * 8  # children climb, and the pool has few
_VERSION = 1


@dataclass(frozen=True)
class Body:
    """One person's shape. `verts` [N,3], `faces` [M,3], `weights` [N,19] (rows sum to 1), `joints` [19,3] at rest;
    `key_part` [17] and `key_rest` [17,3] place COCO's keypoints; `probe_part` [K], `probe_rest` [K,3] are points of
    the skin spread over all parts, enough to find what touches the floor."""

    kind: str
    fat: float
    height: float
    verts: np.ndarray
    faces: np.ndarray
    weights: np.ndarray
    joints: np.ndarray
    eye: np.ndarray
    tips: np.ndarray
    key_part: np.ndarray
    key_rest: np.ndarray
    probe_part: np.ndarray
    probe_rest: np.ndarray
    stranger: bool = False

    @property
    def scale(self) -> float:
        """Height as a fraction of 1.7 m: lengths of key poses are given for that height."""
        return self.height / 1.7

    def bone(self, a: str, b: str) -> float:
        return float(np.linalg.norm(self.joints[PART[b]] - self.joints[PART[a]]))

    def resized(self, factor: float) -> "Body":
        """The same person, uniformly larger or smaller."""
        grown = {n: getattr(self, n) * factor for n in ("verts", "joints", "eye", "tips", "key_rest", "probe_rest")}
        return replace(self, height=self.height * factor, **grown)


def joint_positions(body: Body, turn: np.ndarray, root: np.ndarray) -> np.ndarray:
    """World joints [T,19,3] of part rotations `turn` [T,19,3,3] and pelvis places `root` [T,3]."""
    place = np.zeros(turn.shape[:2] + (3,))
    place[:, 0] = root
    for i in range(1, len(PARTS)):
        p = PARENT[i]
        place[:, i] = place[:, p] + turn[:, p] @ (body.joints[i] - body.joints[p])
    return place


def carried(body: Body, turn: np.ndarray, place: np.ndarray, part: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """World points [T,K,3] of rest points `rest` [K,3] that ride rigidly on `part` [K]."""
    return place[:, part] + np.einsum("tkij,kj->tki", turn[:, part], rest - body.joints[part])


def keypoints(body: Body, turn: np.ndarray, root: np.ndarray) -> np.ndarray:
    """COCO-17 keypoints [T,17,3] in metres."""
    return carried(body, turn, joint_positions(body, turn, root), body.key_part, body.key_rest)


def probes(body: Body, turn: np.ndarray, root: np.ndarray) -> np.ndarray:
    """Skin probe points [T,K,3] in metres."""
    return carried(body, turn, joint_positions(body, turn, root), body.probe_part, body.probe_rest)


def _part_of(bone: str) -> int:
    side = bone[-1] if bone[-2:] in (".L", ".R") else ""
    for prefix, part, sided in _PREFIX:
        if bone.startswith(prefix):
            return PART[part + side if sided else part]
    return PART["head"]


def _spread(points: np.ndarray, count: int) -> np.ndarray:
    """Indices of up to `count` points, each as far as possible from those before."""
    chosen = [int(np.argmin(points[:, 2]))]
    gap = np.linalg.norm(points - points[chosen[0]], axis=1)
    while len(chosen) < min(count, len(points)):
        chosen.append(int(np.argmax(gap)))
        gap = np.minimum(gap, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return np.array(chosen)


class _Maker:
    """Loads anny once (tens of seconds) and makes bodies with one shared level of detail."""

    def __init__(self) -> None:
        import anny
        import torch

        torch.set_num_threads(1)
        self.torch, self.anny = torch, anny.Anny()
        self.labels = {n: i for i, n in enumerate(self.anny.bone_labels)}
        self.faces = np.asarray(self.anny.get_triangular_faces())
        part = np.array([_part_of(n) for n in self.anny.bone_labels])
        index = np.asarray(self.anny.vertex_bone_indices)
        weight = np.asarray(self.anny.vertex_bone_weights)
        self.weights = np.zeros((len(index), len(PARTS)))
        for k in range(index.shape[1]):
            np.add.at(self.weights, (np.arange(len(index)), part[index[:, k]]), weight[:, k])
        self.weights /= self.weights.sum(1, keepdims=True)
        self.keep = None

    def _level_of_detail(self, verts: np.ndarray) -> None:
        import fast_simplification
        from scipy.spatial import cKDTree

        out, tris = fast_simplification.simplify(verts.astype("f4"), self.faces, target_reduction=0.78, agg=3)
        self.keep, inverse = np.unique(cKDTree(verts).query(out)[1], return_inverse=True)
        tris = inverse.reshape(-1)[tris]
        real = (tris[:, 0] != tris[:, 1]) & (tris[:, 1] != tris[:, 2]) & (tris[:, 0] != tris[:, 2])
        self.tris = tris[real].astype("i4")

    def make(self, kind: str, rng: np.random.Generator) -> dict:
        fat = rng.uniform(0.2, 0.9)
        look = dict(
            age=rng.uniform(*_AGES[kind]),
            gender=rng.uniform(0, 1),
            weight=fat,
            muscle=rng.uniform(0.2, 0.6),
            height=rng.uniform(0.3, 0.65),
            proportions=rng.uniform(0.2, 0.8),
        )
        with self.torch.no_grad():
            out = self.anny(phenotype_kwargs=look)
        verts = out["rest_vertices"][0].numpy().astype("f8")
        heads = out["rest_bone_poses"][0, :, :3, 3].numpy().astype("f8")
        heads[:, 2] -= verts[:, 2].min()
        verts[:, 2] -= verts[:, 2].min()
        if self.keep is None:
            self._level_of_detail(verts)
        joints = np.stack([heads[self.labels[_PIVOT[p]]] for p in PARTS])
        eye = heads[self.labels["eye.L"]]
        key_part, key_rest = self._keypoints(verts, heads, joints)
        low = verts[self.keep]
        main = self.weights[self.keep].argmax(1)
        picks = np.concatenate([np.flatnonzero(main == p)[_spread(low[main == p], 8)] for p in range(len(PARTS))])
        tips = np.stack([heads[self.labels["finger3-1.L"]], heads[self.labels["finger3-1.R"]]])
        return dict(
            fat=fat,
            height=verts[:, 2].max(),
            verts=low,
            faces=self.tris,
            weights=self.weights[self.keep],
            joints=joints,
            eye=eye,
            tips=tips,
            key_part=key_part,
            key_rest=key_rest,
            probe_part=main[picks],
            probe_rest=low[picks],
        )

    def _keypoints(self, verts, heads, joints):
        eyes = [heads[self.labels[f"eye.{s}"]] + [0, -0.012, 0] for s in "LR"]
        skull = verts[self.weights[:, PART["head"]] > 0.6]
        z = eyes[0][2]
        middle = skull[(abs(skull[:, 0]) < 0.015) & (skull[:, 2] < z) & (skull[:, 2] > z - 0.07)]
        nose = middle[np.argmin(middle[:, 1])]
        side = skull[(skull[:, 2] < z + 0.02) & (skull[:, 2] > z - 0.06)]
        ears = [side[np.argmax(side[:, 0])], side[np.argmin(side[:, 0])]]
        names = [f"{p}{s}" for p in ("uarm", "farm", "hand", "thigh", "shin", "foot") for s in "LR"]
        part = np.array([PART["head"]] * 5 + [PART[n] for n in names])
        return part, np.stack([nose, *eyes, *ears, *(joints[PART[n]] for n in names)])


def pool(cache: Path) -> list[Body]:
    """The fixed set of people, built on the first call and read from `cache` afterwards."""
    return _made(Path(cache) / f"bodies-v{_VERSION}.npz", _POOL, seed=20)


def strangers(cache: Path) -> list[Body]:
    """People whom no encoder has been trained on, for a head that shall hear what is said of such people."""
    made = _made(Path(cache) / f"strangers-v{_VERSION}.npz", _STRANGERS, seed=21)
    return [replace(body, stranger=True) for body in made]


def _made(path: Path, kinds: tuple[str, ...], seed: int) -> list[Body]:
    if not path.exists():
        maker, rng = _Maker(), np.random.default_rng(seed)
        arrays = {}
        for i, kind in enumerate(kinds):
            arrays |= {f"{i}.{k}": v for k, v in maker.make(kind, rng).items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as part:
            np.savez_compressed(part, **arrays)
    data = np.load(path)
    people = []
    for i, kind in enumerate(kinds):
        fields = {k.split(".")[1]: data[k] for k in data.files if k.startswith(f"{i}.")}
        fields["fat"], fields["height"] = float(fields["fat"]), float(fields["height"])
        people.append(Body(kind=kind, **fields))
    return people
