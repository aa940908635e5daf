"""How scorers look at pictures: perceptual colours, smaller sizes, edges, correlations.

Pictures are (B, 3, H, W) in [-1, 1]; nothing mixes the rows of a batch, and all is differentiable.

A scorer gives a distance without units, about 1 for pictures that have nothing to do with what is
wanted: the root of a mean square, or one less a correlation, never a mean square itself, whose
gradient would throw what is far off beyond its goal. `scaled` makes a loss of it: times the number
of elements of x0, so that a weight moves every element as far at any size, and times a strength
that was chosen by eye on the starter model, so that the weight 1 is to be seen there and 3 is
strong.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from artdiff import Level

LMS = ((0.4122214708, 0.5363325363, 0.0514459929),
       (0.2119034982, 0.6806995451, 0.1073969566),
       (0.0883024619, 0.2817188376, 0.6299787005))  # fmt: skip
LAB = ((0.2104542553, 0.7936177850, -0.0040720468),
       (1.9779984951, -2.4285922050, 0.4505937099),
       (0.0259040371, 0.7827717662, -0.8086757660))  # fmt: skip
"""The two matrices of Oklab."""

DARK = 1e-3
"""Added before the cube root, whose slope is infinite at black."""

SURE = 10.0
"""Times as much noise as signal, in power, at which a scorer counts half."""

EVEN = 1e-4
"""Slopes of the root of this count as half of what they are."""

PLAIN = 1e-5
"""Variances as small as this correlate with nothing."""


def scaled(distance: Tensor, x0: Tensor, at: Level, strength: float) -> Tensor:
    r"""A loss (B,) of distances (B,) of the pictures of x0, (B, C, h, w); see the module.

    .. math:: \ell = s\, n\, \frac{\alpha^2}{\alpha^2 + \sigma^2 / 10}\, d

    with n the number of elements. Of the distance of x0 itself from a goal (the root of the mean
    square), s is how far x0 moves, in units of x0, at a step with the weight 1 through x0. In
    nearly pure noise x0 is a mere guess of large forms, which a gradient through the denoiser
    moves many times as far as it should: the fraction takes that part of the walk out, and is 0.9
    where signal and noise are equal.
    """
    trust = at.alpha**2 / (at.alpha**2 + at.sigma**2 / SURE)
    return strength * math.prod(x0.shape[1:]) * trust.to(x0) * distance.to(x0.dtype)


def root(mean: Tensor, least: float = 1e-3) -> Tensor:
    """The root of mean squares, smooth below `least`: 0 at 0, and finite slopes everywhere."""
    return (mean + least**2).sqrt() - least


def oklab(images: Tensor) -> Tensor:
    """sRGB images to Oklab, (B, 3, H, W): lightness in [0, 1], green-red, blue-yellow.

    Björn Ottosson, "A perceptual color space for image processing", 2020; but for `DARK`. What is
    brighter than white goes on; what is darker than black counts as black.
    """
    rgb = (images + 1) / 2
    bright = (rgb.clamp(min=0.04045) + 0.055) / 1.055
    linear = torch.where(rgb <= 0.04045, rgb / 12.92, bright**2.4)
    lms, lab = (torch.tensor(rows).to(images) for rows in (LMS, LAB))
    cones = torch.einsum("ij,bjhw->bihw", lms, linear.clamp(min=0))
    return torch.einsum("ij,bjhw->bihw", lab, (cones + DARK) ** (1 / 3))


def smaller(images: Tensor, side: int) -> Tensor:
    """Pictures whose shorter side has at most `side` pixels, by averaging areas."""
    height, width = images.shape[2:]
    part = side / min(height, width)
    if part >= 1:
        return images
    size = (max(1, round(height * part)), max(1, round(width * part)))
    return F.adaptive_avg_pool2d(images, size)


def slopes(plane: Tensor) -> Tensor:
    """Horizontal and vertical differences of planes (B, C, H, W), Sobel's: (B, 2 C, H, W)."""
    smooth, step = plane.new_tensor([1, 2, 1]) / 4, plane.new_tensor([-1, 0, 1]) / 2
    across = torch.outer(smooth, step)
    kernels = torch.stack([across, across.T])[:, None].repeat(plane.shape[1], 1, 1, 1)
    padded = F.pad(plane, (1, 1, 1, 1), mode="replicate")
    return F.conv2d(padded, kernels, groups=plane.shape[1])


def steepness(plane: Tensor) -> Tensor:
    """How steep planes (B, C, H, W) are, over all channels: (B, 1, H, W)."""
    return (slopes(plane).square().sum(1, keepdim=True) + EVEN).sqrt() - math.sqrt(EVEN)


def unlike(a: Tensor, b: Tensor) -> Tensor:
    r"""One less the correlation over all elements of each row: (B,), 0 to 2; 1 where one is plain.

    .. math:: 1 - \frac{\mathrm{cov}(a, b)}{\sqrt{(\mathrm{var}(a) + \epsilon)
        (\mathrm{var}(b) + \epsilon)}}
    """
    a, b = (part.flatten(1) - part.flatten(1).mean(1, keepdim=True) for part in (a, b))
    spread = (a.square().mean(1) + PLAIN) * (b.square().mean(1) + PLAIN)
    return 1 - (a * b).mean(1) / spread.sqrt()
