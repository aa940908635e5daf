"""Shares of made and real pictures that lie among each other: precision, recall and their kin.

Their intervals resample the pictures that are asked, not those that the balls are made of:
a resample's copies of one picture would shrink the balls to nothing.
"""

from __future__ import annotations

from math import inf
from typing import ClassVar, Literal

from torch import Tensor

from artdiff import Estimate, Features, Need, inside_balls

ENOUGH = 1000


class _Share:
    need: ClassVar[Need] = "pooled"
    real: ClassVar[bool] = True
    better: ClassVar[Literal["lower", "higher"]] = "higher"
    k: ClassVar[int] = 3
    least: ClassVar[int] = 4
    recentre: ClassVar[bool] = False
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def doubt(self, made: Features, real: Features | None) -> str:
        a, b = _pair(made, real)
        rows = min(len(a), len(b))
        if rows >= ENOUGH:
            return ""
        return (
            f"n = {rows} is below {ENOUGH}: balls to the {self.k}-nearest neighbour are wide "
            "among few pictures, so shares depend on n; compare them only at equal n"
        )


class Precision(_Share):
    """Share of made pictures that look like real ones (arXiv:1904.06991, k = 3)."""

    def prepare(self, made: Features, real: Features | None) -> Estimate:
        a, b = _pair(made, real)
        held = inside_balls(a, b, self.k).any(1).double()
        return lambda counts_a, counts_b: _mean(held, counts_a)


class Recall(_Share):
    """Share of real pictures that the model can make (arXiv:1904.06991, k = 3)."""

    def prepare(self, made: Features, real: Features | None) -> Estimate:
        a, b = _pair(made, real)
        held = inside_balls(b, a, self.k).any(1).double()
        return lambda counts_a, counts_b: _mean(held, counts_b)


class Density(_Share):
    """In how many real balls a made picture lies, over k; 1 for equals (arXiv:2002.09797)."""

    k: ClassVar[int] = 5
    least: ClassVar[int] = 6
    bounds: ClassVar[tuple[float, float]] = (0.0, inf)

    def prepare(self, made: Features, real: Features | None) -> Estimate:
        a, b = _pair(made, real)
        held = inside_balls(a, b, self.k).sum(1).double() / self.k
        return lambda counts_a, counts_b: _mean(held, counts_a)


class Coverage(_Share):
    """Share of real balls that hold a made picture (arXiv:2002.09797, k = 5)."""

    k: ClassVar[int] = 5
    least: ClassVar[int] = 6

    def prepare(self, made: Features, real: Features | None) -> Estimate:
        a, b = _pair(made, real)
        held = inside_balls(a, b, self.k).any(0).double()
        return lambda counts_a, counts_b: _mean(held, counts_b)


def _mean(values: Tensor, counts: Tensor) -> float:
    return float(counts.to(values) @ values / counts.sum())


def _pair(made: Features, real: Features | None) -> tuple[Tensor, Tensor]:
    assert real is not None
    return made.need("pooled"), real.need("pooled")
