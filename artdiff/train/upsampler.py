"""Training an upsampler: a diffusion model that also sees a small version of the picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from artdiff.errors import PresetError
from artdiff.film.sheet import contact_sheet
from artdiff.nn.unet_superres import SuperResUNet
from artdiff.random import Noise
from artdiff.train.data import Dataset, to_pictures
from artdiff.train.diffusion import SHEET, DiffusionTable, DiffusionTask, Network
from artdiff.train.recipe import Recipe


class UpsamplerTable(DiffusionTable):
    """What is particular to training an upsampler, beside all of a diffusion model's."""

    factor: Annotated[int, Field(ge=2)] = Field(
        default=4, description="how many times smaller a side of the small picture is"
    )
    augment: float = Field(
        default=0.0, ge=0, description="largest noise on the small picture while training"
    )


class UpsamplerRecipe(Recipe):
    """Training an upsampler."""

    kind: Literal["upsampler"] = "upsampler"
    upsampler: UpsamplerTable = UpsamplerTable()


class UpsamplerTask(DiffusionTask):
    """The upsampler; small pictures are means over areas of the large ones.

    While training, noise of a strength between 0 and `augment`, another one for each picture,
    makes the small pictures as imperfect as those that another model draws (Ho et al., "Cascaded
    Diffusion Models", arXiv 2106.15282, Section 4.2; here the network is not told the strength).
    """

    network_kind = "superres"

    def __init__(self, recipe: Recipe, dataset: Dataset, folder: Path, cache: Path) -> None:
        assert isinstance(recipe, UpsamplerRecipe)
        self.table = recipe.upsampler
        self._prepare(recipe, recipe.upsampler, dataset, cache)
        self.model = SuperResUNet(self.config)

    def _check_size(self, height: int, width: int) -> None:
        factor = self.table.factor
        if height % factor or width % factor:
            raise PresetError(
                f"upsampler.factor: {factor} does not divide pictures of {width}x{height}"
            )

    def _network(
        self, model: nn.Module, x0: Tensor, y: Tensor | None, noise: Noise | None
    ) -> Network:
        low = F.avg_pool2d(x0, self.table.factor)
        if noise is not None and self.table.augment:
            strength = self.table.augment * noise.uniform(low[:, :1, :1, :1], "augment")
            low = low + strength * noise.normal(low, "low")
        return lambda x, time: model(x, time, low, y).float()

    def finish(self, model: nn.Module) -> dict:
        """The facts that go with the file, with the factor."""
        return {**super().finish(model), "factor": self.table.factor}

    def sheet(self, model: nn.Module, path: Path) -> None:
        """Draw held-out pictures: small, enlarged by the model, and as they were."""
        count = min(SHEET, self.recipe.data.held_out)
        images, labels = self.examples.held_out(range(count), self.device)
        rows = torch.arange(SHEET, device=images.device) % count
        images, labels = images[rows], labels if labels is None else labels[rows]
        low = F.avg_pool2d(images, self.table.factor)
        drawn = self._draw(model, _telling(model, low), self._told(labels))
        small = to_pictures(F.interpolate(low, images.shape[-2:], mode="nearest"))
        triples = zip(small, drawn, to_pictures(images), strict=True)
        pictures = [np.concatenate(triple, axis=1) for triple in triples]
        height, width = (max(side, 96) for side in pictures[0].shape[:2])
        contact_sheet(pictures, columns=2, cell=(max(width, 3 * height), height)).save(path)


def _telling(model: nn.Module, low: Tensor) -> Callable[..., Tensor]:
    """(x, time, y) -> output; classifier-free guidance asks twice at once."""
    return lambda x, t, y: model(x, t, torch.cat([low] * (len(x) // len(low))), y)
