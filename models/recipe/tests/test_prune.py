"""Pruning by least squares, and windows of simulated movements."""

import numpy as np
import pytest
import torch

import config
from motions import hidden, project, smooth_noise, spells
from nets.movenet import FULL, MoveNet
from prune import SLIM, V3, choose, principal, slim, solve


def test_solve_finds_the_line_it_was_made_from():
    torch.manual_seed(0)
    z = torch.randn(2000, 6, dtype=torch.float64)
    w, b = torch.randn(3, 6, dtype=torch.float64), torch.randn(3, dtype=torch.float64)
    got_w, got_b = solve(z, z @ w.T + b)
    assert torch.allclose(got_w, w, atol=1e-3) and torch.allclose(got_b, b, atol=1e-3)


def test_the_useful_channels_are_kept():
    torch.manual_seed(0)
    z = torch.randn(2000, 12, dtype=torch.float64)
    y = z[:, [2, 5, 7]] @ torch.randn(3, 4, dtype=torch.float64)
    assert choose(z, y, 3).tolist() == [2, 5, 7]


def test_principal_axes_hold_what_varies():
    torch.manual_seed(0)
    rows = torch.randn(3000, 2, dtype=torch.float64) @ torch.randn(2, 8, dtype=torch.float64) + 3
    mean, axes = principal(rows, 2)
    assert torch.allclose((rows - mean) @ axes @ axes.T + mean, rows, atol=1e-8)


@pytest.mark.parametrize("widths", [SLIM, V3])
def test_a_slim_network_has_the_widths_and_outputs_it_should(widths):
    torch.manual_seed(0)
    teacher = MoveNet(FULL).eval()
    pictures = np.random.default_rng(0).integers(0, 256, (4, config.HEIGHT, config.WIDTH, 3), np.uint8)
    net = slim(teacher, widths, pictures)
    assert [b[0].out_channels for b in net.blocks] == [row[0] for row in widths["blocks"]]
    with torch.inference_mode():
        features, maps = net(torch.zeros(1, 3, config.HEIGHT, config.WIDTH))
    assert features.shape == (1, 24, 48, 64) and maps["heat"].shape == (1, 17, 48, 64)
    assert all(torch.isfinite(m).all() for m in maps.values())


def test_noise_has_the_spread_it_says():
    rng = np.random.default_rng(0)
    noise = smooth_noise(rng, (400, 64, 3), 8)
    assert abs(noise.std() - 1) < 0.05
    assert abs(spells(rng, np.full((400, 64), 0.2), 5).mean() - 0.2) < 0.02


def test_a_person_in_front_of_the_camera_is_in_the_picture():
    rng = np.random.default_rng(0)
    joints = np.repeat(np.linspace(0, 1.7, 17)[None, None, :, None] * np.array([0, 0, 1.0]), 64, 1).repeat(200, 0)
    flat, depth = project(rng, joints)
    upright = flat[..., 0].argmin(-1) > 8  # higher joints are further up in the picture
    assert (depth > 0).mean() > 0.6 and upright.mean() > 0.9
    assert hidden(rng, flat).mean() < 0.4
