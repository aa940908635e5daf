"""Abstract pictures on a grid: tilings, fans, weaves, blocks of colour."""

from __future__ import annotations

import numpy as np

from .grounds import star
from .paint import RGB, SIZE, Paint, mix, polar, shade
from .patterns_classic import Pattern


def _terrazzo(p: Paint, rng: np.random.Generator, c: list[RGB]) -> None:
    p.fill(mix(c[0], (1, 1, 1), 0.62))
    tones = [c[0], shade(c[0], -0.3), *c[1:], shade(c[0], 0.3)]
    for i in range(36):
        x, y = 256 * ((i * 0.618) % 1) + rng.uniform(-8, 8), 7.3 * i + rng.uniform(-6, 6)
        n, turn, r = int(rng.integers(4, 7)), rng.uniform(0, 6), rng.uniform(9, 19)
        chip = [
            polar(x, y, r * rng.uniform(0.75, 1.1), turn + 2 * np.pi * k / n) for k in range(n)
        ]
        p.polygon(chip, tones[i % len(tones)])


def _fans(p: Paint, rng: np.random.Generator, c: list[RGB]) -> None:
    p.fill(shade(c[0], -0.3))
    r = 43.0
    for j in range(8):
        for i in range(-1, 5):
            x, y = 2 * r * i + r * (j % 2) + 20, 40.0 * j + 12
            for k, f in enumerate((1.0, 0.8, 0.6, 0.4, 0.2)):
                p.circle(
                    x, y, r * f, shade(c[0], -0.25) if k % 2 == 0 else c[1 + (j % (len(c) - 1))]
                )


def _scales(p: Paint, rng: np.random.Generator, c: list[RGB]) -> None:
    p.fill(c[0])
    r = 33.0
    for j in range(-1, 10):
        for i in range(-1, 5):
            x, y = 2 * r * i + r * (j % 2), 29.0 * j
            tone = mix(c[(i + j) % len(c)], shade(c[0], 0.2), float(rng.uniform(0.2, 0.6)))
            p.circle(x, y, r, shade(tone, 0.45))
            p.circle(x, y - 3, r - 2, tone)


def _cubes(p: Paint, rng: np.random.Generator, c: list[RGB]) -> None:
    r = 37.0
    w = r * 0.866
    for j in range(-1, 7):
        for i in range(-1, 6):
            x, y = 2 * w * i + w * (j % 2), 1.5 * r * j
            tone = c[(i + 2 * j) % len(c)]
            top = [(x, y - r), (x + w, y - r / 2), (x, y), (x - w, y - r / 2)]
            left = [(x - w, y - r / 2), (x, y), (x, y + r), (x - w, y + r / 2)]
            right = [(x + w, y - r / 2), (x, y), (x, y + r), (x + w, y + r / 2)]
            for face, light in ((top, 0.3), (left, -0.05), (right, -0.35)):
                p.polygon(face, shade(tone, light))


def _checker(p: Paint, rng: np.random.Generator, c: list[RGB]) -> None:
    warp = rng.random() < 0.4
    xs = np.linspace(0, 1, 9)
    edges = 256 * (xs - (0.09 * np.sin(2 * np.pi * xs) if warp else 0))
    for i in range(8):
        for j in range(8):
            tone = c[(i + j) % 2] if (i + j) % 4 != 3 or len(c) == 2 else c[2]
            x, y = float(edges[i]), float(edges[j])
            p.rect(x, y, float(edges[i + 1]) - x + 1, float(edges[j + 1]) - y + 1, tone)


def _plaid(p: Paint, rng: np.random.Generator, c: list[RGB]) -> None:
    p.fill(c[0])
    step = 85.3
    for tone, width, offset, alpha in (
        (c[1], 34, 12, 0.45),
        (shade(c[0], -0.5), 22, 48, 0.45),
        (c[-1] if len(c) > 2 else (1.0, 1.0, 1.0), 5, 26, 0.7),
    ):
        for i in range(4):
            p.rect(step * i + offset, 0, width, SIZE, tone, alpha)
            p.rect(0, step * i + offset, SIZE, width, tone, alpha)


def _dots(p: Paint, rng: np.random.Generator, c: list[RGB]) -> None:
    p.fill(c[0])
    pitch = float(rng.choice([42.67, 64.0]))
    for j in range(8):
        for i in range(-1, 8):
            x, y = pitch * (i + 0.5 * (j % 2)) + pitch / 4, pitch * (j + 0.5) * 0.75
            p.circle(x, y, pitch * 0.27, c[1 + (i + j) % (len(c) - 1)])


def _zigzag(p: Paint, rng: np.random.Generator, c: list[RGB]) -> None:
    p.fill(c[0])
    for i in range(-1, 10):
        y = 32.0 * i
        line = [(32.0 * k, y + (24 if k % 2 else 0)) for k in range(-1, 10)]
        p.polygon([*line, *[(x, b + 32) for x, b in reversed(line)]], c[i % len(c)])


def _stars(p: Paint, rng: np.random.Generator, c: list[RGB]) -> None:
    p.fill(shade(c[0], -0.35))
    for j in range(5):
        for i in range(5):
            x, y = 64.0 * i, 64.0 * j
            star(p, x, y, 42, shade(c[0], 0.1), 8)
            star(p, x, y, 30, c[1], 8)
            p.circle(x, y, 10, shade(c[0], 0.5) if len(c) == 2 else c[2])
            star(p, x + 32, y + 32, 17, c[-1], 4)


def _truchet(p: Paint, rng: np.random.Generator, c: list[RGB]) -> None:
    p.fill(c[0])
    side, inner = 51.2, c[-1] if len(c) > 2 else shade(c[0], -0.35)
    for i in range(5):
        for j in range(5):
            x, y = side * i, side * j
            ends = (
                ((x, y), (x + side, y + side))
                if rng.random() < 0.5
                else ((x + side, y), (x, y + side))
            )
            with p.within_box(x, y, side, side):
                for cx, cy in ends:
                    p.circle(cx, cy, side / 2, c[1], width=17)
                    p.circle(cx, cy, side / 2, inner, width=4)


def _mondrian(p: Paint, rng: np.random.Generator, c: list[RGB]) -> None:
    p.fill((0.1, 0.1, 0.12))
    boxes = [(0.0, 0.0, SIZE, SIZE)]
    while len(boxes) < 9:
        boxes.sort(key=lambda b: -b[2] * b[3])
        x, y, w, h = boxes.pop(0)
        t = float(rng.uniform(0.32, 0.68))
        if w > h:
            boxes += [(x, y, w * t, h), (x + w * t, y, w * (1 - t), h)]
        else:
            boxes += [(x, y, w, h * t), (x, y + h * t, w, h * (1 - t))]
    for i, (x, y, w, h) in enumerate(boxes):
        tone = [c[0], c[1], (0.97, 0.96, 0.93), c[-1], c[0]][i % 5]
        p.rect(x + 3, y + 3, w - 6, h - 6, tone)


def _shapes(p: Paint, rng: np.random.Generator, c: list[RGB]) -> None:
    p.fill(mix(c[0], (1, 0.97, 0.9), 0.72))
    tones = [c[0], c[1], shade(c[0], -0.45), c[-1], c[0]]
    p.circle(rng.uniform(80, 176), rng.uniform(80, 176), rng.uniform(52, 70), tones[0])
    for i in range(7):
        x, y, turn = rng.uniform(36, 220), rng.uniform(36, 220), rng.uniform(-40, 40)
        size = float(rng.uniform(22, 40))
        with p.moved(x, y, 1, turn):
            if i % 4 == 0:
                p.rect(-size * 1.6, -7, size * 3.2, 14, tones[(i + 1) % 5])
            elif i % 4 == 1:
                p.polygon([(-size, size), (size, size), (0, -size)], tones[(i + 1) % 5])
            elif i % 4 == 2:
                p.circle(0, 0, size * 0.8, tones[(i + 2) % 5], width=8)
            else:
                p.rect(-size * 0.6, -size * 0.6, size * 1.2, size * 1.2, tones[(i + 1) % 5])


def _arches(p: Paint, rng: np.random.Generator, c: list[RGB]) -> None:
    p.fill(mix(c[0], (1, 0.97, 0.9), 0.75))
    spots = (
        ((128, 236, 100),)
        if rng.random() < 0.4
        else ((70, 128, 56), (186, 128, 56), (70, 250, 56), (186, 250, 56))
    )
    for i, (x, y, r) in enumerate(spots):
        for k in range(4):
            tone = [c[0], c[1], shade(c[0], 0.35), c[-1]][(k + i) % 4]
            size = r * (1 - 0.24 * k)
            p.dome(x, y - r * 0.2, size, size, tone)
            p.rect(x - size, y - r * 0.22, 2 * size, r * 0.28, tone)
        size = r * 0.1
        p.dome(x, y - r * 0.2, size, size, mix(c[0], (1, 0.97, 0.9), 0.75))


GRIDS: dict[str, Pattern] = {
    "terrazzo": _terrazzo,
    "fans": _fans,
    "scales": _scales,
    "cubes": _cubes,
    "checker": _checker,
    "plaid": _plaid,
    "dots": _dots,
    "zigzag": _zigzag,
    "stars": _stars,
    "truchet": _truchet,
    "mondrian": _mondrian,
    "shapes": _shapes,
    "arches": _arches,
}
