"""CFG-Zero*: a fitted scale for the unconditional velocity, and a rest at the start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import BaseModel, Field
from torch import Tensor

from artdiff.guiders.guider import Seen
from artdiff.guiders.rows import dot
from artdiff.noise import Level

__all__ = ["CFGZeroStar"]


@dataclass(frozen=True)
class CFGZeroStar:
    r"""CFG-Zero*: the unconditional velocity is scaled to fit the conditional one best.

    .. math::
        v = (1 - w)\, s\, v_{uncond} + w\, v_{cond}, \qquad
        s = \frac{\langle v_{cond}, v_{uncond}\rangle}{\lVert v_{uncond}\rVert^2}

    and v = 0, the sample stays where it is, for a first share of the walk. Fan et al., "CFG-Zero*:
    Improved Classifier-Free Guidance for Flow Matching Models", arXiv 2503.18886, Section 4.

    v is the velocity of a flow, :math:`(\tilde x - x_0) / \tilde\sigma` with :math:`\tilde x = x /
    (\alpha + \sigma)`; on other schedules that of the flow with the same alpha / sigma. The paper
    leaves out the first steps by number; here it is a share of the walk, so that another sampler
    or another number of steps means the same. With s = 1 and zero = 0 this is `CFG`.
    """

    class Options(BaseModel, extra="forbid"):
        """Options of cfg_zero_star."""

        zero: float = Field(
            0.04, ge=0, le=1, description="Share of the walk at its start that changes nothing."
        )
        fitted: bool = Field(True, description="Whether the unconditional velocity is scaled.")

    zero: float = 0.04
    fitted: bool = True
    name: ClassVar[str] = "cfg_zero_star"
    passes: ClassVar[tuple[str, ...]] = ("uncond",)

    def asks(self, scaled: bool, at: Level | None = None) -> tuple[str, ...]:
        return self.passes if scaled else ()

    def init(self) -> None:
        return None

    def combine(self, seen: Seen, memory: None) -> tuple[Tensor, None]:
        alpha, sigma = seen.at
        still = seen.x / (alpha + sigma)
        if 1 - seen.at.fraction < self.zero:
            return still, None
        if not self.fitted:
            return seen.classifier_free, None
        cond, uncond = still - seen.cond, still - seen.answers["uncond"]
        fit = dot(cond, uncond) / dot(uncond, uncond).clamp(min=1e-12)
        return still - (seen.scale * cond + (1 - seen.scale) * fit * uncond), None
