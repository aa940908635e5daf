"""Weights as their files hold them: in 16 bits, or large ones in 8 with a scale for each row."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

SCALE = "/scale"
"""What follows the name of a weight in 8 bits in the name of its scales."""

SMALLEST = 4096
"""Weights of fewer numbers, and vectors, stay in 16 bits: they cost nothing."""


def halved(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors in 16 bits, but those of integers and those with numbers too large for them."""
    return {name: _halved(tensor) for name, tensor in tensors.items()}


def quartered(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    r"""Large weights as int8 (r, ...) with scales float32 (r,), the others in 16 bits.

    .. math:: q = \mathrm{round}(w / s), \qquad s = \max |w| / 127

    over each row, the first dimension: an error of at most s / 2. `whole` undoes it.
    """
    done: dict[str, Tensor] = {}
    for name, tensor in halved(tensors).items():
        if tensor.dtype is not torch.float16 or tensor.ndim < 2 or tensor.numel() < SMALLEST:
            done[name] = tensor
            continue
        rows = tensors[name].detach().float().flatten(1)
        scale = rows.abs().amax(1) / 127
        steps = rows / scale.clamp(min=1e-30)[:, None]
        done[name] = steps.round().to(torch.int8).view(tensor.shape)
        done[name + SCALE] = scale
    return done


def whole(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What `quartered` made, as float32 where it was in 8 bits; other tensors as they are."""
    done: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        scale = tensors.get(name + SCALE)
        if name.endswith(SCALE) and name.removesuffix(SCALE) in tensors:
            continue
        if scale is not None:
            tensor = tensor.float() * scale.reshape(-1, *[1] * (tensor.ndim - 1))
        done[name] = tensor
    return done


def _halved(tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    half = tensor.half()
    return half if half.isfinite().all() or not tensor.isfinite().all() else tensor
