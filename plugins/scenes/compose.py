"""Put a record on paper: the ground or the place, the objects in it, their shadows and light."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import skia

from . import words
from .grounds import paint_ground
from .kit import Kit
from .objects import Look, draw
from .paint import SIZE, Paint, colour4, mix, shade
from .patterns import paint_pattern
from .places import PLACES
from .scenery import Scenery, View
from .things import GROUPS, OBJECTS, object_words
from .words import COLORS

Record = dict[str, Any]
SIDES = {"small": 68.0, "medium": 112.0, "large": 156.0}
WIDEST = {1: 168.0, 2: 116.0, 3: 90.0}
CENTERS = {"left": 76.0, "center": 128.0, "right": 180.0}
"""Of objects in scenes: sides, the largest for so many, and middles, in pixels of 256."""
PORTRAIT = {2: 122.0, 3: 94.0}
CLOSE_UP = 300.0, 292.0
"""Sides of two and of three in a portrait; side and feet of a close-up."""


def compose(record: Record, rng: np.random.Generator) -> np.ndarray:
    """The flat picture of a record, (256, 256, 3) uint8, before style and grade."""
    paint = Paint(paper=record["style"] == "paper cut")
    if record["kind"] == "pattern":
        paint_pattern(paint, rng, record["pattern"], [COLORS[c] for c in record["colors"]])
    elif record["kind"] == "portrait":
        _portrait(paint, rng, record)
    else:
        _scene(paint, rng, record)
    return paint.array()


def _dye(record: Record) -> tuple[float, float, float] | None:
    return COLORS[record["color"]] if record["color"] else None


def _cast(record: Record) -> list[str]:
    """The poses to draw, from left to right."""
    if record["second"]:
        pair = [record["pose"], record["second_pose"]]
        return pair[::-1] if record["flip"] else pair
    return [record["pose"]] * record["count"]


def columns(count: int, side: float, center: float) -> list[float]:
    """The middles of `count` objects side by side around `center`, in pixels."""
    return [
        center + (i - (count - 1) / 2) * side * (0.98, 0.98, 0.86)[count - 1] for i in range(count)
    ]


def _portrait(paint: Paint, rng: np.random.Generator, record: Record) -> None:
    base = COLORS[record["colors"][0]]
    second = COLORS[record["colors"][1]] if len(record["colors"]) > 1 else None
    paint_ground(paint, rng, record["ground"], base, second)
    cast = _cast(record)
    side = {1: float(rng.uniform(168, 198)), **PORTRAIT}[len(cast)]
    feet = 128 + side * 0.5
    if record["view"] == "close-up":
        side, feet = CLOSE_UP
    elif record["ground"] == "sunset":
        feet = min(feet, 222.0)
    floats = object_words(OBJECTS[record["object"]]).home == "a" and record["ground"] != "sunset"
    look = Look(Kit(paint, rng, lambda c: c, color=_dye(record)), strength=0.12)
    shadow = shade(base, -0.7)
    for pose, x in zip(cast, columns(len(cast), side, 128), strict=True):
        if record["view"] != "close-up":
            drop = 12 if floats else 0
            paint.ellipse(x, feet + drop, side * 0.34, side * 0.045, shadow, 0.22, blur=3)
        lit = look if pose == record["pose"] else replace(look, kit=look.kit.plain())
        draw(
            paint,
            pose,
            lit,
            x,
            feet,
            side,
            record["turn"],
            record["flip"],
            _is_person(record, pose),
        )


def _is_person(record: Record, pose: str) -> bool:
    name = record["object"] if pose == record["pose"] else record["second"]
    return name in GROUPS["people"] or name in GROUPS["fantasy"]


def _scene(paint: Paint, rng: np.random.Generator, record: Record) -> None:
    scene = record["scene"]
    time = record["time"] or "day"
    season = record["season"] or "summer"
    scenery = Scenery(paint, rng, time, record["weather"], season)
    view = _place(scenery, scene)
    if record["object"]:
        _stand_in(scenery, record, view)
    if scene not in words.INDOORS:
        scenery.veil(view.ground - 40)


def _place(s: Scenery, scene: str) -> View:
    """Paint a place, mirrored or not and seen from more or less near."""
    zoom, flip = s.uniform(1.0, 1.12), s.chance(0.5)
    with s.paint.moved(128, 238, zoom, flip=flip):
        s.paint.canvas.translate(-128, -238)
        view = PLACES[scene](s)
    x, y = s.sun
    s.sun = (128 + (x - 128) * (-zoom if flip else zoom), 238 + (y - 238) * zoom)
    ground, horizon, far = (
        238 + (y - 238) * zoom for y in (view.ground, view.horizon, view.far_ground)
    )
    return replace(view, ground=min(ground, 244.0), horizon=horizon, far_ground=far)


def _look(scenery: Scenery, record: Record, far: float) -> Look:
    light = scenery.light
    soft = 0.62 if scenery.dark else 0.25
    ambient = mix(light.ambient, (1, 1, 1), soft)
    tint, tinted = (
        mix(light.tint, scenery.haze, 0.3),
        light.tinted * (0.3 if scenery.dark else 0.45) + far,
    )
    if record["scene"] in words.SKYLESS:
        ambient, tint, tinted = (1.0, 1.0, 1.0), light.tint, 0.0
    if record["scene"] == "underwater":
        ambient, tint, tinted = (0.86, 0.96, 1.0), (0.2, 0.55, 0.8), 0.14
    if record["scene"] == "cave":
        ambient = (0.88, 0.84, 0.95)

    def tone(color: tuple[float, float, float]) -> tuple[float, float, float]:
        seen = (color[0] * ambient[0], color[1] * ambient[1], color[2] * ambient[2])
        return mix(seen, tint, tinted)

    glow = scenery.dark or scenery.time == "sunset"
    kit = Kit(scenery.paint, scenery.rng, tone, scenery.season, glow, _dye(record))
    strength = {"day": 0.14, "golden": 0.34, "sunset": 0.42, "dawn": 0.26}.get(scenery.time, 0.24)
    if record["weather"] in ("fog", "rain", "storm"):
        strength *= 0.4
    side = -1 if scenery.sun[0] < 128 else 1
    return Look(kit, ambient, tint, tinted, light.rim, strength, side)


def _stand_in(s: Scenery, record: Record, view: View) -> None:
    """Put the object into the scene: on the ground, in the air or afloat."""
    cast = _cast(record)
    home = object_words(OBJECTS[record["object"]]).home
    side = SIDES[record["size"]] * s.uniform(0.94, 1.08)
    side = min(side, WIDEST[len(cast)])
    center = CENTERS[record["place"]]
    distant = record["view"] == "distant"
    flies = view.surface == "air" or (
        home == "a" and view.surface != "table" and record["second"] is None
    )
    look = _look(s, record, 0.22 if distant else 0.0)
    for pose, x in zip(cast, columns(len(cast), side, center), strict=True):
        kit = look.kit if pose == record["pose"] else look.kit.plain()
        if flies:
            low = (
                view.ground - 18 if view.surface == "air" else max(view.horizon * 0.95, side + 12)
            )
            feet = min(low, 128 + side * 0.5) + s.uniform(-10, 6)
        elif distant:
            side, feet = 46.0, max(view.far_ground, view.horizon + 10)
        else:
            feet = view.ground + s.uniform(-4, 3)
        x += s.uniform(-4, 4)
        wet = view.surface == "water" and not flies
        if not flies and not wet:
            _shadow(s, look, x, feet, side)
        if s.dark and record["scene"] not in words.SKYLESS:
            s.paint.glow(x, feet - side * 0.5, side * 0.85, mix(s.haze, s.light.rim, 0.4), 0.42)
        people = _is_person(record, pose)
        draw(s.paint, pose, replace(look, kit=kit), x, feet, side, 0, record["flip"], people)
        if wet:
            _afloat(s, x, feet, side)


def _shadow(s: Scenery, look: Look, x: float, feet: float, side: float) -> None:
    """A contact shadow, drawn out away from a low sun."""
    low = s.light.disc in ("low sun", "big sun") and s.weather == "clear"
    reach = side * (0.3 if low else 0.06) * -look.side
    color = shade(s.light.ambient, -0.85)
    s.paint.ellipse(
        x + reach, feet, side * (0.5 if low else 0.38), side * 0.055, color, 0.32, blur=3
    )


def _afloat(s: Scenery, x: float, feet: float, side: float) -> None:
    """Sink the object's foot into the water and mirror it below the waterline."""
    waterline = feet - side * 0.06
    depth = min(side * 0.42, SIZE - waterline)
    if depth < 4:
        return
    picture = s.paint.surface.makeImageSnapshot()
    sheet = skia.Rect(x - side * 0.62, waterline, x + side * 0.62, waterline + depth)
    canvas = s.paint.canvas
    water = mix(s.lit((0.2, 0.45, 0.65)), s.stops[0], 0.3)
    s.paint.rect(sheet.left(), waterline, sheet.width(), side * 0.07, water, 0.75, 3)
    canvas.saveLayer(sheet, skia.Paint(ImageFilter=skia.ImageFilters.Blur(0.8, 1.5)))
    canvas.save()
    canvas.clipRect(sheet)
    canvas.translate(0, waterline * 1.6)
    canvas.scale(1, -0.6)
    canvas.drawImageRect(
        picture, skia.Rect(0, 0, SIZE, SIZE), skia.SamplingOptions(skia.FilterMode.kLinear),
        skia.Paint(Alphaf=0.6),
    )  # fmt: skip
    canvas.restore()
    fade = skia.GradientShader.MakeLinear(
        points=[(0, waterline), (0, waterline + depth)],
        colors=[colour4((0, 0, 0)), colour4((0, 0, 0), 0)],
    )
    canvas.drawRect(sheet, skia.Paint(Shader=fade, BlendMode=skia.BlendMode.kDstIn))
    sides = skia.GradientShader.MakeLinear(
        points=[(sheet.left(), 0), (sheet.right(), 0)],
        colors=[
            colour4((0, 0, 0), 0),
            colour4((0, 0, 0)),
            colour4((0, 0, 0)),
            colour4((0, 0, 0), 0),
        ],
        positions=[0, 0.2, 0.8, 1],
    )
    canvas.drawRect(sheet, skia.Paint(Shader=sides, BlendMode=skia.BlendMode.kDstIn))
    canvas.restore()
    foam = mix(s.light.rim, (1, 1, 1), 0.5)
    for dx, w in ((-0.34, 0.22), (0.08, 0.3), (0.36, 0.16)):
        s.paint.rect(x + dx * side - w * side / 2, waterline - 1, w * side, 3, foam, 0.7, 1.5)
