"""Places at the water, and under it."""

from __future__ import annotations

import numpy as np

from . import buildings, flora, vessels
from .paint import mix, polar, rgb, shade, wave
from .scenery import Scenery, View

ROCK = rgb("#7385a3")
LAKE = rgb("#2f77b0")


def lake(s: Scenery) -> View:
    s.sky(146)
    s.peaks(150, 88, 0.42, 3, ROCK)
    s.mist(148, 34, 0.5)
    s.hill(148, 4, s.grass_far, 0.22)
    s.row(flora.pine, 9, 156, 28, 0.16)
    s.water(158, LAKE if s.season != "winter" else rgb("#8fbcd8"), 0.62)
    s.paint.land(
        [(-40, 236), (50, 231), (128, 239), (206, 230), (296, 236)], s.lit(s.grass), smooth=30
    )
    return View(240, 158, far_ground=176)


def sea(s: Scenery) -> View:
    s.sky(140)
    s.water(140, rgb("#1f6fb5"), 0.0, ripples=12)
    deep = rgb("#1f6fb5")
    for i, y in enumerate((188, 212, 236)):
        line = wave(y, 4.5, 74 + 20 * i, s.uniform(0, 6), 0.2)
        color = mix(s.lit(shade(deep, -0.1 * i)), s.stops[0], 0.15)
        s.paint.land([(a, b - 2) for a, b in line], mix(color, s.haze, 0.5), smooth=8)
        s.paint.land(line, color, shade(color, -0.12), smooth=8)
    return View(218, 140, "water", 152)


def beach(s: Scenery) -> View:
    s.sky(122)
    s.water(122, rgb("#2aa7c9"), 0.25, bottom=220)
    for i, y in enumerate((168, 182)):
        line = wave(y, 4, 160, s.uniform(0, 6))
        s.paint.land(line, s.code(("#48bcd0", "#7fd6dc")[i]), smooth=16)
    foam = wave(194, 4, 190, s.uniform(0, 6))
    s.paint.land(foam, s.code("#f4faf8"), smooth=16)
    sand = s.code("#f0d69e")
    s.paint.land([(x, y + 6) for x, y in foam], shade(sand, -0.08), sand, 16, 30)
    side = s.chance(0.5)
    s.place(flora.palm, 18 if side else 238, 226, 138, 0, not side)
    s.place(flora.palm, 40 if side else 216, 232, 104, 0, not side)
    return View(240, 122, far_ground=204)


def island(s: Scenery) -> View:
    s.sky(138)
    s.hill(136, 7, rgb("#6f93b8"), 0.55)
    s.water(138, rgb("#23a3c4"), 0.3, ripples=12)
    s.paint.ellipse(128, 220, 150, 40, s.code("#6fd6d4"), 0.8)
    s.paint.ellipse(128, 220, 122, 29, s.code("#f4e0ae"))
    s.paint.ellipse(128, 215, 108, 22, s.code("#f8eac2"))
    s.place(flora.palm, 62, 212, 118, 0)
    s.place(flora.palm, 88, 208, 92, 0, True)
    s.place(flora.bush, 190, 208, 24, 0)
    return View(220, 138, far_ground=206)


def waterfall(s: Scenery) -> View:
    s.sky(120)
    s.hill(104, 14, s.grass_far, 0.5)
    cliff, x = s.code("#6d6a72", 0.1), s.uniform(108, 148)
    s.paint.land(
        [(-40, 84), (40, 78), (x - 30, 96), (x + 30, 96), (214, 76), (300, 86)],
        cliff,
        shade(cliff, -0.25),
    )
    for i in range(9):
        cx = 10 + 30 * i
        if abs(cx - x) > 34:
            strip = shade(cliff, -0.12 if i % 2 else 0.08)
            s.paint.polygon([(cx, 96), (cx + 14, 92), (cx + 18, 220), (cx - 4, 220)], strip, 0.8)
    for cx in (8, 38, 66, 192, 222, 250):
        tree = flora.pine if s.season == "winter" else flora.oak
        s.place(tree, cx, 88 + s.uniform(-4, 4), s.uniform(42, 60), 0.08)
    foam = s.code("#eaf6fb")
    s.paint.polygon(
        [(x - 30, 94), (x + 30, 94), (x + 37, 216), (x - 37, 216)], mix(foam, rgb("#7fc4e0"), 0.35)
    )
    for i in range(6):
        sx = x - 25 + 10 * i
        s.paint.line([(sx, 98), (sx + (i - 2.5) * 1.6, 208)], foam, 4.5, 0.85)
    s.water(204, rgb("#2f8fb8"), 0.35)
    for i in range(7):
        s.paint.circle(x - 42 + 14 * i, 208, s.uniform(9, 14), foam, 0.9)
    s.mist(204, 50, 0.4)
    for cx, r in ((20, 26), (232, 30), (206, 16)):
        s.paint.dome(cx, 262, r * 1.5, r * 1.3, s.code("#5f6068"))
        s.paint.dome(cx - 3, 262, r * 1.1, r * 0.9, s.code("#777a82"))
    s.paint.land(
        [(-40, 244), (70, 238), (128, 246), (190, 238), (300, 244)], s.lit(s.grass), smooth=20
    )
    return View(246, 120, far_ground=232)


def river(s: Scenery) -> View:
    s.sky(132)
    s.peaks(140, 74, 0.5, 3, ROCK)
    s.mist(138, 40, 0.5)
    s.hill(142, 8, s.grass_far, 0.35)
    s.ground(156, s.grass, 4)
    bend = 1 if s.chance(0.5) else -1
    ts = np.linspace(0, 1, 14)
    mid = 128 + bend * (44 * np.sin(ts * 6.2) * (0.35 + ts) + 30 * ts)
    half, ys = 4 + 46 * ts**1.6, 158 + 110 * ts
    sky = mix(s.stops[-1], s.stops[0], 0.4)
    for grow, color in (
        (4.0, shade(s.lit(s.grass), -0.18)),
        (0.0, mix(s.code("#2f86bb"), sky, 0.45)),
    ):
        left = [(float(m - h - grow), float(y)) for m, h, y in zip(mid, half, ys, strict=True)]
        right = [(float(m + h + grow), float(y)) for m, h, y in zip(mid, half, ys, strict=True)]
        s.paint.polygon([*left, *right[::-1]], color, smooth=10)
    for i in range(4, 13, 2):
        s.paint.rect(
            float(mid[i]) - 12, float(ys[i]), 18 + i, 2.4, mix(sky, (1, 1, 1), 0.3), 0.7, 1
        )
    tree = flora.pine if s.season in ("winter", "summer") and s.chance(0.5) else flora.oak
    for i, x in enumerate((20, 66, 196, 238)):
        s.place(tree, x + s.uniform(-12, 12), 168 + 8 * (i % 2), s.uniform(34, 46), 0.14)
    s.place(tree, 8 if bend > 0 else 248, 206, 84, 0.02)
    return View(240, 132, far_ground=172)


def pond(s: Scenery) -> View:
    s.sky(110)
    s.hill(108, 8, s.grass_far, 0.4)
    s.place(flora.willow, s.uniform(30, 80), 128, 96, 0.18)
    s.place(flora.bush, s.uniform(150, 236), 126, 40, 0.2)
    s.hill(122, 2, s.grass, 0.12)
    s.water(128, rgb("#3a8a8f"), 0.55, ripples=6)
    for i, (x, y) in enumerate(
        ((36, 158), (92, 176), (196, 164), (226, 206), (30, 214), (150, 150))
    ):
        r = 11 + (y - 140) * 0.16
        x += s.uniform(-9, 9)
        s.paint.ellipse(x, y, r * 1.5, r * 0.55, s.code("#4f9e52"))
        s.paint.polygon(
            [(x, y), (x + r * 1.6, y - r * 0.3), (x + r * 1.6, y + r * 0.2)], s.code("#3a8a8f")
        )
        if i % 2 == 0:
            for k in (-2, -1, 1, 2, 0):
                s.paint.ellipse(
                    x + k * r * 0.3,
                    y - r * 0.5,
                    r * 0.26,
                    r * 0.55,
                    s.code("#f7a8cc" if k else "#fdd3e4"),
                )
    s.place(flora.reeds, 12, 262, 92)
    s.place(flora.reeds, 246, 264, 100)
    return View(226, 110, "water", 148)


def harbor(s: Scenery) -> View:
    s.sky(150)
    s.hill(136, 12, rgb("#7f9a8f"), 0.45)
    for i in range(7):
        wall = ("#e58a6a", "#f0cf7a", "#8fc0c8", "#f2e6d0", "#d9736a")[i % 5]
        with s.paint.moved(18 + 37 * i, 160, 0.42 + 0.05 * (i % 3)):
            buildings.townhouse(s.kit(0.1, rgb(wall)))
    s.water(158, rgb("#2f7fae"), 0.6)
    for x, y, size in ((s.uniform(30, 70), 186, 40), (s.uniform(180, 230), 198, 54)):
        s.place(vessels.boat, x, y, size, 0.05, s.chance(0.5))
    plank = s.code("#9a7450")
    s.paint.rect(-10, 240, 280, 30, plank)
    for i in range(9):
        s.paint.rect(8 + 31 * i, 240, 2.4, 30, shade(plank, -0.25))
    for x in (22, 232):
        s.paint.rect(x, 226, 9, 30, shade(plank, -0.3), corner=3)
    return View(228, 150, "water", 176)


def cliffs(s: Scenery) -> View:
    s.sky(138)
    s.water(138, rgb("#2277ab"), 0.1, ripples=12)
    side = s.chance(0.5)
    with s.paint.moved(0 if side else 256, 0, flip=not side):
        for far, dx, top in ((0.35, 30, 112), (0.12, 0, 90)):
            rock = s.code("#cdbfae", far)
            line = [
                (-20, top),
                (66 + dx, top + 4),
                (78 + dx, top + 30),
                (72 + dx, top + 50),
                (92 + dx, 176),
                (98 + dx, 190),
                (-20, 190),
            ]
            s.paint.polygon(line, rock)
            s.paint.polygon(
                [(40 + dx, top + 14), (70 + dx, top + 8), (92 + dx, 188), (56 + dx, 188)],
                shade(rock, -0.14),
            )
            s.paint.polygon(
                [
                    (-20, top - 3),
                    (40 + dx, top - 5),
                    (68 + dx, top + 3),
                    (70 + dx, top + 12),
                    (-20, top + 12),
                ],
                s.lit(s.grass, far),
                smooth=6,
            )
        s.place(buildings.lighthouse, 34, 92, 82, 0.05)
    foam = s.code("#eef7f8")
    for i in range(5):
        s.paint.ellipse(30 + i * 26 if side else 226 - i * 26, 188, 17, 4, foam, 0.8)
    line = wave(206, 5, 210, s.uniform(0, 6))
    s.paint.land(line, s.lit(s.grass), shade(s.lit(s.grass), -0.12), 14)
    s.blooms(218, 2, "#ff9ad0 #ffffff #ffd447")
    return View(238, 138, far_ground=210)


def arctic(s: Scenery) -> View:
    s.sky(146)
    s.peaks(150, 46, 0.55, 4, rgb("#9fb9d6"), 0.7)
    s.water(150, rgb("#2f8ab8"), 0.45, ripples=6)
    for x, y, w in (
        (s.uniform(20, 60), 172, 50),
        (s.uniform(190, 236), 178, 64),
        (s.uniform(110, 150), 164, 34),
    ):
        ice = s.code("#eaf6fd")
        s.paint.polygon(
            [
                (x - w / 2, y),
                (x - w * 0.3, y - w * 0.5),
                (x, y - w * 0.75),
                (x + w * 0.32, y - w * 0.3),
                (x + w / 2, y),
            ],
            ice,
        )
        s.paint.polygon(
            [(x, y - w * 0.75), (x + w * 0.32, y - w * 0.3), (x + w / 2, y), (x + w * 0.06, y)],
            s.code("#a8d4ee"),
        )
        s.paint.polygon(
            [(x - w / 2, y), (x + w / 2, y), (x + w * 0.3, y + 8), (x - w * 0.3, y + 8)],
            s.code("#7fc0e0"),
            0.7,
        )
    floe = [(-40, 220), (30, 214), (128, 218), (216, 212), (300, 220)]
    s.paint.land(floe, s.code("#bfe0f0"), smooth=12)
    s.paint.land([(x, y - 7) for x, y in floe], s.code("#f4fafe"), s.code("#e2eff8"), smooth=12)
    return View(238, 146, far_ground=216)


def underwater(s: Scenery) -> View:
    p = s.paint
    tops = (
        ("#48c6e0", "#1f86c0", "#0b3f7d"),
        ("#5ad8d0", "#1f98a8", "#0b4f6d"),
        ("#4a9ae8", "#2a5fc0", "#1a2f7d"),
    )
    stops = tuple(map(rgb, tops[int(s.rng.integers(3))]))
    p.vertical(stops)
    for x in s.rng.uniform(10, 246, 4).tolist():
        p.polygon([(x, -10), (x + 24, -10), (x + 70, 270), (x - 8, 270)], (1, 1, 1), 0.09)
    for base, far in ((196, 0.72), (214, 0.45)):
        p.land(wave(base, 9, 150, s.uniform(0, 6)), mix(rgb("#8a7aa0"), stops[1], far), smooth=14)
    p.land(wave(230, 5, 230, s.uniform(0, 6)), mix(rgb("#ecd29a"), stops[1], 0.25), smooth=18)
    for i in range(7):
        x = 8 + 40 * i + s.uniform(-10, 10)
        if 84 < x < 172:
            continue
        color = mix(
            rgb(("#3fbf7a", "#ff6f7f", "#ffac4a", "#d070e0")[int(s.rng.integers(4))]),
            stops[1],
            0.12,
        )
        if i % 2:
            h = s.uniform(44, 84)
            line = [(x + 7 * float(np.sin(k * 1.3)), 246 - h * k / 6) for k in range(7)]
            p.line(line, color, 9, smooth=20)
        else:
            for angle in (-2.2, -1.75, -1.35, -0.95):
                end = polar(x, 246, s.uniform(32, 48), angle)
                p.line([(x, 250), end], color, 8)
                p.circle(*end, 6, shade(color, 0.2))
    for _ in range(8):
        r = s.uniform(3, 7)
        x, y = s.uniform(0, 256), s.uniform(10, 200)
        p.circle(x, y, r, (1, 1, 1), 0.6, width=1.8)
    return View(222, 120, "air", 150)


PLACES = {
    "lake": lake,
    "sea": sea,
    "beach": beach,
    "island": island,
    "waterfall": waterfall,
    "river": river,
    "pond": pond,
    "harbor": harbor,
    "cliffs": cliffs,
    "arctic": arctic,
    "underwater": underwater,
}
