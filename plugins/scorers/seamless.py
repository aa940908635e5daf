"""A picture that is blended into its own other half, so that its edges meet."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from pydantic import BaseModel, Field
from torch import Tensor

from artdiff import FrameJob, Level, Noise, Setup


class Seamless:
    r"""Lays the middle of a picture over its edges, where it goes on without a seam.

    .. math:: x_0 \leftarrow m\, x_0 + \sqrt{1 - m^2}\, \mathrm{roll}(x_0, \text{half})

    with m rising from 0 at the edges to 1 within the band: a picture rolled by half its size has
    at its edges what was in its middle. The squares of both shares sum to 1, so that the latents
    keep their variance. It is no gradient and costs nothing; while there is much noise the
    model makes one picture of the two. A codec ends its pictures in its own way; `finish` spreads
    the step that is left over a narrow band.
    """

    class Options(BaseModel, extra="forbid"):
        axis: Literal["both", "horizontal", "vertical"] = Field(
            "both", description="horizontal: copies side by side; vertical: above each other."
        )
        band: float = Field(0.25, gt=0, le=0.5, description="Of the width, at each edge.")
        until: float = Field(
            0.3, ge=0, le=1, description="Noise fraction at which it ends; 0 is the clean end."
        )
        mend: float = Field(
            0.06,
            ge=0,
            le=0.5,
            description="Of the width, at each edge of the finished picture, over which a step "
            "that is left is spread; 0 leaves it.",
        )

    def __init__(self, options: Options, setup: Setup) -> None:
        self.options = options
        self.along = {"both": (2, 3), "horizontal": (3,), "vertical": (2,)}[options.axis]

    def __call__(self, x0: Tensor, x: Tensor, at: Level, noise: Noise) -> Tensor:
        """The blended x0, (B, C, h, w)."""
        if at.fraction < self.options.until:
            return x0 * 1
        for along in self.along:
            size = x0.shape[along]
            places = torch.arange(size, dtype=torch.double)
            rim = torch.minimum(places, size - 1 - places) / max(1.0, self.options.band * size)
            own = rim.clamp(0, 1)
            shape = [1, 1, 1, 1]
            shape[along] = size
            own, other = (part.reshape(shape).to(x0) for part in (own, (1 - own**2).sqrt()))
            x0 = own * x0 + other * x0.roll(size // 2, along)
        return x0

    def finish(self, picture: np.ndarray, job: FrameJob) -> np.ndarray:
        """The picture, uint8 (H, W, 3), whose opposite edges now have the same colours."""
        values = picture.astype(np.float64)
        for axis in (along - 2 for along in self.along):
            values = without_step(values, axis, self.options.mend)
        return values.round().clip(0, 255).astype(np.uint8)


def without_step(values: np.ndarray, axis: int, band: float) -> np.ndarray:
    """Values whose last and first rows (0) or columns (1) meet halfway, over a band at each."""
    size = values.shape[axis]
    wide = int(band * size)
    if wide < 1:
        return values
    values = np.moveaxis(values.copy(), axis, 0)
    half = (values[0] - values[-1]) / 2
    fall = (1 - np.arange(wide) / wide)[:, None, None]
    values[:wide] -= half * fall
    values[size - wide :] += half * fall[::-1]
    return np.moveaxis(values, 0, axis)
