r"""The variational bound on the log likelihood, in bits per dimension, term by term.

.. math::
    -\log_2 p(x_0) \le \underbrace{D(q(x_{N-1} \mid x_0) \,\|\, N(0, I))}_{\text{prior}}
        + \sum_{t > 0} E_q\, D(q(x_{t-1} \mid x_t, x_0) \,\|\, p(x_{t-1} \mid x_t))
        - E_q \log_2 p(x_0 \mid x_{t=0})

with D the Kullback-Leibler divergence; every term is divided by the number of dimensions. Ho et
al., arXiv 2006.11239, Eq. 5; the last term, the decoder's, is Eq. 13. Pictures are of 256 values,
scaled to [-1, 1].
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from artdiff.process import Process, Reverse, Target, Variance
from artdiff.random import Noise

__all__ = [
    "Bound",
    "decoder_log_likelihood",
    "normal_kl",
    "prior_term",
    "step_term",
    "variational_bound",
]

STREAM = "vlb"
"""The noise stream of `variational_bound`."""


def normal_kl(mean1: Tensor, log_var1: Tensor, mean2: Tensor, log_var2: Tensor) -> Tensor:
    r"""Divergence of one normal distribution from another, in nats, element by element.

    .. math::
        D(1 \,\|\, 2) = \tfrac12 \left(\log v_2 - \log v_1 - 1 + \frac{v_1}{v_2}
            + \frac{(\mu_1 - \mu_2)^2}{v_2}\right)
    """
    ratio = (log_var1 - log_var2).exp()
    away = (mean1 - mean2).square() * (-log_var2).exp()
    return (log_var2 - log_var1 - 1 + ratio + away) / 2


def decoder_log_likelihood(
    x0: Tensor, mean: Tensor, log_var: Tensor, *, exact: bool = False
) -> Tensor:
    r"""Log likelihood of 256-valued pictures under a discretised normal distribution, in nats.

    .. math::
        \log p(x_0) = \log\left(\Phi\frac{x_0 + \frac{1}{255} - \mu}{\sqrt v}
            - \Phi\frac{x_0 - \frac{1}{255} - \mu}{\sqrt v}\right)

    with the upper end at infinity where x0 is 1 and the lower at minus infinity where x0 is -1; no
    less than log 1e-12. Ho et al., arXiv 2006.11239, Eq. 13. Published numbers take
    :math:`\Phi(u) \approx \frac12 (1 + \tanh(\sqrt{2 / \pi} (u + 0.044715 u^3)))`, which is right
    to 4e-4; so does this, unless `exact`.

    Args:
        x0: the picture, (B, C, H, W), values k / 127.5 - 1.
        mean: mu, of the same shape.
        log_var: log v, of the same shape.
        exact: take the normal distribution itself.
    """
    scale, away, half = (-log_var / 2).exp(), x0 - mean, 1 / 255
    cdf = _ndtr if exact else _fast_ndtr
    far = away.abs()  # both ends on the left, where differences of small numbers are exact
    inside = cdf(scale * (half - far)) - cdf(scale * (-half - far))
    inside = torch.where(x0 < -0.999, cdf(scale * (away + half)), inside)
    inside = torch.where(x0 > 0.999, cdf(scale * (half - away)), inside)
    return inside.clamp(min=1e-12).log()


def _ndtr(u: Tensor) -> Tensor:
    return torch.special.erfc(u * -math.sqrt(0.5)) / 2


def _fast_ndtr(u: Tensor) -> Tensor:
    return torch.sigmoid(math.sqrt(8 / math.pi) * (u + 0.044715 * u**3))


def step_term(process: Process, reverse: Reverse, x0: Tensor, x: Tensor, t: Tensor) -> Tensor:
    """One step's share of the bound, bits per dimension, (B,).

    The divergence of the reverse step from the posterior at t > 0, the decoder's negative log
    likelihood at t = 0.

    Args:
        process: whose steps they are.
        reverse: p(x_{t-1} | x_t).
        x0: the clean picture, (B, C, H, W) in [-1, 1].
        x: x_t.
        t: the step, (B,) long.
    """
    mean, _, log_var = process.posterior(x0, x, t)
    away = _per_dimension(normal_kl(mean, log_var, reverse.mean, reverse.log_variance))
    decoder = -decoder_log_likelihood(x0, reverse.mean, reverse.log_variance)
    return torch.where(t == 0, _per_dimension(decoder), away)


def prior_term(process: Process, x0: Tensor) -> Tensor:
    """Divergence of q(x_{N-1} | x_0) from N(0, I), bits per dimension, (B,); no model in it."""
    last = torch.full((len(x0),), len(process) - 1, device=x0.device)
    at, zero = process.level(last, x0), torch.zeros_like(x0)
    return _per_dimension(normal_kl(at.alpha * x0, 2 * at.sigma.log(), zero, zero))


class Bound(NamedTuple):
    """The bound and what it is made of, in bits per dimension.

    Attributes:
        total: the bound, (B,): prior + the sum of terms.
        prior: (B,).
        terms: (B, N), the decoder's at t = 0, then each step's divergence.
        x0_error: mean square error of x0 at each step, (B, N).
        eps_error: mean square error of the noise at each step, (B, N).
    """

    total: Tensor
    prior: Tensor
    terms: Tensor
    x0_error: Tensor
    eps_error: Tensor


def variational_bound(
    process: Process,
    network: Callable[[Tensor, Tensor], Tensor],
    x0: Tensor,
    noise: Noise,
    *,
    target: Target = "epsilon",
    variance: Variance = "small",
    clip: bool = True,
    rescale: bool = False,
) -> Bound:
    """Estimate the bound of B pictures with one draw of the noise at each of the N steps.

    N model calls, without gradient. A respaced process has a bound of its own, from fewer calls;
    it is looser.

    Args:
        process: the steps.
        network: (x, time) -> output, its conditioning bound; time is `Process.time`.
        x0: pictures, (B, C, H, W) in [-1, 1].
        noise: of B seeds; step t draws from ``noise.at(t)``.
        target: what the network outputs.
        variance: which variance; see `Process.p_mean_variance`.
        clip: keep the predicted x0 in [-1, 1].
        rescale: as in `Process.time`.
    """
    rows = []
    with torch.no_grad():
        for step in reversed(range(len(process))):
            t = torch.full((len(x0),), step, device=x0.device)
            eps = noise.at(step).normal(x0, STREAM)
            x = process.q_sample(x0, t, eps)
            output = network(x, process.time(t, rescale=rescale))
            reverse = process.p_mean_variance(
                output, x, t, target=target, variance=variance, clip=clip
            )
            seen = process.to_epsilon(reverse.x0, x, t)
            term = step_term(process, reverse, x0, x, t)
            errors = [_mean((reverse.x0 - x0).square()), _mean((seen - eps).square())]
            rows.append(torch.stack([term, *errors]))
        terms, x0_error, eps_error = torch.stack(rows[::-1], dim=-1)
        prior = prior_term(process, x0)
        return Bound(prior + terms.sum(1), prior, terms, x0_error, eps_error)


def _mean(value: Tensor) -> Tensor:
    """Average over all dimensions but the first."""
    return value.flatten(1).mean(1)


def _per_dimension(nats: Tensor) -> Tensor:
    """Average nats over the dimensions, in bits."""
    return _mean(nats) / math.log(2)
