"""Closeness to another picture."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, Field
from torch import Tensor

from artdiff import File, Level, Noise, Setup

from .seen import oklab, root, scaled, slopes, smaller

STRENGTH = 0.4
SIDES = (128, 64, 32, 16)
SOFT = 0.02
"""Contrast below this counts as none when slopes are compared."""


class Likeness:
    r"""Draws a picture near to another one: its colours and its forms.

    ``pixels`` compares at four sizes: Oklab colours by their mean square, and slopes, each divided
    by how steep both pictures are around, so that faint forms count like strong ones,

    .. math:: d^2 = \overline{\lVert a - b \rVert^2} / 0.05 + \overline{
        \frac{\lVert \nabla a - \nabla b \rVert^2}
        {\lVert \nabla a \rVert^2 + \lVert \nabla b \rVert^2 + \epsilon}}

    ``latents`` is the root mean square in the model's own latents, which needs no decoding.
    """

    class Options(BaseModel, extra="forbid"):
        image: File = Field(description="The picture to be like.")
        measure: Literal["pixels", "forms", "latents"] = Field(
            "pixels",
            description="pixels: colours and forms; forms: forms only; latents: the codec's.",
        )

    def __init__(self, options: Options, setup: Setup) -> None:
        self.setup, self.measure = setup, options.measure
        picture = setup.picture(options.image)
        with torch.no_grad():
            self.wanted = setup.encode(picture) if options.measure == "latents" else oklab(picture)

    def loss(self, x0: Tensor, at: Level, noise: Noise) -> Tensor:
        """How far pictures are from the wanted one, (B,)."""
        wanted = self.wanted.to(x0)
        if self.measure == "latents":
            return scaled(root((x0 - wanted).square().mean((1, 2, 3))), x0, at, STRENGTH)
        picture, parts = oklab(self.setup.decode(x0)), []
        for side in SIDES:
            a, b = smaller(picture, side), smaller(wanted, side)
            if self.measure == "pixels":
                parts.append((a - b).square().sum(1).mean((1, 2)) / 0.05)
            parts.append(form_distance(slopes(a), slopes(b)))
        return scaled(root(torch.stack(parts).sum(0) / len(SIDES), 0.02), x0, at, STRENGTH)


def form_distance(a: Tensor, b: Tensor) -> Tensor:
    """How slopes (B, C, h, w) differ, in shares of how steep both are: (B,), 0 to 2."""
    away = (a - b).square().sum(1)
    both = a.square().sum(1) + b.square().sum(1) + SOFT**2
    return (away / both).mean((1, 2))
