"""Timestep grids: which levels a sampler walks, from noise to the clean sample (1, 0).

A grid is a frozen dataclass of its options that gives falling times for a schedule; `levels` makes
levels of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from artdiff.grids.entries import Leading, Linspace, SGMUniform, Trailing
from artdiff.grids.ratios import AlignYourSteps, Exponential, Karras, LinearLogSNR
from artdiff.grids.times import Beta, LinearT
from artdiff.noise import Level, Schedule, shift_time

__all__ = ["GRIDS", "Grid", "karras_levels", "levels"]


class Grid(Protocol):
    """Where on a schedule the steps lie; a frozen dataclass of its options.

    A preset's options are validated by a nested class, ``class Options(BaseModel,
    extra="forbid")``; construct with ``cls(**options.model_dump())``. A grid of a table's entries
    may have a method ``check(steps, count)`` that raises ValueError where a table of `count` has
    too few for it: so that this is known before the model is loaded.

    Attributes:
        name: the name in `GRIDS` and in presets.
    """

    name: ClassVar[str]

    def times(self, schedule: Schedule, steps: int, start: float) -> Tensor:
        """Give `steps` times, (steps,) float64, strictly falling from `start`, all above 0.

        Time 0 is allowed where the schedule still has noise there, as on a table or `EDM`.
        """
        ...


GRIDS: Mapping[str, type[Grid]] = {
    cls.name: cls
    for cls in (
        *(LinearT, Karras, Exponential, LinearLogSNR, Beta, AlignYourSteps),
        *(SGMUniform, Trailing, Leading, Linspace),
    )
}
"""The grids by the name that presets use."""


EVEN = LinearT()


def levels(
    schedule: Schedule,
    steps: int,
    *,
    shift: float = 1.0,
    start: float = 1.0,
    grid: Grid = EVEN,
) -> list[Level]:
    """Give the steps + 1 levels of a grid; the last is clean, (1, 0).

    Args:
        schedule: where the levels come from; its level at t = 0 is replaced by the clean one.
        steps: the number of transitions, at least 1.
        shift: s of `shift_time`, above 0; 1 changes nothing. It bends whatever the grid says.
        start: the first time, in (0, 1], before the shift. Below 1 when starting from a picture
            (strength): ``levels(s, 10, start=0.5)`` is the second half of ``levels(s, 20)``.
        grid: where the steps lie; equal steps of time if not given.

    Returns:
        Levels of 0-dim float64 CPU tensors, alpha / sigma strictly rising.

    Raises:
        ValueError: if steps, shift or start is out of range, or if a grid of whole entries has
            fewer of them than there are steps.
    """
    if steps < 1:
        raise ValueError(f"steps >= 1, not {steps}")
    if not 0 < start <= 1:
        raise ValueError(f"0 < start <= 1, not {start}")
    if not 0 < shift < math.inf:
        raise ValueError(f"shift > 0, not {shift}")
    times = grid.times(schedule, steps, start)
    if not bool((times.diff() < 0).all()):
        raise ValueError(f"the grid {grid.name} has no {steps} different levels; fewer steps do")
    noisy = schedule(shift_time(times, shift))
    one = torch.ones((), dtype=torch.float64)
    pairs = zip(noisy.alpha.unbind(), noisy.sigma.unbind(), strict=True)
    return [*(Level(alpha, sigma) for alpha, sigma in pairs), Level(one, one * 0)]


def karras_levels(
    schedule: Schedule, steps: int, *, rho: float = 7.0, start: float = 1.0, end: float = 1e-3
) -> list[Level]:
    """Give the levels of the grid `Karras`: ``levels(schedule, steps, grid=Karras(rho, end))``.

    Raises:
        ValueError: if steps, rho, start or end is out of range.
    """
    if not rho >= 1:
        raise ValueError(f"rho >= 1, not {rho}")
    return levels(schedule, steps, start=start, grid=Karras(rho, end))
