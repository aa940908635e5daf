"""Steps that divide themselves until the error is small enough."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from pydantic import BaseModel, Field
from torch import Tensor

from artdiff.denoise import Denoise
from artdiff.noise import Level
from artdiff.random import Noise
from artdiff.sample import transfer
from artdiff.samplers.weights import between

__all__ = ["Adaptive"]


@dataclass(frozen=True)
class Adaptive:
    r"""DPM-Solver++(2S) with an error estimate; a step is halved until its estimate is small.

    A part of a step gives two answers, of first and of second order, from the same two model
    calls. With d their difference, the error of a row is the root mean square over (C, H, W) of

    .. math:: \frac{d}{\mathrm{atol} + \mathrm{rtol} \max(|x|, |x'|)}

    in the coordinates where :math:`\alpha^2 + \sigma^2 = 1`, and the largest among the parts
    counts. A row keeps the first answer whose error is at most 1; the batch goes on, with 2, 4 and
    more parts, equal in :math:`\lambda`, until every row has one or `halvings` is reached. So a
    row never depends on its company. A step makes 2 calls, 5, 12 or, at most, 27 (halvings = 3).

    The pair and its tolerances: Jolicoeur-Martineau et al., "Gotta Go Fast When Generating Data
    with Score-Based Models", arXiv 2105.14080, Section 3.1; Lu et al., arXiv 2206.00927, Appendix
    C. Steps from alpha = 0 and to sigma = 0 are Euler's. It waits for the device once per attempt.
    """

    class Options(BaseModel, extra="forbid"):
        """Options of adaptive."""

        rtol: float = Field(0.05, ge=1e-6, le=1, description="Error allowed, relative to x.")
        atol: float = Field(0.01, ge=1e-6, le=1, description="Error allowed, in units of x.")
        halvings: int = Field(3, ge=0, le=6, description="How often a step may be halved.")

    rtol: float = 0.05
    atol: float = 0.01
    halvings: int = 3
    name: ClassVar[str] = "adaptive"
    order: ClassVar[int] = 2
    nfe: ClassVar[int] = 27

    def init(self, steps: int) -> None:
        return None

    def step(
        self, denoise: Denoise, x: Tensor, a: Level, b: Level, state: None, noise: Noise
    ) -> tuple[Tensor, Tensor, None]:
        x0 = denoise(x, a)
        if a.alpha == 0 or b.sigma == 0:
            return transfer(x, x0, a, b), x0, None
        best, done = self._walk(denoise, x, x0, a, b, 1)
        for halving in range(1, self.halvings + 1):
            if bool(done.all()):
                break
            finer, fine = self._walk(denoise, x, x0, a, b, 2**halving)
            rows = done.reshape(-1, *[1] * (x.ndim - 1))
            best, done = torch.where(rows, best, finer), done | fine
        return best, x0, None

    def _walk(
        self, denoise: Denoise, x: Tensor, x0: Tensor, a: Level, b: Level, parts: int
    ) -> tuple[Tensor, Tensor]:
        """Go from a to b in equal parts; the sample at b, and which rows are good, (B,)."""
        good = torch.ones(len(x), dtype=torch.bool, device=x.device)
        stops = [a, *(between(a, b, part / parts) for part in range(1, parts)), b]
        for place, (start, stop) in enumerate(pairwise(stops)):
            seen = x0 if place == 0 else denoise(x, start)
            middle = between(start, stop)
            better = denoise(transfer(x, seen, start, middle), middle)
            rough, x = transfer(x, seen, start, stop), transfer(x, better, start, stop)
            good = good & (self._error(rough, x, stop) <= 1)
        return x, good

    def _error(self, rough: Tensor, x: Tensor, at: Level) -> Tensor:
        """The scaled error of each row, (B,)."""
        size = torch.hypot(at.alpha, at.sigma)
        allowed = self.atol * size + self.rtol * torch.maximum(rough.abs(), x.abs())
        return ((x - rough) / allowed).flatten(1).square().mean(1).sqrt()
