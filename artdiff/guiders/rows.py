"""Arithmetic of batches whose rows never mix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, cat

from artdiff.denoise import Conditioning

__all__ = ["dot", "per_row", "plain", "rms", "stack", "std"]


def plain(tensor: Tensor) -> Tensor:
    """Copy a tensor made under inference mode, which autograd would refuse."""
    return tensor.clone() if tensor.is_inference() else tensor


def per_row(value: float | Tensor, like: Tensor, what: str) -> float | Tensor:
    """Shape a (B,) tensor to multiply `like`, (B, ...); pass a number on.

    Raises:
        ValueError: if it has other than B rows; the message says of what.
    """
    if not isinstance(value, Tensor) or value.ndim == 0:
        return value
    if value.shape != like.shape[:1]:
        raise ValueError(f"{what} of shape {tuple(value.shape)} for {len(like)} samples")
    return plain(value).to(like).reshape(-1, *[1] * (like.ndim - 1))


def stack(conditionings: Sequence[Conditioning]) -> Mapping[str, Tensor]:
    """Stack conditionings along the batch; a leading dimension of 1 serves all rows of the first.

    Raises:
        ValueError: if their keys differ.
    """
    first, *others = conditionings
    for other in others:
        if first.keys() != other.keys():
            raise ValueError(f"uncond has the keys {sorted(other)}, cond {sorted(first)}")
    return {
        key: cat([first[key], *(other[key].expand_as(first[key]) for other in others)])
        for key in first
    }


def dot(a: Tensor, b: Tensor) -> Tensor:
    """The inner product of each sample of two batches over its elements, (B, 1, 1, 1)."""
    return (a * b).sum(dim=tuple(range(1, a.ndim)), keepdim=True)


def rms(x: Tensor) -> Tensor:
    """The root mean square of each sample over its elements, (B, 1, 1, 1)."""
    return x.square().mean(dim=tuple(range(1, x.ndim)), keepdim=True).sqrt()


def std(x: Tensor) -> Tensor:
    """The standard deviation of each sample over its elements, (B, 1, 1, 1)."""
    return x.std(dim=tuple(range(1, x.ndim)), keepdim=True)
