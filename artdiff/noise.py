r"""Noise levels and noise schedules.

A noisy sample is :math:`x = \alpha x_0 + \sigma\varepsilon`, :math:`\varepsilon \sim N(0, I)`.
A *level* is one pair (alpha, sigma); a *schedule* maps a time t in [0, 1] to a level, t = 1 being
noise.
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
    "Leap",
    "Level",
    "Schedule",
    "VPCosine",
    "VPLinear",
    "VPScaledLinear",
    "VPSigmoid",
    "diffuse",
    "interpolate",
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


class Leap(Level):
    """The level that a step leaves, which also knows `to`, the level that it reaches.

    A sampler that follows one answer for a whole step asks at a leap: a network that was distilled
    into few steps then answers for the way to there. To all else it is the level it leaves.
    """

    to: Level

    @classmethod
    def between(cls, a: Level, b: Level) -> Leap:
        """Give level a, on the way to b."""
        leap = cls(a.alpha, a.sigma)
        leap.to = b
        return leap


def interpolate(value: Tensor, xs: Tensor, ys: Tensor) -> Tensor:
    """Follow the straight lines between points (xs, ys); beyond the ends ys stays as it is there.

    value has any shape; xs and ys are (N,) with N >= 2, xs rising. All have one dtype and device.
    """
    high = torch.searchsorted(xs, value.contiguous()).clamp(1, len(xs) - 1)
    part = (value - xs[high - 1]) / (xs[high] - xs[high - 1])
    return torch.lerp(ys[high - 1], ys[high], part.clamp(0, 1))


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
class VPScaledLinear:
    r"""Variance-preserving schedule whose root of the rate beta(t) is linear in t.

    .. math::
        \log\alpha_t = -\tfrac12 \left(t\, b_0^2 + t^2 b_0 d + \tfrac13 t^3 d^2\right), \qquad
        b_0 = \sqrt{\beta_0},\ d = \sqrt{\beta_1} - \sqrt{\beta_0}

    The continuous limit of the schedule that Rombach et al., "High-Resolution Image Synthesis with
    Latent Diffusion Models", arXiv 2112.10752, released their weights with.

    Raises:
        ValueError: unless 0 < beta_min <= beta_max.
    """

    beta_min: float = 0.85
    beta_max: float = 12.0

    def __post_init__(self) -> None:
        if not 0 < self.beta_min <= self.beta_max:
            raise ValueError(f"0 < beta_min <= beta_max, not {self.beta_min} and {self.beta_max}")

    def __call__(self, t: Tensor) -> Level:
        low = math.sqrt(self.beta_min)
        rise = math.sqrt(self.beta_max) - low
        integral = t * (low**2 + t * (low * rise + t * rise**2 / 3))
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
class VPSigmoid:
    r"""Variance-preserving schedule whose alpha-bar falls as a logistic function of t.

    .. math::
        \alpha_t^2 = \frac{S(e) - S(u_t)}{S(e) - S(s)} = \frac
            {\sinh\frac{e - u_t}{2} \cosh\frac{s}{2}}{\sinh\frac{e - s}{2} \cosh\frac{u_t}{2}},
        \qquad u_t = s + t (e - s)

    with S(u) = 1 / (1 + exp(-u)), s = start / tau and e = end / tau. Jabri et al., "Scalable
    Adaptive Computation for Iterative Generation", arXiv 2212.11972, as written out in Chen, "On
    the Importance of Noise Scheduling for Diffusion Models", arXiv 2301.10972, Algorithm 1. The
    second form is exact at the ends: alpha is 0 at t = 1, sigma is 0 at t = 0.

    Raises:
        ValueError: unless start < end and tau > 0.
    """

    start: float = -3.0
    end: float = 3.0
    tau: float = 1.0

    def __post_init__(self) -> None:
        if not (self.start < self.end and self.tau > 0):
            wrong = f"{self.start}, {self.end} and {self.tau}"
            raise ValueError(f"start < end and tau > 0, not {wrong}")

    def __call__(self, t: Tensor) -> Level:
        start, end = self.start / self.tau / 2, self.end / self.tau / 2
        span = end - start
        whole = math.sinh(span) * (start + t * span).cosh()
        signal = ((1 - t) * span).sinh() * math.cosh(start) / whole
        noise = (t * span).sinh() * math.cosh(end) / whole
        return Level(signal.clamp(max=1).sqrt(), noise.clamp(max=1).sqrt())


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
        number = torch.arange(len(rising)).flip(0).to(rising)
        return interpolate(at.log_snr, rising, number)


SCHEDULES: Mapping[str, type] = {
    "vp-linear": VPLinear,
    "vp-scaled-linear": VPScaledLinear,
    "vp-cosine": VPCosine,
    "vp-sigmoid": VPSigmoid,
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
