"""Guidance terms of a preset, whose options may be keyframes. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from artdiff.curve import Curve, Held
from artdiff.plan import Chosen
from artdiff.plan.choosing import Chooser
from artdiff.preset.draft import Draft, is_keyframes
from artdiff.preset.part import over_the_walk
from artdiff.timeline import TermTrack

K = TypeVar("K", Curve, Held)

COMMON = ("use", "weight", "course")
"""Keys of every table [terms.LABEL], beside the term's own options."""


def choose_term(
    chooser: Chooser, label: str, values: Mapping[str, Any]
) -> tuple[Chosen, TermTrack]:
    """A guidance term: its numbers may be keyframe tables, checked at each keyframe.

    :raises PresetError: its name is unknown, or a value is wrong.
    """
    draft, key = chooser.draft, f"terms.{label}"
    rest = {k: v for k, v in values.items() if k not in COMMON}
    weight = _keyed(draft, f"{key}.weight", values.get("weight", 1.0), Curve)
    course = _keyed(draft, f"{key}.course", values.get("course", 1.0), Curve)
    with draft.blaming(f"{key}.course", ValueError):
        over_the_walk(course)
    keyed = {k: v for k, v in rest.items() if is_keyframes(v)}
    held = {k: _keyed(draft, f"{key}.{k}", v, Held) for k, v in keyed.items() if _jumps(v)}
    curves = {k: _keyed(draft, f"{key}.{k}", v, Curve) for k, v in keyed.items() if k not in held}
    use = {"use": values.get("use", label)}

    def choose(some: dict[str, Any]) -> Chosen:
        return chooser.labelled("guidance", "terms", label, some | use, COMMON)

    steady = {k: v for k, v in rest.items() if k not in keyed}
    steady |= {k: each.keys[0][1] for k, each in held.items()}
    for extreme in (max, min):
        chosen = choose(steady | {k: extreme(curve.values) for k, curve in curves.items()})
    for k, curve in curves.items():
        steady[k] = min(curve.values)
        curves[k] = replace(curve, whole=isinstance(getattr(chosen.options, k), int))
    for k, each in held.items():
        said = ((at, choose(steady | {k: value})) for at, value in each.keys)
        held[k] = Held(tuple((at, found.plain()[k]) for at, found in said))
    return chosen, TermTrack(label, weight, {**chosen.plain(), **curves, **held}, course)


def _jumps(table: Mapping[str, Any]) -> bool:
    """Whether a table of keyframes holds texts, lists or tables, between which nothing lies."""
    kinds = (str, list, tuple, Mapping)
    return any(isinstance(value, kinds) for k, value in table.items() if k != "easing")


def _keyed(draft: Draft, key: str, value: Any, kind: type[K]) -> K:
    with draft.blaming(key, ValueError):
        return kind.parse(value)
