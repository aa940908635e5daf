r"""Grids that are spaced in the ratio :math:`s = \sigma / \alpha`, the same on every schedule.

Where alpha is 0 at the start (s is infinite) they keep that start and space the rest as if it lay
at s = 80.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from pydantic import BaseModel, Field
from torch import Tensor

from artdiff.grids.times import places
from artdiff.noise import Schedule, interpolate, time_of

__all__ = ["NOISE_LEVELS", "AlignYourSteps", "Exponential", "Karras", "LinearLogSNR"]

FAR, NEAR = 1000.0, 80.0
"""A start above the first ratio is spaced as if it lay at the second."""


class EndOption(BaseModel, extra="forbid"):
    """Where a grid in sigma / alpha ends."""

    end: float = Field(
        1e-3, gt=0, le=0.1, description="Time of the last noisy level, if time 0 has no noise."
    )


def _ends(schedule: Schedule, start: float, end: float) -> tuple[float, float]:
    """The ratios between which a grid in s is spaced; one that begins below its end ends earlier.

    Raises:
        ValueError: unless 0 < end < 1.
    """
    if not 0 < end < 1:
        raise ValueError(f"0 < end < 1, not {end}")
    end = end if end < start else start / 2
    alpha, sigma = schedule(torch.tensor([start, end, 0.0], dtype=torch.float64))
    first, last, floor = (sigma / alpha).tolist()
    return (first if first < FAR else NEAR), (floor or last)


def _at_ratios(schedule: Schedule, ratios: Tensor, start: float) -> Tensor:
    """The times at which sigma / alpha has some values; the first is `start` whatever it says."""
    times = time_of(schedule, ratios / (1 + ratios))
    times[0] = start
    return times


@dataclass(frozen=True)
class Karras:
    r"""Equal steps of :math:`s^{1/\rho}`: the larger rho, the more steps near the clean end.

    Karras et al., arXiv 2206.00364, Eq. 5, on any schedule. The last noisy level lies at
    t = end, or at t = 0 where the schedule still has noise there; with `EDM` this is the grid of
    the paper.
    """

    class Options(EndOption):
        """Options of karras."""

        rho: float = Field(7.0, ge=1, le=100, description="Higher: more steps at low noise.")

    rho: float = 7.0
    end: float = 1e-3
    name: ClassVar[str] = "karras"

    def times(self, schedule: Schedule, steps: int, start: float) -> Tensor:
        first, last = (s ** (1 / self.rho) for s in _ends(schedule, start, self.end))
        place = places(steps)
        falling = torch.lerp(torch.full_like(place, first), torch.full_like(place, last), place)
        return _at_ratios(schedule, falling**self.rho, start)


@dataclass(frozen=True)
class Exponential:
    r"""Equal steps of :math:`(\log s)^{1/\rho}` between the ends: s falls by a factor each step.

    .. math:: \log s = \log s_{last} + (1 - p)^\rho \log\frac{s_{first}}{s_{last}}

    with p from 0 to 1. rho = 1 is the exponential grid, `LinearLogSNR`; others are known as
    polyexponential. Without a paper of its own; k-diffusion has it under this name.
    """

    class Options(EndOption):
        """Options of exponential."""

        rho: float = Field(1.0, ge=0.2, le=5, description="Above 1: more steps at low noise.")

    rho: float = 1.0
    end: float = 1e-3
    name: ClassVar[str] = "exponential"

    def times(self, schedule: Schedule, steps: int, start: float) -> Tensor:
        first, last = (math.log(s) for s in _ends(schedule, start, self.end))
        ratios = (last + (1 - places(steps)) ** self.rho * (first - last)).exp()
        return _at_ratios(schedule, ratios, start)


@dataclass(frozen=True)
class LinearLogSNR:
    r"""Equal steps of :math:`\lambda = \log(\alpha / \sigma)`, half the log signal-to-noise ratio.

    Lu et al., "DPM-Solver", arXiv 2206.00927, Section 3.3. The same as `Exponential` with rho = 1.
    """

    class Options(EndOption):
        """Options of linear-logsnr."""

    end: float = 1e-3
    name: ClassVar[str] = "linear-logsnr"

    def times(self, schedule: Schedule, steps: int, start: float) -> Tensor:
        return Exponential(1.0, self.end).times(schedule, steps, start)


NOISE_LEVELS: Mapping[str, tuple[float, ...]] = {
    "sd15": (14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029),
    "sdxl": (14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029),
    "svd": (700.0, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0.002),
}
"""The sigma / alpha of Align Your Steps for Stable Diffusion 1.5, XL and Video, arXiv 2404.14507,
Table 3; the last one becomes the clean level."""


@dataclass(frozen=True)
class AlignYourSteps:
    r"""The noise levels that Align Your Steps found for a model, for any schedule and step count.

    log s is interpolated linearly between the published levels, and stretched so that its ends
    are those of the schedule (on Stable Diffusion's they are already). A `start` below 1 takes the
    part of the way that lies below it.

    Sabour et al., "Align Your Steps", arXiv 2404.14507, Table 3 and Section 4.
    """

    class Options(EndOption):
        """Options of ays."""

        levels: Literal["sd15", "sdxl", "svd"] = Field(
            "sd15", description="The model whose published levels are taken."
        )

    levels: Literal["sd15", "sdxl", "svd"] = "sd15"
    end: float = 1e-3
    name: ClassVar[str] = "ays"

    def times(self, schedule: Schedule, steps: int, start: float) -> Tensor:
        known = torch.tensor(NOISE_LEVELS[self.levels], dtype=torch.float64).log()
        end = self.end if self.end < start else start / 2
        first, last = (math.log(s) for s in _ends(schedule, 1.0, end))
        curve = last + (known - known[-1]) / (known[0] - known[-1]) * (first - last)
        here = math.log(_ends(schedule, start, end)[0])
        number = torch.arange(len(curve), dtype=torch.float64)
        begin = interpolate(torch.tensor([-here], dtype=torch.float64), -curve, number)
        part = torch.linspace(0, 1, steps + 1, dtype=torch.float64)[:-1]
        place = begin + part * (len(known) - 1 - begin)
        return _at_ratios(schedule, interpolate(place, number, curve).exp(), start)
