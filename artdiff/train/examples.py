"""Pictures with class labels, as the kinds that learn from pixels see them."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from artdiff.errors import PresetError, nearest
from artdiff.nn.unet_blocks import TorsoConfig
from artdiff.nn.unet_facts import Kind, ProcessFacts
from artdiff.train.data import Dataset, dataset_key, picture_size, prepare, to_images
from artdiff.train.draws import batch_indices, numpy_draws
from artdiff.train.recipe import DataRecipe, Recipe

NO_VALUE = "none"
"""The class of a picture whose attribute is None."""


class Examples:
    """Training and held-out pictures of a recipe, square where it says a size, with labels.

    Attributes:
        pictures: uint8 (held_out + count, H, W, 3), memory-mapped.
        labels: class numbers of all pictures, (held_out + count,) int64; None without
            ``data.label``.
        classes: the names of the classes, sorted; empty without ``data.label``.
    """

    def __init__(self, recipe: Recipe, dataset: Dataset, cache: Path) -> None:
        data = recipe.data
        self.recipe, self.key = recipe, dataset_key(dataset)
        count = data.held_out + data.count
        self.pictures = prepare(dataset, count, cache, data.workers, data.size)
        self.labels: np.ndarray | None = None
        self.classes: tuple[str, ...] = ()
        if data.label is not None:
            self.labels, self.classes = read_labels(dataset, data.label, count, cache)
            complete(self.labels, self.classes, data.label, data)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.pictures.shape[1], self.pictures.shape[2]

    def batch(self, step: int, rows: range, device: torch.device) -> tuple[Tensor, Tensor | None]:
        """Images (n, 3, H, W) in [-1, 1] and labels (n,) of some rows of training step `step`."""
        recipe, data = self.recipe, self.recipe.data
        indices = training_indices(recipe, step, rows)
        images = to_images(self.pictures[indices])
        if data.flip:
            flips = numpy_draws(recipe.seed, "flip", step).random(recipe.batch) < 0.5
            mirrored = torch.from_numpy(flips[rows.start : rows.stop]).view(-1, 1, 1, 1)
            images = torch.where(mirrored, images.flip(3), images)
        return images.to(device), self._labels(indices, device)

    def held_out(self, rows: range, device: torch.device) -> tuple[Tensor, Tensor | None]:
        """Images and labels of some held-out pictures."""
        images = to_images(self.pictures[rows.start : rows.stop])
        return images.to(device), self._labels(np.arange(rows.start, rows.stop), device)

    def facts(self, kind: Kind, config: TorsoConfig, process: ProcessFacts) -> dict:
        """What goes with the weights of a network of these pictures."""
        return {
            "kind": kind,
            "config": asdict(config),
            "process": asdict(process),
            "size": min(self.size),
            "labels": list(self.classes),
            "dataset_key": self.key,
        }

    def _labels(self, indices: np.ndarray, device: torch.device) -> Tensor | None:
        if self.labels is None:
            return None
        return torch.from_numpy(self.labels[indices]).to(device)


def training_indices(recipe: Recipe, step: int, rows: range) -> np.ndarray:
    """The pictures (n,) of some rows of the batch of training step `step`."""
    indices = batch_indices(recipe.seed, step, recipe.batch, recipe.data.count)
    return indices[rows.start : rows.stop] + recipe.data.held_out


def complete(labels: np.ndarray, classes: tuple[str, ...], name: str, data: DataRecipe) -> None:
    """Make sure that every class of attribute `name` is among the training pictures.

    :raises PresetError: one is not.
    """
    missing = sorted(set(range(len(classes))) - set(labels[data.held_out :].tolist()))
    if missing:
        raise PresetError(
            f"data.label: no training picture has the {name} {classes[missing[0]]!r}, only "
            f"held-out ones; raise data.count ({data.count}) or lower data.held_out "
            f"({data.held_out})"
        )


def size_for(factor: int, recipe: Recipe, dataset: Dataset) -> tuple[int, int]:
    """Height and width of a recipe's pictures, before they are made.

    :raises PresetError: a network that halves them until they are `factor` times smaller cannot.
    """
    data = recipe.data
    height, width = picture_size(dataset, data.held_out + data.count, data.size)
    if height % factor or width % factor:
        best = max(min(height, width) // factor, 1) * factor
        raise PresetError(
            f"data.size: pictures of {width}x{height} are no multiple of {factor}, as the "
            f"network needs; try {best}"
        )
    return height, width


def read_labels(
    dataset: Dataset, name: str, count: int, cache: Path
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Class numbers (count,) int64 by attribute `name`, and the names of the classes, sorted.

    ``colors.0`` is the first value of the attribute ``colors``, which is a list. The values are
    kept beside the pictures in ``labels-NAME.json``; no picture is made.

    :raises PresetError: pictures have no such attribute, or it is not one value.
    """
    path = cache / dataset_key(dataset) / f"labels-{name}.json"
    values: list[str] = json.loads(path.read_text("utf-8")) if path.exists() else []
    if len(values) < count:
        values += [_value(dataset, name, index) for index in range(len(values), count)]
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}.part")
        temporary.write_text(json.dumps(values), "utf-8")
        temporary.replace(path)
    values = values[:count]
    classes = tuple(sorted(set(values)))
    if len(classes) < 2:
        raise PresetError(f"data.label: all pictures have the same {name!r}, {values[0]!r}")
    number = {value: place for place, value in enumerate(classes)}
    return np.array([number[value] for value in values], dtype=np.int64), classes


def _value(dataset: Dataset, name: str, index: int) -> str:
    facts = dataset.attributes(index)
    whole, _, place = name.rpartition(".")
    if name not in facts and place.isdecimal() and isinstance(facts.get(whole), (list, tuple)):
        value = facts[whole][int(place)] if int(place) < len(facts[whole]) else None
    elif name not in facts:
        raise PresetError(f"data.label: pictures have no attribute {name!r}{nearest(name, facts)}")
    else:
        value = facts[name]
    if isinstance(value, (list, dict, tuple)):
        plain = [key for key, other in facts.items() if not isinstance(other, (list, dict, tuple))]
        raise PresetError(
            f"data.label: attribute {name!r} is not one value; one of {', '.join(plain)}"
        )
    return NO_VALUE if value is None else str(value)
