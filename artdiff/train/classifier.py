"""Training a classifier of noisy pictures, for classifier guidance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal, Self

import torch
from pydantic import AfterValidator, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from artdiff.errors import PresetError
from artdiff.nn.unet_classifier import ClassifierConfig, ClassifierUNet
from artdiff.nn.unet_facts import ProcessFacts
from artdiff.process import Process
from artdiff.random import Noise
from artdiff.train.data import Dataset
from artdiff.train.diffusion import CHUNK, Betas, in_float32
from artdiff.train.draws import row_noise, torch_draws
from artdiff.train.examples import Examples, size_for
from artdiff.train.recipe import Count, Part, Recipe
from artdiff.train.task import Task

LEVELS = (0.0, 0.125, 0.25, 0.5, 0.75)
"""Where validation measures the accuracy, as shares of the process."""


class ClassifierTable(Part):
    """What is particular to training a classifier of noisy pictures."""

    free = ("validation",)
    model: Annotated[ClassifierConfig, AfterValidator(in_float32)] = Field(
        default=ClassifierConfig(head_channels=64),
        description="the network; the pictures and data.label say its size and classes",
    )
    betas: Betas = Field(default="linear", description="noise schedule")
    steps: Count = Field(default=1000, description="steps of the process")
    validation: Count = Field(default=256, description="held-out pictures in a validation")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        Process.named(self.betas, self.steps)
        return self


class ClassifierRecipe(Recipe):
    """Training a classifier."""

    kind: Literal["classifier"] = "classifier"
    classifier: ClassifierTable = ClassifierTable()

    @model_validator(mode="after")
    def _labelled(self) -> Self:
        if self.data.label is None:
            raise ValueError("a classifier needs data.label, the attribute that it learns")
        return self


class ClassifierTask(Task):
    """The classifier, its training steps and its validation.

    It minimises the cross-entropy of the label given x_t, at steps t drawn evenly: Dhariwal &
    Nichol, arXiv 2105.05233, Section 4.1.
    """

    def __init__(self, recipe: Recipe, dataset: Dataset, folder: Path, cache: Path) -> None:
        assert isinstance(recipe, ClassifierRecipe)
        self.recipe, self.part = recipe, recipe.classifier
        height, width = size_for(self.part.model.factor, recipe, dataset)
        if height != width:
            raise PresetError(f"data.size: a classifier sees squares, not {width}x{height}")
        self.examples = Examples(recipe, dataset, cache)
        self.process = Process.named(self.part.betas, self.part.steps)
        classes = len(self.examples.classes)
        self.config = replace(self.part.model, channels=3, size=height, classes=classes)
        self.model = ClassifierUNet(self.config)

    def loss(self, step: int, rows: range) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy at noisy pictures; notes say which were recognised."""
        seed = self.recipe.seed
        x0, labels = self.examples.batch(step, rows, self.device)
        draws = torch_draws(seed, "t", step)
        t = torch.randint(self.part.steps, (self.recipe.batch,), generator=draws)
        t = t[rows.start : rows.stop].to(x0.device)
        eps = row_noise(seed, "eps", step, rows).normal(x0, "eps")
        logits = self._logits(self.model, x0, t, eps)
        assert labels is not None
        right = (logits.argmax(1) == labels).double()
        return F.cross_entropy(logits, labels), {"accuracy": right}

    def _logits(self, model: nn.Module, x0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        return model(self.process.q_sample(x0, t, eps), self.process.time(t)).float()

    def after(self, step: int, notes: Mapping[str, Tensor]) -> dict[str, float]:
        """The share of the batch that was recognised."""
        return {"accuracy": notes["accuracy"].mean().item()}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Loss over all levels of noise, and the accuracy at some, always with the same noise."""
        count = min(self.part.validation, self.recipe.data.held_out)
        levels = [int(share * self.part.steps) for share in LEVELS]
        losses: list[Tensor] = []
        right = torch.zeros(len(levels))
        for at in range(0, count, CHUNK):
            rows = range(at, min(at + CHUNK, count))
            x0, labels = self.examples.held_out(rows, self.device)
            assert labels is not None
            eps = Noise(tuple(rows)).normal(x0, "eps")
            t = (torch.arange(rows.start, rows.stop) * self.part.steps // count).to(x0.device)
            found = self._logits(model, x0, t, eps)
            losses.append(F.cross_entropy(found, labels, reduction="none").cpu())
            for place, level in enumerate(levels):
                guess = self._logits(model, x0, torch.full_like(t, level), eps).argmax(1)
                right[place] += (guess == labels).sum().cpu()
        accuracies = (right / count).tolist()
        numbers = {"loss": torch.cat(losses).mean().item()}
        return numbers | {
            f"accuracy/t = {level}": value for level, value in zip(levels, accuracies, strict=True)
        }

    def finish(self, model: nn.Module) -> dict:
        """The facts that go with the file, as `artdiff models add` reads them."""
        process = ProcessFacts(self.part.betas, self.part.steps)
        return self.examples.facts("classifier", self.config, process)
