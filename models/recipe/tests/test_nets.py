"""Decoding, losses, export and the probe."""

import numpy as np
import onnx
import pytest
import torch

import config
import export
import probe
from encoder_train import imitation, lesson, targets, told
from motions import FALL, FALLEN, IGNORE, NORMAL, judge
from nets.decode import decode
from nets.encoder import Encoder, motion_grid
from nets.head import Head, Mirrored, exported, folded, mirror, restore
from nets.movenet import HEADS, MoveNet, around
from prune import V3
from quantise import assert_integer, quantise

H, W = config.HEIGHT // config.STRIDE, config.WIDTH // config.STRIDE


@pytest.fixture(scope="module")
def pose():
    torch.manual_seed(0)
    return MoveNet(V3).eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("onnx")


def session(path):
    import runtime
    return runtime.session(path)


def maps(people):
    """Dense maps that say: people with centre (y, x), size (h, w) in cells, joints on a line down the middle."""
    out = {k: torch.zeros(1, c, H, W) for k, c in HEADS.items()}
    out["centre"] -= 9
    out["heat"] -= 9
    for (y, x), (h, w) in people:
        out["centre"][0, 0, y, x] = 3
        out["size"][0, :, y, x] = torch.tensor([float(h), float(w)])
        for j in range(17):
            dy = round((j - 8) * h / 20)
            out["regress"][0, 2 * j, y, x] = dy + 1  # one cell wrong: the heat map must mend it
            out["heat"][0, j, y + dy, x] = 2
            out["kpt_offset"][0, 2 * j, y + dy, x] = 0.5
    return out


def test_decode_finds_two_people_and_mends_their_joints():
    people = decode(maps([((24, 20), (30, 10)), ((20, 45), (20, 8))]))[0]
    found = people[people[:, 55] > 0.3]
    assert len(found) == 2
    box = found[found[:, 52] < 0.4][0][51:55]
    assert torch.allclose(box, torch.tensor([9 / H, 15 / W, 39 / H, 25 / W]), atol=1e-5)
    joints = found[found[:, 52] < 0.4][0][:51].reshape(17, 3)
    expected = torch.tensor([(24 + round((j - 8) * 30 / 20) + 0.5) / H for j in range(17)])
    assert torch.allclose(joints[:, 0], expected, atol=1e-5)


def test_people_come_best_first_and_doubles_go():
    m = maps([((24, 20), (30, 10)), ((24, 26), (30, 20))])
    m["centre"][0, 0, 24, 26] = 1
    m["offset"][0, 1, 24, 26] = -6
    m["size"][0, :, 24, 26] = torch.tensor([30.0, 10.0])
    people = decode(m)[0]
    assert (people[:-1, 55] >= people[1:, 55]).all()
    assert (people[:, 55] > 0.2).sum() == 1


def test_imitating_perfectly_costs_nothing(pose):
    with torch.no_grad():
        features, out = pose(torch.rand(2, 3, 192, 256) * 255)
    loss = imitation(features, out, features, out)
    assert all(abs(v.item()) < 1e-5 for v in loss.values())


def standing(y, x, tall):
    """Known people (1,4,F): one, whose joints stand in a column of cells."""
    known = np.zeros((1, 4, config.FEATURES), np.float32)
    joints = known[0, 0, :51].reshape(17, 3)
    joints[:] = np.stack([(y + np.linspace(0.05, 0.95, 17) * tall) / H, np.full(17, x / W), np.ones(17)], 1)
    known[0, 0, 51:] = [y / H, (x - tall / 6) / W, (y + tall) / H, (x + tall / 6) / W, 1]
    return torch.from_numpy(known)


def test_heads_say_at_a_few_cells_what_their_maps_say_there(pose):
    features = torch.rand(2, 24, 7, 9)
    rows, cols = torch.tensor([[0, 3, 6, 6], [2, 0, 6, 3]]), torch.tensor([[0, 4, 8, 0], [5, 8, 7, 3]])  # corners and edges as well
    with torch.no_grad():
        whole, there = pose.heads(features), pose.heads(around(features, rows, cols), ("size", "kpt_offset"), spots=True)
    assert list(there) == ["size", "kpt_offset"]
    for name, said in there.items():
        for b in range(2):
            assert torch.allclose(said[b, :, 0], whole[name][b][:, rows[b], cols[b]], atol=1e-5), name


def test_the_encoder_says_what_decoding_its_whole_maps_says(random_weights):
    net = random_weights(MoveNet(V3))
    frame = torch.randint(0, 256, (2, config.HEIGHT, config.WIDTH, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        people, whole = Encoder(net)(frame, frame)[0], decode(net(frame.permute(0, 3, 1, 2).float())[1], config.PEOPLE)
    assert (whole[:, 1:, :51] - whole[:, :1, :51]).abs().amax(2).min() > 0.01, "four people apart"
    assert torch.allclose(people, whole, rtol=1e-3, atol=1e-3)


def test_the_maps_of_known_people_decode_to_them():
    known = standing(8.3, 20.6, 30)
    known[0, 0, 5 * 3 + 2] = 0.3  # a shoulder behind something
    target, care = told(known, H, W)
    found = decode(target)[0, 0]
    assert torch.allclose(found[51:55], known[0, 0, 51:55], atol=1e-3)
    joints = found[:51].reshape(17, 3)
    assert torch.allclose(joints[:, :2], known[0, 0, :51].reshape(17, 3)[:, :2], atol=1e-3)
    assert joints[5, 2] < 0.3 < joints[6, 2] and care.all()


def test_of_whom_too_little_shows_nothing_is_told():
    known = standing(8, 20, 30)
    known[0, 0, 55] = 0.1
    target, care = told(known, H, W)
    assert torch.sigmoid(target["centre"]).max() < 0.01
    assert not care[0, 0, 10:36, 17:23].any() and care[0, 0, :, 40:].all()


def test_the_teacher_is_asked_only_about_whom_nobody_knows():
    asked = []

    def teacher(pictures):
        asked.append(pictures.flatten(1).mean(1).tolist())
        return torch.ones(len(pictures), 24, H, W), {name: torch.ones(len(pictures), n, H, W) for name, n in HEADS.items()}

    known = torch.cat([standing(8, 20, 30), torch.full((1, 4, config.FEATURES), torch.nan), torch.zeros(1, 4, config.FEATURES)])
    picture = torch.ones(config.HEIGHT, config.WIDTH, 3, dtype=torch.uint8)
    seen, clean, target, care = lesson([(k * picture, (10 + k) * picture, rows) for k, rows in enumerate(known)])
    assert seen[:, 0, 0, 0].tolist() == [11, 10, 12] and clean[:, 0, 0, 0].tolist() == [1] and len(care) == 3
    features, target = targets(teacher, clean.permute(0, 3, 1, 2).float(), target)
    assert asked == [[1.0]] and len(features) == 1
    greatest = torch.sigmoid(target["centre"]).amax((1, 2, 3)).tolist()
    assert greatest == pytest.approx([torch.sigmoid(torch.tensor(1.0)).item(), 0.9, 1e-4], abs=0.06)


def test_a_batch_of_known_people_alone_costs_what_its_maps_cost(pose):
    picture = torch.zeros(config.HEIGHT, config.WIDTH, 3, dtype=torch.uint8)
    _, clean, target, care = lesson([(picture, picture, rows) for rows in standing(8, 20, 30).expand(2, -1, -1)])
    nothing, target = targets(None, clean, target)
    loss = imitation(torch.ones(2, 24, H, W), target, nothing, target, care=care)
    assert nothing is None and not len(clean)
    assert all(abs(v.item()) < 1e-4 for v in loss.values())


def test_motion_grid_sees_where_it_moved():
    a = torch.full((1, 3, config.HEIGHT, config.WIDTH), 100.0)
    b = a.clone()
    b[..., :16, 32:48] = 160
    moved, light = motion_grid(b, a)[0].reshape(2, *config.GRID)
    assert moved[0, 2] > 0.5 and moved.sum() == moved[0, 2]
    assert light[1, 1].item() == pytest.approx(100 / 255, abs=1e-5)


def test_an_unseen_fall_is_unknown():
    ticks = np.array([[NORMAL] * 10 + [FALL] * 5 + [FALLEN] * 5] * 2)
    seen = np.ones_like(ticks, bool)
    seen[1, 8:16] = False
    got = judge(ticks, seen, np.zeros_like(seen))
    assert got[0, -1] == FALLEN and got[1, -1] == IGNORE and got[1, 0] == NORMAL


def test_mirroring_twice_changes_nothing():
    person, seen = torch.rand(2, 5, config.FEATURES), torch.ones(2, 5, 1)
    assert torch.allclose(mirror(mirror(person, seen), seen), person, atol=1e-6)


def test_the_left_wrist_is_the_right_one_of_the_mirrored_picture_and_who_was_not_seen_is_nowhere():
    person, seen = torch.rand(1, 2, config.FEATURES), torch.tensor([[[1.0], [0.0]]])
    person[0, 0, 3 * 9 : 3 * 10], person[0, 0, 51:] = torch.tensor([0.2, 0.3, 0.9]), torch.tensor([0.1, 0.2, 0.6, 0.5, 0.7])
    other = mirror(person, seen)
    assert torch.allclose(other[0, 0, 3 * 10 : 3 * 11], torch.tensor([0.2, 0.7, 0.9]))
    assert torch.allclose(other[0, 0, 51:], torch.tensor([0.1, 0.5, 0.6, 0.8, 0.7])) and not other[0, 1].any()


def test_the_head_does_not_care_where_in_the_batch_a_row_stands():
    net = Head().eval()
    args = [torch.rand(3, config.TICKS, config.FEATURES), torch.rand(3, config.TICKS, config.SCENE), torch.ones(3, config.TICKS, 2)]
    with torch.no_grad():
        whole, alone = net(*args), net(*(a[1:2] for a in args))
    assert torch.allclose(whole[1:2], alone, atol=1e-5)


def test_a_mirrored_head_says_of_the_mirrored_picture_what_it_says_of_the_picture():
    torch.manual_seed(2)
    plain = Head().eval()
    net, seen = Mirrored(plain), (torch.rand(3, config.TICKS, 1) < 0.8).float()
    mask = torch.cat([torch.ones_like(seen), seen], -1)
    person, scene = torch.rand(3, config.TICKS, config.FEATURES) * seen, torch.rand(3, config.TICKS, config.SCENE)
    other = mirror(person, seen)
    across = scene.unflatten(-1, (2, *config.GRID)).flip(-1).flatten(-3)
    with torch.no_grad():
        one, two = plain(person, scene, mask), plain(other, across, mask)
        assert not torch.allclose(one, two, atol=1e-3)
        for rows in ((person, scene), (other, across)):
            assert torch.allclose(net(*rows, mask), (one + two) / 2, atol=1e-5)


@pytest.mark.parametrize("make", (Head, lambda: Mirrored(Head())))
def test_the_head_is_the_same_in_onnx(folder, make):
    torch.manual_seed(1)
    net = make().eval()
    path = export.head(net, folder / "head.onnx")
    args = [torch.rand(4, config.TICKS, config.FEATURES), torch.rand(4, config.TICKS, config.SCENE), torch.ones(4, config.TICKS, 2)]
    feed = dict(zip(("person", "scene", "mask"), (a.numpy() for a in args), strict=True))
    with torch.no_grad():
        assert np.allclose(session(path).run(None, feed)[0], net(*args).numpy(), atol=1e-4)


def test_the_encoder_is_the_same_in_onnx_and_integer_after_quantising(pose, folder):
    path = export.encoder(pose, folder / "encoder.onnx")
    frames = np.stack([probe.frame(t) for t in range(4)])
    got = session(path).run(["people", "scene"], {"frame": frames, "previous": frames[::-1].copy()})
    with torch.no_grad():
        want = Encoder(pose)(torch.from_numpy(frames), torch.from_numpy(frames[::-1].copy()))
    assert np.allclose(got[1], want[1].numpy(), atol=1e-5)
    assert np.allclose(got[0][..., 55], want[0][..., 55].numpy(), atol=1e-3)
    small = quantise(path, folder / "int8.onnx", frames)
    assert_integer(onnx.load(small))
    assert small.stat().st_size < 3e6
    bright = 255 - frames  # no level is cut or moved, though no picture of the calibration had it
    scenes = [session(p).run(["scene"], {"frame": bright, "previous": frames})[0] for p in (path, small)]
    assert np.allclose(*scenes, atol=1e-5)
    one = session(small).run(["people"], {"frame": frames[:1], "previous": frames[:1]})[0]
    many = session(small).run(["people"], {"frame": frames, "previous": frames})[0]
    assert np.allclose(one[0], many[0], atol=1e-4)


@pytest.mark.parametrize("ships", (lambda head: head, Mirrored))
def test_a_bundles_head_is_taken_up_again_with_the_same_logits(folder, ships):
    torch.manual_seed(3)
    head = folded(Head())
    export.head(ships(head), folder / "again.onnx")
    inputs = (torch.rand(2, config.TICKS, config.FEATURES), torch.rand(2, config.TICKS, config.SCENE), torch.ones(2, config.TICKS, 2))
    again = exported(folder / "again.onnx").eval()
    with torch.no_grad():
        expected = head(*inputs)
        assert torch.allclose(again(*inputs), expected, atol=1e-4)
        assert torch.allclose(restore(again.state_dict()).eval()(*inputs), expected, atol=1e-4)
