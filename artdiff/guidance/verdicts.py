"""Errors that name who failed and where, and checks of what plugins and models return."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from artdiff.errors import ArtdiffError, ModelError, PluginError
from artdiff.noise import Level
from artdiff.plan import Chosen
from artdiff.random import Noise
from artdiff.timeline import FrameJob


@dataclass
class Walk:
    """How far a batch has come: the step that it is at, from 1, of all; 0 before the first."""

    step: int = 0
    steps: int = 0


@contextmanager
def at_frames(jobs: Sequence[FrameJob]) -> Iterator[Walk]:
    """Let an error say at which frames it happened, and at which step if that is kept up."""
    walk = Walk()
    try:
        yield walk
    except ArtdiffError as error:
        first, last = jobs[0].index, jobs[-1].index
        where = f"frame {first}" if first == last else f"frames {first} to {last}"
        step = f", step {walk.step} of {walk.steps}" if walk.step else ""
        raise type(error)(f"{where}{step}: {error}") from error


@contextmanager
def accusing(what: str, chosen: Chosen) -> Iterator[None]:
    """Let an error of a plugin's class name the class and the plugin."""
    try:
        yield
    except ArtdiffError:
        raise
    except Exception as error:
        raise PluginError(
            f"{_named(what, chosen)} failed: {type(error).__name__}: {error}"
        ) from error


def judge(chosen: Chosen, term: Any, x0: Tensor, at: Level, noise: Noise) -> Tensor:
    """The loss of a term, (B,).

    :raises PluginError: it failed, or returned what is no loss of x0.
    """
    with accusing("guidance", chosen):
        values = term.loss(x0, at, noise)
    expect_finite(chosen, values, "a loss", x0.shape[:1])
    if not values.requires_grad:
        seen = getattr(chosen.kind, "sees", "x0")
        raise PluginError(
            f"{_named('guidance', chosen)} returned a loss that does not "
            f"depend on {seen}; compute it in torch, from {seen} itself"
        )
    return values


def expect_finite(chosen: Chosen, found: Any, what: str, shape: torch.Size) -> None:
    """Refuse what a term returned, unless it is a finite tensor of a shape.

    :raises PluginError: it is not.
    """
    named = _named("guidance", chosen)
    if not isinstance(found, Tensor) or found.shape != shape:
        raise PluginError(f"{named} returned {_shape(found)} as {what}, not {tuple(shape)}")
    if not bool(found.isfinite().all()):
        raise PluginError(f"{named} returned {what} that is not finite (NaN or infinite)")


def expect_picture(what: str, chosen: Chosen, picture: Any) -> None:
    """Refuse what a plugin returned, unless it is a picture, uint8 (H, W, 3).

    :raises PluginError: it is not.
    """
    fits = isinstance(picture, np.ndarray) and picture.dtype == np.uint8
    if not fits or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise PluginError(
            f"{_named(what, chosen)} returned {_shape(picture)}, not a uint8 picture (H, W, 3)"
        )


@dataclass(frozen=True)
class JudgedSampler:
    """The sampler of a plan, which is refused at the step that is none."""

    chosen: Chosen
    sampler: Any

    def init(self, steps: int) -> Any:
        """The state before the first step."""
        return self.sampler.init(steps)

    def step(self, denoise: Any, x: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Any]:
        """A step of the sampler.

        :raises PluginError: it did not return two samples like x, and a state.
        """
        made = self.sampler.step(denoise, x, *rest)
        parts: Any = made if isinstance(made, tuple | list) else (made,)
        fits = [isinstance(part, Tensor) and part.shape == x.shape for part in parts[:2]]
        if len(parts) != 3 or not all(fits):
            returned = ", ".join(map(_shape, parts))
            raise PluginError(
                f"{_named('sampler', self.chosen)} returned ({returned}) from step, not "
                f"(x, x0, state) with samples {tuple(x.shape)}"
            )
        return parts[0], parts[1], parts[2]


@dataclass(frozen=True)
class JudgedGrid:
    """The grid of a plan, which is refused if its times are none."""

    chosen: Chosen
    grid: Any

    @property
    def name(self) -> str:
        """The grid's."""
        return self.chosen.name

    def times(self, schedule: Any, steps: int, start: float) -> Tensor:
        """The times of the grid.

        :raises PluginError: they are not `steps` finite numbers.
        """
        times = self.grid.times(schedule, steps, start)
        fits = isinstance(times, Tensor) and times.shape == (steps,)
        if not fits or not bool(times.isfinite().all()):
            raise PluginError(
                f"{_named('grid', self.chosen)} returned {_shape(times)} as times, not {steps} "
                "finite ones, (steps,)"
            )
        return times


def expect_levels(chosen: Chosen, found: Any) -> None:
    """Refuse what a sampler says to be its levels, unless they are at least two.

    :raises PluginError: they are not.
    """
    fits = isinstance(found, Sequence) and all(isinstance(each, Level) for each in found)
    if not fits or len(found) < 2:
        raise PluginError(
            f"{_named('sampler', chosen)} returned {_shape(found)} as levels, not two or more "
            "artdiff.Level in a list"
        )


def expect_samples(name: str, jobs: Sequence[FrameJob], x: Tensor) -> None:
    """Refuse what the model of a name made of some jobs, (B, C, h, w), unless it is finite.

    :raises ModelError: it is not; the message names the first frame.
    """
    wrong = [job.index for job, row in zip(jobs, x, strict=True) if not row.isfinite().all()]
    if wrong:
        raise ModelError(
            f"frame {wrong[0]}: the model {name!r} gave numbers that are "
            "not finite; lower guidance.scale or the weights of [terms]"
        )


def _named(what: str, chosen: Chosen) -> str:
    called = chosen.name if what in ("sampler", "grid") else chosen.label
    return f"{what} {called!r} (plugin {chosen.plugin!r})"


def _shape(value: Any) -> str:
    kind = getattr(value, "dtype", type(value).__name__)
    return f"{kind} {tuple(value.shape)}" if hasattr(value, "shape") else f"{kind}"
