"""Numbers that change on the way from noise to picture, also as Disco Diffusion wrote them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from artdiff import Curve

_RUN = r"\s*\[\s*(-?\d+(?:\.\d+)?)\s*\]\s*\*\s*(\d+)\s*"
_RUNS = re.compile(rf"{_RUN}(?:\+{_RUN})*")


def read_walk(value: Any) -> Curve:
    """A number, ``{ "0%" = 12, "40%" = 4 }``, or Disco Diffusion's ``"[12]*400+[4]*600"``.

    0% is pure noise and 100% the picture, as in a term's ``course``. Disco Diffusion's lists hold
    a value for each of 1000 steps of time; here their lengths are shares of the way, so any sum
    will do, and values hold until the next one.

    :raises ValueError: it is none of these.
    """
    if isinstance(value, str):
        if not _RUNS.fullmatch(value):
            raise ValueError(
                'must be a number, { "0%" = 12, "40%" = 4 } or "[12]*400+[4]*600" '
                f"(got {value!r})"
            )
        runs = [(float(number), int(count)) for number, count in re.findall(_RUN, value)]
        whole, past, keys = sum(count for _, count in runs), 0, {}
        if not whole:
            raise ValueError(f"has no steps (got {value!r})")
        for number, count in runs:
            if count:
                keys[f"{100 * past / whole:.6g}%"] = number
            past += count
        value = keys | {"easing": "hold"}
    curve = Curve.parse(value)
    for position, _ in curve.keys:
        if position.unit != "%" and len(curve.keys) > 1:
            raise ValueError(
                f'{position} is not a part of the way from noise, "0%", to the picture, "100%"'
            )
    return curve


def _within(low: float, high: float) -> Callable[[Curve], Curve]:
    def check(curve: Curve) -> Curve:
        for value in curve.values:
            if not low <= value <= high:
                raise ValueError(f"must lie between {low:g} and {high:g} (got {value:g})")
        return curve

    return check


_READ = BeforeValidator(read_walk, json_schema_input_type=Curve | str)

Amount = Annotated[Curve, _READ, AfterValidator(_within(0, 256))]
"""How many, over the walk."""

Share = Annotated[Curve, _READ, AfterValidator(_within(0, 1))]
"""A share in [0, 1], over the walk."""

Power = Annotated[Curve, _READ, AfterValidator(_within(0.01, 100))]
"""An exponent, over the walk."""


def walked(value: Any, description: str) -> Any:
    """The field of a number over the walk, with its default as a preset would write it."""
    extra: Any = {"default": value}
    return Field(default=read_walk(value), description=description, json_schema_extra=extra)
