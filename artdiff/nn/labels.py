"""Classes as conditioning: a prompt names one or several of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

_NUMBER = re.compile(r"(?:(?:label|class)\s+)?(\d+)")
_WORDS = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class LabelConditioner:
    """Texts to mixtures of classes, ``classes`` (B, K) float, that may be mixed linearly.

    A class is named by its number, ``label 207`` (or ``class 207``, or ``207``), or by its name
    where the names are known; a text that names several gives the mean of their rows. A text that
    names none gives zeros: no class at all, which only means something to networks that were
    trained without labels some of the time. Without classes the conditioning is empty.
    """

    classes: int | None
    labels: tuple[str, ...] = ()

    def __call__(self, texts: Sequence[str]) -> dict[str, Tensor]:
        if self.classes is None:
            return {}
        rows = torch.zeros(len(texts), self.classes)
        for row, text in zip(rows, texts, strict=True):
            found = [part for part in self._parts(text) if isinstance(part, int)]
            for label in found:
                row[label] += 1 / len(found)
        return {"classes": rows}

    def unknown(self, text: str) -> list[str]:
        """The words and numbers of a text that name no class, each once, in order."""
        found = self._parts(text)
        return list(dict.fromkeys(part for part in found if isinstance(part, str)))

    @cached_property
    def _names(self) -> dict[tuple[str, ...], int]:
        """The labels by their words; the first of two that are the same."""
        names: dict[tuple[str, ...], int] = {}
        for number, label in enumerate(self.labels):
            names.setdefault(tuple(_WORDS.findall(label.lower())), number)
        return names

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self._names), default=0)

    def _parts(self, text: str) -> Iterator[int | str]:
        """The classes that a text names, and the words in between; the longest names win."""
        words = _WORDS.findall(text.lower())
        while words:
            count, label = self._first(words)
            yield " ".join(words[:count]) if label is None else label
            words = words[count:]

    def _first(self, words: list[str]) -> tuple[int, int | None]:
        """How many words the first part of a text takes, and the class that it names."""
        for count in range(min(self._longest, len(words)), 0, -1):
            label = self._names.get(tuple(words[:count]))
            if label is not None:
                return count, label
        for part in (words[:2], words[:1]):
            match = _NUMBER.fullmatch(" ".join(part))
            if match:
                known = int(match[1]) < (self.classes or 0)
                return len(part), int(match[1]) if known else None
        return 1, None
