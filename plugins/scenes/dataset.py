"""The scenes dataset: endless captioned illustrations, picture i a function of (seed, i)."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from . import objects, styles, words
from .captions import Writer
from .paint import Paint, mix
from .patterns import paint_ground, paint_pattern
from .scenery import Scenery, View
from .words import COLORS, OBJECTS, object_words

STYLE_SHARE = {
    "flat": 0.36,
    "watercolor": 0.09,
    "pixel art": 0.09,
    "line art": 0.08,
    "neon": 0.08,
    "halftone": 0.07,
    "stained glass": 0.07,
    "oil": 0.07,
    "mosaic": 0.05,
    "low poly": 0.04,
}
GRADE_SHARE = {
    "natural": 0.70,
    "pastel": 0.07,
    "synthwave": 0.07,
    "sepia": 0.04,
    "mono": 0.04,
    "golden": 0.04,
    "icy": 0.04,
}
KIND_SHARE = {"portrait": 0.32, "scene": 0.53, "pattern": 0.15}
TIME_SHARE = {"day": 0.36, "sunset": 0.22, "night": 0.2, "dawn": 0.14, "aurora": 0.08}
WEATHER_SHARE = {
    "clear": 0.44,
    "clouds": 0.18,
    "snowfall": 0.1,
    "rain": 0.08,
    "fog": 0.08,
    "rainbow": 0.06,
    "storm": 0.06,
}


class Scenes:
    """Procedural illustrations: scenes, seasons, weather, objects, patterns, in ten styles."""

    name = "scenes"
    version = "1"

    class Options(BaseModel):
        model_config = ConfigDict(extra="forbid", frozen=True)
        seed: int = Field(0, description="Another seed gives other pictures of the same kinds.")
        size: int = Field(256, ge=64, le=1024, multiple_of=32, description="Side in pixels.")

    def __init__(self, options: Options) -> None:
        self.options = options

    def _rng(self, index: int, stream: int) -> np.random.Generator:
        return np.random.default_rng([self.options.seed % 2**32, index, stream])

    def attributes(self, index: int) -> dict[str, Any]:
        """What picture `index` shows: a JSON-able record, pure function of (options, index)."""
        rng = self._rng(index, 0)

        def choose(share: dict[str, float]) -> str:
            weights = np.array(list(share.values()))
            return list(share)[int(rng.choice(len(share), p=weights / weights.sum()))]

        def one(options: Any) -> str:
            options = list(options)
            return options[int(rng.integers(len(options)))]

        record: dict[str, Any] = {
            "kind": choose(KIND_SHARE),
            "style": choose(STYLE_SHARE),
            "grade": choose(GRADE_SHARE),
            "object": None,
            "color": None,
            "count": 0,
            "size": "medium",
            "place": "center",
            "scene": None,
            "time": None,
            "weather": "clear",
            "season": None,
            "pattern": None,
            "ground": None,
            "colors": [],
        }
        if record["kind"] == "portrait":
            record |= {
                "object": one(OBJECTS),
                "count": 1,
                "ground": one(words.GROUNDS),
                "colors": [one(COLORS)],
            }
            if rng.random() < 0.15:
                record["count"] = int(rng.integers(2, 4))
        elif record["kind"] == "scene":
            record["scene"] = one(words.SCENES)
            if record["scene"] not in words.SKYLESS:
                record["time"] = choose(TIME_SHARE)
                record["weather"] = choose(WEATHER_SHARE)
                dark = record["time"] in ("night", "aurora")
                if dark and record["weather"] in ("rainbow", "clouds"):
                    record["weather"] = "clear"
                if record["time"] == "aurora" and record["weather"] in ("rain", "storm"):
                    record["weather"] = "snowfall"
            if record["scene"] in words.SEASONAL:
                winter = record["weather"] == "snowfall"
                record["season"] = "winter" if winter else one(words.SEASONS)
            if rng.random() < 0.6:
                record |= {
                    "object": one(OBJECTS),
                    "count": int(rng.choice([1, 2, 3], p=[0.82, 0.1, 0.08])),
                    "size": one(["medium", "large", "large", "small"]),
                    "place": one(["center", "center", "center", "left", "right"]),
                }
        else:
            record["pattern"] = one(words.PATTERNS)
            names = [c for c in COLORS if c != "gray"]
            count = 2 if rng.random() < 0.75 else 3
            record["colors"] = [names[i] for i in rng.permutation(len(names))[:count]]
            record["grade"] = "natural"
        if record["object"] and rng.random() < 0.16:
            record["color"] = one(COLORS)
        if record["style"] == "line art" or (record["kind"] == "portrait" and rng.random() < 0.6):
            record["grade"] = "natural"
        return record

    def picture(self, index: int) -> np.ndarray:
        """Picture `index`, (size, size, 3) uint8, pure function of (options, index)."""
        return self.render(self.attributes(index), self._rng(index, 1))

    def render(self, record: dict[str, Any], rng: np.random.Generator) -> np.ndarray:
        """Draw a record of the kind that `attributes` returns."""
        paint = Paint(self.options.size)
        if record["kind"] == "pattern":
            paint_pattern(paint, rng, record["pattern"], [COLORS[c] for c in record["colors"]])
        elif record["kind"] == "portrait":
            paint_ground(paint, rng, record["ground"], COLORS[record["colors"][0]])
            _portrait(paint, rng, record)
        else:
            scenery = Scenery(
                paint,
                rng,
                record["time"] or "day",
                record["weather"],
                record["season"] or "summer",
            )
            view = scenery.paint_scene(record["scene"])
            if record["object"]:
                _stand_in(paint, rng, record, view)
            scenery.veil(view.ground - 40)
        return styles.apply(paint.array(), record["style"], record["grade"], rng)

    def caption(self, index: int, draw: int) -> str:
        """A wording of picture `index`; every `draw` is another one."""
        return Writer(self._rng(index, 2 + draw)).write(self.attributes(index))

    def vocabulary(self) -> list[str]:
        """Every word that a caption can hold, sorted."""
        phrases: list[str] = ["a an one in the of on with and background style"]
        for table in (
            words.WEATHERS,
            words.SEASONS,
            words.SCENES,
            words.PATTERNS,
            words.GROUNDS,
            words.STYLES,
            words.GRADES,
            words.NUMBERS,
            words.SIZES,
            words.PLACES,
            words.COLOR_WORDS,
        ):
            phrases += [phrase for options in table.values() for phrase in options]
        phrases += [*words.FILLERS, *COLORS]
        phrases += [phrase for light in words.LIGHTS.values() for phrase in light.words]
        for entry in map(object_words, OBJECTS.values()):
            phrases += [*entry.singular, *entry.plural]
        return sorted({w for phrase in phrases for w in re.findall(r"[a-z0-9]+", phrase.lower())})


def _columns(count: int, side: float, center: float) -> list[float]:
    return [center + (i - (count - 1) / 2) * side * 0.86 for i in range(count)]


def _portrait(paint: Paint, rng: np.random.Generator, record: dict[str, Any]) -> None:
    color = COLORS[record["color"]] if record["color"] else None
    image = objects.picture(record["object"], color, (1, 1, 1))
    count = record["count"]
    side = {1: float(rng.uniform(158, 186)), 2: 112.0, 3: 82.0}[count]
    for x in _columns(count, side, 128):
        paint.ellipse(x, 130 + side * 0.47, side * 0.34, side * 0.05, (0, 0, 0), 0.16, blur=3)
        paint.image(image, x, 128, side)


def _stand_in(paint: Paint, rng: np.random.Generator, record: dict[str, Any], view: View) -> None:
    """Put the object into the scene: on the ground, in the air or afloat."""
    name, count, scene = record["object"], record["count"], record["scene"]
    home = object_words(OBJECTS[name]).home
    side = {"small": 58.0, "medium": 96.0, "large": 136.0}[record["size"]]
    side = min(side * float(rng.uniform(0.94, 1.06)), 250 / (count + 0.2))
    center = {"left": 74.0, "center": 128.0, "right": 182.0}[record["place"]]
    if count > 1:
        center = 128.0
    bottom = objects.bottom(name)
    ambient = mix(view.light.ambient, (1, 1, 1), 0.45)
    color = COLORS[record["color"]] if record["color"] else None
    image = objects.picture(name, color, ambient)
    floats = home == "a"
    for x in _columns(count, side, center):
        x += float(rng.uniform(-4, 4))
        if scene in words.SKYLESS:
            y = 128 + float(rng.uniform(-8, 8))
        elif floats:
            y = max(view.horizon * 0.62, side * 0.55) + float(rng.uniform(-6, 6))
        else:
            y = view.ground - (bottom - 0.5) * side + float(rng.uniform(-3, 3))
            wet = scene == "sea"
            shadow = mix(view.light.ambient, (0, 0, 0), 0.8)
            paint.ellipse(
                x,
                view.ground - (2 if wet else 1),
                side * 0.4,
                side * 0.06,
                shadow,
                0.2 if wet else 0.28,
                blur=3,
            )
        paint.image(image, x, y, side)
