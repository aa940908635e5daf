"""What an examination asks, and the arithmetic of its answers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from PIL import Image

from artdiff.film.change import rms_change

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Exam", "Film", "Question", "Score", "film_steps", "nearness", "score", "spread_of"]

Traits = Mapping[str, tuple[str, ...]]
"""The right values of each trait, any of them."""
THUMB = 32


@dataclass(frozen=True)
class Question:
    """One prompt, what it asks for, and whether training has seen such a combination."""

    prompt: str
    asked: Traits
    seen: bool


class Exam(Protocol):
    """What a dataset's ``exam()`` returns: prompts of its grammar, and how to draw the answers.

    Every method is a pure function of its numbers.
    """

    @property
    def judge(self) -> Path:
        """The weights of a judge that was trained on this dataset."""
        ...

    @property
    def films(self) -> Mapping[str, str]:
        """Presets of films by the names that the report gives them."""
        ...

    def question(self, index: int) -> Question:
        """Question `index`; the even ones seen in training, the odd ones held out."""
        ...

    def answer(self, index: int, draw: int) -> np.ndarray:
        """The dataset's own picture of what a question asks for, another one for each `draw`."""
        ...

    def alike(self, index: int, count: int) -> Sequence[int]:
        """The `count` training pictures that have the most in common with a question."""
        ...

    def training(self, index: int) -> np.ndarray:
        """Training picture `index`, uint8 (H, W, 3)."""
        ...


@dataclass(frozen=True)
class Score:
    """How many of how many were right, with the 95 % interval of Wilson (1927)."""

    right: int
    of: int

    @property
    def value(self) -> float:
        """The share; NaN of nothing."""
        return self.right / self.of if self.of else math.nan

    def interval(self) -> tuple[float, float]:
        r"""Where the share may lie, for n answers with the share p and z = 1.96.

        .. math:: \frac{p + z^2 / 2n \pm z \sqrt{p (1 - p) / n + z^2 / 4n^2}}{1 + z^2 / n}
        """
        if not self.of:
            return 0.0, 1.0
        z, n, p = 1.959964, self.of, self.value
        middle, below = p + z * z / (2 * n), 1 + z * z / n
        reach = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0.0, (middle - reach) / below), min(1.0, (middle + reach) / below)


def score(
    questions: Iterable[Question], choices: Iterable[Mapping[str, str]], trait: str | None
) -> Score:
    """How many of the pictures show what was asked of a trait; None counts all traits."""
    right = of = 0
    for question, choice in zip(questions, choices, strict=True):
        for name, values in question.asked.items():
            if name in choice and trait in (None, name):
                right += choice[name] in values
                of += 1
    return Score(right, of)


@dataclass(frozen=True)
class Film:
    """How much a film changes from frame to frame: RMS differences of its pictures in [0, 1]."""

    steps: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle step."""
        return float(np.median(self.steps))

    @property
    def ratio(self) -> float:
        """The largest step over the median; infinite for a film that mostly stands still."""
        return max(self.steps) / self.median if self.median else math.inf


def film_steps(frames: Sequence[np.ndarray]) -> Film:
    """The steps of a film of uint8 pictures (H, W, 3), two or more."""
    return Film(tuple(round(rms_change(a, b), 6) for a, b in pairwise(frames)))


def thumb(picture: np.ndarray) -> np.ndarray:
    """A picture uint8 (H, W, 3) at 32 x 32 by areas, float32 in [0, 1]."""
    small = Image.fromarray(picture).resize((THUMB, THUMB), Image.Resampling.BOX)
    return np.asarray(small, np.float32) / 255


def nearness(picture: np.ndarray, others: Iterable[np.ndarray]) -> tuple[float, int]:
    """The smallest RMS distance of a picture to others, as they are or mirrored, and whose it is.

    At 32 x 32, in [0, 1]: a copy is near 0 even where its details differ.
    """
    mine = thumb(picture)
    best = (math.inf, -1)
    for place, other in enumerate(others):
        theirs = thumb(other)
        for view in (theirs, theirs[:, ::-1]):
            best = min(best, (float(np.sqrt(((mine - view) ** 2).mean())), place))
    return best


def spread_of(features: Tensor, each: int) -> float:
    """The mean distance of features (N * each, D) within groups of `each` neighbours."""
    groups = features.double().view(-1, each, features.shape[1])
    distances = (groups[:, :, None] - groups[:, None]).norm(dim=-1)
    return float(distances.sum() / (len(groups) * each * (each - 1)))
