"""The filmed clips as other cameras would have shown them: events of a bundle on each change of the picture.

    python other_cameras.py --bundle ../bundle --data DATA --lab LAB [--json out.json]

Same people, same movements: what is asked is only whether it is the picture that an answer hangs on. Falls that a cut leaves
mostly outside count all the same. `choose.py` asks them all, for the room not trained on.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

import config
from evaluate import Encodings, real, record, summary
from frames import read
from stream import Bundle

ELSEWHERE = ("s2", "s3")  # share the room not trained on


def each(change):
    """A change of pictures as a change of clips: (t, picture) by (t, picture). `change` gets the picture and a generator that
    gives the same numbers for the same frame of any clip."""
    def clip(frames):
        for index, (t, picture) in enumerate(frames):
            yield t, change(picture, np.random.default_rng([config.SEED, index]))
    return clip


def noisy(picture, rng, sigma):
    grain = rng.standard_normal(picture.shape[:2]).astype(np.float32) * sigma
    return np.clip(picture + grain[..., None], 0, 255).astype(np.uint8)


def infrared(picture, rng):
    grey = picture.astype(np.float32) @ np.array([0.5, 0.35, 0.15], np.float32)
    return noisy(np.repeat(np.clip(30 + 0.9 * grey, 0, 255)[..., None], 3, 2), rng, 6)


def dark(picture, rng):
    return noisy(255 * (picture.astype(np.float32) / 255) ** 1.8 * 0.5, rng, 8)


def poor(picture, _):
    """A third of the resolution, then a codec at its end."""
    h, w = picture.shape[:2]
    small = cv2.resize(picture, (w // 3, h // 3), interpolation=cv2.INTER_AREA)
    _, code = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 25])
    return cv2.imdecode(code, cv2.IMREAD_COLOR)


def far(picture, _):
    h, w = picture.shape[:2]
    matrix = np.array([[0.6, 0, 0.2 * w], [0, 0.6, 0.25 * h]])
    return cv2.warpAffine(picture, matrix, (w, h), flags=cv2.INTER_AREA)


def tilted(picture, _):
    h, w = picture.shape[:2]
    return cv2.warpAffine(picture, cv2.getRotationMatrix2D((w / 2, h / 2), 10, 1.0), (w, h), flags=cv2.INTER_LINEAR)


def wide(picture, _):
    """A wide lens: straight lines bend outwards."""
    h, w = picture.shape[:2]
    y, x = np.mgrid[:h, :w].astype(np.float32)
    x, y = (x - w / 2) / (w / 2), (y - h / 2) / (w / 2)
    out = 0.85 + 0.25 * (x * x + y * y)
    return cv2.remap(picture, x * out * w / 2 + w / 2, y * out * w / 2 + h / 2, cv2.INTER_LINEAR)


def cut(top, left, bottom, right):
    """Shows only a part of the picture, sides in 0..1."""
    def part(picture, _):
        h, w = picture.shape[:2]
        return np.ascontiguousarray(picture[round(top * h) : round(bottom * h), round(left * w) : round(right * w)])
    return part


def slow(rate):
    """Fewer frames a second."""
    def clip(frames):
        due = 0.0
        for t, picture in frames:
            if t >= due - 1e-3:
                yield t, picture
                due = max(due + 1 / rate, t)
    return clip


CAMERAS = {
    "as filmed": each(lambda picture, _: picture),
    "mirrored": each(lambda picture, _: np.ascontiguousarray(picture[:, ::-1])),
    "infrared": each(infrared), "dark": each(dark), "low resolution": each(poor),
    "farther away": each(far), "tilted 10 degrees": each(tilted), "wide lens": each(wide),
    "left fifth cut": each(cut(0, 0.2, 1, 1)), "right fifth cut": each(cut(0, 0, 1, 0.8)), "lower sixth cut": each(cut(0, 0, 5 / 6, 1)),
    "10 fps": slow(10), "7.5 fps": slow(7.5)}


class Changed(Encodings):
    """Encoder outputs of clips through one of `CAMERAS`."""

    def __init__(self, bundle, folder, camera):
        super().__init__(bundle, folder)
        self.camera = camera

    def name(self, path):
        return f"{path.stem}_{self.camera.replace(' ', '-')}"

    def frames(self, path):
        return CAMERAS[self.camera](read(path))


def all_cameras(bundle, lab, data, subjects, keep_rows=False):
    """What `real` says of each camera: {camera: {"falls", "everyday", "twins"} -> {clip: …}}."""
    return {camera: real(bundle.manifest, bundle.logits, Changed(bundle, lab / "events", camera), data, subjects, keep_rows)
            for camera in tqdm(CAMERAS, "cameras")}


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--bundle", type=Path, required=True)
    args.add_argument("--data", type=Path, required=True)
    args.add_argument("--lab", type=Path, required=True)
    args.add_argument("--json", type=Path)
    args = args.parse_args()
    bundle, report, elsewhere = Bundle(args.bundle), {}, {}
    for camera, got in all_cameras(bundle, args.lab, args.data, ("s1", *ELSEWHERE)).items():
        for kind, results in got.items():
            elsewhere.setdefault(f"other cameras, room not trained on: {kind}", []).extend(r for name, r in results.items() if name[:2] in ELSEWHERE)
        report[camera] = {kind: summary(list(results.values())) for kind, results in got.items()}
        falls, missed = report[camera]["falls"], [k for k, r in got["falls"].items() if not r["seen"]]
        wrong = [k for kind in ("everyday", "twins") for k, r in got[kind].items() if r["false"]]
        print(f"{camera}: {falls['seen']} of {falls['falls']} falls, {falls['delay_median_s']} / {falls['delay_p90_s']} s; "
              f"{report[camera]['everyday']['clips_alarmed']} of {report[camera]['everyday']['clips']} everyday, "
              f"{report[camera]['twins']['clips_alarmed']} of {report[camera]['twins']['clips']} twins; missed {missed}, alarmed {wrong}")
    if args.json:
        record(args.json, bundle, {name: summary(results) for name, results in elsewhere.items()}, cameras=report)


if __name__ == "__main__":
    main()
