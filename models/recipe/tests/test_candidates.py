"""Other temporal heads: each keeps the head's contract, and the table tells the truth about it."""

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

import config
import export
from evaluate import FREEZE
from head_candidates import Ticks, area, cost, table
from measure import session
from motions import FALL, FALLEN, NORMAL
from nets.candidates import CANDIDATES, Attention, Axial, Pooling
from nets.head import CHANNELS, J, features
from quantise import assert_integer, quantise_head


@pytest.fixture(params=CANDIDATES)
def net(request):
    """One that left its start: no two parameters are alike, which the export would store once."""
    torch.manual_seed(0)
    net = CANDIDATES[request.param]().eval().requires_grad_(False)
    for p in net.parameters():
        p += 0.02 * torch.randn_like(p)
    return net


def windows(rows=3, seed=0):
    """Plausible windows: a person who drifts, unseen at some ticks, in a camera that came up late."""
    rng = np.random.default_rng(seed)
    person = 0.5 + 0.1 * rng.standard_normal((rows, config.TICKS, config.FEATURES)).cumsum(1) / 8
    mask = np.ones((rows, config.TICKS, 2))
    mask[:, :10] = 0
    mask[:, 30:37, 1] = 0
    person, scene = person * mask[..., 1:], rng.random((rows, config.TICKS, config.SCENE)) * mask[..., :1]
    return tuple(torch.from_numpy(x.astype(np.float32)) for x in (person, scene, mask))


def named(inputs):
    return dict(zip(("person", "scene", "mask"), (x.numpy() for x in inputs), strict=True))


def exported(net, folder):
    return export.head(net, folder / "net.onnx")


def test_a_candidate_keeps_the_heads_contract(net):
    with torch.no_grad():
        last, every = net.both(*windows())
    assert last.shape == (3, len(config.CLASSES)) and every.shape == (3, config.TICKS, len(config.CLASSES))
    assert torch.isfinite(last).all() and torch.isfinite(every).all()


def test_what_was_not_seen_does_not_matter(net):
    person, scene, mask = windows()
    noisy = torch.where(mask[..., 1:] > 0, person, torch.rand_like(person))
    with torch.no_grad():
        assert torch.allclose(net(noisy, scene, mask), net(person, scene, mask), atol=1e-5)


def test_what_was_seen_matters(net):
    person, scene, mask = windows()
    fallen = person.clone()
    fallen[:, -8:, : 3 * J : 3] += 0.3
    with torch.no_grad():
        assert (net(fallen, scene, mask) - net(person, scene, mask)).abs().max() > 1e-3


def test_rows_do_not_see_each_other(net):
    inputs = windows()
    with torch.no_grad():
        assert torch.allclose(net(*inputs)[1:2], net(*(x[1:2] for x in inputs)), atol=1e-5)


def test_a_candidate_is_the_same_in_onnx(net, tmp_path):
    inputs = windows(2)
    got = session(exported(net, tmp_path), 1).run(None, named(inputs))[0]
    with torch.no_grad():
        assert np.allclose(got, net(*inputs).numpy(), atol=1e-4)


def test_the_table_counts_the_parameters_that_are_exported(net, tmp_path):
    parameters, _ = cost(net)
    arrays = [numpy_helper.to_array(i) for i in onnx.load(exported(net, tmp_path)).graph.initializer]
    stored = sum(a.size for a in arrays if a.dtype == np.float32)
    assert parameters <= stored < 1.02 * parameters + 1500  # constants of the features may stand among them


def test_multiply_adds_of_a_network_that_can_be_counted_by_hand():
    w, t, k = 64, config.TICKS, len(config.CLASSES)
    by_hand = CHANNELS * w * t + 2 * (w * 2 * w * t) + 3 * w * w + w * k
    assert cost(Pooling())[1] == by_hand


def test_every_product_of_a_quantised_head_is_integer_where_it_runs(net, tmp_path):
    import onnxruntime as ort

    inputs = windows(32)
    small = quantise_head(exported(net, tmp_path), tmp_path / "int8.onnx", named(inputs))
    assert_integer(onnx.load(small))
    options = ort.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(tmp_path / "runs.onnx"), 3
    ort.InferenceSession(str(small), options, ["CPUExecutionProvider"])
    kinds = {n.op_type for n in onnx.load(tmp_path / "runs.onnx").graph.node}
    assert not kinds & {"Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul", "FusedMatMul"}
    assert "QLinearConv" in kinds and "QGemm" in kinds


def test_a_quantised_head_says_nearly_the_same(net, tmp_path):
    inputs = windows(32)
    path = exported(net, tmp_path)
    small = quantise_head(path, tmp_path / "int8.onnx", named(inputs))
    full, integer = (session(p, 1).run(None, named(inputs))[0] for p in (path, small))
    assert 0 < np.abs(full - integer).max() < 0.05


def test_a_float_product_left_over_is_noticed(tmp_path):
    with pytest.raises(AssertionError):
        assert_integer(onnx.load(exported(Pooling(), tmp_path)))


def test_attention_does_not_know_the_order_of_its_tokens():
    torch.manual_seed(0)
    attention, x, order = Attention(16, 2).eval(), torch.rand(2, 9, 16), torch.randperm(9)
    with torch.no_grad():
        assert torch.allclose(attention(x)[:, order], attention(x[:, order]), atol=1e-5)


def test_the_axial_head_gives_each_joint_its_own_token():
    torch.manual_seed(0)
    net, inputs = Axial().eval(), windows(1)
    moved = inputs[0].clone()
    moved[:, 50, 27] += 0.05 * (inputs[2][:, 50, 1])  # y of joint 9, the left wrist
    with torch.no_grad():
        (_, before), (_, after) = (net.embed(features(p, *inputs[1:])) for p in (inputs[0], moved))
    changed = (before - after).abs().amax((0, 3))
    assert changed[50].argmax() == 9 and changed[50, 9] > 10 * np.median(changed[50])


def test_the_area_is_the_share_of_pairs_in_the_right_order():
    label = np.array([NORMAL, NORMAL, FALL, FALLEN])
    assert area(np.array([0.1, 0.6, 0.5, 0.9]), label) == 0.75
    assert area(np.array([0.5, 0.5, 0.5, 0.5]), label) == 0.5


def test_a_twin_of_encoded_ticks_stands_still(tmp_path):
    n = 60
    times, rng = np.arange(n) / config.RATE, np.random.default_rng(0)
    people = rng.random((n, config.PEOPLE, config.FEATURES)).astype(np.float32)
    np.savez(tmp_path / "r_000001.npz", times=times, missed=np.zeros(n, int), people=people, scene=np.ones((n, config.SCENE), np.float16))
    at, missed, who, scene = Ticks(tmp_path).of(tmp_path / "000001.mp4", onset=2.0)
    assert len(at) == len(missed) == len(who) == len(scene) == 30 + round(FREEZE * config.RATE)
    assert (who[30:] == people[29]).all() and not scene[30:, : config.SCENE // 2].any() and (scene[30:, config.SCENE // 2 :] == 1).all()
    assert np.allclose(np.diff(at), 1 / config.RATE)


def test_the_table_tells_the_range_of_the_seeds():
    def run(auc):
        said = {"auc": auc, "wrong": dict.fromkeys(config.CLASSES, 0.25)}
        events = {kind: {"seen": 3, "delay_median_s": 0.2, "clips": 4, "clips_alarmed": 1} for kind in ("falls", "everyday", "twins", "climbs")}
        return {**{kind: {"simulated": said, "encoded": said} for kind in ("fp32", "int8")}, "events": {**events, "auc": auc}}

    one = {"parameters": 35000, "multiply_adds": 1.4e6, "ms": {"fp32": [1, 2], "int8": [0.5, 1]}, "runs": [run(0.8), run(0.9)]}
    text = table({"candidates": {"one": one}})
    assert "0.850 (0.800–0.900)" in text and "35 k" in text and "falls seen of 4" in text
    head, line, row = text.splitlines()
    assert head.count("|") == line.count("|") == row.count("|")
