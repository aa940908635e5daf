"""Adaptive projected guidance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import BaseModel, Field
from torch import Tensor

from artdiff.guiders.guider import Seen
from artdiff.guiders.rows import dot, plain, rms
from artdiff.noise import Level

__all__ = ["APG"]


@dataclass(frozen=True)
class APG:
    r"""Adaptive projected guidance: high scales without burnt colours.

    The difference that is added is averaged with those before, kept below a size, and the part of
    it that only makes the picture stronger, the one parallel to x_cond, is damped:

    .. math::
        \Delta_i &= x_{cond} - x_{uncond} + \beta \Delta_{i-1} \\
        \Delta &= \min\left(1, \frac{r}{\lVert\Delta_i\rVert}\right) \Delta_i, \qquad
        \Delta_\parallel = \frac{\langle\Delta, x_{cond}\rangle}
            {\langle x_{cond}, x_{cond}\rangle}\, x_{cond} \\
        x_0 &= x_{cond} + (w - 1) (\Delta - \Delta_\parallel + \eta \Delta_\parallel)

    Sadat et al., "Eliminating Oversaturation and Artifacts of High Guidance Scales in Diffusion
    Models", arXiv 2410.02416, Section 4. Here r is a root mean square, the same for every size of
    picture; the paper's is a length, ``r * sqrt(C H W)``. With eta = 1, momentum = 0 and without a
    threshold this is `CFG`. Momentum counts model calls: a sampler that asks twice a step goes
    through it twice.
    """

    class Options(BaseModel, extra="forbid"):
        """Options of apg."""

        eta: float = Field(
            0.0, ge=0, le=1, description="What is left of the parallel part; 1 is cfg."
        )
        threshold: float = Field(
            0.06, ge=0, description="Largest root mean square of the difference; 0 is off."
        )
        momentum: float = Field(
            -0.5, gt=-1, lt=1, description="Share of the differences before; below 0 damps."
        )

    eta: float = 0.0
    threshold: float = 0.06
    momentum: float = -0.5
    name: ClassVar[str] = "apg"
    passes: ClassVar[tuple[str, ...]] = ("uncond",)

    def asks(self, scaled: bool, at: Level | None = None) -> tuple[str, ...]:
        return self.passes if scaled else ()

    def init(self) -> Tensor | None:
        return None

    def combine(self, seen: Seen, memory: Tensor | None) -> tuple[Tensor, Tensor | None]:
        cond = seen.cond
        difference = cond - seen.answers["uncond"]
        if self.momentum:
            if memory is not None:
                difference = difference + self.momentum * plain(memory)
            memory = difference.detach()
        if self.threshold:
            difference = difference * (self.threshold / rms(difference).clamp(min=1e-12)).clamp(
                max=1
            )
        if self.eta != 1:
            parallel = dot(difference, cond) / dot(cond, cond).clamp(min=1e-12) * cond
            difference = difference - (1 - self.eta) * parallel
        return cond + (seen.scale - 1) * difference, memory
