"""Sampling with consistency models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import BaseModel
from torch import Tensor

from artdiff.denoise import Denoise
from artdiff.noise import Level
from artdiff.options import NoOptions
from artdiff.random import Noise
from artdiff.sample import STREAM

__all__ = ["LCM"]


@dataclass(frozen=True)
class LCM:
    r"""Multistep consistency sampling: jump to x0, noise it anew, and jump again.

    .. math:: x_b = \alpha_b x_0 + \sigma_b z

    Song et al., "Consistency Models", arXiv 2303.01469, Algorithm 1; Luo et al., "Latent
    Consistency Models", arXiv 2310.04378, Algorithm 3. It is for models that were distilled to
    give the end of the path for x0, not its expectation: with those every number of steps draws
    from the data; with a plain denoiser the samples are too much alike.
    """

    name: ClassVar[str] = "lcm"
    order: ClassVar[int] = 1
    nfe: ClassVar[int] = 1
    Options: ClassVar[type[BaseModel]] = NoOptions

    def init(self, steps: int) -> None:
        return None

    def step(
        self, denoise: Denoise, x: Tensor, a: Level, b: Level, state: None, noise: Noise
    ) -> tuple[Tensor, Tensor, None]:
        x0 = denoise(x, a)
        there = b.alpha * x0
        return there if b.sigma == 0 else there + b.sigma * noise.normal(x, STREAM), x0, None
