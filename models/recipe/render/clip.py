"""From a spec to a clip on disk: `NNNNNN.mp4` and, last, `NNNNNN.json`."""

import json
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from frames import photos

from . import room
from .body import PARENT, PARTS, Body, probes
from .camera import Camera, place
from .clothes import Outfit, dress
from .gl import Light, Renderer
from .perform import perform
from .sensor import Video, sensor_of
from .stage import LABELS, Actor, Take
from .story import RATE
from .truth import Lens, Witness, runs, worst


def write_clips(
    out: Path,
    specs: list[dict],
    people: list[Body],
    data: Path,
    library,
    sheets: Path | None = None,
) -> list[int]:
    """Renders the clips of `specs` into `out`; clips already there are skipped. Gives the seeds that failed."""
    out.mkdir(parents=True, exist_ok=True)
    studio, failed = None, []
    for spec in tqdm(specs, unit="clip", smoothing=0.05):
        if (out / f"{spec['seed']:06d}.json").exists():
            continue
        studio = studio or Studio(people, data, library)
        try:
            studio.shoot(spec, out, sheets)
        except Exception as problem:  # one bad seed must not end a run of hours; it is told and given back
            failed.append(spec["seed"])
            tqdm.write(f"seed {spec['seed']}: {problem}")
    return failed


class Studio:
    """The renderer with its furniture and photos. `data` may lack; then boxes and plain walls are used."""

    def __init__(self, people: list[Body], data: Path, library=None):
        self.library = library
        self.people, self.gl, self.shop = people, Renderer(), room.Furniture(data / "furniture")
        self.rooms = data / "rooms"

    def shoot(self, spec: dict, out: Path, sheets: Path | None = None) -> None:
        """Renders one clip."""
        take = perform(spec, self.people, self.library)
        camera = place(spec, take)
        photo = self._photo(spec)
        self.gl.set_photo(photo)
        still = self.gl.mesh(room.build(spec, take, camera, self.shop, photo is not None))
        figures = [Figure(self.gl, a, spec, k) for k, a in enumerate(take.actors)]
        light = self._exposed(still, camera, room.light_of(spec, take, camera), figures, spec)
        step = int(round(RATE / spec["fps"]))
        total = int(round(spec["seconds"] * RATE))
        indices = np.arange(0, total, step)
        self._film(spec, take, camera, light, still, figures, indices, out, sheets)
        for thing in (still, *(f.mesh for f in figures)):
            thing.release()

    def _photo(self, spec: dict) -> np.ndarray | None:
        """A photo for windows, pictures and backdrops; every split has places of its own."""
        files = photos(self.rooms, spec["split"])
        if not files:
            return None
        return cv2.imread(str(files[np.random.default_rng([spec["room"], 14]).integers(len(files))]))[..., ::-1]

    def _exposed(self, still, camera: Camera, light: Light, figures, spec: dict) -> Light:
        """The light with the exposure that a camera would choose at the start of the clip."""
        aim = np.random.default_rng([spec["look"], 15]).uniform(*((45, 90) if spec["infrared"] else (75, 145)))
        meshes = [f.mesh for f in figures]
        for f in figures:
            f.move(len(f.actor.root) // 3, 0.0)
        for attempt in range(9):
            self.gl.begin(still, camera, light)
            picture = self.gl.frame(meshes)
            mean, burnt = picture.mean(), (picture.min(2) > 249).mean()
            if burnt >= 0.03:
                light.exposure *= 0.7
            elif abs(mean - aim) >= 8 and attempt < 4:
                light.exposure *= float(np.clip((aim / max(mean, 4)) ** 1.6, 0.2, 5))
            elif attempt < 8 and self._in_the_dark(picture, meshes):
                light.sky, light.ground = (tuple(1.7 * np.array(c)) for c in (light.sky, light.ground))
            else:
                break
        return light

    def _in_the_dark(self, picture: np.ndarray, meshes: list) -> bool:
        """True if people can hardly be told from black."""
        tags, _, _ = self.gl.masks(meshes)
        body = picture[::2, ::2][: tags.shape[0], : tags.shape[1]][tags > 0]
        return len(body) > 30 and body.mean() < 36

    def _film(self, spec, take: Take, camera, light, still, figures, indices, out: Path, sheets: Path | None) -> None:
        sensor, lens = sensor_of(spec), Lens(camera)
        path = out / f"{spec['seed']:06d}.mp4"
        video = Video(path, camera.width, camera.height, spec["fps"], sensor.crf)
        witnesses = [Witness(a, camera, indices) for a in take.actors]
        shutter = float(np.random.default_rng([spec["look"], 16]).uniform(0.2, 0.7)) * RATE / max(spec["fps"], 12)
        meshes = [f.mesh for f in figures]
        labels = worst([a.labels[indices] for a in take.actors], len(indices))
        kept, picture = {}, None
        for k, frame in enumerate(indices):
            if picture is None or any([f.has_moved(frame) for f in figures]):
                fast = max((f.speed(frame) for f in figures), default=0) > 0.5
                shots = []
                for part in range(2 if fast else 1):
                    for f in figures:
                        f.move(frame, part * 0.5 * shutter)
                    shots.append(self.gl.frame(meshes).astype("f4"))
                    if part == 0:
                        tags, depth, alone = self.gl.masks(meshes)
                        tags, depth = lens(tags), lens(depth)
                picture = sum(shots) / len(shots)
            for w, witness in enumerate(witnesses):
                witness.see(k, tags == w + 1, depth, int(alone[w]))
            taken = sensor(picture)
            video.write(taken)
            if sheets:
                kept[k] = taken
        video.close()
        truth = spec | dict(
            frames=len(indices),
            camera=camera.as_json(),
            label_names=list(LABELS),
            labels=runs(labels),
            people=[w.as_json(i, w.actor.labels[indices]) for i, w in enumerate(witnesses)],
        )
        part = out / f".{spec['seed']:06d}.part.json"
        part.write_text(json.dumps(truth, separators=(",", ":")))
        part.rename(out / f"{spec['seed']:06d}.json")
        if sheets:
            sheets.mkdir(parents=True, exist_ok=True)
            contact_sheet(kept, truth, sheets / f"{spec['seed']:06d}_{spec['scenario']}.png")


class Figure:
    """A dressed person on the renderer."""

    def __init__(self, gl: Renderer, actor: Actor, spec: dict, index: int):
        self.actor = actor
        self.outfit: Outfit = dress(actor.body, np.random.default_rng([spec["look"], 17, index]), spec["infrared"])
        self.weights = self.outfit.weights
        rows = np.zeros((len(self.weights), 13), "f4")
        rows[:, 6:9], rows[:, 9:12], rows[:, 12] = self.outfit.verts, self.outfit.colours, self.outfit.material
        self.rows = rows
        self.mesh = gl.mesh(rows, self.outfit.faces, dynamic=True)
        self.shown = None
        self.skin = probes(actor.body, actor.turn, actor.root).astype("f4")
        hands = actor.turn[:, 2, :, 1]
        self.motion = np.linalg.norm(np.gradient(actor.root, axis=0), axis=1) * RATE
        self.motion += np.linalg.norm(np.gradient(hands, axis=0), axis=1) * RATE * 0.4
        arms = actor.turn[..., 2][:, [7, 11, 14, 17]]
        self.motion += np.linalg.norm(np.gradient(arms, axis=0), axis=2).max(1) * RATE * 0.3

    def speed(self, frame: int) -> float:
        """About how fast the person moves at a frame, m/s."""
        return float(self.motion[frame])

    def has_moved(self, frame: int) -> bool:
        """True if any of the skin is a third of a pixel or so away from where it was when this last was true."""
        moved = self.shown is None or abs(self.skin[frame] - self.shown).max() > 0.005
        if moved:
            self.shown = self.skin[frame]
        return moved

    def move(self, frame: int, later: float) -> None:
        """Poses the mesh at a frame plus a part of a frame."""
        a = self.actor
        following = min(frame + 1, len(a.root) - 1)
        turn = (a.turn[frame] * (1 - later) + a.turn[following] * later).astype("f4")
        root = a.root[frame] * (1 - later) + a.root[following] * later
        joints = a.body.joints
        spot = np.zeros((len(PARTS), 3), "f4")
        spot[0] = root
        for i in range(1, len(PARTS)):
            spot[i] = spot[PARENT[i]] + turn[PARENT[i]] @ (joints[i] - joints[PARENT[i]])
        shift = spot - np.einsum("pij,pj->pi", turn, joints)
        mixed = self.weights @ np.concatenate([turn.reshape(-1, 9), shift], 1).astype("f4")
        blend = mixed[:, :9].reshape(-1, 3, 3)
        self.rows[:, :3] = (blend @ self.outfit.verts[..., None])[..., 0] + mixed[:, 9:]
        self.rows[:, 3:6] = (blend @ self.outfit.normals[..., None])[..., 0]
        self.mesh.write(self.rows)


def contact_sheet(pictures: dict[int, np.ndarray], truth: dict, path: Path, count: int = 12) -> None:
    """A picture of `count` frames with labels, boxes and keypoints drawn in."""
    colours = {"normal": (255, 255, 255), "fall": (255, 60, 60), "fallen": (255, 170, 0), "climb": (80, 255, 80)}
    tiles = []
    for k in np.linspace(0, len(pictures) - 1, count).astype(int):
        tile = pictures[k].copy()
        for person in truth["people"]:
            if person["box"][k]:
                x0, y0, x1, y1 = person["box"][k]
                cv2.rectangle(tile, (x0, y0), (x1, y1), (0, 200, 255), 1)
            for x, y, v in np.reshape(person["keypoints"][k], (17, 3)):
                cv2.circle(tile, (int(x), int(y)), 2, (0, 255, 0) if v == 2 else (255, 0, 255), -1)
        name = next(n for n, a, b in truth["labels"] if a <= k < b)
        cv2.putText(tile, f"{k} {name}", (4, tile.shape[0] - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.45, colours[name], 1)
        tiles.append(tile)
    rows = [np.concatenate(tiles[i : i + 4], 1) for i in range(0, count, 4)]
    cv2.imwrite(str(path), np.concatenate(rows)[..., ::-1])
