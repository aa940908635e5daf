"""The oracles of the conformance kit are exact."""

import pytest
import torch

from artdiff.denoise import GaussianDenoiser, MixtureDenoiser, bind
from artdiff.grid import levels
from artdiff.guidance.guide import Term, guide
from artdiff.noise import EDM, Flow, Level, VPCosine, VPLinear
from artdiff.random import Noise
from artdiff.sample import sample
from artdiff.samplers import Euler, Heun
from artdiff.testing import (
    QuadraticLoss,
    exact_path,
    gradient_error,
    guided_posterior,
    marginal_loss,
    measured_order,
)

SHAPE = (1, 2, 3)


def doubles(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


GAUSSIAN = GaussianDenoiser(doubles(0, *SHAPE), doubles(1, *SHAPE).square() + 0.2)
MIXTURE = MixtureDenoiser(
    doubles(2, 3, *SHAPE), torch.tensor([0.3, 0.8, 0.0]), torch.tensor([1.0, 2.0, 1.0])
)
ELEMENTWISE = QuadraticLoss(doubles(3, *SHAPE), doubles(4, *SHAPE), 2.5)
LINEAR = QuadraticLoss(doubles(5, 4, 6), doubles(6, 4), 0.7)
LOSSES = pytest.mark.parametrize("loss", [ELEMENTWISE, LINEAR], ids=["elementwise", "linear"])
LEVELS = [schedule(torch.tensor(t, dtype=torch.double))
          for schedule in (VPLinear(), VPCosine(), Flow(), EDM())
          for t in (0.02, 0.4, 0.97)]  # fmt: skip


@LOSSES
def test_posterior_of_a_gaussian_by_the_textbook(loss):
    matrix = loss.operator if loss.is_matrix else torch.diag(loss.operator.flatten())
    target = loss.target.flatten()
    precision = torch.diag(1 / GAUSSIAN.var.flatten()) + loss.weight * matrix.mT @ matrix
    pull = (GAUSSIAN.mean / GAUSSIAN.var).flatten() + loss.weight * matrix.mT @ target
    found = guided_posterior(GAUSSIAN, loss)
    torch.testing.assert_close(found.covariance, torch.linalg.inv(precision))
    torch.testing.assert_close(found.mean.flatten(), torch.linalg.solve(precision, pull))


@LOSSES
def test_guiding_a_gaussian_is_its_posterior_at_every_level(loss):
    """`guide` through the denoiser, with the exact loss, is exact; so both are right."""
    posterior, noise = guided_posterior(GAUSSIAN, loss), Noise([1, 2, 3])
    guided = guide(GAUSSIAN, [Term(marginal_loss(GAUSSIAN, loss))], noise=noise)
    for number, at in enumerate(LEVELS):
        x = at.sigma * doubles(number, 3, *SHAPE) + at.alpha
        want = posterior(x, at, {})
        torch.testing.assert_close(guided(x, at, {}), want, rtol=1e-9, atol=1e-9)
        if at.fraction > 0.5:  # and without the level's own spread it is not
            plain = guide(GAUSSIAN, [Term(loss)], noise=noise)(x, at, {})
            assert (plain - want).abs().max() > 0.01


@LOSSES
@pytest.mark.parametrize("prior", [GAUSSIAN, MIXTURE], ids=["gaussian", "mixture"])
def test_mean_covariance_and_denoiser_by_importance_sampling(prior, loss):
    count, small = 400_000, QuadraticLoss(loss.operator / 2, loss.target / 2, 0.5)
    if prior is GAUSSIAN:
        x0 = prior.mean + prior.var.sqrt() * doubles(7, count, *SHAPE)
    else:
        generator = torch.Generator().manual_seed(8)
        kind = torch.multinomial(prior.weights, count, replacement=True, generator=generator)
        x0 = prior.means[kind] + prior.stds[kind].reshape(-1, 1, 1, 1) * doubles(9, count, *SHAPE)
    logs, flat, posterior = -small(x0), x0.flatten(1), guided_posterior(prior, small)
    weights = logs.softmax(0)
    mean = weights @ flat
    assert (mean - posterior.mean.flatten()).abs().max() < 0.02
    covariance = (flat - mean).mT @ (weights[:, None] * (flat - mean))
    assert (covariance - posterior.covariance).abs().max() < 0.04
    drawn = posterior.draw(100_000).flatten(1)
    assert (drawn.mean(0) - posterior.mean.flatten()).abs().max() < 0.02
    assert (drawn.mT.cov() - posterior.covariance).abs().max() < 0.04
    at = VPCosine()(torch.tensor(0.7, dtype=torch.double))
    x = doubles(10, 1, *SHAPE)
    seen = logs - (x - at.alpha * x0).square().flatten(1).sum(1) / (2 * at.sigma**2)
    want = seen.softmax(0) @ flat
    assert (posterior(x, at, {}).flatten() - want).abs().max() < 0.04


def test_posterior_is_finite_at_both_ends():
    posterior, x = guided_posterior(MIXTURE, LINEAR), doubles(11, 2, *SHAPE)
    zero, one = torch.zeros((), dtype=torch.double), torch.ones((), dtype=torch.double)
    noise = posterior(x, Level(zero, one), {})
    torch.testing.assert_close(noise, posterior.mean.expand(2, *SHAPE))
    point = QuadraticLoss(torch.ones(SHAPE), torch.zeros(SHAPE))
    spread = guided_posterior(GAUSSIAN, point)
    torch.testing.assert_close(spread(x, Level(one, zero), {}), x)
    assert posterior(x.float(), Level(one, zero), {}).dtype == torch.float32


def test_sampling_the_posterior_gives_its_distribution():
    posterior = guided_posterior(MIXTURE, ELEMENTWISE)
    grid = levels(VPCosine(), 60)
    x = doubles(12, 3000, *SHAPE) * grid[0].sigma
    for step in sample(Heun(), bind(posterior, {}), x, grid, Noise(range(3000))):
        x = step.x
    assert (x.mean(0) - posterior.mean).abs().max() < 0.07
    assert (x.flatten(1).mT.cov() - posterior.covariance).abs().max() < 0.07


@pytest.mark.parametrize("wrong", [
    lambda: QuadraticLoss(torch.ones(2, 6), torch.ones(3)),
    lambda: QuadraticLoss(torch.ones(SHAPE), torch.ones(SHAPE), 0.0),
    lambda: guided_posterior(GAUSSIAN, QuadraticLoss(torch.ones(2, 5), torch.ones(2))),
])  # fmt: skip
def test_sizes_must_agree(wrong):
    with pytest.raises(ValueError):
        wrong()


def test_gradient_error_and_measured_order():
    def honest(x):
        return (x.sin() * x).flatten(1).sum(1)

    def lazy(x):
        return (x.sin() * x.detach()).flatten(1).sum(1)

    x0 = doubles(13, 2, 3, 8, 8)
    assert gradient_error(honest, x0) < 1e-6
    assert gradient_error(lazy, x0) > 0.1
    assert measured_order(Euler(), Flow()) == pytest.approx(1, abs=0.2)
    assert measured_order(Heun(), Flow()) == pytest.approx(2, abs=0.3)
    a, b = LEVELS[2], LEVELS[1]
    there = exact_path(GAUSSIAN, x0[:, :1, :2, :3], a, b)
    torch.testing.assert_close(exact_path(GAUSSIAN, there, b, a), x0[:, :1, :2, :3])
