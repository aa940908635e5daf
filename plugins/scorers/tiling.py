"""Pictures that can be laid side by side."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, Field
from torch import Tensor
from torch.nn import functional as F

from artdiff import Level, Noise, Setup

from .seen import root, scaled

STRENGTH = 0.35
SCALES = (1, 4, 8)
"""Edges are compared pixel by pixel, and as means over squares of such sides."""

STEP = 0.1
"""How much steps count beside what does not go on."""


class Tiling:
    r"""Lets opposite edges fit: left goes on at the right, the top at the bottom.

    .. math:: d^2 = \overline{r^2}, \qquad r = (a_1 - b_1) - \tfrac12 ((a_2 - a_1) + (b_1 - b_2))

    where a are the first rows or columns, of pixels and of coarser means, and b the last, counted
    from the edge: what goes on at the slope of both sides fits. Steps between pixels count a
    little by themselves, lest slopes grow to hide them.
    """

    class Options(BaseModel, extra="forbid"):
        axis: Literal["both", "horizontal", "vertical"] = Field(
            "both", description="horizontal: copies side by side; vertical: above each other."
        )

    def __init__(self, options: Options, setup: Setup) -> None:
        self.setup = setup
        self.along = {"both": (2, 3), "horizontal": (3,), "vertical": (2,)}[options.axis]

    def loss(self, x0: Tensor, at: Level, noise: Noise) -> Tensor:
        """How badly opposite edges fit, (B,)."""
        images = self.setup.decode(x0)
        scales = [s for s in SCALES if min(images.shape[2:]) >= 8 * s]
        parts = [
            seam(F.avg_pool2d(images, scale) if scale > 1 else images, along)
            for scale in scales or [1]
            for along in self.along
        ]
        return scaled(root(torch.stack(parts).mean(0), 0.02), x0, at, STRENGTH)


def seam(images: Tensor, along: int) -> Tensor:
    """What does not go on between the last and the first row (2) or column (3): (B,)."""
    size = images.shape[along]
    a1, a2, b1, b2 = (images.select(along, place) for place in (0, 1, size - 1, size - 2))
    step = a1 - b1
    rest = step - ((a2 - a1) + (b1 - b2)) / 2
    return rest.square().mean((1, 2)) + STEP * step.square().mean((1, 2))
