"""The exam of the scenes: prompts of their grammar, their answers, and training pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np

from artdiff import Question

from .records import Record, held_out_pairs
from .traits import asked

if TYPE_CHECKING:
    from .dataset import Scenes

SEED = 727
"""The prompts are those of a dataset of this seed, which no training has seen."""
TRAINED = 207_360
"""Copies are looked for among so many first pictures."""
FILMS = {"day cycle": "dawn-to-night", "seasons": "four-seasons", "style morph": "style-morph"}
LIKENESS = {
    "object": 8, "scene": 8, "pattern": 8, "ground": 4, "style": 4, "time": 4, "pose": 2,
    "season": 2, "weather": 2, "colors": 2, "color": 1, "grade": 1, "size": 1, "count": 1,
}  # fmt: skip
"""How much it counts that two pictures have an attribute in common."""


@dataclass(frozen=True)
class SceneExam:
    """Questions about the scenes: even ones of seen combinations, odd ones of held-out ones."""

    trained: Scenes

    @property
    def films(self) -> Mapping[str, str]:
        """Three fixed films: through a day, through a year, through six styles."""
        return FILMS

    @property
    def judge(self) -> Path:
        """The judge that ships, if one does; else the one that training leaves."""
        shipped = Path(str(files("artdiff_plugins.scenes").joinpath("judge.safetensors")))
        return shipped if shipped.is_file() else Path("runs/starter-judge/model.safetensors")

    def question(self, index: int) -> Question:
        """A prompt of the grammar and what it says, as one of the wordings says it."""
        dataset, row = self._place(index)
        record, caption = dataset.attributes(row), dataset.caption(row, 0)
        return Question(caption, asked(record, caption), not held_out_pairs(record))

    def answer(self, index: int, draw: int) -> np.ndarray:
        """A picture of the question's record; only chance differs between draws."""
        dataset, row = self._place(index)
        if draw == 0:
            return dataset.picture(row)
        bits = Random(f"{SEED}/exam/{index}/{draw}").getrandbits(63)
        return dataset.render(dataset.attributes(row), np.random.default_rng(bits))

    def alike(self, index: int, count: int) -> Sequence[int]:
        """The training pictures with the most attributes in common, the heavy ones first."""
        dataset, row = self._place(index)
        record = dataset.attributes(row)
        common = np.zeros(TRAINED)
        for name, weight in LIKENESS.items():
            common += weight * self._having(name, record)
        return np.argsort(-common, kind="stable")[:count].tolist()

    def training(self, index: int) -> np.ndarray:
        """A picture that training saw."""
        return self.trained.picture(index)

    def _place(self, index: int) -> tuple[Scenes, int]:
        return self._halves[index % 2], index // 2

    @cached_property
    def _halves(self) -> tuple[Scenes, Scenes]:
        kind, options = type(self.trained), self.trained.options
        seen, held_out = (
            kind(options.model_copy(update={"seed": SEED, "split": split}))
            for split in ("train", "heldout")
        )
        return seen, held_out

    @cached_property
    def _columns(self) -> dict[str, np.ndarray]:
        """The attributes of all training pictures, a column of texts for each."""
        records = [self.trained.attributes(index) for index in range(TRAINED)]
        return {name: np.array([_text(each, name) for each in records]) for name in LIKENESS}

    def _having(self, name: str, record: Record) -> np.ndarray:
        value = _text(record, name)
        return (self._columns[name] == value) & bool(value)


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record[name]
    return "+".join(value) if isinstance(value, list) else str(value or "")
