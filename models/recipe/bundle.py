"""Step `export`: encoder and head -> the bundle falld loads, written aside and swapped in whole.

    python bundle.py --lab LAB --out ../bundle

Reads `LAB/encoder_grown.pt`, `LAB/head.pt` (or what `--encoder` and `--head` name) and `LAB/choice.json` (temperature, policy,
calibration method). `LAB/head.pt` may be missing: the head that stands there stays, or, where none does, an untrained one makes a bundle of the right
shape. So may the choice: temperature, policy and second look of the bundle that stands there stay, or, where none does, are those of this file.
"""

import argparse
import datetime
import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import torch

import config
import export
import probe
from evaluate import of_others, stamped
from frames import Cache, letterbox
from nets import encoder
from nets.blend import between
from nets.even import even
from nets.head import Head, Mirrored, restore
from quantise import quantise
from resume import became, sha256
from stream import Bundle

POLICY = {"fall": {"enter": 0.6, "exit": 0.3, "k": 5, "n": 7}, "climb": {"enter": 0.8, "exit": 0.4, "k": 12, "n": 15}}
UNMEASURED = "# falld-pose: not measured yet\n\n`make -C models/recipe evaluate card` measures it and writes this page.\n"


def calibration(lab, count=160, seed=config.SEED):
    """Fitted pictures with people, drawn over all cached training clips: u8 (n,H,W,3)."""
    cache, rng, out = Cache(lab / "cache"), np.random.default_rng(seed), []
    names = [n for n in cache.names() if (cache.folder / f"{n}.pose.npy").exists()]
    groups = {}
    for name in names:
        groups.setdefault(name.split("_")[0], []).append(name)
    while len(out) < count:
        group = groups[sorted(groups)[rng.integers(len(groups))]]
        name = group[rng.integers(len(group))]
        frames = cache.frames(name)
        out.append(letterbox(frames[rng.integers(len(frames))]))
    return np.stack(out)


def tensors(kind, batch, embedding=0):
    """The manifest's inputs and outputs of the encoder or the head."""
    f, g, t, k = config.FEATURES + embedding, config.SCENE, config.TICKS, len(config.CLASSES)
    picture = ["u8", [batch, config.HEIGHT, config.WIDTH, 3]]
    table = {
        "encoder": ([["frame", "frame", *picture], ["previous", "previous", *picture]],
                    [["people", "people", "f32", [batch, config.PEOPLE, f]], ["scene", "scene", "f32", [batch, g]]]),
        "head": ([["person", "person", "f32", [batch, t, f]], ["scene", "scene", "f32", [batch, t, g]],
                  ["mask", "mask", "f32", [batch, t, 2]]], [["logits", "logits", "f32", [batch, k]]])}[kind]
    keys = ("name", "role", "dtype", "shape")
    return {side: [dict(zip(keys, row, strict=True)) for row in rows] for side, rows in zip(("inputs", "outputs"), table, strict=True)}


def commit():
    """The commit of this recipe, "-dirty" behind it where files differ from it; "unknown" where there is no git."""
    try:
        return subprocess.run(["git", "-C", Path(__file__).parent, "describe", "--always", "--dirty"], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def rules(standing):
    """What of the manifest `standing` stays where nothing was chosen anew."""
    return {**{key: standing.get(key) for key in ("temperature", "policy", "second_look")}, "scene_row": standing["head"].get("scene_row", False)}


def manifest(folder, choice, data, version):
    parts = {}
    for kind, batch, precision in (("encoder", "batch", "int8"), ("head", "rows", "fp32")):
        file = f"{kind}.onnx"
        parts[kind] = {"file": file, "sha256": sha256(folder / file), "opset": config.OPSET, "precision": precision, **tensors(kind, batch)}
    parts["head"]["scene_row"] = choice.get("scene_row", False)
    policy, second = choice.get("policy", POLICY), choice.get("second_look", config.SECOND_LOOK)
    if second and second["from"] > min(rule["enter"] for rule in policy.values()):
        raise SystemExit(f"the second look begins at {second['from']}, above a bar of the policy: alerts would come by one look. "
                         "Lower SECOND_LOOK in config.py, or choose another policy")
    return {
        "schema": 1, "name": "falld-pose", "version": version, "classes": list(config.CLASSES),
        "frame": {"width": config.WIDTH, "height": config.HEIGHT, "channels": "rgb", "fit": "letterbox", "pad": config.PAD},
        "clip": {"ticks": config.TICKS, "rate_hz": config.RATE, "min_ticks": config.MIN_TICKS, "hold_ticks": config.HOLD_TICKS},
        "people": {"max": config.PEOPLE, "keypoints": config.JOINTS, "embedding": 0},
        "tracker": config.TRACKER, **parts,
        "temperature": choice.get("temperature", 1.0), "policy": policy, **({"second_look": second} if second else {}),
        "probe": {},
        "provenance": {"commit": commit(), "created": datetime.date.today().isoformat(), "seed": config.SEED, "data": data, "scores": {}}}


def trained_head(lab, out, head, keep_head):
    """The file of the head that goes into the bundle, or None if that is the one that stands at `out`, or an untrained one."""
    path = lab / (head or "head.pt")
    if head and not path.exists():
        raise SystemExit(f"--head: {path} is missing. Train it (`head_train.py --out {head}`), or leave --head out: then it is {lab / 'head.pt'}, or the head of {out}")
    if keep_head and not (out / "head.onnx").exists():
        raise SystemExit(f"--keep-head: no bundle stands at {out} whose head could stay. Name it by --out, or leave --keep-head out")
    return path if path.exists() and not keep_head else None


def build(lab, out, data, version, keep_encoder=False, trained="encoder_grown.pt", start=None, head=None, keep_head=False):
    """Makes the bundle at `out`; the one that stood there is replaced only by a complete one. With `keep_encoder` its
    encoder stays, and only the head is new. Else it is `lab/trained`, or, with `lab/start`, from which it was trained on, half way back.
    The head is `lab/head`, which must be there if it is named; with `keep_head`, or where there is no `lab/head.pt`, that of `out` stays."""
    torch.manual_seed(config.SEED)
    choice = json.loads((lab / "choice.json").read_text()) if (lab / "choice.json").exists() else {}
    standing = json.loads((out / "manifest.json").read_text()) if (out / "manifest.json").exists() else None
    learnt = trained_head(lab, out, head, keep_head)
    if standing and standing["people"]["embedding"] and (keep_encoder or not learnt):
        raise SystemExit(f"{out} has what `ground.py` added: take it out (`bare.py`), build on what is left, and add it again")
    if standing and "policy" not in choice:  # `choose.py` has not been here
        choice = {**rules(standing), **choice}
    new = begun(out)
    if keep_encoder:
        shutil.copy(out / "encoder.onnx", new / "encoder.onnx")
    else:
        pictures, net = calibration(lab), encoder.load(lab / trained)
        if start:
            net.load_state_dict(between(encoder.load(lab / start).state_dict(), net.state_dict()))
        export.encoder(even(net, pictures), lab / "encoder_fp32.onnx")
        quantise(lab / "encoder_fp32.onnx", new / "encoder.onnx", pictures, choice.get("calibration", "percentile"))
        became(lab / "encoder_fp32.onnx", new / "encoder.onnx")
    if learnt:
        export.head(Mirrored(restore(torch.load(learnt, weights_only=True)["ship"])), new / "head.onnx")
    elif (out / "head.onnx").exists():
        shutil.copy(out / "head.onnx", new / "head.onnx")
    else:
        export.head(Mirrored(Head()), new / "head.onnx")
    about = manifest(new, choice, data, version)
    if other := of_others(choice, about):
        print(f"WARNING: the policy in {lab / 'choice.json'} was chosen for another {' and another '.join(other)} than this bundle has: run `make choose export`, or move the file away")
    return finish(new, about, out)


def renewed(about, new, embedding, scores):
    """The manifest `about` for the networks that lie in the folder `new` now: with so many numbers behind each person's row, with the `scores` that
    stay counted, and without what was measured of other networks or chosen for them."""
    about["people"]["embedding"] = embedding
    for part, batch in (("encoder", "batch"), ("head", "rows")):
        about[part] |= {"sha256": sha256(new / f"{part}.onnx"), **tensors(part, batch, embedding)}
    source = about["provenance"]
    source |= {"commit": commit(), "created": datetime.date.today().isoformat(), "scores": stamped(scores, about)}
    for of_another in ("measured", "chosen_on"):
        source.pop(of_another, None)
    return about


def begun(out):
    """An empty folder beside `out`, with a card that says that nothing is measured; `finish` puts it there."""
    new = out.with_name(out.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    (new / "CARD.md").write_text(UNMEASURED)
    return new


def finish(new, about, out):
    """Puts the manifest `about`, with a probe, into the folder `new`, which lacks nothing else, and the folder in the place of `out`."""
    (new / "manifest.json").write_text(json.dumps(about, indent=2) + "\n")
    made = Bundle(new)
    about["probe"] = probe.facts(about, made.encode, made.logits)
    if about["probe"]["person"]["row"][config.SCORE] < about["tracker"]["start_score"]:
        raise SystemExit(f"the encoder does not find the person drawn in the probe: {about['probe']['person']['row'][config.SCORE]}")
    (new / "manifest.json").write_text(json.dumps(about, indent=2) + "\n")
    old = out.with_name(out.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
    new.rename(out)
    shutil.rmtree(old, ignore_errors=True)
    return about


def fingerprints(data):
    """One hash a data folder: of the sorted (name, hash) pairs of its clips."""
    out = {}
    for folder in ("gmdcsa24", "t2v_bed", "climb", "rooms"):
        files = sorted((data / folder).iterdir())
        out[folder] = hashlib.sha256("".join(f"{f.name} {sha256(f)}\n" for f in files).encode()).hexdigest()
    return out


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--lab", type=Path, required=True)
    args.add_argument("--data", type=Path, required=True)
    args.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "bundle")
    args.add_argument("--version", default="0.0.0", help="the bundle's own, as its manifest and falld name it")
    args.add_argument("--keep-encoder", action="store_true", help="take over the encoder that stands there")
    args.add_argument("--encoder", default="encoder_grown.pt", help="weights in LAB")
    heads = args.add_mutually_exclusive_group()
    heads.add_argument("--head", help="weights in LAB (default: head.pt if it is there, else the head that stands there)")
    heads.add_argument("--keep-head", action="store_true", help="take over the head that stands there")
    args.add_argument("--start", help="weights in LAB that the encoder was trained on from; what ships lies half way")
    args = args.parse_args()
    about = build(args.lab, args.out, fingerprints(args.data), args.version, args.keep_encoder, args.encoder, args.start, args.head, args.keep_head)
    size = sum(f.stat().st_size for f in args.out.iterdir())
    print(f"{args.out}: {size / 1e6:.2f} MB, probe {about['probe']['logits']}")


if __name__ == "__main__":
    main()
