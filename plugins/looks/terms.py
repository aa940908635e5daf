"""Losses that are a formula of the pixels."""

from __future__ import annotations

import math

from pydantic import BaseModel, Field
from torch import Tensor

from artdiff import Level, Noise, NoOptions, Setup


class TotalVariation:
    r"""Leads pictures towards smooth areas: less grain, fewer small things.

    .. math:: \ell = \mathrm{mean}\left((\partial_x I)^2 + (\partial_y I)^2\right)

    differences between neighbours, images I in [-1, 1], the edge repeated. Rudin, Osher & Fatemi,
    Physica D 60 (1992), squared as Mahendran & Vedaldi do, arXiv 1412.0035, Eq. 4 with beta = 2.
    Disco Diffusion's ``tv_scale`` is its weight.
    """

    Options = NoOptions

    def __init__(self, options: NoOptions, setup: Setup) -> None:
        self.setup = setup

    def loss(self, x0: Tensor, at: Level, noise: Noise) -> Tensor:
        """The mean of squared differences, (B,)."""
        images = self.setup.decode(x0)
        across = images.diff(dim=3).square().flatten(1).sum(1)
        down = images.diff(dim=2).square().flatten(1).sum(1)
        return (across + down) / math.prod(images.shape[1:])


class OutOfRange:
    r"""Leads pictures back to the colours that a screen has.

    .. math:: \ell = \mathrm{mean}\left(|I - \mathrm{clip}(I, -1, 1)|^p\right)

    Disco Diffusion's ``range_scale`` is the weight with p = 2, its ``sat_scale`` that with p = 1.
    """

    class Options(BaseModel, extra="forbid"):
        power: float = Field(2.0, ge=1, le=4, description="p: 2 or, for all alike, 1.")

    def __init__(self, options: Options, setup: Setup) -> None:
        self.power, self.setup = options.power, setup

    def loss(self, x0: Tensor, at: Level, noise: Noise) -> Tensor:
        """The mean excess over [-1, 1], (B,)."""
        images = self.setup.decode(x0)
        excess = (images.abs() - 1).clamp(min=0)
        return excess.pow(self.power).flatten(1).mean(1)


class Saturation:
    r"""Leads pictures to more colour or less.

    .. math::
        \ell = (s - \mathrm{target})^2, \qquad s = \mathrm{mean}\left(
            \sqrt{\tfrac13 \textstyle\sum_c (I_c - \bar I)^2 + \epsilon}\right)

    where :math:`\bar I` is the grey of a pixel, its mean over the colours c. A grey picture has
    s = 0; the pure colours have 0.94.
    """

    class Options(BaseModel, extra="forbid"):
        target: float = Field(0.5, ge=0, le=1, description="0 is grey; pure colours have 0.94.")

    def __init__(self, options: Options, setup: Setup) -> None:
        self.target, self.setup = options.target, setup

    def loss(self, x0: Tensor, at: Level, noise: Noise) -> Tensor:
        """The squared distance of the mean colour from the target, (B,)."""
        images = self.setup.decode(x0)
        colour = (images - images.mean(1, keepdim=True)).square().mean(1)
        return ((colour + 1e-8).sqrt().flatten(1).mean(1) - self.target).square()
