"""A sum over many parts whose gradient needs the memory of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

Judge = Callable[[Tensor, Any], Tensor]
"""(images (B, 3, H, W), part) -> (B,): rows apart."""


class _Summed(torch.autograd.Function):
    """The sum over parts; each is differentiated at once, and only its gradient is kept."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, judge: Judge, parts: Sequence[Any]) -> Tensor:
        total = torch.zeros_like(images[:, 0, 0, 0])
        if not ctx.needs_input_grad[0]:
            for part in parts:
                total = total + judge(images, part)
            return total
        gradient = torch.zeros_like(images)
        for part in parts:
            with torch.enable_grad():
                leaf = images.detach().requires_grad_()
                value = judge(leaf, part)
                gradient += torch.autograd.grad(value.sum(), leaf)[0]
            total = total + value.detach()
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, *above: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return above[0].view(-1, 1, 1, 1) * gradient, None, None


def summed(images: Tensor, judge: Judge, parts: Sequence[Any]) -> Tensor:
    """The sum of ``judge(images, part)`` over all parts, (B,).

    It has the gradient of the plain sum, once; what a part needs for its own gradient is freed
    before the next one begins, so that many parts need no more memory than one. Rows must be
    apart: what `judge` says of one may depend on no other.
    """
    result = _Summed.apply(images, judge, parts)
    assert isinstance(result, Tensor)
    return result
