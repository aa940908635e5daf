"""Makers of houses, towers, bridges and other buildings."""

from __future__ import annotations

from .flora import SNOW
from .kit import Kit
from .paint import RGB, polar, rgb, shade

ROOFS = ("#c4513f", "#a8443a", "#7c4a57", "#4f6d8a")
WALLS = ("#f3e6cf", "#e9b98f", "#cfe0ea", "#f0cfc0", "#dfe6c8")


def _roof(k: Kit, *codes: str) -> RGB:
    return k.tone(SNOW) if k.season == "winter" else k.lit(codes[int(k.rng.integers(len(codes)))])


def _windows(k: Kit, spots: list[tuple[float, float]], w: float, h: float) -> None:
    for x, y in spots:
        k.paint.rect(x - w / 2 - 1.5, y - 1.5, w + 3, h + 3, k.lit("#ffffff"), corner=1.5)
        k.paint.rect(x - w / 2, y, w, h, k.pane(), corner=1)


def house(k: Kit) -> None:
    p = k.paint
    wall, roof = k.main(*WALLS), _roof(k, *ROOFS)
    p.rect(20, -88, 11, 30, shade(wall, -0.3))
    p.rect(-38, -50, 76, 50, wall)
    p.polygon([(14, -50), (38, -50), (38, 0), (14, 0)], shade(wall, -0.08))
    p.polygon([(-46, -48), (0, -92), (46, -48)], roof)
    p.polygon([(0, -92), (46, -48), (10, -48)], shade(roof, -0.12))
    _windows(k, [(-22, -38), (22, -38)], 14, 15)
    p.rect(-7, -30, 14, 30, k.lit("#7a4a3a"), corner=2)
    p.circle(0, -64, 6, k.pane())


def townhouse(k: Kit) -> None:
    """A narrow house of a row, with a gable."""
    p = k.paint
    wall, roof = k.main(*WALLS), _roof(k, "#b5553f", "#8a4a44", "#5f5a6a")
    p.rect(-30, -78, 60, 78, wall)
    p.polygon([(-33, -76), (0, -104), (33, -76)], roof)
    _windows(k, [(-15, -68), (15, -68), (-15, -42), (15, -42)], 12, 15)
    p.rect(-8, -22, 16, 22, shade(roof, -0.2), corner=2)


def cottage(k: Kit) -> None:
    p = k.paint
    wall = k.main("#a8744a", "#b98558", "#8f6040")
    p.rect(16, -80, 12, 26, k.lit("#8a8078"))
    p.rect(-40, -42, 80, 42, wall)
    for i in range(4):
        p.rect(-40, -42 + 11 * i, 80, 2.4, shade(wall, -0.2))
    roof = _roof(k, "#5f4634", "#7a5238", "#4a5a4a")
    p.polygon([(-50, -38), (-26, -78), (26, -78), (50, -38)], roof)
    _windows(k, [(-23, -31), (23, -31)], 15, 14)
    p.rect(-8, -28, 16, 28, shade(wall, -0.4), corner=2)


def barn(k: Kit) -> None:
    p = k.paint
    wall = k.main("#b8433a", "#c04a3a")
    p.polygon([(-40, 0), (-40, -52), (-28, -76), (0, -92), (28, -76), (40, -52), (40, 0)], wall)
    roof = k.tone(SNOW) if k.season == "winter" else k.lit("#6b4a48")
    p.line([(-44, -48), (-29, -77), (0, -94), (29, -77), (44, -48)], roof, 7)
    white = k.lit("#fbf4ea")
    p.rect(-19, -38, 38, 38, shade(wall, -0.25))
    for line in ([(-19, -38), (19, 0)], [(19, -38), (-19, 0)]):
        p.line(line, white, 3)
    p.line([(-19, 0), (-19, -38), (19, -38), (19, 0)], white, 3)
    p.circle(0, -64, 9, white)
    p.circle(0, -64, 6.5, k.pane())


def lighthouse(k: Kit) -> None:
    p = k.paint
    band = k.main("#d9443f", "#d9443f", "#3a6fb5")
    p.polygon([(-17, 0), (-10, -72), (10, -72), (17, 0)], k.lit("#fbf7ef"))
    for t in (0.1, 0.42, 0.74):
        a, b = 17 - 7 * t, 17 - 7 * (t + 0.17)
        p.polygon(
            [(-a, -72 * t), (-b, -72 * (t + 0.17)), (b, -72 * (t + 0.17)), (a, -72 * t)], band
        )
    p.polygon([(3, 0), (3, -72), (10, -72), (17, 0)], (0, 0, 0), 0.12)
    p.rect(-14, -76, 28, 5, k.lit("#4a4a52"), corner=2)
    if k.glow:
        p.polygon([(0, -84), (-150, -112), (-150, -64)], rgb("#fff0b0"), 0.28)
        p.glow(0, -83, 40, rgb("#fff0b0"), 0.9)
    p.rect(-8, -91, 16, 15, rgb("#fff3c0") if k.glow else k.lit("#ffe48a"))
    p.polygon([(-12, -90), (0, -102), (12, -90)], band)
    p.rect(-4, -14, 8, 14, k.lit("#4a4a52"), corner=3)


def windmill(k: Kit) -> None:
    p = k.paint
    wall = k.main("#f2e6d0", "#e5d2b5", "#d8c3a8")
    p.polygon([(-24, 0), (-15, -62), (15, -62), (24, 0)], wall)
    p.polygon([(4, 0), (4, -62), (15, -62), (24, 0)], shade(wall, -0.1))
    p.dome(0, -60, 17, 17, _roof(k, "#b5553f", "#6a4a44"))
    turn = k.uniform(0, 1.57)
    for i in range(4):
        a = turn + i * 1.5708
        x, y = polar(0, -66, 44, a)
        p.line([(0, -66), (x, y)], k.lit("#6a4a38"), 3)
        b, c = polar(0, -66, 14, a), polar(0, -66, 43, a)
        d, e = polar(c[0], c[1], 10, a + 1.57), polar(b[0], b[1], 10, a + 1.57)
        p.polygon([b, c, d, e], k.lit("#fffaf0"))
    p.circle(0, -66, 5, k.lit("#6a4a38"))
    _windows(k, [(0, -42)], 10, 12)
    p.rect(-7, -22, 14, 22, k.lit("#7a4a3a"), corner=5)


def _battlement(k: Kit, x: float, y: float, w: float, stone: RGB) -> None:
    for i in range(4):
        k.paint.rect(x + w * (i / 3.5), y - 7, w / 7, 8, stone)


def tower(k: Kit) -> None:
    p = k.paint
    stone = k.main("#a8a39a", "#b5aa9c", "#8f96a3")
    p.rect(-18, -84, 36, 84, stone)
    p.rect(4, -84, 14, 84, shade(stone, -0.12))
    p.rect(-23, -92, 46, 14, stone)
    _battlement(k, -23, -92, 46, stone)
    for y in (-66, -40):
        p.rect(-4, y, 8, 14, k.pane(), corner=4)
    p.rect(-8, -22, 16, 22, k.lit("#5a4238"), corner=8)


def castle(k: Kit) -> None:
    p = k.paint
    stone, roof = (
        k.main("#d8cfc0", "#c9c4cc", "#e5d4c8"),
        _roof(k, "#4f6fb0", "#8a4f8f", "#c4513f"),
    )
    p.rect(-30, -44, 60, 44, shade(stone, -0.1))
    for x, h, w in ((0, 74, 24), (-36, 56, 19), (36, 56, 19), (-17, 62, 13), (18, 66, 13)):
        p.rect(x - w / 2, -h, w, h, stone)
        p.rect(x + w * 0.12, -h, w * 0.38, h, shade(stone, -0.1))
        p.polygon([(x - w * 0.66, -h), (x, -h - w * 1.25), (x + w * 0.66, -h)], roof)
        p.rect(x - 2.5, -h + 9, 5, 9, k.pane(), corner=2.5)
    p.rect(-9, -24, 18, 24, k.lit("#5a4238"), corner=9)


def wizard_tower(k: Kit) -> None:
    p = k.paint
    stone = k.main("#8f86a8", "#7f8fa8", "#a08f9a")
    p.polygon([(-17, 0), (-11, -46), (-17, -66), (17, -66), (11, -46), (17, 0)], stone)
    p.polygon([(3, 0), (3, -66), (17, -66), (11, -46), (17, 0)], shade(stone, -0.14))
    p.polygon([(-25, -63), (-4, -84), (7, -106), (9, -84), (25, -63)], k.lit("#5a3f9a"))
    p.polygon([(7, -106), (9, -84), (25, -63), (6, -63)], k.lit("#452f80"))
    p.circle(6, -104, 4.5, rgb("#ffe27a"))
    for x, y in ((-2, -58), (2, -34)):
        p.rect(x - 4, y, 8, 12, rgb("#ffe27a") if k.glow else k.pane(), corner=4)
    p.rect(12, -44, 17, 22, shade(stone, 0.1))
    p.polygon([(9, -43), (20, -58), (32, -43)], k.lit("#5a3f9a"))
    p.rect(-6, -18, 12, 18, k.lit("#5a4238"), corner=6)


def mushroom_house(k: Kit) -> None:
    p = k.paint
    stem = k.lit("#f6ead4")
    p.polygon([(-24, 0), (-18, -52), (18, -52), (24, 0)], stem, smooth=8)
    cap = k.main("#d9443f", "#d9443f", "#8a5cc2", "#e58a3a")
    p.dome(0, -42, 48, 54, cap)
    p.ellipse(0, -42, 48, 8, shade(cap, -0.25))
    for x, y, r in ((-24, -62, 7), (0, -78, 8), (26, -60, 6.5), (-8, -56, 4.5)):
        p.circle(x, y, r, k.lit("#fff6ea"))
    p.rect(-8, -25, 16, 25, k.lit("#8a5a3a"), corner=8)
    p.circle(4, -12, 1.8, k.lit("#ffd76a"))
    for x in (-15, 15):
        p.circle(x, -28, 5.5, k.lit("#8a5a3a"))
        p.circle(x, -28, 4, k.pane())


def treehouse(k: Kit) -> None:
    p = k.paint
    p.polygon([(-10, 0), (-6, -60), (6, -60), (10, 0)], k.lit("#6f4c36"))
    leaf = k.lit(
        {"autumn": "#e0762a", "winter": "#e4edf5", "spring": "#8fce62"}.get(k.season, "#3f9a4b")
    )
    for x, y, r in ((-26, -66, 21), (26, -66, 21), (0, -80, 24)):
        p.circle(x, y, r, leaf)
    wall = k.main("#c08a58", "#b07848")
    p.rect(-30, -38, 60, 5, k.lit("#6f4c36"))
    p.rect(-20, -62, 40, 25, wall)
    p.polygon([(-26, -60), (0, -82), (26, -60)], _roof(k, *ROOFS))
    _windows(k, [(10, -55)], 9, 9)
    p.rect(-14, -54, 11, 17, shade(wall, -0.4), corner=2)
    for x in (-25, -17):
        p.line([(x, -36), (x, 0)], k.lit("#a87a4f"), 2)
    for y in (-29, -20, -11):
        p.line([(-25, y), (-17, y)], k.lit("#a87a4f"), 2)


def bridge(k: Kit) -> None:
    p = k.paint
    stone = k.main("#b5aa9c", "#a8978a", "#c08f72")
    p.polygon([(-50, 0), (-50, -34), (0, -56), (50, -34), (50, 0)], stone, smooth=24)
    p.line([(-50, -34), (0, -57), (50, -34)], shade(stone, 0.2), 6, smooth=40)
    p.dome(0, 0, 27, 36, k.lit("#4f86a8"))
    p.ellipse(0, 0, 44, 4, k.lit("#4f86a8"))
    for x in (-42, 42):
        p.line([(x, -36), (x, -58)], k.lit("#4a4a52"), 2.4)
        if k.glow:
            p.glow(x, -61, 14, rgb("#ffdf7e"), 0.9)
        p.circle(x, -61, 4.2, k.pane())


def igloo(k: Kit) -> None:
    p = k.paint
    ice = k.main("#e8f4fc")
    p.dome(0, 0, 46, 58, ice)
    for y, w in ((-18, 43), (-36, 36)):
        p.line([(-w, y), (w, y)], shade(ice, -0.14), 2)
    for x, y in ((-22, -18), (24, -18), (-2, -36), (0, -57)):
        p.line([(x, y), (x, y + 18)], shade(ice, -0.14), 2)
    p.dome(14, 0, 22, 32, shade(ice, -0.08))
    p.dome(14, 0, 15, 24, rgb("#ffcf7a") if k.glow else k.lit("#4a6a8f"))


def pyramid(k: Kit) -> None:
    sand = k.main("#e2b96a", "#d9a85a")
    k.paint.polygon([(-50, 0), (4, -82), (50, 0)], sand)
    k.paint.polygon([(4, -82), (50, 0), (18, 0)], shade(sand, -0.22))
    for t in (0.25, 0.5, 0.75):
        x0, x1 = -50 + 54 * t, 50 - 46 * t
        k.paint.line([(x0, -82 * t), (x1, -82 * t)], shade(sand, -0.12), 1.8)


def skyscraper(k: Kit) -> None:
    p = k.paint
    wall = k.main("#5f7fb0", "#6f8fa8", "#7a6fa8", "#4f6a8f")
    p.rect(-20, -92, 40, 92, wall)
    p.rect(4, -92, 16, 92, shade(wall, -0.15))
    p.rect(-13, -100, 26, 8, shade(wall, -0.1))
    for i in range(7):
        for x in (-15, -5, 7):
            lamp = k.glow and (i * 3 + int(x)) % 4 != 0
            p.rect(x, -86 + 12 * i, 7, 7, rgb("#ffe08a") if lamp else shade(wall, 0.4))


def townlamp(k: Kit) -> None:
    """A street lamp."""
    p = k.paint
    iron = k.lit("#3a3f4a")
    p.rect(-2.5, -86, 5, 86, iron, corner=2)
    p.rect(-7, -5, 14, 5, iron, corner=2)
    if k.glow:
        p.glow(0, -90, 46, rgb("#ffdf7e"), 0.85)
    p.polygon(
        [(-8, -98), (8, -98), (5, -82), (-5, -82)], rgb("#fff0b8") if k.glow else k.lit("#f4efdc")
    )
    p.polygon([(-10, -97), (0, -106), (10, -97)], iron)
