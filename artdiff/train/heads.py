"""Several attributes of a picture at once: the heads of one classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from artdiff.errors import PresetError, nearest
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


MOST = 4
"""So many values of one trait can be right at once."""


class TraitHeads:
    """What a judge learns of each picture: traits, of which several values may be right, or none.

    A dataset says them by ``traits(index)``, the right values of each attribute, any of them;
    where there are none, nothing can be told from the picture and nothing is learned.

    Attributes:
        classes: the names of the classes, sorted, by trait.
        rights: numbers of the right classes of all pictures, (held_out + count, heads, `MOST`)
            int64; -1 where there are fewer.

    Raises:
        PresetError: the dataset has no traits, or not these.
    """

    def __init__(
        self, names: Sequence[str] | None, dataset: Dataset, data: DataRecipe, count: int
    ) -> None:
        traits: Any = getattr(dataset, "traits", None)
        if traits is None:
            raise PresetError(f"data.dataset: {data.dataset!r} has no traits that can be judged")
        told: list[Mapping[str, Sequence[str]]] = [traits(index) for index in range(count)]
        names = tuple(names or told[0])
        for name in names:
            if name not in told[0]:
                raise PresetError(
                    f"judge.heads: pictures have no trait {name!r}{nearest(name, told[0])}"
                )
        self.classes = {
            name: tuple(sorted({value for each in told for value in each[name]})) for name in names
        }
        self.rights = np.full((count, len(names), MOST), -1)
        for column, name in enumerate(names):
            number = {value: place for place, value in enumerate(self.classes[name])}
            for row, each in enumerate(told):
                found = [number[value] for value in dict.fromkeys(each[name])][:MOST]
                self.rights[row, column, : len(found)] = found

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many classes each head has."""
        return tuple(len(names) for names in self.classes.values())

    def loss(self, logits: Tensor, rights: Tensor) -> Tensor:
        r"""How little the right values are expected, (B, heads); 0 where nothing can be told.

        .. math:: -\log \sum_{y \in Y_h} p_h(y \mid x)

        :param logits: (B, sum of sizes).
        :param rights: Y of each head, (B, heads, `MOST`), -1 where there are fewer.
        """
        columns = []
        for part, right in zip(logits.split(self.sizes, 1), rights.unbind(1), strict=True):
            chances = part.log_softmax(1).gather(1, right.clamp(min=0))
            any_of = chances.masked_fill(right < 0, -torch.inf).logsumexp(1)
            columns.append(torch.where(right[:, 0] < 0, 0, -any_of))
        return torch.stack(columns, 1)

    def right(self, logits: Tensor, rights: Tensor) -> Tensor:
        """Which first choices are right, (B, heads) float64; NaN where nothing can be told."""
        columns = []
        for part, right in zip(logits.split(self.sizes, 1), rights.unbind(1), strict=True):
            hit = (part.argmax(1)[:, None] == right).any(1).double()
            columns.append(hit.masked_fill(right[:, 0] < 0, torch.nan))
        return torch.stack(columns, 1)
