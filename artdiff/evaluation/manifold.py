"""How much of one set of features lies within another: precision, recall, density, coverage."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["density_coverage", "distances", "inside_balls", "precision_recall", "radii"]

_ROWS = 512


def distances(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distances of all pairs, (N, D), (M, D) -> (N, M), float64.

    Differences are squared one by one, so that equal rows are exactly 0 apart.
    """
    b = b.double()
    mode = "donot_use_mm_for_euclid_dist"
    parts = [torch.cdist(rows.double(), b, compute_mode=mode) for rows in a.split(_ROWS)]
    return torch.cat(parts)


def radii(rows: Tensor, k: int) -> Tensor:
    """The distance of each row (N, D) to its k-th nearest other row, (N,).

    :raises ValueError: there are not more than k rows.
    """
    if len(rows) <= k:
        raise ValueError(f"the {k}-nearest neighbour needs more than {k} rows, not {len(rows)}")
    return distances(rows, rows).kthvalue(k + 1, dim=1).values


def inside_balls(points: Tensor, centres: Tensor, k: int) -> Tensor:
    """Which points (N, D) lie in the balls of which centres (M, D): booleans (N, M).

    A ball reaches to the k-th nearest other centre, rim included.
    """
    return distances(points, centres) <= radii(centres, k)


def precision_recall(made: Tensor, real: Tensor, k: int = 3) -> tuple[float, float]:
    """Improved precision and recall, both in [0, 1].

    Precision is the share of made pictures that lie in a ball around some real one; recall the
    share of real ones that lie in a ball around some made one. Kynkäänniemi et al., "Improved
    Precision and Recall Metric", arXiv:1904.06991, equations 1 and 2; k = 3 as there.

    :param made: features (N, D). :param real: features (M, D).
    :raises ValueError: a set has not more than k rows.
    """
    precision = inside_balls(made, real, k).any(1).double().mean()
    recall = inside_balls(real, made, k).any(1).double().mean()
    return float(precision), float(recall)


def density_coverage(made: Tensor, real: Tensor, k: int = 5) -> tuple[float, float]:
    """Density, 0 or more with 1 for equal distributions, and coverage, in [0, 1].

    Density is how many real balls a made picture lies in, over k; coverage the share of real
    balls that hold any made picture. Both use balls of real pictures only, which outliers among
    the made ones cannot inflate. Naeem et al., "Reliable Fidelity and Diversity Metrics",
    arXiv:2002.09797, equations 3 and 4; k = 5 as there.

    :param made: features (N, D). :param real: features (M, D).
    :raises ValueError: there are not more than k real rows.
    """
    held = inside_balls(made, real, k)
    return float(held.sum(1).double().mean() / k), float(held.any(0).double().mean())
