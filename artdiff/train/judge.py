"""Training a judge: a classifier of finished pictures that measures, and guides nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from artdiff.errors import PresetError, nearest
from artdiff.nn.judge import JudgeConfig, JudgeNet
from artdiff.train.data import Dataset, dataset_key
from artdiff.train.draws import row_noise, torch_draws
from artdiff.train.examples import Examples, size_for, training_indices
from artdiff.train.heads import TraitHeads
from artdiff.train.recipe import Count, Part, Recipe, Share, left_out
from artdiff.train.task import Task

CHUNK = 64


_LEFT = left_out(JudgeConfig(), "pictures and their traits", "size", "classes")


@dataclass(frozen=True)
class Disturbance:
    """How training pictures are changed, so that a judge does not rely on perfect ones.

    Args:
        zoom: the largest change of size, as a share.
        shift: the largest move, in shares of the side.
        blur: the share of pictures that are blurred, by up to `softest` pixels.
        noise: the largest deviation of noise on [-1, 1].
        light: the largest change of brightness and of contrast.
    """

    zoom: float = 0.06
    shift: float = 0.06
    blur: float = 0.25
    softest: float = 0.7
    noise: float = 0.04
    light: float = 0.08

    def __post_init__(self) -> None:
        numbers = asdict(self).values()
        finite = all(map(math.isfinite, numbers))
        if not finite or min(numbers) < 0 or max(self.zoom, self.blur) >= 1:
            raise ValueError("disturbances are finite and 0 or more, zoom and blur below 1")


class JudgeTable(Part):
    """What is particular to training a judge."""

    free = ("validation",)
    heads: Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(
        default=None, description="the traits that it learns; all of them if left out"
    )
    weights: dict[str, float] = Field(
        default={}, description="how much the loss of a head counts, where it is not 1"
    )
    model: Annotated[JudgeConfig, _LEFT] = JudgeConfig()
    disturb: Disturbance = Disturbance()
    smoothing: Share = Field(default=0.0, description="share of each target that is spread evenly")
    validation: Count = Field(default=512, description="held-out pictures in a validation")


class JudgeRecipe(Recipe):
    """Training a judge."""

    kind: Literal["judge"] = "judge"
    judge: JudgeTable = JudgeTable()


class JudgeTask(Task):
    """The judge, its training steps and its validation."""

    def __init__(self, recipe: Recipe, dataset: Dataset, folder: Path, cache: Path) -> None:
        assert isinstance(recipe, JudgeRecipe)
        self.recipe, self.part = recipe, recipe.judge
        height, width = size_for(self.part.model.factor, recipe, dataset)
        if height != width:
            raise PresetError(f"data.size: a judge sees squares, not {width}x{height}")
        data = recipe.data
        self.heads = TraitHeads(self.part.heads, dataset, data, data.held_out + data.count)
        for name in self.part.weights:
            if name not in self.heads.classes:
                close = nearest(name, self.heads.classes)
                raise PresetError(f"judge.weights: there is no head {name!r}{close}")
        self.examples = Examples(recipe, dataset, cache)
        self.key = dataset_key(dataset)
        self.config = replace(self.part.model, size=height, classes=self.heads.sizes)
        self.model = JudgeNet(self.config)
        self.scales = torch.tensor(
            [self.part.weights.get(name, 1.0) for name in self.heads.classes]
        )

    def loss(self, step: int, rows: range) -> tuple[Tensor, dict[str, Tensor]]:
        """The heads' cross-entropies at disturbed pictures, weighted; notes hold the hits."""
        recipe = self.recipe
        images = self.examples.batch(step, rows, self.device)[0]
        disturbed = disturb(images, self.part.disturb, recipe.seed, step, rows, recipe.batch)
        rights = self._rights(training_indices(recipe, step, rows).tolist())
        logits = self.model(disturbed).float()
        right = self.heads.right(logits.detach(), rights).nanmean(1)
        losses = self.heads.loss(logits, rights)
        if self.part.smoothing:
            parts = logits.split(self.heads.sizes, 1)
            even = torch.stack([-part.log_softmax(1).mean(1) for part in parts], 1)
            told = (rights[:, :, 0] >= 0).to(even)
            losses = losses.lerp(even * told, self.part.smoothing)
        return (losses @ self.scales.to(losses)).mean(), {"accuracy": right}

    def after(self, step: int, notes: Mapping[str, Tensor]) -> dict[str, float]:
        """The share of traits of the batch that were recognised."""
        return {"accuracy": notes["accuracy"].nanmean().item()}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Loss and accuracy on held-out pictures; that of each head is ``right/scene``."""
        count = min(self.part.validation, self.recipe.data.held_out)
        losses, hits = [], []
        for at in range(0, count, CHUNK):
            rows = range(at, min(at + CHUNK, count))
            logits = model(self.examples.held_out(rows, self.device)[0]).float()
            rights = self._rights(list(rows))
            losses.append((self.heads.loss(logits, rights) @ self.scales.to(logits)).cpu())
            hits.append(self.heads.right(logits, rights).cpu())
        means = torch.cat(hits).nanmean(0)
        numbers = {"loss": torch.cat(losses).mean().item(), "accuracy": float(means.nanmean())}
        each = zip(self.heads.classes, means.tolist(), strict=True)
        return numbers | {f"right/{name}": value for name, value in each}

    def finish(self, model: nn.Module) -> dict:
        """The facts that go with the file, as `artdiff.evaluation.judge` reads them."""
        return {
            "kind": "judge",
            "config": asdict(self.config),
            "heads": {name: list(values) for name, values in self.heads.classes.items()},
            "dataset_key": self.key,
        }

    def _rights(self, indices: list[int]) -> Tensor:
        return torch.from_numpy(self.heads.rights[indices]).to(self.device)


def disturb(
    images: Tensor, how: Disturbance, seed: int, step: int, rows: range, batch: int
) -> Tensor:
    """Mirror, zoom, move, blur and light images (n, 3, S, S) in [-1, 1], and add noise.

    The draws of a row are those that it has in the whole batch of its step.
    """
    draws = torch.rand(batch, 9, generator=torch_draws(seed, "disturb", step))
    draws = draws[rows.start : rows.stop].to(images)
    even = 2 * draws - 1
    zoom = 1 + how.zoom * even[:, 0]
    mirror = torch.where(draws[:, 1] < 0.5, -zoom, zoom)
    zero = torch.zeros_like(zoom)
    move_x, move_y = 2 * how.shift * even[:, 2], 2 * how.shift * even[:, 3]
    theta = torch.stack([mirror, zero, move_x, zero, zoom, move_y], 1).view(-1, 2, 3)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    seen = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    soft = (draws[:, 4] < how.blur).nonzero()[:, 0]
    if len(soft):
        seen = seen.index_copy(0, soft, _blurred(seen[soft], how.softest * draws[soft, 5]))
    contrast, brightness = 1 + how.light * even[:, 6], how.light * even[:, 7]
    seen = seen * contrast.view(-1, 1, 1, 1) + brightness.view(-1, 1, 1, 1)
    if how.noise:
        noise = row_noise(seed, "noise", step, rows).normal(seen, "noise")
        seen = seen + noise * (how.noise * draws[:, 8] ** 2).view(-1, 1, 1, 1)
    return seen.clamp(-1, 1)


def _blurred(images: Tensor, widths: Tensor) -> Tensor:
    """Images (n, 3, S, S) under Gaussians of n deviations, in pixels."""
    places = torch.arange(-3, 4).to(images)
    kernels = torch.exp(-(places**2) / (2 * widths[:, None] ** 2 + 1e-4))
    kernels = (kernels / kernels.sum(1, keepdim=True)).repeat_interleave(3, 0)
    count, channels, height, width = images.shape
    flat = images.reshape(1, count * channels, height, width)
    for view, pad in (((-1, 1, 7, 1), (0, 0, 3, 3)), ((-1, 1, 1, 7), (3, 3, 0, 0))):
        flat = F.conv2d(
            F.pad(flat, pad, mode="replicate"), kernels.view(*view), groups=count * channels
        )
    return flat.view(images.shape)
