"""Places where people live: a city, a street, a village, a road, a castle."""

from __future__ import annotations

import numpy as np

from . import buildings, flora
from .paint import RGB, SIZE, mix, rgb, shade
from .scenery import Scenery, View

ROCK = rgb("#7385a3")


def _pave(s: Scenery, code: str) -> RGB:
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


PLACES = {
    "city": city,
    "street": street,
    "village": village,
    "road": road,
    "fairytale": fairytale,
}
