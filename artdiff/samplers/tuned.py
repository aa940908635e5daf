"""Tuned steps: the solver that was found for a model and a number of steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from pydantic import BaseModel, Field, model_validator
from torch import Tensor

from artdiff.denoise import Denoise
from artdiff.noise import Level, Schedule, time_of
from artdiff.random import Noise
from artdiff.sample import transfer
from artdiff.tune.solver import Solver

__all__ = ["Tuned"]

Past = tuple[Tensor, ...]


@dataclass(frozen=True)
class Tuned:
    r"""The multistep solver of `Solver`, written for any alpha and sigma, on a grid of its own.

    .. math::
        x_b = n_b \left(\frac{f_b}{f_a} \frac{x}{n_a} + \sum_{j \le i} w_{ij} D_j\right),
        \qquad n = \alpha + \sigma, \quad f = \sigma / n

    with :math:`D_j` the x0 of step j and i the number of this step. Deterministic. Its order is
    that of DDIM: the weights were fitted at a few steps and promise nothing beyond them. Without
    any numbers it is DDIM on whatever grid.

    Args:
        fractions: as in `Solver`.
        weights: as in `Solver`.

    Raises:
        ValueError: if the numbers are no solver; when called, if it is asked for more steps than
            it has.
    """

    class Options(BaseModel, extra="forbid"):
        """Options of tuned; left out, they are those that the model's tuned steps say."""

        fractions: tuple[float, ...] = Field((), description="Noise fractions of the levels.")
        weights: tuple[tuple[float, ...], ...] = Field(
            (), description="For each step, how much each answer so far counts."
        )

        @model_validator(mode="after")
        def _is_a_solver(self) -> Tuned.Options:
            if self.fractions or self.weights:
                Solver(fractions=self.fractions, weights=self.weights)
            return self

    fractions: tuple[float, ...] = ()
    weights: tuple[tuple[float, ...], ...] = ()
    name: ClassVar[str] = "tuned"
    order: ClassVar[int] = 1
    nfe: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.fractions or self.weights:
            Solver(fractions=self.fractions, weights=self.weights)

    @classmethod
    def solved_by(cls, options: Options, solver: Solver) -> Options:
        """Fill in a model's solver, unless the options say one themselves."""
        if options.fractions:
            return options
        return cls.Options(fractions=solver.fractions, weights=solver.weights)

    def levels(self, schedule: Schedule) -> list[Level]:
        """Give the solver's own steps + 1 levels on a schedule, the last clean, (1, 0).

        Levels of 0-dim float64 CPU tensors. Fractions that the schedule does not reach are cut
        to its ends, as `time_of` does.
        """
        fractions = torch.tensor(self.fractions, dtype=torch.float64)
        alpha, sigma = schedule(time_of(schedule, fractions))
        one = torch.ones((), dtype=torch.float64)
        pairs = zip(alpha.unbind(), sigma.unbind(), strict=True)
        return [*(Level(a, s) for a, s in pairs), Level(one, one * 0)]

    def init(self, steps: int) -> Past:
        return ()

    def step(
        self, denoise: Denoise, x: Tensor, a: Level, b: Level, state: Past, noise: Noise
    ) -> tuple[Tensor, Tensor, Past]:
        x0 = denoise(x, a)
        if not self.weights:
            return transfer(x, x0, a, b), x0, ()
        if len(state) >= len(self.weights):
            raise ValueError(f"these are {len(self.weights)} tuned steps, and all are done")
        seen = (*state, x0)
        scale = b.alpha + b.sigma
        ahead = b.sigma / a.sigma * x
        for weight, value in zip(self.weights[len(state)], seen, strict=True):
            ahead = ahead + scale * weight * value
        return ahead, x0, seen
