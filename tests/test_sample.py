"""Samplers against exact solutions: order of convergence, identities, distributions."""

import math

import pytest
import torch
from pydantic import ValidationError

from artdiff.denoise import GaussianDenoiser, MixtureDenoiser, bind
from artdiff.noise import EDM, Flow, Level, VPCosine, VPLinear, levels
from artdiff.random import Noise
from artdiff.sample import (
    DDIM,
    DDPM,
    SAMPLERS,
    DPMpp2M,
    DPMpp2MSDE,
    Euler,
    Heun,
    sample,
    transfer,
)

SCHEDULES = {"vp-linear": VPLinear(), "vp-cosine": VPCosine(), "flow": Flow(), "edm": EDM()}
DETERMINISTIC = [DDIM(), Euler(), Heun(), DPMpp2M(), DPMpp2MSDE(eta=0.0)]
STOCHASTIC = [DDPM(), DDIM(eta=0.5), DPMpp2MSDE()]
ORDER = {"dpmpp_2m_sde": 2}

MEAN = torch.linspace(-1, 1, 4, dtype=torch.float64)
VAR = torch.linspace(0.1, 1.5, 4, dtype=torch.float64)
GAUSSIAN = bind(GaussianDenoiser(MEAN, VAR), {})
UNIT = torch.linspace(-2, 2, 8, dtype=torch.float64).reshape(2, 4)


class Bulk:
    """The noise of many samples at once, by one generator: quick where rows need no names."""

    def __init__(self, step=0):
        self.step = step

    def at(self, step):
        return Bulk(step)

    def normal(self, like, stream):
        generator = torch.Generator().manual_seed(1000 + self.step)
        return torch.randn(like.shape, generator=generator, dtype=like.dtype)


def last(sampler, denoise, x, grid, noise=None):
    *_, step = sample(sampler, denoise, x, grid, noise or Noise(range(len(x))))
    return step.x


def grid_to(schedule, steps, end):
    """A grid that ends at t = end, where noise is left."""
    alpha, sigma = schedule(torch.linspace(1, end, steps + 1, dtype=torch.float64))
    return [Level(*pair) for pair in zip(alpha, sigma, strict=True)]


def exact(x, a, b):
    """The probability-flow ODE of a Gaussian, solved."""
    ratio = (b.alpha**2 * VAR + b.sigma**2) / (a.alpha**2 * VAR + a.sigma**2)
    return b.alpha * MEAN + (x - a.alpha * MEAN) * ratio.sqrt()


def errors(sampler, grids):
    for grid in grids:
        x = UNIT * grid[0].sigma
        yield float((last(sampler, GAUSSIAN, x, grid) - exact(x, grid[0], grid[-1])).norm())


def slope(steps, found):
    x = torch.tensor([[math.log(n), 1.0] for n in steps], dtype=torch.float64)
    y = torch.tensor([[math.log(e)] for e in found], dtype=torch.float64)
    return -float(torch.linalg.lstsq(x, y).solution[0])


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("sampler", DETERMINISTIC, ids=lambda s: s.name)
def test_order_of_convergence(sampler, schedule):
    """From pure noise, alpha = 0 on two of the schedules, to t = 0.1."""
    steps = [32, 64, 128, 256]
    grids = [grid_to(SCHEDULES[schedule], n, 0.1) for n in steps]
    order = ORDER.get(sampler.name, sampler.order)
    assert abs(slope(steps, errors(sampler, grids)) - order) < 0.5


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("sampler", DETERMINISTIC, ids=lambda s: s.name)
def test_order_on_whole_grids(sampler, schedule):
    """To sigma = 0: the last step bounds the order to 1 where sigma**2 is linear in t."""
    steps = [64, 128, 256]
    found = list(errors(sampler, [levels(SCHEDULES[schedule], n) for n in steps]))
    order = ORDER.get(sampler.name, sampler.order)
    assert slope(steps, found) > (0.9 if schedule.startswith("vp") else order - 0.5)
    euler = list(errors(Euler(), [levels(SCHEDULES[schedule], 64)]))
    assert order == 1 or found[0] < euler[0] / 5


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("sampler", STOCHASTIC, ids=lambda s: s.name)
def test_distribution_of_a_mixture(sampler, schedule):
    means = torch.tensor([[-1.0, 0.5], [1.5, 0.0]], dtype=torch.float64)
    stds, weights = torch.tensor([0.3, 0.6]), torch.tensor([0.7, 0.3])
    denoise = bind(MixtureDenoiser(means, stds, weights), {})
    grid, count = levels(SCHEDULES[schedule], 150), 8_000
    x = Bulk(-1).normal(torch.empty(count, 2, dtype=torch.float64), "start") * grid[0].sigma
    x = last(sampler, denoise, x, grid, Bulk())

    away = means - (weights[:, None] * means).sum(0)
    mean = means[0] - away[0]
    cov = torch.eye(2) * (weights * stds**2).sum() + (away.T * weights) @ away
    error = 4 * math.sqrt(float(cov.diagonal().max()) / count)
    assert (x.mean(0) - mean).abs().max() < error
    assert (x.T.cov() - cov).abs().max() < 2 * error
    left = x[:, 0] < 0.2  # components part here; a wrong noise level blurs them
    assert float(left.double().mean()) == pytest.approx(0.7, abs=0.03)
    assert float(x[left, 1].std()) == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_euler_is_euler_in_sigma_over_alpha_and_ddim_without_noise(schedule):
    grid = levels(schedule, 12, start=0.9)
    x = UNIT * grid[0].sigma
    z, s = x / grid[0].alpha, [level.sigma / level.alpha for level in grid]
    for a, here, there in zip(grid, s, s[1:], strict=False):
        z = z + (there - here) * (z - GAUSSIAN(z * a.alpha, a)) / here
    torch.testing.assert_close(last(Euler(), GAUSSIAN, x, grid), z)
    assert torch.equal(last(Euler(), GAUSSIAN, x, grid), last(DDIM(), GAUSSIAN, x, grid))


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_ddim_with_eta_1_is_ddpm(schedule):
    grid = levels(schedule, 12)
    x = UNIT * grid[0].sigma
    ddpm, ddim = (last(sampler, GAUSSIAN, x, grid) for sampler in (DDPM(), DDIM(eta=1.0)))
    torch.testing.assert_close(ddpm, ddim)
    other = last(DDPM(), GAUSSIAN, x, grid, Noise([5, 6]))
    assert (other - ddpm).abs().max() > 1e-3


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_dpmpp_sde_identities(schedule):
    grid = levels(schedule, 12)
    x = UNIT * grid[0].sigma
    pair = (last(sampler, GAUSSIAN, x, grid) for sampler in (DPMpp2M(), DPMpp2MSDE(eta=0.0)))
    torch.testing.assert_close(*pair)
    first = [next(sample(s, GAUSSIAN, x, grid, Noise([0, 1]))).x for s in (DDPM(), DPMpp2MSDE())]
    torch.testing.assert_close(*first)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("name", SAMPLERS)
def test_ends_are_finite_and_dtype_is_kept(name, schedule, dtype):
    sampler, grid = SAMPLERS[name](), levels(schedule, 3)
    x = (UNIT * grid[0].sigma).to(dtype)
    steps = list(sample(sampler, GAUSSIAN, x, grid, Noise([1, 2])))
    assert [step.index for step in steps] == [0, 1, 2]
    assert all(step.x.isfinite().all() and step.x.dtype == dtype for step in steps)
    assert (steps[-1].a, steps[-1].b) == (grid[2], grid[3])
    torch.testing.assert_close(steps[0].x0, GAUSSIAN(x, grid[0]))
    if name != "dpmpp_2m":
        torch.testing.assert_close(steps[-1].x, steps[-1].x0)


@pytest.mark.parametrize("name", SAMPLERS)
def test_one_batch_is_three_batches(name):
    sampler, grid = SAMPLERS[name](), levels(VPCosine(), 5)

    def picture(seeds):
        noise = Noise(seeds)
        x = noise.normal(torch.empty(len(seeds), 4), "start")
        return last(sampler, GAUSSIAN, x, grid, noise)

    assert torch.equal(picture([1, 2, 3]), torch.cat([picture([s]) for s in (1, 2, 3)]))


@pytest.mark.parametrize("name", SAMPLERS)
def test_model_calls_are_as_declared(name):
    seen = []

    def denoise(x, at):
        seen.append(at)
        return GAUSSIAN(x, at)

    sampler = SAMPLERS[name]()
    list(sample(sampler, denoise, UNIT, levels(VPLinear(), 6), Noise([0, 1])))
    assert len(seen) == 6 * sampler.nfe - (1 if name == "heun" else 0)
    assert sampler.name == name


def test_sampling_is_lazy_and_has_no_hidden_state():
    grid, sampler = levels(VPLinear(), 8), DPMpp2M()
    stream = sample(sampler, GAUSSIAN, UNIT, grid, Noise([0, 1]))
    next(stream)
    whole = last(sampler, GAUSSIAN, UNIT, grid)
    *_, step = stream
    assert torch.equal(step.x, whole)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("name", SAMPLERS)
def test_no_step_waits_for_the_device(name):
    x, grid = UNIT.float().cuda(), levels(Flow(), 5)
    mode = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for step in sample(SAMPLERS[name](), lambda x, at: x / 2, x, grid, Noise([0, 1])):
            assert step.x.is_cuda
    finally:
        torch.cuda.set_sync_debug_mode(mode)


def test_transfer_to_the_same_level_changes_nothing():
    at = levels(VPLinear(), 4)[2]
    torch.testing.assert_close(transfer(UNIT, UNIT.flip(0), at, at), UNIT)


def test_options_build_samplers_and_refuse_what_is_wrong():
    for cls in SAMPLERS.values():
        assert cls(**cls.Options().model_dump()) == cls()
    assert DDIM(**DDIM.Options(eta=0.3).model_dump()).eta == 0.3
    for cls, wrong in ((DDIM, {"eta": 1.1}), (DPMpp2MSDE, {"eta": -1}), (Euler, {"eta": 0})):
        with pytest.raises(ValidationError):
            cls.Options(**wrong)
