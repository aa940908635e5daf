r"""The arithmetic of samplers that look back: levels as numbers, weights of what was seen.

A sampler with a past holds what the model said at k levels to be a polynomial of degree k - 1 and
integrates it exactly against the weight that the ODE has. The coordinate is
:math:`\lambda = \log(\alpha / \sigma)` for the exponential integrators and
:math:`s = \sigma / \alpha` for Adams' methods; weights are plain floats and sum to 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from artdiff.noise import Level

__all__ = [
    "Past",
    "Seen",
    "Trail",
    "ancestral",
    "between",
    "blend",
    "lagrange",
    "moments",
    "place",
    "recall",
    "spread",
]


class Seen(NamedTuple):
    """What was seen at a level: its coordinate, and x0 or epsilon, (B, C, H, W)."""

    at: float
    value: Tensor


Past = tuple[Seen, ...]
"""What a sampler remembers, the latest first."""

FEW = 15
"""With fewer steps than these the order falls to 2 and 1 in the last two steps."""


class Trail(NamedTuple):
    """What a sampler of third order remembers, and how many of its steps are left, this one too.

    In few steps the last ones reach far, and a parabola drawn on so far swings out: there
    fewer are looked at, as Lu et al., "DPM-Solver++", do in their program for few steps.
    """

    left: int
    few: bool
    past: Past = ()

    @classmethod
    def begin(cls, steps: int, lower: bool) -> Trail:
        return cls(steps, lower and steps < FEW)

    def most(self, order: int) -> int:
        """How many values the step may use: `order`, or less at the end of few steps."""
        return min(order, self.left) if self.few else order

    def on(self, past: Past) -> Trail:
        """After a step."""
        return Trail(self.left - 1, self.few, past)


def place(at: Level) -> float:
    r"""Give :math:`\lambda = \log(\alpha / \sigma)`, in [-inf, inf]."""
    alpha, sigma = float(at.alpha), float(at.sigma)
    if alpha == 0 or sigma == 0:
        return -math.inf if alpha == 0 else math.inf
    return math.log(alpha / sigma)


def spread(at: Level) -> float:
    r"""Give :math:`s = \sigma / \alpha`, in [0, inf]."""
    alpha = float(at.alpha)
    return float(at.sigma) / alpha if alpha else math.inf


def between(a: Level, b: Level, part: float = 0.5) -> Level:
    r"""Give the level at :math:`\lambda_a + \text{part}\,(\lambda_b - \lambda_a)`.

    :math:`\alpha = \alpha_a^{1 - part} \alpha_b^{part}` and sigma alike. Its scale may be that of
    no schedule, which a denoiser does not mind. Needs alpha_a > 0 and sigma_b > 0.
    """
    return Level(a.alpha ** (1 - part) * b.alpha**part, a.sigma ** (1 - part) * b.sigma**part)


def ancestral(a: Level, b: Level, eta: float) -> tuple[Level, Tensor]:
    r"""Split a step: the level to go down to, and the deviation of the noise to add there.

    .. math::
        s = \eta \frac{\sigma_b}{\sigma_a}
            \sqrt{\sigma_a^2 - \frac{\alpha_a^2}{\alpha_b^2} \sigma_b^2}, \qquad
        \sigma_{down} = \sqrt{\sigma_b^2 - s^2}

    Song et al., arXiv 2010.02502, Eq. 16, for any alpha and sigma. eta = 1 is the posterior of
    DDPM, eta = 0 adds nothing.
    """
    spare = (a.sigma**2 - (a.alpha / b.alpha * b.sigma) ** 2).clamp(min=0).sqrt()
    up = eta * b.sigma / a.sigma * spare
    return Level(b.alpha, (b.sigma**2 - up**2).clamp(min=0).sqrt()), up


def recall(seen: Seen, past: Past, count: int) -> Past:
    """Put what is seen now before the past and keep `count`; what lies at infinity is dropped."""
    return (seen, *(one for one in past if math.isfinite(one.at)))[:count]


def blend(past: Past, weights: Sequence[float]) -> Tensor:
    """Give the weighted sum of what was seen, as many as there are weights."""
    total = past[0].value if weights[0] == 1 else past[0].value * weights[0]
    for one, weight in zip(past[1:], weights[1:], strict=False):
        total = torch.add(total, one.value, alpha=weight)
    return total


def moments(h: float, count: int) -> list[float]:
    r"""Give the moments of an exponential weight over a step of length h > 0 that is scaled to 1.

    .. math::
        m_k = \frac{\int_0^1 e^{-h (1 - u)} u^k\, du}{\int_0^1 e^{-h (1 - u)}\, du}
            = \frac{1}{1 - e^{-h}} - \frac{k}{h} m_{k-1}

    for k < count; m_0 = 1. They are the :math:`\varphi` functions of exponential integrators:
    Hochbruck & Ostermann, "Exponential integrators", Acta Numerica 2010, Eq. 2.10. By series where
    the recursion would cancel.
    """
    whole = -math.expm1(-h) / h
    if h > 1:
        found = [1.0]
        for k in range(1, count):
            found.append((1 / whole - k * found[-1]) / h)
        return found
    found = []
    for k in range(count):
        term, total = 1.0, 0.0
        for n in range(20):
            total += term / (n + k + 1)
            term *= h / (n + 1)
        found.append(math.exp(-h) * total / whole)
    return found


def lagrange(nodes: Sequence[float], moments: Sequence[float]) -> list[float]:
    r"""Give the weights :math:`w_j = \int \prod_{i \ne j} \frac{u - u_i}{u_j - u_i}\, d\mu(u)`.

    Args:
        nodes: u_j, all different.
        moments: of the measure, as many as nodes at least.
    """
    weights = []
    for j, node in enumerate(nodes):
        polynomial = [1.0]
        for i, other in enumerate(nodes):
            if i != j:
                scale = 1 / (node - other)
                low = [-other * scale * c for c in polynomial]
                high = [scale * c for c in polynomial]
                polynomial = [p + q for p, q in zip([*low, 0.0], [0.0, *high], strict=True)]
        weights.append(sum(c * m for c, m in zip(polynomial, moments, strict=False)))
    return weights
