"""Makers of trees and plants."""

from __future__ import annotations

import numpy as np

from .kit import Kit
from .paint import RGB, mix, polar, rgb, shade

LEAVES = {
    "spring": ("#8fce62", "#a8d873", "#7cc265"),
    "summer": ("#3f9a4b", "#57ab4a", "#2f8a55"),
    "autumn": ("#e0662a", "#e8962e", "#c9432f"),
}
SNOW = rgb("#f2f7fc")


def _trunk(k: Kit, width: float, height: float, code: str = "#6f4c36") -> None:
    color = k.lit(code)
    w = width / 2
    k.paint.polygon([(-w * 1.4, 0), (-w * 0.7, -height), (w * 0.7, -height), (w * 1.4, 0)], color)


def _crown(k: Kit, blobs: list[tuple[float, float, float]], leaf: RGB) -> None:
    """A leafy mass: shade below, light above left."""
    p = k.paint
    for x, y, r in blobs:
        p.circle(x, y + 2, r, shade(leaf, -0.18))
    for x, y, r in blobs:
        p.circle(x - r * 0.1, y - r * 0.12, r * 0.88, leaf)
    x, y, r = blobs[-1]
    p.ellipse(x - r * 0.32, y - r * 0.4, r * 0.42, r * 0.3, shade(leaf, 0.16))


def _bare(k: Kit, code: str = "#6f4c36") -> None:
    color, p = k.lit(code), k.paint
    for tip, root, width in (
        ((-26, -78), (0, -40), 4.5),
        ((24, -82), (0, -46), 4.5),
        ((0, -96), (0, -46), 5),
        ((-34, -60), (-14, -58), 3),
        ((34, -62), (13, -65), 3),
        ((-12, -94), (-3, -70), 3),
        ((12, -95), (3, -72), 3),
    ):
        p.line([root, tip], color, width)
    if k.season == "winter":
        for x, y in ((-26, -79), (24, -83), (0, -97)):
            p.circle(x, y, 4, k.tone(SNOW))


def oak(k: Kit) -> None:
    """A round leafy tree."""
    _trunk(k, 10, 52)
    if k.season == "winter" and k.color is None:
        return _bare(k)
    leaf = k.main(*LEAVES.get(k.season, LEAVES["summer"]))
    _crown(k, [(-21, -52, 21), (21, -52, 21), (-13, -72, 21), (14, -72, 20), (0, -66, 27)], leaf)


def blossom_tree(k: Kit) -> None:
    """A cherry tree in flower."""
    k.paint.line([(0, 0), (-2, -28), (8, -52)], k.lit("#5a3a34"), 8, smooth=20)
    k.paint.line([(-1, -26), (-22, -50)], k.lit("#5a3a34"), 5)
    leaf = k.main("#f7a8c8", "#fbc3d8", "#f291b6")
    _crown(k, [(-26, -52, 18), (25, -54, 19), (-14, -72, 19), (14, -76, 20), (0, -62, 23)], leaf)
    for _ in range(6):
        x, y = k.uniform(-32, 32), k.uniform(-84, -46)
        k.paint.circle(x, y, 2.6, shade(leaf, 0.5))


def birch(k: Kit) -> None:
    p = k.paint
    leaf = k.main(*{**LEAVES, "autumn": ("#f2c230", "#eeb02c")}.get(k.season, LEAVES["summer"]))
    if k.season != "winter" or k.color is not None:
        for x, y, rx, ry in ((-12, -48, 15, 24), (13, -56, 15, 26), (0, -74, 16, 24)):
            p.ellipse(x, y, rx, ry, leaf if x else shade(leaf, 0.12))
    p.rect(-3.5, -88, 7, 88, k.lit("#eef0ea"), corner=3)
    for y in (-12, -26, -41, -55, -70):
        p.rect(-3.5 if y % 2 else 0, y, 3.5, 3, k.lit("#3b3b40"))
    if k.season != "winter" or k.color is not None:
        for x, y, r in ((-8, -62, 11), (9, -74, 10), (-4, -86, 9)):
            p.circle(x, y, r, shade(leaf, 0.08), 0.92)


def pine(k: Kit) -> None:
    p = k.paint
    green = k.main("#1f6b4a", "#276f52", "#2d7a4a")
    p.rect(-4, -16, 8, 16, k.lit("#5e4230"))
    for i in range(4):
        w, top = 30 - 5.5 * i, -11 - 20 * i
        tip = top - 33
        p.polygon([(-w, top), (0, tip), (w, top)], green)
        p.polygon([(0, tip), (w, top), (w * 0.25, top)], shade(green, -0.14))
        if k.season == "winter":
            low = tip + 15
            p.polygon([(-w * 0.45, low), (0, tip), (w * 0.45, low), (0, low - 4)], k.tone(SNOW))


def cypress(k: Kit) -> None:
    green = k.main("#2c6a45", "#35734a")
    k.paint.rect(-3, -10, 6, 10, k.lit("#5e4230"))
    k.paint.ellipse(0, -53, 13, 47, green)
    k.paint.ellipse(-3, -56, 7, 40, shade(green, 0.12))


def willow(k: Kit) -> None:
    p = k.paint
    p.line([(0, 0), (2, -30), (-3, -60)], k.lit("#65503a"), 9, smooth=20)
    leaf = k.main(*{**LEAVES, "winter": ("#c9d6c0",)}[k.season])
    p.dome(0, -50, 40, 44, leaf)
    for i in range(9):
        x = -40 + 10 * i
        length = 34 + 16 * float(np.sin(i * 1.9))
        color = shade(leaf, 0.1 if i % 2 else -0.1)
        p.line([(x * 0.8, -62), (x, -50), (x * 1.04, -50 + length)], color, 6.5, smooth=10)


def palm(k: Kit) -> None:
    p = k.paint
    lean = 16.0
    p.line([(0, 0), (lean * 0.2, -30), (lean, -72)], k.lit("#8a6241"), 6.5, smooth=40)
    leaf = k.main("#2f9a55", "#37a85a")
    for angle in (-178, -142, -104, -62, -30, 2):
        a = float(np.deg2rad(angle))
        tip = (lean + 37 * float(np.cos(a)), -72 + 25 * float(np.sin(a)) + 15)
        mid = (lean + 20 * float(np.cos(a)), -72 + 26 * float(np.sin(a)) - 5)
        p.line([(lean, -72), mid, tip], shade(leaf, -0.12 if angle % 4 else 0), 6.5, smooth=20)
    for dx in (-4, 3):
        p.circle(lean + dx, -69, 4, k.lit("#6b4a30"))


def bamboo(k: Kit) -> None:
    p = k.paint
    green = k.main("#6fae4c", "#5fa552", "#83b955")
    for x, h, lean in ((-14, 92, -4), (2, 100, 3), (16, 84, 7)):
        p.line([(x, 0), (x + lean, -h)], green, 7)
        for i in range(1, 6):
            t = i / 6
            at = x + lean * t
            p.line([(at - 3.5, -h * t), (at + 3.5, -h * t)], shade(green, -0.3), 1.8)
        for side, t in ((-1, 0.85), (1, 0.68), (1, 0.95)):
            at = x + lean * t
            tip = (at + side * 18, -h * t + 3)
            p.polygon([(at, -h * t), (at + side * 9, -h * t - 5), tip], shade(green, -0.15))


def bonsai(k: Kit) -> None:
    p = k.paint
    p.polygon([(-26, -14), (26, -14), (20, 0), (-20, 0)], k.lit("#3f6f8a"))
    p.line([(0, -14), (-8, -32), (8, -48), (0, -66)], k.lit("#6b4630"), 8, smooth=14)
    p.line([(4, -44), (26, -52)], k.lit("#6b4630"), 5)
    leaf = k.main("#3f8f4f", "#4f9a48", "#f29ab8")
    for x, y, rx, ry in ((28, -58, 19, 11), (-20, -50, 18, 10), (-2, -78, 27, 16)):
        p.ellipse(x, y + 2, rx, ry, shade(leaf, -0.2))
        p.ellipse(x, y - 1, rx, ry * 0.85, leaf)


def cactus(k: Kit) -> None:
    green = k.main("#3f8f4f", "#4a9a52")
    for line, w in (
        ([(0, 0), (0, -90)], 18),
        ([(0, -38), (-28, -38), (-28, -64)], 13),
        ([(0, -28), (28, -28), (28, -54)], 13),
    ):
        k.paint.line(line, green, w)
    k.paint.line([(-3, -6), (-3, -88)], shade(green, 0.15), 3)


def bush(k: Kit) -> None:
    leaf = k.main(*{**LEAVES, "winter": ("#e4edf5",)}[k.season])
    _crown(k, [(-30, -24, 24), (30, -24, 24), (0, -38, 32)], leaf)


def acacia(k: Kit) -> None:
    trunk = k.lit("#5e4530")
    k.paint.line([(0, 0), (0, -40), (-20, -70)], trunk, 6)
    k.paint.line([(0, -38), (22, -72)], trunk, 5)
    leaf = k.main("#6f8f3a", "#7d9440")
    for x, y, rx, ry in ((-22, -74, 28, 9), (24, -76, 26, 9), (0, -84, 40, 11)):
        k.paint.ellipse(x, y, rx, ry, leaf if x else shade(leaf, 0.1))


def fern(k: Kit) -> None:
    green = k.main("#2f8a4f", "#3d9a4a", "#257a58")
    for angle in (-165, -140, -110, -75, -45, -15):
        a = float(np.deg2rad(angle))
        x, y = polar(0, 0, 62, a)
        mid = polar(0, -14, 40, a)
        leaf = shade(green, 0.12 if angle % 2 else -0.12)
        k.paint.polygon([(-4, 0), mid, (x, y + 10), (mid[0] * 0.8, mid[1] + 16), (4, 0)], leaf)


def flower(k: Kit) -> None:
    """One tall flower with two leaves."""
    p = k.paint
    green = k.lit("#4c9a4a")
    p.line([(0, 0), (0, -66)], green, 6)
    p.ellipse(-13, -24, 13, 6, green)
    p.ellipse(13, -34, 13, 6, green)
    petal = k.main("#f25f73", "#ffd447", "#fdfdfd", "#b178e6", "#ff9ad0", "#ff8f4a")
    for i in range(6):
        x, y = polar(0, -74, 16, i * np.pi / 3)
        p.circle(x, y, 11, petal)
    p.circle(
        0,
        -74,
        10,
        k.lit("#ffcf4a") if petal[2] < 0.6 or k.chance(0.7) else mix(petal, (1, 1, 1), 0.5),
    )


def giant_mushroom(k: Kit) -> None:
    p = k.paint
    p.polygon([(-9, 0), (-6, -62), (6, -62), (9, 0)], k.lit("#f3e7d2"))
    cap = k.main("#d9443f", "#8a5cc2", "#3f9ab0", "#e58a3a")
    p.dome(0, -54, 40, 42, cap)
    p.ellipse(0, -54, 40, 7, shade(cap, -0.25))
    for x, y, r in ((-20, -70, 6), (4, -82, 7), (22, -66, 5)):
        p.circle(x, y, r, shade(cap, 0.75))


def reeds(k: Kit) -> None:
    green = k.lit("#5d8f4a")
    for x, h in ((-20, 70), (-8, 92), (5, 78), (18, 98)):
        k.paint.line([(x, 0), (x + 3, -h)], green, 4)
    for x, h in ((-5, 92), (21, 98)):
        k.paint.line([(x, -h + 22), (x, -h + 4)], k.lit("#7a4f32"), 8)


def giant_lollipop(k: Kit) -> None:
    p = k.paint
    p.rect(-3, -62, 6, 62, k.lit("#fff6ee"), corner=3)
    color = k.main("#f25f8f", "#7ac8f0", "#9fe08a", "#f7b944")
    p.circle(0, -72, 28, color)
    for r in (20, 11):
        p.circle(0, -72, r, k.lit("#ffffff"), 0.85, width=5)
