"""Who is up on something: seen around a person's feet, heard by the head, and nothing else says anything else."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import card
import config
from aloft_train import Backbone, filmed, train
from bare import bare
from bundle import build, finish
from evaluate import stamp
from frames import letterbox, read
from ground import grounded, kept
from nets.aloft import CHANNELS, SPOTS, Aloft, spots
from nets.head import SPAN, Grounded
from resume import sha256
from stream import Bundle, encode_clip, one_look, replay

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = ROOT / "models/bundle"
F = config.FEATURES
HEARD = 2.0, -1.0  # weight and bar: an untrained network says about nothing, and so two nats for climbs


@pytest.fixture(scope="module")
def pictures():
    return np.stack([letterbox(p) for _, p in read(ROOT / "tests/data/fall.mp4")][::16])


@pytest.fixture(scope="module")
def bundle(pictures, tmp_path_factory):
    """What ships, with an untrained network in the place of what it has."""
    folder = tmp_path_factory.mktemp("grounded") / "bundle"
    shutil.copytree(SHIPPED, folder)
    torch.manual_seed(0)
    about = grounded(SHIPPED, folder, Aloft().eval(), pictures, *HEARD, (0.8, 12, 15), "9.9.9")
    (folder / "manifest.json").write_text(json.dumps(about))
    return Bundle(folder)


def test_what_is_learnt_from_is_what_is_looked_at():
    torch.manual_seed(0)
    net, people = Aloft().eval(), torch.rand(2, 4, F) * 1.4 - 0.2
    streams = [torch.randn(2, c, h, w) for c, (h, w) in zip(CHANNELS, ((12, 16), (6, 8)), strict=True)]
    whole = net(streams, people)
    for b in range(2):
        near = [Backbone._around(s[b].numpy(), spots(people)[b].transpose(0, 1), 0) for s in streams]
        assert not all(inside.all() for _, inside in near), "somebody stands at the edge"
        alone = net.patches(*([torch.from_numpy(part[i]).float() for part in near] for i in (0, 1)))
        assert torch.allclose(whole[b, :, 0], alone, atol=1e-5)


def test_a_person_is_looked_at_around_feet_hips_and_the_boxs_lower_edge():
    row = torch.zeros(1, 1, F)
    joints = row[0, 0, :51].view(17, 3)
    joints[11:13, :2], joints[15, :2], joints[16, :2] = torch.tensor([0.5, 0.4]), torch.tensor([0.8, 0.3]), torch.tensor([0.9, 0.5])
    row[0, 0, 51:55] = torch.tensor([0.1, 0.2, 0.95, 0.6])
    assert torch.allclose(spots(row)[0, :, 0], torch.tensor([[0.85, 0.4], [0.5, 0.4], [0.95, 0.4]]))


def test_what_is_learnt_from_is_said_by_the_encoder_that_ships():
    clip, backbone = ROOT / "tests/data/everyday.mp4", Backbone(SHIPPED / "encoder.onnx")
    frame = letterbox(next(read(clip))[1])
    people, near = backbone(frame)
    assert np.array_equal(people, Bundle(SHIPPED).encode(frame[None], frame[None])[0][0])
    assert [patch.shape for patch, _ in near] == [(4, c, 3, 3 * SPOTS) for c in CHANNELS]
    rows, label = filmed(backbone, clip)
    assert len(rows) > 4 and not any(label) and all(patch.std() > 1 for patch, _ in rows[0])


def test_it_learns_what_stands_under_the_feet():
    rng = np.random.default_rng(0)
    label = rng.random(600) < 0.3
    patches = [rng.integers(100, 156, (600, c, 3, 3 * SPOTS), np.uint8) for c in CHANNELS]
    patches[0][label, :12, 1, 1] = 250
    inside = [np.ones((600, 1, 3, 3 * SPOTS), bool) for _ in CHANNELS]
    others = ([p[~label] for p in patches], [i[~label] for i in inside], label[~label])
    net = train((patches, inside, label), others, [(0.03, 128.0)] * 2, 150, 0, size=64)
    with torch.no_grad():
        said = net.patches([(torch.from_numpy(p).float() - 128) * 0.03 for p in patches], [torch.from_numpy(i).float() for i in inside]).numpy()
    assert said[label].mean() > said[~label].mean() + 2


def test_only_what_was_added_is_new(bundle, pictures):
    before, after = Bundle(SHIPPED).encode(pictures[1:], pictures[:-1]), bundle.encode(pictures[1:], pictures[:-1])
    assert after[0].shape[-1] == F + config.EMBEDDING and np.abs(after[0][..., F:]).max() > 0
    assert np.array_equal(before[0][..., :F], after[0][..., :F]) and np.array_equal(before[1], after[1])


def test_the_scores_of_falls_are_what_they_were_and_climbs_are_not(bundle):
    clip = ROOT / "tests/data/fall.mp4"
    before, after = (np.array(replay(one_look(b.manifest), b.logits, encode_clip(b.encode, read(clip)))) for b in (Bundle(SHIPPED), bundle))
    assert before[:, 1].max() > 0.8
    assert np.abs(before[:, 1] - after[:, 1]).max() < 1e-5
    assert np.abs(before[:, 2] - after[:, 2]).max() > 0.01


def test_the_manifest_tells_of_it(bundle):
    about = bundle.manifest
    assert about["people"]["embedding"] == config.EMBEDDING and about["version"] == "9.9.9"
    assert about["encoder"]["outputs"][0]["shape"][-1] == about["head"]["inputs"][0]["shape"][-1] == F + config.EMBEDDING
    assert not {"measured", "chosen_on"} & {*about["provenance"]}, "of another encoder, and of another policy"
    assert about["policy"]["climb"] == {"enter": 0.8, "exit": 0.4, "k": 12, "n": 15}


def test_falls_that_were_counted_before_stay_counted_and_climbs_do_not():
    old = {"close by: falls": {"seen": 27, "climb_alerts": 3}, "validation: climbs": {"clips": 87, "climb_alerts": 56}, "rendered climbs": {"climb_alerts": 21}}
    assert kept(old) == {"close by: falls": {"seen": 27, "climb_alerts": None}, "validation: climbs": {"clips": 87, "climb_alerts": None}}
    assert card.climbs(kept(old), "validation:") == card.MISSING


def test_of_two_looks_nothing_stays_counted_for_what_is_climbed_begins_the_second(bundle):
    old = {"close by: falls": {"seen": 27}, "validation: falls": {"seen": 3}, "validation, one look: falls": {"seen": 103, "climb_alerts": 1}, "rendered falls": {"seen": 19}}
    assert kept(old, {"from": 0.4, "frames": 15}) == {"validation, one look: falls": {"seen": 103, "climb_alerts": None}}
    scores = bundle.manifest["provenance"]["scores"]
    assert sorted(scores) == sorted(f"validation, one look: {kind}" for kind in card.KINDS)
    assert {row["of"] for row in scores.values()} == {stamp(bundle.manifest)}, "as counted with the new networks"


def test_what_another_policy_counted_before_does_not_stay(pictures, tmp_path):
    old = shutil.copytree(SHIPPED, tmp_path / "old")
    about = json.loads((old / "manifest.json").read_text())
    about["policy"]["fall"]["k"] += 1
    (old / "manifest.json").write_text(json.dumps(about))
    (tmp_path / "new").mkdir()
    assert not grounded(old, tmp_path / "new", Aloft().eval(), pictures, *HEARD)["provenance"]["scores"]


def test_it_is_added_once_and_to_what_is_built(bundle, pictures, tmp_path):
    torch.manual_seed(0)
    grounded(bundle.folder, tmp_path, Aloft().eval(), pictures, *HEARD)
    for part in ("encoder.onnx", "head.onnx"):
        assert sha256(tmp_path / part) == sha256(bundle.folder / part), "it takes the place of the one before"
    with pytest.raises(SystemExit, match="take it out .* and add it again"):
        build(tmp_path, bundle.folder, {}, "9.9.9", keep_encoder=True)


def test_what_was_added_can_be_taken_out(bundle, pictures, tmp_path):
    (tmp_path / "new").mkdir()
    about = finish(tmp_path / "new", bare(bundle.folder, tmp_path / "new"), tmp_path / "bundle")
    with_it, without = bundle.encode(pictures[1:], pictures[:-1]), Bundle(tmp_path / "bundle").encode(pictures[1:], pictures[:-1])
    assert without[0].shape[-1] == F and about["people"]["embedding"] == 0
    assert np.allclose(with_it[0][..., :F], without[0], atol=1e-5) and np.array_equal(with_it[1], without[1])
    clip = ROOT / "tests/data/fall.mp4"
    before, after = (np.array(replay(one_look(b.manifest), b.logits, encode_clip(b.encode, read(clip)))) for b in (bundle, Bundle(tmp_path / "bundle")))
    assert before[:, 1].max() > 0.8 and np.abs(before[:, 1] - after[:, 1]).max() < 1e-5
    assert not {"measured", "chosen_on"} & {*about["provenance"]} and not about["provenance"]["scores"]
    with pytest.raises(SystemExit, match="has nothing that"):
        bare(tmp_path / "bundle", tmp_path / "new")


class Says(torch.nn.Module):
    """A head that says the same of everybody."""

    def forward(self, person, scene, mask):
        assert person.shape[-1] == F
        return torch.tensor([[1.0, -1.0, 0.5, 0.3]]).expand(len(person), -1)


def asked(aloft, seen=1.0, weight=1.0, bar=-1.0):
    person, mask = torch.zeros(1, config.TICKS, F + 1), torch.ones(1, config.TICKS, 2)
    person[..., F], mask[..., 1] = aloft * seen, seen
    return torch.softmax(Grounded(Says(), weight, bar)(person, torch.zeros(1, config.TICKS, config.SCENE), mask)[0], -1)


def test_who_is_up_on_something_climbs_sooner_and_falls_as_soon():
    plain = torch.softmax(Says()(torch.zeros(1, 1, F), None, None)[0], -1)
    assert torch.allclose(asked(-1.0), plain, atol=1e-6), "at the bar it says nothing"
    high, low = asked(3.0), asked(-4.0)
    assert torch.allclose(high[1:3], plain[1:3], atol=1e-6) and torch.allclose(low[1:3], plain[1:3], atol=1e-6)
    assert low[3] < plain[3] < high[3] and torch.isclose(high.sum(), torch.tensor(1.0))
    assert torch.isclose(torch.logit(high[3] / (high[0] + high[3])) - torch.logit(plain[3] / (plain[0] + plain[3])), torch.tensor(4.0), atol=1e-4)


def test_of_whom_nobody_sees_nothing_is_said():
    assert torch.allclose(asked(3.0, seen=0.0), asked(-1.0), atol=1e-6)
    seen = torch.zeros(config.TICKS)
    seen[-SPAN] = 1
    assert torch.allclose(asked(3.0, seen=seen), asked(3.0), atol=1e-5), "one tick of the last ones is enough"
    seen[-SPAN], seen[-SPAN - 1] = 0, 1
    assert torch.allclose(asked(3.0, seen=seen), asked(-1.0), atol=1e-6)
