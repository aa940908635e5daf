"""Guidance terms: what a loss and a projection are, and a loss in use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from pydantic import BaseModel
from torch import Tensor

from artdiff.noise import Level
from artdiff.random import Noise

__all__ = [
    "Course", "Guidance", "Look", "Loss", "Projection", "Sees", "Term", "Through", "Watch",
    "noise_at",
]  # fmt: skip

Loss = Callable[[Tensor, Level, Noise], Tensor]
"""(x0, at, noise) -> (B,): x0 is (B, C, H, W), smaller is better, rows never mixed."""

Sees = Literal["x0", "x"]
"""What a loss is called with: the expected clean sample, or the noisy one."""

Through = Literal["denoiser", "x0"]
"""Where gradients flow: to x through the denoiser, or to x0 only."""

Course = Callable[[float], float]
"""(progress) -> factor of a weight: 0 is pure noise, 1 the finished picture."""


class Guidance(Protocol):
    """A gradient term, such as CLIP guidance: what a plugin writes.

    Its options are a nested class, ``class Options(BaseModel, extra="forbid")``. A class that
    judges the noisy sample, such as a classifier of noisy pictures, says
    ``sees: ClassVar[Literal["x0", "x"]] = "x"``; its `loss` is then called with x for x0.
    """

    @property
    def Options(self) -> type[BaseModel]: ...

    def loss(self, x0: Tensor, at: Level, noise: Noise) -> Tensor:
        """Judge x0, (B, C, H, W), at a level: (B,), finite, smaller is better, rows never mixed.

        Random crops and the like are drawn from ``noise.normal(..., stream)`` or ``uniform``
        under a stream name of the plugin's own.
        """
        ...


class Projection(Protocol):
    """A change of x0 without a gradient: an inpainting mask, thresholding, symmetry, tiling."""

    def __call__(self, x0: Tensor, x: Tensor, at: Level, noise: Noise) -> Tensor:
        """Give the new x0, (B, C, H, W), of the sample x at a level; rows never mixed."""
        ...


@dataclass(frozen=True, eq=False)
class Term:
    """A loss in use.

    Args:
        loss: what judges.
        weight: one number or (B,), one for each row; where it is 0 for all rows, the loss is not
            called.
        name: what errors call it.
        sees: what the loss is called with. The gradient of one that sees x is taken with respect
            to x itself, without differentiating the denoiser.
        course: multiplies the weight; None is 1 throughout.
        label: what a `Look` calls it; the name if empty.

    Raises:
        ValueError: if `sees` is unknown.
    """

    loss: Loss
    weight: float | Tensor = 1.0
    name: str = "loss"
    sees: Sees = "x0"
    course: Course | None = None
    label: str = ""

    def __post_init__(self) -> None:
        if self.sees not in get_args(Sees):
            raise ValueError(f"a loss sees 'x0' or 'x', not {self.sees!r}")


@dataclass(frozen=True, eq=False)
class Look:
    """What the losses did at one call of a guided denoiser: n terms, B rows, on the CPU.

    Of a term that was not called (its weight was 0) the loss is NaN, the rest 0. A term that sees
    x is measured as `guide` compares it with the others.

    Attributes:
        fraction: `Level.fraction` of the call.
        names: of the terms, n.
        losses: their values, without weights, (B, n).
        norms: RMS over the elements of the gradient of each weighted loss to x0, (B, n).
        cosines: between those gradients, (B, n, n).
        shares: what each gradient was multiplied by, (B, n), see
            `artdiff.guidance.gradients.shares`; above 1 where it makes up for what another has
            against it.
        rms: of the whole gradient, before the clamp, in the space of the clamp, (B,).
        clamped: the share of its length that the clamp took, (B,) in [0, 1].
        moved: RMS of what was added to x0, (B,).
    """

    fraction: float
    names: tuple[str, ...]
    losses: Tensor
    norms: Tensor
    cosines: Tensor
    shares: Tensor
    rms: Tensor
    clamped: Tensor
    moved: Tensor


Watch = Callable[[Look], None]


def noise_at(noise: Noise, at: Level) -> Noise:
    """Give the noise of losses and projections at a level.

    A denoiser sees levels, not step numbers: the step is the noise fraction times 2**20, rounded.
    Two calls at one level see the same noise, whatever the sampler and its number of steps.
    """
    return noise.at(round(float(at.fraction) * 2**20))
