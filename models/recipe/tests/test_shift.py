"""The trial of temporal shift: the shifted network, and what its batches hold."""

import numpy as np
import pytest
import torch

import augment
import config
from grow import V3
from nets.mobilenet import MobileNetV3
from nets.shift import SHARE, Shifted
from shift_trial import SIZE, Batches, cached, earlier, people


@pytest.fixture
def pictures():
    return np.random.default_rng(0).integers(0, 256, (3, config.HEIGHT, config.WIDTH, 3), np.uint8)


def both(random_weights):
    plain = random_weights(MobileNetV3(V3)).eval()
    shifted = Shifted(V3).eval()
    shifted.load_state_dict(plain.state_dict())
    return plain, shifted


def test_with_nothing_moved_the_shifted_network_says_what_the_plain_one_says(random_weights, pictures):
    plain, shifted = both(random_weights)
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        features, maps = plain(x)
        still, maps_still = shifted(torch.cat([x, x]))
        moved, _ = shifted(torch.cat([x.flip(0), x]))
    torch.testing.assert_close(still, features)
    torch.testing.assert_close(maps_still["heat"], maps["heat"])
    assert not torch.allclose(moved, features), "the earlier picture is heard"
    assert np.allclose(people(shifted, pictures, pictures), people(plain, pictures, pictures), atol=1e-4)


def test_a_stream_carries_an_eighth_of_what_residual_blocks_read():
    inputs, net = [], Shifted(V3).eval()
    for expand, depth, project in net.blocks:
        if expand.in_channels == project.out_channels and depth.stride[0] == 1:
            expand.register_forward_hook(lambda m, x, y: inputs.append(x[0][:1, : x[0].shape[1] // SHARE].numel()))
    with torch.no_grad():
        net(torch.zeros(2, 3, config.HEIGHT, config.WIDTH))
    assert inputs and net.state(config.HEIGHT, config.WIDTH) == sum(inputs)


def test_the_past_is_a_tick_old_whatever_the_camera_s_rate():
    for fps, back in ((30, 2), (15, 1), (10, 1), (7.5, 1), (60, 4)):
        assert earlier([i / fps for i in range(20)], 10) == 10 - back, fps
    assert earlier([0, 1 / 30], 1) == 0, "nothing is older"


def test_what_was_kept_of_other_clips_is_not_taken(tmp_path):
    kept, make = tmp_path / "kept.npz", lambda: {"a": np.zeros(3), "b": np.ones(2)}
    for _ in range(2):
        a, b = cached(kept, [tmp_path / "1.json"], make)
        assert a.sum() == 0 and b.sum() == 2
    with pytest.raises(SystemExit, match="other clips"):
        cached(kept, [tmp_path / "2.json"], make)


def test_neighbours_are_spoiled_alike_but_for_the_noise():
    picture = np.full((config.HEIGHT, config.WIDTH, 3), 128, np.uint8)
    seeds = range(12)
    one, same, other = ([augment.spoil(np.random.default_rng(s), picture, g and np.random.default_rng([s, g])) for s in seeds] for g in (1, 1, 2))
    alike = [np.array_equal(a, b) for a, b in zip(one, other, strict=True)]
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True)) and any(alike) and not all(alike)
    assert all(abs(a.mean() - b.mean()) < 2 for a, b in zip(one, other, strict=True)), "light and colour are the same"


def test_both_kinds_of_batches_learn_the_same_pictures_in_the_same_order():
    earlier, present = np.random.default_rng(0).integers(0, 256, (2, 3 * SIZE, config.HEIGHT, config.WIDTH, 3), np.uint8)
    pairs = earlier, present, np.zeros((3 * SIZE, config.PEOPLE, config.FEATURES), np.float32)
    alone, paired = (list(Batches(pairs, kind, 1)) for kind in (False, True))
    assert len(alone) == len(paired) == 3
    for (one, *_), (two, *_) in zip(alone, paired, strict=True):
        assert torch.equal(two[SIZE:], one) and not torch.equal(two[:SIZE], one)
