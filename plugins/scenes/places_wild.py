"""Places without houses: mountains, forests, deserts."""

from __future__ import annotations

import numpy as np

from . import flora
from .paint import polar, rgb, shade, wave
from .scenery import Scenery, View

ROCK = rgb("#7385a3")


def mountains(s: Scenery) -> View:
    s.sky(172)
    s.peaks(180, 112, 0.5, 2, ROCK)
    s.mist(176, 46, 0.55)
    s.peaks(190, 66, 0.2, 3, rgb("#5f7290"), 0.25)
    s.hill(182, 7, s.grass_far, 0.22, 0.05)
    s.row(flora.pine, 8, 198, 32, 0.1)
    s.ground(206)
    if s.season == "spring":
        s.blooms(214, 3, "#f25f73 #ffd447 #ffffff")
    return View(236, 172, far_ground=200)


def hills(s: Scenery) -> View:
    s.sky(160)
    for base, far in ((132, 0.62), (152, 0.42), (174, 0.2)):
        s.hill(base, 15, s.grass_far, far)
    for _ in range(4):
        tree = flora.oak if s.chance(0.7) else flora.cypress
        s.place(tree, s.uniform(10, 246), s.uniform(186, 200), s.uniform(34, 48), 0.08)
    s.ground(202, bend=8)
    if s.season in ("spring", "summer"):
        s.blooms(214, 3, "#f25f73 #ffd447 #ffffff #b178e6")
    return View(236, 160, far_ground=196)


def forest(s: Scenery) -> View:
    s.sky(180)
    leafy = s.season in ("spring", "autumn") or s.chance(0.35)
    first, second = (flora.oak, flora.birch) if leafy else (flora.pine, flora.pine)
    s.row(first, 9, 182, 88, 0.62)
    s.mist(176, 70, 0.5)
    s.row(first, 7, 196, 108, 0.34)
    s.mist(196, 50, 0.35)
    s.ground(200)
    for x in (8, 52, 206, 250):
        maker = second if s.chance(0.5) else first
        s.place(maker, x + s.uniform(-8, 8), s.uniform(210, 218), s.uniform(128, 156), 0.04)
    s.ground(214, shade(s.grass, -0.08))
    return View(240, 168, far_ground=212)


def desert(s: Scenery) -> View:
    s.sky(160)
    mesa = s.code("#c9744a", 0.45)
    for _ in range(2):
        x, w, h = s.uniform(0, 210), s.uniform(44, 74), s.uniform(30, 52)
        s.paint.polygon([(x, 172), (x + 6, 168 - h), (x + w - 8, 168 - h), (x + w, 172)], mesa)
        s.paint.polygon(
            [(x + w * 0.6, 168 - h), (x + w - 8, 168 - h), (x + w, 172), (x + w * 0.7, 172)],
            shade(mesa, -0.12),
        )
    for base, far, code in ((168, 0.32, "#e8bd7a"), (188, 0.14, "#e2aa60"), (212, 0.0, "#dc9c4e")):
        dune = s.rolling(base, 13)
        s.paint.land(dune, s.code(code, far), s.code(code, far + 0.12), 24, 40)
        i = int(np.argmin([y for _, y in dune]))
        x, y = dune[i]
        if 20 < x < 236:
            s.paint.polygon(
                [(x, y + 3), (x + 70, y + 40), (x + 6, y + 36)], s.code("#b87a3c", far), 0.35, 10
            )
    for _ in range(2):
        s.place(flora.cactus, s.uniform(16, 240), s.uniform(192, 206), s.uniform(30, 48), 0.05)
    return View(236, 160, far_ground=196)


def canyon(s: Scenery) -> View:
    s.sky(150)
    for depth, far in ((0, 0.5), (1, 0.26), (2, 0.04)):
        for side in (-1, 1):
            edge = 128 + side * (26 + 30 * depth + s.uniform(-6, 6))
            out, top = 128 + side * 180, 96 - 22 * depth + s.uniform(-10, 10)
            for band, code in enumerate(("#d9814e", "#c4633c", "#e39a62", "#b5522f")):
                y = top + band * (38 + 6 * depth)
                step = edge + side * (10 - 5 * band)
                s.paint.polygon(
                    [(step, y), (out, y - 12), (out, 262), (step - side * 10, 262)],
                    s.code(code, far),
                )
        if depth < 2:
            s.mist(190, 90, 0.3)
    s.paint.land(wave(206, 4, 260, s.uniform(0, 6)), s.code("#d99a5e"), s.code("#bb7440"), 14)
    near = [(126, 206), (112, 216), (134, 232), (108, 262)]
    far = [(152, 262), (154, 230), (126, 216), (131, 206)]
    s.paint.polygon([*near, *far], s.code("#4fa8c0"), smooth=24)
    return View(238, 150, far_ground=212)


def volcano(s: Scenery) -> View:
    s.sky(190)
    x = s.uniform(100, 156)
    for i in range(5):
        smoke = s.code("#6a5f6c", 0.15 + 0.05 * i)
        s.paint.circle(x + (i - 2) * 9 + s.uniform(-6, 6), 62 - 13 * i, 15 + 3.5 * i, smoke)
    s.paint.glow(x, 84, 80, rgb("#ff7a2e"), 0.8)
    rock = s.code("#5b4750", 0.1)
    s.paint.polygon([(x - 128, 212), (x - 22, 84), (x + 22, 84), (x + 128, 212)], rock)
    s.paint.polygon([(x + 4, 84), (x + 22, 84), (x + 128, 212), (x + 30, 212)], shade(rock, -0.2))
    s.paint.ellipse(x, 84, 22, 5, rgb("#ffd04a"))
    for dx in (-36, 4, 42):
        flow = [(x + dx * 0.3, 86), (x + dx * 0.5, 126), (x + dx * 0.9, 158), (x + dx, 204)]
        s.paint.line(flow, rgb("#ff7a2a"), 9, smooth=20)
        s.paint.line(flow, rgb("#ffcf4a"), 4, smooth=20)
    s.row(flora.pine, 6, 206, 30, 0.1)
    s.ground(206, rgb("#4f6b45"))
    return View(238, 190, far_ground=210)


def savanna(s: Scenery) -> View:
    s.sky(172)
    s.hill(166, 7, rgb("#b89a6a"), 0.5)
    s.paint.land(wave(176, 3, 300, 0.5), s.code("#e0bb62", 0.22), s.code("#cf9c42"))
    s.place(flora.acacia, s.uniform(20, 100), 188, s.uniform(50, 64), 0.2)
    s.place(flora.acacia, s.uniform(160, 236), 200, s.uniform(88, 116), 0.04)
    for i in range(12):
        x, y = 22 * i + s.uniform(0, 14), s.uniform(206, 250)
        for dx in (-4, 0, 4):
            s.paint.line([(x, y), (x + dx, y - 13)], s.code("#a8782e"), 2.4)
    return View(238, 172, far_ground=196)


def jungle(s: Scenery) -> View:
    s.sky(150)
    for count, y, h, far in ((4, 186, 118, 0.55), (3, 206, 158, 0.24)):
        s.row(flora.palm, count, y, h, far, 8)
        s.row(flora.bush, 5, y + 8, 72, far)
        s.mist(y - 10, 60, 0.35)
    s.ground(212, rgb("#3f7d3f"))
    for x, flip in ((20, False), (238, True)):
        s.place(flora.fern, x, 250, s.uniform(90, 112), 0, flip)
    dark = s.code("#1f5c3a")
    for side in (0, 1):
        for angle in (0.15, 0.55, 0.95):
            tip = polar(256 * side, -6, 104, np.pi - angle if side else angle)
            mid = polar(256 * side, -10, 60, np.pi - angle - 0.3 if side else angle + 0.3)
            s.paint.polygon([(256 * side, -10), mid, tip], dark, smooth=18)
    return View(236, 150, far_ground=216)


def _stalk(s: Scenery, x: float, foot: float, width: float, far: float) -> None:
    """One tall bamboo stalk with its joints and a few long leaves."""
    green = s.code(("#6fae4c", "#5fa552", "#86bb58")[int(s.rng.integers(3))], far)
    lean = s.uniform(-8, 8)
    s.paint.line([(x, foot), (x + lean, -10)], green, width)
    s.paint.line(
        [(x - width * 0.2, foot), (x + lean - width * 0.2, -10)], shade(green, 0.18), width * 0.25
    )
    step = 30 + width
    for i in range(int(foot / step) + 1):
        y = foot - step * (i + 0.6)
        at = x + lean * (foot - y) / (foot + 10)
        s.paint.line([(at - width / 2, y), (at + width / 2, y)], shade(green, -0.28), width * 0.2)
        if i % 2 and y < 130:
            side = 1 if (i // 2) % 2 else -1
            for drop in (10, 22):
                reach = side * (22 + width)
                tip, mid = (at + reach, y + drop), (at + reach * 0.55, y + drop * 0.1)
                s.paint.polygon(
                    [(at, y), mid, tip, (at + reach * 0.4, y + drop * 0.7)],
                    shade(green, -0.14),
                    smooth=4,
                )


def bamboo(s: Scenery) -> View:
    s.sky(170)
    for count, foot, width, far in ((8, 200, 8, 0.62), (6, 208, 12, 0.36)):
        for i in range(count):
            _stalk(s, 256 * (i + 0.5) / count + s.uniform(-12, 12), foot, width, far)
        s.mist(186, 90, 0.35)
    s.ground(204, rgb("#6fa352"))
    s.paint.polygon([(118, 205), (140, 205), (196, 262), (64, 262)], s.code("#dcc795"), smooth=10)
    for x in (10, 42, 218, 248):
        _stalk(s, x + s.uniform(-6, 6), 226, 18, 0.03)
    return View(240, 170, far_ground=214)


def snow(s: Scenery) -> View:
    s.season = "winter"
    s.sky(156)
    s.peaks(166, 74, 0.5, 3, ROCK, 0.5)
    s.mist(164, 40, 0.5)
    s.hill(164, 9, rgb("#dbe7f3"), 0.25)
    s.row(flora.pine, 6, 186, 52, 0.2)
    s.ground(190, rgb("#f6fafe"))
    s.place(flora.pine, s.uniform(4, 34), 214, 104, 0.02)
    s.place(flora.pine, s.uniform(222, 252), 218, 116, 0.02)
    return View(238, 156, far_ground=200)


PLACES = {
    "mountains": mountains,
    "hills": hills,
    "forest": forest,
    "desert": desert,
    "canyon": canyon,
    "volcano": volcano,
    "savanna": savanna,
    "jungle": jungle,
    "bamboo": bamboo,
    "snow": snow,
}
