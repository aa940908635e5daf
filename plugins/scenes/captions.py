"""Captions: the same picture described the way different people would type it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from . import words
from .words import OBJECTS, object_words


class Writer:
    """Writes one caption; every choice of words comes from the given generator."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def pick(self, options: Sequence[str]) -> str:
        return options[int(self.rng.integers(len(options)))] if options else ""

    def maybe(self, chance: float) -> bool:
        return bool(self.rng.random() < chance)

    def color(self, name: str) -> str:
        return self.pick(words.COLOR_WORDS.get(name, [name]))

    def subject(self, record: Mapping[str, Any]) -> str:
        """ "a big red fox", "two foxes", "fox"."""
        entry = object_words(OBJECTS[record["object"]])
        count = record["count"]
        which = int(self.rng.integers(len(entry.singular)))
        noun = entry.singular[which] if count == 1 else entry.plural[which]
        parts = [noun]
        if record["color"] and not (record["style"] == "line art" and self.maybe(0.8)):
            parts.insert(0, self.color(record["color"]))
        size = self.pick(words.SIZES[record["size"]])
        if size and self.maybe(0.7):
            parts.insert(0, size)
        if count > 1:
            parts.insert(0, self.pick(words.NUMBERS[count]))
        elif self.maybe(0.75):
            parts.insert(
                0, "an" if parts[0][0] in "aeiou" and not parts[0].startswith("u") else "a"
            )
        if count == 1 and record["place"] != "center" and self.maybe(0.6):
            parts.append(self.pick(words.PLACES[record["place"]]))
        return " ".join(parts)

    def portrait(self, record: Mapping[str, Any]) -> list[str]:
        parts = [self.subject(record)]
        seen = 0.25 if record["style"] in ("line art", "neon") else 0.78
        if self.maybe(seen):
            ground = self.pick(words.GROUNDS[record["ground"]])
            parts[0] += f" on a {self.color(record['colors'][0])} background"
            parts[0] += f" {ground}" if ground and self.maybe(0.8) else ""
        return parts

    def scene(self, record: Mapping[str, Any]) -> list[str]:
        where = self.pick(words.SCENES[record["scene"]])
        has_object = record["object"] is not None
        if has_object and not where.startswith(("in ", "on ", "at ", "by ", "near ", "under")):
            where = f"in the {where}" if self.maybe(0.7) else where
        lead = f"{self.subject(record)} {where}" if has_object else where
        when = []
        if record["time"] and self.maybe(0.88):
            lead_time = self.pick(words.LIGHTS[record["time"]].words)
            if self.maybe(0.6):
                lead += f" {lead_time}"
            else:
                when.append(lead_time)
        if record["season"] and self.maybe(0.9 if record["season"] != "summer" else 0.6):
            season = self.pick(words.SEASONS[record["season"]])
            if self.maybe(0.5):
                lead += f" {season}"
            else:
                when.append(season)
        if words.WEATHERS[record["weather"]] and self.maybe(0.9):
            when.append(self.pick(words.WEATHERS[record["weather"]]))
        return [lead, *when]

    def pattern(self, record: Mapping[str, Any]) -> list[str]:
        name = self.pick(words.PATTERNS[record["pattern"]])
        colors = [self.color(c) for c in record["colors"]]
        if self.maybe(0.5):
            return [f"{' and '.join(colors)} {name}"]
        return [
            f"{name} in {' and '.join(colors)}"
            if self.maybe(0.6)
            else f"{name}, {' and '.join(colors)}"
        ]

    def write(self, record: Mapping[str, Any]) -> str:
        parts = getattr(self, record["kind"])(record)
        filler = self.pick(words.FILLERS)
        if filler:
            parts[0] = f"{filler} {parts[0]}"
        extras = []
        if record["grade"] != "natural" and self.maybe(0.92):
            extras.append(self.pick(words.GRADES[record["grade"]]))
        style = self.pick(words.STYLES[record["style"]])
        if style and self.maybe(0.95 if record["style"] != "flat" else 0.45):
            form = self.rng.random()
            if form < 0.22:
                parts[0] = f"{style} of {parts[0]}"
            elif form < 0.34:
                extras.append(f"in the style of {style}")
            else:
                extras.append(f"{style} style" if form > 0.92 else style)
        order = self.rng.permutation(len(extras))
        return ", ".join([*parts, *(extras[i] for i in order)])
