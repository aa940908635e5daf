"""The sky with its light and weather, and the tools that every place is painted with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .flora import SNOW
from .kit import Kit, Maker
from .paint import RGB, SIZE, Paint, Point, mix, rgb, shade, wave
from .words import LIGHTS, Light

# grass near, grass far
GRASS: dict[str, tuple[RGB, RGB]] = {
    "spring": (rgb("#8ed05c"), rgb("#a5d88a")),
    "summer": (rgb("#4fa345"), rgb("#6db46a")),
    "autumn": (rgb("#c8923a"), rgb("#d0a35c")),
    "winter": (rgb("#eef4fb"), rgb("#d3e1ef")),
}
WET = ("storm", "rain")


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


class Scenery:
    """Paints one place; every random choice comes from the given generator."""

    def __init__(
        self, paint: Paint, rng: np.random.Generator, time: str, weather: str, season: str
    ) -> None:
        self.paint, self.rng = paint, rng
        self.time, self.weather, self.season = time, weather, season
        self.light: Light = LIGHTS[time]
        self.grass, self.grass_far = GRASS[season]
        self.dark = self.light.dark
        self.stops = self._stops()
        self.sun: Point = (self.uniform(40, 216), 48.0)

    # -- colour and chance ---------------------------------------------------------------

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * float(self.rng.random())

    def chance(self, share: float) -> bool:
        return float(self.rng.random()) < share

    def _stops(self) -> tuple[RGB, ...]:
        stops = self.light.skies[int(self.rng.integers(len(self.light.skies)))]
        if self.weather in WET:
            dull = rgb("#2c3442") if self.weather == "storm" else rgb("#77879a")
            stops = tuple(mix(c, dull, 0.45 if self.dark else 0.68) for c in stops)
        if self.weather == "fog":
            grey = mix(stops[-1], (0.85, 0.87, 0.9), 0.25 if self.dark else 0.5)
            stops = tuple(mix(c, grey, 0.45) for c in stops)
        return stops

    @property
    def haze(self) -> RGB:
        """The colour of the sky at the horizon, which far things fade into."""
        return self.stops[-1]

    def lit(self, color: RGB, far: float = 0.0) -> RGB:
        """A colour as the time of day shows it; `far` (0 to 1) fades it into the horizon."""
        a = self.light.ambient
        seen = mix(
            (color[0] * a[0], color[1] * a[1], color[2] * a[2]), self.light.tint, self.light.tinted
        )
        if self.weather in WET:
            seen = mix(seen, (0.32, 0.36, 0.42), 0.35)
        if self.weather == "fog":
            far = min(1.0, far * 1.4 + 0.2)
        return mix(seen, self.haze, far)

    def code(self, code: str, far: float = 0.0) -> RGB:
        return self.lit(rgb(code), far)

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

    # -- the sky -------------------------------------------------------------------------

    def sky(self, horizon: float) -> None:
        self.paint.fill(self.haze)
        self.paint.vertical(self.stops, 0, horizon)
        if self.dark and self.weather not in (*WET, "fog"):
            self.stars(26 if self.time != "dusk" else 9, horizon * 0.8)
        if self.time == "aurora":
            self.aurora(horizon)
        if self.weather not in WET:
            self.disc(horizon)
        if self.weather == "rainbow":
            self.rainbow(horizon)
        puffs = {"clouds": 4, "rain": 5, "storm": 6, "rainbow": 2, "snowfall": 2}
        if self.weather == "clouds" and self.time in ("sunset", "dusk", "dawn", "golden"):
            self.streaks(horizon)
            puffs["clouds"] = 1
        for _ in range(puffs.get(self.weather, 0)):
            size = self.uniform(0.8, 1.5)
            self.cloud(self.uniform(10, SIZE - 10), self.uniform(20, horizon * 0.5), size)
        if self.weather == "storm":
            self.bolt(self.uniform(60, 200), horizon)

    def stars(self, count: int, low: float) -> None:
        for i in range(count):
            big = i % 6 == 0
            x, y = self.uniform(0, SIZE), self.uniform(0, low)
            self.paint.circle(x, y, 2.2 if big else self.uniform(0.9, 1.5), (1, 1, 0.93), 0.9)

    def disc(self, horizon: float) -> None:
        x, p = self.sun[0], self.paint
        if self.light.disc == "sun":
            y, r, core, glow = self.uniform(46, 68), 19, rgb("#ffd84d"), rgb("#fff3b8")
        elif self.light.disc == "low sun":
            y, r, core, glow = horizon - self.uniform(20, 60), 21, rgb("#fff3cc"), rgb("#ffe3a8")
        elif self.light.disc == "big sun":
            y, r, core, glow = horizon - self.uniform(4, 34), 34, rgb("#ffe07a"), rgb("#ffb05c")
        elif self.light.disc == "moon":
            y, r, core, glow = self.uniform(50, 74), 19, rgb("#f8f3da"), rgb("#b8c8f4")
        else:
            return
        self.sun = (x, y)
        p.glow(x, y, r * 4.2, glow, 0.75)
        p.circle(x, y, r * 1.4, glow, 0.3)
        if self.light.disc == "moon" and self.chance(0.45):
            self.crescent(x, y, r, core)
            return
        p.circle(x, y, r, core)
        if self.light.disc == "moon":
            for dx, dy, cr in ((-6, -4, 4.5), (6, 3, 3.4), (-2, 8, 2.8)):
                p.circle(x + dx, y + dy, cr, shade(core, -0.1))

    def crescent(self, x: float, y: float, r: float, color: RGB) -> None:
        outer = [
            (x + r * float(np.cos(a)), y + r * float(np.sin(a))) for a in np.linspace(0.9, 5.4, 24)
        ]
        inner = [
            (x + 0.42 * r + 0.82 * r * float(np.cos(a)), y + 0.82 * r * float(np.sin(a)))
            for a in np.linspace(5.1, 1.2, 24)
        ]
        self.paint.polygon([*outer, *inner], color)

    def aurora(self, horizon: float) -> None:
        """Three curtains of light: bright at the lower hem, fading upwards."""
        y, x = np.mgrid[0:40, 0:64].astype(np.float32)
        x, y = x * (SIZE / 63), y * (horizon / 39)
        color = np.zeros((40, 64, 3), np.float32)
        total = np.full((40, 64, 1), 1e-3, np.float32)
        for code, base in (("#a86bf0", 0.34), ("#4ac8e8", 0.5), ("#3df0a0", 0.68)):
            a = self.uniform(0, 6)
            hem = horizon * base + 14 * np.sin(x / 40 + a) + 5 * np.sin(x / 17 + 2 * a)
            up = hem - y
            glow = np.where(up > 0, np.exp(-up / 30), np.exp(up / 5))
            glow = (glow * (0.5 + 0.3 * np.sin(x / 23 + 3 * a)))[..., None]
            color += glow * np.array(rgb(code), np.float32)
            total += glow
        fade = np.clip((horizon - y) / (0.3 * horizon), 0, 1)[..., None]
        alpha = np.clip(total, 0, 0.85) * fade
        self.paint.field(np.concatenate([color / total, alpha], -1), 0, horizon)

    def cloud(self, x: float, y: float, size: float = 1.0) -> None:
        heavy = self.weather in WET
        white = self.lit(rgb("#7c8696") if heavy else rgb("#ffffff"), 0.15)
        if self.time in ("dawn", "sunset", "golden") and not heavy:
            white = mix(white, rgb("#ffe0cc"), 0.55)
        under = mix(white, self.stops[len(self.stops) // 2], 0.4)
        puffs = ((-21, 2, 11), (-8, -6, 15), (9, -4, 13), (22, 3, 10))
        for color, lift in ((under, 2.5), (white, -1.0)):
            for dx, dy, r in puffs:
                self.paint.circle(x + dx * size, y + (dy + lift) * size, r * size, color)
            self.paint.rect(
                x - 30 * size, y + (lift + 1) * size, 61 * size, 11 * size, color, 1, 5.5 * size
            )

    def streaks(self, horizon: float) -> None:
        """Long thin clouds that the low sun lights from below."""
        warm = mix(self.light.rim, self.stops[-2], 0.35)
        for i in range(5):
            y = horizon * (0.25 + 0.13 * i)
            w = self.uniform(90, 170)
            x = self.uniform(-30, SIZE - 40)
            color = mix(warm, self.stops[1], 0.6 - 0.14 * i)
            self.paint.rect(x, y, w, 9 - i, color, 0.85, 4)
            self.paint.rect(x + w * 0.3, y - 6, w * 0.5, 7, color, 0.85, 3.5)

    def rainbow(self, horizon: float) -> None:
        x = self.uniform(90, 166)
        for i, code in enumerate("#e8483f #f59a36 #f7df4a #58b85a #4a8fe0 #8a5ccc".split()):
            self.paint.circle(x, horizon + 12, 118 - 7 * i, rgb(code), 0.85, width=7.4)

    def bolt(self, x: float, horizon: float) -> None:
        points, y = [(x, 34.0)], 34.0
        while y < horizon - 8:
            y += self.uniform(18, 28)
            x += self.uniform(-18, 18)
            points.append((x, min(y, horizon)))
        self.paint.line(points, rgb("#ffe98a"), 10, 0.4, blur=5)
        self.paint.line(points, rgb("#fffbe0"), 4)

    def veil(self, ground: float) -> None:
        """What falls or hangs in front of everything: low light, rain, snow, fog."""
        if self.light.disc in ("low sun", "big sun") and self.weather not in (*WET, "fog"):
            self.paint.glow(*self.sun, 210, self.light.rim, 0.32)
        if self.weather == "fog":
            self.mist(ground - 26, 60, 0.6)
            self.mist(ground + 14, 60, 0.5)
        elif self.weather in WET:
            for i in range(26):
                x, y = 10.5 * i + self.uniform(-8, 14), self.uniform(-10, SIZE)
                self.paint.line([(x, y), (x - 8, y + 24)], rgb("#d8e6f6"), 2, 0.6)
        elif self.weather == "snowfall":
            for i in range(26):
                x = SIZE * (i * 0.618 % 1) + self.uniform(-9, 9)
                self.paint.circle(x, self.uniform(0, SIZE), self.uniform(2.4, 4.4), SNOW, 0.92)

    # -- land and water --------------------------------------------------------------------

    def mist(self, y: float, height: float, alpha: float) -> None:
        """A soft band of haze."""
        haze = mix(self.haze, (0.95, 0.96, 0.98), 0.1 if self.dark else 0.3)
        self.paint.vertical([haze] * 3, y - height / 2, y + height / 2, alphas=[0, alpha, 0])

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
