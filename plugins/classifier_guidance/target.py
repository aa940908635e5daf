"""What a classifier is to see: labels by name or number, several at once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from pydantic import StrictInt
from torch import Tensor

from artdiff import PresetError, nearest

Heads = Mapping[str, Mapping[str, int]]
"""The number of each class by the head it belongs to and its name."""

Target = dict[str, float] | list[str | StrictInt] | str | StrictInt
"""``"night"``, ``"dusk|night"``, ``207``, ``["night", "lake"]``, ``{ night = 1, lake = 0.5 }``."""

LEAST = 1e-6
"""The smallest chance of not being a class, where its logarithm stays finite."""


@dataclass(frozen=True)
class Wanted:
    """One wish.

    Attributes:
        head: the classes among which the chances are shared out.
        classes: those of them that are wanted, any of them.
        weight: below 0, they are what is not wanted.
    """

    head: tuple[int, ...]
    classes: tuple[int, ...]
    weight: float = 1.0

    def surprise(self, logits: Tensor) -> Tensor:
        r"""How unlike the wish logits (B, classes) are, (B,), 0 or more.

        .. math:: -w \log\sum_{y \in Y} p(y \mid x), \qquad
            \text{or for } w < 0:\ -|w| \log\Big(1 - \sum_{y \in Y} p(y \mid x)\Big)
        """
        within, classes = torch.tensor(self.head), torch.tensor(self.classes)
        inside = torch.isin(within, classes)
        if self.weight < 0:
            inside = ~inside
        logs = logits[:, within.to(logits.device)].log_softmax(1)
        chances = logs[:, inside.to(logits.device)].logsumexp(1)
        if self.weight < 0:
            chances = torch.logaddexp(chances, torch.full_like(chances, LEAST).log())
        return -abs(self.weight) * chances


def read_target(target: Target, heads: Heads, whose: str) -> tuple[Wanted, ...]:
    """Look the labels of a target up among the classes of a classifier.

    :param whose: the classifier, as errors call it.
    :raises PresetError: a label is unknown, or stands in several heads.
    """
    if isinstance(target, dict):
        wishes = list(target.items())
    else:
        wishes = [(label, 1.0) for label in (target if isinstance(target, list) else [target])]
    if not wishes:
        raise PresetError(f"target: names no label of the classifier {whose!r}")
    return tuple(_wanted(label, weight, heads, whose) for label, weight in wishes)


def _wanted(label: str | int, weight: float, heads: Heads, whose: str) -> Wanted:
    parts = label.split("|") if isinstance(label, str) else [label]
    found = [
        _find(part.strip() if isinstance(part, str) else part, heads, whose) for part in parts
    ]
    head = found[0][0]
    if any(other != head for other, _ in found):
        raise PresetError(f"target: {label!r}: labels of different heads; make two of them")
    classes = tuple(number for _, number in found)
    everything = tuple(heads[head].values())
    if len(set(classes)) == len(everything):
        raise PresetError(f"target: {label!r}: names all classes there are")
    return Wanted(everything, classes, weight)


def _find(label: str | int, heads: Heads, whose: str) -> tuple[str, int]:
    """The head and the number of one class; digits in a text are a number where no name is."""
    if isinstance(label, int):
        return _numbered(label, heads, whose)
    head, colon, name = label.partition(":")
    if colon and head in heads:
        if name not in heads[head]:
            raise PresetError(
                f"target: the classifier {whose!r} knows no {head} {name!r}"
                f"{nearest(name, heads[head])}"
            )
        return head, heads[head][name]
    places = [head for head, classes in heads.items() if label in classes]
    if len(places) > 1:
        these = " or ".join(repr(f"{head}:{label}") for head in places)
        raise PresetError(f"target: {label!r} may be {these}; say which")
    if not places and re.fullmatch(r"-?\d+", label):
        return _numbered(int(label), heads, whose)
    if not places:
        known: Sequence[str] = [name for classes in heads.values() for name in classes]
        close = nearest(label, known)
        close = close if "did you mean" in close else ""
        raise PresetError(
            f"target: the classifier {whose!r} knows no label {label!r}"
            f"{close or f'; it has {len(known)}, such as ' + ', '.join(sorted(known)[:6])}"
        )
    return places[0], heads[places[0]][label]


def _numbered(number: int, heads: Heads, whose: str) -> tuple[str, int]:
    count = sum(len(classes) for classes in heads.values())
    for head, classes in heads.items():
        if number in classes.values():
            return head, number
    raise PresetError(
        f"target: the classifier {whose!r} has the classes 0 to {count - 1}, not {number}"
    )
