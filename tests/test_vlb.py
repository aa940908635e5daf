"""The variational bound equals the published code's and what integration says."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from artdiff.denoise import GaussianDenoiser, from_x0
from artdiff.process import Process, respace
from artdiff.random import Noise
from artdiff.vlb import decoder_log_likelihood, normal_kl, prior_term, variational_bound

with np.load(Path(__file__).parent / "references" / "process-losses.npz") as file:
    STORED = {key: torch.from_numpy(file[key]) for key in file.files if key != "made_by"}


def toy(x, time):
    """The closed-form network of the references."""
    time = time.to(x).reshape(-1, 1, 1, 1) / 100
    return torch.cat([0.8 * x + 0.3 * (3 * x + time).sin(), (x.flip(-1) - time).tanh()], 1)


BOUNDS = {
    "small": ("cosine", 40, "40", dict(clip=True)),
    "range": ("linear", 100, "10", dict(clip=True, variance="learned-range", rescale=True)),
    "large": ("linear", 100, "5,6", dict(clip=False, variance="large", target="x0")),
}


@pytest.mark.parametrize("case", BOUNDS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_bound_equals_the_published_one(case, dtype):
    name, steps, spec, options = BOUNDS[case]
    process = respace(Process.named(name, steps), spec)

    def network(x, time):
        output = toy(x, time)
        return output if "range" in case else output[:, :2]

    found = variational_bound(
        process, network, STORED["x0"].to(dtype), Noise((1, 2, 3, 4)), **options
    )
    for part, value in found._asdict().items():
        expected = STORED[f"bound/{case}/{part}"]
        assert value.dtype == dtype
        rtol = 1e-10 if dtype == torch.float64 else 1e-5
        if case == "large" and part in ("total", "terms"):
            rtol = max(
                rtol, 1e-7
            )  # far out, the published decoder loses digits; this one does not
        floor = rtol * max(1.0, expected.abs().max().item())
        torch.testing.assert_close(value.double(), expected, rtol=rtol, atol=floor)


def test_kl_is_the_integral():
    grid = torch.linspace(-30, 30, 200_001, dtype=torch.float64)
    first, second = torch.distributions.Normal(0.3, 0.5), torch.distributions.Normal(-1.0, 2.0)
    density = first.log_prob(grid).exp()
    integral = (density * (first.log_prob(grid) - second.log_prob(grid))).sum() * (60 / 200_000)
    parts = [(d.mean.double(), 2 * d.stddev.double().log()) for d in (first, second)]
    found = normal_kl(*parts[0], *parts[1])
    assert found.item() == pytest.approx(integral.item(), rel=1e-6)
    assert normal_kl(*parts[0], *parts[0]) == 0


@pytest.mark.parametrize("std", [0.002, 0.05, 2.0])
def test_the_decoder_is_a_distribution_over_256_values(std):
    values = (torch.arange(256, dtype=torch.float64) / 127.5 - 1)[:, None]
    mean, log_var = torch.full_like(values, 0.31), torch.full_like(values, 2 * math.log(std))
    exact = decoder_log_likelihood(values, mean, log_var, exact=True).exp()
    fast = decoder_log_likelihood(values, mean, log_var).exp()
    assert exact.sum().item() == pytest.approx(1, abs=1e-9)
    assert fast.sum().item() == pytest.approx(1, abs=1e-9)
    assert 0 < (fast - exact).abs().max() < 4e-4
    normal = torch.distributions.Normal(0.31, std)
    bins = normal.cdf(values + 1 / 255) - normal.cdf(values - 1 / 255)
    torch.testing.assert_close(exact[1:-1], bins[1:-1], rtol=1e-3, atol=1e-6)


def test_the_decoder_keeps_its_digits_far_out():
    away = torch.tensor([[0.05, 0.2, 0.25, 0.28, -0.05, -0.2, -0.25, -0.28]])
    log_var = torch.full_like(away, 2 * math.log(0.05))
    for exact in (False, True):
        narrow = decoder_log_likelihood(away, away * 0, log_var, exact=exact)
        wide = decoder_log_likelihood(away.double(), away * 0, log_var.double(), exact=exact)
        assert narrow.dtype == torch.float32 and wide.min() < -17
        torch.testing.assert_close(narrow.double(), wide, rtol=1e-5, atol=0)
        assert torch.equal(wide[:, :4], wide[:, 4:])


def test_an_impossible_picture_costs_no_more_than_the_floor():
    x0 = torch.tensor([[0.2]], dtype=torch.float64)
    log = decoder_log_likelihood(x0, -x0, torch.full_like(x0, -20.0))
    assert log.item() == pytest.approx(math.log(1e-12))


def test_the_prior_is_small_where_the_schedule_ends_in_noise():
    x0 = STORED["x0"]
    cosine, short = (prior_term(p, x0) for p in (Process.named("cosine"), Process.named("linear")))
    assert cosine.shape == (4,) and (cosine < 1e-8).all() and (short > cosine).all()
    half = Process(Process.named("linear").betas[:500])
    assert (prior_term(half, x0) > 1e-3).all()


@pytest.mark.parametrize("spec", ["4", "ddim25", "100"])
def test_the_bound_of_a_gaussian_is_tight_with_its_own_variance_and_loose_with_another(spec):
    """A reverse step that is exact makes the bound the likelihood, however few the steps."""
    trained = Process.named("linear", 100)
    process, std = respace(trained, spec), 0.25
    generator = torch.Generator().manual_seed(0)
    x0 = torch.randn(16, 3, 16, 16, generator=generator, dtype=torch.float64) * std
    x0 = ((x0 + 1) * 127.5).round().clamp(0, 255) / 127.5 - 1
    zero = torch.zeros_like(x0)
    exact = decoder_log_likelihood(x0, zero, zero + 2 * math.log(std), exact=True)
    gaussian = GaussianDenoiser(torch.zeros(1), torch.tensor(std**2, dtype=torch.float64))

    def network(x, time):
        at, t = trained.level(time, x), torch.searchsorted(process.timesteps, time)
        left = std**2 * at.sigma**2 / (at.alpha**2 * std**2 + at.sigma**2)
        mean = process.take(process.posterior_mean_x0, t, x)
        variance = process.take(process.posterior_variance, t, x) + mean**2 * left
        epsilon = from_x0(gaussian(x, at, {}), x, at, "epsilon")
        return torch.cat([epsilon, variance.log().expand_as(x)], 1)

    def bits(variance):
        half = (lambda *a: network(*a)[:, :3]) if variance != "learned" else network
        noise = Noise(range(16))
        bound = variational_bound(process, half, x0, noise, variance=variance, clip=False)
        torch.testing.assert_close(bound.total, bound.prior + bound.terms.sum(1))
        return bound.total.mean().item()

    own, likelihood = bits("learned"), -exact.mean().item() / math.log(2)
    assert own == pytest.approx(likelihood, abs=0.03)
    assert min(bits("small"), bits("large")) > own + 0.05
