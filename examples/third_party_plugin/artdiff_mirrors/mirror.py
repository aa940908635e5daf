"""A projection: at every step, one half of the picture becomes the mirror image of the other."""

from typing import Literal

import torch
from pydantic import BaseModel, Field


class Mirror:
    """Makes pictures mirror-symmetric."""

    class Options(BaseModel, extra="forbid"):
        axis: Literal["left-right", "top-bottom"] = Field(
            "left-right", description="Which halves mirror each other; the first one is kept."
        )

    def __init__(self, options, setup):
        self.along = 3 if options.axis == "left-right" else 2

    def __call__(self, x0, x, at, noise):
        """The expected clean picture as latents, (B, C, h, w), with one half replaced."""
        size = x0.shape[self.along]
        kept = x0.narrow(self.along, 0, size - size // 2)
        mirrored = x0.narrow(self.along, 0, size // 2).flip(self.along)
        return torch.cat([kept, mirrored], self.along)
