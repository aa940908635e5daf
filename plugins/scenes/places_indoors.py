"""Places under a roof: a table, a window, a room, a stage, a cave."""

from __future__ import annotations

from . import flora
from .paint import RGB, SIZE, mix, rgb, shade, wave
from .scenery import Scenery, View


def _wall(s: Scenery) -> RGB:
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


def cave(s: Scenery) -> View:
    glow = rgb(("#5fe0e8", "#a87af0", "#ffb45a")[int(s.rng.integers(3))])
    s.paint.radial(
        [mix(glow, (1, 1, 1), 0.2), mix(glow, rgb("#2a2440"), 0.6), rgb("#1a1730")], 128, 130, 170
    )
    for depth, tone in ((0, 0.42), (1, 0.2), (2, 0.0)):
        rock = mix(rgb("#221e38"), glow, tone * 0.6)
        reach = 60 - 16 * depth
        for upper in (True, False):
            count = 7 - depth
            for i in range(count + 1):
                x = 256 * i / count + s.uniform(-12, 12)
                h = (64 - 12 * depth) * s.uniform(0.5, 1.25) * (0.6 + 1.0 * abs(x - 128) / 128)
                w = 24 + 5 * depth
                y = 0 if upper else 262
                tip = y + (h + reach * 0.6) * (1 if upper else -0.62)
                s.paint.polygon([(x - w, y), (x, tip), (x + w, y)], rock)
    s.paint.land(wave(222, 4, 240, s.uniform(0, 6)), rgb("#2b2745"), rgb("#171429"), 10)
    for x in (s.uniform(18, 70), s.uniform(186, 238)):
        for dx, h in ((-13, 30), (0, 48), (12, 26)):
            top = (x + dx * 1.5, 226 - h)
            s.paint.polygon(
                [(x + dx - 7, 230), (top[0] - 3, top[1] + 9), top, (x + dx + 7, 230)], glow
            )
            s.paint.polygon([top, (x + dx + 7, 230), (x + dx + 1, 230)], shade(glow, 0.45))
    return View(236, 150, far_ground=226)


PLACES = {
    "table": table,
    "window": window,
    "room": room,
    "stage": stage,
    "cave": cave,
}
