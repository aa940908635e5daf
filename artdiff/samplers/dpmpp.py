"""DPM-Solver++ with several steps and one model call each, with and without noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from pydantic import BaseModel, Field
from torch import Tensor

from artdiff.denoise import Denoise
from artdiff.noise import Level
from artdiff.options import NoOptions
from artdiff.random import Noise
from artdiff.sample import STREAM, transfer

__all__ = ["DPMpp2M", "DPMpp2MSDE", "Past"]


class Past(NamedTuple):
    """What a two-step sampler remembers: x0 of the step before, and the h of that step, 0-dim."""

    x0: Tensor
    h: Tensor


def _extrapolate(x0: Tensor, h: Tensor, past: Past | None) -> Tensor:
    r"""Carry x0 half a step ahead, :math:`x_0 + \frac{h}{2 h'} (x_0 - x_0')`.

    Where h or the h' before it is infinite, and on the first step, x0 is returned: the step that
    uses it is of first order.
    """
    if past is None or not (h.isfinite() and past.h.isfinite()):
        return x0
    return x0 + h / (2 * past.h) * (x0 - past.x0)


@dataclass(frozen=True)
class DPMpp2M:
    r"""DPM-Solver++(2M): second order with one model call a step.

    .. math::
        x_b = \frac{\sigma_b}{\sigma_a} x + \alpha_b (1 - q) D,
        \qquad D = x_0 + \frac{h}{2 h'} (x_0 - x_0')

    with primes for the step before. Lu et al., "DPM-Solver++", arXiv 2211.01095, Algorithm 2.
    First order on the first step and where alpha_a = 0 or sigma_b = 0.
    """

    name: ClassVar[str] = "dpmpp_2m"
    order: ClassVar[int] = 2
    nfe: ClassVar[int] = 1
    Options: ClassVar[type[BaseModel]] = NoOptions

    def init(self, steps: int) -> Past | None:
        return None

    def step(
        self, denoise: Denoise, x: Tensor, a: Level, b: Level, state: Past | None, noise: Noise
    ) -> tuple[Tensor, Tensor, Past | None]:
        x0, h = denoise(x, a), (b.log_snr - a.log_snr) / 2
        return transfer(x, _extrapolate(x0, h, state), a, b), x0, Past(x0, h)


@dataclass(frozen=True)
class DPMpp2MSDE:
    r"""SDE-DPM-Solver++(2M) with eta times the noise of the reverse SDE.

    .. math::
        x_b = \frac{\sigma_b}{\sigma_a} q^{\eta} x + \alpha_b (1 - q^{1 + \eta}) D
            + \sigma_b \sqrt{1 - q^{2 \eta}}\; z

    with D of `DPMpp2M`. Lu et al., "DPM-Solver++", arXiv 2211.01095, SDE-DPM-Solver++(2M),
    is eta = 1;
    eta = 0 is `DPMpp2M`, and eta = 1 with D = x0 is `DDPM`.
    """

    class Options(BaseModel, extra="forbid"):
        """Options of dpmpp_2m_sde."""

        eta: float = Field(
            1.0, ge=0, le=1, description="Fresh noise per step: 0 is dpmpp_2m, 1 the reverse SDE."
        )

    eta: float = 1.0
    name: ClassVar[str] = "dpmpp_2m_sde"
    order: ClassVar[int] = 2
    nfe: ClassVar[int] = 1

    def init(self, steps: int) -> Past | None:
        return None

    def step(
        self, denoise: Denoise, x: Tensor, a: Level, b: Level, state: Past | None, noise: Noise
    ) -> tuple[Tensor, Tensor, Past | None]:
        x0, h = denoise(x, a), (b.log_snr - a.log_snr) / 2
        best, q = _extrapolate(x0, h, state), (-h).exp()
        x = b.sigma / a.sigma * q**self.eta * x + b.alpha * (1 - q ** (1 + self.eta)) * best
        std = b.sigma * (1 - q ** (2 * self.eta)).clamp(min=0).sqrt()
        return x if std == 0 else x + std * noise.normal(x, STREAM), x0, Past(x0, h)
