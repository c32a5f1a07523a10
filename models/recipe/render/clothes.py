"""Clothes and colours. Everybody is visibly dressed, in colour and in infrared: garments differ from the skin in hue
and in brightness by at least `MIN_COLOUR` and `MIN_LUMA`, and trunk and thighs are always covered."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse

from .body import PART, PARTS, Body

LUMA = np.array([0.45, 0.35, 0.2])
MIN_LUMA, MIN_COLOUR = 0.17, 0.24
_SKINS = np.array([[0.62, 0.42, 0.33], [0.5, 0.32, 0.22], [0.36, 0.22, 0.15], [0.22, 0.13, 0.09], [0.7, 0.5, 0.42]])
_SKIN_CHROMA = np.array([0.45, 0.31, 0.24])
_HAIRS = np.array([[0.05, 0.04, 0.03], [0.2, 0.12, 0.07], [0.4, 0.28, 0.14], [0.09, 0.06, 0.05]])
_GREY = np.array([0.55, 0.55, 0.55])


@dataclass
class Outfit:
    """A dressed body, ready to be skinned and drawn: `verts`, `normals`, `colours` (linear, 0 to 1) all [N,3],
    `material` [N], `weights` [N,19], `faces` [M,3]. The body's own vertices come first."""

    verts: np.ndarray
    normals: np.ndarray
    colours: np.ndarray
    material: np.ndarray
    weights: np.ndarray
    faces: np.ndarray


def apart(a: np.ndarray, b: np.ndarray) -> bool:
    """True if two linear colours differ visibly in colour and, by brightness as the eye takes it, in infrared."""
    return abs(brightness(a) - brightness(b)) >= MIN_LUMA and np.linalg.norm(a - b) >= MIN_COLOUR


def skin_like(colour: np.ndarray) -> bool:
    """True if somebody's skin might have this colour; no cloth does."""
    chroma = colour / (colour.sum() + 1e-9)
    return bool(brightness(colour) > 0.28 and np.linalg.norm(chroma - _SKIN_CHROMA) < 0.12)


def brightness(colour: np.ndarray) -> float:
    """How bright a linear colour looks to an infrared camera, 0 to 1 after gamma."""
    return float(max(colour @ LUMA, 0) ** (1 / 2.2))


def palette(rng: np.random.Generator, old: bool) -> dict[str, np.ndarray]:
    """Skin, hair, top, bottom and shoe colours of one look."""
    skin = np.clip(_SKINS[int(rng.integers(len(_SKINS)))] * rng.uniform(0.85, 1.1), 0, 1)
    garments = []
    for k in range(2):
        for _ in range(300):
            colour = np.clip(rng.beta(1.1, 1.7, 3) * rng.uniform(0.4, 1.05) + rng.uniform(0, 0.18), 0.02, 0.88)
            if apart(colour, skin) and not skin_like(colour) and (k == 0 or abs((colour - garments[0]) @ LUMA) > 0.06):
                break
        else:
            colour = np.array([0.05, 0.06, 0.1]) if skin @ LUMA > 0.3 else np.array([0.72, 0.72, 0.76])
        garments.append(colour)
    if rng.random() < 0.12:
        garments[1] = garments[0]
    hair = _GREY * rng.uniform(0.7, 1.3) if old and rng.random() < 0.8 else _HAIRS[int(rng.integers(len(_HAIRS)))]
    shoe = next(
        (
            c
            for c in (np.clip(rng.uniform(0.02, 0.6) + rng.uniform(-0.02, 0.1, 3), 0.02, 0.8) for _ in range(60))
            if abs((c - garments[1]) @ LUMA) > 0.08 and apart(c, skin)
        ),
        np.full(3, 0.03),
    )
    return dict(skin=skin, hair=hair, top=garments[0], bottom=garments[1], shoe=shoe)


def garment_of(body: Body, long_sleeves: bool, long_legs: bool) -> np.ndarray:
    """What covers each vertex [N]: 0 skin, 1 top, 2 bottom, 3 shoe, 4 hair."""
    main = body.weights.argmax(1)
    names = np.array(PARTS)[main]
    z, hip = body.verts[:, 2], body.joints[0][2]
    cover = np.zeros(len(z), int)
    for part in ("chest", "abdomen", "clavL", "clavR"):
        cover[names == part] = 1
    cover[names == "pelvis"] = np.where(z[names == "pelvis"] > hip, 1, 2)
    for side in "LR":
        upper = names == "uarm" + side
        reach = np.linalg.norm(body.verts - body.joints[PART["uarm" + side]], axis=1)
        cover[upper & (long_sleeves | (reach < 0.62 * body.bone("uarm" + side, "farm" + side)))] = 1
        if long_sleeves:
            cover[names == "farm" + side] = 1
        cover[names == "thigh" + side] = 2
        if long_legs:
            cover[names == "shin" + side] = 2
        cover[names == "foot" + side] = 3
    s = body.scale
    behind = (body.verts[:, 1] > body.eye[1] + 0.055 * s) & (z > body.eye[2] - 0.05 * s)
    cover[(names == "head") & (behind | (z > body.eye[2] + 0.055 * s))] = 4
    return cover


def _face(body: Body, look: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Colours with eyes, brows and a mouth painted in."""
    look, s = look.copy(), body.scale
    nose, eyes = body.key_rest[0], body.key_rest[1:3]
    head = (body.weights.argmax(1) == PART["head"]) & (body.verts[:, 1] < eyes[0][1] + 0.03 * s)
    for eye in eyes:
        gap = np.linalg.norm((body.verts - eye) * [1, 0.3, 1], axis=1)
        look[head & (gap < 0.013 * s)] *= 0.25
        brow = np.linalg.norm((body.verts - eye - [0, 0, 0.021 * s]) * [0.5, 0.2, 1.4], axis=1)
        look[head & (brow < 0.011 * s)] *= rng.uniform(0.35, 0.8)
    mouth = np.linalg.norm((body.verts - nose - [0, 0, -0.04 * s]) * [0.5, 0.2, 1.3], axis=1)
    look[head & (mouth < 0.012 * s)] *= [0.75, 0.4, 0.4]
    return look


def _normals(verts: np.ndarray, faces: np.ndarray) -> np.ndarray:
    flat = np.cross(verts[faces[:, 1]] - verts[faces[:, 0]], verts[faces[:, 2]] - verts[faces[:, 0]])
    out = np.zeros_like(verts)
    for k in range(3):
        np.add.at(out, faces[:, k], flat)
    return out / (np.linalg.norm(out, axis=1, keepdims=True) + 1e-12)


def _average(faces: np.ndarray, count: int) -> sparse.csr_matrix:
    """Matrix that gives each vertex the mean of its neighbours."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    link = sparse.coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), (count, count)).tocsr()
    link = ((link + link.T) > 0).astype(float)
    return sparse.diags(1 / np.maximum(np.asarray(link.sum(1)).ravel(), 1)) @ link


def dress(body: Body, rng: np.random.Generator, infrared: bool = False) -> Outfit:
    """A look for a body. Cloth is smoothed and stands off the skin, so that folds of the body do not show through;
    shoes hide the toes; hems and waists are seams. Some wear a skirt, gown or robe, which is a mesh of its own. In
    infrared pale plain cloth could be taken for skin, so pale garments are striped or checked there."""
    colours = palette(rng, body.kind == "elderly")
    cover = garment_of(body, rng.random() < 0.62, rng.random() < 0.78)
    patterns = np.array([0, rng.choice([11, 11, 6, 7, 3]), rng.choice([11, 3, 11, 6, 7]), 0, 3], float)
    if infrared:
        for k, name in ((1, "top"), (2, "bottom")):
            if brightness(colours[name]) > 0.45:
                patterns[k] = rng.choice([6, 7])
    shades = np.stack([colours["skin"], colours["top"], colours["bottom"], colours["shoe"], colours["hair"]])
    look, material = shades[cover], patterns[cover]
    if rng.random() < 0.12 and body.kind in ("elderly", "adult"):
        look[cover == 4] = colours["skin"] * 0.95
    look = _face(body, look, rng)
    if rng.random() < 0.35:
        nape = (body.weights.argmax(1) == PART["neck"]) & (body.verts[:, 1] > body.joints[PART["neck"]][1])
        look[nape], cover = colours["hair"], np.where(nape, 4, cover)
    mean = _average(body.faces, len(body.verts))
    seam = (mean @ (cover[:, None] == np.arange(5)).astype(float)).max(1) < 0.999
    look = np.where((seam & np.isin(cover, (1, 2)))[:, None], look * rng.uniform(0.45, 0.85), look)
    cloth, shoe = np.isin(cover, (1, 2)), cover == 3
    off = np.array([0, 0.03, 0.034, 0.014, rng.uniform(0.008, 0.032)])[cover]
    smooth = body.verts.copy()
    for k in range(12):
        moving = shoe | (cloth & (k < 8))
        smooth = np.where(moving[:, None], mean @ smooth, body.verts if k < 8 else smooth)
        off = mean @ off * 0.8 + off * 0.2 if k < 5 else off
    loose = np.where(cloth, rng.uniform(0.7, 1.9), 1.0)
    verts = smooth + _normals(smooth, body.faces) * (off * body.scale * loose)[:, None]
    verts[shoe, 2] = np.maximum(verts[shoe, 2], 0.002)
    faces, weights = body.faces, body.weights
    if rng.random() < (0.34 if body.kind == "elderly" else 0.2):
        shell, tris, carry = _skirt(body, rng.uniform(0.45, 1.0), rng.uniform(0.02, 0.09) * body.scale)
        faces = np.concatenate([faces, tris + len(verts)])
        verts, weights = np.concatenate([verts, shell]), np.concatenate([weights, carry])
        whole = rng.random() < 0.5
        tint = np.tile(colours["top" if whole else "bottom"], (len(shell), 1))
        tint[-24:] *= rng.uniform(0.5, 1.0)
        look = np.concatenate([look, tint])
        material = np.concatenate([material, np.full(len(shell), patterns[1 if whole else 2])])
    normals = _normals(verts, faces)
    inside = faces[len(body.faces) :, ::-1]
    return Outfit(
        verts.astype("f4"),
        normals.astype("f4"),
        look.astype("f4"),
        material.astype("f4"),
        weights.astype("f4"),
        np.concatenate([faces, inside]),
    )


def _skirt(body: Body, reach: float, flare: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A tube of cloth from the waist down to `reach` of the way to the ankle: vertices [K,3], faces, weights [K,19]."""
    rings, around = 8, 24
    main = body.weights.argmax(1)
    legs = body.verts[np.isin(main, [PART[p] for p in ("pelvis", "thighL", "thighR", "shinL", "shinR")])]
    top = body.joints[0][2] + 0.06 * body.scale
    bottom = top - (top - body.joints[PART["footL"]][2] - 0.06 * body.scale) * reach
    knee, hip = body.joints[PART["shinL"]][2], body.joints[PART["thighL"]][2]
    middle_y = body.joints[0][1]
    angle = np.arange(around) / around * 2 * np.pi
    verts, weights = np.zeros((rings, around, 3)), np.zeros((rings, around, len(PARTS)))
    wide = deep = 0.0
    for r in range(rings):
        z = top + (bottom - top) * r / (rings - 1)
        near = legs[abs(legs[:, 2] - z) < 0.05 * body.scale]
        if len(near) > 8:
            wide = max(wide * 0.98, abs(near[:, 0]).max())
            deep = max(deep * 0.98, abs(near[:, 1] - middle_y).max())
        out = 0.018 * body.scale + flare * r / (rings - 1)
        verts[r] = np.stack(
            [(wide + out) * np.sin(angle), middle_y - (deep + out) * np.cos(angle), np.full(around, z)], 1
        )
        side = 0.5 + 0.5 * np.clip(np.sin(angle) * 1.6, -1, 1)
        leg = np.clip((hip + 0.03 - z) / (0.12 * body.scale), 0, 1)
        shin = np.clip((knee + 0.04 - z) / (0.1 * body.scale), 0, 1)
        weights[r, :, PART["pelvis"]] = 1 - leg
        for name, share in (("L", side), ("R", 1 - side)):
            weights[r, :, PART["thigh" + name]] = leg * (1 - shin) * share
            weights[r, :, PART["shin" + name]] = leg * shin * share
    at = lambda r, k: r * around + k % around
    tris = []
    for r in range(rings - 1):
        for k in range(around):
            a, b, c, d = at(r, k), at(r, k + 1), at(r + 1, k + 1), at(r + 1, k)
            tris += [(a, d, c), (a, c, b)]
    return verts.reshape(-1, 3), np.array(tris, "i4"), weights.reshape(-1, len(PARTS))
