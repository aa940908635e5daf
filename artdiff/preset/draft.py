"""Drafts: the values of a preset before they are checked, laid one over the other. No torch."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from artdiff.errors import PresetError
from artdiff.preset.frames import FramesPart
from artdiff.preset.guidance import GuidancePart
from artdiff.preset.part import Part
from artdiff.preset.sampler import GridPart, SamplerPart

Values = dict[str, Any]

_PART = re.compile(r""" "[^"]+" | '[^']+' | [^."']+ """, re.VERBOSE)
_KEY = re.compile(rf"(?:{_PART.pattern})(?:\.(?:{_PART.pattern}))*", re.VERBOSE)

_NAMED: Mapping[str, tuple[str, type[Part]]] = {
    "sampler": ("name", SamplerPart),
    "sampler.grid": ("name", GridPart),
    "guidance": ("name", GuidancePart),
    "frames": ("source", FramesPart),
}
"""Tables whose further keys belong to the class that one of their keys names."""


@dataclass(frozen=True)
class Draft:
    """Values of a preset before they are checked, and who said them.

    `origin` maps dotted keys to a file name, ``-s`` or a model; the longest matching key tells
    where a value came from, and the empty one where all the others did.
    """

    name: str
    values: Values
    origin: Mapping[str, str]

    def where(self, key: str) -> str:
        """Who said the value of a dotted key."""
        while key and key not in self.origin:
            key = key.rpartition(".")[0]
        return self.origin.get(key, self.name)

    def at(self, key: str) -> str:
        """Where a dotted key stands, as in errors: ``film.toml: sampler.steps``, ``-s seed``."""
        where = self.where(key)
        return where if where == f"-s {key}" or not key else f"{where}: {key}"

    @contextmanager
    def blaming(self, key: str, *kinds: type[Exception]) -> Iterator[None]:
        """Let an error of some kinds become a PresetError that says where a dotted key stands."""
        try:
            yield
        except kinds as error:
            raise PresetError(f"{self.at(key)}: {error}") from None


def overlay(draft: Draft, values: Mapping[str, Any], label: str, depth: int = 0) -> Draft:
    """Lay values over a draft; tables merge, keyframes and everything else replace.

    Another sampler or frame source drops the options of the one that stood there before.

    :param depth: so many levels of tables merge even if they hold keyframes.
    """
    merged, origin = _spelled_out(draft.values), dict(draft.origin)
    values = _spelled_out(values)
    for key, (name, part) in _NAMED.items():
        above, _, last = key.rpartition(".")
        old, new = _table(merged, key), _table(values, key)
        both = isinstance(old, dict) and isinstance(new, dict) and name in old and name in new
        if both and old[name] != new[name]:
            (merged[above] if above else merged)[last] = {
                k: v
                for k, v in old.items()
                if k in part.model_fields or _together(draft.where(f"{key}.{k}"), label)
            }
    if "prompt" in values:
        merged.pop("prompts", None)
    if "prompts" in values:
        merged.pop("prompt", None)
    for key, value in values.items():
        merged[key] = _merge(merged.get(key), value, key, label, origin, depth)
    return Draft(draft.name, merged, origin)


def underlay(draft: Draft, defaults: Mapping[str, Any], label: str) -> Draft:
    """Put defaults (of a model, say) below what a draft says."""
    below = overlay(Draft(draft.name, {}, {}), defaults, label)
    merged = overlay(below, draft.values, draft.name)
    return Draft(draft.name, merged.values, {**below.origin, **draft.origin})


def override(draft: Draft, assignments: Iterable[str]) -> Draft:
    """Apply ``-s key=value`` assignments; values are TOML, and what is not TOML is a text.

    :raises PresetError: an assignment has no ``=`` or no key.
    """
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not _KEY.fullmatch(key.strip()):
            raise PresetError(f"-s {assignment}: write key=value, such as -s sampler.steps=30")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError as error:
            if text.lstrip().startswith(("{", "[")):
                raise PresetError(f"-s {assignment}: not a TOML value: {error}") from error
            value = text
        draft = assign(draft, key.strip(), value, f"-s {key.strip()}")
    return draft


def assign(draft: Draft, key: str, value: Any, label: str) -> Draft:
    """Set the value of one dotted key, which may be one keyframe: ``guidance.scale.50%``.

    A part with a dot of its own is quoted, as in TOML: ``prompts."1.5s"``.
    """
    first, *rest = _parts(key)
    for part in reversed(rest):
        value = {part: value}
    return overlay(draft, {first: value}, label, depth=len(rest))


def _parts(key: str) -> list[str]:
    """The parts of a dotted key, quoted ones whole.

    :raises PresetError: it is none.
    """
    if not _KEY.fullmatch(key):
        raise PresetError(f"{key!r} is no key, such as sampler.steps")
    return [part.strip("\"'") for part in _PART.findall(key)]


def is_keyframes(value: Any) -> bool:
    """Whether a value is a table of keyframes, right or wrong: a key begins like a number."""
    return isinstance(value, Mapping) and any(re.match(r"-?\d", str(key)) for key in value)


def _table(values: Any, key: str) -> Any:
    """What stands at a dotted key, or None."""
    for part in key.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values


def _spelled_out(values: Mapping[str, Any]) -> Values:
    """A copy where a sampler's grid that is a name is a table with that name."""
    copy, sampler = dict(values), values.get("sampler")
    if isinstance(sampler, dict):
        grid = sampler.get("grid")
        copy["sampler"] = sampler | ({"grid": {"name": grid}} if isinstance(grid, str) else {})
    return copy


def _together(a: str, b: str) -> bool:
    """Whether two values are said at once, as all ``-s`` of a command are."""
    return a == b or (a.startswith("-s ") and b.startswith("-s "))


def _merge(old: Any, new: Any, key: str, label: str, origin: dict[str, str], depth: int) -> Any:
    """A new value over an old one; `origin` learns who said it."""
    table = isinstance(new, dict) and (
        depth > 0 or key in ("terms", "effects") or not is_keyframes(new)
    )
    if not (table and isinstance(old, dict)):
        for said in [k for k in origin if k == key or k.startswith(f"{key}.")]:
            del origin[said]
        origin[key] = label
        old = {}
    if not table:
        return new
    return old | {
        k: _merge(old.get(k), v, f"{key}.{k}", label, origin, depth - 1) for k, v in new.items()
    }
