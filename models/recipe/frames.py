"""Pictures: reading clips at their true times, fitting them as the manifest says, and the cache of training frames."""

import json
import subprocess
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

import config

cv2.setNumThreads(1)


def fit(h, w, width=config.WIDTH, height=config.HEIGHT):
    """Where a picture of h × w lies in the fitted one, in pixels: (y, x, new h, new w)."""
    scale = min(width / w, height / h)
    new_w, new_h = max(1, int(w * scale + 0.5)), max(1, int(h * scale + 0.5))  # halves go up, as in Rust
    return (height - new_h) // 2, (width - new_w) // 2, new_h, new_w


def area(h, w):
    """f32 (4,): ymin, xmin, ymax, xmax of a picture of h × w in the fitted one, 0 to 1: what is not bars."""
    y, x, new_h, new_w = fit(h, w)
    return np.array([y, x, y + new_h, x + new_w], np.float32) / np.array([config.HEIGHT, config.WIDTH] * 2, np.float32)


def letterbox(picture, width=config.WIDTH, height=config.HEIGHT, pad=config.PAD):
    """u8 (h,w,3) -> u8 (height,width,3): area averaging when it shrinks, bilinear when it grows, centred on grey."""
    h, w = picture.shape[:2]
    y, x, new_h, new_w = fit(h, w, width, height)
    how = cv2.INTER_AREA if min(width / w, height / h) < 1 else cv2.INTER_LINEAR
    fitted = np.full((height, width, 3), pad, np.uint8)
    fitted[y : y + new_h, x : x + new_w] = cv2.resize(picture, (new_w, new_h), interpolation=how)
    return fitted


def read(path, scale_to=None):
    """Yields (seconds from the first frame, RGB picture) for each frame of a clip, by its own timestamps.

    `scale_to`: shorter side in pixels, if smaller than the clip's. A clip of which not every frame came is an error behind the last that
    did: caches would keep a part for the whole. Whoever asks for no more frames hears of none."""
    probe = subprocess.run(
        ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries",
         "stream=width,height,r_frame_rate:frame=pts_time", "-of", "json", str(path)],
        capture_output=True, check=True, text=True)
    info = json.loads(probe.stdout)
    stream = info["streams"][0]
    w, h = stream["width"], stream["height"]
    times = [float(f["pts_time"]) for f in info["frames"] if "pts_time" in f]
    step = 1 / float(Fraction(stream["r_frame_rate"]))
    filters = []
    if scale_to and min(w, h) > scale_to:
        ratio = scale_to / min(w, h)
        w, h = round(w * ratio), round(h * ratio)
        filters = ["-vf", f"scale={w}:{h}:flags=area"]
    command = ["ffmpeg", "-v", "fatal", "-i", str(path), *filters, "-fps_mode", "passthrough",
               "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    index = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        while len(raw := process.stdout.read(w * h * 3)) == w * h * 3:
            at = times[index] - times[0] if index < len(times) else index * step
            yield at, np.frombuffer(raw, np.uint8).reshape(h, w, 3)
            index += 1
    if process.returncode or index < len(info["frames"]):
        raise RuntimeError(f"{path}: ffmpeg gave {index} of {len(info['frames'])} frames and ended with {process.returncode}: try again, and if it "
                           "ends so again, the clip is damaged: fetch or render it anew")


def photos(rooms, split):
    """Photos of a folder, sorted, of the places that belong to `split`; a place has several views."""
    files = sorted(Path(rooms).glob("*.jpg"))
    places = sorted({place(p) for p in files})
    mine = {p for i, p in enumerate(places) if ("train", "train", "train", "train", "valid", "test")[i % 6] == split}
    return [p for p in files if place(p) in mine]


def place(photo):
    """Which place a photo shows: its name without the view's."""
    return photo.stem.rsplit("_y", 1)[0]


class Cache:
    """Frames of many clips in a folder: `<clip>.npy` u8 (n,h,w,3) memory-mapped, `<clip>.json` with times and source."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def add(self, name, path, every=4, side=320):
        """Keeps each `every`-th frame of the clip at `path`; does nothing if it is there already."""
        if (self.folder / f"{name}.json").exists():
            return
        kept = [(t, p) for i, (t, p) in enumerate(read(path, side)) if i % every == 0]
        if not kept:
            return
        np.save(self.folder / f"{name}.npy", np.stack([p for _, p in kept]))
        about = {"source": Path(path).name, "every": every, "times": [round(t, 4) for t, _ in kept]}
        (self.folder / f"{name}.json").write_text(json.dumps(about))

    def names(self):
        return sorted(p.stem for p in self.folder.glob("*.json"))

    def frames(self, name):
        return np.load(self.folder / f"{name}.npy", mmap_mode="r")
