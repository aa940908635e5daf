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
    return f"{what} {chosen.label!r} (plugin {chosen.plugin!r})"


def _shape(value: Any) -> str:
    kind = getattr(value, "dtype", type(value).__name__)
    return f"{kind} {tuple(value.shape)}" if hasattr(value, "shape") else f"{kind}"
