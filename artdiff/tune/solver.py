"""A solver as plain data: the grid and the weights of tuned steps. No torch."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["Data", "Solver"]

Fraction = Annotated[float, Field(gt=0, le=1)]


class Data(BaseModel):
    """Plain data of the file: unknown keys are errors, nothing changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Solver(Data):
    r"""A linear multistep solver whose every step has weights of its own.

    With :math:`y = x / (\alpha + \sigma)` and the noise fractions :math:`f_i = \sigma / (\alpha +
    \sigma)` of the levels, :math:`f_n = 0`:

    .. math::
        y_{i+1} = \frac{f_{i+1}}{f_i} y_i + \sum_{j \le i} w_{ij} D_j, \qquad
        \sum_{j \le i} w_{ij} = 1 - \frac{f_{i+1}}{f_i}

    where :math:`D_j` is what the denoiser said at level j. The sum makes a solver exact wherever
    the denoiser does not change; :math:`w_{ij} = 0` for j < i is DDIM. Fractions mean the same on
    every schedule, so the numbers do too. The idea: Shaul et al., "Bespoke Non-Stationary
    Solvers", arXiv 2403.01329; Frankel et al., "S4S", arXiv 2502.17423.

    Attributes:
        fractions: f_0 to f_{n-1}, strictly falling, in (0, 1].
        weights: n rows; row i has the i + 1 numbers w_i0 to w_ii.
    """

    fractions: tuple[Fraction, ...] = Field(min_length=1)
    weights: tuple[tuple[float, ...], ...]

    @model_validator(mode="after")
    def _fits(self) -> Solver:
        if not all(a > b for a, b in pairwise(self.fractions)):
            raise ValueError("fractions must fall")
        if [len(row) for row in self.weights] != list(range(1, self.steps + 1)):
            raise ValueError(f"weights must be {self.steps} rows of 1, 2, ... numbers")
        for index, (row, keep) in enumerate(zip(self.weights, self.keeps, strict=True)):
            if abs(sum(row) + keep - 1) > 1e-4:
                raise ValueError(f"row {index} of weights must sum to {1 - keep:.6f}")
        return self

    @property
    def steps(self) -> int:
        """The number of transitions, and of model calls."""
        return len(self.fractions)

    @property
    def keeps(self) -> tuple[float, ...]:
        """The factors of x, f_{i+1} / f_i; the last is 0."""
        return (*(b / a for a, b in pairwise(self.fractions)), 0.0)
