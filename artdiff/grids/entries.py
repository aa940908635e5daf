"""Grids of whole entries of a table, for models that were trained on integer timesteps."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from pydantic import BaseModel, Field
from torch import Tensor

from artdiff.grids.times import places
from artdiff.noise import DiscreteTable, Schedule

__all__ = ["Leading", "Linspace", "SGMUniform", "Trailing"]


class Entries(BaseModel, extra="forbid"):
    """How many integer timesteps a model was trained on."""

    entries: int = Field(
        1000, ge=1, le=100_000, description="Trained timesteps, if the schedule is not a table."
    )


def _entry_times(schedule: Schedule, index: Tensor, entries: int) -> Tensor:
    """The times of entries of a table, or of as many equal steps of a continuous schedule."""
    if isinstance(schedule, DiscreteTable):
        return index / (len(schedule.alphas_cumprod) - 1)
    return (index + 1) / entries


def _count(schedule: Schedule, entries: int, start: float) -> int:
    """How many entries lie at or below the time `start`."""
    table = isinstance(schedule, DiscreteTable)
    return max(1, round((len(schedule.alphas_cumprod) if table else entries) * start))


@dataclass(frozen=True)
class _Whole:
    """What the grids of whole entries share; a subclass says which entries."""

    entries: int = 1000
    name: ClassVar[str] = ""
    Options: ClassVar[type[BaseModel]] = Entries

    @abstractmethod
    def index(self, steps: int, count: int) -> Tensor:
        """Which of `count` entries to take, (steps,) float64 whole numbers, falling."""

    def times(self, schedule: Schedule, steps: int, start: float) -> Tensor:
        index = self.index(steps, _count(schedule, self.entries, start))
        return _entry_times(schedule, index, self.entries)

    def check(self, steps: int, count: int) -> None:
        """Make sure that a table of `count` entries has so many different ones.

        Raises:
            ValueError: if it has not.
        """
        if not bool((self.index(steps, count).diff() < 0).all()):
            raise ValueError(
                f"the grid {self.name} has no {steps} different levels; the model has {count}"
            )


@dataclass(frozen=True)
class SGMUniform(_Whole):
    """`LinearT` on whole entries of a table: equal steps, each cut down to the entry below.

    On a continuous schedule it is that of a table of so many entries. Known by the name of
    Stability's generative-models, which spaces so; without a paper of its own.
    """

    name: ClassVar[str] = "sgm-uniform"

    def index(self, steps: int, count: int) -> Tensor:
        return torch.linspace(count - 1, 0, steps + 1, dtype=torch.float64)[:-1].floor()


@dataclass(frozen=True)
class Trailing(_Whole):
    r"""Every :math:`N / steps`-th of N entries, counted from the noisiest: entry N - 1 is first.

    Lin et al., "Common Diffusion Noise Schedules and Sample Steps are Flawed", arXiv 2305.08891,
    Section 3.3 and Table 2, which shows why the last entry should be among them.
    """

    name: ClassVar[str] = "trailing"

    def index(self, steps: int, count: int) -> Tensor:
        return (count - torch.arange(steps, dtype=torch.float64) * (count / steps)).round() - 1


@dataclass(frozen=True)
class Leading(_Whole):
    """Every (N // steps)-th of N entries, counted from the cleanest: entry N - 1 is left out.

    The spacing of DDIM's own program and of Stable Diffusion (offset 1); arXiv 2305.08891, Table
    2. Its first level is a little cleaner than the noise that one starts from.
    """

    class Options(Entries):
        """Options of leading."""

        offset: int = Field(1, ge=0, le=100, description="Added to every entry's number.")

    offset: int = 1
    name: ClassVar[str] = "leading"

    def index(self, steps: int, count: int) -> Tensor:
        index = torch.arange(steps - 1, -1, -1, dtype=torch.float64) * (count // steps)
        return (index + self.offset).clamp(max=count - 1)


@dataclass(frozen=True)
class Linspace(_Whole):
    """Equal steps over N entries with both ends among them; arXiv 2305.08891, Table 2."""

    name: ClassVar[str] = "linspace"

    def index(self, steps: int, count: int) -> Tensor:
        return ((1 - places(steps)) * (count - 1)).round()
