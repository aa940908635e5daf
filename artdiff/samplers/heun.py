"""Two model calls a step: Heun, with churn if asked, and DPM-Solver-2."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from pydantic import BaseModel, Field
from torch import Tensor

from artdiff.denoise import Denoise, to_epsilon
from artdiff.noise import Level
from artdiff.options import NoOptions
from artdiff.random import Noise
from artdiff.sample import STREAM, transfer
from artdiff.samplers.weights import between, spread

__all__ = ["DPM2", "Heun"]


@dataclass(frozen=True)
class Heun:
    r"""Heun's second-order method on the ODE of `Euler`: two model calls a step.

    .. math::
        x_b = \frac{\alpha_b}{\alpha_a} x_a + \left(\sigma_b - \frac{\alpha_b}{\alpha_a}
            \sigma_a\right) \frac{\varepsilon_a + \varepsilon_b}{2}

    where :math:`\varepsilon_b` is found at the Euler step. Karras et al., arXiv 2206.00364,
    Algorithm 1. Where alpha_a = 0 or sigma_b = 0 the step is Euler's, one model call.

    With :math:`\gamma = \min(s_{churn} / N, \sqrt 2 - 1) > 0` each of the N steps first goes up
    to :math:`\hat\sigma = (1 + \gamma) \sigma_a`, Algorithm 2:

    .. math::
        \hat x = x_a + s_{noise} \sqrt{\hat\sigma^2 - \sigma_a^2}\; z

    where :math:`s_{tmin} \le \sigma_a / \alpha_a \le s_{tmax}`. The order is that without churn.
    """

    class Options(BaseModel, extra="forbid"):
        """Options of heun."""

        s_churn: float = Field(
            0.0, ge=0, le=1000, description="How much noise is added, in all steps together."
        )
        s_tmin: float = Field(0.0, ge=0, description="No churn where sigma / alpha is below.")
        s_tmax: float = Field(
            1e6, gt=0, le=1e6, description="No churn where sigma / alpha is above."
        )
        s_noise: float = Field(
            1.0,
            ge=0.5,
            le=1.5,
            description="Strength of that noise; a bit above 1 is usual.",
        )

    s_churn: float = 0.0
    s_tmin: float = 0.0
    s_tmax: float = 1e6
    s_noise: float = 1.0
    name: ClassVar[str] = "heun"
    order: ClassVar[int] = 2
    nfe: ClassVar[int] = 2

    def init(self, steps: int) -> float:
        return min(self.s_churn / steps, math.sqrt(2) - 1)

    def step(
        self, denoise: Denoise, x: Tensor, a: Level, b: Level, state: float, noise: Noise
    ) -> tuple[Tensor, Tensor, float]:
        if state and self.s_tmin <= spread(a) <= self.s_tmax:
            up = math.sqrt((1 + state) ** 2 - 1) * self.s_noise
            x = x + up * a.sigma * noise.normal(x, STREAM)
            a = Level(a.alpha, (1 + state) * a.sigma)
        x0 = denoise(x, a)
        ahead = transfer(x, x0, a, b)
        if a.alpha == 0 or b.sigma == 0:
            return ahead, x0, state
        slope = (to_epsilon(x0, x, a) + to_epsilon(denoise(ahead, b), ahead, b)) / 2
        ratio = b.alpha / a.alpha
        return ratio * x + (b.sigma - ratio * a.sigma) * slope, x0, state


@dataclass(frozen=True)
class DPM2:
    r"""DPM-Solver-2: the noise seen halfway in :math:`\lambda` carries the whole step.

    .. math::
        x_b = \frac{\alpha_b}{\alpha_a} x_a + \left(\sigma_b - \frac{\alpha_b}{\alpha_a}
            \sigma_a\right) \varepsilon_m, \qquad \lambda_m = \frac{\lambda_a + \lambda_b}{2}

    where :math:`\varepsilon_m` is found at the Euler step to m. Lu et al., "DPM-Solver", arXiv
    2206.00927, Algorithm 1. Where alpha_a = 0 or sigma_b = 0 the step is Euler's.
    """

    name: ClassVar[str] = "dpm2"
    order: ClassVar[int] = 2
    nfe: ClassVar[int] = 2
    Options: ClassVar[type[BaseModel]] = NoOptions

    def init(self, steps: int) -> None:
        return None

    def step(
        self, denoise: Denoise, x: Tensor, a: Level, b: Level, state: None, noise: Noise
    ) -> tuple[Tensor, Tensor, None]:
        x0 = denoise(x, a)
        if a.alpha == 0 or b.sigma == 0:
            return transfer(x, x0, a, b), x0, None
        middle = between(a, b)
        half = transfer(x, x0, a, middle)
        epsilon = to_epsilon(denoise(half, middle), half, middle)
        ratio = b.alpha / a.alpha
        return ratio * x + (b.sigma - ratio * a.sigma) * epsilon, x0, None
