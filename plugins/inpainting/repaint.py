"""RePaint's time travel, as a sampler around another one's steps."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import BaseModel, Field
from torch import Tensor

from artdiff import SAMPLERS, Level, Noise

STREAM = "repaint"


class Trip(NamedTuple):
    """What is remembered: the walker's state, the last levels, how many steps of all are done."""

    walker: Any
    levels: tuple[Level, ...]
    done: int
    steps: int


@dataclass(frozen=True)
class RePaint:
    r"""Walk down, and now and then back up by adding noise, so that all parts come to agree.

    After each `jump_length` steps the sample goes back up so many levels and walks down again,
    until it has walked this way `jump_n_sample` times:

    .. math::
        x_a = \frac{\alpha_a}{\alpha_b} x_b
            + \sqrt{\sigma_a^2 - \frac{\alpha_a^2}{\alpha_b^2} \sigma_b^2}\; z

    Lugmayr et al., "RePaint: Inpainting using Denoising Diffusion Probabilistic Models", arXiv
    2201.09865, Eq. 1 and Section 4.2. With the term ``inpainting`` the kept part has its own noise
    renewed each time, and what is repainted is drawn again for it: Gibbs sampling. As there, no
    jump leads back to the first level, and the last one starts from the clean sample. Without a
    mask it draws from the same distribution as its walker. It makes at most ``jump_n_sample``
    times as many model calls as its walker.
    """

    class Options(BaseModel, extra="forbid"):
        """Options of repaint."""

        walker: Literal["ddim", "ddpm", "euler_ancestral", "dpmpp_2m", "dpmpp_2m_sde"] = Field(
            "euler_ancestral", description="The sampler whose steps are walked."
        )
        jump_length: int = Field(4, ge=1, le=1000, description="Steps of a jump back.")
        jump_n_sample: int = Field(
            4, ge=1, le=100, description="How often the same steps are walked; 1 is no jump."
        )

    walker: Literal["ddim", "ddpm", "euler_ancestral", "dpmpp_2m", "dpmpp_2m_sde"] = (
        "euler_ancestral"
    )
    jump_length: int = 4
    jump_n_sample: int = 4
    name: ClassVar[str] = "repaint"
    order: ClassVar[int] = 1
    nfe: ClassVar[int] = 4

    def init(self, steps: int) -> Trip:
        return Trip(SAMPLERS[self.walker]().init(steps), (), 0, steps)

    def step(
        self, denoise: Any, x: Tensor, a: Level, b: Level, state: Trip, noise: Noise
    ) -> tuple[Tensor, Tensor, Trip]:
        walker = SAMPLERS[self.walker]()
        x, x0, inner = walker.step(denoise, x, a, b, state.walker, noise)
        levels = (*(state.levels or (a,)), b)[-1 - self.jump_length :]
        done, left = state.done + 1, state.steps - state.done - 1
        if done > self.jump_length and left % self.jump_length == 0:
            for turn in range(1, self.jump_n_sample):
                x = raised(x, b, levels[0], noise.normal(x, f"{STREAM}/{turn}"))
                inner = walker.init(self.jump_length + left)
                for back, (high, low) in enumerate(pairwise(levels)):
                    again = noise.at((turn << 20) + noise.step - self.jump_length + back)
                    x, x0, inner = walker.step(denoise, x, high, low, inner, again)
        return x, x0, Trip(inner, levels, done, state.steps)


def raised(x: Tensor, b: Level, a: Level, z: Tensor) -> Tensor:
    """Carry x from level b up to the noisier level a, by noise z, (B, C, H, W)."""
    ratio = a.alpha / b.alpha
    return ratio * x + (a.sigma**2 - (ratio * b.sigma) ** 2).clamp(min=0).sqrt() * z
