"""Simple grounds in one or two colours for portraits of objects."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .paint import RGB, SIZE, Paint, luminance, mix, polar, rgb, shade, wave

Ground = Callable[[Paint, np.random.Generator, RGB, RGB, RGB], None]


def _plain(p: Paint, rng: np.random.Generator, color: RGB, light: RGB, second: RGB) -> None:
    p.fill(color)


def _gradient(p: Paint, rng: np.random.Generator, color: RGB, light: RGB, second: RGB) -> None:
    if second == color:
        p.vertical([light, color, shade(color, -0.12)])
    else:
        p.linear([color, second], (0, 0), ((0, SIZE), (SIZE, SIZE))[int(rng.integers(2))])


def _rays(p: Paint, rng: np.random.Generator, color: RGB, light: RGB, second: RGB) -> None:
    p.fill(color)
    turn = float(rng.uniform(0, 0.5))
    for k in range(12):
        a = turn + 2 * np.pi * k / 12
        ends = polar(128, 128, 260, a), polar(128, 128, 260, a + np.pi / 12)
        p.polygon([(128, 128), *ends], light if second == color else second)


def _disc(p: Paint, rng: np.random.Generator, color: RGB, light: RGB, second: RGB) -> None:
    p.fill(mix(light, (1, 1, 1), 0.45) if second == color else second)
    p.circle(128, 128, 110, color)


def _dots(p: Paint, rng: np.random.Generator, color: RGB, light: RGB, second: RGB) -> None:
    p.fill(color)
    for i in range(8):
        for j in range(8):
            p.circle(
                16 + 32 * i + 16 * (j % 2), 16 + 32 * j, 8, light if second == color else second
            )


def _glow(p: Paint, rng: np.random.Generator, color: RGB, light: RGB, second: RGB) -> None:
    p.fill(shade(color, -0.3))
    p.radial([mix(light, (1, 1, 1), 0.5), color, shade(color, -0.35)], 128, 126, 190)


def _bokeh(p: Paint, rng: np.random.Generator, color: RGB, light: RGB, second: RGB) -> None:
    p.vertical([shade(color, -0.15), shade(color, -0.45)])
    for i in range(13):
        x, y = 256 * ((i * 0.618) % 1), float(rng.uniform(0, 256))
        r = float(rng.uniform(12, 30))
        spot = shade(color if i % 2 else second, 0.45)
        p.circle(x, y, r, spot, 0.3)
        p.circle(x, y, r, spot, 0.25, width=2.5)


def _arch(p: Paint, rng: np.random.Generator, color: RGB, light: RGB, second: RGB) -> None:
    p.fill(mix(light, rgb("#fff6e6"), 0.75) if second == color else second)
    p.rect(36, 128, 184, 140, color)
    p.circle(128, 128, 92, color)
    p.circle(128, 128, 76, light)
    p.rect(52, 128, 152, 140, light)


def _striped(p: Paint, rng: np.random.Generator, color: RGB, light: RGB, second: RGB) -> None:
    p.fill(color)
    for i in range(0, 8, 2):
        p.rect(32 * i, 0, 32, SIZE, light if second == color else second)


def _waves(p: Paint, rng: np.random.Generator, color: RGB, light: RGB, second: RGB) -> None:
    p.fill(light)
    for i in range(5):
        tone = mix(light, second, 0.25 * i) if second != color else shade(color, 0.12 - 0.12 * i)
        p.land(wave(86 + 38 * i, 10, 170, 1.3 * i + float(rng.uniform(0, 1))), tone, smooth=12)


def _stars(p: Paint, rng: np.random.Generator, color: RGB, light: RGB, second: RGB) -> None:
    p.vertical([color, shade(color, -0.3)])
    tone = rgb("#ffe68a") if second == color and luminance(color) < 0.6 else shade(second, 0.55)
    if luminance(color) > 0.85:
        tone = rgb("#f2b632")
    for i in range(6):
        for j in range(6):
            x, y = 22 + 44 * i + 22 * (j % 2), 20 + 44 * j
            star(p, x, y, 11 if (i + j) % 2 else 6, tone)


def star(p: Paint, x: float, y: float, r: float, color: RGB, points: int = 5) -> None:
    """A star with `points` tips, one of them up."""
    tips = [
        polar(x, y, r if k % 2 == 0 else r * 0.45, -np.pi / 2 + k * np.pi / points)
        for k in range(2 * points)
    ]
    p.polygon(tips, color)


def _confetti(p: Paint, rng: np.random.Generator, color: RGB, light: RGB, second: RGB) -> None:
    p.fill(mix(light, (1, 1, 1), 0.25))
    tones = ("#ff5f7a", "#ffc83a", "#3fc0a8", "#5f8ff0", "#b06fe0")
    for i in range(30):
        x, y = 256 * ((i * 0.618) % 1), 8 + 8.2 * i + float(rng.uniform(-8, 8))
        with p.moved(x, y, 1, float(rng.uniform(0, 180))):
            p.rect(-8, -4, 16, 8, rgb(tones[i % 5]), corner=2 if i % 2 else 4)


def _foliage(p: Paint, rng: np.random.Generator, color: RGB, light: RGB, second: RGB) -> None:
    p.vertical([mix(light, (1, 1, 1), 0.3), light])
    greens = [rgb(c) for c in ("#2f7a4f", "#4a9a5a", "#1f5f48")]
    for corner in range(4):
        cx, cy = 256.0 * (corner % 2), 256.0 * (corner // 2)
        inward = float(np.arctan2(128 - cy, 128 - cx))
        for i, da in enumerate((-0.85, -0.42, 0.42, 0.85, 0.0)):
            a, r = inward + da, 84.0 - 22 * abs(da) - (12 if i == 4 else 0)
            tip, root = polar(cx, cy, r, a), polar(cx, cy, 8, a + np.pi)
            l_, r_ = polar(cx, cy, r * 0.5, a - 0.42), polar(cx, cy, r * 0.5, a + 0.42)
            p.polygon([root, l_, tip, r_], greens[i % 3], smooth=14)
    for x, y in ((30, 34), (228, 30), (28, 226), (226, 230)):
        for k in range(5):
            p.circle(
                *polar(x, y, 8, 2 * np.pi * k / 5),
                6.5,
                shade(color if second == color else second, 0.2),
            )
        p.circle(x, y, 5, rgb("#ffe27a"))


def _scallops(p: Paint, rng: np.random.Generator, color: RGB, light: RGB, second: RGB) -> None:
    p.fill(color)
    for j in range(8):
        for i in range(-1, 6):
            x, y = 52 * i + 26 * (j % 2) + 12, 34 * j
            p.circle(x, y, 30, mix(color, light, 0.35 + 0.3 * (j % 2)))
            p.circle(x, y, 30, mix(light, (1, 1, 1), 0.4), 0.8, width=3)


def _sunset(p: Paint, rng: np.random.Generator, color: RGB, light: RGB, second: RGB) -> None:
    p.vertical([shade(color, 0.1), mix(light, rgb("#ffe8c0"), 0.5)])
    p.circle(128, 150, 88, rgb("#ffd76a") if luminance(color) < 0.75 else rgb("#f58a4b"))
    p.vertical([shade(color, -0.25), shade(color, -0.4)], 200, SIZE)


def _checks(p: Paint, rng: np.random.Generator, color: RGB, light: RGB, second: RGB) -> None:
    p.fill(color)
    for i in range(8):
        for j in range(8):
            if (i + j) % 2:
                p.rect(32 * i, 32 * j, 32, 32, light if second == color else second)


_GROUNDS: dict[str, Ground] = {
    "plain": _plain,
    "gradient": _gradient,
    "rays": _rays,
    "disc": _disc,
    "dots": _dots,
    "glow": _glow,
    "bokeh": _bokeh,
    "arch": _arch,
    "striped": _striped,
    "waves": _waves,
    "stars": _stars,
    "confetti": _confetti,
    "foliage": _foliage,
    "scallops": _scallops,
    "sunset": _sunset,
    "checks": _checks,
}


def paint_ground(
    paint: Paint, rng: np.random.Generator, ground: str, color: RGB, second: RGB | None = None
) -> None:
    """A simple background in one colour, or two."""
    if ground not in _GROUNDS:
        raise ValueError(f"unknown ground {ground!r}")
    light = shade(color, 0.24) if luminance(color) < 0.85 else shade(color, -0.1)
    _GROUNDS[ground](paint, rng, color, light, second or color)
