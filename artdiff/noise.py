r"""Noise levels, noise schedules and timestep grids.

A noisy sample is :math:`x = \alpha x_0 + \sigma\varepsilon`, :math:`\varepsilon \sim N(0, I)`.
A *level* is one pair (alpha, sigma); a *schedule* maps a time t in [0, 1] to a level, t = 1 being
noise; a *grid* is the list of levels that a sampler walks, from noise to the clean sample (1, 0).
Along every schedule alpha / sigma strictly falls as t rises.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

__all__ = [
    "EDM",
    "SCHEDULES",
    "DiscreteTable",
    "Flow",
    "Level",
    "Schedule",
    "VPCosine",
    "VPLinear",
    "diffuse",
    "karras_levels",
    "levels",
    "shift_time",
    "time_of",
]


class Level(NamedTuple):
    """A noise level: x = alpha * x0 + sigma * eps, with alpha, sigma >= 0 and never both 0.

    When sampling, both are 0-dim float64 tensors on the CPU: they multiply a tensor of any dtype
    and device without promoting it and without waiting for the device. When training they are
    (B, 1, 1, 1), on the device and in the dtype of x.
    """

    alpha: Tensor
    sigma: Tensor

    @property
    def log_snr(self) -> Tensor:
        """2 log(alpha / sigma), in [-inf, inf]; the formula of arXiv 2107.00630, Section 3.1."""
        return 2 * (self.alpha.log() - self.sigma.log())

    @property
    def fraction(self) -> Tensor:
        """The noise fraction sigma / (alpha + sigma), in [0, 1]; equal to t on `Flow`.

        It depends on alpha / sigma only, so that the same fraction means the same signal-to-noise
        ratio on every schedule.
        """
        return self.sigma / (self.alpha + self.sigma)


class Schedule(Protocol):
    """A noise schedule, a map t -> (alpha, sigma) with alpha / sigma strictly falling in t."""

    def __call__(self, t: Tensor) -> Level:
        """Give the level at times t in [0, 1] (any shape); shape, dtype and device are kept."""
        ...


def diffuse(x0: Tensor, eps: Tensor, at: Level) -> Tensor:
    """Noise a clean sample: alpha * x0 + sigma * eps; x0 and eps are (B, C, H, W)."""
    return at.alpha * x0 + at.sigma * eps


@dataclass(frozen=True)
class VPLinear:
    r"""Variance-preserving schedule whose rate beta(t) is linear in t.

    .. math::
        \log\alpha_t = -\tfrac14 t^2 (\beta_1 - \beta_0) - \tfrac12 t \beta_0,
        \qquad \sigma_t^2 = 1 - \alpha_t^2

    Song et al., "Score-Based Generative Modeling through SDEs", arXiv 2011.13456, Eq. 33; the
    continuous limit of the DDPM schedule. alpha stays above 0 at t = 1 (0.0066 by default).

    Raises:
        ValueError: unless 0 < beta_min <= beta_max.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self) -> None:
        if not 0 < self.beta_min <= self.beta_max:
            raise ValueError(f"0 < beta_min <= beta_max, not {self.beta_min} and {self.beta_max}")

    def __call__(self, t: Tensor) -> Level:
        integral = t * self.beta_min + t**2 * (self.beta_max - self.beta_min) / 2
        return Level((-integral / 2).exp(), (-torch.expm1(-integral)).sqrt())


@dataclass(frozen=True)
class VPCosine:
    r"""Variance-preserving cosine schedule.

    .. math::
        \alpha_t = \frac{\cos\phi_t}{\cos\phi_0}, \quad
        \sigma_t^2 = \frac{\sin(\phi_t + \phi_0) \sin(\phi_t - \phi_0)}{\cos^2\phi_0}, \quad
        \phi_t = \frac{t + s}{1 + s} \frac{\pi}{2}

    Nichol & Dhariwal, "Improved Denoising Diffusion Probabilistic Models", arXiv 2102.09672,
    Eq. 17. Both forms are exact at the ends: alpha is 0 at t = 1, sigma is 0 at t = 0.

    Raises:
        ValueError: unless 0 <= offset < 1.
    """

    offset: float = 0.008

    def __post_init__(self) -> None:
        if not 0 <= self.offset < 1:
            raise ValueError(f"0 <= offset < 1, not {self.offset}")

    def __call__(self, t: Tensor) -> Level:
        quarter = math.pi / 2 / (1 + self.offset)
        cos0 = math.cos(self.offset * quarter)
        alpha = ((1 - t) * quarter).sin() / cos0
        variance = ((t + 2 * self.offset) * quarter).sin() * (t * quarter).sin()
        return Level(alpha.clamp(max=1), variance.sqrt() / cos0)


@dataclass(frozen=True)
class Flow:
    r"""Rectified flow, :math:`\alpha_t = 1 - t`, :math:`\sigma_t = t`.

    Liu et al., "Flow Straight and Fast", arXiv 2209.03003, Eq. 1 (with noise at t = 1).
    """

    def __call__(self, t: Tensor) -> Level:
        return Level(1 - t, t)


@dataclass(frozen=True)
class EDM:
    r"""Variance-exploding schedule, :math:`\alpha = 1`.

    .. math::
        \sigma_t = \left(\sigma_{min}^{1/\rho}
            + t (\sigma_{max}^{1/\rho} - \sigma_{min}^{1/\rho})\right)^\rho

    Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models",
    arXiv 2206.00364, Eq. 5. rho = inf gives the limit, linear in log(sigma).

    Raises:
        ValueError: unless 0 < sigma_min < sigma_max and rho >= 1.
    """

    sigma_min: float = 0.002
    sigma_max: float = 80.0
    rho: float = 7.0

    def __post_init__(self) -> None:
        if not 0 < self.sigma_min < self.sigma_max < math.inf:
            raise ValueError(f"0 < sigma_min < sigma_max, not {self.sigma_min}, {self.sigma_max}")
        if not self.rho >= 1:
            raise ValueError(f"rho >= 1 (inf: linear in log sigma), not {self.rho}")

    def __call__(self, t: Tensor) -> Level:
        if math.isinf(self.rho):
            low, high = math.log(self.sigma_min), math.log(self.sigma_max)
            return Level(torch.ones_like(t), (low + t * (high - low)).exp())
        low, high = self.sigma_min ** (1 / self.rho), self.sigma_max ** (1 / self.rho)
        return Level(torch.ones_like(t), (low + t * (high - low)) ** self.rho)


@dataclass(frozen=True)
class DiscreteTable:
    r"""Variance-preserving schedule through N trained levels :math:`\bar\alpha_i = \alpha_i^2`.

    Entry i lies at t = i / (N - 1); between entries log-SNR is interpolated linearly, so that a
    network that was trained on N integer timesteps can be asked at any level. The table is the
    product of :math:`1 - \beta_i` of Ho et al., "Denoising Diffusion Probabilistic Models",
    arXiv 2006.11239, Eq. 4.

    Raises:
        ValueError: unless there are two entries or more, in (0, 1) and strictly falling.
    """

    alphas_cumprod: tuple[float, ...]

    def __post_init__(self) -> None:
        table = tuple(float(a) for a in self.alphas_cumprod)
        object.__setattr__(self, "alphas_cumprod", table)
        falling = all(a > b for a, b in pairwise(table))
        if len(table) < 2 or not falling or not (table[0] < 1 and table[-1] > 0):
            raise ValueError("alphas_cumprod needs two entries or more, in (0, 1), falling")

    @classmethod
    def from_betas(cls, betas: Sequence[float]) -> DiscreteTable:
        """Build the table from the N rates beta_i in (0, 1)."""
        kept = 1 - torch.as_tensor(betas, dtype=torch.float64)
        return cls(tuple(kept.cumprod(0).tolist()))

    @cached_property
    def log_snrs(self) -> Tensor:
        """The log-SNR of each entry, (N,) float64, falling."""
        return torch.tensor(self.alphas_cumprod, dtype=torch.float64).logit()

    def __call__(self, t: Tensor) -> Level:
        table = self.log_snrs.to(t)
        place = t * (len(table) - 1)
        low = place.floor().clamp(0, len(table) - 2).long()
        log_snr = torch.lerp(table[low], table[low + 1], place - low)
        return Level(log_snr.sigmoid().sqrt(), (-log_snr).sigmoid().sqrt())

    def index(self, at: Level) -> Tensor:
        """Give the (fractional) table index of a level, in [0, N - 1], clamped at both ends.

        This is what a network trained on integer timesteps is asked with, whatever the schedule
        of the level: only alpha / sigma is read. Shape, dtype and device are those of the level.
        """
        rising = self.log_snrs.flip(0).to(at.sigma)
        value = at.log_snr.clamp(rising[0], rising[-1])
        high = torch.searchsorted(rising, value.contiguous()).clamp(1, len(rising) - 1)
        part = (value - rising[high - 1]) / (rising[high] - rising[high - 1])
        return (len(rising) - 1) - (high - 1 + part)


SCHEDULES: Mapping[str, type] = {
    "vp-linear": VPLinear,
    "vp-cosine": VPCosine,
    "flow": Flow,
    "edm": EDM,
    "table": DiscreteTable,
}
"""The schedules by the name that presets and cards use."""


def shift_time(t: Tensor, shift: float) -> Tensor:
    r"""Move times towards the noise, :math:`t' = s t / (1 + (s - 1) t)`; 0 and 1 stay.

    Esser et al., "Scaling Rectified Flow Transformers for High-Resolution Image Synthesis",
    arXiv 2403.03206, Eq. 23. s > 1 spends more steps at high noise, as large pictures need.
    """
    return shift * t / (1 + (shift - 1) * t)


def time_of(schedule: Schedule, fraction: Tensor) -> Tensor:
    """Invert a schedule: the times t in [0, 1] at which `Level.fraction` equals `fraction`.

    By bisection in float64, to 2**-60; fractions outside the schedule's range give 0 or 1.
    """
    low = torch.zeros_like(fraction, dtype=torch.float64)
    high = torch.ones_like(low)
    for _ in range(60):
        middle = (low + high) / 2
        below = schedule(middle).fraction < fraction
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return (low + high) / 2


def levels(
    schedule: Schedule, steps: int, *, shift: float = 1.0, start: float = 1.0
) -> list[Level]:
    """Give the steps + 1 levels of a grid that is linear in t; the last is clean, (1, 0).

    Args:
        schedule: where the levels come from; its level at t = 0 is replaced by the clean one.
        steps: the number of transitions, at least 1.
        shift: s of `shift_time`, above 0; 1 changes nothing.
        start: the first time, in (0, 1], before the shift: ``levels(s, 10, start=0.5)`` is the
            second half of ``levels(s, 20)``. Below 1 when starting from a picture (strength).

    Returns:
        Levels of 0-dim float64 CPU tensors, alpha / sigma strictly rising.

    Raises:
        ValueError: if steps, shift or start is out of range.
    """
    _check_grid(steps, start)
    if not 0 < shift < math.inf:
        raise ValueError(f"shift > 0, not {shift}")
    t = torch.linspace(start, 0, steps + 1, dtype=torch.float64)[:-1]
    return _grid(schedule(shift_time(t, shift)))


def karras_levels(
    schedule: Schedule, steps: int, *, rho: float = 7.0, start: float = 1.0, end: float = 1e-3
) -> list[Level]:
    """Give steps + 1 levels, (sigma / alpha)**(1 / rho) falling linearly, the last clean, (1, 0).

    Karras et al., arXiv 2206.00364, Eq. 5, on any schedule: the times are found by `time_of`.
    The last noisy level lies at t = end, or at t = 0 where the schedule still has noise there;
    with `EDM` this is the grid of the paper.

    Raises:
        ValueError: if steps, rho, start or end is out of range, or if alpha is 0 at t = start,
            as on `Flow` at 1: there sigma / alpha is infinite, so start a little below 1.
    """
    _check_grid(steps, start)
    if not (rho >= 1 and 0 < end < start):
        raise ValueError(f"rho >= 1 and 0 < end < start, not {rho}, {end} and {start}")
    ends = schedule(torch.tensor([start, end, 0.0], dtype=torch.float64))
    first, last, floor = (ends.sigma / ends.alpha).tolist()
    if math.isinf(first):
        raise ValueError(f"a karras grid needs alpha > 0 at t = {start}; try start=0.999")
    place = torch.linspace(0, 1, max(steps, 2), dtype=torch.float64)[:steps]
    ratio = torch.lerp(
        torch.full_like(place, first ** (1 / rho)),
        torch.full_like(place, (floor or last) ** (1 / rho)),
        place,
    ) ** rho  # fmt: skip
    return _grid(schedule(time_of(schedule, ratio / (1 + ratio))))


def _check_grid(steps: int, start: float) -> None:
    if steps < 1:
        raise ValueError(f"steps >= 1, not {steps}")
    if not 0 < start <= 1:
        raise ValueError(f"0 < start <= 1, not {start}")


def _grid(noisy: Level) -> list[Level]:
    """Split a level of (steps,) tensors and add the clean level."""
    one = torch.ones((), dtype=torch.float64)
    pairs = zip(noisy.alpha.unbind(), noisy.sigma.unbind(), strict=True)
    return [*(Level(alpha, sigma) for alpha, sigma in pairs), Level(one, one * 0)]
