"""Euler on the probability-flow ODE, and with fresh noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import BaseModel, Field
from torch import Tensor

from artdiff.denoise import Denoise
from artdiff.noise import Leap, Level
from artdiff.options import NoOptions
from artdiff.random import Noise
from artdiff.sample import STREAM, transfer
from artdiff.samplers.weights import ancestral

__all__ = ["Euler", "EulerAncestral"]


@dataclass(frozen=True)
class Euler:
    r"""Euler on the probability-flow ODE in the coordinates z = x / alpha, s = sigma / alpha.

    .. math::
        \frac{dz}{ds} = \frac{z - x_0}{s}
        \quad\Rightarrow\quad z_b = z_a + (s_b - s_a) \frac{z_a - x_0}{s_a}

    Karras et al., arXiv 2206.00364, Eq. 1 and Algorithm 1 without lines 6-8. Multiplied out this
    is `transfer`, so that Euler equals DDIM with eta = 0 and needs no alpha > 0. It asks at a
    `Leap`: a network that was distilled into few steps answers for the whole of each.
    """

    name: ClassVar[str] = "euler"
    order: ClassVar[int] = 1
    nfe: ClassVar[int] = 1
    Options: ClassVar[type[BaseModel]] = NoOptions

    def init(self, steps: int) -> None:
        return None

    def step(
        self, denoise: Denoise, x: Tensor, a: Level, b: Level, state: None, noise: Noise
    ) -> tuple[Tensor, Tensor, None]:
        x0 = denoise(x, Leap.between(a, b))
        return transfer(x, x0, a, b), x0, None


@dataclass(frozen=True)
class EulerAncestral:
    r"""Euler to a lower level, then fresh noise up to b.

    .. math::
        s_{up} = \eta \frac{s_b}{s_a} \sqrt{s_a^2 - s_b^2}, \quad
        s_{down}^2 = s_b^2 - s_{up}^2, \quad
        z_b = z_a + (s_{down} - s_a) \frac{z_a - x_0}{s_a} + s_{up}\, s_{noise}\, n

    in the coordinates of `Euler`; the sampler called ``euler_a`` elsewhere, without a paper of its
    own. With s_noise = 1 it equals DDIM (arXiv 2010.02502, Eq. 12) with the same eta.
    """

    class Options(BaseModel, extra="forbid"):
        """Options of euler_ancestral."""

        eta: float = Field(
            1.0, ge=0, le=1, description="Fresh noise per step: 0 is euler, 1 is DDPM."
        )
        s_noise: float = Field(1.0, ge=0.5, le=1.5, description="Strength of the fresh noise.")

    eta: float = 1.0
    s_noise: float = 1.0
    name: ClassVar[str] = "euler_ancestral"
    order: ClassVar[int] = 1
    nfe: ClassVar[int] = 1

    def init(self, steps: int) -> None:
        return None

    def step(
        self, denoise: Denoise, x: Tensor, a: Level, b: Level, state: None, noise: Noise
    ) -> tuple[Tensor, Tensor, None]:
        x0 = denoise(x, a)
        down, up = ancestral(a, b, self.eta)
        x = transfer(x, x0, a, down)
        if up == 0:
            return x, x0, None
        return x + self.s_noise * up * noise.normal(x, STREAM), x0, None
