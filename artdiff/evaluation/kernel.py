"""The kernel distance (KID): the squared maximum mean discrepancy of two sets of features."""

from __future__ import annotations

from torch import Tensor

__all__ = ["kernel_distance", "mmd_unbiased", "polynomial_kernel"]


def polynomial_kernel(a: Tensor, b: Tensor, degree: int = 3) -> Tensor:
    """k(x, y) = (x . y / D + 1) ^ degree of all pairs: (N, D), (M, D) -> (N, M), float64.

    Binkowski et al., "Demystifying MMD GANs", arXiv:1801.01401, section 4.
    """
    return (a.double() @ b.double().T / a.shape[1] + 1) ** degree


def mmd_unbiased(
    aa: Tensor,
    ab: Tensor,
    bb: Tensor,
    a_counts: Tensor | None = None,
    b_counts: Tensor | None = None,
) -> float:
    r"""The unbiased estimate of the squared discrepancy from kernel matrices.

    .. math:: \frac{\sum_{i \ne j} k(a_i, a_j)}{N (N - 1)}
        + \frac{\sum_{i \ne j} k(b_i, b_j)}{M (M - 1)} - \frac{2 \sum_{ij} k(a_i, b_j)}{N M}

    Gretton et al., "A Kernel Two-Sample Test", JMLR 13 (2012), equation 3. It may fall below 0.
    With counts, pairs weigh by the product of their rows' counts, and a row never pairs with a
    copy of itself: resampled sets do not look closer or farther than the sets they come from.

    :param aa: kernel of all pairs of a, (N, N); `ab` (N, M) and `bb` (M, M) alike.
    :param a_counts: how often each row counts, (N,); None: once each. `b_counts` alike, (M,).
    :raises ValueError: a set has fewer than 2 different rows.
    """
    wa = aa.new_ones(len(aa)) if a_counts is None else a_counts.to(aa)
    wb = bb.new_ones(len(bb)) if b_counts is None else b_counts.to(bb)
    cross = wa @ ab @ wb / (wa.sum() * wb.sum())
    return float(_pairs(aa, wa) + _pairs(bb, wb) - 2 * cross)


def _pairs(kernel: Tensor, counts: Tensor) -> Tensor:
    pairs = counts.sum().square() - counts.square().sum()
    if pairs <= 0:
        raise ValueError("pairs need at least 2 different rows")
    return (counts @ kernel @ counts - counts.square() @ kernel.diagonal()) / pairs


def kernel_distance(a: Tensor, b: Tensor, degree: int = 3) -> float:
    """The kernel distance of two sets of features, (N, D) and (M, D), over all their pairs.

    :raises ValueError: shapes do not fit, or a set has fewer than 2 rows.
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"features (N, D) and (M, D), not {tuple(a.shape)} and {tuple(b.shape)}")
    aa, bb = polynomial_kernel(a, a, degree), polynomial_kernel(b, b, degree)
    return mmd_unbiased(aa, polynomial_kernel(a, b, degree), bb)
