"""Guidance away from the same network with some of its blocks weakened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import BaseModel, Field, model_validator
from torch import Tensor

from artdiff.guiders.guider import Seen
from artdiff.noise import Level

__all__ = ["PAG", "SkipLayer"]


class _Options(BaseModel, extra="forbid"):
    layers: tuple[int, ...] = Field(
        (), description="Numbers of the blocks, from 0; the network's own choice if empty."
    )
    strength_start: float = Field(
        1.0, ge=0, le=1, description="Noise fraction where `strength` begins."
    )
    strength_stop: float = Field(
        0.0, ge=0, le=1, description="Noise fraction below which it is off."
    )

    @model_validator(mode="after")
    def _in_order(self) -> _Options:
        if self.strength_stop > self.strength_start:
            low, high = self.strength_stop, self.strength_start
            raise ValueError(f"strength_stop {low:g} lies above strength_start {high:g}")
        return self


@dataclass(frozen=True)
class _Weakened:
    """Classifier-free guidance, and away from a weakened answer."""

    strength: float
    layers: tuple[int, ...] = ()
    strength_start: float = 1.0
    strength_stop: float = 0.0
    name: ClassVar[str]
    passes: ClassVar[tuple[str, ...]]

    def asks(self, scaled: bool, at: Level | None = None) -> tuple[str, ...]:
        uncond, weakened = self.passes
        acts = self.strength != 0 and (
            at is None or bool(self.strength_start >= at.fraction >= self.strength_stop)
        )
        return (*([uncond] if scaled else []), *([weakened] if acts else []))

    def init(self) -> None:
        return None

    def combine(self, seen: Seen, memory: None) -> tuple[Tensor, None]:
        x0, weakened = seen.classifier_free, seen.answers.get(self.passes[1])
        if weakened is None:
            return x0, None
        return x0 + self.strength * seen.share * (seen.cond - weakened), None


@dataclass(frozen=True)
class PAG(_Weakened):
    r"""Perturbed-attention guidance: away from an answer that does not see the whole picture.

    .. math:: x_0 = x_{cfg} + s (x_{cond} - x_{perturbed})

    x_perturbed comes from the same network with the self-attention maps of some blocks replaced by
    the identity, :math:`\mathrm{softmax}(Q K^T / \sqrt d)\, V \to V`; x_cfg is that of `CFG`. Ahn
    et al., "Self-Rectifying Diffusion Sampling with Perturbed-Attention Guidance", arXiv
    2403.17377, Section 4. It works without a prompt as well: with scale = 1 x_cfg is x_cond, and
    the cost is that of cfg.
    """

    class Options(_Options):
        """Options of pag."""

        strength: float = Field(1.5, ge=0, le=100, description="s; 0 is off.")

    strength: float = 1.5
    name: ClassVar[str] = "pag"
    passes: ClassVar[tuple[str, ...]] = ("uncond", "perturbed")


@dataclass(frozen=True)
class SkipLayer(_Weakened):
    r"""Skip-layer guidance: away from an answer of the same network without some of its blocks.

    .. math:: x_0 = x_{cfg} + s (x_{cond} - x_{skipped})

    It has no paper of its own: it was published with Stable Diffusion 3.5, with s = 2.8 where 0.01
    to 0.2 of the steps are done, and follows `PAG`. Skipping blocks as a weaker model was studied
    by Hyung et al., "Spatiotemporal Skip Guidance for Enhanced Video Diffusion Sampling", arXiv
    2411.18664.
    """

    class Options(_Options):
        """Options of skip_layer."""

        strength: float = Field(1.0, ge=0, le=100, description="s; 0 is off.")

    strength: float = 1.0
    name: ClassVar[str] = "skip_layer"
    passes: ClassVar[tuple[str, ...]] = ("uncond", "skipped")
