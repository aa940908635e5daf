"""Checking drafts: one line for the first mistake, with the nearest right value. No torch."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from artdiff.curve import EASINGS
from artdiff.errors import PresetError, nearest
from artdiff.preset import Preset
from artdiff.preset.draft import Draft
from artdiff.preset.prompt import Prompt

M = TypeVar("M", bound=BaseModel)


def check(draft: Draft) -> Preset:
    """Validate a draft.

    :raises PresetError: one line that names who said the wrong value, the key and the nearest
        right one.
    """
    return validate(draft, Preset, draft.values)


def validate(
    draft: Draft,
    model: type[M],
    values: Mapping[str, Any],
    prefix: str = "",
    also: Iterable[str] = (),
    context: object = None,
) -> M:
    """Validate the values that stand below the dotted key `prefix` of a draft.

    :param also: keys that are known beside those of the model.
    :param context: for validators of the model's fields.
    :raises PresetError: see `check`.
    """
    _refuse(draft, model, values, prefix)
    try:
        return model.model_validate(dict(values), context=context)
    except ValidationError as error:
        errors = error.errors()
        # a mistyped key comes before the key that is missing because of it
        first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
        raise _explain(draft, first, model, prefix, also) from None


def _refuse(draft: Draft, model: type[BaseModel], values: Any, prefix: str) -> None:
    """Refuse what pydantic lets pass: true for a number, and numbers that are not finite."""
    for key, value in values.items():
        dotted = f"{prefix}.{key}" if prefix else str(key)
        field = model.model_fields.get(key)
        kinds = [field.annotation, *get_args(field.annotation)] if field else []
        if isinstance(value, bool) and bool not in kinds and (int in kinds or float in kinds):
            raise PresetError(f"{draft.at(dotted)}: must be a number (got {value!r})")
        for place, number in _floats(value, dotted):
            if not math.isfinite(number):
                raise PresetError(f"{draft.at(place)}: must be a finite number (got {number!r})")


def _floats(value: Any, key: str) -> Iterator[tuple[str, float]]:
    """Every float in a value, with its dotted key."""
    if isinstance(value, float):
        yield key, value
    parts = (
        value.items()
        if isinstance(value, Mapping)
        else (enumerate(value) if isinstance(value, list | tuple) else ())
    )
    for part, inner in parts:
        yield from _floats(inner, f"{key}.{part}")


def _explain(
    draft: Draft,
    error: ErrorDetails,
    model: type[BaseModel],
    prefix: str = "",
    also: Iterable[str] = (),
) -> PresetError:
    """Say in one line what pydantic found wrong below the dotted key `prefix`."""
    place = [str(part) for part in error["loc"]]
    where = draft.at(".".join([*([prefix] if prefix else []), *place]))
    if error["type"] == "extra_forbidden":
        known = [*_known_keys(model, place[:-1]), *(also if len(place) == 1 else ())]
        return PresetError(f"{where}: unknown key{nearest(place[-1], known)}")
    if error["type"] == "missing":
        return PresetError(f"{where}: is missing")
    message = error["msg"].removeprefix("Value error, ")
    message = message.replace("Input should be", "must be")
    message = re.sub(r"a valid dictionary( or instance of \w+)?", "a table", message)
    shown = repr(error["input"])
    shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
    said = "(got " in message or isinstance(error["input"], BaseModel | dict)
    got = "" if said else f" (got {shown})"
    if error["type"] == "literal_error" and place[-1] == "easing":
        message += nearest(str(error["input"]), EASINGS)
    return PresetError(f"{where}: {message}{got}")


def _known_keys(model: type[BaseModel], place: list[str]) -> list[str]:
    for part in place:
        field = model.model_fields.get(part)
        annotation = field.annotation if field else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return list(Prompt.model_fields) if place[0] in ("prompt", "prompts") else []
        model = annotation
    return [*model.model_fields, *(["extends"] if model is Preset else [])]
