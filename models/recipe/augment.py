"""Pictures to learn from: what a camera might see (geometry, shared with the teacher) and how it spoils it (student only).

All random choices come from the `numpy` generator that is passed in.
"""

import cv2
import numpy as np

import config

H, W = config.HEIGHT, config.WIDTH


def view(rng, picture, focus=None, known=False):
    """u8 (h,w,3) -> u8 (H,W,3), matrix (2,3): a random similarity (scale, shift, turn, mirror, slight stretch).

    `focus`: box (ymin, xmin, ymax, xmax) in 0..1 that should stay mostly inside, at a random size; may be cut by edges.
    `known`: the people are known exactly, so nobody may be mirrored in at the border, and turns stay small."""
    h, w = picture.shape[:2]
    fit = min(W / w, H / h)
    if focus is not None and rng.random() < 0.75:
        size = max((focus[2] - focus[0]) * h, (focus[3] - focus[1]) * w, 16.0)
        scale = np.clip(H * rng.choice([0.35 if rng.random() < 0.5 or not known else 0.2, 0.5, 0.7, 0.9, 1.1]) * rng.uniform(0.8, 1.25) / size, 0.6 * fit, 3.5 * fit)
        middle = np.array([(focus[1] + focus[3]) / 2 * w, (focus[0] + focus[2]) / 2 * h])
        shift = rng.normal(0, 0.22, 2) * (W, H)
    else:
        scale = fit * rng.choice([1.0, rng.uniform(0.7, 1.8)])
        middle = np.array([w / 2, h / 2])
        shift = rng.normal(0, 0.06, 2) * (W, H)
    kind = rng.random()  # quarter turns make standing people of lying ones, of whom there are many more here
    turn = np.radians(rng.normal(0, 8) + (0 if kind < 0.5 or known else rng.choice([-90, 90]) if kind < 0.85 else rng.uniform(0, 360)))
    stretch = np.exp(rng.normal(0, 0.06))
    matrix = scale * np.array([[np.cos(turn) * stretch, -np.sin(turn)], [np.sin(turn) * stretch, np.cos(turn)]])
    if rng.random() < 0.5:
        matrix[:, 0] *= -1
    offset = np.array([W / 2, H / 2]) + shift - matrix @ middle
    border = cv2.BORDER_CONSTANT if known or rng.random() < 0.4 else cv2.BORDER_REFLECT_101
    whole = np.c_[matrix, offset]
    if scale < 0.6:  # warpAffine does not average: shrink first
        ratio = max(scale * 1.4, 0.25)
        small = cv2.resize(picture, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA)
        picture, matrix = small, matrix / ratio
    return cv2.warpAffine(picture, np.c_[matrix, offset], (W, H), flags=cv2.INTER_LINEAR, borderMode=border), whole


def carry(people, shape, matrix):
    """Known people (P,F) of a picture of `shape` (h,w) through `matrix`; mirrored ones change left and right."""
    h, w = shape
    out = people.copy()
    joints = people[:, :51].reshape(-1, 17, 3)

    def move(y, x):
        return (matrix[1, 0] * x * w + matrix[1, 1] * y * h + matrix[1, 2]) / H, (matrix[0, 0] * x * w + matrix[0, 1] * y * h + matrix[0, 2]) / W

    y, x = move(joints[..., 0], joints[..., 1])
    score = joints[..., 2] * ((y > 0) & (y < 1) & (x > 0) & (x < 1))
    joints = np.stack([y, x, score], -1)
    if np.linalg.det(matrix[:, :2]) < 0:
        joints = joints[:, list(config.FLIP)]
    out[:, :51] = joints.reshape(-1, 51)
    y0, x0, y1, x1 = people[:, 51:55].T
    ys, xs = move(np.stack([y0, y0, y1, y1], 1), np.stack([x0, x1, x0, x1], 1))
    box = np.stack([ys.min(1), xs.min(1), ys.max(1), xs.max(1)], 1)
    inside = box.clip(0, 1)
    share = np.prod(inside[:, 2:] - inside[:, :2], 1) / np.maximum(1e-6, np.prod(box[:, 2:] - box[:, :2], 1))
    out[:, 51:55] = inside
    out[:, 55] = people[:, 55] * share
    return out


def bars(rng, picture):
    """Sometimes the black bars of a letterboxed 16:9 or portrait source."""
    kind = rng.random()
    if kind < 0.3:
        bar = int(rng.integers(8, 36))
        picture[:bar], picture[H - bar :] = 0, 0
    elif kind < 0.4:
        bar = int(rng.integers(8, 80))
        picture[:, :bar], picture[:, W - bar :] = 0, 0
    return picture


def paste(rng, background, picture, box):
    """Lays the person of `box` with soft edges over another picture: bodies seen in front of other rooms."""
    h, w = picture.shape[:2]
    grow = rng.uniform(0.02, 0.15)
    bh, bw = box[2] - box[0], box[3] - box[1]
    y0, y1 = int(max(0, (box[0] - grow * bh) * h)), int(min(h, (box[2] + grow * bh) * h))
    x0, x1 = int(max(0, (box[1] - grow * bw) * w)), int(min(w, (box[3] + grow * bw) * w))
    if y1 - y0 < 24 or x1 - x0 < 24:
        return background
    patch = picture[y0:y1, x0:x1]
    bh, bw = background.shape[:2]
    scale = bh * rng.uniform(0.25, 0.95) / max(patch.shape[:2])
    patch = cv2.resize(patch, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    ph, pw = patch.shape[:2]
    if ph >= bh or pw >= bw:
        return background
    y, x = int(rng.integers(0, bh - ph)), int(rng.integers(0, bw - pw))
    soft = max(3, int(0.06 * max(ph, pw)))
    alpha = np.zeros((ph, pw), np.float32)
    alpha[soft:-soft, soft:-soft] = 1
    alpha = cv2.blur(alpha, (2 * soft + 1, 2 * soft + 1))[..., None]
    out = background.copy()
    out[y : y + ph, x : x + pw] = alpha * patch + (1 - alpha) * out[y : y + ph, x : x + pw]
    return out


def cover(rng, picture, other):
    """Furniture in front: one to three patches of another picture laid over this one, in place."""
    for _ in range(int(rng.integers(1, 4))):
        h, w = int(rng.integers(12, 90)), int(rng.integers(12, 110))
        y, x = int(rng.integers(0, H - h)), int(rng.integers(0, W - w))
        v, u = int(rng.integers(0, H - h)), int(rng.integers(0, W - w))
        picture[y : y + h, x : x + w] = other[v : v + h, u : u + w]
    return picture


def spoil(rng, picture, grain=None):
    """What light, lens, sensor and codec do. u8 (H,W,3) -> u8, same geometry. `grain`: a generator for the sensor's noise alone, where
    neighbouring pictures are spoiled alike."""
    x = picture.astype(np.float32) / 255
    if rng.random() < 0.25:  # grey or infrared
        grey = x @ rng.dirichlet([3, 5, 2]).astype(np.float32)
        x = np.repeat(grey[..., None], 3, 2)
        if rng.random() < 0.3:
            x = x * np.array([rng.uniform(0.9, 1.05), 1, rng.uniform(0.85, 1.1)], np.float32)
    else:
        x = x * rng.uniform(0.75, 1.3, 3).astype(np.float32) ** rng.choice([0.3, 1.0])
        grey = x.mean(2, keepdims=True)
        x = grey + (x - grey) * rng.uniform(0.3, 1.5)
    x = np.clip(x, 0, 1) ** np.exp(rng.normal(0, 0.35))
    x = (x - 0.5) * np.exp(rng.normal(0, 0.25)) + 0.5 + rng.normal(0, 0.1)
    if rng.random() < 0.25:
        ramp = np.linspace(rng.uniform(0.4, 1), rng.uniform(0.6, 1.3), W, dtype=np.float32)
        x = x * (ramp if rng.random() < 0.5 else ramp[::-1])[None, :, None]
    if rng.random() < 0.35:
        k = int(rng.integers(2, 8))
        if rng.random() < 0.5:  # a body or camera in motion
            kernel = np.zeros((9, 9), np.float32)
            a = rng.uniform(0, np.pi)
            for s in np.linspace(-k / 2, k / 2, 13):
                kernel[int(round(4 + s * np.sin(a))), int(round(4 + s * np.cos(a)))] += 1
            x = cv2.filter2D(x, -1, kernel / kernel.sum())
        else:
            x = cv2.GaussianBlur(x, (0, 0), k / 4)
    if rng.random() < 0.2:  # a small picture made large
        f = rng.uniform(0.35, 0.8)
        x = cv2.resize(cv2.resize(x, None, fx=f, fy=f, interpolation=cv2.INTER_AREA), (W, H))
    if rng.random() < 0.5:
        sigma = rng.exponential(0.025)
        coarse, grain = rng.random() < 0.4, grain or rng
        noise = cv2.resize(grain.standard_normal((H // 2, W // 2, 1)).astype(np.float32), (W, H)) if coarse \
            else grain.standard_normal((H, W)).astype(np.float32)
        x = x + sigma * noise[..., None]
    out = np.clip(x * 255, 0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        _, code = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(20, 80))])
        out = cv2.imdecode(code, cv2.IMREAD_COLOR)
    return out
