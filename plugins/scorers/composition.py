"""Where in the frame there is light, detail or colour."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, Field
from torch import Tensor

from artdiff import File, Level, Noise, Setup

from .seen import oklab, scaled, smaller, steepness, unlike

STRENGTH = 0.1
SIDE = 32


class Composition:
    """Gathers light, detail or colour where a mask is white, and away from where it is black.

    The distance is one less the correlation of the mask with a small map of the picture. A weight
    below 0 does the opposite: dark, plain or grey where the mask is white.
    """

    class Options(BaseModel, extra="forbid"):
        of: Literal["light", "detail", "colour"] = Field(
            "light", description="light: the lightness; detail: how many edges; colour: how vivid."
        )
        shape: Literal["spot", "thirds", "horizon", "frame"] = Field(
            "spot",
            description="spot: round x, y; thirds: the four points of the rule of thirds; "
            "horizon: all above y; frame: the rim.",
        )
        mask: File = Field("", description="A mask file instead of a shape: white is where.")
        x: float = Field(0.5, ge=0, le=1, description="Of a spot, from the left.")
        y: float = Field(0.5, ge=0, le=1, description="Of a spot or the horizon, from the top.")
        size: float = Field(
            0.5, ge=0.05, le=2, description="Width of a spot or of the rim, of the shorter side."
        )

    def __init__(self, options: Options, setup: Setup) -> None:
        self.setup, self.of = setup, options.of
        if options.mask:
            self.mask = smaller(setup.alpha(options.mask).double(), SIDE)
        else:
            self.mask = shape_map(options, setup.height, setup.width)

    def loss(self, x0: Tensor, at: Level, noise: Noise) -> Tensor:
        """How unlike the mask the picture's map is, (B,)."""
        picture = oklab(self.setup.decode(x0))
        if self.of == "light":
            seen = smaller(picture[:, :1], SIDE)
        elif self.of == "detail":
            seen = (smaller(steepness(smaller(picture, 4 * SIDE)), SIDE) + 0.01).sqrt()
        else:
            seen = (smaller(picture[:, 1:].square().sum(1, keepdim=True), SIDE) + 1e-3).sqrt()
        return scaled(unlike(seen, self.mask.to(seen).expand_as(seen)), x0, at, STRENGTH)


def shape_map(options: Composition.Options, height: int, width: int) -> Tensor:
    """The mask of a shape, (1, 1, h, w) in [0, 1]."""
    blank = smaller(torch.zeros(1, 1, height, width, dtype=torch.double), SIDE)
    rows, columns = blank.shape[2:]
    y, x = (torch.arange(n, dtype=torch.double) + 0.5 for n in (rows, columns))
    y, x, short = y[:, None] / rows, x / columns, min(rows, columns)

    def spot(at_x: float, at_y: float, wide: float) -> Tensor:
        away = torch.hypot((x - at_x) * columns / short, (y - at_y) * rows / short)
        return torch.exp(-((away / (wide / 2)) ** 2))

    if options.shape == "spot":
        mask = spot(options.x, options.y, options.size)
    elif options.shape == "thirds":
        corners = [spot(i / 3, j / 3, options.size / 2) for i in (1, 2) for j in (1, 2)]
        mask = torch.stack(corners).amax(0)
    elif options.shape == "horizon":
        mask = torch.sigmoid((options.y - y) * 40).expand(rows, columns)
    else:
        rim = torch.minimum(torch.minimum(x, 1 - x), torch.minimum(y, 1 - y))
        mask = torch.exp(-((rim / (options.size / 4)) ** 2))
    return mask.reshape(blank.shape)
