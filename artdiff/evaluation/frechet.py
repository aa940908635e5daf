"""The Frechet distance between two sets of features, or between their means and covariances."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["frechet_distance", "frechet_from_moments"]


def frechet_distance(
    a: Tensor, b: Tensor, a_counts: Tensor | None = None, b_counts: Tensor | None = None
) -> float:
    r"""The squared Frechet distance between Gaussians fitted to two sets of features.

    .. math:: d^2 = |\mu_a - \mu_b|^2 + \operatorname{tr} \Sigma_a + \operatorname{tr} \Sigma_b
        - 2 \operatorname{tr} (\Sigma_a \Sigma_b)^{1/2}

    Heusel et al., "GANs Trained by a Two Time-Scale Update Rule", arXiv:1706.08500, section 3;
    the closed form is that of Dowson and Landau (1982). Covariances are the unbiased ones.

    No matrix square root is taken. With :math:`\Sigma = F^T F`, where F is the centred features
    over :math:`\sqrt{n - 1}` (or the R of its QR decomposition, where n > D), the last trace is
    the sum of the singular values of :math:`F_a F_b^T`: exact for covariances of any rank, never
    complex, and of size min(n, D).

    :param a: features (N, D), any real dtype; computed in float64.
    :param b: features (M, D).
    :param a_counts: how often each row counts, (N,), 0 or more; None: once each.
    :param b_counts: the same of b, (M,).
    :raises ValueError: shapes do not fit, or a set has fewer than 2 rows.
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"features (N, D) and (M, D), not {tuple(a.shape)} and {tuple(b.shape)}")
    mean_a, factor_a = _moments(a, a_counts)
    mean_b, factor_b = _moments(b, b_counts)
    return _distance(mean_a - mean_b, factor_a, factor_b)


def frechet_from_moments(mean_a: Tensor, cov_a: Tensor, mean_b: Tensor, cov_b: Tensor) -> float:
    """The same distance from means (D,) and covariances (D, D), symmetric, of any rank.

    Covariances are factored by their eigenvectors; eigenvalues below 0 count as 0.

    :raises ValueError: shapes do not fit.
    """
    size = mean_a.shape[0] if mean_a.ndim == 1 else -1
    if mean_b.shape != (size,) or cov_a.shape != (size, size) or cov_b.shape != (size, size):
        raise ValueError("means (D,) and covariances (D, D) of one D")
    return _distance((mean_a - mean_b).double(), _root(cov_a), _root(cov_b))


def _moments(rows: Tensor, counts: Tensor | None) -> tuple[Tensor, Tensor]:
    """The mean (D,) and a factor F (k, D) of the covariance, F^T F."""
    rows = rows.double()
    counts = rows.new_ones(len(rows)) if counts is None else counts.to(rows)
    rows, counts = rows[counts > 0], counts[counts > 0]
    total = float(counts.sum())
    if total < 2:
        raise ValueError(f"a covariance needs at least 2 rows, not {total:g}")
    mean = (counts @ rows) / total
    factor = (rows - mean) * (counts / (total - 1)).sqrt().unsqueeze(1)
    if len(factor) > factor.shape[1]:
        factor = torch.linalg.qr(factor, mode="r").R
    return mean, factor


def _root(cov: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(cov.double())
    return values.clamp(min=0).sqrt().unsqueeze(1) * vectors.T


def _distance(shift: Tensor, factor_a: Tensor, factor_b: Tensor) -> float:
    cross = torch.linalg.svdvals(factor_a @ factor_b.T).sum()
    spread = factor_a.square().sum() + factor_b.square().sum()
    return max(0.0, float(shift.square().sum() + spread - 2 * cross))
