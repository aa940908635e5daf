"""Places of fancy: space, clouds, magic woods, and landmarks out of tales."""

from __future__ import annotations

import numpy as np

from . import flora, vessels
from .paint import SIZE, mix, palette, polar, rgb, shade, wave
from .scenery import Scenery, View

PLANETS = palette("#f2a154 #5ec6c0 #d9689a #8f9be8 #e0c36a #7fc47a")


def _deep_space(s: Scenery) -> None:
    codes = ("#2d2260 #131138 #070716", "#123a58 #0c1c40 #050a1c", "#4a1a58 #220f40 #0a0618")
    x, y = s.uniform(50, 206), s.uniform(40, 200)
    s.paint.radial(palette(codes[int(s.rng.integers(3))]), x, y, 220)
    for code in ("#a04fd0", "#2f7fe0"):
        s.paint.glow(s.uniform(20, 236), s.uniform(20, 236), s.uniform(80, 130), rgb(code), 0.4)
    s.stars(40, 256)


def planet(s: Scenery, x: float, y: float, r: float) -> None:
    color = PLANETS[int(s.rng.integers(len(PLANETS)))]
    s.paint.glow(x, y, r * 1.6, color, 0.5)
    s.paint.circle(x, y, r, shade(color, -0.25))
    with s.paint.within_circle(x, y, r):
        s.paint.circle(x - r * 0.22, y - r * 0.22, r, color)
        for dy, tone in ((-0.4, -0.12), (0.05, 0.22), (0.45, -0.12)):
            s.paint.ellipse(x - r * 0.2, y + dy * r, r * 1.1, r * 0.13, shade(color, tone))
    if s.chance(0.45):
        ring = [
            (x + 1.75 * r * float(np.cos(a)), y + 0.5 * r * float(np.sin(a)))
            for a in np.linspace(-0.3, np.pi + 0.3, 22)
        ]
        s.paint.line(ring, shade(color, 0.45), max(3.0, r * 0.14))


def space(s: Scenery) -> View:
    _deep_space(s)
    for corner in s.rng.permutation(4)[:2].tolist():
        x, y = 48 + 160 * (corner % 2), 48 + 160 * (corner // 2)
        planet(s, x + s.uniform(-18, 18), y + s.uniform(-18, 18), s.uniform(18, 38))
    return View(196, 128, "air", 150)


def moon(s: Scenery) -> View:
    _deep_space(s)
    x, y, r = s.uniform(50, 206), s.uniform(46, 80), s.uniform(26, 38)
    s.paint.glow(x, y, r * 1.7, rgb("#7fc4ff"), 0.6)
    s.paint.circle(x, y, r, rgb("#2f7fd8"))
    for dx, dy, w, h in (
        (-0.3, -0.2, 0.5, 0.3),
        (0.3, 0.25, 0.45, 0.35),
        (-0.15, 0.55, 0.35, 0.18),
    ):
        s.paint.ellipse(x + dx * r, y + dy * r, w * r, h * r, rgb("#5fb86a"))
    for base, code in ((176, "#8f909c"), (196, "#b4b5bf"), (216, "#d4d4da")):
        s.paint.land(
            wave(base, 7, s.uniform(160, 260), s.uniform(0, 6)),
            rgb(code),
            shade(rgb(code), -0.14),
            14,
            60,
        )
    for _ in range(5):
        cx, cy, w = s.uniform(0, 256), s.uniform(206, 250), s.uniform(10, 22)
        s.paint.ellipse(cx, cy, w, w * 0.32, rgb("#a4a5b0"))
        s.paint.ellipse(cx + 1.5, cy + 1.5, w * 0.8, w * 0.24, rgb("#8f909c"))
    return View(238, 170, far_ground=204)


def station(s: Scenery) -> View:
    _deep_space(s)
    planet(s, s.uniform(80, 176), s.uniform(90, 130), s.uniform(46, 64))
    hull = rgb(("#5f6a80", "#6a6478", "#4f6a70")[int(s.rng.integers(3))])
    s.paint.outside_oval(22, -34, 212, 242, hull)
    s.paint.line(
        [polar(128, 87, 114, a) for a in np.linspace(0, 2 * np.pi, 60)], shade(hull, 0.3), 7
    )
    s.paint.vertical([shade(hull, 0.1), shade(hull, -0.3)], 206, SIZE)
    s.paint.rect(0, 204, SIZE, 5, shade(hull, 0.4))
    for i, x in enumerate((14, 34, 206, 226)):
        s.paint.rect(x, 178, 14, 9, rgb(("#5ff0c0", "#ffcf5a", "#ff7a8a", "#6fc8ff")[i]), corner=3)
    return View(240, 206, far_ground=218)


def clouds(s: Scenery) -> View:
    s.sky(190)
    white = mix(s.lit(rgb("#ffffff")), s.haze, 0.1)
    for base, far, r in ((160, 0.55, 26), (186, 0.34, 34), (214, 0.16, 42), (250, 0.02, 54)):
        color = mix(white, s.stops[1], far)
        x = -20 + s.uniform(-20, 0)
        while x < 290:
            size = r * s.uniform(0.75, 1.25)
            s.paint.circle(x, base + s.uniform(-6, 6), size, color)
            s.paint.circle(
                x - size * 0.2,
                base - size * 0.3,
                size * 0.6,
                shade(color, 0.12 if not s.dark else 0.05),
            )
            x += size * 1.05
        s.paint.land([(-40, base + 4), (300, base + 4)], color)
        s.paint.vertical([color, mix(color, s.stops[1], 0.3)], base + 4, SIZE)
    return View(196, 170, "air", 150)


def floating(s: Scenery) -> View:
    s.sky(256)
    for x, y, h, far in (
        (s.uniform(20, 60), 118, 62, 0.45),
        (s.uniform(190, 236), 96, 80, 0.35),
        (s.uniform(60, 200), 76, 44, 0.55),
    ):
        s.place(vessels.floating_island, x, y, h, far)
    s.mist(190, 150, 0.5)
    rock = s.code("#8a7468", 0.08)
    s.paint.polygon([(14, 214), (50, 252), (92, 290), (170, 290), (212, 250), (244, 214)], rock)
    s.paint.polygon(
        [(130, 214), (244, 214), (212, 250), (170, 290), (120, 290)], shade(rock, -0.18)
    )
    s.paint.ellipse(129, 214, 118, 19, s.lit(s.grass))
    s.paint.ellipse(129, 210, 108, 14, shade(s.lit(s.grass), 0.1))
    s.place(flora.oak, 44, 212, 62, 0.04)
    for i in range(5):
        fx = 66 + 34 * i
        s.place(flora.flower, fx, 226, 18)
    if s.weather not in ("clouds",):
        s.cloud(s.uniform(20, 236), 170, 0.9)
    return View(222, 200, far_ground=208)


def enchanted(s: Scenery) -> View:
    s.sky(190)
    glow = rgb(("#7fe0c8", "#c89af8", "#ffd88a")[int(s.rng.integers(3))])
    s.paint.glow(128, 130, 170, glow, 0.55)
    for count, y, h, far in ((7, 196, 150, 0.55), (6, 208, 190, 0.3)):
        s.row(flora.oak, count, y, h, far)
        s.paint.vertical([glow] * 3, y - 70, y + 20, alphas=[0, 0.3, 0])
    s.ground(206, rgb("#3f7a5a"))
    for x, y, h in ((30, 222, 76), (58, 232, 46), (204, 228, 56), (234, 220, 88)):
        s.place(flora.giant_mushroom, x + s.uniform(-6, 6), y, h)
    for _ in range(10):
        x, y = s.uniform(10, 246), s.uniform(60, 214)
        s.paint.glow(x, y, 11, rgb("#fff6b0"), 0.9)
        s.paint.circle(x, y, 2.2, rgb("#fffbe0"))
    return View(240, 190, far_ground=214)


def candy(s: Scenery) -> View:
    s.paint.vertical(palette("#8fd8f8 #ffd8ec #fff3d8"), 0, 170)
    for x, y in ((50, 46), (196, 34)):
        for dx, r in ((-18, 13), (0, 19), (18, 13)):
            s.paint.circle(x + dx, y, r, rgb("#ffc4e0"))
    for base, code in ((140, "#f9a8d4"), (166, "#b8f0d0"), (190, "#fff0c0")):
        line = wave(base, 13, s.uniform(170, 260), s.uniform(0, 6))
        s.paint.land([(x, y - 6) for x, y in line], rgb("#fffaf4"), smooth=14)
        s.paint.land(line, rgb(code), shade(rgb(code), -0.06), 14)
    for x, y, h in ((24, 196, 100), (62, 186, 66), (200, 188, 74), (236, 200, 112)):
        with s.paint.moved(x, y, h / 100):
            flora.giant_lollipop(s.kit())
    s.paint.land(wave(212, 4, 230, s.uniform(0, 6)), rgb("#c98a5a"), rgb("#a86a42"), 10)
    cream = wave(209, 4, 64, s.uniform(0, 6), 0.1)
    s.paint.line(cream, rgb("#fff6ee"), 9)
    for i in range(9):
        s.paint.circle(12 + 29 * i, 236 + 6 * (i % 2), 4.5, PLANETS[i % 6])
    return View(236, 150, far_ground=210)


def japan(s: Scenery) -> View:
    s.sky(160)
    slope = s.code("#6f86b5", 0.3)
    x = s.uniform(96, 160)
    cone = [
        (-60, 176),
        (x - 92, 150),
        (x - 20, 70),
        (x - 8, 64),
        (x + 8, 64),
        (x + 20, 70),
        (x + 92, 150),
        (316, 176),
    ]
    s.paint.land(cone, slope, mix(slope, s.haze, 0.75), 12, 106)
    white = s.code("#f6fafe", 0.08)
    s.paint.polygon(
        [
            (x - 20, 70),
            (x - 8, 64),
            (x + 8, 64),
            (x + 20, 70),
            (x + 44, 98),
            (x + 26, 93),
            (x + 14, 104),
            (x, 94),
            (x - 14, 106),
            (x - 26, 92),
            (x - 44, 98),
        ],
        white,
        smooth=4,
    )
    s.mist(166, 50, 0.7)
    s.hill(172, 6, rgb("#6f9a78"), 0.3)
    s.water(178, rgb("#3f86b0"), 0.55, bottom=226)
    gate = s.code("#d9402f")
    gx = 60 if s.chance(0.5) else 196
    for dx in (-17, 17):
        s.paint.rect(gx + dx - 3, 156, 6, 50, gate)
    s.paint.polygon([(gx - 32, 146), (gx + 32, 146), (gx + 28, 154), (gx - 28, 154)], gate)
    s.paint.rect(gx - 24, 162, 48, 5, gate)
    s.ground(216, rgb("#7aa860"))
    s.place(flora.blossom_tree, 226 if gx < 128 else 30, 232, 142, 0.02)
    return View(240, 160, far_ground=220)


def ruins(s: Scenery) -> View:
    s.sky(164)
    s.hill(154, 11, rgb("#9ab07a"), 0.45)
    s.hill(172, 6, rgb("#a8b070"), 0.22)
    stone = s.code("#e6dcc8", 0.06)
    for i, (x, top) in enumerate(((26, 74), (70, 92), (186, 74), (230, 116))):
        s.paint.rect(x - 12, top, 24, 206 - top, stone)
        for dx in (-4, 4):
            s.paint.rect(x + dx - 1, top, 3, 206 - top, shade(stone, -0.12))
        s.paint.rect(x - 17, 198, 34, 10, shade(stone, -0.06))
        if i in (0, 2):
            s.paint.rect(x - 18, top - 10, 36, 12, shade(stone, 0.1))
    s.paint.rect(2, 54, 96, 13, stone)
    s.paint.polygon([(84, 54), (98, 54), (98, 67), (90, 67)], shade(stone, -0.14))
    s.ground(204, rgb("#a3a862"))
    for x, w in ((106, 26), (160, 34), (212, 22)):
        s.paint.polygon(
            [(x - w / 2, 222), (x - w * 0.4, 210), (x + w * 0.3, 208), (x + w / 2, 222)],
            shade(stone, -0.08),
        )
    s.place(flora.cypress, 128 + s.uniform(-16, 16), 198, 62, 0.25)
    return View(242, 164, far_ground=214)


def synthgrid(s: Scenery) -> View:
    s.paint.vertical(palette("#150a38 #4a1a80 #d0368f #ff8a6a"), 0, 150)
    s.stars(20, 90)
    x, r = s.uniform(100, 156), 54
    s.paint.glow(x, 108, 110, rgb("#ff5fa8"), 0.6)
    with s.paint.within_circle(x, 106, r):
        s.paint.vertical(palette("#ffe86a #ff9a4a #ff3f8f"), 52, 160)
        for i in range(5):
            s.paint.rect(x - 60, 104 + 11 * i, 120, 2.5 + 1.1 * i, rgb("#8a2a88"))
    line = s.ridge(152, 44, 4)
    s.paint.land(line, rgb("#2a1460"))
    s.paint.line(line, rgb("#5fe8ff"), 2.2)
    s.paint.vertical(palette("#2a0f58 #0c0524"), 150, SIZE)
    for i in range(-9, 10):
        s.paint.line([(128 + 13 * i, 151), (128 + 62 * i, 262)], rgb("#ff4fc8"), 2)
    for t in (0.0, 0.07, 0.17, 0.31, 0.5, 0.76):
        s.paint.line([(-4, 151 + 106 * t), (260, 151 + 106 * t)], rgb("#ff4fc8"), 1.6 + t)
    return View(230, 150, far_ground=176)


PLACES = {
    "space": space,
    "moon": moon,
    "station": station,
    "clouds": clouds,
    "floating": floating,
    "enchanted": enchanted,
    "candy": candy,
    "japan": japan,
    "ruins": ruins,
    "synthgrid": synthgrid,
}
