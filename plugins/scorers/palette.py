"""The colours of a picture: a list of them, or those of another picture."""

from __future__ import annotations

import math
from typing import Literal

import torch
from PIL import ImageColor
from pydantic import BaseModel, Field, field_validator
from torch import Tensor

from artdiff import File, Level, Noise, Setup

from .seen import oklab, root, scaled, smaller

STRENGTH = 0.12
SIDE = 64
"""Colours are counted on pictures of this side."""

COARSE = 8
"""The nearest colours of a picture are those of it at this side."""

SLICES = 24
SOFT = 0.0005
"""Squared distance in Oklab within which two colours are both the nearest."""


class Palette:
    r"""Gives a picture the colours of a list, or those of another picture.

    With ``shares``, how much there is of each colour counts: the sliced distance of optimal
    transport between the pictures' colours in Oklab, that is, the mean over directions u of the
    squared differences of sorted projections,

    .. math:: d^2 = 3 \int \lVert \mathrm{sort}(P u) - \mathrm{sort}(Q u) \rVert^2 du

    (Rabin et al., "Wasserstein Barycenter and its Application to Texture Mixing", 2011; Bonneel et
    al., 2015). With ``nearest`` each pixel goes to the colour that is nearest to it, however much
    there is of it then.
    """

    class Options(BaseModel, extra="forbid"):
        colors: tuple[str, ...] = Field(
            ("#12344d", "#2a7f8e", "#f2b263", "#f7efe0"),
            min_length=1,
            max_length=64,
            description="Colours: '#rrggbb', or names such as 'tomato'; one twice is more of it.",
        )
        image: File = Field("", description="A picture whose colours are taken instead.")
        match: Literal["shares", "nearest"] = Field(
            "shares",
            description="shares: as much of each colour as is wanted, equally much of each of a "
            "list; nearest: those colours, in any amounts.",
        )

        @field_validator("colors")
        @classmethod
        def _read(cls, colors: tuple[str, ...]) -> tuple[str, ...]:
            for color in colors:
                try:
                    ImageColor.getrgb(color)
                except ValueError:
                    raise ValueError(
                        f"{color!r} is no colour; write '#rrggbb', such as '#2a7f8e'"
                    ) from None
            return colors

    def __init__(self, options: Options, setup: Setup) -> None:
        self.setup, self.nearest = setup, options.match == "nearest"
        if options.image:
            wanted = smaller(setup.picture(options.image), COARSE if self.nearest else SIDE)
        else:
            values = [ImageColor.getrgb(color)[:3] for color in options.colors]
            wanted = torch.tensor(values).T.reshape(1, 3, 1, -1) / 127.5 - 1
        self.wanted = oklab(wanted.double()).flatten(2)[0].T
        self.sorted = (self.wanted @ directions(SLICES).T).sort(dim=0).values

    def loss(self, x0: Tensor, at: Level, noise: Noise) -> Tensor:
        """The distance of the colours, (B,)."""
        colors = oklab(smaller(self.setup.decode(x0), SIDE)).flatten(2).mT
        distance = self._nearest(colors) if self.nearest else self._shares(colors)
        return scaled(root(distance, 0.01) / 0.2, x0, at, STRENGTH)

    def _shares(self, colors: Tensor) -> Tensor:
        found = (colors @ directions(SLICES).to(colors).T).sort(dim=1).values
        return 3 * (found - self._quantiles(found)).square().mean((1, 2))

    def _quantiles(self, like: Tensor) -> Tensor:
        """The sorted projections of what is wanted, one for each pixel: (1, N, slices)."""
        places = (torch.arange(like.shape[1]) + 0.5) * len(self.sorted) / like.shape[1]
        return self.sorted[places.long()].to(like)[None]

    def _nearest(self, colors: Tensor) -> Tensor:
        away = (colors[:, :, None] - self.wanted.to(colors)).square().sum(3)
        return (-SOFT * (-away / SOFT).logsumexp(2)).clamp(min=0).mean(1)


def directions(count: int) -> Tensor:
    """Directions spread evenly over half a sphere, (count, 3) in float64 (a Fibonacci lattice)."""
    number = torch.arange(count, dtype=torch.double) + 0.5
    height, turn = 1 - number / count, number * math.pi * (1 + math.sqrt(5))
    radius = (1 - height.square()).sqrt()
    return torch.stack([radius * turn.cos(), radius * turn.sin(), height], dim=1)
