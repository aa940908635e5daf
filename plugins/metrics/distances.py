"""Distances between the features of made and of real pictures: FID, sFID, KID."""

from __future__ import annotations

from math import inf
from typing import ClassVar, Literal

from torch import Tensor

from artdiff import (
    Estimate,
    Features,
    Need,
    frechet_distance,
    mmd_unbiased,
    polynomial_kernel,
)

ENOUGH_PER_FEATURE = 10
ENOUGH_PAIRED = 50


class Frechet:
    """Frechet distance of pooled features; with Inception's it is the FID of arXiv:1706.08500."""

    need: ClassVar[Need] = "pooled"
    real: ClassVar[bool] = True
    better: ClassVar[Literal["lower", "higher"]] = "lower"
    least: ClassVar[int] = 2
    recentre: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float]] = (0.0, inf)

    def prepare(self, made: Features, real: Features | None) -> Estimate:
        a, b = _pair(made, real, self.need)
        return lambda counts_a, counts_b: frechet_distance(a, b, counts_a, counts_b)

    def doubt(self, made: Features, real: Features | None) -> str:
        a, b = _pair(made, real, self.need)
        rows, size = min(len(a), len(b)), a.shape[1]
        if rows > ENOUGH_PER_FEATURE * size:
            return ""
        rank = f"its covariance has rank {rows - 1} at most, and " if rows <= size else ""
        return (
            f"n = {rows} is below {ENOUGH_PER_FEATURE} times its {size} features: {rank}the "
            "distance is too large by about (features / n); compare it only at equal n, or use kid"
        )


class SpatialFrechet(Frechet):
    """Frechet distance of spatial features, which also sees where things are: the sFID of
    Nash et al., arXiv:2103.03841.
    """

    need: ClassVar[Need] = "spatial"


class Kernel:
    """Kernel distance (KID, arXiv:1801.01401): unbiased at every n, and so below 0 at times."""

    need: ClassVar[Need] = "pooled"
    real: ClassVar[bool] = True
    better: ClassVar[Literal["lower", "higher"]] = "lower"
    least: ClassVar[int] = 2
    recentre: ClassVar[bool] = False
    bounds: ClassVar[tuple[float, float]] = (-inf, inf)

    def prepare(self, made: Features, real: Features | None) -> Estimate:
        a, b = _pair(made, real, self.need)
        aa, ab, bb = polynomial_kernel(a, a), polynomial_kernel(a, b), polynomial_kernel(b, b)
        return lambda counts_a, counts_b: mmd_unbiased(aa, ab, bb, counts_a, counts_b)

    def doubt(self, made: Features, real: Features | None) -> str:
        rows = min(map(len, _pair(made, real, self.need)))
        if rows >= ENOUGH_PAIRED:
            return ""
        return f"n = {rows} is below {ENOUGH_PAIRED}: unbiased, but its interval is wide"


def _pair(made: Features, real: Features | None, need: Need) -> tuple[Tensor, Tensor]:
    assert real is not None
    return made.need(need), real.need(need)
