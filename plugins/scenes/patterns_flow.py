"""Abstract pictures of fields and lines that flow: marbling, ripples, contours, folds."""

from __future__ import annotations

import cv2
import numpy as np

from .paint import RGB, Paint, mix, polar, shade, wave
from .patterns_classic import Pattern


def _grid(cells: int) -> tuple[np.ndarray, np.ndarray]:
    """x and y in [0, 1] of `cells` x `cells` points, float32."""
    y, x = np.mgrid[0:cells, 0:cells].astype(np.float32) / (cells - 1)
    return x, y


def _bands(field: np.ndarray, stops: list[RGB], soft: float) -> np.ndarray:
    """Colour a field by its fractional part: one band a stop, with edges `soft` wide."""
    n = len(stops)
    at = (field % 1.0) * n
    xs, ys = [0.0], [stops[-1]]
    for i in range(n):
        xs += [i + soft, i + 1 - soft]
        ys += [stops[i], stops[i]]
    xs.append(float(n))
    ys.append(stops[-1])
    table = np.array(ys, np.float32)
    return np.stack([np.interp(at, xs, table[:, k]) for k in range(3)], -1).astype(np.float32)


def _tones(c: list[RGB]) -> list[RGB]:
    """Four or five tones of the given colours that read as one palette."""
    tones = [c[0], shade(c[0], 0.3), c[1], shade(c[0], -0.25)]
    return tones if len(c) == 2 else [*tones, c[2]]


def _marbling(p: Paint, rng: np.random.Generator, c: list[RGB]) -> None:
    x, y = _grid(128)
    a, b, d, e = rng.uniform(0, 6.3, 4)
    u = x + 0.16 * np.sin(5 * y + a) + 0.06 * np.sin(11 * y + b)
    v = y + 0.18 * np.sin(4.2 * u + d) + 0.05 * np.sin(12 * u + e)
    p.field(_bands(1.7 * v + 0.5 * u, _tones(c), 0.12))


def _contours(p: Paint, rng: np.random.Generator, c: list[RGB]) -> None:
    x, y = _grid(160)
    a, b, d = rng.uniform(0, 6.3, 3)
    field = np.sin(5 * x + a) + np.sin(4.4 * y + b) + 0.8 * np.sin(3.5 * (x + y) + d)
    level = field * 1.7
    base = np.clip((field + 2.8) / 5.6, 0, 1)[..., None]
    ground = np.array(shade(c[0], 0.35), np.float32) * base + np.array(c[0], np.float32) * (
        1 - base
    )
    gy, gx = np.gradient(level)
    gap = np.abs(level - np.round(level)) / (np.sqrt(gx * gx + gy * gy) + 1e-3)
    line = np.clip(1.9 - gap, 0, 1)[..., None]
    p.field(ground * (1 - line) + np.array(c[1], np.float32) * line)


def _mesh(p: Paint, rng: np.random.Generator, c: list[RGB]) -> None:
    tones = np.array([c[0], shade(c[0], 0.3), c[0], *c[1:], shade(c[1], 0.2), c[0]], np.float32)
    corners = tones[rng.permutation(np.arange(16) % len(tones))].reshape(4, 4, 3)
    p.field(cv2.resize(corners, (64, 64), interpolation=cv2.INTER_CUBIC))


def _curtains(p: Paint, rng: np.random.Generator, c: list[RGB]) -> None:
    x, y = _grid(128)
    a, b = rng.uniform(0, 6.3, 2)
    fold = np.sin(15 * (x + 0.07 * np.sin(4 * y + a)) + 2 * y + b)
    mixy = (0.5 + 0.5 * np.sin(5 * x + 2.2 * y + b))[..., None]
    color = np.array(c[0], np.float32) * (1 - mixy * 0.7) + np.array(c[1], np.float32) * mixy * 0.7
    p.field(color * (0.82 + 0.26 * fold[..., None]) + 0.06 * (fold[..., None] > 0.6))


def _ripples(p: Paint, rng: np.random.Generator, c: list[RGB]) -> None:
    p.vertical([shade(c[0], 0.15), shade(c[0], -0.25)])
    for k in range(2 if rng.random() < 0.5 else 1):
        x, y = rng.uniform(70, 186), rng.uniform(70, 186)
        for i in range(9, 0, -1):
            tone = c[1 + i % (len(c) - 1)] if i % 2 else shade(c[0], 0.35)
            p.circle(x, y, 17.0 * i, tone, 0.9 - 0.065 * i - 0.2 * k, width=8)
        p.circle(x, y, 6, c[1])


def _vortex(p: Paint, rng: np.random.Generator, c: list[RGB]) -> None:
    turn, hand = rng.uniform(0, 1), float(rng.choice([-1, 1]))
    for i in range(11):
        size = 190 * 0.8**i
        color = c[i % len(c)]
        with p.moved(128, 128, size / 100, float(np.rad2deg(turn) + hand * 9 * i)):
            p.rect(
                -100, -100, 200, 200, mix(shade(color, 0.1), shade(c[0], -0.75), i / 13), corner=26
            )


def _horizon(p: Paint, rng: np.random.Generator, c: list[RGB]) -> None:
    p.vertical([mix(c[0], (1, 1, 1), 0.55), mix(c[0], (1, 1, 1), 0.8)])
    x = rng.uniform(70, 186)
    p.circle(x, rng.uniform(70, 110), rng.uniform(30, 44), c[1])
    for i in range(5):
        t = i / 4
        tone = mix(mix(c[0], (1, 1, 1), 0.5), shade(c[0], -0.5), t)
        if i == 2 and len(c) > 2:
            tone = c[2]
        p.land(
            wave(120 + 27 * i, 17 - 2 * i, rng.uniform(170, 300), rng.uniform(0, 6)),
            tone,
            smooth=14,
        )


def _rosette(p: Paint, rng: np.random.Generator, c: list[RGB]) -> None:
    p.radial([shade(c[0], -0.25), shade(c[0], -0.6)], 128, 128, 180)
    n = int(rng.choice([8, 10, 12]))
    for ring, (r, size) in enumerate(((66, 50), (44, 36), (24, 22))):
        color = c[(ring + 1) % len(c)]
        for k in range(n):
            x, y = polar(128, 128, r, 2 * np.pi * (k + 0.5 * (ring % 2)) / n)
            p.circle(x, y, size, color, 0.16)
            p.circle(x, y, size, shade(color, 0.25), 0.95, width=3)
    p.circle(128, 128, 15, c[0])


def _petals(p: Paint, rng: np.random.Generator, c: list[RGB]) -> None:
    p.fill(mix(c[0], (1, 1, 1), 0.25))
    for j in range(-1, 4):
        for i in range(-1, 4):
            x, y = 84.0 * i + 42 * (j % 2) + 22, 76.0 * j + 28
            color = c[1 + (i + j) % (len(c) - 1)]
            n, turn = 6, float(rng.uniform(0, 1))
            for k in range(n):
                px, py = polar(x, y, 20, turn + 2 * np.pi * k / n)
                p.circle(px, py, 13, shade(c[0], -0.3) if (i + j) % 3 == 0 else color)
            p.circle(x, y, 11, shade(c[0], 0.75))


def _leaves(p: Paint, rng: np.random.Generator, c: list[RGB]) -> None:
    p.fill(shade(c[0], -0.45))
    for i in range(20):
        x, y = 256 * ((i * 0.618) % 1), 14 * i - 4
        tone = c[i % len(c)]
        size = float(rng.uniform(0.8, 1.15))
        with p.moved(x, y, size, float(rng.uniform(-50, 50) + 180 * (i % 2))):
            p.polygon(
                [(0, 44), (-24, 6), (0, -50), (24, 6)], shade(tone, 0.05 * (i % 3)), smooth=26
            )
            p.line([(0, 40), (0, -34)], shade(tone, -0.3), 2.6)
            for dy in (-14, 2, 18):
                p.line([(-11, dy - 8), (0, dy + 4), (11, dy - 8)], shade(tone, -0.3), 2)


FLOWING: dict[str, Pattern] = {
    "marbling": _marbling,
    "contours": _contours,
    "mesh": _mesh,
    "curtains": _curtains,
    "ripples": _ripples,
    "vortex": _vortex,
    "horizon": _horizon,
    "rosette": _rosette,
    "petals": _petals,
    "leaves": _leaves,
}
