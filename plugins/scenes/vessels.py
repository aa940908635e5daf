"""Makers of ships, balloons and other wonders that float, and of small treasures."""

from __future__ import annotations

import numpy as np

from .kit import Kit
from .paint import polar, rgb, shade

STRIPES = ("#e2574c", "#f2b134", "#3f7fd0", "#4aa36b", "#8a5cc2", "#f08fb4")


def air_balloon(k: Kit) -> None:
    p = k.paint
    color = k.main(*STRIPES)
    other = k.lit("#fff3dc") if k.chance(0.6) else k.lit(STRIPES[int(k.rng.integers(6))])
    p.polygon([(-27, -48), (27, -48), (9, -24), (-9, -24)], shade(color, -0.12))
    p.circle(0, -66, 33, color)
    for rx in (21, 8):
        p.ellipse(0, -66, rx, 33, other if rx == 21 else color)
    p.polygon([(-14, -40), (14, -40), (7, -24), (-7, -24)], other)
    p.ellipse(-13, -78, 6, 11, (1, 1, 1), 0.25)
    for x in (-7, 7):
        p.line([(x, -24), (x * 0.9, -13)], k.lit("#6a4a38"), 1.6)
    p.rect(-8, -14, 16, 13, k.lit("#a8713f"), corner=3)
    p.rect(-8.5, -14, 17, 4, k.lit("#8a5a30"), corner=2)


def airship(k: Kit) -> None:
    p = k.paint
    color = k.main(*STRIPES, "#cfc4b0")
    p.polygon([(26, -62), (48, -80), (48, -28), (26, -46)], shade(color, -0.25))
    p.ellipse(0, -54, 46, 23, color)
    p.ellipse(0, -46, 40, 13, shade(color, -0.14))
    p.ellipse(-6, -54, 44, 7, shade(color, 0.35), 0.6)
    p.rect(-17, -32, 34, 12, k.lit("#6a4a38"), corner=4)
    for x in (-10, 0, 10):
        p.rect(x - 2.5, -29, 5, 5, k.pane(), corner=1)


def boat(k: Kit) -> None:
    """A small fishing boat with one sail."""
    p = k.paint
    hull = k.main("#b5483f", "#3f6fa8", "#f2f0e6", "#3f8a7a")
    p.line([(0, -16), (0, -92)], k.lit("#6a4a38"), 3.4)
    p.polygon([(4, -88), (38, -26), (4, -26)], k.lit("#fdf6e8"))
    p.polygon([(-4, -78), (-28, -26), (-4, -26)], k.lit("#f0dfc4"))
    p.polygon([(-44, -20), (44, -20), (30, 0), (-30, 0)], hull)
    p.rect(-46, -22, 92, 5, shade(hull, -0.3), corner=2)


def galleon(k: Kit) -> None:
    p = k.paint
    wood = k.lit("#7a4a2e")
    sail = k.main("#fbf1dc", "#f6e4c4", "#3a3440")
    for x, top in ((-20, -82), (14, -96)):
        p.line([(x, -24), (x, top - 4)], k.lit("#5a3824"), 3)
        for y, w, h in ((top, 17, 22), (top + 27, 22, 24)):
            p.polygon(
                [(x - w, y), (x + w, y), (x + w + 3, y + h), (x, y + h - 4), (x - w - 1, y + h)],
                sail,
            )
    p.polygon([(14, -100), (28, -104), (14, -108)], k.lit("#d9443f"))
    p.line([(38, -30), (50, -40)], wood, 3)
    p.polygon([(-46, -36), (-32, -36), (-30, -24), (26, -24), (44, -32), (34, 0), (-36, 0)], wood)
    p.line([(-36, -17), (38, -17)], k.lit("#e0b25a"), 3)
    for x in (-24, -6, 12):
        p.circle(x, -9, 3.4, k.lit("#3a2418"))


def paper_boat(k: Kit) -> None:
    p = k.paint
    paper = k.main("#fdfdf8", "#fdfdf8", "#f7c8c8", "#bfe0f4")
    p.polygon([(-24, -26), (0, -70), (24, -26)], shade(paper, -0.14))
    p.polygon([(0, -70), (24, -26), (0, -26)], shade(paper, -0.05))
    p.polygon([(-48, -34), (0, -20), (48, -34), (28, 0), (-28, 0)], paper)
    p.polygon([(0, -20), (48, -34), (28, 0), (0, 0)], shade(paper, -0.09))


def submarine(k: Kit) -> None:
    p = k.paint
    hull = k.main("#f7c638", "#f7c638", "#e2574c", "#4aa3a3")
    p.rect(-14, -72, 30, 30, hull, corner=6)
    p.line([(4, -72), (4, -88), (16, -88)], shade(hull, -0.25), 5)
    p.polygon([(-38, -32), (-50, -48), (-50, -8)], shade(hull, -0.3))
    p.ellipse(2, -28, 46, 25, hull)
    p.ellipse(2, -17, 40, 13, shade(hull, -0.15))
    for x in (-18, 4, 26):
        p.circle(x, -31, 8.5, k.lit("#6a5a40"))
        p.circle(x, -31, 6.2, k.pane() if k.glow else k.lit("#bfe8f4"))


def sea_serpent(k: Kit) -> None:
    p = k.paint
    green = k.main("#3f9a6f", "#4f8fb5", "#7a5cb8")
    for x, r in ((-36, 11), (-8, 17)):
        arc = [polar(x, 0, r, a) for a in np.linspace(np.pi, 2 * np.pi, 14)]
        p.line(arc, green, 12)
        p.polygon([(x - 5, -r - 5), (x, -r - 15), (x + 5, -r - 5)], k.lit("#f2b134"))
    p.line([(22, 0), (20, -34), (26, -62), (40, -70)], green, 14, smooth=24)
    p.ellipse(36, -72, 15, 11, green)
    p.ellipse(46, -69, 7, 6, shade(green, 0.2))
    p.circle(36, -77, 4.2, (1, 1, 1))
    p.circle(37.5, -77, 2.2, (0.1, 0.1, 0.15))
    for y in (-30, -46, -60):
        p.polygon([(14, y), (6, y - 8), (17, y - 9)], k.lit("#f2b134"))


def floating_island(k: Kit) -> None:
    p = k.paint
    rock = k.lit("#8a7468")
    p.polygon([(-46, -44), (-28, -22), (-14, -12), (-4, 0), (8, -14), (24, -20), (46, -44)], rock)
    p.polygon([(6, -44), (46, -44), (24, -20), (8, -14), (-4, 0)], shade(rock, -0.18))
    grass = k.main("#5fb04c", "#6fbf58")
    p.ellipse(0, -46, 48, 9, grass)
    p.ellipse(0, -48, 44, 6, shade(grass, 0.12))
    p.rect(-19, -61, 5, 16, k.lit("#6f4c36"))
    for x, y, r in ((-24, -66, 10), (-10, -66, 10), (-17, -76, 12)):
        p.circle(x, y, r, k.lit("#3f9a4b"))
    p.rect(9, -64, 20, 17, k.lit("#f3e6cf"))
    p.polygon([(5, -63), (19, -78), (33, -63)], k.lit("#c4513f"))
    p.rect(16, -57, 7, 10, k.pane(), corner=3)


def potion(k: Kit) -> None:
    p = k.paint
    color = k.main("#b04ff0", "#3fd08a", "#f0509a", "#3fa8f0")
    p.circle(0, -35, 35, k.lit("#dcecf4"), 0.75)
    p.rect(-11, -84, 22, 26, k.lit("#dcecf4"), 0.75, 4)
    p.circle(0, -34, 29, color)
    p.ellipse(0, -52, 22, 7, shade(color, 0.35))
    p.rect(-13, -98, 26, 17, k.lit("#a8713f"), corner=4)
    for x, y, r in ((-9, -30, 5), (9, -22, 3.6), (6, -42, 3)):
        p.circle(x, y, r, shade(color, 0.55))
    p.ellipse(-19, -44, 5, 12, (1, 1, 1), 0.6)


def lantern(k: Kit) -> None:
    p = k.paint
    iron = k.main("#4a4550", "#8a6a3a")
    p.line([polar(0, -80, 17, a) for a in np.linspace(np.pi, 2 * np.pi, 12)], iron, 4)
    p.glow(0, -44, 60, rgb("#ffcf6a"), 0.55)
    p.rect(-22, -72, 44, 58, rgb("#ffe9a8"), corner=6)
    p.ellipse(0, -36, 8, 16, rgb("#ff9f3a"))
    p.ellipse(0, -31, 4.5, 10, rgb("#fff3c0"))
    for x in (-22, -2, 18):
        p.rect(x, -72, 4, 58, iron, 1 if x != -2 else 0.35)
    p.polygon([(-28, -70), (-14, -86), (14, -86), (28, -70)], iron)
    p.rect(-28, -16, 56, 15, iron, corner=4)
