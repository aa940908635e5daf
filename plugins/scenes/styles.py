"""Ways of drawing (styles) and of colouring (grades), as filters over a finished flat picture.

Every style follows the picture's own edges and regions, or a fixed grid of 8 pixels; none of
them scatters random detail.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .filters import LUMA, Picture, saturate
from .paint import rgb
from .styles_cells import halftone, low_poly, mosaic, pixel_art, stained_glass
from .styles_line import blueprint, chalk, crayon, line_art, neon, woodblock
from .styles_paint import clay, oil, paper_cut, poster, watercolor

Style = Callable[[np.ndarray, np.random.Generator], np.ndarray]

_STYLES: dict[str, Style] = {
    "flat": lambda picture, rng: picture,
    "watercolor": watercolor,
    "pixel art": pixel_art,
    "stained glass": stained_glass,
    "line art": line_art,
    "halftone": halftone,
    "mosaic": mosaic,
    "oil": oil,
    "neon": neon,
    "low poly": low_poly,
    "paper cut": paper_cut,
    "woodblock": woodblock,
    "chalk": chalk,
    "crayon": crayon,
    "blueprint": blueprint,
    "poster": poster,
    "clay": clay,
}


def _gradient_map(picture: np.ndarray, stops: str, amount: float) -> np.ndarray:
    """Colour by luminance along the stops, dark to light."""
    colors = np.array([rgb(c) for c in stops.split()], np.float32)
    at = np.linspace(0, 255, len(colors))
    table = np.stack([np.interp(np.arange(256), at, colors[:, k]) for k in range(3)], -1)
    mapped = table.astype(np.float32)[(picture @ LUMA * 255).astype(np.uint8)]
    return picture * np.float32(1 - amount) + mapped * np.float32(amount)


def _grade(picture: np.ndarray, grade: str) -> np.ndarray:
    match grade:
        case "natural":
            return picture
        case "pastel":
            return np.clip(saturate(picture, 0.85) * 0.52 + 0.45, 0, 1)
        case "synthwave":
            return _gradient_map(picture, "#140a2e #5b1fa0 #e8368f #ff9ac1 #9ff0ff", 0.82)
        case "sepia":
            return _gradient_map(picture, "#2b1a10 #8a5f3a #d9b483 #f8ead0", 0.9)
        case "mono":
            return _gradient_map(picture, "#08080a #f6f6f6", 1.0)
        case "golden":
            return _gradient_map(picture, "#3a1608 #c4622a #f7b64e #fff0b8", 0.5)
        case "icy":
            return _gradient_map(picture, "#071330 #2f6fb0 #9ad4ee #f2fcff", 0.62)
    raise ValueError(f"unknown grade {grade!r}")


def apply(picture: Picture, style: str, grade: str, rng: np.random.Generator) -> Picture:
    """The picture in a style and a grade; (H, W, 3) uint8 in and out."""
    if style == "flat" and grade == "natural":
        return picture
    flat = picture.astype(np.float32) * np.float32(1 / 255)
    done = _STYLES[style](_grade(flat, grade), rng)
    return (np.clip(done, 0, 1) * 255 + 0.5).astype(np.uint8)
