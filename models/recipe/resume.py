"""What was made from one file is not taken for made from another: a training that was cut goes on only from its own start, and a
folder holds what one encoder said. And a file is there whole or not at all.
"""

import hashlib
import json
import os
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path):
    """An open file to write in place of `path`, whose name it takes at the end. Several processes may be making it at once."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with open(part, "wb") as file:
            yield file
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)


def write(path, text):
    """Writes a file of text, whole."""
    with whole(path) as part:
        part.write(text.encode())


def sha256(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def origin(start):
    """The hash of the file that a training starts from, or "" if it starts from nothing."""
    return sha256(start) if start else ""


def became(source, made):
    """Leaves beside the file `source` that the file `made` was made of it, for `is_of`."""
    write(Path(source).with_suffix(".json"), json.dumps({"float": sha256(source), "int8": sha256(made)}))


def is_of(made, source):
    """Whether the file `made` was made of the file `source` as they are now, by what `became` left."""
    mark = Path(source).with_suffix(".json")
    if not mark.exists() or not Path(source).exists():
        return False
    return json.loads(mark.read_text()) == {"float": sha256(source), "int8": sha256(made)}


def same_start(saved, start, path):
    """Ends the program if the training `saved` at `path` began with other weights than `start`: it would not go on from them."""
    if saved.get("origin") != origin(start):
        raise SystemExit(f"{path} holds a training that did not begin with {start or 'nothing'}: move it away, or name another --out")


def by_another(folder, encoder):
    """Ends the program if what is in the folder was said of clips by another encoder than that of this hash. Makes nothing."""
    folder, mark = Path(folder), Path(folder) / "encoder.sha256"
    if any(folder.glob("*.npz")) and (not mark.exists() or mark.read_text().strip() != encoder):
        raise SystemExit(f"{folder} holds what another encoder said of clips: move it away, and `features.py` asks about the clips anew")


def said_by(folder, encoder):
    """Makes the folder for what the encoder of this hash says of clips; ends the program if another's words are there."""
    by_another(folder, encoder)
    Path(folder).mkdir(parents=True, exist_ok=True)
    (Path(folder) / "encoder.sha256").write_text(encoder + "\n")
