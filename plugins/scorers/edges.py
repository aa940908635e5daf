"""Edges where another picture has them."""

from __future__ import annotations

import torch
from pydantic import BaseModel, Field
from torch import Tensor

from artdiff import File, Level, Noise, Setup

from .seen import oklab, scaled, smaller, steepness, unlike

STRENGTH = 0.2
SIDES = (128, 64, 32)


class Edges:
    """Puts edges where a picture has them: the outlines stay, colours and light are free.

    The distance is one less the correlation of the two maps of edges (the steepness of all three
    Oklab channels), averaged over three sizes, so that edges that lie beside their place are
    drawn to it.
    """

    class Options(BaseModel, extra="forbid"):
        image: File = Field(description="The picture whose edges are wanted.")
        drawn: bool = Field(
            False, description="The picture is a drawing of edges itself: bright lines on black."
        )

    def __init__(self, options: Options, setup: Setup) -> None:
        self.setup = setup
        picture = oklab(setup.picture(options.image).double())
        if options.drawn:
            self.wanted = [smaller(picture[:, :1], side) for side in SIDES]
        else:
            self.wanted = [steepness(smaller(picture, side)) for side in SIDES]

    def loss(self, x0: Tensor, at: Level, noise: Noise) -> Tensor:
        """How unlike the edges are, (B,)."""
        picture, parts = oklab(self.setup.decode(x0)), []
        for side, wanted in zip(SIDES, self.wanted, strict=True):
            found = steepness(smaller(picture, side))
            parts.append(unlike(found, wanted.to(found).expand_as(found)))
        return scaled(torch.stack(parts).mean(0), x0, at, STRENGTH)
