"""Training a codec: crops in, reconstruction out."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from PIL import Image
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from artdiff.errors import ModelError
from artdiff.nn.codec import Codec, CodecConfig, calibrate
from artdiff.train.checkpoint import read_tensors
from artdiff.train.data import Dataset, prepare, to_images, to_pictures
from artdiff.train.draws import batch_indices, numpy_draws, torch_draws
from artdiff.train.losses import codec_loss, psnr
from artdiff.train.recipe import Count, Part, Recipe, Share
from artdiff.train.task import Task


class AutoencoderTable(Part):
    """What is particular to training a codec."""

    free = ("validation",)
    model: CodecConfig = CodecConfig()
    crop: Count = 128
    noise: float = Field(default=0.3, ge=0, description="largest noise that the decoder sees")
    align: Count = Field(
        default=1,
        description="crops begin at multiples of so many pixels; if more than 1, none is mirrored",
    )
    halved: Share = Field(default=0.2, description="share of steps on pictures of half the size")
    encoder: Literal["trained", "kept"] = Field(
        default="trained",
        description="kept: only the decoder of `start` learns on; what was trained on its latents "
        "stays right",
    )
    validation: Count = Field(default=64, description="held-out pictures in a validation")


class AutoencoderRecipe(Recipe):
    """Training a codec."""

    kind: Literal["autoencoder"] = "autoencoder"
    autoencoder: AutoencoderTable = AutoencoderTable()

    @model_validator(mode="after")
    def _begun(self) -> Self:
        if self.autoencoder.encoder == "kept" and self.start is None:
            raise ValueError('autoencoder.encoder = "kept" needs `start`, the codec to go on from')
        return self


class AutoencoderTask(Task):
    """The codec, its training steps, its validation and its sample sheets.

    Its latent is normalised over the pictures that are seen together: cut into parts, a batch
    trains a slightly different codec.
    """

    def __init__(self, recipe: Recipe, dataset: Dataset, folder: Path, cache: Path) -> None:
        assert isinstance(recipe, AutoencoderRecipe)
        data = recipe.data
        self.recipe, self.part = recipe, recipe.autoencoder
        count = data.held_out + data.count
        self.pictures = prepare(dataset, count, cache, data.workers, data.size)
        self.kept = self.part.encoder == "kept"
        codec = Codec(self.part.model)
        codec.encoder.requires_grad_(not self.kept)
        self.model: nn.Module = codec
        self.held_out = to_images(
            self._cut(self.pictures[: min(self.part.validation, data.held_out)])
        )

    def _cut(self, pictures: np.ndarray) -> np.ndarray:
        factor = self.part.model.factor
        height, width = (size // factor * factor for size in pictures.shape[1:3])
        return pictures[:, :height, :width]

    def images(self, step: int) -> Tensor:
        """The crops (B, 3, h, w) of training step `step`; some steps see them at half size."""
        recipe, part = self.recipe, self.part
        draws = numpy_draws(recipe.seed, "crop", step)
        indices = batch_indices(recipe.seed, step, recipe.batch, recipe.data.count)
        rows = np.sort(indices + recipe.data.held_out)
        shortest = min(self.pictures.shape[1:3])
        halved = draws.random() < part.halved
        side = part.model.factor * (2 if halved else 1)
        size = min(part.crop * (2 if halved else 1), shortest) // side * side
        if size == 0:
            halved, size = False, shortest // part.model.factor * part.model.factor
        pitch = part.align * (2 if halved else 1)
        tops, lefts = (
            draws.integers(0, (whole - size) // pitch + 1, len(rows)) * pitch
            for whole in self.pictures.shape[1:3]
        )
        crops = [
            self.pictures[row, top : top + size, left : left + size]
            for row, top, left in zip(rows, tops, lefts, strict=True)
        ]
        images = to_images(np.stack(crops))
        if part.align == 1:
            images[::2] = images[::2].flip(3)
        return F.avg_pool2d(images, 2) if halved else images

    def loss(self, step: int, rows: range) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of the reconstruction from noisy latents; it has no notes."""
        every = self.images(step)
        images = every[rows.start : rows.stop].to(self.device)
        if self.kept:
            self.model.norm.eval()  # type: ignore[union-attr]
        latents = self.model.encode(images)  # type: ignore[operator]
        draws = torch_draws(self.recipe.seed, "latent noise", step)
        sigma = self.part.noise * torch.rand(len(every), 1, 1, 1, generator=draws)
        noise = sigma * torch.randn(len(every), *latents.shape[1:], generator=draws)
        noisy = latents + noise[rows.start : rows.stop].to(latents)
        return codec_loss(self.model.decode(noisy), images), {}  # type: ignore[operator]

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Loss and PSNR of `model` on held-out pictures at full size, without noise."""
        losses, decibels = [], []
        for images in self.held_out.to(self.device).split(8):
            output = model(images)
            losses.append(codec_loss(output, images).item() * len(images))
            decibels.append(psnr(output, images))
        count = len(self.held_out)
        return {"loss": sum(losses) / count, "psnr": torch.cat(decibels).mean().item()}

    def sheet(self, model: nn.Module, path: Path) -> None:
        """Draw eight pairs, the original above its reconstruction, to `path`."""
        images = self.held_out[:8].to(self.device)
        rows = [torch.cat(list(part), dim=2) for part in (images, model(images))]
        Image.fromarray(to_pictures(torch.cat(rows, dim=1)[None])[0]).save(path)

    def finish(self, model: nn.Module) -> dict:
        """Settle the running statistics on training pictures; the facts that go with the file."""
        assert isinstance(model, Codec)
        facts = {"kind": "codec", "config": asdict(model.config)}
        if self.kept:
            return facts
        start = self.recipe.data.held_out
        some = self._cut(self.pictures[start : start + min(512, self.recipe.data.count)])
        batches = [to_images(some[at : at + 16]) for at in range(0, len(some), 16)]
        calibrate(model, [images.to(self.device) for images in batches])
        return facts


def load_codec(path: Path) -> Codec:
    """Load a trained codec, in evaluation mode and float32."""
    tensors, facts = read_tensors(path)
    if facts.get("kind") != "codec":
        raise ModelError(f"{path} is not a codec that `artdiff train` made")
    saved: dict[str, Any] = facts["config"]
    config: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in saved.items()}
    codec = Codec(CodecConfig(**config))
    codec.load_state_dict(tensors)
    return codec.eval().requires_grad_(False)
