"""Drawing on skia: colours are (r, g, b) in [0, 1], lengths are pixels of a 256 grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import skia

RGB = tuple[float, float, float]
Point = tuple[float, float]
SIZE = 256.0


def rgb(code: str) -> RGB:
    """Read ``"#3f9be8"``."""
    value = int(code.lstrip("#"), 16)
    return ((value >> 16) / 255, (value >> 8 & 255) / 255, (value & 255) / 255)


def mix(a: RGB, b: RGB, amount: float) -> RGB:
    """Blend from a (amount 0) to b (amount 1)."""
    return tuple(x + (y - x) * amount for x, y in zip(a, b, strict=True))  # type: ignore[return-value]


def shade(color: RGB, amount: float) -> RGB:
    """Darken (amount below 0) or lighten (above 0)."""
    return mix(color, (1, 1, 1) if amount > 0 else (0, 0, 0), abs(amount))


def colour4(color: RGB, alpha: float = 1.0) -> int:
    """A skia colour."""
    return skia.Color4f(*(min(max(c, 0.0), 1.0) for c in color), alpha).toColor()


class Paint:
    """A picture being painted, 256 units wide and high at any pixel size."""

    def __init__(self, size: int) -> None:
        self.surface = skia.Surface(size, size)
        self.canvas = self.surface.getCanvas()
        self.canvas.scale(size / SIZE, size / SIZE)

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

    def vertical(self, stops: Sequence[RGB], top: float = 0.0, bottom: float = SIZE) -> None:
        """Fill the band between two heights with a vertical gradient."""
        shader = skia.GradientShader.MakeLinear(
            points=[(0, top), (0, bottom)], colors=[colour4(c) for c in stops]
        )
        self.canvas.drawRect(skia.Rect(0, top, SIZE, bottom), skia.Paint(Shader=shader))

    def radial(self, stops: Sequence[RGB], x: float, y: float, radius: float) -> None:
        """Fill the whole picture with a radial gradient."""
        shader = skia.GradientShader.MakeRadial(
            center=(x, y), radius=radius, colors=[colour4(c) for c in stops]
        )
        self.canvas.drawPaint(skia.Paint(Shader=shader))

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

    def polygon(self, points: Sequence[Point], color: RGB, alpha: float = 1.0) -> None:
        path = skia.Path()
        path.addPoly([skia.Point(*p) for p in points], True)
        self.canvas.drawPath(path, self.brush(color, alpha))

    def line(
        self,
        points: Sequence[Point],
        color: RGB,
        width: float,
        alpha: float = 1.0,
        blur: float = 0.0,
        smooth: bool = False,
    ) -> None:
        brush = self.brush(color, alpha, blur, width)
        if smooth:
            brush.setPathEffect(skia.CornerPathEffect.Make(20))
        path = skia.Path()
        path.addPoly([skia.Point(*p) for p in points], False)
        self.canvas.drawPath(path, brush)

    def land(
        self,
        ridge: Sequence[Point],
        color: RGB,
        bottom_color: RGB | None = None,
        smooth: float = 0.0,
    ) -> None:
        """Fill everything below a ridge line that runs from left to right."""
        path = skia.Path()
        path.addPoly([skia.Point(*p) for p in [(-40, 300), *ridge, (SIZE + 40, 300)]], True)
        brush = self.brush(color)
        if bottom_color is not None:
            top = min(y for _, y in ridge)
            brush.setShader(
                skia.GradientShader.MakeLinear(
                    points=[(0, top), (0, SIZE)], colors=[colour4(color), colour4(bottom_color)]
                )
            )
        if smooth:
            brush.setPathEffect(skia.CornerPathEffect.Make(smooth))
        self.canvas.drawPath(path, brush)

    def image(
        self, picture: skia.Image, x: float, y: float, side: float, flip: bool = False
    ) -> None:
        """Draw a square picture with its centre at (x, y)."""
        self.canvas.save()
        self.canvas.translate(x, y)
        self.canvas.scale(-1 if flip else 1, 1)
        box = skia.Rect(-side / 2, -side / 2, side / 2, side / 2)
        self.canvas.drawImageRect(
            picture, box, skia.SamplingOptions(skia.FilterMode.kLinear, skia.MipmapMode.kLinear)
        )
        self.canvas.restore()
