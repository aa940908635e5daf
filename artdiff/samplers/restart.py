"""Restart sampling: back to noise and down again, where that mends what went wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from pydantic import BaseModel, Field, field_validator
from torch import Tensor

from artdiff.denoise import Denoise
from artdiff.noise import Level
from artdiff.random import Noise
from artdiff.sample import STREAM, sample
from artdiff.samplers.heun import Heun
from artdiff.samplers.weights import spread

__all__ = ["Restart"]

Interval = tuple[float, float]

RHO = 7.0


@dataclass(frozen=True)
class Restart:
    r"""Restart sampling, on the steps of `Heun`.

    Where a step reaches :math:`s = \sigma / \alpha \le s_{low}` from above it, or, if no noisy
    level lies below, before the last step, the sample is carried back `times` times: noise is
    added up to :math:`s_{high}` and the ODE is walked down again, in `steps_within` steps whose
    :math:`s^{1/7}` fall linearly,

    .. math:: x' = x_b + \alpha_b \sqrt{s_{high}^2 - s_b^2}\; z.

    Xu et al., "Restart Sampling for Improving Generative Processes", arXiv 2306.14878, Algorithm
    1. The noise shrinks the errors that were made above, the ODE makes few of its own. Where one
    step reaches several intervals, the one with the highest s_high comes first. An interval costs
    ``2 * times * steps_within`` model calls.
    """

    class Options(BaseModel, extra="forbid"):
        """Options of restart."""

        intervals: tuple[Interval, ...] = Field(
            ((0.1, 1.0),),
            max_length=8,
            description="Where to restart: pairs [low, high] of sigma / alpha.",
        )
        times: int = Field(1, ge=1, le=20, description="How often, in each interval.")
        steps_within: int = Field(6, ge=1, le=50, description="Steps down an interval.")

        @field_validator("intervals")
        @classmethod
        def _rising(cls, pairs: tuple[Interval, ...]) -> tuple[Interval, ...]:
            for low, high in pairs:
                if not 0 < low < high < math.inf:
                    raise ValueError(f"must hold pairs with 0 < low < high (got {low}, {high})")
            return pairs

    intervals: tuple[Interval, ...] = ((0.1, 1.0),)
    times: int = 1
    steps_within: int = 6
    name: ClassVar[str] = "restart"
    order: ClassVar[int] = 2
    nfe: ClassVar[int] = 4

    def init(self, steps: int) -> None:
        return None

    def step(
        self, denoise: Denoise, x: Tensor, a: Level, b: Level, state: None, noise: Noise
    ) -> tuple[Tensor, Tensor, None]:
        if b.sigma == 0:
            last = [pair for pair in self.intervals if pair[0] < spread(a) < pair[1]]
            x = self._restart(denoise, x, a, last, noise)
            x, x0, _ = Heun().step(denoise, x, a, b, 0.0, noise)
            return x, x0, None
        x, x0, _ = Heun().step(denoise, x, a, b, 0.0, noise)
        here = [pair for pair in self.intervals if spread(a) > pair[0] >= spread(b)]
        return self._restart(denoise, x, b, here, noise), x0, None

    def _restart(
        self, denoise: Denoise, x: Tensor, at: Level, intervals: list[Interval], noise: Noise
    ) -> Tensor:
        """Go up from a level and down to it again, in each of some intervals."""
        for place, (_, high) in enumerate(sorted(intervals, key=lambda pair: -pair[1])):
            up = at.alpha * math.sqrt(high**2 - spread(at) ** 2)
            for turn in range(self.times):
                x = x + up * noise.normal(x, f"{STREAM}/restart/{place}/{turn}")
                for step in sample(Heun(), denoise, x, self._down(high, at), noise):
                    x = step.x
        return x

    def _down(self, high: float, at: Level) -> list[Level]:
        """The levels of one way down to a level."""
        first, last = high ** (1 / RHO), spread(at) ** (1 / RHO)
        falls = torch.linspace(first, last, self.steps_within + 1, dtype=torch.float64) ** RHO
        return [*(Level(at.alpha, at.alpha * s) for s in falls[:-1].unbind()), at]
