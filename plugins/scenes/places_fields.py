"""Places that people tend: meadows, fields, terraces, gardens, parks."""

from __future__ import annotations

from . import buildings, flora
from .paint import mix, rgb, shade, wave
from .scenery import Scenery, View

ROCK = rgb("#7385a3")


def meadow(s: Scenery) -> View:
    s.sky(142)
    s.peaks(150, 52, 0.6, 3, ROCK, 0.2)
    for base, far in ((142, 0.5), (154, 0.28)):
        s.hill(base, 9, rgb("#6fb56a"), far)
    s.ground(166, rgb("#5fb04c"), 3)
    s.blooms(168, 8, "#f25f73 #ffd447 #ffffff #b178e6 #ff9ad0")
    return View(238, 150, far_ground=182)


def lavender(s: Scenery) -> View:
    s.sky(140)
    s.hill(140, 9, rgb("#7f9fb0"), 0.5)
    s.hill(152, 5, rgb("#7fae6a"), 0.25)
    s.paint.land([(-40, 158), (300, 158)], s.code("#7d6a4e"))
    center = s.uniform(100, 156)
    for i in range(-9, 10):
        x = center + i * 34
        a, b = center + i * 7, center + (i + 0.62) * 7
        color = s.code("#9a6fd0" if i % 2 else "#8a5cc6")
        s.paint.polygon(
            [(a, 158), (b, 158), (x + 60 * i / 9 + 25, 262), (x + 60 * i / 9, 262)], color
        )
    s.place(flora.cypress if s.chance(0.5) else flora.oak, s.uniform(30, 226), 164, 46, 0.12)
    return View(240, 140, far_ground=174)


def terraces(s: Scenery) -> View:
    s.sky(118)
    s.peaks(122, 56, 0.58, 3, rgb("#5f8a78"), 0.0)
    s.mist(120, 40, 0.6)
    phase = s.uniform(0, 6)
    for i in range(8):
        t = i / 7
        y = 122 + 116 * t**1.15
        green = mix(rgb("#9ecf5a"), rgb("#4f9c48"), (i % 2) * 0.8)
        line = wave(y, 5 + 4 * t, 300, phase + 0.5 * i, 0.25)
        s.paint.land(
            [(a, b - 2.5 - 2 * t) for a, b in line], s.code("#e4efb0", 0.4 - 0.4 * t), smooth=12
        )
        s.paint.land(line, s.lit(green, 0.36 - 0.36 * t), smooth=12)
        if i in (3, 6):
            s.paint.land(
                [(a, b + 7 + 3 * t) for a, b in line], mix(s.haze, s.stops[0], 0.3), smooth=12
            )
    s.place(flora.palm, s.uniform(14, 60), 196, 62, 0.1)
    return View(240, 118, far_ground=190)


def farm(s: Scenery) -> View:
    s.sky(150)
    s.hill(146, 9, s.grass_far, 0.45)
    s.hill(158, 6, rgb("#d9b956"), 0.25)
    s.place(buildings.windmill if s.chance(0.4) else flora.oak, s.uniform(20, 70), 170, 62, 0.2)
    s.place(buildings.barn, s.uniform(150, 220), 178, 78, 0.08)
    ripe = s.season != "winter"
    s.ground(178, rgb("#e5b945") if ripe else None, 3)
    x0 = s.uniform(90, 166)
    for i in range(-10, 11):
        color = s.code("#c9962f" if ripe else "#d3e1ef")
        s.paint.line([(x0 + i * 9, 181), (x0 + i * 44, 262)], color, 4, 0.8)
    for x in range(-4, 262, 26):
        s.paint.rect(x, 196, 5, 20, s.code("#fbf4e6"), corner=2)
    for y in (200, 208):
        s.paint.rect(-4, y, 266, 4, s.code("#fbf4e6"))
    return View(242, 150, far_ground=192)


def vineyard(s: Scenery) -> View:
    s.sky(140)
    for base, far in ((126, 0.58), (142, 0.36)):
        s.hill(base, 12, rgb("#8fae5f"), far)
    s.place(buildings.house, 186, 150, 44, 0.2, color=rgb("#f0cf9a"))
    for x in (152, 164, 216):
        s.place(flora.cypress, x, 152, s.uniform(40, 54), 0.2)
    s.ground(156, rgb("#b08a58"), 3)
    x0 = s.uniform(80, 176)
    green = {"autumn": "#c9632f", "winter": "#a89a8a"}.get(s.season, "#4f9444")
    for i in range(-6, 7):
        for t in (0.05, 0.16, 0.32, 0.55, 0.85):
            y = 162 + 100 * t
            x, r = x0 + i * (13 + 52 * t), 5 + 13 * t
            s.paint.ellipse(x, y - r, r * 1.2, r, s.code(green, 0.3 - 0.3 * t))
            s.paint.ellipse(
                x - r * 0.2,
                y - r * 1.2,
                r * 0.8,
                r * 0.6,
                shade(s.code(green, 0.3 - 0.3 * t), 0.12),
            )
    return View(242, 140, far_ground=176)


def garden(s: Scenery) -> View:
    s.sky(140)
    s.row(flora.bush, 6, 162, 74, 0.3)
    s.paint.rect(-4, 150, 264, 5, s.code("#f6efe4"))
    for x in range(2, 260, 16):
        s.paint.polygon(
            [(x, 172), (x, 142), (x + 5, 136), (x + 10, 142), (x + 10, 172)], s.code("#fdf8f0")
        )
    s.ground(170, None, 2)
    path = s.code("#e8d8b4" if s.season != "winter" else "#d5e0ec")
    s.paint.polygon([(116, 171), (138, 171), (196, 262), (60, 262)], path, smooth=10)
    if s.season != "winter":
        for side in (-1, 1):
            for i in range(6):
                y, h = 184 + 14 * i, 26 + 8 * i
                x = 128 + side * (26 + 17 * i + s.uniform(-4, 4))
                s.place(flora.flower, x, y, h)
                s.place(flora.flower, x + side * (28 + 6 * i), y + 6, h)
    s.place(
        flora.blossom_tree if s.season == "spring" else flora.oak,
        24 if s.chance(0.5) else 232,
        184,
        112,
        0.05,
    )
    return View(242, 140, far_ground=184)


def park(s: Scenery) -> View:
    s.sky(150)
    s.row(flora.oak, 8, 164, 56, 0.45)
    s.mist(160, 50, 0.3)
    s.ground(160, None, 4)
    path = s.code("#e4d4b0" if s.season != "winter" else "#d5e0ec")
    s.paint.polygon(
        [
            (140, 162),
            (150, 162),
            (110, 190),
            (160, 226),
            (210, 262),
            (20, 262),
            (40, 226),
            (76, 190),
        ],
        path,
        smooth=30,
    )
    tree = flora.blossom_tree if s.season == "spring" else flora.oak
    s.place(tree, 30, 212, 128, 0.05)
    s.place(tree, 238, 190, 92, 0.12)
    s.place(buildings.townlamp, 196, 206, 78, 0.05)
    wood = s.code("#9a6a42")
    for y in (196, 203):
        s.paint.rect(200, y, 52, 5, wood, corner=2)
    for x in (206, 240):
        s.paint.rect(x, 200, 4, 20, s.code("#3a3f4a"))
    return View(244, 150, far_ground=180)


PLACES = {
    "meadow": meadow,
    "lavender": lavender,
    "terraces": terraces,
    "farm": farm,
    "vineyard": vineyard,
    "garden": garden,
    "park": park,
}
