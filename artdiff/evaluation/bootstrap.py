"""Bootstrap intervals, with resamples that have names instead of a random state."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from artdiff.random import Noise

__all__ = ["counts", "interval"]


def counts(seed: int, stream: str, step: int, rows: int) -> Tensor:
    """How often each of `rows` rows is drawn in `rows` draws with replacement: (rows,), float64.

    A function of (seed, stream, step) and the number of rows, through `Noise`.
    """
    draws = Noise([seed], step).uniform(torch.empty(1, rows, dtype=torch.float64), stream)[0]
    places = (draws * rows).long().clamp(max=rows - 1)
    return torch.bincount(places, minlength=rows).double()


def interval(
    value: float,
    resampled: Callable[[int], float],
    rounds: int,
    *,
    share: float = 0.95,
    recentre: bool = False,
    bounds: tuple[float, float] = (-float("inf"), float("inf")),
) -> tuple[float, float]:
    """The percentile interval of a number under resampling of the sets that it was measured on.

    Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.

    :param value: the number itself.
    :param resampled: the number of resample 0, 1, ..., `rounds` - 1.
    :param share: how much of the resamples the interval holds.
    :param recentre: move the interval by the bias that resampling adds, mean - value (chapter
        10). For numbers that grow as sets shrink, such as the Frechet distance: a resample has
        fewer different rows than its set. The interval then speaks of the expectation of this
        number at this n, not of its limit.
    :param bounds: the smallest and the largest value that the number can have.
    """
    values = torch.tensor([resampled(step) for step in range(rounds)], dtype=torch.float64)
    ends = values.quantile(torch.tensor([(1 - share) / 2, (1 + share) / 2], dtype=torch.float64))
    if recentre:
        ends = ends - (values.mean() - value)
    low, high = ends.clamp(*bounds).tolist()
    return low, high
