"""Guided samples against closed forms: mean and covariance within Monte-Carlo error.

The prior is a Gaussian or a mixture, what is wanted a quadratic loss, so that the posterior is
known (`guided_posterior`). 6000 samples by dpmpp_2m (48 steps), ddim without noise (150 steps) and
dpmpp_2m_sde (100 steps, noise drawn at each). Every mean and every entry of the covariance lies
within 4 standard errors, about 0.05 standard deviations. Guidance is exact where exp(-loss) is the
likelihood of what is wanted given x; both ways of saying that are used: a loss that sees x0,
through a Gaussian's denoiser (`marginal_loss`), and one that sees x, for any prior.
"""

import math
from dataclasses import dataclass

import pytest
import torch

from artdiff.denoise import GaussianDenoiser, MixtureDenoiser, bind
from artdiff.grid import levels
from artdiff.guidance.guide import Term, guide
from artdiff.noise import Flow, VPLinear
from artdiff.random import Noise
from artdiff.sample import sample
from artdiff.samplers import DDIM, DPMpp2M, DPMpp2MSDE
from artdiff.testing import QuadraticLoss, guided_posterior, marginal_loss

SHAPE = (1, 1, 3)
COUNT, ERRORS = 6000, 4


def doubles(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


GAUSSIAN = GaussianDenoiser(doubles(0, *SHAPE), doubles(1, *SHAPE).square() + 0.3)
MIXTURE = MixtureDenoiser(
    torch.tensor([[-2.0, 0.0, 1.0], [1.5, 1.0, -1.0], [0.5, -2.0, 0.0]]).reshape(3, *SHAPE),
    torch.tensor([0.6, 0.8, 0.5]),
    torch.tensor([1.0, 2.0, 1.5]),
)
LOSSES = [
    pytest.param(QuadraticLoss(torch.tensor([1.0, 0.0, 2.0]).reshape(SHAPE).double(),
                               torch.tensor([0.8, 0.0, -1.0]).reshape(SHAPE).double(), 1.5),
                 id="masked"),
    pytest.param(QuadraticLoss(doubles(5, 2, 3), doubles(6, 2), 0.7), id="matrix"),
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Likelihood:
    """-log p(y | x) of a mixture for y = A x0 + noise of variance 1 / w; it sees x.

    Given x and the component k, x0 is Gaussian, hence y as well: N(A m_k, A C_k A^T + I / w).
    """

    prior: MixtureDenoiser | GaussianDenoiser
    loss: QuadraticLoss

    def __call__(self, x, at, noise):
        points = x.flatten(1).double()[:, None]
        if isinstance(self.prior, MixtureDenoiser):
            means = self.prior.means.flatten(1).double()
            spread = (self.prior.stds.double()[:, None] ** 2).expand_as(means)
            logs = self.prior.weights.double().log()
        else:
            means, spread = self.prior.mean.flatten()[None], self.prior.var.flatten()[None]
            logs = torch.zeros(1, dtype=torch.double)
        total = at.alpha**2 * spread + at.sigma**2
        away = points - at.alpha * means
        logs = logs - (away**2 / total + total.log()).sum(2) / 2
        each = means + at.alpha * spread / total * away  # E[x0 | x, k]
        left = spread * at.sigma**2 / total  # its variance
        matrix, target = self.loss.operator.double(), self.loss.target.double()
        if not self.loss.is_matrix:
            matrix, target = torch.diag(matrix.flatten()), target.flatten()
        about = matrix @ torch.diag_embed(left) @ matrix.mT
        about = about + torch.eye(len(matrix)) / self.loss.weight
        missed = each @ matrix.mT - target
        solved = torch.linalg.solve(about, missed.movedim(0, 2)).movedim(2, 0)
        fits = -(missed * solved).sum(2) / 2 - torch.logdet(about) / 2
        return (logs.logsumexp(1) - (logs + fits).logsumexp(1)).to(x)


@dataclass(frozen=True)
class Draws:
    """`Noise` in one draw for all rows, which so many samples want."""

    step: int = 0

    def at(self, step):
        return Draws(step)

    def normal(self, like, stream):
        return doubles(self.step, *like.shape)


def samples(prior, terms, sampler, steps, schedule):
    grid = levels(schedule, steps)
    denoiser = guide(prior, terms, noise=Draws())
    x = doubles(2**21, COUNT, *SHAPE) * grid[0].sigma
    with torch.no_grad():
        *_, step = sample(sampler, bind(denoiser, {}), x, grid, Draws())
    return step.x.flatten(1)


def assert_moments(found, posterior):
    """Mean and covariance of samples (N, D) lie within the errors that N samples have."""
    count, mean, covariance = len(found), posterior.mean.flatten(), posterior.covariance
    error = (covariance.diagonal() / count).sqrt()
    missed = ((found.mean(0) - mean) / error).abs()
    assert float(missed.max()) < ERRORS, f"mean is {missed} standard errors away"
    away = found - mean
    products = away[:, :, None] * away[:, None, :]
    error = products.std(0) / math.sqrt(count)
    missed = ((products.mean(0) - covariance) / error).abs()
    assert float(missed.max()) < ERRORS, f"covariance is {missed} standard errors away"


@pytest.mark.parametrize("loss", LOSSES)
def test_gaussian_through_the_denoiser(loss):
    terms = [Term(marginal_loss(GAUSSIAN, loss))]
    found = samples(GAUSSIAN, terms, DDIM(), 150, Flow())
    assert_moments(found, guided_posterior(GAUSSIAN, loss))


def test_other_guidance_is_noticed():
    """The test can fail: by no guidance, by one a tenth too strong, by the loss without C_t."""
    loss = LOSSES[0].values[0]
    exact = marginal_loss(GAUSSIAN, loss)
    for terms in ([], [Term(exact, 1.1)], [Term(loss)]):
        found = samples(GAUSSIAN, terms, DPMpp2M(), 48, Flow())
        with pytest.raises(AssertionError, match="standard errors away"):
            assert_moments(found, guided_posterior(GAUSSIAN, loss))


WALKS = [
    pytest.param((DPMpp2M(), 48, Flow()), id="dpmpp_2m"),
    pytest.param((DPMpp2MSDE(), 100, Flow()), id="dpmpp_2m_sde"),
]


@pytest.mark.parametrize("prior", [GAUSSIAN, MIXTURE], ids=["gaussian", "mixture"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("walk", WALKS)
def test_a_loss_that_sees_x(prior, loss, walk):
    found = samples(prior, [Term(Likelihood(prior, loss), sees="x")], *walk)
    assert_moments(found, guided_posterior(prior, loss))


@pytest.mark.parametrize("at", levels(VPLinear(), 6)[:-1])
@pytest.mark.parametrize("loss", LOSSES)
def test_each_denoising_is_exact(at, loss):
    """What the samples rest on: the guided x0 is E[x0 | x, y] at every level."""
    x = doubles(3, 5, *SHAPE)
    for prior in (GAUSSIAN, MIXTURE):
        guided = guide(prior, [Term(Likelihood(prior, loss), sees="x")], noise=Noise(range(5)))
        expected = guided_posterior(prior, loss)(x, at)
        torch.testing.assert_close(guided(x, at, {}), expected, rtol=1e-6, atol=1e-6)


def test_terms_add_up_as_likelihoods_multiply():
    """One term that sees x0 beside one that sees x."""
    first, second = (param.values[0] for param in LOSSES)
    after = guided_posterior(GAUSSIAN, first)
    between = GaussianDenoiser(after.mean, after.variances.reshape(SHAPE))
    terms = [Term(marginal_loss(GAUSSIAN, first)), Term(Likelihood(between, second), sees="x")]
    found = samples(GAUSSIAN, terms, DPMpp2M(), 48, Flow())
    assert_moments(found, guided_posterior(between, second))
