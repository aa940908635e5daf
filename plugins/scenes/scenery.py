"""Landscapes: a sky with its weather, and fourteen places under it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .paint import RGB, SIZE, Paint, Point, colour4, mix, rgb, shade
from .words import LIGHTS, Light

WHITE = rgb("#f4f8fc")
# grass near, grass far, leaves, trunk
SEASON_COLORS: dict[str, tuple[RGB, RGB, RGB]] = {
    "spring": (rgb("#8ed05c"), rgb("#a5d88a"), rgb("#f7a8c8")),
    "summer": (rgb("#4fa345"), rgb("#6db46a"), rgb("#2f8242")),
    "autumn": (rgb("#c8923a"), rgb("#d0a35c"), rgb("#df5f22")),
    "winter": (rgb("#eaf2fa"), rgb("#cfdeee"), rgb("#dbe8f3")),
}
TRUNK = rgb("#6a4a34")
FLOWERS = [rgb(c) for c in ("#f25f73", "#ffd447", "#ffffff", "#b178e6", "#ff9ad0")]


@dataclass(frozen=True)
class View:
    """What a scene tells the objects that stand in it: where the ground is and how it is lit."""

    ground: float
    horizon: float
    light: Light
    lit: float


class Scenery:
    """Paints one landscape; every random choice comes from the given generator."""

    def __init__(
        self,
        paint: Paint,
        rng: np.random.Generator,
        time: str,
        weather: str,
        season: str,
    ) -> None:
        self.paint, self.rng = paint, rng
        self.time, self.weather, self.season = time, weather, season
        self.light = LIGHTS[time]
        self.grass, self.grass_far, self.leaves = SEASON_COLORS[season]

    # -- colour and chance ---------------------------------------------------------------

    def lit(self, color: RGB, far: float = 0.0) -> RGB:
        """A colour as the time of day shows it; `far` (0 to 1) fades it into the horizon."""
        ambient = self.light.ambient
        seen: RGB = (color[0] * ambient[0], color[1] * ambient[1], color[2] * ambient[2])
        seen = mix(seen, self.light.tint, self.light.tinted)
        if self.weather in ("storm", "rain"):
            seen = mix(seen, (0.32, 0.36, 0.42), 0.35)
        if self.weather == "fog":
            far = min(1.0, far * 1.5 + 0.25)
        return mix(seen, self.sky_at_horizon(), far)

    def sky_at_horizon(self) -> RGB:
        return self.sky_stops()[-1]

    def sky_stops(self) -> tuple[RGB, ...]:
        stops = self.light.sky
        if self.weather in ("storm", "rain"):
            dull = rgb("#2c3442") if self.weather == "storm" else rgb("#77879a")
            level = 0.45 if self.time in ("night", "aurora") else 0.7
            stops = tuple(mix(c, dull, level) for c in stops)
        if self.weather == "fog":
            grey = mix(stops[-1], (0.85, 0.87, 0.9), 0.5)
            stops = tuple(mix(c, grey, 0.55) for c in stops)
        return stops

    def uniform(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def ridge(self, base: float, height: float, peaks: int, rough: float = 0.35) -> list[Point]:
        """A mountain line: peaks of varied height, broken once between summit and saddle."""
        xs = np.linspace(-30, SIZE + 30, 2 * peaks + 1) + self.rng.uniform(-6, 6, 2 * peaks + 1)
        line: list[Point] = []
        for i, x in enumerate(xs):
            up = self.uniform(0.65, 1.0) if i % 2 else self.uniform(0.05, 0.3)
            y = base - height * up
            if line:
                px, py = line[-1]
                t = self.uniform(0.4, 0.6)
                bend = (t - 0.5 + self.uniform(-1, 1) * rough * 0.4) * height * 0.3
                line.append((px + (x - px) * t, py + (y - py) * t + bend))
            line.append((float(x), y))
        return line

    def rolling(self, base: float, height: float) -> list[Point]:
        """A hill line: a sum of two slow sines."""
        xs = np.linspace(-30, SIZE + 30, 24)
        a, b = self.rng.uniform(0, 2 * np.pi, 2)
        f = self.uniform(0.9, 1.5)
        ys = base + height * (0.6 * np.sin(xs / 95 * f + a) + 0.4 * np.sin(xs / 41 * f + b))
        return [(float(x), float(y)) for x, y in zip(xs, ys, strict=True)]

    # -- the sky -------------------------------------------------------------------------

    def sky(self, horizon: float) -> None:
        self.paint.canvas.drawColor(colour4(self.sky_at_horizon()))
        self.paint.vertical(self.sky_stops(), 0, horizon)
        dark = self.time in ("night", "aurora")
        if dark and self.weather not in ("storm", "rain", "fog"):
            for _ in range(45):
                x, y = self.uniform(0, SIZE), self.uniform(0, horizon * 0.85)
                self.paint.circle(x, y, self.uniform(0.6, 1.5), (1, 1, 0.93), self.uniform(0.4, 1))
        if self.time == "aurora":
            self.aurora(horizon)
        if self.weather not in ("storm", "rain"):
            self.disc(horizon)
        if self.weather == "rainbow":
            self.rainbow(horizon)
        cloudiness = {"clouds": 4, "rain": 5, "storm": 6, "rainbow": 2, "snowfall": 2}
        for _ in range(cloudiness.get(self.weather, 0)):
            self.cloud(self.uniform(10, SIZE - 10), self.uniform(18, horizon * 0.5))
        if self.weather == "storm":
            self.bolt(self.uniform(60, 200), horizon)

    def disc(self, horizon: float) -> None:
        x = self.uniform(40, SIZE - 40)
        if self.light.disc == "sun":
            y, r, core, glow = self.uniform(36, 60), 19, rgb("#ffd84d"), rgb("#fff3b8")
        elif self.light.disc == "low sun":
            y, r, core, glow = horizon - self.uniform(16, 34), 20, rgb("#fff0c8"), rgb("#ffe3b8")
        elif self.light.disc == "big sun":
            y, r, core, glow = horizon - self.uniform(6, 30), 32, rgb("#ffd968"), rgb("#ffb05c")
        elif self.light.disc == "moon":
            y, r, core, glow = self.uniform(36, 60), 17, rgb("#f6f1d8"), rgb("#9fb0e8")
        else:
            return
        self.paint.circle(x, y, r * 2.1, glow, 0.28, blur=9)
        self.paint.circle(x, y, r * 1.45, glow, 0.35)
        self.paint.circle(x, y, r, core)
        if self.light.disc == "moon":
            for dx, dy, cr in ((-5, -4, 4.0), (5, 3, 3.0), (-2, 7, 2.4)):
                self.paint.circle(x + dx, y + dy, cr, shade(core, -0.1))

    def aurora(self, horizon: float) -> None:
        for color, base in ((rgb("#35f0a0"), 0.42), (rgb("#5ad1e8"), 0.3), (rgb("#a86bf0"), 0.2)):
            a = self.uniform(0, 6)
            for x in range(-4, 264, 5):
                top = horizon * (base + 0.13 * np.sin(x / 38 + a) + 0.05 * np.sin(x / 13 + 2 * a))
                points = [(x, top - 34), (x, top + 34)]
                glow = 0.22 + 0.12 * np.sin(x / 17 + a)
                self.paint.line(points, color, 9, float(glow), blur=5)

    def cloud(self, x: float, y: float) -> None:
        heavy = self.weather in ("rain", "storm")
        white = self.lit(rgb("#6c7686") if heavy else rgb("#ffffff"), 0.12)
        if self.time in ("dawn", "sunset") and not heavy:
            white = mix(white, rgb("#ffd9c4"), 0.5)
        w = self.uniform(0.8, 1.3)
        alpha = 0.95
        for dx, dy, r in ((-20, 2, 10), (-7, -5, 14), (9, -3, 12), (22, 3, 9)):
            self.paint.circle(x + dx * w, y + dy * w, r * w, white, alpha)
        self.paint.rect(x - 28 * w, y + 1 * w, 58 * w, 11 * w, white, alpha, 5.5 * w)

    def rainbow(self, horizon: float) -> None:
        x = self.uniform(100, 156)
        for i, color in enumerate("#e8483f #f59a36 #f7df4a #58b85a #4a8fe0 #8a5ccc".split()):
            self.paint.circle(x, horizon + 10, 104 - 6 * i, rgb(color), 0.85, width=6)

    def bolt(self, x: float, horizon: float) -> None:
        points, y = [(x, 34.0)], 34.0
        while y < horizon - 8:
            y += self.uniform(16, 26)
            x += self.uniform(-16, 16)
            points.append((x, min(y, horizon)))
        self.paint.line(points, rgb("#ffe98a"), 9, 0.4, blur=5)
        self.paint.line(points, rgb("#fffbe0"), 3)

    def veil(self, ground: float) -> None:
        """What falls or hangs in front of everything: rain, snow, fog."""
        if self.weather == "fog":
            haze = mix(self.sky_at_horizon(), (0.9, 0.92, 0.94), 0.4)
            for y, alpha in ((ground - 26, 0.5), (ground, 0.4), (ground + 34, 0.3)):
                self.paint.rect(-60, y, 380, 30, haze, alpha * 0.55, 14)
                self.paint.ellipse(self.uniform(40, 216), y + 8, 150, 20, haze, alpha, blur=12)
        elif self.weather in ("rain", "storm"):
            for _ in range(60):
                x, y = self.uniform(0, SIZE + 20), self.uniform(0, SIZE)
                self.paint.line([(x, y), (x - 5, y + 15)], rgb("#cfe0f5"), 1.3, 0.55)
        elif self.weather == "snowfall":
            for _ in range(60):
                self.paint.circle(
                    self.uniform(0, SIZE),
                    self.uniform(0, SIZE),
                    self.uniform(1.5, 3.2),
                    WHITE,
                    0.9,
                )

    # -- things that stand around ----------------------------------------------------------

    def pine(self, x: float, y: float, h: float, far: float) -> None:
        green = self.lit(rgb("#1f6b4a") if self.season != "autumn" else rgb("#4a7340"), far)
        self.paint.rect(x - h * 0.04, y - h * 0.15, h * 0.08, h * 0.16, self.lit(TRUNK, far))
        for k in range(3):
            w, top = h * (0.32 - 0.07 * k), y - h * (0.12 + 0.25 * k)
            self.paint.polygon([(x - w, top), (x, top - h * 0.4), (x + w, top)], green)
            if self.season == "winter":
                tip = top - h * 0.4
                self.paint.polygon(
                    [(x - w * 0.5, tip + h * 0.2), (x, tip), (x + w * 0.5, tip + h * 0.2)],
                    self.lit(WHITE, far),
                )

    def round_tree(self, x: float, y: float, h: float, far: float) -> None:
        trunk = self.lit(TRUNK, far)
        self.paint.rect(x - h * 0.05, y - h * 0.5, h * 0.1, h * 0.5, trunk)
        if self.season == "winter":
            for dx, dy in (
                (-0.22, -0.85),
                (0.0, -0.98),
                (0.22, -0.85),
                (-0.14, -0.7),
                (0.15, -0.68),
            ):
                self.paint.line([(x, y - h * 0.45), (x + h * dx, y + h * dy)], trunk, h * 0.045)
            return
        leaf = self.lit(self.leaves, far)
        for dx, dy, r in ((-0.17, -0.6, 0.23), (0.17, -0.6, 0.23), (0.0, -0.78, 0.26)):
            self.paint.circle(x + h * dx, y + h * dy, h * r, leaf)
        self.paint.circle(x - h * 0.07, y - h * 0.82, h * 0.12, shade(leaf, 0.12))

    def house(self, x: float, y: float, w: float, wall: RGB, roof: RGB) -> None:
        h = w * 0.72
        self.paint.rect(x - w / 2, y - h, w, h, self.lit(wall))
        cap = WHITE if self.season == "winter" else roof
        roof_line = [(x - w * 0.6, y - h), (x, y - h - w * 0.5), (x + w * 0.6, y - h)]
        self.paint.polygon(roof_line, self.lit(cap))
        glow = rgb("#ffd76a") if self.time in ("night", "aurora", "sunset") else rgb("#7fb2d6")
        for dx in (-0.27, 0.27):
            self.paint.rect(x + w * (dx - 0.09), y - h * 0.72, w * 0.18, w * 0.18, glow)
        self.paint.rect(
            x - w * 0.09, y - h * 0.45, w * 0.18, h * 0.45, self.lit(shade(roof, -0.3))
        )

    def flowers(self, top: float, count: int) -> None:
        for i in range(count):
            y = top + (SIZE - top) * ((i + 0.5) / count)
            r = 1.6 + 3.2 * (y - top) / (SIZE - top)
            x = self.uniform(0, SIZE)
            color = self.lit(FLOWERS[int(self.rng.integers(len(FLOWERS)))])
            self.paint.circle(x, y, r, color)
            self.paint.circle(x, y, r * 0.4, self.lit(rgb("#ffe27a")))

    def water(self, top: float, deep: RGB, glitter: int = 22) -> None:
        sky = self.sky_stops()
        near = mix(self.lit(deep), sky[0], 0.25)
        self.paint.vertical([mix(self.lit(deep), sky[-1], 0.55), near], top, SIZE)
        for i in range(glitter):
            y = top + 5 + (SIZE - top) * (i / glitter) ** 1.3
            w = 8 + 22 * (y - top) / (SIZE - top)
            light = mix(near, sky[-1], 0.55 if i % 2 else 0.3)
            self.paint.rect(self.uniform(-10, SIZE), y, w, 2, light, 0.8, 1)

    # -- the places ------------------------------------------------------------------------

    def paint_scene(self, scene: str) -> View:
        return getattr(self, f"scene_{scene}")()

    def view(self, ground: float, horizon: float) -> View:
        return View(ground, horizon, self.light, 1.0)

    def peaks(self, horizon: float, height: float, far: float, peaks: int) -> None:
        rock = self.lit(rgb("#6f7f98"), far)
        line = self.ridge(horizon, height, peaks)
        self.paint.land(line, rock, mix(rock, self.sky_at_horizon(), 0.5))
        snow = self.lit(WHITE, far * 0.6)
        depth = 0.62 if self.season == "winter" else 0.3
        for i in range(2, len(line) - 2):
            (x0, y0), (x, y), (x1, y1) = line[i - 1], line[i], line[i + 1]
            if y < y0 and y < y1 and y < horizon - height * 0.5:
                l_, r_ = (
                    (x + (x0 - x) * depth, y + (y0 - y) * depth),
                    (x + (x1 - x) * depth, y + (y1 - y) * depth),
                )
                low = max(l_[1], r_[1])
                zig = [
                    (x + (r_[0] - x) * 0.3, low - 2),
                    (x - 2, low + 5),
                    (x + (l_[0] - x) * 0.4, low - 3),
                ]
                self.paint.polygon([l_, (x, y), r_, *zig], snow)

    def meadow_ground(self, top: float, far: float = 0.0) -> None:
        near = self.lit(self.grass)
        self.paint.land(self.rolling(top, 5), self.lit(self.grass, far + 0.1), near, smooth=10)

    def scene_mountains(self) -> View:
        self.sky(176)
        self.peaks(180, 92, 0.45, 3)
        self.peaks(186, 62, 0.15, 4)
        self.paint.land(self.rolling(186, 5), self.lit(self.grass_far, 0.15), smooth=10)
        for i in range(7):
            self.pine(10 + 40 * i + self.uniform(-12, 12), 194 + self.uniform(-3, 4), 26, 0.08)
        self.meadow_ground(204)
        if self.season == "spring":
            self.flowers(212, 22)
        return self.view(236, 176)

    def scene_hills(self) -> View:
        self.sky(170)
        for base, far in ((150, 0.55), (168, 0.35), (188, 0.15)):
            self.paint.land(self.rolling(base, 13), self.lit(self.grass_far, far), smooth=16)
        for _ in range(5):
            self.round_tree(
                self.uniform(5, 250), self.uniform(188, 200), self.uniform(26, 36), 0.1
            )
        self.meadow_ground(206)
        if self.season in ("spring", "summer"):
            self.flowers(214, 16)
        return self.view(236, 160)

    def scene_forest(self) -> View:
        self.sky(190)
        leafy = self.season in ("spring", "autumn")
        for row, (y, h, far, n) in enumerate(
            ((176, 76, 0.5, 10), (192, 96, 0.25, 8), (208, 116, 0.0, 5))
        ):
            for i in range(n):
                x = (i + 0.5 * (row % 2)) * SIZE / (n - 1) + self.uniform(-8, 8)
                tree = self.round_tree if leafy else self.pine
                tree(x, y + self.uniform(-3, 3), h * self.uniform(0.85, 1.1), far)
        self.meadow_ground(206)
        return self.view(238, 170)

    def scene_lake(self) -> View:
        self.sky(150)
        self.peaks(152, 72, 0.4, 3)
        shore = [(x, y * 0.35 + 101) for x, y in self.rolling(150, 6)]
        self.paint.land(shore, self.lit(self.grass_far, 0.2), smooth=10)
        for i in range(9):
            self.pine(6 + 30 * i + self.uniform(-8, 8), 158, self.uniform(17, 28), 0.15)
        self.water(160, rgb("#2f77b0") if self.season != "winter" else rgb("#a9cbe0"))
        bank = [(-40, 232), (60, 226), (128, 234), (200, 226), (296, 232)]
        self.paint.land(bank, self.lit(self.grass), smooth=30)
        return self.view(238, 160)

    def scene_sea(self) -> View:
        self.sky(150)
        self.water(150, rgb("#1f6fb5"), 34)
        for i, y in enumerate((184, 206, 230)):
            xs = np.linspace(-30, SIZE + 30, 40)
            phase = self.uniform(0, 6)
            line = [(float(x), float(y + 4 * np.sin(x / (13 + 3 * i) + phase))) for x in xs]
            self.paint.land(line, self.lit(shade(rgb("#1f6fb5"), -0.1 * i)), smooth=6)
        return self.view(214, 150)

    def scene_beach(self) -> View:
        self.sky(132)
        self.water(132, rgb("#2aa7c9"))
        foam = self.rolling(186, 5)
        self.paint.land(foam, self.lit(rgb("#eef7f5")), smooth=16)
        sand = self.lit(rgb("#eed29a"))
        self.paint.land([(x, y + 6) for x, y in foam], sand, shade(sand, -0.08), smooth=16)
        side = 30 if self.rng.random() < 0.5 else 226
        self.palm(side, 214, 118)
        return self.view(236, 132)

    def palm(self, x: float, y: float, h: float) -> None:
        lean = 22 if x < 128 else -22
        trunk = [(x, y), (x + lean * 0.35, y - h * 0.5), (x + lean, y - h)]
        self.paint.line(trunk, self.lit(rgb("#8a6241")), 7, smooth=True)
        leaf = self.lit(rgb("#2f9a55"))
        for angle in (-170, -135, -95, -45, -10):
            a = np.deg2rad(angle)
            tip = (x + lean + 40 * float(np.cos(a)), y - h + 26 * float(np.sin(a)) + 14)
            mid = (x + lean + 22 * float(np.cos(a)), y - h + 26 * float(np.sin(a)) - 6)
            self.paint.line([(x + lean, y - h), mid, tip], leaf, 7, smooth=True)

    def scene_desert(self) -> View:
        self.sky(165)
        mesa = self.lit(rgb("#c9744a"), 0.4)
        for _ in range(2):
            x, w, h = self.uniform(0, 220), self.uniform(36, 64), self.uniform(26, 48)
            self.paint.polygon(
                [(x, 170), (x + 7, 170 - h), (x + w - 7, 170 - h), (x + w, 170)], mesa
            )
        for base, far, color in (
            (168, 0.3, "#e6b872"),
            (190, 0.12, "#e0a75c"),
            (214, 0.0, "#d9984a"),
        ):
            self.paint.land(self.rolling(base, 10), self.lit(rgb(color), far), smooth=24)
        for _ in range(2):
            self.cactus(self.uniform(16, 240), self.uniform(190, 204), self.uniform(22, 36))
        return self.view(234, 165)

    def cactus(self, x: float, y: float, h: float) -> None:
        green = self.lit(rgb("#3f8f4f"))
        w = h * 0.17
        self.paint.line([(x, y), (x, y - h)], green, w)
        self.paint.line(
            [(x, y - h * 0.4), (x - h * 0.28, y - h * 0.4), (x - h * 0.28, y - h * 0.7)],
            green,
            w * 0.8,
        )
        self.paint.line(
            [(x, y - h * 0.3), (x + h * 0.28, y - h * 0.3), (x + h * 0.28, y - h * 0.6)],
            green,
            w * 0.8,
        )

    def scene_meadow(self) -> View:
        self.sky(150)
        for base, far in ((142, 0.5), (154, 0.3)):
            self.paint.land(self.rolling(base, 9), self.lit(rgb("#6fb56a"), far), smooth=16)
        self.paint.land(
            self.rolling(166, 3), self.lit(rgb("#5fb04c"), 0.1), self.lit(rgb("#4a9a40"))
        )
        self.flowers(168, 110)
        return self.view(232, 150)

    def scene_snow(self) -> View:
        self.season = "winter"
        self.sky(160)
        self.paint.land(self.rolling(156, 10), self.lit(rgb("#c9d9ea"), 0.35), smooth=18)
        for i in range(6):
            self.pine(
                16 + 45 * i + self.uniform(-14, 14),
                180 + self.uniform(-4, 6),
                self.uniform(34, 52),
                0.2,
            )
        snow = self.lit(rgb("#f3f8fd"))
        self.paint.land(self.rolling(184, 5), snow, shade(snow, -0.06), smooth=18)
        return self.view(234, 160)

    def scene_city(self) -> View:
        self.sky(205)
        dark = self.time in ("night", "aurora", "sunset")
        for far, height, width, wall in ((0.5, 96, 26, "#7d8db0"), (0.12, 74, 34, "#56648c")):
            x = -self.uniform(0, 14)
            while x < SIZE:
                w, h = self.uniform(0.8, 1.2) * width, self.uniform(0.45, 1.15) * height
                color = self.lit(rgb(wall), far)
                self.paint.rect(x, 212 - h, w - 2, h + 4, color)
                if far < 0.3:
                    pane = rgb("#ffd86b") if dark else mix(color, (0.85, 0.95, 1), 0.55)
                    for wy in np.arange(212 - h + 7, 204, 11):
                        for wx in np.arange(x + 5, x + w - 8, 8):
                            if self.rng.random() < (0.6 if dark else 0.9):
                                self.paint.rect(float(wx), float(wy), 4, 6, pane)
                x += w
        road = self.lit(rgb("#e6edf5") if self.season == "winter" else rgb("#4c505c"))
        self.paint.rect(0, 210, SIZE, 60, road)
        for x in range(-10, 256, 40):
            self.paint.rect(x, 240, 22, 3, self.lit(rgb("#e9dfb0")))
        return self.view(236, 200)

    def scene_village(self) -> View:
        self.sky(168)
        for base, far in ((158, 0.45), (176, 0.2)):
            self.paint.land(self.rolling(base, 11), self.lit(self.grass_far, far), smooth=16)
        self.meadow_ground(198)
        walls = [rgb("#f3e6cf"), rgb("#e9b98f"), rgb("#cfe0ea"), rgb("#f0cfc0")]
        roofs = [rgb("#c4513f"), rgb("#a8443a"), rgb("#7c4a57")]
        xs = np.linspace(28, 228, 4) + self.rng.uniform(-10, 10, 4)
        for i, x in enumerate(xs):
            if i % 2:
                self.round_tree(float(x) + 26, 206, 44, 0.05)
            wall, roof = walls[int(self.rng.integers(4))], roofs[int(self.rng.integers(3))]
            self.house(float(x), 208 + self.uniform(-4, 4), self.uniform(34, 44), wall, roof)
        return self.view(240, 168)

    def scene_volcano(self) -> View:
        self.sky(190)
        rock, x = self.lit(rgb("#5b4750"), 0.1), self.uniform(100, 156)
        for _ in range(4):
            self.paint.circle(
                x + self.uniform(-12, 12),
                self.uniform(26, 62),
                self.uniform(14, 22),
                self.lit(rgb("#57505c"), 0.1),
                0.9,
            )
        self.paint.circle(x, 88, 34, rgb("#ff7a2e"), 0.45, blur=14)
        self.paint.polygon([(x - 120, 208), (x - 20, 86), (x + 20, 86), (x + 120, 208)], rock)
        lava = rgb("#ff8a2a")
        self.paint.polygon(
            [(x - 20, 86), (x + 20, 86), (x + 13, 96), (x - 13, 96)], rgb("#ffd04a")
        )
        for dx in (-34, 6, 40):
            self.paint.line(
                [(x + dx * 0.2, 92), (x + dx * 0.6, 130), (x + dx, 190)], lava, 6, smooth=True
            )
        self.paint.land(self.rolling(204, 6), self.lit(rgb("#4a5b3f")), smooth=12)
        return self.view(236, 190)

    def scene_space(self) -> View:
        self.paint.radial(
            [rgb("#2d2260"), rgb("#131138"), rgb("#070716")],
            self.uniform(60, 200),
            self.uniform(60, 200),
            200,
        )
        for color in ("#7a3fb0", "#2f6fc0"):
            self.paint.ellipse(
                self.uniform(30, 226), self.uniform(30, 226), 76, 40, rgb(color), 0.3, blur=24
            )
        for _ in range(80):
            self.paint.circle(
                self.uniform(0, SIZE),
                self.uniform(0, SIZE),
                self.uniform(0.6, 1.6),
                (1, 1, 0.95),
                self.uniform(0.4, 1),
            )
        hues = ["#f2a154", "#5ec6c0", "#d9689a", "#8f9be8"]
        for corner in self.rng.permutation(4)[:2]:
            x, y = 52 + 152 * (corner % 2), 52 + 152 * (corner // 2)
            x, y, r = x + self.uniform(-20, 20), y + self.uniform(-20, 20), self.uniform(14, 30)
            color = rgb(hues[int(self.rng.integers(4))])
            self.paint.circle(x, y, r, color)
            self.paint.circle(x - r * 0.3, y - r * 0.3, r * 0.45, shade(color, 0.25), 0.8)
            if self.rng.random() < 0.4:
                ring = [
                    (x + 1.8 * r * float(np.cos(a)), y + 0.5 * r * float(np.sin(a)))
                    for a in np.linspace(-0.35, np.pi + 0.35, 20)
                ]
                self.paint.line(ring, shade(color, 0.4), 3)
        return View(150, 150, LIGHTS["day"], 1.0)

    def scene_underwater(self) -> View:
        self.paint.vertical([rgb("#39b6d8"), rgb("#1877b4"), rgb("#0b3f7d")])
        for x in self.rng.uniform(10, 246, 4):
            self.paint.polygon(
                [(x, -10), (x + 22, -10), (x + 62, 270), (x - 8, 270)], (1, 1, 1), 0.08
            )
        sand = rgb("#c9b07a")
        self.paint.land(self.rolling(226, 6), mix(sand, rgb("#1877b4"), 0.35), smooth=18)
        for x in self.rng.uniform(8, 248, 6):
            color = mix(
                rgb(("#3fae6a", "#ef6f7f", "#f2a24a")[int(self.rng.integers(3))]),
                rgb("#1877b4"),
                0.2,
            )
            h = self.uniform(26, 52)
            wave = [(float(x) + 5 * np.sin(k * 1.4), 240 - h * k / 5) for k in range(6)]
            self.paint.line([(float(a), float(b)) for a, b in wave], color, 6, smooth=True)
        for _ in range(14):
            self.paint.circle(
                self.uniform(0, SIZE),
                self.uniform(10, 210),
                self.uniform(2, 5),
                (1, 1, 1),
                0.55,
                width=1.4,
            )
        return View(196, 120, LIGHTS["day"], 1.0)
