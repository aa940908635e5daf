"""Drawing on skia: colours are (r, g, b) in [0, 1], lengths are pixels of a 256 grid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import skia

RGB = tuple[float, float, float]
Point = tuple[float, float]
SIZE = 256.0


def rgb(code: str) -> RGB:
    """Read ``"#3f9be8"``."""
    value = int(code.lstrip("#"), 16)
    return ((value >> 16) / 255, (value >> 8 & 255) / 255, (value & 255) / 255)


def palette(codes: str) -> tuple[RGB, ...]:
    """Read ``"#3f9be8 #ffffff"``."""
    return tuple(map(rgb, codes.split()))


def mix(a: RGB, b: RGB, amount: float) -> RGB:
    """Blend from a (amount 0) to b (amount 1)."""
    keep = 1 - amount
    return (
        a[0] * keep + b[0] * amount,
        a[1] * keep + b[1] * amount,
        a[2] * keep + b[2] * amount,
    )


def shade(color: RGB, amount: float) -> RGB:
    """Darken (amount below 0) or lighten (above 0)."""
    return mix(color, (1, 1, 1) if amount > 0 else (0, 0, 0), abs(amount))


def luminance(color: RGB) -> float:
    return 0.3 * color[0] + 0.59 * color[1] + 0.11 * color[2]


def polar(x: float, y: float, r: float, a: float) -> Point:
    """The point at distance r and angle a (radians, clockwise from the right) of (x, y)."""
    return (x + r * float(np.cos(a)), y + r * float(np.sin(a)))


def colour4(color: RGB, alpha: float = 1.0) -> int:
    """A skia colour."""
    r, g, b = (int(min(max(c, 0.0), 1.0) * 255 + 0.5) for c in color)
    return int(alpha * 255 + 0.5) << 24 | r << 16 | g << 8 | b


def wave(
    base: float, height: float, period: float, phase: float, second: float = 0.4
) -> list[Point]:
    """A line from left to right: a slow sine with a smaller, faster one on top."""
    xs = np.linspace(-30, SIZE + 30, 32)
    turn = xs * (2 * np.pi / period) + phase
    ys = base + height * ((1 - second) * np.sin(turn) + second * np.sin(2.3 * turn + 2 * phase))
    return list(zip(xs.tolist(), ys.tolist(), strict=True))


def path_of(points: Sequence[Point], close: bool) -> skia.Path:
    path = skia.Path()
    path.addPoly([skia.Point(float(x), float(y)) for x, y in points], close)
    return path


class Paint:
    """A picture being painted, 256 units wide and high at any pixel size.

    With `paper`, land and big shapes cast a soft shadow, as if cut from card.
    """

    def __init__(self, size: int = int(SIZE), paper: bool = False) -> None:
        self.surface = skia.Surface(size, size)
        self.canvas = self.surface.getCanvas()
        self.canvas.scale(size / SIZE, size / SIZE)
        self.paper = paper

    def array(self) -> np.ndarray:
        """The picture, (size, size, 3) uint8."""
        pixels = self.surface.makeImageSnapshot().toarray(colorType=skia.kRGBA_8888_ColorType)
        return np.ascontiguousarray(pixels[..., :3])

    def brush(
        self, color: RGB, alpha: float = 1.0, blur: float = 0.0, width: float = 0.0
    ) -> skia.Paint:
        brush = skia.Paint(AntiAlias=True, Color=colour4(color, alpha))
        if blur:
            brush.setMaskFilter(skia.MaskFilter.MakeBlur(skia.kNormal_BlurStyle, blur))
        if width:
            brush.setStyle(skia.Paint.kStroke_Style)
            brush.setStrokeWidth(width)
            brush.setStrokeCap(skia.Paint.kRound_Cap)
            brush.setStrokeJoin(skia.Paint.kRound_Join)
        return brush

    def fill(self, color: RGB) -> None:
        self.canvas.drawColor(colour4(color))

    def vertical(
        self,
        stops: Sequence[RGB],
        top: float = 0.0,
        bottom: float = SIZE,
        alphas: Sequence[float] | None = None,
    ) -> None:
        """Fill the band between two heights with a vertical gradient."""
        alphas = alphas or [1.0] * len(stops)
        shader = skia.GradientShader.MakeLinear(
            points=[(0, top), (0, bottom)],
            colors=[colour4(c, a) for c, a in zip(stops, alphas, strict=True)],
        )
        self.canvas.drawRect(skia.Rect(-80, top, SIZE + 80, bottom), skia.Paint(Shader=shader))

    def linear(self, stops: Sequence[RGB], start: Point, end: Point) -> None:
        """Fill the whole picture with a gradient from one point to another."""
        shader = skia.GradientShader.MakeLinear(
            points=[start, end], colors=[colour4(c) for c in stops]
        )
        self.canvas.drawPaint(skia.Paint(Shader=shader))

    def radial(
        self,
        stops: Sequence[RGB],
        x: float,
        y: float,
        radius: float,
        alphas: Sequence[float] | None = None,
    ) -> None:
        """Fill the whole picture with a radial gradient."""
        alphas = alphas or [1.0] * len(stops)
        shader = skia.GradientShader.MakeRadial(
            center=(x, y),
            radius=radius,
            colors=[colour4(c, a) for c, a in zip(stops, alphas, strict=True)],
        )
        self.canvas.drawPaint(skia.Paint(Shader=shader))

    def glow(self, x: float, y: float, r: float, color: RGB, alpha: float) -> None:
        """Light that fades to nothing at radius r."""
        shader = skia.GradientShader.MakeRadial(
            center=(x, y),
            radius=r,
            colors=[colour4(color, alpha), colour4(color, alpha * 0.4), colour4(color, 0)],
            positions=[0, 0.4, 1],
        )
        self.canvas.drawCircle(x, y, r, skia.Paint(Shader=shader))

    def circle(
        self,
        x: float,
        y: float,
        r: float,
        color: RGB,
        alpha: float = 1.0,
        blur: float = 0.0,
        width: float = 0.0,
    ) -> None:
        self.canvas.drawCircle(x, y, r, self.brush(color, alpha, blur, width))

    def ellipse(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float,
        color: RGB,
        alpha: float = 1.0,
        blur: float = 0.0,
    ) -> None:
        oval = skia.Rect(x - rx, y - ry, x + rx, y + ry)
        self.canvas.drawOval(oval, self.brush(color, alpha, blur))

    def rect(
        self,
        x: float,
        y: float,
        w: float,
        h: float,
        color: RGB,
        alpha: float = 1.0,
        corner: float = 0.0,
    ) -> None:
        box = skia.Rect(x, y, x + w, y + h)
        self.canvas.drawRoundRect(box, corner, corner, self.brush(color, alpha))

    def dome(self, x: float, base: float, rx: float, ry: float, color: RGB) -> None:
        """The upper half of an ellipse standing on `base`."""
        path = skia.Path()
        path.addArc(skia.Rect(x - rx, base - ry, x + rx, base + ry), 180, 180)
        self.canvas.drawPath(path, self.brush(color))

    def outside_oval(self, x: float, y: float, w: float, h: float, color: RGB) -> None:
        """Fill everything but an oval."""
        path = skia.Path()
        path.addRect(skia.Rect(-60, -60, SIZE + 60, SIZE + 60))
        path.addOval(skia.Rect(x, y, x + w, y + h))
        path.setFillType(skia.PathFillType.kEvenOdd)
        self.canvas.drawPath(path, self.brush(color))

    def polygon(
        self, points: Sequence[Point], color: RGB, alpha: float = 1.0, smooth: float = 0.0
    ) -> None:
        brush = self.brush(color, alpha)
        if smooth:
            brush.setPathEffect(skia.CornerPathEffect.Make(smooth))
        self.canvas.drawPath(path_of(points, True), brush)

    def line(
        self,
        points: Sequence[Point],
        color: RGB,
        width: float,
        alpha: float = 1.0,
        blur: float = 0.0,
        smooth: float = 0.0,
    ) -> None:
        brush = self.brush(color, alpha, blur, width)
        if smooth:
            brush.setPathEffect(skia.CornerPathEffect.Make(smooth))
        self.canvas.drawPath(path_of(points, False), brush)

    def land(
        self,
        ridge: Sequence[Point],
        color: RGB,
        bottom_color: RGB | None = None,
        smooth: float = 0.0,
        depth: float = 0.0,
    ) -> None:
        """Fill everything below a ridge line that runs from left to right.

        With `bottom_color` it fades to that colour, `depth` below its highest point (0: at the
        lower edge of the picture).
        """
        path = path_of(
            [(-60, 330), (-60, ridge[0][1]), *ridge, (316, ridge[-1][1]), (316, 330)], True
        )
        effect = skia.CornerPathEffect.Make(smooth) if smooth else None
        if self.paper:
            shadow = self.brush((0.05, 0.04, 0.12), 0.45, blur=5)
            if effect:
                shadow.setPathEffect(effect)
            self.canvas.save()
            self.canvas.translate(1, -3)
            self.canvas.drawPath(path, shadow)
            self.canvas.restore()
        brush = self.brush(color)
        if bottom_color is not None:
            top = min(y for _, y in ridge)
            brush.setShader(
                skia.GradientShader.MakeLinear(
                    points=[(0, top), (0, top + depth if depth else SIZE)],
                    colors=[colour4(color), colour4(bottom_color)],
                )
            )
        if effect:
            brush.setPathEffect(effect)
        self.canvas.drawPath(path, brush)

    def field(self, pixels: np.ndarray, top: float = 0.0, bottom: float = SIZE) -> None:
        """Stretch colours (H, W, 3) or colours with alpha (H, W, 4) in [0, 1] over a band."""
        if pixels.shape[-1] == 3:
            pixels = np.concatenate([pixels, np.ones_like(pixels[..., :1])], -1)
        whole = np.ascontiguousarray((np.clip(pixels, 0, 1) * 255 + 0.5).astype(np.uint8))
        image = skia.Image.fromarray(whole, colorType=skia.kRGBA_8888_ColorType)
        linear = skia.SamplingOptions(skia.FilterMode.kLinear)
        self.canvas.drawImageRect(image, skia.Rect(0, top, SIZE, bottom), linear)

    @contextmanager
    def moved(
        self, x: float, y: float, scale: float = 1.0, turn: float = 0.0, flip: bool = False
    ) -> Iterator[None]:
        """Draw around a new origin (x, y), scaled, turned by degrees, mirrored left to right."""
        self.canvas.save()
        self.canvas.translate(x, y)
        self.canvas.rotate(turn)
        self.canvas.scale(-scale if flip else scale, scale)
        yield
        self.canvas.restore()

    @contextmanager
    def within_circle(self, x: float, y: float, r: float) -> Iterator[None]:
        """Draw only inside a circle."""
        path = skia.Path()
        path.addCircle(x, y, r)
        self.canvas.save()
        self.canvas.clipPath(path, doAntiAlias=True)
        yield
        self.canvas.restore()

    @contextmanager
    def within_box(self, x: float, y: float, w: float, h: float) -> Iterator[None]:
        """Draw only inside a box."""
        self.canvas.save()
        self.canvas.clipRect(skia.Rect(x, y, x + w, y + h))
        yield
        self.canvas.restore()

    @contextmanager
    def layer(self, paint: skia.Paint, bounds: skia.Rect | None = None) -> Iterator[None]:
        """Draw on a sheet of its own, which `paint` then lays onto the picture."""
        self.canvas.saveLayer(bounds, paint)
        yield
        self.canvas.restore()

    def mirror(self, waterline: float, stretch: float, alpha: float, depth: float) -> None:
        """Reflect what stands above a waterline in the water below it, fading with depth."""
        placed = self.canvas.getTotalMatrix()
        top, low = (placed.mapXY(0, y).y() for y in (waterline, min(waterline + depth, SIZE + 40)))
        picture = self.surface.makeImageSnapshot()
        sheet = skia.Rect(0, top, picture.width(), low)
        self.canvas.save()
        # In pixels, so that it holds however the place around it is moved or mirrored.
        self.canvas.resetMatrix()
        self.canvas.saveLayer(sheet, skia.Paint(ImageFilter=skia.ImageFilters.Blur(0.8, 2.0)))
        self.canvas.save()
        self.canvas.clipRect(sheet)
        self.canvas.translate(0, top * (1 + stretch))
        self.canvas.scale(1, -stretch)
        linear = skia.SamplingOptions(skia.FilterMode.kLinear)
        self.canvas.drawImage(picture, 0, 0, linear, skia.Paint(Alphaf=alpha))
        self.canvas.restore()
        fade = skia.GradientShader.MakeLinear(
            points=[(0, top), (0, low)], colors=[colour4((0, 0, 0), 1), colour4((0, 0, 0), 0.1)]
        )
        self.canvas.drawRect(sheet, skia.Paint(Shader=fade, BlendMode=skia.BlendMode.kDstIn))
        self.canvas.restore()
        self.canvas.restore()
