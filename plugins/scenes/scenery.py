"""What every place is painted with: things that stand around, land, mountains and water."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .flora import SNOW
from .kit import Kit, Maker
from .paint import RGB, SIZE, Point, mix, shade, wave
from .sky import WET, Sky


@dataclass(frozen=True)
class View:
    """What a place tells the objects in it: where they stand, on what, and how they are lit.

    Feet stand at `ground`, in the distance at `far_ground`; `surface` is "land", "water", "air"
    or "table".
    """

    ground: float
    horizon: float
    surface: str = "land"
    far_ground: float = 0.0


class Scenery(Sky):
    """Paints one place; every random choice comes from the given generator."""

    def kit(self, far: float = 0.0, color: RGB | None = None) -> Kit:
        glow = self.dark or self.time == "sunset"
        return Kit(self.paint, self.rng, lambda c: self.lit(c, far), self.season, glow, color)

    def place(
        self, maker: Maker, x: float, y: float, height: float, far: float = 0.0,
        flip: bool = False, color: RGB | None = None,
    ) -> None:  # fmt: skip
        """Put a maker's thing with its feet at (x, y)."""
        with self.paint.moved(x, y, height / 100, flip=flip):
            maker(self.kit(far, color))

    def row(
        self, maker: Maker, count: int, y: float, height: float, far: float, spread: float = 3.0
    ) -> None:
        """A row of the same kind, evenly spaced with some play."""
        step = SIZE / count
        for i in range(count):
            x = step * (i + 0.5) + self.uniform(-0.35, 0.35) * step
            h = height * self.uniform(0.82, 1.15)
            self.place(maker, x, y + self.uniform(-spread, spread), h, far)

    def rolling(self, base: float, height: float) -> list[Point]:
        return wave(base, height, self.uniform(190, 330), self.uniform(0, 6.3))

    def hill(
        self, base: float, height: float, color: RGB, far: float, near: float | None = None
    ) -> None:
        """A rounded range whose foot is lost in mist."""
        top = self.lit(color, far)
        foot = self.lit(color, far + 0.25 if near is None else near)
        self.paint.land(self.rolling(base, height), top, foot, smooth=16, depth=60)

    def ground(self, top: float, color: RGB | None = None, bend: float = 5.0) -> None:
        """The land in front, lighter at the back."""
        near = self.lit(color or self.grass)
        self.paint.land(
            self.rolling(top, bend), mix(near, self.haze, 0.16), shade(near, -0.08), 10
        )

    def ridge(self, base: float, height: float, peaks: int) -> list[Point]:
        """A mountain line: summits at odd places, saddles at even ones."""
        xs = np.linspace(-40, SIZE + 40, 2 * peaks + 1) + self.rng.uniform(-7, 7, 2 * peaks + 1)
        up = np.where(np.arange(2 * peaks + 1) % 2, self.rng.uniform(0.62, 1, 2 * peaks + 1),
                      self.rng.uniform(0.1, 0.36, 2 * peaks + 1))  # fmt: skip
        return list(zip(xs.tolist(), (base - height * up).tolist(), strict=True))

    def peaks(
        self, base: float, height: float, far: float, peaks: int, rock: RGB, snow: float = 0.32
    ) -> None:
        """Mountains with a lit and a shaded flank; `snow` is the white share of each summit."""
        line = self.ridge(base, height, peaks)
        flank = self.lit(rock, far)
        self.paint.land(line, flank, mix(flank, self.haze, 0.6), depth=height * 1.15)
        white = self.lit(SNOW, far * 0.5)
        share = min(1.0, snow * 2) if self.season == "winter" and snow else snow
        for (x0, y0), (x, y), (x1, y1) in zip(line[::2], line[1::2], line[2::2], strict=False):
            side = 1 if self.sun[0] < x else -1
            fx, fy = (x1, y1) if side > 0 else (x0, y0)
            dark = mix(shade(flank, -0.22), self.haze, 0.08)
            low = base - height * 0.05
            self.paint.polygon(
                [(x, y), (fx, fy), (x + (fx - x) * 0.55, low), (x + side * 5, (y + low) / 2)],
                dark, 0.55,
            )  # fmt: skip
            if share:
                self._cap((x0, y0), (x, y), (x1, y1), share, white, side)

    def _cap(
        self, left: Point, top: Point, right: Point, share: float, white: RGB, side: int
    ) -> None:
        (x0, y0), (x, y), (x1, y1) = left, top, right
        a = (x + (x0 - x) * share, y + (y0 - y) * share)
        b = (x + (x1 - x) * share, y + (y1 - y) * share)
        low = max(a[1], b[1])
        zig = [
            (x + (b[0] - x) * 0.45, low - 4),
            (x + (b[0] - x) * 0.1, low + 6),
            (x + (a[0] - x) * 0.5, low - 3),
        ]
        self.paint.polygon([a, top, b, *zig], white)
        end = b if side > 0 else a
        self.paint.polygon(
            [top, end, zig[0 if side > 0 else 2], (x, low)], shade(white, -0.14), 0.8
        )

    def water(
        self, top: float, deep: RGB, mirror: float = 0.55, bottom: float = SIZE, ripples: int = 9
    ) -> None:
        """Water below `top`: the sky's colours, the mirrored shore, ripples, the sun's path."""
        p = self.paint
        sky = mix(self.stops[-1], self.stops[0], 0.25)
        near = mix(self.lit(deep), self.stops[0], 0.2)
        reflected = self.weather not in WET and mirror > 0
        if reflected:
            p.mirror(top, 0.8, 1.0, bottom - top)
            p.vertical([mix(self.lit(deep), sky, 0.6), near], top, bottom, [1 - mirror, 0.97])
        else:
            p.vertical([mix(self.lit(deep), sky, 0.5), near], top, bottom)
        for i in range(ripples):
            t = (i + 0.5) / ripples
            y, w = top + 4 + (bottom - top) * t**1.4, 16 + 44 * t
            color = mix(near, sky, 0.55)
            p.rect(self.uniform(-20, SIZE - 10), y, w, 1.5 + 2 * t, color, 0.7, 1.5)
        if self.weather not in (*WET, "fog") and self.light.disc not in ("", "aurora"):
            self.glitter(top, bottom)

    def glitter(self, top: float, bottom: float) -> None:
        """The path of light below the sun or the moon, broken by the waves."""
        x = self.sun[0]
        y, i = top + 3.0, 0
        while y < bottom - 4:
            t = (y - top) / (bottom - top)
            w = (13 + 22 * t) * self.uniform(0.6, 1.1)
            self.paint.ellipse(
                x + self.uniform(-5, 5), y, w, 1.6 + 1.8 * t, self.light.rim, 0.85 - 0.45 * t
            )
            y += 5.5 + 5 * t
            i += 1

    def blooms(self, top: float, rows: int, codes: str, gap: float = 26.0) -> None:
        """Rows of flowers, small at the back, large in front."""
        colors = [self.code(c) for c in codes.split()]
        for i in range(rows):
            t = (i + 0.5) / rows
            y, r = top + (SIZE - top) * t**1.3, 2.2 + 5.2 * t
            step = gap * (0.45 + 0.9 * t)
            x = self.uniform(-step, 0)
            while x < SIZE + r:
                color = colors[int(self.rng.integers(len(colors)))]
                cx, cy = x + self.uniform(-0.3, 0.3) * step, y + self.uniform(-3, 3)
                for dx, dy in ((-0.8, 0), (0.8, 0), (0, -0.8), (0, 0.8)):
                    self.paint.circle(cx + dx * r, cy + dy * r, r * 0.75, color)
                self.paint.circle(cx, cy, r * 0.55, self.code("#ffe27a"))
                x += step
