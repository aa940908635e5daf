"""Every random draw of a training run, named by (seed, stream, step): no state to save."""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np
import torch

from artdiff.random import Noise


def draw_seed(seed: int, stream: str, step: int) -> int:
    """Hash (seed, stream, step) to an integer in [0, 2**63)."""
    digest = hashlib.sha256(f"{seed}/{stream}/{step}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def torch_draws(seed: int, stream: str, step: int) -> torch.Generator:
    """A fresh CPU generator for the draws named (seed, stream, step)."""
    return torch.Generator().manual_seed(draw_seed(seed, stream, step))


def numpy_draws(seed: int, stream: str, step: int) -> np.random.Generator:
    """A fresh numpy generator for the draws named (seed, stream, step)."""
    return np.random.default_rng(draw_seed(seed, stream, step))


@lru_cache(maxsize=4)
def _epoch(seed: int, epoch: int, count: int) -> np.ndarray:
    return numpy_draws(seed, "epoch", epoch).permutation(count)


def batch_indices(seed: int, step: int, batch: int, count: int) -> np.ndarray:
    """The `batch` picture indices (batch,) of training step `step`: each once per epoch."""
    places = np.arange(step * batch, (step + 1) * batch)
    return np.array([_epoch(seed, int(p) // count, count)[int(p) % count] for p in places])


def weighted_indices(seed: int, step: int, batch: int, weights: np.ndarray) -> np.ndarray:
    """The `batch` picture indices (batch,) of step `step`: i has the share weights[i] of all."""
    places = np.arange(batch) + numpy_draws(seed, "weighted", step).random(batch)
    sums = np.cumsum(weights, dtype=np.float64)
    return np.searchsorted(sums[:-1], places / batch * sums[-1], side="right")


def row_noise(seed: int, stream: str, step: int, rows: range) -> Noise:
    """The noise of some rows of the batch of a step: a row keeps it however a batch is cut."""
    return Noise(tuple(draw_seed(seed, stream, row) for row in rows), step)
