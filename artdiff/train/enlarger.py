"""Training an enlarger: an upsampler that looks at a neighbourhood only, on crops of pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import AfterValidator, Field
from torch import Tensor, nn
from torch.nn import functional as F

from artdiff.errors import PresetError
from artdiff.film.sheet import contact_sheet
from artdiff.nn.enlarger import Enlarger, EnlargerConfig
from artdiff.noise import Flow, Level, diffuse
from artdiff.random import Noise
from artdiff.train.data import Dataset, dataset_key, prepare, to_images, to_pictures
from artdiff.train.draws import batch_indices, numpy_draws, row_noise, torch_draws
from artdiff.train.losses import psnr
from artdiff.train.recipe import Count, Part, Recipe, Share
from artdiff.train.task import Task

CLEANEST = 0.01
"""The smallest ratio sigma / alpha that is trained; a walk of 100 steps has no smaller one."""


def _above_cleanest(model: EnlargerConfig) -> EnlargerConfig:
    if model.start <= CLEANEST:
        raise ValueError(f"start is above {CLEANEST}, the cleanest level, not {model.start:g}")
    return model


class EnlargerTable(Part):
    """What is particular to training an enlarger."""

    free = ("validation",)
    model: Annotated[EnlargerConfig, AfterValidator(_above_cleanest)] = Field(
        default=EnlargerConfig(), description="the network, and what small pictures suffer"
    )
    crop: Count = Field(default=64, description="pixels on a side of the large crops")
    clean: Share = Field(
        default=0.5, description="share of small pictures without noise, and without blur"
    )
    validation: Count = Field(default=64, description="held-out crops in a validation")


class EnlargerRecipe(Recipe):
    """Training an enlarger."""

    kind: Literal["enlarger"] = "enlarger"
    enlarger: EnlargerTable = EnlargerTable()


def blurred(images: Tensor, deviation: Tensor) -> Tensor:
    """Images (B, C, H, W) through a Gaussian of a standard deviation (B,) in pixels; 0 is none.

    It ends at the whole pixel from three deviations on, of each image its own.
    """
    reach = (3 * deviation.to(images)).ceil().clamp(min=1)[:, None]
    radius = int(reach.max())
    place = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
    width = deviation.to(images).clamp(min=1e-3)[:, None]
    kernel = (-(place / width).square() / 2).exp() * (place.abs() <= reach)
    kernel = kernel / kernel.sum(1, keepdim=True)
    batch, channels, height, wide = images.shape
    plane = F.pad(images, (radius,) * 4, mode="replicate").view(
        1, batch * channels, *(height + 2 * radius, wide + 2 * radius)
    )
    kernel = kernel.repeat_interleave(channels, 0)[:, None]
    plane = F.conv2d(plane, kernel[:, :, :, None], groups=batch * channels)
    plane = F.conv2d(plane, kernel[:, :, None, :], groups=batch * channels)
    return plane.view(images.shape)


class EnlargerTask(Task):
    """The network, its training steps, its validation and its sample sheets.

    Levels are drawn evenly in the logarithm of sigma / alpha, from `CLEANEST` to the config's
    `start`; the loss is the square error of x0 over the square of what the network may change
    (Karras et al., arXiv 2206.00364, Table 1, ``lambda``).
    """

    def __init__(self, recipe: Recipe, dataset: Dataset, folder: Path, cache: Path) -> None:
        assert isinstance(recipe, EnlargerRecipe)
        data, self.recipe, self.part = recipe.data, recipe, recipe.enlarger
        self.config, self.key = recipe.enlarger.model, dataset_key(dataset)
        self.pictures = prepare(
            dataset, data.held_out + data.count, cache, data.workers, data.size
        )
        side = min(self.pictures.shape[1:3])
        if self.part.crop > side or self.part.crop % self.config.factor:
            best = max(min(self.part.crop, side) // self.config.factor, 1) * self.config.factor
            raise PresetError(
                f"enlarger.crop: {self.part.crop} is more than pictures of {side} or no "
                f"multiple of {self.config.factor}, as the network needs; try {best}"
            )
        self.model: nn.Module = Enlarger(self.config)
        count = min(self.part.validation, data.held_out)
        self.held_out = to_images(self._crops(np.arange(count), numpy_draws(0, "held out", 0)))

    def _crops(self, rows: np.ndarray, draws: np.random.Generator) -> np.ndarray:
        crop, (height, width) = self.part.crop, self.pictures.shape[1:3]
        tops = draws.integers(0, height - crop + 1, len(rows))
        lefts = draws.integers(0, width - crop + 1, len(rows))
        return np.stack(
            [
                self.pictures[row, top : top + crop, left : left + crop]
                for row, top, left in zip(rows, tops, lefts, strict=True)
            ]
        )

    def loss(self, step: int, rows: range) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The weighted square error of x0; it has no notes."""
        recipe, config, mine = self.recipe, self.config, slice(rows.start, rows.stop)
        draws = numpy_draws(recipe.seed, "crop", step)
        places = batch_indices(recipe.seed, step, recipe.batch, recipe.data.count)
        crops = to_images(self._crops(places + recipe.data.held_out, draws))
        crops[::2] = crops[::2].flip(3)
        x0 = crops[mine].to(self.device)
        dice = torch.rand(3, recipe.batch, generator=torch_draws(recipe.seed, "told", step))
        dice = dice[:, mine].to(x0)
        spread = math.log(config.start / CLEANEST)
        at = _level((math.log(CLEANEST) + spread * dice[0]).exp())
        hurt = (dice[1:] - self.part.clean).clamp(min=0) / max(1 - self.part.clean, 1e-6)
        told = torch.stack([hurt[0] * config.noise, hurt[1] * config.blur], dim=1)
        noise = row_noise(recipe.seed, "noise", step, rows)
        low = self.smaller(x0, told, noise)
        assert isinstance(self.model, Enlarger)
        found = self.model(diffuse(x0, noise.normal(x0, "eps"), at), at, low, told)
        return ((found.float() - x0) / self.model.gain(at)).square().mean(), {}

    def smaller(self, x0: Tensor, told: Tensor, noise: Noise) -> Tensor:
        """Small pictures of large ones: means over areas, then blur and noise as told, (B, 2)."""
        low = blurred(F.avg_pool2d(x0, self.config.scale), told[:, 1])
        return low + told[:, :1, None, None] * noise.normal(low, "low")

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Loss at evenly spaced levels; PSNR of one call from `start`, and of bicubic."""
        assert isinstance(model, Enlarger)
        x0 = self.held_out.to(self.device)
        noise, none = Noise(range(len(x0))), x0.new_zeros(len(x0), 2)
        low, eps = self.smaller(x0, none, noise), noise.normal(x0, "eps")
        place = (torch.arange(len(x0), device=x0.device) + 0.5) / len(x0)
        span = math.log(self.config.start / CLEANEST)
        at = _level((math.log(CLEANEST) + span * place).exp())
        error = (model(diffuse(x0, eps, at), at, low, none).float() - x0) / model.gain(at)
        first = _level(torch.full_like(place, self.config.start))
        near = model.enlarge(low)
        once = model(diffuse(near, eps, first), first, low, none).float()
        return {
            "loss": error.square().mean().item(),
            "psnr/one call": psnr(once, x0).mean().item(),
            "psnr/bicubic": psnr(near, x0).mean().item(),
        }

    def sheet(self, model: nn.Module, path: Path) -> None:
        """Draw held-out crops: small, enlarged bicubically, by the model, and as they were."""
        assert isinstance(model, Enlarger)
        x0 = self.held_out[:12].to(self.device)
        noise, none = Noise(range(len(x0))), x0.new_zeros(len(x0), 2)
        low = self.smaller(x0, none, noise)
        first = _level(torch.full((len(x0),), self.config.start, device=x0.device))
        near = model.enlarge(low)
        x = diffuse(near, noise.normal(x0, "start"), first)
        drawn = model(x, first, low, none)
        parts = (F.interpolate(low, scale_factor=self.config.scale), near, drawn, x0)
        rows = zip(*(to_pictures(part) for part in parts), strict=True)
        contact_sheet([np.concatenate(row, axis=1) for row in rows], columns=2).save(path)

    def finish(self, model: nn.Module) -> dict:
        """The facts that go with the file, as `artdiff models add` reads them."""
        return {
            "kind": "enlarger",
            "config": asdict(self.config),
            "size": self.part.crop,
            "dataset_key": self.key,
        }


def _level(ratio: Tensor) -> Level:
    """The levels of a straight flow at ratios sigma / alpha (B,), (B, 1, 1, 1)."""
    return Flow()((ratio / (1 + ratio)).view(-1, 1, 1, 1))
