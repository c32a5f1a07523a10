"""Pictures of a clip with what the encoder found drawn in: boxes and joints of everybody above the tracker's floor.

Rendered clips are our own and shown. Filmed ones are other people's: of them only what was found is drawn, on grey.
"""

import cv2
import numpy as np

import config
from frames import letterbox
from tracker import BOX

WIDTH, HEIGHT = 224, 168  # of one picture of a strip
BONES = ((5, 6), (5, 7), (7, 9), (6, 8), (8, 10), (5, 11), (6, 12), (11, 12), (11, 13), (13, 15), (12, 14), (14, 16))  # COCO's order
GREY = 70
SURE = 0.2                # joints below are not drawn
COLOURS = ((60, 255, 60), (255, 190, 0), (80, 200, 255), (255, 90, 255))


def drawn(picture, people, floor):
    """RGB picture -> (HEIGHT,WIDTH,3), fitted as the encoder sees it, with its people (P,F)."""
    out = letterbox(picture, WIDTH, HEIGHT)
    size = np.array([HEIGHT, WIDTH])
    for person, colour in zip(people, COLOURS, strict=True):
        if person[config.SCORE] < floor:
            continue
        (y0, x0), (y1, x1) = (person[BOX].reshape(2, 2) * size).round().astype(int).tolist()
        cv2.rectangle(out, (x0, y0), (x1, y1), colour, 1)
        joints = person[: 3 * config.JOINTS].reshape(-1, 3)
        at = [(int(x), int(y)) for y, x in joints[:, :2] * size]
        for a, b in BONES:
            if min(joints[a, 2], joints[b, 2]) >= SURE:
                cv2.line(out, at[a], at[b], colour, 1, cv2.LINE_AA)
        for point, sure in zip(at, joints[:, 2], strict=True):
            if sure >= SURE:
                cv2.circle(out, point, 2, colour, -1, cv2.LINE_AA)
    return out


def tick(case, t):
    """The case's tick nearest to `t`."""
    return int(abs(case.encoded[0] - t).argmin())


def tiles(case, times):
    """The case's pictures at `times` with the people found at the nearest tick; grey ones for filmed clips."""
    floor = case.manifest["tracker"]["min_score"]
    pictures = case.pictures(times)
    if case.about is None:
        pictures = [np.full_like(picture, GREY) for picture in pictures]
    return [drawn(picture, case.encoded[2][tick(case, t)], floor) for t, picture in zip(times, pictures, strict=True)]


def strip(path, case, times):
    """Writes the tiles side by side, each with its time and the greater of both scores, as a small JPEG."""
    pictures = tiles(case, times)
    for t, picture in zip(times, pictures, strict=True):
        caption = f"{t:.1f} s  {max(case.rows[tick(case, t)][1:3]):.2f}"
        for colour, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
            cv2.putText(picture, caption, (4, HEIGHT - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour, thickness, cv2.LINE_AA)
    cv2.imwrite(str(path), np.concatenate(pictures, 1)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 68])
