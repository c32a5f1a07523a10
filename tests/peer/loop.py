"""The same bundle in a plain Python loop: what falld is measured against.

It reads a clip with cv2, keeps the model's cadence, runs encoder and head once for each kept frame with onnxruntime,
follows people, applies k of n, and publishes alerts with paho-mqtt at QoS 1. Streaming, as falld does it: one encoder
pass for each frame. It has none of falld's store, supervision or metrics. One thread for inference, one for OpenCV.

    loop.py BUNDLE PORT CLIP [CLIP…]

The last line on stdout is JSON: frames judged, alerts, seconds of CPU and wall time, resident memory: its peak, and
what of it lies in no file at the end.
"""

import json
import resource
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import paho.mqtt.client as mqtt


def session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    # Processors that lack VNNI would give other scores without it, and others be slower with it.
    if not {"avx512_vnni", "avx_vnni"} & set(Path("/proc/cpuinfo").read_text().split()):
        options.add_session_config_entry("session.x64quantprecision", "1")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class Follower:
    """People from tick to tick: the rule of models/README.md."""

    def __init__(self, facts: dict, people: int, ticks: int, length: int, aspect: float):
        self.facts, self.aspect = facts, aspect
        self.rings = np.zeros((people, ticks, length), np.float32)
        self.seen = np.zeros((people, ticks), np.float32)
        self.place: list = [None] * people
        self.missed = [0] * people

    def _place(self, row: np.ndarray):
        top, left, bottom, right = row[-5:-1]
        left, right = left * self.aspect, right * self.aspect
        return (left + right) / 2, (top + bottom) / 2, float(np.hypot(right - left, bottom - top))

    def observe(self, rows: np.ndarray) -> None:
        self.rings = np.roll(self.rings, -1, axis=1)
        self.seen = np.roll(self.seen, -1, axis=1)
        self.rings[:, -1], self.seen[:, -1] = 0, 0
        found = [i for i in range(len(rows)) if rows[i, -1] >= self.facts["min_score"]]
        pairs = []
        for who, place in enumerate(self.place):
            for index in found if place else []:
                x, y, diagonal = self._place(rows[index])
                growth = 1 + self.facts["gate_growth"] * self.missed[who]
                reach = self.facts["gate"] * max(diagonal, place[2]) * growth
                affinity = 1 - np.hypot(x - place[0], y - place[1]) / reach if reach > 0 else 0
                if affinity > 0:
                    pairs.append((-affinity, who, index))
        matched, taken = set(), set()
        for _, who, index in sorted(pairs):
            if who not in matched and index not in taken:
                matched.add(who), taken.add(index)
                self._see(who, rows[index])
        for who, place in enumerate(self.place):
            if place and who not in matched:
                self.missed[who] += 1
                if self.missed[who] > self.facts["max_missed"]:
                    self._forget(who)
        for index in found:
            if index not in taken:
                free = [w for w, place in enumerate(self.place) if place is None]
                lost = sorted((w for w in range(len(self.place)) if w not in matched), key=lambda w: (-self.missed[w], w))
                for who in (free + lost)[:1]:
                    self._forget(who)
                    matched.add(who)
                    self._see(who, rows[index])

    def _see(self, who: int, row: np.ndarray) -> None:
        self.place[who], self.missed[who] = self._place(row), 0
        self.rings[who, -1], self.seen[who, -1] = row, 1

    def _forget(self, who: int) -> None:
        self.place[who], self.missed[who] = None, 0
        self.rings[who], self.seen[who] = 0, 0


class Loop:
    def __init__(self, bundle: Path, port: int):
        self.facts = json.loads((bundle / "manifest.json").read_text())
        self.encoder = session(bundle / self.facts["encoder"]["file"])
        self.head = session(bundle / self.facts["head"]["file"])
        self.inputs = {tensor["role"]: tensor["name"] for tensor in self.facts["encoder"]["inputs"]}
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.frames = self.alerts = 0

    def fit(self, picture: np.ndarray) -> np.ndarray:
        frame = self.facts["frame"]
        height, width = picture.shape[:2]
        scale = min(frame["height"] / height, frame["width"] / width)
        size = round(width * scale), round(height * scale)
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        fitted = np.full((frame["height"], frame["width"], 3), frame["pad"], np.uint8)
        top, left = (frame["height"] - size[1]) // 2, (frame["width"] - size[0]) // 2
        fitted[top : top + size[1], left : left + size[0]] = cv2.cvtColor(small, cv2.COLOR_BGR2RGB)
        return fitted

    def play(self, clip: str) -> None:
        clock, rule, people = self.facts["clip"], self.facts["policy"]["fall"], self.facts["people"]
        length = 3 * people["keypoints"] + 5 + people["embedding"]
        frame = self.facts["frame"]
        follower = Follower(
            self.facts["tracker"], people["max"], clock["ticks"], length, frame["width"] / frame["height"]
        )
        capture = cv2.VideoCapture(clip, cv2.CAP_FFMPEG)
        period = 1 / clock["rate_hz"]
        scene, exists, previous = None, np.zeros(clock["ticks"], np.float32), None
        due, hits, down = 0.0, [], False
        while capture.grab():
            at = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if at < due - period / 2:
                continue
            due = max(due, at - period / 2) + period
            ok, picture = capture.retrieve()
            if not ok:
                continue
            fitted = self.fit(picture)
            feed = {self.inputs["frame"]: fitted[None]}
            if "previous" in self.inputs:
                feed[self.inputs["previous"]] = (fitted if previous is None else previous)[None]
            previous = fitted
            rows, grid = self.encoder.run(["people", "scene"], feed)
            scene = np.zeros((clock["ticks"], grid.shape[1]), np.float32) if scene is None else np.roll(scene, -1, 0)
            exists = np.roll(exists, -1)
            scene[-1], exists[-1] = grid[0], 1
            follower.observe(rows[0])
            self.frames += 1
            if exists.sum() < clock["min_ticks"]:
                continue
            chosen = [who for who, place in enumerate(follower.place) if place]
            persons = [follower.rings[who] for who in chosen]
            masks = [np.stack([exists, follower.seen[who]], 1) for who in chosen]
            if self.facts["head"]["scene_row"]:
                persons.insert(0, np.zeros_like(follower.rings[0]))
                masks.insert(0, np.stack([exists, np.zeros_like(exists)], 1))
            if not persons:
                continue
            logits = self.head.run(
                ["logits"], {"person": np.stack(persons), "scene": np.stack([scene] * len(persons)), "mask": np.stack(masks)}
            )[0]
            share = np.exp((logits - logits.max(1, keepdims=True)) / self.facts["temperature"])
            share /= share.sum(1, keepdims=True)
            hits = (hits + [(share[:, 1] + share[:, 2]).max() >= rule["enter"]])[-rule["n"] :]
            if sum(hits) >= rule["k"] and not down:
                down = True
                self.alerts += 1
                payload = json.dumps({"clip": clip, "t": at})
                self.client.publish("peer/event", payload, qos=1).wait_for_publish(5)


def main() -> None:
    cv2.setNumThreads(1)
    bundle, port, clips = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    loop = Loop(bundle, port)
    # Start-up (imports, loading) is not what is measured: only the loop is.
    before, start = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    for clip in clips:
        loop.play(clip)
    after, wall = resource.getrusage(resource.RUSAGE_SELF), time.monotonic() - start
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    # ru_maxrss would also count what the parent held before exec.
    peak, anonymous = (int(status[key].split()[0]) for key in ("VmHWM", "RssAnon"))
    said = {"frames": loop.frames, "alerts": loop.alerts, "cpu_s": cpu, "wall_s": wall}
    print(json.dumps(said | {"peak_kib": peak, "anon_kib": anonymous}))


if __name__ == "__main__":
    main()
