"""Training losses of the autoencoder and of the denoiser."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def gradient_error(error: Tensor) -> Tensor:
    """Mean absolute difference of horizontal and vertical neighbours of `error` (B, C, H, W)."""
    across = (error[..., :, 1:] - error[..., :, :-1]).abs().mean()
    down = (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
    return across + down


def codec_loss(output: Tensor, images: Tensor) -> Tensor:
    """Error of a reconstruction; both (B, 3, H, W) in [-1, 1], H and W multiples of 4; scalar.

    L1 + 0.7 gradient + half-scale gradient + quarter-scale L1 + 0.5 mean square.
    """
    error = output - images
    half = F.avg_pool2d(error, 2)
    quarter = F.avg_pool2d(half, 2)
    return (
        error.abs().mean()
        + 0.7 * gradient_error(error)
        + gradient_error(half)
        + quarter.abs().mean()
        + 0.5 * error.square().mean()
    )


def psnr(output: Tensor, images: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of each picture, (B,); inputs (B, 3, H, W) in [-1, 1]."""
    error = (output.clamp(-1, 1) - images).square().mean(dim=(1, 2, 3)) / 4
    return -10 * torch.log10(error.clamp_min(1e-10))


def training_times(
    count: int, draws: torch.Generator, mean: float = 0.3, std: float = 1.0, uniform: float = 0.1
) -> Tensor:
    """Times t in (0, 1), (count,): logit-normal, stratified over the batch, some uniform.

    ``t = sigmoid(mean + std * Phi^-1(u))`` with one u in each of `count` equal strata (Esser et
    al., arXiv 2403.03206, eq. 19); a share `uniform` of them is ``t = u`` itself.
    """
    strata = torch.randperm(count, generator=draws)
    u = (strata + torch.rand(count, generator=draws)) / count
    u = u.clamp(1e-4, 1 - 1e-4)
    normal = torch.sigmoid(mean + std * torch.special.ndtri(u))
    return torch.where(torch.rand(count, generator=draws) < uniform, u, normal)


def add_noise(x0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
    """``x = (1 - t) x0 + t eps`` with x0 and eps (B, C, h, w) and t (B,) in [0, 1]."""
    at = t.view(-1, 1, 1, 1)
    return (1 - at) * x0 + at * eps


def flow_loss(
    velocity: Tensor, x0: Tensor, eps: Tensor, weights: Tensor | None = None
) -> Tensor:
    """Mean square of ``velocity - (eps - x0)`` for each sample, (B,); inputs (B, C, h, w).

    :param weights: what the error counts at every place, (B, 1, h, w) of mean 1 in a sample; None
        counts all alike.
    """
    error = (velocity - (eps - x0)).square()
    return (error if weights is None else error * weights).mean(dim=(1, 2, 3))
