"""Cheap training clips without pictures: 3D joints of many motions in one file."""

import json
from pathlib import Path

import numpy as np
from tqdm import tqdm

from resume import whole

from .body import Body, keypoints
from .camera import place
from .perform import perform
from .story import RATE

_COLUMNS = (
    "motion",
    "seed",
    "scenario",
    "kind",
    "split",
    "height",
    "fall_start",
    "contact",
    "length",
    "eye",
    "target",
    "fov",
    "roll",
    "aspect",
    "first",
)


def write_skeletons(out: Path, specs: list[dict], people: list[Body], library=None, every: int = 500) -> list[int]:
    """Writes the motions of `specs` to `out` (see the folder's README for the arrays). The file is replaced
    as a whole after every `every` motions, and seeds it already holds are kept. Gives the seeds that failed."""
    store = _Store(out)
    failed = []
    for k, spec in enumerate(tqdm(specs, unit="motion", smoothing=0.05)):
        if spec["seed"] in store.seeds:
            continue
        try:
            store.add(spec, people, library)
        except Exception as problem:  # one bad seed must not end a run of hours; it is told and given back
            failed.append(spec["seed"])
            tqdm.write(f"seed {spec['seed']}: {problem}")
        if (k + 1) % every == 0:
            store.save()
    store.save()
    return failed


class _Store:
    def __init__(self, out: Path):
        self.out, self.rows, self.joints, self.labels, self.boxes, self.seeds = Path(out), [], [], [], [], set()
        if self.out.exists():
            old = np.load(self.out)
            self.joints, self.labels = [old["joints"]], [old["labels"]]
            self.boxes = [np.column_stack([old["boxes"], old["box_motion"]])]
            self.rows = [{c: old[c][k] for c in _COLUMNS} for k in range(len(old["seed"]))]
            self.seeds = set(old["seed"].tolist())

    def add(self, spec: dict, people: list[Body], library) -> None:
        take = perform(spec, people, library)
        camera = place(spec, take)
        for k, actor in enumerate(take.actors):
            joints = keypoints(actor.body, actor.turn, actor.root)
            if not np.isfinite(joints).all():
                raise ValueError("joints are not finite")
            self.joints.append(joints.astype("f2"))
            self.labels.append(actor.labels)
            self.rows.append(
                dict(
                    motion=spec["seed"],
                    seed=spec["seed"],
                    scenario=spec["scenario"],
                    kind=actor.body.kind,
                    split=spec["split"],
                    height=actor.body.height,
                    length=len(joints),
                    first=k == 0,
                    fall_start=np.nan if actor.fall_start is None else actor.fall_start,
                    contact=np.nan if actor.contact is None else actor.contact,
                    eye=camera.eye,
                    target=camera.target,
                    fov=camera.fov,
                    roll=camera.roll,
                    aspect=camera.width / camera.height,
                )
            )
        boxes = [np.array([*c, *h, yaw, spec["seed"]]) for prop in take.props for c, h, yaw in prop.boxes()]
        if boxes:
            self.boxes.append(np.array(boxes))
        self.seeds.add(spec["seed"])

    def save(self) -> None:
        if not self.rows:
            return
        types = dict(
            motion="i4",
            seed="i8",
            length="i4",
            height="f4",
            fall_start="f4",
            contact="f4",
            eye="f4",
            target="f4",
            fov="f4",
            roll="f4",
            aspect="f4",
            first="?",
        )
        arrays = {c: np.array([r[c] for r in self.rows], types.get(c)) for c in _COLUMNS}
        self.joints, self.labels = [np.concatenate(self.joints)], [np.concatenate(self.labels)]
        boxes = np.concatenate(self.boxes) if self.boxes else np.zeros((0, 8))
        self.boxes = [boxes]
        arrays["start"] = np.concatenate([[0], np.cumsum(arrays["length"])[:-1]]).astype("i8")
        with whole(self.out) as part:
            np.savez_compressed(
                part,
                joints=self.joints[0],
                labels=self.labels[0],
                fps=RATE,
                boxes=boxes[:, :7].astype("f4"),
                box_motion=boxes[:, 7].astype("i4"),
                labels_of=json.dumps(["normal", "fall", "fallen", "climb"]),
                **arrays,
            )
