"""Grids that are spaced in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from pydantic import BaseModel, Field
from torch import Tensor

from artdiff.noise import Schedule, interpolate
from artdiff.options import NoOptions

__all__ = ["Beta", "LinearT", "beta_quantiles", "places"]

POINTS = 4096


def places(steps: int) -> Tensor:
    """From 0 to 1, both included, (steps,) float64; 0 alone for one step."""
    return torch.linspace(0, 1, max(steps, 2), dtype=torch.float64)[:steps]


@dataclass(frozen=True)
class LinearT:
    """Equal steps of time, the last of them to t = 0; on `Flow`, of the noise fraction."""

    name: ClassVar[str] = "linear-t"
    Options: ClassVar[type[BaseModel]] = NoOptions

    def times(self, schedule: Schedule, steps: int, start: float) -> Tensor:
        return torch.linspace(start, 0, steps + 1, dtype=torch.float64)[:-1]


@dataclass(frozen=True)
class Beta:
    r"""The quantiles of a Beta distribution over time; with a and b below 1 it crowds at the ends.

    .. math:: t_i = t_{start}\, F^{-1}_{a, b}(1 - i / N)

    Lee et al., "Beta Sampling is All You Need", arXiv 2407.12173, Section 4, with its a = b = 0.6.
    """

    class Options(BaseModel, extra="forbid"):
        """Options of beta."""

        a: float = Field(0.6, ge=0.1, le=10, description="Below 1: more steps at low noise.")
        b: float = Field(0.6, ge=0.1, le=10, description="Below 1: more steps at high noise.")

    a: float = 0.6
    b: float = 0.6
    name: ClassVar[str] = "beta"

    def times(self, schedule: Schedule, steps: int, start: float) -> Tensor:
        shares = torch.linspace(1, 0, steps + 1, dtype=torch.float64)[:-1]
        return start * beta_quantiles(shares, self.a, self.b)


def beta_quantiles(shares: Tensor, a: float, b: float) -> Tensor:
    r"""Give the t below which a share p of a Beta distribution lies, (N,) float64.

    .. math:: \int_0^t u^{a-1} (1 - u)^{b-1} du = p \int_0^1 u^{a-1} (1 - u)^{b-1} du

    The density's pole at 0 is removed by :math:`u = v^{1/a}` below 1/2, the one at 1 alike; both
    halves are summed by Simpson's rule and inverted by linear interpolation. The error is below
    1e-5.

    Args:
        shares: p in [0, 1], (N,) float64.
        a: above 0.
        b: above 0.
    """
    low_v, low = _half(a, b)
    high_v, high = _half(b, a)
    whole = low[-1] + high[-1]
    below = interpolate(shares * whole, low, low_v) ** (1 / a)
    above = 1 - interpolate((1 - shares) * whole, high, high_v) ** (1 / b)
    return torch.where(shares * whole <= low[-1], below, above)


def _half(a: float, b: float) -> tuple[Tensor, Tensor]:
    """Points v and the integral of u^(a-1) (1-u)^(b-1) from 0 to v^(1/a), up to u = 1/2."""
    v = torch.linspace(0, 0.5**a, 2 * POINTS + 1, dtype=torch.float64)
    f = (1 - v ** (1 / a)) ** (b - 1) / a
    pieces = (f[:-2:2] + 4 * f[1:-1:2] + f[2::2]) * (v[2] - v[0]) / 6
    return v[::2], torch.cat([pieces.new_zeros(1), pieces.cumsum(0)])
