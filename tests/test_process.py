"""The discrete process equals the published code; its steps are those of the samplers."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from artdiff.denoise import (
    GaussianDenoiser,
    NetDenoiser,
    VarianceDenoiser,
    VarianceNetDenoiser,
    bind,
    from_x0,
)
from artdiff.errors import ModelError
from artdiff.grid import levels
from artdiff.guidance.guide import Term, guide
from artdiff.guiders import cfg
from artdiff.noise import Flow, Level, VPLinear
from artdiff.process import BETAS, Process, make_betas, parse_spacing, respace
from artdiff.random import Noise
from artdiff.sample import sample
from artdiff.samplers.ddim import DDIM
from artdiff.samplers.ddpm import DDPM

FOLDER = Path(__file__).parent / "references"
TARGETS = ["epsilon", "x0", "previous"]
VARIANCES = ["small", "large", "learned", "learned-range"]


def load(name):
    """The numbers of one file of references, as tensors."""
    with np.load(FOLDER / name) as file:
        assert json.loads(str(file["made_by"]))
        return {key: torch.from_numpy(file[key]) for key in file.files if key != "made_by"}


TABLES, REVERSE, SAMPLES = (
    load(f"process-{name}.npz") for name in ("tables", "reverse", "samples")
)


def close(found, expected, dtype=torch.float64):
    """To 1e-10 in float64; in float32 to 1e-5 of the number or, below, of the greatest one."""
    rtol = 1e-10 if dtype == torch.float64 else 1e-5
    assert found.dtype == dtype
    torch.testing.assert_close(
        found.double(), expected, rtol=rtol, atol=rtol * max(1.0, expected.abs().max().item())
    )


def toy(x, time):
    """The closed-form network of the references."""
    time = time.to(x).reshape(-1, 1, 1, 1) / 100
    return torch.cat([0.8 * x + 0.3 * (3 * x + time).sin(), (x.flip(-1) - time).tanh()], 1)


@pytest.mark.parametrize("key", [k for k in TABLES if k.startswith(BETAS) and "betas" in k])
def test_betas_equal_the_published_ones(key):
    name, steps, _ = key.split("/")
    found = make_betas(name, int(steps))
    torch.testing.assert_close(found, TABLES[key], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["linear", "cosine"])
@pytest.mark.parametrize(
    "table",
    [
        "alphas_cumprod", "posterior_variance", "posterior_log_variance",
        "posterior_mean_x0", "posterior_mean_x",
    ],
)  # fmt: skip
def test_tables_equal_the_published_ones(name, table):
    found = getattr(Process.named(name), table)
    torch.testing.assert_close(found, TABLES[f"{name}/1000/{table}"], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("spec", ["250", "ddim25", "10,15,20", "ddim50", "1,3", "999"])
def test_respacing_equals_the_published_one(spec):
    spaced = respace(Process.named("linear"), spec)
    assert spaced.timesteps.tolist() == TABLES[f"respaced/{spec}/timesteps"].tolist()
    expected = TABLES[f"respaced/{spec}/betas"]
    torch.testing.assert_close(spaced.betas, expected, rtol=1e-10, atol=1e-12)
    kept = Process.named("linear").alphas_cumprod[spaced.timesteps]
    torch.testing.assert_close(spaced.alphas_cumprod, kept, rtol=1e-12, atol=0)
    assert spaced.trained == 1000 and spaced.time(torch.tensor([1])) == spaced.timesteps[1]


def test_respacing_twice_keeps_the_trained_steps():
    twice = respace(respace(Process.named("cosine"), "ddim25"), "5")
    assert twice.timesteps.tolist() == [0, 240, 480, 720, 960] and twice.trained == 1000
    rescaled = respace(Process.named("cosine", 50), "ddim5").time(torch.arange(5), rescale=True)
    assert rescaled.tolist() == [0, 200, 400, 600, 800] and rescaled.dtype == torch.float32


@pytest.mark.parametrize("steps", [1, 2, 7, 1000])
def test_one_number_takes_both_ends(steps):
    kept = parse_spacing(str(steps), 1000)
    assert len(kept) == steps and kept == sorted(set(kept)) and kept[0] == 0
    assert kept[-1] == (999 if steps > 1 else 0)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("", "not ''"), ("ddim", "not 'ddim'"), ("ddim10,20", "not 'ddim10,20'"),
        ("10,x", "not '10,x'"), ("0", "not '0'"), ("-3", "not '-3'"), ("2.5", "not '2.5'"),
        ("1001", "a section of 1000 steps cannot give 1001"),
        ("10,501", "a section of 500 steps cannot give 501"),
        ("ddim300", "nearest: 'ddim334'"), ("ddim1001", "nearest: 'ddim1000'"),
    ],
)  # fmt: skip
def test_bad_spacings_say_what_is_right(spec, says):
    with pytest.raises(ValueError, match=says):
        parse_spacing(spec, 1000)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: make_betas("cosin", 10), "did you mean 'cosine'"),
        (lambda: make_betas("cosine", 0), "steps >= 1, not 0"),
        (lambda: make_betas("linear", 20), "rates of 1 and more at 20 steps"),
        (lambda: Process(torch.tensor([0.1, 1.0])), "in \\(0, 1\\)"),
        (lambda: Process(torch.tensor([])), "one or more"),
        (lambda: Process(torch.tensor([0.1, 0.2]), torch.tensor([3, 1])), "2 rising integers"),
        (lambda: Process(torch.tensor([0.1, 0.2]), torch.tensor([1, 3]), 3), "in \\[0, 3\\)"),
    ],
)
def test_bad_processes_are_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()


@pytest.mark.parametrize("t", [torch.tensor([1.0, 2.0]), torch.tensor(1), torch.tensor([1, 2, 3])])
def test_steps_are_one_integer_a_row(t):
    with pytest.raises(ValueError, match=r"steps t are \(2,\) of torch.int64"):
        Process.named("cosine", 10).q_sample(torch.zeros(2, 1), t, torch.zeros(2, 1))


@pytest.mark.parametrize("t", [-1, 10])
def test_a_step_out_of_range_is_an_error(t):
    with pytest.raises(IndexError):
        x = torch.zeros(1, 1)
        Process.named("cosine", 10).q_sample(x, torch.tensor([t]), x)


@pytest.mark.parametrize("name", ["linear", "cosine"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_noising_and_posterior_equal_the_published_ones(name, dtype):
    process, t = Process.named(name, 100), REVERSE["t"]
    x0, eps = REVERSE["x0"].to(dtype), REVERSE["eps"].to(dtype)
    x = process.q_sample(x0, t, eps)
    close(x, REVERSE[f"{name}/x"], dtype)
    close(process.posterior(x0, x, t)[0], REVERSE[f"{name}/posterior_mean"], dtype)


@pytest.mark.parametrize("name", ["linear", "cosine"])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("variance", VARIANCES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_reverse_step_equals_the_published_one(name, target, variance, dtype):
    process = Process.named(name, 100)
    output = REVERSE["output"] if "learned" in variance else REVERSE["output"][:, :2]
    output, x = output.to(dtype), REVERSE[f"{name}/x"].to(dtype)
    for clip in (False, True) if variance == "small" else (False,):
        found = process.p_mean_variance(
            output, x, REVERSE["t"], target=target, variance=variance, clip=clip
        )
        for part, value in found._asdict().items():
            assert value.shape == x.shape
            expected = REVERSE.get(
                f"{name}/{target}/{variance}/{'clip' if clip else 'free'}/{part}"
            )
            if expected is not None:
                expected = expected.reshape(4, *expected.shape[1:] or (1, 1, 1)).expand_as(x)
                close(value, expected, dtype)
    assert found._fields == ("mean", "variance", "log_variance", "x0")


def test_outputs_of_other_shapes_are_refused():
    process, x, t = Process.named("cosine", 10), torch.zeros(1, 2, 4, 4), torch.tensor([3])
    with pytest.raises(
        ValueError, match=r"'learned-range' an output has the shape \(1, 4, 4, 4\)"
    ):
        process.p_mean_variance(x, x, t, variance="learned-range")
    with pytest.raises(ValueError, match=r"'small' an output has the shape \(1, 2, 4, 4\), not"):
        process.p_mean_variance(torch.zeros(1, 4, 4, 4), x, t)
    with pytest.raises(ValueError, match="variance is one of small, large"):
        process.p_mean_variance(x, x, t, variance="fixed")


@pytest.mark.parametrize("target", [*TARGETS, "v"])
def test_conversions_are_inverse(target):
    process, t = Process.named("linear", 100), REVERSE["t"]
    x0, eps = REVERSE["x0"], REVERSE["eps"]
    x = process.q_sample(x0, t, eps)
    output = process.from_x0(x0, x, t, target)
    torch.testing.assert_close(process.to_x0(output, x, t, target), x0)
    torch.testing.assert_close(process.to_epsilon(x0, x, t), eps)
    at = Level(*(part.reshape(4, 1, 1, 1) for part in process.level(t, x0)))
    if target != "previous":
        torch.testing.assert_close(output, from_x0(x0, x, at, target))


def test_single_steps_add_up_to_the_closed_form():
    """Mean and variance of a chain of q_step, followed exactly, are those of q_sample."""
    process = Process.named("cosine", 30)
    mean, variance = torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    zero, one = torch.zeros_like(mean), torch.ones_like(mean)
    for step in range(30):
        t = torch.tensor([step])
        mean = process.q_step(mean, t, zero)
        variance = process.q_step(zero, t, one) ** 2 + process.q_step(one, t, zero) ** 2 * variance
        torch.testing.assert_close(process.q_sample(one, t, zero), mean)
        torch.testing.assert_close(process.q_sample(zero, t, one) ** 2, variance)


def test_the_posterior_is_bayes_rule():
    """q(x_{t-1} | x_t, x_0) is proportional to q(x_t | x_{t-1}) q(x_{t-1} | x_0)."""
    process, t = Process.named("linear", 100), torch.tensor([37])
    x0, x = (torch.tensor([[value]], dtype=torch.float64) for value in (0.4, -1.3))
    at = process.level(t - 1, x0)
    kept = (1 - process.betas[37]).sqrt()
    precision = 1 / at.sigma**2 + kept**2 / process.betas[37]
    mean = (at.alpha * x0 / at.sigma**2 + kept * x / process.betas[37]) / precision
    found = process.posterior(x0, x, t)
    torch.testing.assert_close(found[0], mean)
    torch.testing.assert_close(found[1], 1 / precision)


def test_one_step_is_a_process_too():
    process = respace(Process.named("linear"), "1")
    assert len(process) == len(process.levels()) - 1 == 1
    assert process.posterior_log_variance == process.betas.log()


def test_half_precision_is_computed_in_float32():
    process, x = Process.named("cosine", 10), torch.ones(1, 1, dtype=torch.float16)
    assert process.take(process.betas, torch.tensor([0]), x).dtype == torch.float32


# Sampling: `sample` walks a respaced process as the published loops do.


def walk(key, sampler, learned=False):
    _, name, steps, spec, _ = key.split("/")
    trained = Process.named(name, int(steps))
    spaced, start = respace(trained, spec), SAMPLES["start"]

    def network(x, time, cond):
        output = toy(x, time)
        return output if learned else output[:, :2]

    kind = VarianceNetDenoiser if learned else NetDenoiser
    denoiser = kind(network, trained.schedule.index, "epsilon")
    noise = Noise((5, 6))
    found = [s.x for s in sample(sampler, bind(denoiser, {}), start, spaced.levels(), noise)]
    torch.testing.assert_close(torch.stack(found[-7:]), SAMPLES[key], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("key", [key for key in SAMPLES if key.startswith("ddpm/")])
def test_ancestral_sampling_equals_the_published_one(key):
    variance = key.rpartition("/")[2]
    learned = variance == "learned-range"
    walk(key, DDPM(variance="learned" if learned else variance), learned)


@pytest.mark.parametrize("key", [key for key in SAMPLES if key.startswith("ddim/")])
def test_ddim_equals_the_published_one(key):
    walk(key, DDIM(eta=float(key.rpartition("/")[2])))


MEAN = torch.tensor([[[0.3]], [[-0.2]]], dtype=torch.float64)
GAUSSIAN = GaussianDenoiser(MEAN, torch.full_like(MEAN, 0.5))


class Learned:
    """The exact denoiser of a Gaussian with a learned variance that is `place` everywhere."""

    def __init__(self, place):
        self.place = place

    def __call__(self, x, at, cond):
        return GAUSSIAN(x, at, cond)

    def with_variance(self, x, at, cond):
        place = cond["place"].reshape(-1, 1, 1, 1) if "place" in cond else self.place
        return GAUSSIAN(x, at, cond), torch.zeros_like(x) + place


def ends(sampler, denoiser, schedule, steps=5, cond=None):
    grid, noise = levels(schedule, steps), Noise((1, 2, 3))
    x = noise.normal(torch.empty(3, 2, 4, 4, dtype=torch.float64), "start") * grid[0].sigma
    *_, last = sample(sampler, bind(denoiser, cond or {}), x, grid, noise)
    return last.x


@pytest.mark.parametrize("schedule", [VPLinear(), Flow()], ids=repr)
def test_learned_variance_lies_between_small_and_large(schedule):
    small, large = (ends(DDPM(v), GAUSSIAN, schedule) for v in ("small", "large"))
    learned = DDPM("learned")
    torch.testing.assert_close(ends(learned, Learned(0.0), schedule), small)
    torch.testing.assert_close(ends(learned, Learned(1.0), schedule), large)
    assert (ends(learned, Learned(0.5), schedule) - small).abs().max() > 0.01
    assert torch.equal(ends(DDPM(), Learned(1.0), schedule), small)


def test_large_is_exact_for_white_data_small_for_a_point():
    """arXiv 2006.11239, Section 3.2, in any coordinates: the variance stays that of the data."""
    for schedule in (VPLinear(), Flow()):
        grid = levels(schedule, 4)
        for variance, data in (("large", 1.0), ("small", 1e-12)):
            gaussian = GaussianDenoiser(torch.zeros(1), torch.tensor(data, dtype=torch.float64))
            spread = grid[0].alpha ** 2 * data + grid[0].sigma ** 2
            for a, b in pairwise(grid[:-1]):
                one = torch.ones(1, 1, dtype=torch.float64)
                kept = DDPM(variance).step(bind(gaussian, {}), one, a, b, None, Silent())[0]
                fresh = DDPM(variance).step(bind(gaussian, {}), one, a, b, None, Loud())[0] - kept
                spread = kept**2 * spread + fresh**2
                expected = b.alpha**2 * data + b.sigma**2
                torch.testing.assert_close(spread.squeeze(), expected, rtol=1e-9, atol=0)


class Silent:
    def normal(self, like, stream):
        return torch.zeros_like(like)


class Loud:
    def normal(self, like, stream):
        return torch.ones_like(like)


def test_guidance_passes_the_learned_variance_on():
    x, at = torch.randn(2, 2, 4, 4).double(), VPLinear()(torch.tensor(0.6).double())
    cond, uncond = {"place": torch.tensor([0.2, 0.4])}, {"place": torch.tensor([0.9])}
    free = cfg(Learned(0.0), uncond, 3.0, rescale=0.5)
    loss = Term(lambda x0, at, noise: x0.flatten(1).square().sum(1))
    for through in ("denoiser", "x0"):
        bent = guide(
            free, [loss], [lambda x0, *rest: x0 + 1], noise=Noise((1, 2)), through=through
        )
        assert isinstance(bent, VarianceDenoiser)
        x0, place = bind(bent, cond).with_variance(x, at)
        assert torch.equal(x0, bent(x, at, cond)) and not place.requires_grad
        torch.testing.assert_close(place[:, 0, 0, 0], cond["place"].double())
    off = cfg(Learned(0.0), uncond, 3.0, start=0.1)
    torch.testing.assert_close(
        off.with_variance(x, at, cond)[1][:, 0, 0, 0].float(), cond["place"]
    )
    assert not isinstance(cfg(GAUSSIAN, {}, 3.0), VarianceDenoiser)
    assert not isinstance(guide(GAUSSIAN, [loss], noise=Noise((1, 2))), VarianceDenoiser)
    assert not hasattr(bind(GAUSSIAN, {}), "with_variance")


def test_a_model_without_learned_variance_says_so():
    with pytest.raises(ModelError, match=r"^sampler.variance: .*set it to 'small' or 'large'"):
        ends(DDPM("learned"), GAUSSIAN, VPLinear())
    assert DDPM.Options().model_dump() == {"variance": "small"} == vars(replace(DDPM()))
