r"""Many-step solutions of the ODE, to which the steps of fewer are compared.

In the coordinates :math:`y = x / (\alpha + \sigma)` a level is its noise fraction f, and
:math:`y = (1 - f) x_0 + f \varepsilon`, on every schedule. The ODE is
:math:`dy/df = (y - D(y, f)) / f`, finite at f = 1 (pure noise) and integrable to f = 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from artdiff.denoise import Denoise
from artdiff.noise import Level, Schedule

__all__ = ["Distance", "Path", "at_fraction", "distance", "ends", "reference"]


@dataclass(frozen=True, eq=False)
class Path:
    """Many-step solutions of B samples, between whose levels one may ask.

    Attributes:
        fractions: (M + 1,) float64, falling from the first level to 0.
        states: y at each, (M + 1, B, ...); the last is the sample.
        slopes: dy/df at all but the last, (M, B, ...).
    """

    fractions: Tensor
    states: Tensor
    slopes: Tensor

    @property
    def start(self) -> Tensor:
        """y at the first level, (B, ...)."""
        return self.states[0]

    @property
    def end(self) -> Tensor:
        """The samples, (B, ...)."""
        return self.states[-1]

    def rows(self, rows: Tensor) -> Path:
        """Give the path of some of the samples."""
        return replace(self, states=self.states[:, rows], slopes=self.slopes[:, rows])

    def at(self, fraction: float) -> Tensor:
        """Give y at a fraction within the path, by cubic Hermite interpolation, (B, ...).

        Below the last noisy level, where nothing was asked, D stays as it was there.
        """
        place = int((self.fractions > fraction).sum())
        if place == 0:
            return self.start
        high, low = float(self.fractions[place - 1]), float(self.fractions[place])
        y, slope = self.states[place - 1], self.slopes[place - 1]
        if place == len(self.fractions) - 1:
            return y + (fraction - high) * slope
        step = low - high
        u = (fraction - high) / step
        after, after_slope = self.states[place], self.slopes[place]
        return (
            (1 + 2 * u) * (1 - u) ** 2 * y
            + u**2 * (3 - 2 * u) * after
            + step * u * (1 - u) * ((1 - u) * slope - u * after_slope)
        )


@dataclass(frozen=True)
class Distance:
    """How far samples are from their reference, relative to its length.

    Attributes:
        rms: the root mean square over the samples, over that of the reference.
        median: of each sample's own error over its own length.
    """

    rms: float
    median: float


def distance(samples: Tensor, target: Tensor) -> Distance:
    """Compare samples (B, ...) with the reference's, row by row."""
    error = (samples - target).flatten(1).double().square().sum(1)
    length = target.flatten(1).double().square().sum(1)
    rms = (error.mean() / length.mean()).sqrt()
    return Distance(float(rms), float((error / length).sqrt().median()))


def at_fraction(fraction: Tensor) -> Level:
    """Give the level of a fraction in these coordinates, (1 - f, f)."""
    return Level(1 - fraction, fraction)


def ends(schedule: Schedule) -> tuple[float, float]:
    """Give the fractions at t = 1 and at t = 0; the second is 0 where nothing is left there."""
    first, last = schedule(torch.tensor([1.0, 0.0], dtype=torch.float64)).fraction.tolist()
    return first, last


@torch.no_grad()
def reference(
    denoise: Denoise,
    start: Tensor,
    between: tuple[float, float],
    steps: int = 100,
    each: Callable[[], object] = lambda: None,
) -> Path:
    r"""Solve the ODE by Heun's method, which takes two model calls a step.

    The levels lie at :math:`f_m = f_1 + (f_0 - f_1) (1 - m / M)^2`, dense near the clean end; the
    last step, to 0, is DDIM's. On a schedule that reaches 0, :math:`f_1 = 0`.

    Args:
        denoise: (x, at) -> x0, for all rows of start.
        start: y at the first level, (B, ...): x / (alpha + sigma).
        between: f_0 and f_1, as `ends` gives them.
        steps: M, at least 2.
        each: called after every step, for a progress bar.
    """
    first, last = between
    noisy = steps if last == 0 else steps - 1
    place = 1 - torch.arange(steps, dtype=torch.float64) / noisy
    fractions = torch.cat([last + (first - last) * place**2, place.new_zeros(1)])
    y, states, slopes = start, [start], []
    slope = (y - denoise(y, at_fraction(fractions[0]))) / fractions[0]
    for high, low in pairwise(fractions):
        ahead = y + (low - high) * slope
        slopes.append(slope)
        if low > 0:
            after = (ahead - denoise(ahead, at_fraction(low))) / low
            y = y + (low - high) / 2 * (slope + after)
            slope = (y - denoise(y, at_fraction(low))) / low
        else:
            y = ahead
        states.append(y)
        each()
    return Path(fractions, torch.stack(states), torch.stack(slopes))
