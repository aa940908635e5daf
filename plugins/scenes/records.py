"""What picture i shows: a record drawn from shares, and the combinations held back from training.

A record is held out when one of its pairs (object with scene, style with scene, ...) falls into a
small fixed share of all pairs, chosen by a hash of the names. The split "train" never shows such a
pair; every picture of the split "heldout" shows at least one.
"""

from __future__ import annotations

import zlib
from functools import cache
from random import Random
from typing import Any

from . import words
from .objects import natural_color
from .things import GROUPS, OBJECTS, object_words, poses

Record = dict[str, Any]

STYLE_SHARE = {
    "flat": 0.37, "watercolor": 0.07, "pixel art": 0.06, "line art": 0.05, "neon": 0.05,
    "halftone": 0.04, "stained glass": 0.05, "oil": 0.05, "mosaic": 0.02, "low poly": 0.04,
    "paper cut": 0.04, "woodblock": 0.04, "chalk": 0.03, "crayon": 0.03, "blueprint": 0.02,
    "poster": 0.03, "clay": 0.04,
}  # fmt: skip
GRADE_SHARE = {
    "natural": 0.76, "pastel": 0.06, "synthwave": 0.05, "sepia": 0.03, "mono": 0.03,
    "golden": 0.04, "icy": 0.03,
}  # fmt: skip
KIND_SHARE = {"portrait": 0.35, "scene": 0.50, "pattern": 0.15}
TIME_SHARE = {
    "day": 0.3, "sunset": 0.16, "night": 0.17, "golden": 0.12, "dawn": 0.1, "dusk": 0.09,
    "aurora": 0.06,
}  # fmt: skip
WEATHER_SHARE = {
    "clear": 0.5, "clouds": 0.17, "snowfall": 0.08, "rain": 0.06, "fog": 0.08, "rainbow": 0.06,
    "storm": 0.05,
}  # fmt: skip
GROUND_SHARE = {
    "plain": 0.2, "gradient": 0.2, "rays": 0.09, "disc": 0.08, "glow": 0.09, "dots": 0.05,
    "bokeh": 0.05, "arch": 0.05, "striped": 0.03, "waves": 0.03, "stars": 0.04, "confetti": 0.02,
    "foliage": 0.03, "scallops": 0.02, "sunset": 0.03, "checks": 0.02,
}  # fmt: skip
GROUP_SHARE = {
    "animals": 1.25, "birds": 1.2, "plants": 1.1, "buildings": 1.2, "vehicles": 1.1,
    "fantasy": 1.1, "sea life": 1.1, "fruit": 1.0, "sky": 0.9, "people": 0.9, "food": 0.8,
    "play": 0.7, "household": 0.65, "clothes": 0.6,
}  # fmt: skip
"""How often each object of a group is picked, against the others."""
PALETTE_SHARE = {name: 1.0 for name in words.COLORS} | {"gray": 0.3, "brown": 0.5, "black": 0.7}
HELD_OUT = {("object", "scene"): 30, ("style", "scene"): 30, ("object", "ground"): 20,
            ("object", "style"): 10, ("style", "pattern"): 30}  # fmt: skip
"""Pairs of attributes, and how many in a thousand of their values are held out."""
COARSE = {"pixel art", "mosaic", "low poly"}
"""Styles that need large objects, else nobody can tell what they are."""
EDGELESS = {"mesh", "curtains"}
LINES = {"line art", "blueprint", "chalk", "neon", "crayon"}
"""Patterns without an edge, and the styles that show nothing else."""
NEVER_DYED = {"rainbow", "globe-showing-europe-africa", "woman-merpeople", "peacock"}
MOODS = {
    "cozy": {"room", "window", "village", "table"},
    "dreamy": {"enchanted", "floating", "clouds", "candy", "fairytale", "lavender"},
    "dramatic": {"volcano", "canyon", "cliffs", "mountains"},
    "peaceful": {"lake", "pond", "meadow", "hills", "river", "beach", "garden", "snow"},
}


@cache
def is_held_out(first: str, second: str, share: int) -> bool:
    """Whether a pair of values belongs to the given share (in a thousand) of held-out pairs."""
    return zlib.crc32(f"{first} x {second}".encode()) % 1000 < share


def held_out_pairs(record: Record) -> list[tuple[str, str]]:
    """The pairs in a record that training pictures never show together."""
    pairs = []
    for (first, other), share in HELD_OUT.items():
        # Two objects in one picture count alike.
        names = [record[first], record["second"]] if first == "object" else [record[first]]
        pairs += [
            (name, record[other])
            for name in names
            if name and record[other] and is_held_out(name, record[other], share)
        ]
    return pairs


def _choose(rng: Random, share: dict[str, float]) -> str:
    return rng.choices(list(share), list(share.values()))[0]


@cache
def _by_home(homes: str) -> tuple[list[str], list[float]]:
    """The objects that live in one of these homes (all objects for ""), and their shares."""
    names, shares = [], []
    for group, entries in GROUPS.items():
        for name, entry in entries.items():
            if not homes or object_words(entry).home in homes:
                names.append(name)
                shares.append(GROUP_SHARE[group])
    return names, shares


def _object(rng: Random, scene: str | None) -> str:
    homes = ""
    if scene and rng.random() < 0.7:
        homes = rng.choice(words.HOMES.get(scene, "ggga"))
    names, shares = _by_home(homes)
    return rng.choices(names, shares)[0]


def _subject(rng: Random, record: Record) -> None:
    """Choose the object and what is particular about it."""
    name = _object(rng, record["scene"])
    entry = OBJECTS[name]
    record["object"], record["pose"] = name, rng.choice(poses(name))
    record["flip"] = rng.random() < 0.5
    dyeable = name not in GROUPS["people"] and name not in NEVER_DYED
    if dyeable and rng.random() < 0.17:
        record["color"] = rng.choice(words.BODY_COLORS)
    else:
        record["natural"] = natural_color(record["pose"])
    portrait = record["kind"] == "portrait"
    shares = [86, 8, 6] if portrait else [78, 12, 10]
    record["count"] = rng.choices([1, 2, 3], shares)[0] if object_words(entry).plural else 1
    if record["count"] == 1 and rng.random() < 0.1:
        other = _object(rng, record["scene"])
        if other != name:
            record["second"], record["second_pose"] = other, rng.choice(poses(other))
    if record["style"] in COARSE:
        record["count"] = min(record["count"], 2)
    if portrait:
        if record["count"] == 1 and not record["second"] and rng.random() < 0.1:
            record["view"] = "close-up"
        record["turn"] = (
            rng.choice([0, 0, 0, 0, -12, 12]) if object_words(entry).home in "ta" else 0
        )
        return
    record["size"] = rng.choices(["small", "medium", "large"], [18, 42, 40])[0]
    if record["style"] in COARSE:
        record["size"] = "large"
    if record["count"] == 1 and not record["second"]:
        record["place"] = rng.choices(["center", "left", "right"], [56, 22, 22])[0]
        if (
            record["scene"] not in words.INDOORS
            and record["style"] not in COARSE
            and rng.random() < 0.07
        ):
            record["view"], record["size"] = "distant", "small"


def _weather(rng: Random, record: Record) -> None:
    record["time"] = _choose(rng, TIME_SHARE)
    weather = _choose(rng, WEATHER_SHARE)
    dark = words.LIGHTS[record["time"]].dark
    scene = record["scene"]
    if (dark and weather in ("rainbow", "clouds")) or (
        record["time"] == "aurora" and weather in ("rain", "storm", "fog")
    ):
        weather = "clear"
    if scene in words.DRY and weather in ("snowfall", "rain"):
        weather = "clouds" if not dark else "clear"
    if (
        scene in ("clouds", "window", "jungle", "beach", "island", "lavender")
        and weather == "snowfall"
    ):
        weather = "clear"
    record["weather"] = weather
    if scene in words.SEASONAL:
        record["season"] = "winter" if weather == "snowfall" else rng.choice(list(words.SEASONS))


def _mood(rng: Random, record: Record) -> str | None:
    """A mood that the picture bears out."""
    scene, time = record["scene"], record["time"]
    if record["grade"] == "pastel":
        return "dreamy"
    if record["kind"] == "portrait":
        cute = record["object"] in GROUPS["animals"] or record["object"] in GROUPS["birds"]
        return "cute" if cute else None
    if record["kind"] == "pattern":
        return rng.choice(["vibrant", "elegant"])
    if record["weather"] in ("storm", "rain") or (time == "sunset" and rng.random() < 0.5):
        return "dramatic"
    if record["weather"] == "fog" or time == "aurora":
        return "dreamy"
    return next((mood for mood, scenes in MOODS.items() if scene in scenes), None)


def draw_record(rng: Random) -> Record:
    """One record, from the whole space of pictures."""
    record: Record = {
        "kind": _choose(rng, KIND_SHARE), "style": _choose(rng, STYLE_SHARE),
        "grade": _choose(rng, GRADE_SHARE), "object": None, "pose": None, "flip": False, "turn": 0,
        "color": None, "natural": None, "count": 0, "second": None, "second_pose": None,
        "size": "medium", "place": "center", "view": "normal", "scene": None, "time": None,
        "weather": "clear", "season": None, "pattern": None, "ground": None, "colors": [],
        "mood": None,
    }  # fmt: skip
    if record["kind"] == "pattern":
        record["pattern"] = rng.choice(list(words.PATTERNS))
        record["colors"] = _palette(rng, 2 if rng.random() < 0.7 else 3)
        record["grade"] = "natural"
        if record["pattern"] in EDGELESS and record["style"] in LINES:
            record["style"] = "flat"
    elif record["kind"] == "portrait":
        _subject(rng, record)
        record["ground"] = _choose(rng, GROUND_SHARE)
        two = (
            record["ground"] not in ("plain", "glow", "confetti", "sunset") and rng.random() < 0.3
        )
        record["colors"] = _palette(rng, 2 if two else 1)
        body = record["color"] or record["natural"]
        while body and any(_alike(body, color) for color in record["colors"]):
            record["colors"] = _palette(rng, len(record["colors"]))
        if rng.random() < 0.65:
            record["grade"] = "natural"
    else:
        record["scene"] = rng.choice(list(words.SCENES))
        if record["scene"] not in words.SKYLESS:
            _weather(rng, record)
        alone = 0.3 if record["scene"] not in words.INDOORS else 0.06
        if rng.random() >= alone:
            _subject(rng, record)
    if record["style"] in ("line art", "blueprint", "woodblock"):
        record["grade"] = "natural"
    record["mood"] = _mood(rng, record)
    return record


@cache
def _alike(first: str, second: str) -> bool:
    """Whether an object of one colour would be lost on a ground of the other."""
    a, b = words.COLORS[first], words.COLORS[second]
    return sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) < 0.16


def _palette(rng: Random, count: int) -> list[str]:
    """Different colours, the muddy ones more rarely."""
    names: list[str] = []
    while len(names) < count:
        name = _choose(rng, PALETTE_SHARE)
        if name not in names:
            names.append(name)
    return names


def find_record(rng: Random, held_out: bool | None, tries: int = 2000) -> Record:
    """The first record drawn that is held out, that is not, or (None) that is either."""
    for _ in range(tries):
        record = draw_record(rng)
        if held_out is None or bool(held_out_pairs(record)) == held_out:
            return record
    raise AssertionError("no picture of this split; the shares of held-out pairs are wrong")
