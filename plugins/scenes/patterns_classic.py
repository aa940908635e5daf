"""Abstract pictures in two or three colours, the classic families."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .paint import RGB, SIZE, Paint, mix, polar, shade

Pattern = Callable[[Paint, np.random.Generator, list[RGB]], None]


def _waves(p: Paint, rng: np.random.Generator, c: list[RGB]) -> None:
    p.vertical([shade(c[0], 0.55), shade(c[0], 0.2)])
    a, f = rng.uniform(0, 6, 2), rng.uniform(0.8, 1.3)
    for i in range(7):
        t = i / 6
        xs = np.linspace(-30, 286, 40)
        ys = (
            52
            + 32 * i
            + (20 - i) * np.sin(xs / 48 * f + a[0] + i * 0.7)
            + 5 * np.sin(xs / 21 + a[1] + i)
        )
        color = c[i % len(c)]
        p.land(
            list(zip(map(float, xs), map(float, ys), strict=True)),
            shade(color, 0.25 - 0.4 * t),
            smooth=8,
        )


def _mandala(p: Paint, rng: np.random.Generator, c: list[RGB]) -> None:
    p.fill(shade(c[0], -0.55))
    n = int(rng.choice([8, 10, 12]))
    for ring, r in enumerate((118, 92, 68, 46, 26)):
        color = c[ring % len(c)]
        petal = (2 * np.pi * r / n) * 0.52
        for k in range(n):
            a = 2 * np.pi * (k + 0.5 * (ring % 2)) / n
            x, y = polar(128, 128, r, a)
            with p.moved(x, y, 1, float(np.rad2deg(a))):
                p.ellipse(0, 0, 19 - ring, petal, shade(color, 0.15 - 0.05 * ring))
                p.ellipse(2, 0, 8, petal * 0.45, shade(c[(ring + 1) % len(c)], 0.3))
    p.circle(128, 128, 17, c[-1])
    p.circle(128, 128, 8, shade(c[0], 0.5))


def _rays(p: Paint, rng: np.random.Generator, c: list[RGB]) -> None:
    x, y, n = rng.uniform(96, 160), rng.uniform(110, 190), int(rng.choice([8, 10, 12]))
    turn = rng.uniform(0, 6)
    p.fill(c[0])
    for k in range(n):
        a = turn + 2 * np.pi * k / n
        p.polygon([(x, y), polar(x, y, 400, a), polar(x, y, 400, a + np.pi / n)], c[1])
    p.circle(x, y, 44, shade(c[-1], 0.45))
    p.circle(x, y, 33, shade(c[-1], -0.05))


def _spiral(p: Paint, rng: np.random.Generator, c: list[RGB]) -> None:
    p.fill(c[0])
    x, y, turn = rng.uniform(112, 144), rng.uniform(112, 144), rng.uniform(0, 6)
    hand, arms = rng.choice([-1, 1]), 3
    for arm in range(arms):
        t = np.linspace(0, 1, 60)
        a = turn + 2 * np.pi * arm / arms + hand * 4.2 * np.sqrt(t)
        inner = [polar(x, y, float(200 * k), float(b)) for k, b in zip(t, a, strict=True)]
        outer = [
            polar(x, y, float(200 * k), float(b + np.pi / arms)) for k, b in zip(t, a, strict=True)
        ]
        p.polygon([*inner, *outer[::-1]], c[1 + arm % (len(c) - 1)])


def _tiles(p: Paint, rng: np.random.Generator, c: list[RGB]) -> None:
    side = SIZE / 4
    for i in range(4):
        for j in range(4):
            x, y = i * side, j * side
            back, front = c[(i + j) % len(c)], c[(i + j + 1) % len(c)]
            p.rect(x, y, side + 1, side + 1, back)
            kind = int(rng.integers(4))
            if kind == 0:
                p.circle(x + side / 2, y + side / 2, side * 0.36, front)
            elif kind == 1:
                p.polygon([(x, y), (x + side, y + side), (x, y + side)], front)
            else:
                with p.within_box(x, y, side, side):
                    p.circle(x + side * (kind == 2), y + side, side, front)


def _triangles(p: Paint, rng: np.random.Generator, c: list[RGB]) -> None:
    side = 64.0
    for j in range(5):
        for i in range(-1, 9):
            x, y = i * side / 2, j * side
            up = (i + j) % 2 == 0
            color = c[int(rng.integers(len(c)))]
            points = (
                [(x, y + side), (x + side, y + side), (x + side / 2, y)]
                if up
                else [(x, y), (x + side, y), (x + side / 2, y + side)]
            )
            p.polygon(points, shade(color, float(rng.choice([-0.15, 0.0, 0.2]))))


def _circles(p: Paint, rng: np.random.Generator, c: list[RGB]) -> None:
    p.fill(shade(c[0], 0.5))
    for gx, gy in ((64, 64), (192, 64), (64, 192), (192, 192)):
        x, y = gx + rng.uniform(-18, 18), gy + rng.uniform(-18, 18)
        for k, r in enumerate((58, 42, 27, 12)):
            p.circle(x, y, r, c[k % len(c)])


def _kaleidoscope(p: Paint, rng: np.random.Generator, c: list[RGB]) -> None:
    p.fill(shade(c[0], -0.2))
    n = 6
    shapes = [
        (
            rng.uniform(20, 150),
            rng.uniform(-0.4, 0.4),
            rng.uniform(14, 34),
            int(rng.integers(len(c))),
            float(rng.choice([-0.2, 0.1, 0.35])),
        )
        for _ in range(9)
    ]
    for r, da, size, k, tone in sorted(shapes, reverse=True):
        for sector in range(n):
            for mirror in (-1, 1):
                a = 2 * np.pi * sector / n + mirror * (np.pi / (2 * n) + da * 0.5)
                x, y = polar(128, 128, r, a)
                tip, left, right = (
                    polar(x, y, size, a),
                    polar(x, y, size, a + 2.2),
                    polar(x, y, size, a - 2.2),
                )
                p.polygon([tip, left, right], shade(c[k], tone))
    p.circle(128, 128, 15, shade(c[-1], 0.3))


def _stripes(p: Paint, rng: np.random.Generator, c: list[RGB]) -> None:
    with p.moved(128, 128, 1, float(rng.choice([-45, 45]))):
        for i in range(12):
            p.rect(-190, -192 + 32 * i, 380, 33, c[i % len(c)])


def _blobs(p: Paint, rng: np.random.Generator, c: list[RGB]) -> None:
    p.vertical([shade(c[0], -0.25), shade(c[0], -0.55)])
    for i in range(7):
        x, y, r = rng.uniform(20, 236), rng.uniform(20, 236), rng.uniform(24, 52)
        color = c[1 + i % (len(c) - 1)]
        p.glow(x, y, r * 1.7, color, 0.6)
        p.ellipse(x, y, r, r * rng.uniform(0.8, 1.25), color)
        p.glow(x - r * 0.3, y - r * 0.3, r * 0.5, shade(color, 0.6), 0.9)


def _flow(p: Paint, rng: np.random.Generator, c: list[RGB]) -> None:
    p.fill(shade(c[0], -0.5))
    a, b = rng.uniform(0, 6, 2)
    xs = np.linspace(-10, 266, 30)
    for i in range(22):
        y0 = -44 + 16.0 * i
        ys = y0 + 27 * np.sin(xs / 54 + a + y0 / 95) + 9 * np.sin(xs / 23 + b - y0 / 60)
        color = c[i % len(c)]
        points = list(zip(xs.tolist(), ys.tolist(), strict=True))
        p.line(points, shade(color, 0.08 * (i % 3)), 8.5, smooth=20)


def _hexagons(p: Paint, rng: np.random.Generator, c: list[RGB]) -> None:
    p.fill(shade(c[0], -0.5))
    r = 30.0
    for j in range(-1, 7):
        for i in range(-1, 6):
            x, y = (i + 0.5 * (j % 2)) * r * 1.78, j * r * 1.54
            color = shade(c[int(rng.integers(len(c)))], float(rng.choice([-0.1, 0.05, 0.25])))
            p.polygon([polar(x, y, r * 0.93, np.pi / 6 + k * np.pi / 3) for k in range(6)], color)


def _layers(p: Paint, rng: np.random.Generator, c: list[RGB]) -> None:
    x, y = rng.uniform(104, 152), rng.uniform(104, 152)
    p.fill(shade(c[0], 0.3))
    phase = rng.uniform(0, 6, 3)
    for k in range(6):
        r = 150 - 24 * k
        points = []
        for a in np.linspace(0, 2 * np.pi, 48, endpoint=False):
            wobble = (
                1 + 0.09 * np.sin(3 * a + phase[0] + k * 0.5) + 0.05 * np.sin(5 * a + phase[1] + k)
            )
            points.append(polar(x, y, float(r * wobble), float(a)))
        p.polygon([(a + 2, b + 4) for a, b in points], (0, 0, 0), 0.22)
        p.polygon(points, mix(c[k % len(c)], shade(c[-1], -0.2), 0.12 * k))


CLASSIC: dict[str, Pattern] = {
    "waves": _waves,
    "mandala": _mandala,
    "rays": _rays,
    "spiral": _spiral,
    "tiles": _tiles,
    "triangles": _triangles,
    "circles": _circles,
    "kaleidoscope": _kaleidoscope,
    "stripes": _stripes,
    "blobs": _blobs,
    "flow": _flow,
    "hexagons": _hexagons,
    "layers": _layers,
}
