"""Rooms: walls around the action, furniture, clutter, light. A room id fixes taste and materials; the size follows from
the action and the camera, so that the camera always hangs inside."""

from pathlib import Path

import numpy as np

from .camera import Camera
from .gl import Light
from .pose import rot_z
from .stage import Prop, Take

_WALL_THINGS = (
    "cabinet_medium_decorated",
    "couch",
    "armchair_pillows",
    "table_medium",
    "lamp_standing",
    "chair_A",
    "cabinet_small_decorated",
    "shelf_A_big",
    "cactus_medium_A",
    "chair_B_wood",
    "table_small",
    "cabinet_medium",
)
_MESHES = {
    "chair": ("chair_A", "chair_B", "chair_A_wood", "chair_B_wood", "chair_C"),
    "sofa": ("couch", "couch_pillows"),
    "armchair": ("armchair", "armchair_pillows"),
    "bed": ("bed_single_A", "bed_single_B"),
    "table": ("table_medium", "table_medium_long"),
}


def box(centre, half, yaw: float, colour, material: int) -> np.ndarray:
    """Vertices [36,13] of a box."""
    turn, faces = rot_z(yaw), []
    for axis in range(3):
        for sign in (-1, 1):
            u, v = (i for i in range(3) if i != axis)
            n = np.zeros(3)
            n[axis] = sign
            corners = np.zeros((4, 3))
            corners[:, axis] = sign
            corners[:, u], corners[:, v] = (-1, 1, 1, -1), (-1, -1, 1, 1)
            for i in (0, 1, 2, 0, 2, 3):
                p = turn @ (corners[i] * half) + centre
                faces.append(np.concatenate([p, turn @ n, p, colour, [material]]))
    return np.array(faces)


def panel(centre, half, yaw: float, colour, material: int, crop=(0, 0, 1, 1)) -> np.ndarray:
    """A thin upright box whose texture coordinates span `crop` of the photo."""
    out = box(centre, half, yaw, colour, material)
    local = (out[:, :3] - centre) @ rot_z(yaw)
    u = local[:, 0] / (2 * half[0]) + 0.5
    v = local[:, 2] / (2 * half[2]) + 0.5
    out[:, 6] = crop[0] + u * (crop[2] - crop[0])
    out[:, 7] = crop[1] + v * (crop[3] - crop[1])
    return out


class Furniture:
    """Furniture meshes from a folder of OBJ files; `get` gives None where there is none."""

    def __init__(self, folder: Path):
        self.folder, self.known = Path(folder), {}

    def get(self, name: str):
        """(positions, normals, linear colours) [N,3] each, triangle soup in metres, z up, front along -y."""
        if name not in self.known:
            path = self.folder / f"{name}.obj"
            self.known[name] = self._load(path) if path.exists() else None
        return self.known[name]

    @staticmethod
    def _load(path: Path):
        import trimesh

        mesh = trimesh.load(path, force="mesh", process=False)
        picture = np.asarray(mesh.visual.material.image.convert("RGB"))
        rows, cols = picture.shape[:2]
        uv = mesh.visual.uv
        pixel = (
            picture[((1 - uv[:, 1]) * (rows - 1)).astype(int) % rows, (uv[:, 0] * (cols - 1)).astype(int) % cols]
            / 255.0
        )
        order = mesh.faces.ravel()
        swap = lambda v: v[order][:, [0, 2, 1]] * [1, -1, 1]
        return swap(mesh.vertices) * 0.62, swap(mesh.vertex_normals), pixel[order] ** 2.2


def _coloured(base: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    grey = base.mean(1, keepdims=True)
    return np.clip(grey * 0.5 + base * 0.5 * rng.uniform(0.4, 1.2, 3) + rng.uniform(-0.05, 0.1, 3), 0.02, 0.9)


def _soup(mesh, turn, shift, colour, material) -> np.ndarray:
    v, n, _ = mesh
    return np.concatenate([v @ turn.T + shift, n @ turn.T, v, colour, np.full((len(v), 1), float(material))], 1)


def _support_height(mesh) -> float:
    """Height of the largest level face that looks up: seat, mattress or top."""
    v, up = mesh[0].reshape(-1, 3, 3), mesh[1].reshape(-1, 3, 3)[..., 2].mean(1) > 0.9
    z = v.mean(1)[:, 2]
    area = np.linalg.norm(np.cross(v[:, 1] - v[:, 0], v[:, 2] - v[:, 0]), axis=1)
    keep = up & (z > 0.2)
    count, edges = np.histogram(z[keep], bins=30, range=(0.0, 1.5), weights=area[keep])
    k = int(np.argmax(count))
    best = keep & (z >= edges[k]) & (z <= edges[k + 1])
    return float((z[best] * area[best]).sum() / area[best].sum())


def draw_prop(prop: Prop, shop: Furniture) -> np.ndarray:
    """Vertices of a prop: a furniture mesh stretched to its size, or its boxes."""
    rng = np.random.default_rng(prop.look)
    colour = np.clip(rng.uniform(0.08, 0.6) + rng.uniform(-0.12, 0.12, 3), 0.03, 0.8)
    wood = np.array([0.42, 0.27, 0.15]) * rng.uniform(0.4, 1.6)
    name = _MESHES.get(prop.kind) and _MESHES[prop.kind][int(rng.integers(len(_MESHES[prop.kind])))]
    mesh = shop.get(name) if name and rng.random() < 0.6 else None
    if mesh is not None:
        v = mesh[0].copy()
        turn = rot_z(prop.yaw)
        if prop.kind == "bed":
            v, turn = v @ rot_z(90).T, turn
            mesh = (v, mesh[1] @ rot_z(90).T, mesh[2])
        span = np.ptp(v, axis=0)
        middle = (v.max(0) + v.min(0)) / 2 * [1, 1, 0]
        scale = np.array([prop.size[0] / span[0], prop.size[1] / span[1], prop.size[2] / _support_height(mesh)])
        if prop.kind == "chair":
            scale[1] *= 1.1
        mesh = ((v - middle) * scale, mesh[1], mesh[2])
        return _soup(mesh, turn, np.array([*prop.xy, 0.0]), _coloured(mesh[2], rng), rng.choice([0, 3, 3]))
    soft = prop.kind in ("sofa", "armchair", "bed", "cloth", "bag")
    material = 3 if soft else int(rng.choice([1, 0]))
    tint = colour if soft or rng.random() < 0.4 else wood
    boxes = prop.boxes()
    if not prop.solid:
        w, d, h = prop.size
        boxes = [(np.array([*prop.spot(0, 0), h / 2]), np.array([w / 2, d / 2, h / 2]), prop.yaw)]
    out = [box(c, h, yaw, tint, material) for c, h, yaw in boxes]
    if prop.kind == "bed":
        w, d, h = prop.size
        out.append(
            box(
                np.array([*prop.spot(-w / 2 + 0.25, 0), h + 0.03]),
                np.array([0.2, d / 3, 0.06]),
                prop.yaw,
                np.clip(rng.uniform(0.4, 0.85, 3), 0, 0.9),
                3,
            )
        )
    return np.concatenate(out)


def frame_of(take: Take, camera: Camera, rng: np.random.Generator) -> tuple[float, np.ndarray, np.ndarray]:
    """Yaw of the walls and the room's low and high corner [2] in wall axes."""
    gaze = np.array(camera.target) - camera.eye
    yaw = float(np.degrees(np.arctan2(gaze[1], gaze[0]))) + (45 if rng.random() < 0.6 else 0) + rng.uniform(-14, 14)
    solid = [p for p in take.props if p.solid]
    if solid:
        yaw = solid[0].yaw
    points = [np.array(camera.eye)[None, :2]] + [
        a.root[::5, :2] + d for a in take.actors for d in ((0.55, 0), (-0.55, 0), (0, 0.55), (0, -0.55))
    ]
    for p in solid:
        points.append(np.array([p.spot(a * p.size[0] / 2, b * p.size[1] / 2) for a in (-1, 1) for b in (-1, 1)]))
    flat = np.concatenate(points) @ rot_z(yaw)[:2, :2]
    low, high = flat.min(0), flat.max(0)
    eye = np.array(camera.eye[:2]) @ rot_z(yaw)[:2, :2]
    for axis in range(2):
        low[axis] -= 0.14 if eye[axis] - low[axis] < 0.3 and rng.random() < 0.8 else rng.uniform(0.1, 1.6)
        high[axis] += 0.14 if high[axis] - eye[axis] < 0.3 and rng.random() < 0.8 else rng.uniform(0.1, 1.6)
    for p in solid:
        if p.kind in ("shelf", "sill") or (p.kind in ("sofa", "bed") and rng.random() < 0.5):
            back = (p.spot(0, -p.size[1] / 2) @ rot_z(yaw)[:2, :2])[1]
            if eye[1] < back - 0.2 and not any(
                (a.root[:, :2] @ rot_z(yaw)[:2, :2])[:, 1].max() > back for a in take.actors
            ):
                high[1] = max(back + 0.01, eye[1] + 0.05)
    return yaw, low, high


def build(spec: dict, take: Take, camera: Camera, shop: Furniture, has_photo: bool) -> np.ndarray:
    """Vertices [N,13] of the room of a spec with everything that does not move in it."""
    rng = np.random.default_rng([spec["room"], 11])
    yaw, low, high = frame_of(take, camera, rng)
    tall = max(rng.uniform(2.4, 2.85), camera.eye[2] + 0.08)
    u = rng.uniform
    wood = np.array([0.42, 0.27, 0.15]) * u(0.4, 1.6)
    any_colour = lambda lo=0.12, hi=0.75: np.clip(u(lo, hi) + rng.uniform(-0.1, 0.1, 3), 0.04, 0.85)
    floor = (
        (wood, int(rng.choice([1, 1, 2])))
        if rng.random() < 0.5
        else (any_colour(), int(rng.choice([1, 2, 3, 3, 5, 0])))
    )
    wall = (
        np.clip(np.array([0.75, 0.72, 0.66]) * u(0.45, 1.15) + rng.uniform(-0.1, 0.1, 3), 0.08, 0.9),
        int(rng.choice([0, 0, 4, 8])),
    )
    backdrop = has_photo and rng.random() < 0.16
    mural = has_photo and not backdrop and rng.random() < 0.15
    if backdrop:
        floor = wall = (np.full(3, u(0.7, 1.1)), 10)
    turn = rot_z(yaw)
    size, centre = (high - low) / 2, (high + low) / 2
    put = lambda x, y, z: turn @ np.array([x, y, 0]) + [0, 0, z]
    parts = [
        box(put(*centre, -0.05), np.array([*size, 0.05]), yaw, *floor),
        box(
            put(*centre, tall + 0.05), np.array([*size, 0.05]), yaw, *(wall if backdrop else (any_colour(0.5, 0.85), 0))
        ),
    ]
    walls = []
    for axis in range(2):
        for sign in (-1, 1):
            at, half = centre.copy(), np.array([*size, tall / 2])
            at[axis] += sign * (size[axis] + 0.05)
            half[axis] = 0.05
            walls.append((axis, sign, at))
            material = wall[1]
            if mural and rng.random() < 0.6:
                along = size[1 - axis]
                face = panel(
                    put(*at, tall / 2),
                    np.array([along, 0.05, tall / 2]),
                    yaw + (90 if axis == 0 else 0),
                    np.full(3, u(0.5, 1.1)),
                    9,
                )
                parts.append(face)
            else:
                parts.append(box(put(*at, tall / 2), half, yaw, wall[0], material))
            if not backdrop:
                skirting = half * 1.02
                skirting[2] = 0.045
                parts.append(box(put(*at, 0.045), skirting, yaw, np.clip(wall[0] * 0.4 + 0.3, 0, 0.9), 0))
    if not backdrop:
        parts += _on_walls(rng, walls, size, turn, yaw, tall, has_photo, wood)
        parts += _rug(rng, take, yaw)
    parts += _clutter(rng, take, camera, shop, walls, size, turn, yaw, put)
    parts += [draw_prop(p, shop) for p in take.props]
    return np.concatenate(parts)


def _on_walls(rng, walls, size, turn, yaw, tall, has_photo, wood) -> list[np.ndarray]:
    """Doors, windows and pictures."""
    out = []
    for _ in range(int(rng.integers(2, 8))):
        axis, sign, at = walls[int(rng.integers(4))]
        kind = ("door", "window", "picture", "picture")[int(rng.integers(4))]
        half_w, half_h, z = {
            "door": (0.45, 1.0, 1.0),
            "window": (rng.uniform(0.4, 0.9), rng.uniform(0.4, 0.65), 1.5),
            "picture": (rng.uniform(0.15, 0.5), rng.uniform(0.15, 0.4), rng.uniform(1.3, 1.8)),
        }[kind]
        spot = at.copy()
        spot[1 - axis] += rng.uniform(-0.8, 0.8) * max(0.05, size[1 - axis] - half_w)
        spot[axis] -= sign * 0.06
        colour = {
            "door": wood * 0.9 if rng.random() < 0.6 else np.full(3, rng.uniform(0.4, 0.8)),
            "window": np.array([1.5, 1.6, 1.8]) * rng.uniform(0.05, 1),
            "picture": rng.uniform(0.08, 0.8, 3),
        }[kind]
        material = {"door": 1, "window": 0, "picture": 8}[kind]
        if has_photo and kind != "door" and rng.random() < 0.75:
            material, colour = 9, np.full(3, rng.uniform(0.5, 2.2) if kind == "window" else rng.uniform(0.5, 1.0))
        x, y = rng.uniform(0, 0.5, 2)
        place = turn @ np.array([*spot, 0]) + [0, 0, min(z, tall - half_h - 0.05)]
        face = yaw + (90 if axis == 0 else 0)
        out.append(panel(place, np.array([half_w, 0.02, half_h]), face, colour, material, (x, y, x + 0.5, y + 0.5)))
        if rng.random() < 0.6:
            out.append(
                box(place, np.array([half_w + 0.04, 0.015, half_h + 0.04]), face, np.full(3, rng.uniform(0.05, 0.8)), 0)
            )
    return out


def _rug(rng, take: Take, yaw) -> list[np.ndarray]:
    if rng.random() < 0.6:
        return []
    middle = take.actors[0].root[-1, :2] if take.actors else np.zeros(2)
    centre = np.array([*(middle + rng.normal(0, 0.5, 2)), 0.004])
    half = np.array([rng.uniform(0.6, 1.4), rng.uniform(0.4, 1.0), 0.004])
    return [box(centre, half, yaw, np.clip(rng.uniform(0.05, 0.7, 3), 0, 0.8), int(rng.choice([3, 3, 5, 4])))]


def _clutter(rng, take, camera, shop, walls, size, turn, yaw, put) -> list[np.ndarray]:
    """Things along the walls, out of the way of the action and mostly out of the line of sight."""
    paths = [a.root[::5, :2] for a in take.actors]
    path = np.concatenate(paths) if paths else np.zeros((1, 2))
    eye, out = np.array(camera.eye), []
    for _ in range(int(rng.integers(2, 10))):
        axis, sign, at = walls[int(rng.integers(4))]
        half = np.array([rng.uniform(0.15, 0.6), rng.uniform(0.12, 0.35), rng.uniform(0.15, 0.9)])
        name = _WALL_THINGS[int(rng.integers(len(_WALL_THINGS)))]
        mesh = shop.get(name) if rng.random() < 0.65 else None
        facing = {(0, -1): 90.0, (0, 1): -90.0, (1, 1): 0.0, (1, -1): 180.0}[axis, sign]
        if mesh is not None:
            half = np.array([np.ptp(mesh[0][:, 0]) / 2, np.ptp(mesh[0][:, 1]) / 2, np.ptp(mesh[0][:, 2]) / 2])
        spot = at.copy()
        spot[axis] -= sign * (half[1] + 0.07)
        spot[1 - axis] += rng.uniform(-0.9, 0.9) * max(0.02, size[1 - axis] - half[0])
        spot_world = (turn @ np.array([*spot, 0]))[:2]
        radius = float(np.hypot(*half[:2]))
        if np.linalg.norm(path - spot_world, axis=1).min() < radius + 0.45:
            continue
        if any(np.linalg.norm(spot_world - p.xy) < radius + max(p.size[:2]) / 2 + 0.05 for p in take.props if p.solid):
            continue
        if np.linalg.norm(eye[:2] - spot_world) < radius + 0.35:
            continue
        sight = np.array(
            [np.linalg.norm(eye[:2] + (q - eye[:2]) * t - spot_world) for q in path[::6] for t in (0.4, 0.6, 0.8)]
        )
        if sight.min() < radius and rng.random() < 0.7:
            continue
        colour = any_wood(rng)
        if mesh is not None:
            out.append(
                _soup(
                    mesh,
                    rot_z(yaw + facing),
                    np.array([*spot_world, -mesh[0][:, 2].min()]),
                    _coloured(mesh[2], rng),
                    rng.choice([0, 3]),
                )
            )
        else:
            out.append(
                box(np.array([*spot_world, half[2]]), half, yaw + facing, colour, int(rng.choice([0, 1, 3, 8, 4])))
            )
            if rng.random() < 0.6:
                out.append(
                    box(
                        np.array([*spot_world, 2 * half[2] + 0.12]),
                        np.array([0.08, 0.06, 0.12]),
                        rng.uniform(0, 90),
                        rng.uniform(0.05, 0.9, 3),
                        0,
                    )
                )
    return out


def any_wood(rng) -> np.ndarray:
    if rng.random() < 0.5:
        return np.array([0.42, 0.27, 0.15]) * rng.uniform(0.4, 1.6)
    return np.clip(rng.uniform(0.08, 0.75) + rng.uniform(-0.12, 0.12, 3), 0.04, 0.85)


def light_of(spec: dict, take: Take, camera: Camera) -> Light:
    """The light of a look: lamp at the ceiling, at a wall or (infrared) at the camera."""
    rng = np.random.default_rng([spec["look"], 12])
    u, eye = rng.uniform, np.array(camera.eye)
    middle = take.actors[0].root[:, :2].mean(0) if take.actors else np.array(camera.target[:2])
    white = np.array([1, u(0.82, 1.0), u(0.6, 1.15)])
    glow = u(0.28, 0.7)
    lamp = np.array([*(middle + rng.uniform(-1.4, 1.4, 2)), u(2.0, 2.5)])
    aim = np.array([lamp[0] + u(-0.4, 0.4), lamp[1] + 0.01, 0.0])
    way = rng.normal(size=3) * [1, 1, 0.4] + [0, 0, 0.5]
    light = dict(
        colour=white * u(0.5, 1.7),
        sky=white * glow,
        ground=white * glow * u(0.4, 0.7),
        fill_way=way / np.linalg.norm(way),
        fill_colour=white * u(0.1, 0.5),
        exposure=1.0,
        softness=u(0.0012, 0.005),
        vignette=u(0, 0.7),
        occlusion=u(0.5, 0.95),
    )
    if spec["infrared"]:
        lamp, aim = eye + [0, 0, 0.06], np.array(camera.target)
        light |= dict(
            colour=np.full(3, u(1.5, 3.0)),
            sky=np.full(3, u(0.03, 0.14)),
            ground=np.full(3, 0.05),
            fill_colour=np.zeros(3),
            exposure=1.3,
            softness=0.0014,
        )
    return Light(tuple(lamp), tuple(aim), infrared=spec["infrared"], **light)
