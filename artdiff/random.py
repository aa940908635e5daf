"""Noise that is named, not drawn: row i is a function of (seeds[i], stream, step) and no more.

There is no state to save or to share. A sample keeps its noise whatever batch, process or machine
it lands in, and a plugin that draws from its own stream never shifts the noise of another.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import torch
from torch import Tensor

__all__ = ["Noise"]


@dataclass(frozen=True)
class Noise:
    """The noise of a batch of B samples, one seed each, at one step.

    Each row has a Philox generator of its own (Salmon et al., "Parallel Random Numbers: As Easy
    as 1, 2, 3", SC 2011), keyed by the 128-bit BLAKE2b hash of ``seed|stream|step``. Rows are
    drawn in float32 on the CPU, then moved: the device does not change the values. NumPy's Philox
    is used because torch's CPU generator reads 32 bits of its seed only.

    Args:
        seeds: B integers, each in [-2**63, 2**64); negative ones are seeds like any other.
        step: any integer; change it with `at`.

    Raises:
        ValueError: if a seed or the step is not an integer, or a seed exceeds 64 bits.
    """

    seeds: tuple[int, ...]
    step: int = 0

    def __init__(self, seeds: Sequence[int], step: int = 0) -> None:
        object.__setattr__(self, "seeds", tuple(_integer(seed, "a seed") for seed in seeds))
        object.__setattr__(self, "step", _integer(step, "a step"))

    def at(self, step: int) -> Noise:
        """Give the noise of the same samples at another step."""
        return Noise(self.seeds, step)

    def normal(self, like: Tensor, stream: str) -> Tensor:
        """Give standard normal noise of the shape, dtype and device of `like`, (B, ...).

        The same stream and step give the same values, however often they are asked for: a caller
        that needs two independent draws names two streams.

        Raises:
            ValueError: if `like` has other than B rows.
        """
        return self._draw(like, stream, "normal", lambda g, n: g.standard_normal(n, np.float32))

    def uniform(self, like: Tensor, stream: str) -> Tensor:
        """Give uniform noise in [0, 1) of the shape, dtype and device of `like`, (B, ...).

        Independent of `normal` on the same stream. A half-precision `like` may round up to 1.

        Raises:
            ValueError: if `like` has other than B rows.
        """
        return self._draw(like, stream, "uniform", lambda g, n: g.random(n, np.float32))

    def _draw(
        self,
        like: Tensor,
        stream: str,
        kind: str,
        draw: Callable[[np.random.Generator, tuple[int, ...]], np.ndarray],
    ) -> Tensor:
        if like.shape[:1] != (len(self.seeds),):
            raise ValueError(f"noise of {len(self.seeds)} seeds for a tensor {tuple(like.shape)}")
        rows = np.empty(tuple(like.shape), np.float32)
        for row, seed in enumerate(self.seeds):
            text = f"{seed}|{stream}|{self.step}".encode()
            key = blake2b(text, digest_size=16, person=kind.encode()).digest()
            philox = np.random.Philox(key=int.from_bytes(key, "little"))
            rows[row] = draw(np.random.Generator(philox), rows.shape[1:])
        return torch.from_numpy(rows).to(like.device, like.dtype, non_blocking=like.is_cuda)


def _integer(value: int, what: str) -> int:
    """Check an integer of 64 bits, signed or unsigned."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise ValueError(f"{what} is an integer, not {value!r}")
    if not -(2**63) <= number < 2**64:
        raise ValueError(f"{what} has 64 bits at most, not {number}")
    return number
