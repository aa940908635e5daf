"""Exponential moving average of a model's weights and running statistics."""

# torch documents the foreach functions, but exports them under private names only.
# pyright: reportPrivateImportUsage=false

from __future__ import annotations

import copy

import torch
from torch import nn


def warm_decay(decay: float, step: int) -> float:
    """Decay at step `step` (from 0): ``min(decay, (1 + step) / (10 + step))``."""
    return min(decay, (1 + step) / (10 + step))


class Ema:
    """A copy of `model`, in evaluation mode, that follows it slowly.

    ``average <- decay_k * average + (1 - decay_k) * weight`` with `warm_decay` at step k.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.model = copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move the average towards `model` after training step `step` (from 0)."""
        weight = 1 - warm_decay(self.decay, step)
        mine, theirs = self.model.state_dict(), model.state_dict()
        floating = [name for name, value in mine.items() if value.is_floating_point()]
        torch._foreach_lerp_(
            [mine[name] for name in floating], [theirs[name] for name in floating], weight
        )
        for name in mine.keys() - set(floating):
            mine[name].copy_(theirs[name])
