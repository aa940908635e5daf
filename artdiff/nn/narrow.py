"""Layers whose products may be computed in a narrower type than what flows between them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Linear(nn.Linear):
    """A linear layer that takes any type and computes and answers in that of its weights."""

    def forward(self, input: Tensor) -> Tensor:
        """(..., in) -> (..., out), of the type of the weights."""
        return F.linear(input.to(self.weight.dtype), self.weight, self.bias)


class Conv2d(nn.Conv2d):
    """A convolution that takes any type and computes and answers in that of its weights."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W'), of the type of the weights."""
        return super().forward(input.to(self.weight.dtype))


def narrow(model: nn.Module, dtype: torch.dtype) -> None:
    """Let these layers of a model compute in a type, in place; the rest of it stays as it is."""
    for layer in model.modules():
        if isinstance(layer, Linear | Conv2d):
            layer.to(dtype)


def fast_dtype(device: torch.device) -> torch.dtype:
    """The type in which products are fastest on a device without harm: bfloat16 or float32.

    bfloat16 only on a processor that multiplies it natively, where it takes half the time.
    """
    can = _capabilities() if device.type == "cpu" else {}
    native = can.get("avx512_bf16") or can.get("amx_bf16")
    return torch.bfloat16 if native else torch.float32


def processor_has_bfloat16() -> bool | None:
    """Whether the processor multiplies bfloat16 natively; None where torch cannot tell.

    Others imitate it and take a hundred times as long as with float32.
    """
    can = _capabilities()
    if not can:
        return None
    return any(can.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16"))


def _capabilities() -> dict[str, bool]:
    """What the processor can do; empty with a torch that does not say it."""
    known = getattr(torch.cpu, "get_capabilities", None)
    return known() if known else {}
