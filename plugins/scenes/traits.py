"""What can be told from a picture, and what a caption says of it: attributes for a judge.

A trait is an attribute with the values that are right, any of them. Without a value, nothing can
be told: the season of a cave, the colours of a blueprint.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from . import words
from .things import OBJECTS, object_words

Traits = dict[str, tuple[str, ...]]
NOTHING = ("none",)
COLOURLESS_STYLES = ("line art", "blueprint")
COLOURLESS_GRADES = ("sepia", "mono")


def traits(record: Mapping[str, Any]) -> Traits:
    """All traits of a record, in the order in which a judge learns them."""
    thing, more = record["object"], record["second"]
    sky = record["time"] is not None
    colours = ()
    if record["style"] not in COLOURLESS_STYLES and record["grade"] not in COLOURLESS_GRADES:
        colours = tuple(record["colors"])
    body = record["color"] or record["natural"]
    return {
        "scene": _known(record["scene"]),
        "pattern": _known(record["pattern"]),
        "time": _known(record["time"]),
        "weather": (record["weather"],) if sky else (),
        "season": (record["season"],) if record["season"] else (),
        "style": (record["style"],),
        "grade": (record["grade"],),
        "object": tuple(name for name in (thing, more) if name) or NOTHING,
        "count": (str(record["count"]),) if thing is None or not more else (),
        "color": _body(record, body) if thing else colours,
        "background": colours if record["ground"] else (),
    }


def asked(record: Mapping[str, Any], caption: str) -> Traits:
    """The traits that a caption of the record says; a short one says few."""
    found = {name: values for name, values in traits(record).items() if values}
    named = {
        "scene": words.SCENES,
        "pattern": words.PATTERNS,
        "time": {name: light.words for name, light in words.LIGHTS.items()},
        "weather": words.WEATHERS,
        "season": words.SEASONS,
        "style": words.STYLES,
        "grade": words.GRADES,
    }
    said = {name: _said(table.get(record[name], ()), caption) for name, table in named.items()}
    nouns = {name: _nouns(name) for name in (record["object"], record["second"]) if name}
    said["object"] = bool(nouns) and all(_said(some, caption) for some in nouns.values())
    said["count"] = said["object"]
    if record["kind"] == "pattern":
        said["color"] = _said(_hues(record["colors"]), caption)
    elif nouns:
        body = _hues([record["color"] or record["natural"]])
        pairs = [f"{hue} {noun}" for hue in body for noun in nouns[record["object"]]]
        said["color"] = _said(pairs, caption)
    before = caption.partition(" background")[0] if " background" in caption else ""
    said["background"] = _said(_hues(record["colors"]), " ".join(before.split()[-5:]))
    return {name: values for name, values in found.items() if said.get(name)}


def _known(value: str | None) -> tuple[str, ...]:
    return (value,) if value else NOTHING


def _body(record: Mapping[str, Any], colour: str | None) -> tuple[str, ...]:
    """The colour of an object, where it has one that style and grade leave to it."""
    hidden = record["style"] in COLOURLESS_STYLES or record["grade"] in COLOURLESS_GRADES
    return () if colour is None or hidden else (colour,)


def _hues(names: Iterable[str | None]) -> list[str]:
    return [hue for name in names if name for hue in words.COLOR_WORDS.get(name, [name])]


def _nouns(name: str) -> tuple[str, ...]:
    entry = object_words(OBJECTS[name])
    return (*entry.singular, *entry.plural)


def _said(phrases: Iterable[str], caption: str) -> bool:
    return any(re.search(rf"\b{re.escape(phrase)}\b", caption) for phrase in phrases)
