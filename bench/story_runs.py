"""The trainings of docs/story.md: where they lie, what they cost, what they made."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from artdiff.nn.unet_facts import KINDS, NetworkFacts
from artdiff.registry import create_registry
from artdiff.train.checkpoint import load_checkpoint, read_tensors
from artdiff.train.examples import Examples
from artdiff.train.kinds import load_recipe
from artdiff.train.recipe import Recipe, StopRecipe

ROOT = Path(__file__).parent.parent
ROWS = ("ddpm", "cosine", "iddpm", "vlb", "adm")
HALVES = ("base16", "upsampler")
HELPERS = ("classifier", "judge-scene", "judge-style")
VARIANCES = {"ddpm": ("large", "small"), "cosine": ("large", "small")}
LEARNED = ("learned-range",)
CLASSES = {"scene": 15, "style": 10}
SCALES = (0.5, 1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    count: int = 256
    long_count: int = 128
    steps: tuple[int, ...] = (10, 25, 50)
    long_steps: int = 250
    guided_count: int = 128
    guided_steps: int = 25
    bound: int = 16
    bound_steps: int = 1000
    batch: int = 64
    rounds: int = 100


QUICK = Sizes(8, 8, (2, 3), 4, 8, 2, 4, 4, 8, 3)


@dataclass(frozen=True)
class Story:
    """Where things lie, and how large they are."""

    runs: Path
    out: Path
    sizes: Sizes
    quick: bool = False
    rows: tuple[str, ...] = (*ROWS, *HALVES)

    def recipe(self, name: str) -> Recipe:
        """The shipped recipe of a row; a tiny one of the same kind if quick."""
        path = Path(str(files("artdiff.train") / "recipes" / f"story-{name}.toml"))
        recipe = load_recipe(path)
        data = recipe.data.model_copy(update={"cache": self.runs / "data", "workers": 0})
        if not self.quick:
            return recipe.model_copy(update={"data": data})
        few = {"count": 600, "held_out": 64, "options": {"size": 64}}
        data = data.model_copy(update=few)
        part = getattr(recipe, recipe.kind).model_copy(update={"validation": 4})
        tiny = {"data": data, "stop": StopRecipe(steps=2), "batch": 4, recipe.kind: part}
        return recipe.model_copy(update=tiny)

    def weights(self, name: str) -> Path:
        """Where a row's trained weights lie."""
        return self.runs / f"story-{name}" / "model.safetensors"

    def examples(self, name: str = "adm") -> Examples:
        """The pictures that a row was trained on, and those held out."""
        recipe = self.recipe(name)
        return Examples(recipe, dataset_of(recipe), self.runs / "data")

    def real(self) -> tuple[np.ndarray, np.ndarray, int]:
        """All pictures, their scenes, and how many of the first are held out."""
        examples = self.examples()
        assert examples.labels is not None
        return examples.pictures, examples.labels, examples.recipe.data.held_out

    def pictures(self, key: str) -> Path:
        """Where samples lie."""
        return self.runs / "story-samples" / f"{key}.npy"


def dataset_of(recipe: Recipe) -> Any:
    kind = create_registry().get("datasets", recipe.data.dataset)
    return kind(kind.Options(**recipe.data.options))


def multiply_adds(recipe: Recipe) -> int:
    """Multiply-adds of one picture's way forward through the network that a recipe trains."""
    part: Any = getattr(recipe, recipe.kind)
    side = recipe.data.size or 0
    classes = CLASSES.get(recipe.data.label or "")
    kind = {"diffusion": "unet", "upsampler": "superres"}.get(recipe.kind, recipe.kind)
    facts: dict[str, Any] = {"classes": classes}
    if kind == "classifier":
        facts["size"] = side
    else:
        facts["learned_variance"] = part.variance == "learned-range"
    with torch.device("meta"):
        network: Any = KINDS[kind][0](replace(part.model, **facts))  # type: ignore[arg-type]
        inputs = [torch.zeros(1, 3, side, side), torch.zeros(1)]
        inputs += [torch.zeros(1, 3, side // 2, side // 2)] if kind == "superres" else []
        inputs += [torch.zeros(1, classes)] if kind != "classifier" and classes else []
        with FlopCounterMode(display=False) as counter:
            network(*inputs)
    return counter.get_total_flops() // 2


def compute(recipe: Recipe) -> int:
    """Multiply-adds of all forward passes of a training; a backward pass is about two more."""
    return multiply_adds(recipe) * recipe.batch * (recipe.stop.steps or 0)


class Net:
    """A trained network, asked in the precision that it was trained in, bfloat16."""

    def __init__(self, path: Path) -> None:
        tensors, values = read_tensors(path)
        self.facts = NetworkFacts.read(values, str(path))
        run = load_checkpoint(path.parent)
        self.minutes = float((run[1] if run else values)["minutes"])
        network = self.facts.build()
        network.load_state_dict(tensors)
        self.network: nn.Module = network.float().eval().requires_grad_(False)
        self.process = self.facts.process.process()
        self.parameters = sum(p.numel() for p in self.network.parameters())

    def __call__(self, *inputs: Tensor | None) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return self.network(*inputs).float()


def validations(story: Story, name: str) -> list[tuple[int, dict[str, float]]]:
    """Step and numbers of each validation of a training."""
    text = (story.runs / f"story-{name}" / "metrics.jsonl").read_text("utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    return [(line["step"], line["validation"]) for line in lines if "validation" in line]


def chunks(count: int, batch: int) -> list[range]:
    return [range(at, min(at + batch, count)) for at in range(0, count, batch)]
