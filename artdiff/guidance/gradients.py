r"""Several gradients into one: how much of each is taken, and how large the whole may be.

All rules work on each row of the batch by itself, on the lengths of the gradients and the cosines
between them (`geometry`), so that a rule is a table of shares: the combined gradient is
:math:`\sum_i c_i g_i`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from artdiff.guiders.rows import per_row

__all__ = ["QUANTILE", "ClampBy", "Combine", "clamped", "geometry", "rms", "shares"]

Combine = Literal["sum", "balanced", "projected", "priority"]
"""How gradients become one; see `shares`."""

ClampBy = Literal["rms", "dynamic"]
"""What the clamp looks at; see `clamped`."""

QUANTILE = 0.995
"""Of the dynamic clamp: what lies above this share of a row's magnitudes is cut."""


def geometry(gradients: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    r"""Measure n gradients, each (B, C, H, W): norms (B, n) and cosines (B, n, n), in float64.

    .. math:: \lVert g_i \rVert_2 \qquad \frac{g_i \cdot g_j}{\lVert g_i \rVert \lVert g_j \rVert}

    A gradient of zeros has the norm 0 and the cosine 0 with all.
    """
    flat = torch.stack([gradient.flatten(1) for gradient in gradients], 1).double()
    gram = flat @ flat.mT
    norms = gram.diagonal(dim1=1, dim2=2).clamp(min=0).sqrt()
    scale = torch.where(norms > 0, 1 / norms, 0.0)
    return norms, (gram * scale[:, :, None] * scale[:, None, :]).clamp(-1, 1)


def shares(norms: Tensor, cosines: Tensor, weights: Tensor, combine: Combine) -> Tensor:
    r"""Give c, (B, n) float64: the combined gradient of a row is :math:`\sum_i c_i g_i`.

    sum
        c = 1.
    balanced
        Every gradient gets the length N times its weight, where N keeps the sum of all lengths as
        it was: :math:`c_i = N |w_i| / \lVert g_i \rVert`,
        :math:`N = \sum_j \lVert g_j \rVert / \sum_j |w_j|`. Weights then are shares of the whole
        whatever the units of the losses; one term alone is as in sum.
    projected
        Each :math:`g_i` loses, in the order of the terms, what it has against every other
        :math:`g_j`: where :math:`g_i \cdot g_j < 0`, :math:`g_i \leftarrow g_i - \frac{g_i \cdot
        g_j}{\lVert g_j \rVert^2} g_j`. Yu et al., "Gradient Surgery for Multi-Task Learning"
        (PCGrad), arXiv 2001.06782, Algorithm 1, whose random order is a fixed one here.
    priority
        Earlier terms win: :math:`g_i` is projected on what is orthogonal to every earlier
        :math:`g_j` that it would work against, so that to first order no term makes the loss of
        an earlier one worse. The first is untouched.

    The result of sum and balanced does not depend on the order of the terms.

    Args:
        norms: of the gradients of the weighted losses, (B, n).
        cosines: between them, (B, n, n).
        weights: of the losses, (B, n); only balanced looks at them, and not at their signs.
        combine: which rule.

    Raises:
        ValueError: if the rule is unknown.
    """
    match combine:
        case "sum":
            return torch.ones_like(norms)
        case "balanced":
            size = weights.to(norms).abs() * (norms > 0)
            common = norms.sum(1, keepdim=True) / size.sum(1, keepdim=True)
            return torch.where(norms > 0, common * size / norms, 0.0)
        case "projected":
            turned = _projected(cosines)
        case "priority":
            turned = _prioritised(cosines)
        case _:
            known = ", ".join(get_args(Combine))
            raise ValueError(f"combine is one of {known}, not {combine!r}")
    lengths = (norms[:, None] * turned.mT).sum(2)
    return torch.where(norms > 0, lengths / norms, 0.0)


def _projected(cosines: Tensor) -> Tensor:
    """PCGrad on unit vectors u: rows of the result, (B, n, n), say what of each u is in u_i."""
    count = cosines.shape[1]
    units = torch.eye(count).to(cosines).expand_as(cosines)
    turned = []
    for i in range(count):
        row = units[:, i]
        for j in range(count):
            if j != i:
                against = (row * cosines[:, j]).sum(1, keepdim=True).clamp(max=0)
                row = row - against * units[:, j]
        turned.append(row)
    return torch.stack(turned, 1)


def _prioritised(cosines: Tensor) -> Tensor:
    """As `_projected`: u_i without the span of the earlier ones that it is against."""
    count = cosines.shape[1]
    units = torch.eye(count).to(cosines).expand_as(cosines)
    turned = [units[:, 0]]
    for i in range(1, count):
        row, against = units[:, i], torch.zeros_like(cosines[:, i], dtype=torch.bool)
        for _ in range(i):  # leaving one may bring u_i against another
            found = (row[:, None] @ cosines)[:, 0] < 0
            found[:, i:] = False
            against = against | found
            among = against[:, :, None] & against[:, None, :]
            inner = torch.where(among, cosines, units * ~against[:, :, None])
            aim = (cosines[:, :, i] * against)[..., None]
            part = torch.linalg.pinv(inner, rtol=1e-10, hermitian=True) @ aim
            row = units[:, i] - part[..., 0]
        turned.append(row)
    return torch.stack(turned, 1)


def clamped(gradient: Tensor, most: float, by: ClampBy = "rms") -> tuple[Tensor, Tensor]:
    r"""Bound each row of a gradient, (B, C, H, W).

    .. math::
        \text{rms:}\quad g \cdot \min\left(1, \frac{m}{\mathrm{rms}(g)}\right) \qquad
        \text{dynamic:}\quad \frac{m}{s}\,\mathrm{clip}(g, -s, s),\quad
            s = \max(m, q_{0.995}(|g|))

    rms: Disco Diffusion's ``clamp_grad`` with m its ``clamp_max``, for each picture by itself.
    dynamic: Saharia et al., "Photorealistic Text-to-Image Diffusion Models" (Imagen), arXiv
    2205.11487, Sec. 2.3, for a gradient instead of a picture: the few largest values are cut, then
    all are scaled so that the largest is m. It keeps one hot spot from stealing the whole length.

    Args:
        gradient: what to bound.
        most: m; 0 is off.
        by: which of the two.

    Returns:
        The bounded gradient, and the share of its length that was taken from each row: (B,) in
        [0, 1], float64.
    """
    before = rms(gradient)
    if most == 0:
        return gradient, torch.zeros_like(before)
    if by == "rms":
        scale = most / before.clamp(min=most)
        return gradient * per_row(scale, gradient, "scale"), 1 - scale
    sizes = gradient.flatten(1).abs()
    rank = max(1, round(QUANTILE * sizes.shape[1]))
    top = sizes.kthvalue(rank, dim=1).values.clamp(min=most)
    top = top.reshape(-1, *[1] * (gradient.ndim - 1))
    bounded = gradient.clamp(-top, top) * (most / top)
    left = torch.where(before > 0, rms(bounded) / before, 1.0)
    return bounded, 1 - left


def rms(rows: Tensor) -> Tensor:
    """The root mean square of each row of (B, ...): (B,) float64."""
    return rows.detach().flatten(1).double().square().mean(1).sqrt()
