"""DPM-Solver++ of two model calls a step, with and without noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import BaseModel, Field
from torch import Tensor

from artdiff.denoise import Denoise
from artdiff.noise import Level
from artdiff.random import Noise
from artdiff.sample import STREAM, transfer
from artdiff.samplers.weights import ancestral, between

__all__ = ["DPMpp2S", "DPMppSDE"]


@dataclass(frozen=True)
class DPMpp2S:
    r"""DPM-Solver++(2S): x0 seen halfway in :math:`\lambda` carries the whole step.

    .. math::
        x_b = \frac{\sigma_b}{\sigma_a} x + \alpha_b (1 - q)\, x_0^{(m)},
        \qquad \lambda_m = \frac{\lambda_a + \lambda_b}{2}

    Lu et al., "DPM-Solver++", arXiv 2211.01095, Algorithm 1 with r = 1/2. With eta > 0 the step
    goes to a lower level and noise is added, as in `EulerAncestral`; the order is that of eta = 0.
    Where alpha_a = 0 or sigma_b = 0 the step is Euler's, one model call.
    """

    class Options(BaseModel, extra="forbid"):
        """Options of dpmpp_2s."""

        eta: float = Field(
            0.0, ge=0, le=1, description="Fresh noise per step: 0 is deterministic, 1 ancestral."
        )

    eta: float = 0.0
    name: ClassVar[str] = "dpmpp_2s"
    order: ClassVar[int] = 2
    nfe: ClassVar[int] = 2

    def init(self, steps: int) -> None:
        return None

    def step(
        self, denoise: Denoise, x: Tensor, a: Level, b: Level, state: None, noise: Noise
    ) -> tuple[Tensor, Tensor, None]:
        x0 = denoise(x, a)
        down, up = ancestral(a, b, self.eta) if self.eta else (b, b.sigma * 0)
        if a.alpha == 0 or down.sigma == 0:
            best = x0
        else:
            middle = between(a, down)
            best = denoise(transfer(x, x0, a, middle), middle)
        x = transfer(x, best, a, down)
        return x if up == 0 else x + up * noise.normal(x, STREAM), x0, None


@dataclass(frozen=True)
class DPMppSDE:
    r"""SDE-DPM-Solver++ with an estimate of x0 halfway in :math:`\lambda`.

    .. math::
        x_b = \frac{\sigma_b}{\sigma_a} q^{\eta} x + \alpha_b (1 - q^{1 + \eta})\, x_0^{(m)}
            + \sigma_b \sqrt{1 - q^{2 \eta}}\; z

    where the step to m is the same with h / 2 and x0 of a. Lu et al., "DPM-Solver++", arXiv
    2211.01095, Section 5, with the two-stage form of Algorithm 1. The noise of the whole step
    contains that of its first half, as the path of one Brownian motion:

    .. math::
        z = \frac{q^{\eta / 2}\, z_1 + z_2}{\sqrt{1 + q^{\eta}}}

    Where alpha_a = 0 or sigma_b = 0 there is one model call; with eta = 0 it is `DPMpp2S`.
    """

    class Options(BaseModel, extra="forbid"):
        """Options of dpmpp_sde."""

        eta: float = Field(
            1.0, ge=0, le=1, description="Fresh noise per step: 0 is dpmpp_2s, 1 the reverse SDE."
        )

    eta: float = 1.0
    name: ClassVar[str] = "dpmpp_sde"
    order: ClassVar[int] = 2
    nfe: ClassVar[int] = 2

    def init(self, steps: int) -> None:
        return None

    def step(
        self, denoise: Denoise, x: Tensor, a: Level, b: Level, state: None, noise: Noise
    ) -> tuple[Tensor, Tensor, None]:
        x0 = denoise(x, a)
        q = a.alpha * b.sigma / (b.alpha * a.sigma)
        z = noise.normal(x, STREAM) if self.eta and b.sigma > 0 else None
        if q == 0:
            return self._go(x, x0, a, b, q, z), x0, None
        middle, root = between(a, b), q.sqrt()
        half = self._go(x, x0, a, middle, root, z)
        if z is not None:
            kept = q ** (self.eta / 2)
            z = (kept * z + noise.normal(x, f"{STREAM}/second")) / (1 + kept**2).sqrt()
        return self._go(x, denoise(half, middle), a, b, q, z), x0, None

    def _go(
        self, x: Tensor, x0: Tensor, a: Level, b: Level, q: Tensor, z: Tensor | None
    ) -> Tensor:
        there = b.sigma / a.sigma * q**self.eta * x + b.alpha * (1 - q ** (1 + self.eta)) * x0
        return there if z is None else there + b.sigma * (1 - q ** (2 * self.eta)).sqrt() * z
