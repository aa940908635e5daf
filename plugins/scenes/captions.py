"""Captions: the same picture described the way different people would type it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from . import words
from .words import OBJECTS, object_words

Record = Mapping[str, Any]
PREPOSITIONS = ("in ", "on ", "at ", "by ", "near ", "under", "among ", "above ")
LINES_ONLY = ("line art", "blueprint")
MOST_WORDS = 24


PAIRS = (
    "sunglasses", "glasses", "gloves", "socks", "shoes", "headphones", "scissors", "fries",
    "pancakes", "grapes", "confetti", "books", "music", "yoga", "corn", "wheat", "sushi", "ramen",
    "bamboo", "popcorn",
)  # fmt: skip
"""Ends of names that take no article."""


def _with_article(phrase: str) -> str:
    if phrase.endswith(PAIRS) and not phrase.endswith("wine glasses"):
        return phrase
    an = phrase[0] in "aeio" and not phrase.startswith(("one", "uni"))
    return f"{'an' if an or phrase.startswith('umb') else 'a'} {phrase}"


class Writer:
    """Writes one caption; every choice of words comes from the given generator."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng

    def pick(self, options: Sequence[str]) -> str:
        return options[int(self.rng.random() * len(options))] if options else ""

    def maybe(self, chance: float) -> bool:
        return self.rng.random() < chance

    def color(self, name: str) -> str:
        return self.pick(words.COLOR_WORDS.get(name, [name]))

    def shows_colors(self, record: Record) -> bool:
        """Whether to speak of colours: rarely where the style or the grade hides them."""
        if record["style"] in LINES_ONLY or record["grade"] in ("sepia", "mono"):
            return self.maybe(0.12)
        return record["grade"] != "synthwave" or self.maybe(0.5)

    def noun(self, name: str, many: bool) -> str:
        entry = object_words(OBJECTS[name])
        which = int(self.rng.random() ** 1.3 * len(entry.singular))
        return (entry.plural if many else entry.singular)[which]

    def subject(self, record: Record) -> str:
        """ "a big red fox", "two foxes", "fox", "a fox and an owl"."""
        count = record["count"]
        phrase = self.noun(record["object"], count > 1)
        if record["color"] and self.shows_colors(record):
            phrase = f"{self.color(record['color'])} {phrase}"
        elif record["natural"] and self.maybe(0.22) and self.shows_colors(record):
            phrase = f"{self.color(record['natural'])} {phrase}"
        if record["mood"] == "cute" and self.maybe(0.2):
            phrase = f"{self.pick(words.MOODS['cute'])} {phrase}"
        size = self.pick(words.SIZES[record["size"]])
        if size and record["view"] == "normal" and self.maybe(0.6):
            phrase = f"{size} {phrase}"
        if count > 1:
            phrase = f"{self.pick(words.NUMBERS[count])} {phrase}"
        elif self.maybe(0.72):
            phrase = _with_article(phrase)
        if record["second"]:
            other = self.noun(record["second"], False)
            other = _with_article(other) if self.maybe(0.72) else other
            phrase = f"{phrase} {self.pick(words.BESIDE)} {other}"
        if record["view"] == "distant":
            return f"{phrase} {self.pick(words.VIEWS['distant'])}"
        if record["place"] != "center" and self.maybe(0.6):
            return f"{phrase} {self.pick(words.PLACES[record['place']])}"
        return phrase

    def portrait(self, record: Record) -> list[str]:
        phrase = self.subject(record)
        if record["view"] == "close-up" and self.maybe(0.85):
            how = self.pick(words.VIEWS["close-up"])
            if not how.endswith(" of"):
                return [phrase, how, *self.ground(record, "")]
            phrase = f"{how} {phrase}"
        tail = self.ground(record, phrase)
        return tail or [phrase]

    def ground(self, record: Record, phrase: str) -> list[str]:
        """The background, joined to the phrase or as parts of their own."""
        seen = 0.3 if record["style"] in ("neon", "chalk") else 0.8
        if not self.maybe(seen) or not self.shows_colors(record):
            return []
        colors = " and ".join(self.color(c) for c in record["colors"])
        what = self.pick(words.GROUNDS[record["ground"]]) if self.maybe(0.8) else ""
        if what in ("gradient", "glowing"):
            place = f"{colors} {what} background"
        else:
            place = f"{colors} background {what}".strip()
        if not phrase:
            return [place]
        if self.maybe(0.7):
            return [f"{phrase} on {_with_article(place)}"]
        return [phrase, place]

    def scene(self, record: Record) -> list[str]:
        names = words.SCENES[record["scene"]]
        where = self.pick(names)
        if record["object"] is None and self.maybe(0.6):
            where = self.pick([n for n in names if not n.startswith(PREPOSITIONS)] or names)
        lead, when = where, []
        if record["object"] is not None:
            if not where.startswith(PREPOSITIONS) and self.maybe(0.65):
                where = self.pick([n for n in names if n.startswith(PREPOSITIONS)] or [where])
            subject = self.subject(record)
            if where.startswith(PREPOSITIONS) and self.maybe(0.88):
                lead = f"{subject} {where}"
            elif self.maybe(0.5):
                lead, when = subject, [where]
            else:
                lead, when = where, [subject]
        if record["time"] and self.maybe(0.86):
            light = self.light(record)
            if self.maybe(0.6) and not when:
                lead += f" {light}"
            else:
                when.append(light)
        if record["season"] and self.maybe(0.85 if record["season"] != "summer" else 0.5):
            when.append(self.pick(words.SEASONS[record["season"]]))
        if words.WEATHERS[record["weather"]] and self.maybe(0.9):
            when.append(self.pick(words.WEATHERS[record["weather"]]))
        return [lead, *when]

    def light(self, record: Record) -> str:
        """A name of the time of day; no blue sky in the rain."""
        names = words.LIGHTS[record["time"]].words
        if record["weather"] not in ("clear", "clouds", "rainbow"):
            names = [n for n in names if "sunny" not in n and "blue sky" not in n]
        return self.pick(names)

    def pattern(self, record: Record) -> list[str]:
        name = self.pick(words.PATTERNS[record["pattern"]])
        colors = [self.color(c) for c in record["colors"]]
        form = self.rng.random()
        if form < 0.5:
            return [f"{' and '.join(colors)} {name}"]
        return (
            [f"{name} in {' and '.join(colors)}"] if form < 0.8 else [name, " and ".join(colors)]
        )

    def short(self, record: Record) -> str:
        """A prompt of a few words: "fox watercolor", "red mandala", "snowy village"."""
        if record["kind"] == "pattern":
            return (
                f"{self.color(record['colors'][0])} {self.pick(words.PATTERNS[record['pattern']])}"
            )
        if record["object"]:
            what = self.noun(record["object"], record["count"] > 1)
            if record["color"] and self.shows_colors(record):
                return f"{self.color(record['color'])} {what}"
        else:
            what = self.pick(words.SCENES[record["scene"]])
        options = [self.pick(words.STYLES[record["style"]])]
        if record["time"]:
            options.append(self.light(record))
        if record["object"] and record["scene"]:
            options.append(self.pick(words.SCENES[record["scene"]]))
        extra = self.pick(options)
        return f"{what} {extra}" if self.maybe(0.7) else what

    def write(self, record: Record) -> str:
        """A caption of at most `MOST_WORDS` words."""
        if self.maybe(0.1):
            return self.short(record)
        parts = getattr(self, record["kind"])(record)
        extras = []
        if record["mood"] and record["mood"] != "cute" and self.maybe(0.3):
            extras.append(self.pick(words.MOODS[record["mood"]]))
        if record["grade"] != "natural" and self.maybe(0.92):
            extras.append(self.pick(words.GRADES[record["grade"]]))
        style = self.pick(words.STYLES[record["style"]])
        filler = self.pick(words.FILLERS) if self.maybe(0.22) else ""
        if style and self.maybe(0.95 if record["style"] != "flat" else 0.42):
            form = self.rng.random()
            if form < 0.2:
                filler = f"{style} of"
            elif form < 0.32:
                extras.append(f"in the style of {style}")
            elif form < 0.4:
                parts.insert(0, style)
                filler = ""
            else:
                extras.append(f"{style} style" if form > 0.92 else style)
        if filler and parts[0].startswith(PREPOSITIONS):
            filler = filler.removesuffix(" of")
        if filler and parts[0].startswith(tuple(words.VIEWS["close-up"])):
            parts[0] = f"{parts[0]}, {filler.removesuffix(' of')}"
        elif filler:
            parts[0] = f"{filler} {parts[0]}"
        if self.maybe(0.12):
            extras.append(self.pick(words.TRAILERS))
        self.rng.shuffle(extras)
        caption = ", ".join([*parts, *extras])
        while len(caption.replace("-", " ").split()) > MOST_WORDS:
            caption = caption.rpartition(",")[0]
        return caption
