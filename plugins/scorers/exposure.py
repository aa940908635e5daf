"""How light a picture is, how much it contrasts, and where its blacks and whites lie."""

from __future__ import annotations

import torch
from pydantic import BaseModel, Field
from torch import Tensor

from artdiff import Level, Noise, Setup

from .seen import EVEN, oklab, root, scaled, smaller

STRENGTH = 0.12
SIDE = 64
ENDS = 0.05
"""Blacks and whites are what this share of a picture is darker or lighter than."""


class Exposure:
    r"""Sets brightness, contrast, blacks and whites, each on its own or together.

    The distance is the root of the sum of squared differences, in Oklab's lightness (0 black, 1
    white), of the mean, of the standard deviation, and of the 5th and 95th percentile.
    """

    class Options(BaseModel, extra="forbid"):
        brightness: float | None = Field(0.6, ge=0, le=1, description="The mean lightness.")
        contrast: float | None = Field(
            None, ge=0, le=0.5, description="The lightness's standard deviation; 0.2 is usual."
        )
        blacks: float | None = Field(
            None, ge=0, le=1, description="The lightness that 5 % of the picture are below."
        )
        whites: float | None = Field(
            None, ge=0, le=1, description="The lightness that 5 % of the picture are above."
        )

    def __init__(self, options: Options, setup: Setup) -> None:
        self.options, self.setup = options, setup

    def loss(self, x0: Tensor, at: Level, noise: Noise) -> Tensor:
        """How far the lightness is from what is wanted, (B,)."""
        light = oklab(smaller(self.setup.decode(x0), SIDE))[:, 0].flatten(1)
        ordered, ends = light.sort(dim=1).values, max(1, round(ENDS * light.shape[1]))
        found = {
            "brightness": light.mean(1),
            "contrast": (light.var(1, correction=0) + EVEN).sqrt(),
            "blacks": ordered[:, ends - 1],
            "whites": ordered[:, -ends],
        }
        wanted = self.options.model_dump()
        parts = [(found[key] - wanted[key]).square() for key in found if wanted[key] is not None]
        distance = root(torch.stack([light.mean(1) * 0, *parts]).sum(0), 0.02) / 0.2
        return scaled(distance, x0, at, STRENGTH)
