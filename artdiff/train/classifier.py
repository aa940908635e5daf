"""Training a classifier of noisy pictures or noisy latents, for classifier guidance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal, Self

import torch
from pydantic import AfterValidator, Field, model_validator
from torch import Tensor, nn

from artdiff.errors import PresetError
from artdiff.nn.unet_classifier import ClassifierConfig, ClassifierUNet
from artdiff.nn.unet_facts import ProcessFacts
from artdiff.process import Process
from artdiff.random import Noise
from artdiff.train.data import Dataset
from artdiff.train.diffusion import CHUNK, Betas, in_float32
from artdiff.train.draws import row_noise, torch_draws
from artdiff.train.examples import Examples, size_for, training_indices
from artdiff.train.heads import Heads
from artdiff.train.latents import Latents
from artdiff.train.recipe import Count, Part, Recipe, left_out
from artdiff.train.task import Task

LEVELS = (0.0, 0.125, 0.25, 0.5, 0.75)
"""Where validation measures the accuracy, as shares of the process."""


_LEFT = left_out(
    ClassifierConfig(head_channels=64), "pictures and labels", "channels", "size", "classes"
)


class ClassifierTable(Part):
    """What is particular to training a classifier of noisy pictures or latents."""

    free = ("validation",)
    heads: Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(
        default=None,
        description="several attributes that one network learns, in place of data.label",
    )
    codec: Path | None = Field(
        default=None, description="model.safetensors of a codec: sees latents, not pictures"
    )
    model: Annotated[ClassifierConfig, AfterValidator(in_float32), _LEFT] = Field(
        default=ClassifierConfig(head_channels=64),
        description="the network; the pictures and the labels say its size and classes",
    )
    betas: Betas = Field(default="linear", description="noise schedule")
    steps: Count = Field(default=1000, description="steps of the process")
    validation: Count = Field(default=256, description="held-out pictures in a validation")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        Process.named(self.betas, self.steps)
        if self.heads is not None and len(set(self.heads)) < len(self.heads):
            raise ValueError("two heads are the same")
        return self


class ClassifierRecipe(Recipe):
    """Training a classifier."""

    kind: Literal["classifier"] = "classifier"
    classifier: ClassifierTable = ClassifierTable()

    @model_validator(mode="after")
    def _labelled(self) -> Self:
        if self.data.label is None and self.classifier.heads is None:
            raise ValueError(
                "a classifier needs data.label, the attribute that it learns, or classifier.heads"
            )
        if self.data.label is not None and self.classifier.heads is not None:
            raise ValueError("give data.label or classifier.heads, one of the two")
        if self.data.flip and self.classifier.codec is not None:
            raise ValueError("latents cannot be mirrored; leave data.flip out")
        return self


class ClassifierTask(Task):
    """The classifier, its training steps and its validation.

    It minimises the cross-entropy of the label given x_t, at steps t drawn evenly: Dhariwal &
    Nichol, arXiv 2105.05233, Section 4.1; of several heads, the sum. Latents are made noisy along
    the same discrete process: any level of another schedule, such as the starter's flow, is one of
    its levels but for a factor, which `artdiff.backends.unet.NoisyClassifier` divides out.
    """

    def __init__(self, recipe: Recipe, dataset: Dataset, folder: Path, cache: Path) -> None:
        assert isinstance(recipe, ClassifierRecipe)
        self.recipe, self.part = recipe, recipe.classifier
        data, factor = recipe.data, self.part.model.factor
        self.examples: Examples | Latents
        if self.part.codec is None:
            height, width = size_for(factor, recipe, dataset)
            unlabelled = recipe.model_copy(
                update={"data": data.model_copy(update={"label": None})}
            )
            self.examples, channels = Examples(unlabelled, dataset, cache), 3
        else:
            self.examples = Latents(self.part.codec, recipe, dataset, cache)
            channels, height, width = self.examples.shape
            if height % factor or width % factor:
                raise PresetError(
                    f"classifier.model: latents of {width}x{height} are no multiple of {factor}"
                )
        if height != width:
            raise PresetError(f"data.size: a classifier sees squares, not {width}x{height}")
        attributes = self.part.heads or (str(data.label),)
        self.heads = Heads(attributes, dataset, data, cache)
        self.process = Process.named(self.part.betas, self.part.steps)
        self.config = replace(
            self.part.model, channels=channels, size=height, classes=sum(self.heads.sizes)
        )
        self.model = ClassifierUNet(self.config)

    def loss(self, step: int, rows: range) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy at noisy pictures; notes say which share of the heads recognised them."""
        seed = self.recipe.seed
        x0 = self.examples.batch(step, rows, self.device)[0]
        labels = self._labels(training_indices(self.recipe, step, rows).tolist())
        draws = torch_draws(seed, "t", step)
        t = torch.randint(self.part.steps, (self.recipe.batch,), generator=draws)
        t = t[rows.start : rows.stop].to(x0.device)
        eps = row_noise(seed, "eps", step, rows).normal(x0, "eps")
        logits = self._logits(self.model, x0, t, eps)
        right = self.heads.right(logits.detach(), labels).mean(1)
        return self.heads.loss(logits, labels).mean(), {"accuracy": right}

    def _labels(self, indices: list[int]) -> Tensor:
        return torch.from_numpy(self.heads.labels[indices]).to(self.device)

    def _logits(self, model: nn.Module, x0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        return model(self.process.q_sample(x0, t, eps), self.process.time(t)).float()

    def after(self, step: int, notes: Mapping[str, Tensor]) -> dict[str, float]:
        """The share of the batch that was recognised."""
        return {"accuracy": notes["accuracy"].mean().item()}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Loss over all levels of noise, and accuracies at some, always with the same noise.

        With several heads the accuracy of each is measured too, ``scene/t = 0``.
        """
        count = min(self.part.validation, self.recipe.data.held_out)
        levels = [int(share * self.part.steps) for share in LEVELS]
        losses: list[Tensor] = []
        right = torch.zeros(len(levels), len(self.heads.sizes), dtype=torch.double)
        for at in range(0, count, CHUNK):
            rows = range(at, min(at + CHUNK, count))
            x0, labels = self.examples.held_out(rows, self.device)[0], self._labels(list(rows))
            eps = Noise(tuple(rows)).normal(x0, "eps")
            t = (torch.arange(rows.start, rows.stop) * self.part.steps // count).to(x0.device)
            losses.append(self.heads.loss(self._logits(model, x0, t, eps), labels).cpu())
            for place, level in enumerate(levels):
                logits = self._logits(model, x0, torch.full_like(t, level), eps)
                right[place] += self.heads.right(logits, labels).sum(0).cpu()
        numbers = {"loss": torch.cat(losses).mean().item()}
        means = right.mean(1) / count
        numbers |= {f"accuracy/t = {at}": float(m) for at, m in zip(levels, means, strict=True)}
        if len(self.heads.sizes) > 1:
            for head, column in zip(self.heads.classes, (right / count).unbind(1), strict=True):
                each = zip(levels, column.tolist(), strict=True)
                numbers |= {f"{head}/t = {level}": value for level, value in each}
        return numbers

    def finish(self, model: nn.Module) -> dict:
        """The facts that go with the file, as `artdiff models add` reads them."""
        process = ProcessFacts(self.part.betas, self.part.steps)
        facts = self.examples.facts("classifier", self.config, process)
        return facts | {"labels": self.heads.names}
