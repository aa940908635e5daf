"""Losses and their gradients equal the published code's; draws of t can be resumed."""

from pathlib import Path

import numpy as np
import pytest
import torch

from artdiff.process import Process, respace
from artdiff.train.diffusion_losses import (
    LossSecondMoment,
    Objective,
    UniformTimes,
    min_snr_weights,
)

with np.load(Path(__file__).parent / "references" / "process-losses.npz") as file:
    STORED = {key: torch.from_numpy(file[key]) for key in file.files if key != "made_by"}

CASES = {
    "simple": ("linear", "100", dict()),
    "simple-x0": ("cosine", "100", dict(target="x0", variance="large")),
    "simple-previous": ("cosine", "100", dict(target="previous")),
    "hybrid": ("cosine", "100", dict(variance="learned-range")),
    "hybrid-respaced": ("linear", "10,15", dict(target="x0", variance="learned-range")),
    "hybrid-learned": ("linear", "100", dict(target="previous", variance="learned")),
    "vlb": ("cosine", "100", dict(variance="learned-range")),
    "vlb-small": ("linear", "ddim25", dict()),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_losses_and_gradients_equal_the_published_ones(case, dtype):
    name, spec, options = CASES[case]
    process, kind = respace(Process.named(name, 100), spec), case.partition("-")[0]
    objective = Objective(process, kind, **options)
    x0, eps = STORED["x0"].to(dtype), STORED["eps"].to(dtype)
    channels = 4 if "learned" in objective.variance else 2
    output = STORED["output"][:, :channels].to(dtype).requires_grad_()
    t = STORED[f"{case}/t"]
    losses = objective(lambda x, time: output, x0, t, eps)
    (gradient,) = torch.autograd.grad(losses.loss.sum(), output)
    expected = {"loss": STORED[f"{case}/loss"], "gradient": STORED[f"{case}/gradient"]}
    found = {"loss": losses.loss, "gradient": gradient}
    if kind != "vlb":
        expected["mse"], found["mse"] = STORED[f"{case}/mse"], losses.mse
    if kind == "hybrid":
        expected["vb"], found["vb"] = STORED[f"{case}/vb"], losses.vb * len(process) / 1000
    rtol = 1e-10 if dtype == torch.float64 else 1e-5
    for part, value in found.items():
        assert value.dtype == dtype
        floor = rtol * max(1.0, expected[part].abs().max().item())
        torch.testing.assert_close(value.double(), expected[part], rtol=rtol, atol=floor, msg=part)


def test_the_bound_teaches_the_variance_only():
    process, t = Process.named("cosine", 100), torch.tensor([0, 5, 50, 99])
    output = STORED["output"].clone().requires_grad_()
    gradients = []
    for weight in (0.0, 0.001, 7.0):
        objective = Objective(process, "hybrid", variance="learned-range", vb_weight=weight)
        losses = objective(lambda x, time: output, STORED["x0"], t, STORED["eps"])
        gradients.append(torch.autograd.grad(losses.loss.sum(), output)[0])
    none, little, much = gradients
    assert torch.equal(none[:, :2], little[:, :2]) and torch.equal(none[:, :2], much[:, :2])
    assert not none[:, 2:].any() and little[:, 2:].abs().min() > 0
    torch.testing.assert_close(much[:, 2:], 7000 * little[:, 2:])


def test_the_network_is_told_the_trained_step():
    process, told = respace(Process.named("cosine", 50), "ddim10"), []
    for rescale in (False, True):
        objective = Objective(process, rescale=rescale)
        objective(
            lambda x, time: told.append(time) or x,
            STORED["x0"], torch.tensor([0, 1, 2, 9]), STORED["eps"],
        )  # fmt: skip
    assert told[0].tolist() == [0, 5, 10, 45] and told[1].tolist() == [0, 100, 200, 900]


@pytest.mark.parametrize("target", ["epsilon", "x0", "v"])
def test_min_snr_weights_equal_the_published_ones(target):
    found = min_snr_weights(Process.named("cosine", 100), target)[STORED["min-snr/t"]]
    torch.testing.assert_close(found, STORED[f"min-snr/{target}"], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("target", ["epsilon", "x0", "v", "flow", "previous"])
def test_min_snr_weighs_every_target_as_it_weighs_x0(target):
    process, t = Process.named("linear", 100), torch.tensor([1, 5, 50, 99])
    x0, eps = STORED["x0"], STORED["eps"]
    x = process.q_sample(x0, t, eps)
    guess = x0 + STORED["output"][:, :2] / 10
    objective = Objective(process, target=target, min_snr=5.0)
    losses = objective.judge(process.from_x0(guess, x, t, target), x0, x, t, eps)
    snr = (process.alphas_cumprod / (1 - process.alphas_cumprod))[t]
    expected = snr.clamp(max=5) * (guess - x0).square().flatten(1).mean(1)
    torch.testing.assert_close(losses.loss, expected)
    assert losses.vb is None and not torch.allclose(losses.mse, losses.loss)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (dict(kind="simpel"), "kind is one of simple, vlb, hybrid"),
        (dict(kind="hybrid"), "'small' needs the loss 'simple' or 'vlb', not 'hybrid'"),
        (dict(variance="learned-range"), "needs the loss 'hybrid'"),
        (dict(variance="tiny"), "variance is one of"),
        (dict(target="eps"), "target is one of"),
        (dict(vb_weight=-1.0), "vb_weight >= 0"),
        (dict(min_snr=0.0), "min_snr > 0"),
        (dict(kind="vlb", min_snr=5.0), "has none"),
    ],
)
def test_objectives_that_make_no_sense_are_refused(options, says):
    with pytest.raises(ValueError, match=says):
        Objective(Process.named("cosine", 10), **options)


@pytest.mark.parametrize("kind", ["simple", "hybrid", "vlb"])
def test_outputs_of_other_shapes_are_refused(kind):
    variance = "learned-range" if kind == "hybrid" else "small"
    objective = Objective(Process.named("cosine", 10), kind, variance=variance)
    t = torch.tensor([0, 1, 2, 3])
    with pytest.raises(ValueError, match="an output has the shape"):
        objective(lambda x, time: x[:, :1], STORED["x0"], t, STORED["eps"])


def test_second_moment_probabilities_equal_the_published_ones():
    sampler = LossSecondMoment.fresh(6)
    for row, expected in enumerate(STORED["moment/p"]):
        some = slice(10 * row, 10 * row + 10)
        sampler = sampler.update(STORED["moment/t"][some], STORED["moment/losses"][some])
        torch.testing.assert_close(sampler.probabilities(), expected, rtol=1e-12, atol=0)
    assert expected.max() > 2 * expected.min()


def test_second_moment_draws_are_unbiased_and_follow_the_losses():
    sampler = LossSecondMoment.fresh(4, history=1)
    sampler = sampler.update(torch.arange(4), torch.tensor([1.0, 2.0, 3.0, 10.0]))
    t, weights = sampler.draw(40_000, torch.Generator().manual_seed(0))
    share = t.bincount(minlength=4) / len(t)
    torch.testing.assert_close(share.double(), sampler.probabilities(), rtol=0, atol=0.01)
    value = torch.tensor([5.0, -1.0, 2.0, 0.5])
    assert (weights * value[t]).mean().item() == pytest.approx(value.mean().item(), abs=0.1)
    assert weights.dtype == torch.float32 and t.dtype == torch.long


def test_second_moment_can_be_saved_and_goes_on_the_same():
    sampler = LossSecondMoment.fresh(6, history=3)
    sampler = sampler.update(STORED["moment/t"][:100], STORED["moment/losses"][:100])
    again = LossSecondMoment.fresh(6, history=3).restored(sampler.state())
    assert set(sampler.state()) == {"losses", "counts"}
    draws = []
    for one in (sampler, again):
        one = one.update(STORED["moment/t"][100:], STORED["moment/losses"][100:])
        draws.append(one.draw(50, torch.Generator().manual_seed(3)))
    assert all(torch.equal(a, b) for a, b in zip(*draws, strict=True))
    before = sampler.state()["losses"].clone()
    sampler.update(torch.tensor([0]), torch.tensor([99.0]))
    assert torch.equal(sampler.state()["losses"], before)


def test_second_moment_is_uniform_until_every_step_is_known_and_where_all_losses_are_zero():
    even = torch.full((3,), 1 / 3, dtype=torch.float64)
    sampler = LossSecondMoment.fresh(3, history=1).update(torch.tensor([0, 1]), torch.ones(2))
    assert torch.equal(sampler.probabilities(), even)
    zero = LossSecondMoment.fresh(3, history=1).update(torch.arange(3), torch.zeros(3))
    assert torch.equal(zero.probabilities(), even)
    with pytest.raises(ValueError, match="history"):
        LossSecondMoment.fresh(3).restored({"losses": torch.zeros(3, 2), "counts": torch.zeros(4)})
    with pytest.raises(ValueError, match="uniform"):
        LossSecondMoment.fresh(3, uniform=2)


def test_uniform_draws_cover_every_step_with_weight_one():
    t, weights = UniformTimes(5).draw(1000, torch.Generator().manual_seed(0))
    assert t.unique().tolist() == [0, 1, 2, 3, 4] and bool((weights == 1).all())
    same = UniformTimes(5).update(t, weights).restored({})
    assert same == UniformTimes(5) and same.state() == {}
