"""Where the camera hangs and what it sees: placement by chance within bounds, projection with a simple lens."""

from dataclasses import asdict, dataclass

import numpy as np

from .body import keypoints
from .pose import ahead, rot_z
from .stage import Take


@dataclass(frozen=True)
class Camera:
    """A pinhole with radial bend `k1`. `fov` is the horizontal angle in degrees, `roll` turns the picture clockwise."""

    eye: tuple[float, float, float]
    target: tuple[float, float, float]
    fov: float
    roll: float
    width: int
    height: int
    k1: float = 0.0

    def as_json(self) -> dict:
        return {k: [round(x, 4) for x in v] if isinstance(v, tuple) else round(v, 4) for k, v in asdict(self).items()}

    def axes(self) -> np.ndarray:
        """Rows: right, down, forward, in the world."""
        forward = np.array(self.target) - self.eye
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, [0, 0, 1.0])
        right /= np.linalg.norm(right)
        down = np.cross(forward, right)
        a = np.radians(self.roll)
        return np.stack([np.cos(a) * right + np.sin(a) * down, -np.sin(a) * right + np.cos(a) * down, forward])

    @property
    def focal(self) -> float:
        """Focal length in pixels."""
        return self.width / 2 / np.tan(np.radians(self.fov) / 2)


def project(camera: Camera, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels [...,2] and depths [...] in metres of world points [...,3]; points behind the camera get NaN pixels."""
    local = (points - np.array(camera.eye)) @ camera.axes().T
    depth = local[..., 2]
    safe = np.where(depth > 0.05, depth, np.nan)
    size = np.array([camera.width, camera.height])
    uv = local[..., :2] / safe[..., None] * camera.focal / size
    return (bend(uv, camera.k1) + 0.5) * size, depth


def bend(uv: np.ndarray, k1: float) -> np.ndarray:
    """Where the lens puts a point: the inverse of `unbend`, for picture coordinates about the middle (±0.5)."""
    if k1 == 0:
        return uv
    out = np.clip(uv, -3, 3)
    goal = out
    for _ in range(12):
        out = goal * (1 + 0.5 * k1) / (1 + k1 * np.minimum((out * out).sum(-1, keepdims=True), 2.0))
    return out


def unbend(uv: np.ndarray, k1: float) -> np.ndarray:
    return uv * (1 + k1 * (uv * uv).sum(-1, keepdims=True)) / (1 + 0.5 * k1)


_HEIGHTS = ((0.7, 1.3, 0.22), (1.3, 1.7, 0.2), (1.7, 2.3, 0.33), (2.3, 2.75, 0.25))


def place(spec: dict, take: Take) -> Camera:
    """The camera of a spec. Draws until the person is seen as the spec wants; keeps the best draw otherwise."""
    rng = np.random.default_rng(spec["camera_seed"])
    if take.actors:
        first = take.actors[0]
        joints = keypoints(first.body, first.turn, first.root)[:: max(1, len(first.root) // 16)]
        tall = first.body.height
    else:
        joints, tall = rng.normal(0, 0.4, (4, 17, 3)) + [0, 0, 1.0], 1.7
    end = joints[-max(1, len(joints) // 3) :].reshape(-1, 3).mean(0)
    middle = 0.5 * joints.reshape(-1, 3).mean(0) + 0.5 * end
    best, best_score, least = None, np.inf, rng.uniform(0.2, 0.62)
    for attempt in range(80):
        camera = _draw(rng, spec if attempt < 30 else spec | {"camera_way": "any"}, take, middle, tall)
        score = _misfit(camera, spec, take, joints, least)
        if score < best_score:
            best, best_score = camera, score
        if score <= 0:
            break
    return best


def _draw(rng, spec: dict, take: Take, middle, tall) -> Camera:
    low, high, _ = _HEIGHTS[int(rng.choice(len(_HEIGHTS), p=[h[2] for h in _HEIGHTS]))]
    height = rng.uniform(low, high)
    near = spec["camera_fit"] == "near"
    distance = (rng.uniform(0.9, 2.8) if near else rng.uniform(1.7, 5.8) ** 0.9) * (0.75 + 0.25 * tall / 1.7)
    way = rng.uniform(0, 360)
    if spec["camera_way"] == "toward":
        way = take.toward + rng.normal(0, 14)
    elif spec["camera_way"] == "away":
        way = take.toward + 180 + rng.normal(0, 14)
    eye = middle[:2] + ahead(way)[:2] * distance
    aim = middle + np.append(rng.normal(0, 0.25, 2), rng.normal(0.05, 0.2))
    aim[2] = np.clip(aim[2], 0.15, 1.4)
    fov = rng.uniform(45, 78) if rng.random() < 0.7 else rng.uniform(70, 95)
    if spec["width"] < spec["height"]:
        fov = rng.uniform(40, 62)
    if spec["camera_fit"] == "edge":
        side = np.array([-(eye - middle[:2])[1], (eye - middle[:2])[0]]) / distance
        aim[:2] += side * rng.uniform(-0.75, 0.75) * distance * np.tan(np.radians(fov / 2))
        aim[2] += rng.uniform(-0.3, 0.7) * distance * 0.35
    elif near:
        aim[2] += rng.uniform(0.1, 0.5) * distance
    return Camera(
        (*map(float, eye), float(height)),
        tuple(map(float, aim)),
        float(fov),
        float(rng.uniform(-3, 3)),
        spec["width"],
        spec["height"],
        float(rng.uniform(-0.03, 0.3)),
    )


def _misfit(camera: Camera, spec: dict, take: Take, joints: np.ndarray, least: float) -> float:
    """0 or less when the view is acceptable, more the worse it is. The person should once be as tall as the share
    `least` of the picture."""
    eye = np.array(camera.eye)
    near = np.linalg.norm(joints - eye, axis=-1).min()
    near = min(near, *(np.linalg.norm(a.root[::8, :2] - eye[:2], axis=1).min() - 0.15 for a in take.actors[1:]), 9.0)
    trouble = max(0.0, 0.75 - near) * 20
    for prop in take.props:
        back = ahead(prop.yaw)[:2] @ (eye[:2] - prop.xy)
        if prop.kind in ("shelf", "sill") and back < 0.1:
            trouble += 10
        if (
            prop.solid
            and np.linalg.norm(eye[:2] - prop.xy) < max(prop.size[:2]) / 2 + 0.15
            and prop.size[2] > eye[2] - 0.7
        ):
            trouble += 5
    xy, depth = project(camera, joints)
    size = np.array([camera.width, camera.height])
    inside = ((xy > 0) & (xy < size)).all(-1) & (depth > 0.05)
    share = inside.mean(1)
    last = share[-max(1, len(share) // 3) :].mean()
    if spec["camera_fit"] == "whole":
        trouble += max(0, 0.86 - share.mean()) * 8 + max(0, 0.86 - last) * 8
    elif spec["camera_fit"] == "near":
        below = (xy[..., 1] > camera.height).mean()
        return trouble + max(0, 0.35 - share.mean()) * 8 + max(0, 0.2 - last) * 6 + max(0, 0.12 - below) * 20
    else:
        trouble += max(0, 0.4 - share.mean()) * 8 + max(0, 0.3 - last) * 6 + max(0, share.mean() - 0.97) * 4
    hidden = _hidden(eye, take, joints)
    trouble += max(0, hidden.mean() - 0.25) * 8 + max(0, hidden[-max(1, len(hidden) // 3) :].mean() - 0.3) * 6
    tall = np.nanmax(np.nan_to_num(xy[..., 1].max(1) - xy[..., 1].min(1))) / camera.height
    return trouble + max(0, least - tall) * 10 + max(0, tall - 1.05) * 6


def _hidden(eye: np.ndarray, take: Take, joints: np.ndarray) -> np.ndarray:
    """Share [T] of the joints that a prop or another person stands before; people count as upright boxes."""
    blocked = np.zeros(joints.shape[:2], bool)
    boxes = [(*b, None) for p in take.props for b in p.boxes() if b[1].max() > 0.1]
    for other in take.actors[1:]:
        path = other.root[:: max(1, len(other.root) // 16)][: len(joints)]
        boxes.append((None, np.array([0.18, 0.18, other.body.height / 2]), 0.0, path))
    for centre, half, yaw, path in boxes:
        turn = rot_z(yaw)
        middle = centre if path is None else np.concatenate([path[:, :2], np.full((len(path), 1), half[2])], 1)[:, None]
        count = len(joints) if path is None else len(path)
        start = np.broadcast_to((eye - middle) @ turn, (count, 1, 3))
        way = (joints[:count] - middle) @ turn - start
        with np.errstate(divide="ignore", invalid="ignore"):
            near, far = (-half - start) / way, (half - start) / way
        enter, leave = np.minimum(near, far).max(-1), np.maximum(near, far).min(-1)
        blocked[:count] |= (enter < leave) & (leave > 0) & (enter < 0.93)
    return blocked.mean(1)
