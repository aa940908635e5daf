"""A table of a preset, and the limits of the curves in it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from artdiff.curve import Curve


class Part(BaseModel):
    """A table of a preset: unknown keys are errors, true is no number, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def within(curve: Curve, low: float, high: float) -> Curve:
    """The curve.

    :raises ValueError: one of its values lies outside of low to high.
    """
    for value in curve.values:
        if not low <= value <= high:
            raise ValueError(f"must lie between {low:g} and {high:g} (got {value:g})")
    return curve


def over_the_walk(curve: Curve) -> Curve:
    """The curve.

    :raises ValueError: it has keyframes, and one of them is at a frame or at a time.
    """
    for position, _ in curve.keys:
        if position.unit != "%" and len(curve.keys) > 1:
            raise ValueError(
                f'{position} is not a part of the way from noise, "0%", to the picture, "100%"'
            )
    return curve
