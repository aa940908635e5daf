"""Pictures that are like their mirror image, or like themselves turned."""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import BaseModel, Field
from torch import Tensor
from torch.nn import functional as F

from artdiff import Level, Noise, Setup

from .seen import root, scaled, smaller

STRENGTH = 0.2
SIDES = (128, 16)
"""Differences are taken at these sides: of what is seen, and of where things are."""


class Symmetry:
    r"""Makes pictures symmetric: the root of the mean square of what differs
    from the mirrored picture.

    .. math:: d^2 = \overline{(I - S I)^2}

    averaged over two sizes of the picture. A rotation is by a whole turn over ``folds``, within
    the largest circle that fits.
    """

    class Options(BaseModel, extra="forbid"):
        axis: Literal["vertical", "horizontal", "both", "rotation"] = Field(
            "vertical",
            description="vertical: left is right; horizontal: the top is the bottom, as in water.",
        )
        folds: int = Field(4, ge=2, le=24, description="Of a rotation: so often in a whole turn.")

    def __init__(self, options: Options, setup: Setup) -> None:
        self.options, self.setup = options, setup

    def loss(self, x0: Tensor, at: Level, noise: Noise) -> Tensor:
        """How unlike pictures are to their mirror images, (B,)."""
        images, parts = self.setup.decode(x0), []
        for side in SIDES:
            small = smaller(images, side)
            if self.options.axis == "rotation":
                parts.append(turned_away(small, self.options.folds))
                continue
            mirrored = {"vertical": [3], "horizontal": [2], "both": [2, 3]}[self.options.axis]
            parts += [
                (small - small.flip(along)).square().mean((1, 2, 3)) / len(mirrored)
                for along in mirrored
            ]
        distance = root(torch.stack(parts).sum(0) / len(SIDES), 0.02)
        return scaled(distance, x0, at, STRENGTH)


def turned_away(images: Tensor, folds: int) -> Tensor:
    """The mean square of how images differ from themselves turned once, in a circle: (B,)."""
    height, width = images.shape[2:]
    angle = 2 * math.pi / folds
    cosine, sine, tall = math.cos(angle), math.sin(angle), height / width
    turn = images.new_tensor([[cosine, -sine * tall, 0], [sine / tall, cosine, 0]])
    grid = F.affine_grid(turn.expand(len(images), 2, 3), list(images.shape), align_corners=False)
    turned = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    rows = (torch.arange(height, dtype=torch.double) + 0.5 - height / 2)[:, None]
    columns = torch.arange(width, dtype=torch.double) + 0.5 - width / 2
    inside = (torch.hypot(rows, columns) <= min(height, width) / 2).to(images)
    return ((images - turned).square() * inside).sum((1, 2, 3)) / (3 * inside.sum())
