r"""Guided sampling with a known answer: quadratic losses and the posteriors they lead to.

A guidance loss :math:`\ell` stands for the likelihood :math:`e^{-\ell(x_0)}`. For a Gaussian or a
mixture prior and a quadratic loss, what guidance should give is known in closed form: the
posterior (`guided_posterior`), and its exact denoiser at every level, which is the posterior
itself, called.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from artdiff.denoise import Conditioning, GaussianDenoiser, MixtureDenoiser
from artdiff.noise import Level
from artdiff.random import Noise

__all__ = ["Posterior", "QuadraticLoss", "guided_posterior", "marginal_loss"]


@dataclass(frozen=True, eq=False)
class QuadraticLoss:
    r"""A loss that knows its answer, for each row :math:`\frac{w}{2} \lVert A x_0 - y \rVert^2`.

    Callable as the loss of a guidance `Term`.

    Args:
        operator: A, either of the shape of one sample (C, H, W), which multiplies element by
            element (a mask, a scalar), or a matrix (M, D) for the D elements of a sample.
        target: y, of a shape that broadcasts to one sample, or (M,) for a matrix.
        weight: w > 0.

    Raises:
        ValueError: if the weight is not above 0, or the target does not fit a matrix.
    """

    operator: Tensor
    target: Tensor
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not (self.weight > 0 and math.isfinite(self.weight)):
            raise ValueError(f"the weight must be above 0, not {self.weight}")
        if self.is_matrix and self.target.shape != self.operator.shape[:1]:
            wrong = f"{tuple(self.target.shape)} for a matrix {tuple(self.operator.shape)}"
            raise ValueError(f"the target must have one number for each row of A, not {wrong}")

    @property
    def is_matrix(self) -> bool:
        return self.operator.ndim == 2

    def seen(self, x0: Tensor) -> Tensor:
        """A x0 for rows x0, (B, C, H, W): (B, M), or (B, D) for an elementwise A."""
        if self.is_matrix:
            return x0.flatten(1) @ self.operator.to(x0).mT
        return (self.operator.to(x0) * x0).flatten(1)

    def __call__(self, x0: Tensor, at: Level | None = None, noise: Noise | None = None) -> Tensor:
        """The loss of each row, (B,)."""
        target = self.target.to(x0)
        target = target if self.is_matrix else target.expand(x0.shape[1:]).flatten()
        return self.weight / 2 * (self.seen(x0) - target).square().sum(1)


@dataclass(frozen=True, eq=False)
class Posterior:
    r"""A mixture of Gaussians, :math:`\sum_k w_k N(m_k, Q\,\mathrm{diag}(c_k)\,Q^T)`; a denoiser.

    Called as a `Denoiser` it gives :math:`E[x_0 | x, y]`, exact at every level:

    .. math::
        E[x_0 \mid x] = \sum_k r_k \left(m_k + Q \frac{\alpha c_k}{\alpha^2 c_k + \sigma^2}
            Q^T (x - \alpha m_k)\right), \quad
        r_k \propto w_k N(x; \alpha m_k, \alpha^2 S_k + \sigma^2 I)

    All in float64; what it returns has the dtype of x.

    Args:
        shape: of one sample, (C, H, W).
        means: m_k, (K, D).
        variances: c_k >= 0, (K, D), along the columns of the basis.
        weights: w_k, (K,), of sum 1.
        basis: Q, (D, D), orthogonal; None is the identity.
    """

    shape: tuple[int, ...]
    means: Tensor
    variances: Tensor
    weights: Tensor
    basis: Tensor | None = None

    @property
    def mean(self) -> Tensor:
        """The mean, (C, H, W) float64."""
        return (self.weights @ self.means).reshape(self.shape)

    @property
    def covariance(self) -> Tensor:
        """The covariance over the D elements of a sample, (D, D) float64."""
        away = self.means - self.mean.flatten()
        own = torch.diag(self.weights @ self.variances)
        if self.basis is not None:
            own = self.basis @ own @ self.basis.mT
        return own + torch.einsum("k,ki,kj->ij", self.weights, away, away)

    def draw(self, count: int, seed: int = 0) -> Tensor:
        """Samples (count, C, H, W) in float64, a function of the seed."""
        generator = torch.Generator().manual_seed(seed)
        kind = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        spread = torch.randn(count, self.means.shape[1], dtype=torch.double, generator=generator)
        away = self._back(spread * self.variances[kind].sqrt())
        return (self.means[kind] + away).reshape(count, *self.shape)

    def __call__(self, x: Tensor, at: Level, cond: Conditioning | None = None) -> Tensor:
        alpha, sigma = (part.to(x.device).double() for part in at)
        alpha, sigma = (part.reshape(-1, 1, 1) if part.ndim else part for part in (alpha, sigma))
        means, variances = self.means.to(x.device), self.variances.to(x.device)
        away = self._turn(x.flatten(1).double()[:, None] - alpha * means)
        total = (alpha**2 * variances + sigma**2).clamp(min=1e-60)
        logits = self.weights.to(x.device).log()
        logits = logits - (away**2 / total + total.log()).sum(-1) / 2
        each = means + self._back(alpha * variances / total * away)
        x0 = (logits.softmax(1)[..., None] * each).sum(1)
        return x0.reshape(x.shape).to(x.dtype)

    def _turn(self, rows: Tensor) -> Tensor:
        return rows if self.basis is None else rows @ self.basis.to(rows)

    def _back(self, rows: Tensor) -> Tensor:
        return rows if self.basis is None else rows @ self.basis.to(rows).mT


def guided_posterior(
    prior: GaussianDenoiser | MixtureDenoiser,
    loss: QuadraticLoss,
    shape: tuple[int, ...] | None = None,
) -> Posterior:
    r"""Condition a prior on a quadratic loss: the density proportional to p(x0) exp(-loss(x0)).

    For a Gaussian N(mu, v), with :math:`S = (\mathrm{diag}(v)^{-1} + w A^T A)^{-1}`:

    .. math:: x_0 \mid y \sim N\left(\mu + w S A^T (y - A \mu),\ S\right)

    For a mixture this holds for each component, and its weight is multiplied by
    :math:`\int N(x_0; \mu_k, s_k^2) e^{-\ell(x_0)} dx_0`.

    Args:
        prior: the exact denoiser of the unguided data.
        loss: what guides.
        shape: of one sample; needed only where the prior's mean does not have it.

    Raises:
        ValueError: if the sizes do not agree.
    """
    gaussian = isinstance(prior, GaussianDenoiser)
    shape = _shape(prior, loss) if shape is None else tuple(shape)
    size = math.prod(shape)
    if loss.is_matrix and loss.operator.shape[1] != size:
        raise ValueError(
            f"A is {tuple(loss.operator.shape)}, a sample {shape} has {size} elements"
        )
    weight = loss.weight
    if gaussian:
        means = prior.mean.double().expand(shape).reshape(1, size)
        spread = prior.var.double().expand(shape).reshape(1, size)
        shares = torch.ones(1, dtype=torch.double)
    else:
        means = prior.means.double().reshape(len(prior.means), size)
        spread = prior.stds.double()[:, None].expand(-1, size) ** 2
        shares = prior.weights.double() / prior.weights.double().sum()
    if not loss.is_matrix:
        factor = loss.operator.double().expand(shape).reshape(size)
        target = loss.target.double().expand(shape).reshape(size)
        variances, away = spread / (1 + weight * factor**2 * spread), target - factor * means
        pull, basis = factor * away, None
        logs = (1 + weight * factor**2 * spread).log()
    else:
        matrix = loss.operator.double()
        away = loss.target.double() - means @ matrix.mT
        if gaussian:
            scale = spread[0].sqrt()
            values, turn = torch.linalg.eigh((matrix * scale).mT @ (matrix * scale))
            gains = 1 + weight * values.clamp(min=0)
            root = scale[:, None] * turn * gains.rsqrt()
            values, basis = torch.linalg.eigh(root @ root.mT)
            variances, logs = values.clamp(min=0)[None], gains.log()[None]
        else:
            values, basis = torch.linalg.eigh(matrix.mT @ matrix)
            gains = 1 + weight * values.clamp(min=0) * spread
            variances, logs = spread / gains, gains.log()
        pull = (away @ matrix) @ basis
    moved = weight * variances * pull
    evidence = (weight * (variances * pull**2).sum(1) - away.square().sum(1)) * weight / 2
    logits = shares.log() + evidence - logs.sum(1) / 2
    moved = moved if basis is None else moved @ basis.mT
    return Posterior(shape, means + moved, variances, logits.softmax(0), basis)


def marginal_loss(prior: GaussianDenoiser, loss: QuadraticLoss) -> MarginalLoss:
    """The loss for which `guide` through a Gaussian's denoiser is exact at every level."""
    return MarginalLoss(prior, loss)


@dataclass(frozen=True, eq=False)
class MarginalLoss:
    r"""Minus the log likelihood of y given x, seen through the denoiser of a Gaussian.

    .. math::
        \ell_t(x_0) = \tfrac12 \lVert A x_0 - y \rVert^2_{(A C_t A^T + I / w)^{-1}},
        \qquad C_t = \frac{v \sigma^2}{\alpha^2 v + \sigma^2}

    where C_t is the covariance of x0 given x. With it, ``guide(prior, [Term(this)])`` equals
    ``guided_posterior(prior, loss)``; `QuadraticLoss` itself, which leaves C_t out (Chung et al.,
    "Diffusion Posterior Sampling", arXiv 2209.14687), pulls too hard at high noise.
    """

    prior: GaussianDenoiser
    loss: QuadraticLoss

    def __call__(self, x0: Tensor, at: Level, noise: Noise | None = None) -> Tensor:
        """The loss of each row, (B,)."""
        var = self.prior.var.to(x0).expand(x0.shape[1:])
        alpha, sigma = at.alpha.to(x0), at.sigma.to(x0)
        left = (var * sigma**2 / (alpha**2 * var + sigma**2)).flatten()
        target = self.loss.target.to(x0)
        if not self.loss.is_matrix:
            factor = self.loss.operator.to(x0).expand(x0.shape[1:]).flatten()
            away = factor * x0.flatten(1) - target.expand(x0.shape[1:]).flatten()
            return (away**2 / (factor**2 * left + 1 / self.loss.weight)).sum(1) / 2
        matrix = self.loss.operator.to(x0)
        spread = (matrix * left) @ matrix.mT
        spread = spread + torch.eye(len(matrix)).to(x0) / self.loss.weight
        away = x0.flatten(1) @ matrix.mT - target
        return (away * torch.linalg.solve(spread, away.mT).mT).sum(1) / 2


def _shape(prior: GaussianDenoiser | MixtureDenoiser, loss: QuadraticLoss) -> tuple[int, ...]:
    """The shape of one sample, as far as prior and loss tell it."""
    if isinstance(prior, MixtureDenoiser):
        return tuple(prior.means.shape[1:])
    parts = [prior.mean.shape, prior.var.shape]
    parts += [] if loss.is_matrix else [loss.operator.shape, loss.target.shape]
    return tuple(torch.broadcast_shapes(*parts))
