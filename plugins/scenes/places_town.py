"""Places where people live: towns, roads, fields, rooms."""

from __future__ import annotations

import numpy as np

from . import buildings, flora
from .paint import SIZE, mix, rgb, shade
from .scenery import Scenery, View

ROCK = rgb("#7385a3")


def _pave(s: Scenery, code: str) -> tuple[float, float, float]:
    return s.code("#e6edf5" if s.season == "winter" else code)


def city(s: Scenery) -> View:
    s.sky(205)
    lamps = s.dark or s.time == "sunset"
    for far, height, width, code in (
        (0.62, 118, 26, "#8fa0c4"), (0.36, 96, 32, "#7488b0"), (0.1, 76, 40, "#56648c"),
    ):  # fmt: skip
        x = -s.uniform(0, 14)
        while x < SIZE:
            w, h = s.uniform(0.8, 1.25) * width, s.uniform(0.45, 1.15) * height
            color = s.code(code, far)
            s.paint.rect(x, 214 - h, w - 1, h + 4, color)
            if s.chance(0.3):
                s.paint.rect(x + w * 0.3, 206 - h, w * 0.4, 10, color)
            if far < 0.2:
                s.paint.rect(x + w * 0.7, 214 - h, w * 0.3 - 1, h, shade(color, -0.14))
            if far < 0.5:
                pane = rgb("#ffd86b") if lamps else mix(color, (0.9, 0.97, 1), 0.5)
                for wy in np.arange(214 - h + 8, 204, 14).tolist():
                    for wx in np.arange(x + 5, x + w - 9, 11).tolist():
                        if s.chance(0.6 if lamps else 0.85):
                            s.paint.rect(wx, wy, 6, 8, mix(pane, s.haze, far * 0.6), corner=1)
            x += w
        if far > 0.2:
            s.mist(206, 70, 0.35)
    s.paint.rect(0, 212, SIZE, 8, _pave(s, "#a8a8a8"))
    s.paint.rect(0, 219, SIZE, 50, _pave(s, "#4c505c"))
    for x in range(-10, 256, 52):
        s.paint.rect(x, 240, 30, 4, s.code("#f4e6b0"), corner=1)
    return View(240, 200, far_ground=217)


def street(s: Scenery) -> View:
    s.sky(170)
    for far, h, y in ((0.4, 0.62, 176), (0.0, 0, 0)):
        if h:
            for i in range(6):
                with s.paint.moved(66 + 25 * i, y, h * s.uniform(0.8, 1.0)):
                    buildings.townhouse(s.kit(far))
            s.mist(170, 50, 0.3)
    for side in (0, 1):
        for x, size in ((86, 1.15), (46, 1.6), (-6, 2.3)):
            with s.paint.moved(256 - x if side else x, 176 + 22 * (size - 0.85), size):
                buildings.townhouse(s.kit(0.2 - 0.1 * (size - 0.85)))
    road = _pave(s, "#7a7684")
    s.paint.polygon([(112, 176), (144, 176), (300, 262), (-44, 262)], road)
    for i in range(4):
        y = 184 + 22 * i
        s.paint.line([(112 - i * 40, y), (144 + i * 40, y)], shade(road, -0.12), 2)
    for x, y, h in ((84, 196, 66), (172, 196, 66), (34, 236, 122), (222, 236, 122)):
        s.place(buildings.townlamp, x, y, h, 0.05)
    return View(244, 170, far_ground=192)


def village(s: Scenery) -> View:
    s.sky(160)
    s.peaks(164, 60, 0.58, 3, ROCK)
    for base, far in ((158, 0.42), (176, 0.2)):
        s.hill(base, 11, s.grass_far, far)
    s.place(buildings.house, s.uniform(50, 206), 182, 30, 0.25)
    s.ground(196)
    for i, x in enumerate(np.linspace(30, 226, 4).tolist()):
        x += s.uniform(-8, 8)
        if i % 2:
            s.place(flora.oak, x + 32, 208, 62, 0.05)
        maker = buildings.house if s.chance(0.7) else buildings.cottage
        s.place(maker, x, 210 + s.uniform(-5, 4), s.uniform(50, 62), 0.03)
    path = s.code("#e4d2a8" if s.season != "winter" else "#dfe8f2")
    s.paint.polygon([(120, 206), (134, 206), (186, 262), (70, 262)], path, smooth=14)
    return View(242, 160, far_ground=214)


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


def road(s: Scenery) -> View:
    s.sky(146)
    s.peaks(150, 66, 0.45, 3, ROCK)
    s.mist(148, 36, 0.5)
    s.ground(148, s.grass, 3)
    bend = s.uniform(-40, 40)
    asphalt = _pave(s, "#5a5c68")
    s.paint.polygon([(125 + bend, 150), (131 + bend, 150), (204, 262), (52, 262)], asphalt)
    for t0, t1 in ((0.03, 0.08), (0.14, 0.24), (0.34, 0.5), (0.66, 0.9)):
        x0, x1 = 128 + bend * (1 - t0), 128 + bend * (1 - t1)
        w0, w1 = 0.5 + 4 * t0, 0.5 + 4 * t1
        a, b = 150 + 112 * t0, 150 + 112 * t1
        s.paint.polygon(
            [(x0 - w0, a), (x0 + w0, a), (x1 + w1, b), (x1 - w1, b)], s.code("#f8e6a0")
        )
    tree = flora.pine if s.chance(0.5) else flora.oak
    for t in (0.06, 0.2, 0.48):
        for side in (-1, 1):
            x = 128 + bend * (1 - t) + side * (14 + 165 * t)
            s.place(tree, x, 152 + 90 * t, 26 + 130 * t, 0.3 * (1 - 2 * t))
    return View(244, 146, far_ground=176)


def fairytale(s: Scenery) -> View:
    s.sky(150)
    s.hill(134, 12, s.grass_far, 0.55)
    s.mist(140, 50, 0.4)
    s.paint.land(
        [(-40, 190), (60, 176), (104, 142), (152, 142), (196, 176), (300, 188)],
        s.lit(s.grass_far, 0.18),
        s.lit(s.grass, 0.1),
        40,
    )
    s.place(buildings.castle, 128, 148, 122, 0.08)
    s.paint.polygon(
        [
            (124, 147),
            (132, 147),
            (150, 176),
            (120, 200),
            (170, 232),
            (80, 232),
            (104, 200),
            (132, 174),
        ],
        s.code("#e8d8b4"),
        smooth=24,
    )
    for x, y in ((56, 184), (84, 176), (182, 178), (206, 184)):
        s.place(flora.pine, x, y, 34, 0.14)
    s.ground(212)
    for x in (10, 246):
        s.place(flora.oak, x, 222, 96, 0.02)
    if s.season != "winter":
        s.blooms(220, 2, "#ff9ad0 #ffffff #ffd447")
    return View(242, 150, far_ground=206)


def _wall(s: Scenery) -> tuple[float, float, float]:
    walls = ("#e8b48f", "#a8c8c0", "#c8a8c4", "#f0d8a0", "#8fa8c8", "#c46a58", "#5f8f80")
    return rgb(walls[int(s.rng.integers(len(walls)))])


def table(s: Scenery) -> View:
    wall = _wall(s)
    s.paint.linear([shade(wall, 0.28), shade(wall, -0.12)], (40, 0), (216, 200))
    if s.chance(0.5):
        s.paint.polygon([(150, 0), (236, 0), (120, 190), (34, 190)], (1, 0.97, 0.85), 0.22)
    wood = rgb(("#a8713f", "#8a5a3a", "#c99a62", "#6a4636")[int(s.rng.integers(4))])
    s.paint.vertical([shade(wood, 0.16), shade(wood, -0.12)], 186, SIZE)
    s.paint.rect(0, 186, SIZE, 4, shade(wood, 0.35))
    for i, y in enumerate((204, 224, 244)):
        s.paint.line([(-10 + 30 * i, y), (300, y)], shade(wood, -0.18), 2)
    return View(228, 180, "table", 204)


def window(s: Scenery) -> View:
    s.sky(150)
    for base, far in ((124, 0.5), (146, 0.25)):
        s.hill(base, 13, s.grass_far, far)
    s.row(flora.pine if s.season == "winter" else flora.oak, 5, 168, 46, 0.12)
    s.ground(164)
    s.veil(150)
    inside = (
        mix(_wall(s), s.light.ambient, 0.5) if not s.dark else mix(_wall(s), rgb("#4a3a58"), 0.55)
    )
    for box in ((0, 0, 36, 256), (220, 0, 36, 256), (0, 0, 256, 20)):
        s.paint.rect(*box, inside)
    frame = mix(rgb("#fdf8f0"), rgb("#7a6a88"), 0.45 if s.dark else 0.0)
    for box in (
        (32, 14, 8, 186),
        (216, 14, 8, 186),
        (32, 14, 192, 8),
        (124, 14, 8, 186),
        (32, 98, 192, 6),
    ):
        s.paint.rect(*box, frame, corner=2)
    drape = mix(
        rgb(("#c4513f", "#4f7fb0", "#8a5cb0", "#e0a040")[int(s.rng.integers(4))]), inside, 0.2
    )
    for side in (0, 1):
        with s.paint.moved(256 * side, 0, flip=bool(side)):
            s.paint.polygon(
                [(0, 0), (66, 0), (56, 90), (26, 150), (34, 200), (0, 200)], drape, smooth=30
            )
            for x in (14, 32):
                s.paint.line([(x, 0), (x - 6, 130)], shade(drape, -0.15), 4)
    sill = mix(rgb("#c99a68"), rgb("#4a3a58"), 0.4 if s.dark else 0.0)
    s.paint.vertical([shade(sill, 0.15), shade(sill, -0.1)], 196, SIZE)
    s.paint.rect(0, 196, SIZE, 5, shade(sill, 0.35))
    return View(234, 160, "table", 212)


def room(s: Scenery) -> View:
    wall = _wall(s)
    s.paint.vertical([shade(wall, 0.1), shade(wall, -0.08)], 0, 190)
    floor = rgb(("#a8713f", "#b98a5a", "#8a5f48")[int(s.rng.integers(3))])
    s.paint.vertical([shade(floor, 0.1), shade(floor, -0.15)], 186, SIZE)
    s.paint.rect(0, 180, SIZE, 8, shade(wall, 0.5))
    s.paint.rect(24, 34, 66, 82, rgb("#fdf8f0"), corner=4)
    s.paint.rect(30, 40, 54, 70, rgb(("#8fd0f4", "#27346e", "#ffb078")[int(s.rng.integers(3))]))
    s.paint.rect(54, 40, 5, 70, rgb("#fdf8f0"))
    s.paint.rect(30, 72, 54, 5, rgb("#fdf8f0"))
    s.paint.rect(170, 56, 60, 44, rgb("#7a5438"), corner=3)
    s.paint.rect(175, 61, 50, 34, shade(wall, 0.6))
    s.paint.polygon([(176, 94), (194, 70), (206, 84), (214, 76), (224, 94)], shade(wall, -0.35))
    rug = rgb(("#d9736a", "#5f8fb0", "#e0b050", "#8a6fb0")[int(s.rng.integers(4))])
    s.paint.ellipse(128, 232, 112, 22, rug)
    s.paint.ellipse(128, 232, 92, 16, shade(rug, 0.3))
    s.paint.glow(222, 122, 90, rgb("#ffe6a0"), 0.6)
    s.paint.rect(220, 140, 4, 66, rgb("#4a4038"))
    s.paint.polygon([(204, 146), (213, 116), (231, 116), (240, 146)], rgb("#ffe6a8"))
    with s.paint.moved(18, 212, 0.8):
        s.paint.polygon([(-16, -30), (16, -30), (11, 0), (-11, 0)], rgb("#c4704a"))
        for dx, dy in ((-20, -70), (0, -84), (20, -70), (-10, -60), (10, -60)):
            s.paint.line([(0, -30), (dx, dy)], rgb("#3f8f57"), 8)
    return View(238, 186, far_ground=212)


def stage(s: Scenery) -> View:
    back = rgb(("#2a1f4a", "#1f2a4a", "#3a1a2a")[int(s.rng.integers(3))])
    s.paint.vertical([shade(back, -0.3), shade(back, 0.12)])
    drape = rgb(("#b0283a", "#7a2a8a", "#2a4a9a", "#c08a2a")[int(s.rng.integers(4))])
    s.paint.vertical([shade(rgb("#8a5a3a"), 0.1), shade(rgb("#8a5a3a"), -0.3)], 196, SIZE)
    s.paint.rect(0, 196, SIZE, 4, rgb("#d9a56a"))
    for x0, x1 in ((60, 96), (128, 128), (196, 160)):
        s.paint.polygon(
            [(x0 - 5, 0), (x0 + 5, 0), (x1 + 52, 236), (x1 - 52, 236)], rgb("#fff3c4"), 0.16
        )
    s.paint.ellipse(128, 232, 92, 17, rgb("#fff3c4"), 0.4)
    for side in (0, 1):
        with s.paint.moved(256 * side, 0, flip=bool(side)):
            for i in range(4):
                s.paint.rect(
                    -14 + 16 * i, 0, 17, 214 - 5 * i, shade(drape, 0.1 - 0.12 * (i % 2)), corner=7
                )
    for i in range(6):
        s.paint.ellipse(21 + 43 * i, 2, 25, 28, shade(drape, -0.1 if i % 2 else 0.05))
    return View(238, 196, far_ground=214)


PLACES = {
    "city": city,
    "street": street,
    "village": village,
    "farm": farm,
    "vineyard": vineyard,
    "garden": garden,
    "park": park,
    "road": road,
    "fairytale": fairytale,
    "table": table,
    "window": window,
    "room": room,
    "stage": stage,
}
