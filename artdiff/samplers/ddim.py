"""DDIM, from deterministic to ancestral."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import BaseModel, Field
from torch import Tensor

from artdiff.denoise import Denoise, to_epsilon
from artdiff.noise import Level
from artdiff.random import Noise
from artdiff.sample import STREAM, transfer

__all__ = ["DDIM"]


@dataclass(frozen=True)
class DDIM:
    r"""DDIM, with eta from 0 (no noise) to 1 (DDPM).

    .. math::
        x_b = \alpha_b x_0 + \sqrt{\sigma_b^2 - s^2}\; \frac{x - \alpha_a x_0}{\sigma_a} + s z,
        \qquad s = \eta \frac{\sigma_b}{\sigma_a}
            \sqrt{\sigma_a^2 - \frac{\alpha_a^2}{\alpha_b^2} \sigma_b^2}

    Song et al., "Denoising Diffusion Implicit Models", arXiv 2010.02502, Eq. 12 and 16, written
    for any alpha and sigma.
    """

    class Options(BaseModel, extra="forbid"):
        """Options of ddim."""

        eta: float = Field(
            0.0, ge=0, le=1, description="Fresh noise per step: 0 is deterministic, 1 is DDPM."
        )

    eta: float = 0.0
    name: ClassVar[str] = "ddim"
    order: ClassVar[int] = 1
    nfe: ClassVar[int] = 1

    def init(self, steps: int) -> None:
        return None

    def step(
        self, denoise: Denoise, x: Tensor, a: Level, b: Level, state: None, noise: Noise
    ) -> tuple[Tensor, Tensor, None]:
        x0 = denoise(x, a)
        spread = (a.sigma**2 - (a.alpha / b.alpha * b.sigma) ** 2).clamp(min=0).sqrt()
        std = self.eta * b.sigma / a.sigma * spread
        if std == 0:
            return transfer(x, x0, a, b), x0, None
        kept = (b.sigma**2 - std**2).clamp(min=0).sqrt() * to_epsilon(x0, x, a)
        return b.alpha * x0 + kept + std * noise.normal(x, STREAM), x0, None
