"""Foreground objects: icons of the Fluent Emoji set (MIT, see NOTICE), drawn from their SVG."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

import numpy as np
import skia

from .paint import RGB

RESOLUTION = 256


@cache
def _drawings() -> dict[str, str]:
    """Icon name -> SVG body on a 32 x 32 grid."""
    return json.loads(files("artdiff_plugins.scenes").joinpath("objects.json").read_text("utf-8"))[
        "icons"
    ]


@cache
def _pixels(name: str) -> np.ndarray:
    """The icon as (256, 256, 4) uint8, straight alpha."""
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32" width="{RESOLUTION}" '
        f'height="{RESOLUTION}">{_drawings()[name]}</svg>'
    )
    # The stream must copy: skia reads it after Python has let go of the bytes.
    stream = skia.MemoryStream(svg.encode(), copyData=True)
    surface = skia.Surface(RESOLUTION, RESOLUTION)
    skia.SVGDOM.MakeFromStream(stream).render(surface.getCanvas())
    image = surface.makeImageSnapshot()
    return image.toarray(colorType=skia.kRGBA_8888_ColorType)


@cache
def bottom(name: str) -> float:
    """Where the drawing ends in its square, as a fraction of the height from the top."""
    rows = np.flatnonzero((_pixels(name)[..., 3] > 40).any(1))
    return (rows[-1] + 1) / RESOLUTION


def picture(name: str, color: RGB | None, ambient: RGB) -> skia.Image:
    """The icon as an image: recoloured if a colour is given, and lit by the ambient light."""
    pixels = _pixels(name).astype(np.float32) / 255
    body, alpha = pixels[..., :3], pixels[..., 3:]
    if color is not None:
        luminance = body @ np.array((0.3, 0.59, 0.11), np.float32)
        middle = np.array(color, np.float32)
        stops = np.stack([middle * 0.35, middle, middle * 0.45 + 0.55])
        body = np.stack(
            [np.interp(luminance, (0.05, 0.55, 1.0), stops[:, k]) for k in range(3)], -1
        )
    body = body * np.array(ambient, np.float32)
    rgba = (np.clip(np.concatenate([body, alpha], -1), 0, 1) * 255 + 0.5).astype(np.uint8)
    return skia.Image.fromarray(np.ascontiguousarray(rgba), colorType=skia.kRGBA_8888_ColorType)
