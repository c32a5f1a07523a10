"""The teacher: its two pathways, batches that fill a memory budget, windows of pictures, training that goes on where it was cut."""

import json
import os
import signal
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch

import config
import teacher_train
from budget import Live, fitting, step_bytes
from motions import FALL, NORMAL
from nets.slowfast import ALPHA, KERNELS, SlowFast
from rgb import Clip, Rendered, shape_of
from teacher_train import Trainer

SIDE = (32, 32)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def clips(count=1, shape=SIDE):
    return torch.randint(0, 256, (count, config.TICKS, *shape, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def put(folder, name, ticks=100, fall=70, split="train"):
    """A rendered clip as `Rendered` finds it, its pictures cached: grey grows with time, the fall begins at tick `fall`."""
    about = {"split": split, "seed": 1, "frames": ticks, "fps": 15, "width": 32, "height": 32, "people": [], "labels": []}
    (folder / f"{name}.json").write_text(json.dumps(about))
    cache = folder / "cache/32"
    cache.mkdir(parents=True, exist_ok=True)
    np.save(cache / f"{name}.npy", np.broadcast_to(np.arange(1, ticks + 1, dtype=np.uint8)[:, None, None, None], (ticks, *SIDE, 3)))
    np.savez(cache / f"{name}.npz", times=np.arange(ticks) / 15, missed=np.zeros(ticks, int), seen=np.ones(ticks, bool),
             labels=np.where(np.arange(ticks) >= fall, FALL, NORMAL).astype(np.uint8))
    return Clip(folder / f"{name}.mp4", 32, folder / "cache")


@pytest.mark.parametrize("kernels", KERNELS)
def test_a_clip_in_bytes_or_floats_gets_one_answer_in_full_precision(kernels):
    net = SlowFast("small", kernels).eval()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        whole, real = net(clips(2)), net(clips(2).float())
    assert whole.shape == (2, len(config.CLASSES)) and whole.dtype == torch.float32
    assert torch.equal(whole, real)


def test_the_fast_pathway_sees_eight_times_the_ticks_with_an_eighth_of_the_channels():
    net, seen = SlowFast("small").eval(), []
    for stage in net.stages:
        stage.slow.register_forward_hook(lambda m, i, out: seen.append(out.shape))
        stage.fast.register_forward_hook(lambda m, i, out: seen.append(out.shape))
    with torch.inference_mode():
        net(clips())
    for slow, fast in zip(seen[::2], seen[1::2], strict=True):
        assert fast[2] == ALPHA * slow[2] == config.TICKS
        assert slow[1] == 8 * fast[1]
        assert slow[3:] == fast[3:]


def test_r50_has_the_weights_of_the_published_one():
    """34.48 million with 400 classes: SlowFast 4x16, R50, in PyTorchVideo's model zoo."""
    with torch.device("meta"):
        net = SlowFast("r50")
    other_classes = (400 - len(config.CLASSES)) * (net.last.in_features + 1)
    assert sum(p.numel() for p in net.parameters()) + other_classes == pytest.approx(34.48e6, abs=0.005e6)


def test_factorising_costs_less_than_full_kernels_of_the_same_field():
    with torch.device("meta"):
        full, factorised = (sum(p.numel() for p in SlowFast("r50", kernels).parameters()) for kernels in ("full", "factorised"))
    assert factorised < 0.7 * full


def test_recomputed_stages_give_the_same_gradients_and_count_their_batch_once():
    results = []
    for recompute in (False, True):
        torch.manual_seed(0)
        net = SlowFast("small", recompute=recompute, drop=0).train()
        net(clips(2)).logsumexp(1).sum().backward()
        results.append([p.grad for p in net.parameters()] + list(net.buffers()))
    for kept, again in zip(*results, strict=True):
        assert torch.allclose(kept, again, rtol=1e-5, atol=1e-7)


def test_a_batch_fills_the_budget_and_stays_within():
    def prepare():
        return Trainer(SlowFast("small")).step

    def really(count):
        with Live() as live:
            step = prepare()
            for _ in range(2):
                step(clips(count), torch.zeros(count, dtype=torch.int64))
        return live.peak

    budget = 75 * 2**20
    count = fitting(prepare, (config.TICKS, *SIDE, 3), budget)
    assert really(count) <= budget < really(count + 1)
    assert step_bytes(prepare, (config.TICKS, 32, 64, 3), count) > budget, "larger pictures make smaller batches"


def test_a_budget_for_less_than_one_clip_is_refused():
    with pytest.raises(SystemExit, match="does not hold one clip"):
        fitting(lambda: Trainer(SlowFast("small")).step, (config.TICKS, *SIDE, 3), 2**20)


def test_pictures_keep_their_clips_shape():
    assert [shape_of(*size, 96) for size in ((240, 320), (240, 426), (320, 180))] == [(96, 128), (96, 160), (160, 96)]


def test_a_window_is_labelled_by_its_last_tick(tmp_path):
    clip = put(tmp_path, "000001")
    pictures, label = clip.window(end=68)
    assert label == NORMAL and pictures[-1, 0, 0, 0] == 68
    assert clip.window(end=76)[1] == FALL
    early, _ = clip.window(end=20)
    assert not early[:44].any() and early[44, 0, 0, 0] == 1


def test_a_twin_stands_still_before_the_fall_and_is_normal(tmp_path):
    pictures, label = put(tmp_path, "000001").window(end=90, freeze=70)
    assert label == NORMAL and (pictures[-20:] == 70).all() and pictures[-21, 0, 0, 0] == 70 and pictures[-22, 0, 0, 0] == 69


def test_what_a_killed_rendering_left_is_no_clip(tmp_path):
    put(tmp_path, "000001")
    (tmp_path / ".000002.part.json").write_text('{"split": "tra')
    assert len(Rendered(tmp_path, "train", 32, tmp_path / "cache").clips()) == 1


def test_a_shape_fills_its_own_batch(tmp_path):
    put(tmp_path, "000001")
    pictures, labels = Rendered(tmp_path, "train", 32, tmp_path / "cache").batch(np.random.default_rng(0), {SIDE: 3})
    assert pictures.shape == (3, config.TICKS, *SIDE, 3) and len(labels) == 3


def arguments(folder, **more):
    return Namespace(**{"lab": folder, "renders": folder, "cache": folder / "cache", "design": "small", "kernels": "paper", "recompute": False,
                        "side": 32, "budget_mb": 80, "steps": 4, "rate": 1e-3, "limit": None, "log_every": 1, "out": "whole.pt", "seed": 7} | more)


def test_training_that_was_cut_ends_as_if_it_had_not_been(tmp_path, monkeypatch):
    put(tmp_path, "000001")
    put(tmp_path, "000002", fall=50)
    monkeypatch.setattr(teacher_train, "fitting", lambda *_: 2)
    teacher_train.train(arguments(tmp_path), 0, 1, "cpu")

    monkeypatch.setattr(teacher_train, "SAVE_EVERY", -1)
    step = Trainer.step
    with monkeypatch.context() as cut:
        cut.setattr(Trainer, "step", lambda self, *args: step(self, *args) if self.steps_done < 2 else 1 / 0)
        with pytest.raises(ZeroDivisionError):
            teacher_train.train(arguments(tmp_path, out="cut.pt"), 0, 1, "cpu")
    teacher_train.train(arguments(tmp_path, out="cut.pt"), 0, 1, "cpu")

    whole, cut = (torch.load(tmp_path / name, weights_only=True)["net"] for name in ("whole.pt", "cut.pt"))
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


def test_two_processes_train_one_network(tmp_path):
    put(tmp_path, "000001")
    put(tmp_path, "000002", fall=50)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(Path(teacher_train.__file__)),
               "--lab", str(tmp_path), "--renders", str(tmp_path), "--cache", str(tmp_path / "cache"), "--design", "small", "--side", "32",
               "--budget-mb", "70", "--steps", "2", "--log-every", "1"]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    both = subprocess.Popen(command, env=environment, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        said, _ = both.communicate(timeout=600)
    finally:
        if both.poll() is None:
            os.killpg(both.pid, signal.SIGKILL)
    assert both.returncode == 0, said
    assert torch.load(tmp_path / "teacher.pt", weights_only=True)["step"] == 2
    first, *steps = [json.loads(line) for line in (tmp_path / "teacher.log").read_text().splitlines()]
    assert first["clips"] == 1, "each process reads its share"
    assert [row["step"] for row in steps] == [1, 2]
