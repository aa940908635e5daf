"""Grids of whole entries of a table, for models that were trained on integer timesteps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from pydantic import BaseModel, Field
from torch import Tensor

from artdiff.noise import DiscreteTable, Schedule

__all__ = ["Leading", "Linspace", "SGMUniform", "Trailing"]


def _places(steps: int) -> Tensor:
    """From 0 to 1, both included, (steps,)."""
    return torch.linspace(0, 1, max(steps, 2), dtype=torch.float64)[:steps]


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
class SGMUniform:
    """`LinearT` on whole entries of a table: equal steps, each cut down to the entry below.

    On a continuous schedule it is that of a table of so many entries. Known by the name of
    Stability's generative-models, which spaces so; without a paper of its own.
    """

    entries: int = 1000
    name: ClassVar[str] = "sgm-uniform"
    Options: ClassVar[type[BaseModel]] = Entries

    def times(self, schedule: Schedule, steps: int, start: float) -> Tensor:
        count = _count(schedule, self.entries, start)
        index = torch.linspace(count - 1, 0, steps + 1, dtype=torch.float64)[:-1].floor()
        return _entry_times(schedule, index, self.entries)


@dataclass(frozen=True)
class Trailing:
    r"""Every :math:`N / steps`-th of N entries, counted from the noisiest: entry N - 1 is first.

    Lin et al., "Common Diffusion Noise Schedules and Sample Steps are Flawed", arXiv 2305.08891,
    Section 3.3 and Table 2, which shows why the last entry should be among them.
    """

    entries: int = 1000
    name: ClassVar[str] = "trailing"
    Options: ClassVar[type[BaseModel]] = Entries

    def times(self, schedule: Schedule, steps: int, start: float) -> Tensor:
        count = _count(schedule, self.entries, start)
        index = (count - torch.arange(steps, dtype=torch.float64) * (count / steps)).round() - 1
        return _entry_times(schedule, index, self.entries)


@dataclass(frozen=True)
class Leading:
    """Every (N // steps)-th of N entries, counted from the cleanest: entry N - 1 is left out.

    The spacing of DDIM's own program and of Stable Diffusion (offset 1); arXiv 2305.08891, Table
    2. Its first level is a little cleaner than the noise that one starts from.
    """

    class Options(Entries):
        """Options of leading."""

        offset: int = Field(1, ge=0, le=100, description="Added to every entry's number.")

    entries: int = 1000
    offset: int = 1
    name: ClassVar[str] = "leading"

    def times(self, schedule: Schedule, steps: int, start: float) -> Tensor:
        count = _count(schedule, self.entries, start)
        index = torch.arange(steps - 1, -1, -1, dtype=torch.float64) * (count // steps)
        return _entry_times(schedule, (index + self.offset).clamp(max=count - 1), self.entries)


@dataclass(frozen=True)
class Linspace:
    """Equal steps over N entries with both ends among them; arXiv 2305.08891, Table 2."""

    entries: int = 1000
    name: ClassVar[str] = "linspace"
    Options: ClassVar[type[BaseModel]] = Entries

    def times(self, schedule: Schedule, steps: int, start: float) -> Tensor:
        count = _count(schedule, self.entries, start)
        index = ((1 - _places(steps)) * (count - 1)).round()
        return _entry_times(schedule, index, self.entries)
