"""The sky over a place: its light, its sun and moon, its weather."""

from __future__ import annotations

import numpy as np

from .flora import SNOW
from .paint import RGB, SIZE, Paint, Point, mix, rgb, shade
from .words import LIGHTS, Light

# grass near, grass far
GRASS: dict[str, tuple[RGB, RGB]] = {
    "spring": (rgb("#8ed05c"), rgb("#a5d88a")),
    "summer": (rgb("#4fa345"), rgb("#6db46a")),
    "autumn": (rgb("#c8923a"), rgb("#d0a35c")),
    "winter": (rgb("#eef4fb"), rgb("#d3e1ef")),
}
WET = ("storm", "rain")


class Sky:
    """The light of one picture; every random choice comes from the given generator."""

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

    def mist(self, y: float, height: float, alpha: float) -> None:
        """A soft band of haze."""
        haze = mix(self.haze, (0.95, 0.96, 0.98), 0.1 if self.dark else 0.3)
        self.paint.vertical([haze] * 3, y - height / 2, y + height / 2, alphas=[0, alpha, 0])
