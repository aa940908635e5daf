"""Guidance by a bad version of the model itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import BaseModel, Field
from torch import Tensor

from artdiff.guiders.guider import Seen
from artdiff.noise import Level

__all__ = ["Autoguidance"]


@dataclass(frozen=True)
class Autoguidance:
    r"""Autoguidance: away from a smaller, or less trained, model that is told the same.

    .. math:: x_0 = x_{weak} + w (x_{cond} - x_{weak})

    Karras et al., "Guiding a Diffusion Model with a Bad Version of Itself", arXiv 2406.02507,
    Section 3. The weaker model must draw in the same latent space: the same codec, the same
    channels. Its noise schedule may be another one. The negative prompt is not used.
    """

    class Options(BaseModel, extra="forbid"):
        """Options of autoguidance."""

        model: str = Field(description="The weaker model; `artdiff models list` names them.")

    model: str
    name: ClassVar[str] = "autoguidance"
    passes: ClassVar[tuple[str, ...]] = ("weak",)

    def asks(self, scaled: bool, at: Level | None = None) -> tuple[str, ...]:
        return self.passes if scaled else ()

    def init(self) -> None:
        return None

    def combine(self, seen: Seen, memory: None) -> tuple[Tensor, None]:
        return seen.cond + (seen.scale - 1) * (seen.cond - seen.answers["weak"]), None
