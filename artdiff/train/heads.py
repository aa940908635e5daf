"""Several attributes of a picture at once: the heads of one classifier."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from artdiff.train.data import Dataset
from artdiff.train.examples import complete, read_labels
from artdiff.train.recipe import DataRecipe


class Heads:
    """What a classifier learns of each picture: one class of every attribute.

    The logits of all heads lie side by side, in the order of the attributes.

    Attributes:
        classes: the names of the classes, sorted, by attribute.
        labels: class numbers of all pictures, (held_out + count, heads) int64.
    """

    def __init__(
        self, attributes: tuple[str, ...], dataset: Dataset, data: DataRecipe, cache: Path
    ) -> None:
        count, columns = data.held_out + data.count, []
        self.classes: dict[str, tuple[str, ...]] = {}
        for name in attributes:
            labels, self.classes[name] = read_labels(dataset, name, count, cache)
            complete(labels, self.classes[name], name, data)
            columns.append(labels)
        self.labels = np.stack(columns, axis=1)

    @property
    def sizes(self) -> list[int]:
        """How many classes each head has."""
        return [len(names) for names in self.classes.values()]

    @property
    def names(self) -> list[str]:
        """What each logit stands for: ``lake``; of several heads, ``scene:lake``."""
        if len(self.classes) == 1:
            return list(*self.classes.values())
        return [f"{head}:{name}" for head, names in self.classes.items() for name in names]

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Sum of the heads' cross-entropies, (B,), of logits (B, sum of sizes), labels (B, heads).

        It is -log p(all labels | x) where the heads are taken to be independent given x.
        """
        parts = zip(logits.split(self.sizes, dim=1), labels.unbind(1), strict=True)
        return torch.stack([F.cross_entropy(a, b, reduction="none") for a, b in parts]).sum(0)

    def right(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Which heads recognised which picture, (B, heads) float64."""
        guesses = [part.argmax(1) for part in logits.split(self.sizes, dim=1)]
        return (torch.stack(guesses, dim=1) == labels).double()
