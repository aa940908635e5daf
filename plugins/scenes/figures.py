"""Makers of people: simple figures that walk, fish and carry umbrellas and balloons."""

from __future__ import annotations

import numpy as np

from .kit import SKINS, Kit
from .paint import RGB, Point, polar, shade

HAIR = ("#3a2a26", "#6b4428", "#c98a3a", "#1f1c22", "#b5532f")
CLOTH = ("#e2574c", "#3f7fd0", "#f2b134", "#4aa36b", "#8a5cc2", "#f08fb4", "#3fa8a8")
TROUSERS = ("#3a4a6b", "#5a4a42", "#4a4f5a", "#2f3f5a")


def _body(k: Kit, x: float, size: float, dress: bool, arm: Point) -> RGB:
    """A walking figure with its feet at (x, 0), `size` high; one hand reaches to `arm`."""
    p = k.paint
    skin = k.tone(k.one(SKINS))
    coat = k.main(*CLOTH)
    legs = k.lit(TROUSERS[int(k.rng.integers(4))])
    hair = k.lit(HAIR[int(k.rng.integers(5))])
    u = size / 100
    stride = 11 * u
    for side in (-1, 1):
        foot = (x + side * stride, -3 * u)
        p.line([(x, -42 * u), (x + side * 6 * u, -22 * u), foot], skin if dress else legs, 9 * u)
        p.line([foot, (foot[0] + 5 * u, -3 * u)], k.lit("#4a3630"), 6.5 * u)
    shoulder = (x, -70 * u)
    p.line([shoulder, (x - 11 * u, -56 * u), (x - 9 * u, -44 * u)], shade(coat, -0.15), 7.5 * u)
    top, hem, waist = 8 * u, (19 if dress else 13) * u, (-30 if dress else -38) * u
    trunk = [(x - top, -76 * u), (x + top, -76 * u), (x + hem, waist), (x - hem, waist)]
    p.polygon(trunk, coat, smooth=7 * u)
    p.line(
        [shoulder, ((x + arm[0]) / 2 + 3 * u, (-66 * u + arm[1]) / 2 + 5 * u), arm], coat, 7.5 * u
    )
    p.circle(arm[0], arm[1], 4 * u, skin)
    if dress:
        p.ellipse(x - 2 * u, -82 * u, 12 * u, 15 * u, hair)
    p.circle(x + 1 * u, -87 * u, 10.5 * u, skin)
    top = [polar(x, -88 * u, 12 * u, a) for a in np.linspace(np.pi * 0.85, np.pi * 1.9, 12)]
    p.polygon(top, hair)
    return coat


def walker(k: Kit) -> None:
    _body(k, 0, 100, k.chance(0.5), (13, -46))


def umbrella_walker(k: Kit) -> None:
    p = k.paint
    _body(k.plain(), -4, 82, k.chance(0.6), (12, -52))
    p.line([(12, -44), (12, -92)], k.lit("#4a4550"), 2.6)
    color = k.main(*CLOTH)
    p.dome(10, -74, 36, 27, color)
    p.dome(10, -74, 15, 27, shade(color, 0.18))
    for x in (-14, 10, 34):
        p.dome(x, -73, 12, 5, shade(color, -0.2))


def balloon_child(k: Kit) -> None:
    p = k.paint
    _body(k.plain(), -10, 56, k.chance(0.5), (6, -44))
    count = 1 if k.color is not None or k.chance(0.5) else 3
    for i in range(count):
        x, y = 20 + (i - (count - 1) / 2) * 15, -82 + 5 * (i % 2)
        color = (
            k.main(*CLOTH) if count == 1 else k.lit(CLOTH[(i * 2 + int(k.rng.integers(2))) % 7])
        )
        p.line([(6, -44), (x, y + 16)], k.lit("#f4f0ea"), 1.6)
        p.ellipse(x, y, 13, 16, color)
        p.ellipse(x - 4, y - 6, 3.4, 5, (1, 1, 1), 0.5)


def hiker(k: Kit) -> None:
    p = k.paint
    pack = k.main("#e2574c", "#3f7f5a", "#f2b134")
    _body(k.plain(), 2, 96, False, (20, -50))
    p.rect(-19, -76, 17, 32, pack, corner=6)
    p.rect(-17, -82, 14, 8, shade(pack, -0.25), corner=4)
    p.line([(21, -66), (23, 0)], k.lit("#7a5438"), 3)
    p.ellipse(3, -92, 16, 4, k.lit("#8a6a42"))
    p.dome(3, -92, 10, 10, k.lit("#8a6a42"))


def angler(k: Kit) -> None:
    p = k.paint
    _body(k, -16, 92, False, (4, -56))
    p.line([(2, -50), (34, -92)], k.lit("#7a5438"), 2.8)
    p.line([(34, -92), (44, -60), (44, -14)], k.lit("#f4f0ea"), 1.4)
    p.ellipse(43, -12, 7, 4, k.lit("#5fa8d0"))
    p.ellipse(-15, -88, 17, 4, k.lit("#d9b56a"))
    p.dome(-15, -88, 10, 10, k.lit("#d9b56a"))
