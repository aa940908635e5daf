"""How a picture is painted: the statistics of small strokes of another one."""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import BaseModel, Field
from torch import Tensor
from torch.nn import functional as F

from artdiff import File, Level, Noise, Setup

from .seen import oklab, root, scaled, smaller

STRENGTH = {"strokes": 0.45, "latents": 0.3}
SIDES = (256, 128, 64, 32)
TURNS, REACH = 6, 3
"""Directions of the strokes, and pixels on each side of a filter's middle."""

BALANCE = (1.0, 4.0, 4.0)
"""Oklab's two colour channels span about a quarter of what its lightness does."""


class Style:
    r"""Paints as another picture is painted: strokes and colours, not what it shows.

    Gram matrices, after Gatys et al., "A Neural Algorithm of Artistic Style", arXiv 1508.06576,
    Eq. 3 to 5, :math:`G = F F^T / N` over the places of a picture, and

    .. math:: d^2 = \frac{1}{L} \sum_l
        \frac{\lVert G_l - G^*_l \rVert^2}{\lVert G^*_l \rVert^2 + \epsilon}

    ``strokes`` are a fixed bank of filters (even and odd Gabor filters, rectified) on the three
    channels of Oklab at four sizes, ``latents`` the channels of the model's own codec.
    """

    class Options(BaseModel, extra="forbid"):
        image: File = Field(description="The picture whose manner is wanted.")
        features: Literal["strokes", "latents"] = Field(
            "strokes",
            description="strokes: filters at four sizes; latents: the codec's channels, cheaper.",
        )

    def __init__(self, options: Options, setup: Setup) -> None:
        self.setup, self.latents = setup, options.features == "latents"
        self.strength = STRENGTH[options.features]
        picture = setup.picture(options.image)
        with torch.no_grad():
            features = [setup.encode(picture)] if self.latents else strokes(picture)
            self.wanted = [gram(part) for part in features]

    def loss(self, x0: Tensor, at: Level, noise: Noise) -> Tensor:
        """How unlike the manner is, (B,)."""
        features = [x0] if self.latents else strokes(self.setup.decode(x0))
        parts = []
        for part, wanted in zip(features, self.wanted, strict=True):
            wanted = wanted.to(part)
            away = (gram(part) - wanted).square().sum((1, 2))
            parts.append(away / (wanted.square().sum((1, 2)) + 1e-6))
        return scaled(root(torch.stack(parts).mean(0), 0.02), x0, at, self.strength)


def gram(features: Tensor) -> Tensor:
    """Means of products of all pairs of channels, one of which is 1: (B, C, h, w) to (B, D, D)."""
    flat = features.flatten(2)
    flat = torch.cat([torch.ones_like(flat[:, :1]) * 0.5, flat], dim=1)
    return flat @ flat.mT / flat.shape[2]


def strokes(images: Tensor) -> list[Tensor]:
    """Responses to the filters at each size, (B, 9 + 3 * 2 * TURNS, h, w): both signs apart."""
    picture, found = oklab(images) * images.new_tensor(BALANCE)[:, None, None], []
    bank = filters().to(images)
    for side in SIDES:
        small = smaller(picture, side)
        if side > SIDES[-1] and min(small.shape[2:]) < side:
            continue
        padded = F.pad(small, (REACH,) * 4, mode="replicate")
        each = F.conv2d(padded, bank.repeat(3, 1, 1, 1), groups=3)
        found.append(torch.cat([small, each.relu() * 4, (-each).relu() * 4], dim=1))
    return found


def filters() -> Tensor:
    """Even and odd Gabor filters of sum 0 and length 1, (2 * TURNS, 1, size, size)."""
    places = torch.arange(-REACH, REACH + 1, dtype=torch.double)
    y, x = torch.meshgrid(places, places, indexing="ij")
    hill, bank = torch.exp(-(x**2 + y**2) / 4), []
    for turn in range(TURNS):
        angle = math.pi * turn / TURNS
        wave = (x * math.cos(angle) + y * math.sin(angle)) * math.pi / 2
        for part in (wave.cos(), wave.sin()):
            kernel = hill * part
            kernel = kernel - hill * kernel.sum() / hill.sum()
            bank.append(kernel / kernel.norm())
    return torch.stack(bank)[:, None]
