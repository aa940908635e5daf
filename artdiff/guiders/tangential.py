"""Tangential damping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import BaseModel
from torch import Tensor

from artdiff.guiders.guider import Seen
from artdiff.guiders.rows import dot
from artdiff.noise import Level
from artdiff.options import NoOptions

__all__ = ["Tangential"]


@dataclass(frozen=True)
class Tangential:
    r"""Tangential damping: the unconditional answer without what the two answers do not share.

    .. math::
        v = v' + w (v_{cond} - v'), \qquad v' = \langle v_{uncond}, d\rangle\, d

    d, of length 1, is the first right singular vector of the two rows [v_cond; v_uncond]. Kwon et
    al., "TCFG: Tangential Damping Classifier-free Guidance", arXiv 2503.18137. The paper does this
    to scores; here v is the velocity of a flow, as in `CFGZeroStar`, which is finite at both ends
    of the walk. Of one sample the rows make a 2 x 2 Gram matrix, whose angle is known in closed
    form.
    """

    Options: ClassVar[type[BaseModel]] = NoOptions
    name: ClassVar[str] = "tangential"
    passes: ClassVar[tuple[str, ...]] = ("uncond",)

    def asks(self, scaled: bool, at: Level | None = None) -> tuple[str, ...]:
        return self.passes if scaled else ()

    def init(self) -> None:
        return None

    def combine(self, seen: Seen, memory: None) -> tuple[Tensor, None]:
        still = seen.x / (seen.at.alpha + seen.at.sigma)
        cond, uncond = still - seen.cond, still - seen.answers["uncond"]
        own, other, both = dot(cond, cond), dot(uncond, uncond), dot(cond, uncond)
        angle = (2 * both).atan2(own - other) / 2
        shared = angle.cos() * cond + angle.sin() * uncond
        kept = dot(uncond, shared) / dot(shared, shared).clamp(min=1e-12) * shared
        return still - (seen.scale * cond + (1 - seen.scale) * kept), None
