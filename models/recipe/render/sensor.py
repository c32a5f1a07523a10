"""What a cheap camera does to a picture, and the video file."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np


@dataclass
class Sensor:
    """Faults of one camera: noise (8-bit steps), blur and sharpening (pixels, share), gamma, text, compression."""

    noise: float
    colour_noise: float
    blur: float
    sharpen: float
    gamma: float
    contrast: float
    saturation: float
    text: str | None
    crf: int
    rng: np.random.Generator

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """A picture [H,W,3] float 0..255 as the camera gives it, u8."""
        out = picture
        if self.blur > 0.05:
            out = cv2.GaussianBlur(out, (0, 0), self.blur)
        if self.sharpen > 0:
            out = out + self.sharpen * (out - cv2.GaussianBlur(out, (0, 0), 1.2))
        grain = self.rng.standard_normal(out.shape[:2], "f4") * self.noise
        out = out + grain[..., None] * (1.1 - 0.5 * np.clip(out, 0, 255) / 255)
        if self.colour_noise > 0:
            out = out + self.rng.standard_normal(out.shape, "f4") * self.colour_noise
        out = np.clip(out / 255, 0, 1) ** self.gamma
        # Contrast about the middle and saturation about grey, both linear and neither moving grey: one matrix.
        mix = 255 * self.contrast * (self.saturation * np.eye(3) + (1 - self.saturation) / 3)
        out = cv2.transform(out, np.c_[mix, np.full(3, 127.5 * (1 - self.contrast))])
        out = np.clip(out, 0, 255).astype("u1")
        if self.text:
            cv2.putText(out, self.text, (6, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (0, 0, 0), 2)
            cv2.putText(out, self.text, (6, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (235, 235, 235), 1)
        return out


def sensor_of(spec: dict) -> Sensor:
    """The sensor of a look; only the grain differs between twins."""
    rng = np.random.default_rng([spec["look"], 13])
    u = rng.uniform
    noise = float(np.exp(u(np.log(0.8), np.log(9)))) * (1.5 if spec["infrared"] else 1)
    text = (
        f"2024-0{rng.integers(1, 9)}-1{rng.integers(0, 9)} {rng.integers(10, 23)}:{rng.integers(10, 59)}"
        if rng.random() < 0.1
        else None
    )
    return Sensor(
        noise,
        0.0 if spec["infrared"] else noise * u(0.1, 0.5),
        u(0, 1.1) if rng.random() < 0.5 else 0.0,
        u(0.3, 1.2) if rng.random() < 0.35 else 0.0,
        u(0.75, 1.35),
        u(0.85, 1.2),
        u(0.4, 1.3),
        text,
        int(rng.choice([20, 24, 27, 30, 34])),
        np.random.default_rng(spec["picture_seed"]),
    )


class Video:
    """An H.264 file, written frame by frame; it appears under its name only when `close` is called."""

    def __init__(self, path: Path, width: int, height: int, fps: float, crf: int):
        self.path, self.part = path, path.with_name(f".{path.stem}.part.mp4")
        command = [
            "ffmpeg",
            "-y",
            "-loglevel",
            "error",
            "-f",
            "rawvideo",
            "-pix_fmt",
            "rgb24",
            "-s",
            f"{width}x{height}",
            "-r",
            str(fps),
            "-i",
            "-",
            "-threads",
            "1",
            "-c:v",
            "libx264",
            "-preset",
            "veryfast",
            "-crf",
            str(crf),
            "-pix_fmt",
            "yuv420p",
            str(self.part),
        ]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE)

    def write(self, picture: np.ndarray) -> None:
        self.process.stdin.write(np.ascontiguousarray(picture).tobytes())

    def close(self) -> None:
        self.process.stdin.close()
        if self.process.wait() != 0:
            raise OSError(f"ffmpeg could not write {self.part}")
        self.part.rename(self.path)
