"""Ways of drawing (styles) and of colouring (grades), as filters over a finished flat picture.

Styles that break a picture into cells use one fixed lattice, so that a small model can learn it.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from scipy.spatial import Delaunay, KDTree

from .paint import RGB, rgb

Picture = np.ndarray  # (H, W, 3) uint8
LUMA = np.array((0.3, 0.59, 0.11), np.float32)
"""Luminance of linear mixes, near enough to Rec. 601."""


def _color(color: RGB) -> np.ndarray:
    return np.array(color, np.float32)


PAPER = _color(rgb("#f7f2e6"))


def _noise(rng: np.random.Generator, size: int, cells: int) -> np.ndarray:
    """Smooth noise in [-1, 1], (size, size) float32."""
    coarse = rng.uniform(-1, 1, (cells, cells)).astype(np.float32)
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)


def _lattice(size: int, pitch: float, jitter: float) -> np.ndarray:
    """The fixed, slightly irregular points that cells are made of, (N, 2) in pixels (x, y)."""
    rng = np.random.default_rng(7)
    n = int(256 / pitch) + 3
    rows, cols = np.mgrid[0:n, 0:n].astype(np.float64)
    points = np.stack([cols + 0.5 * (rows % 2) - 1, rows - 1], -1).reshape(-1, 2)
    points += rng.uniform(-jitter, jitter, points.shape)
    return points * pitch * size / 256


@cache
def _voronoi(size: int, pitch: float, jitter: float) -> tuple[np.ndarray, np.ndarray]:
    """Cell number of every pixel, and the lead lines between cells in [0, 1]."""
    y, x = np.mgrid[0:size, 0:size]
    pixels = np.stack([x, y], -1).reshape(-1, 2)
    distance, index = KDTree(_lattice(size, pitch, jitter)).query(pixels, k=2)
    distance = np.asarray(distance)
    gap = (distance[:, 1] - distance[:, 0]).reshape(size, size) * 256 / size
    lines = np.clip(1.6 - gap / 2, 0, 1).astype(np.float32)
    return np.asarray(index)[:, 0].reshape(size, size), lines


@cache
def _triangles(size: int, pitch: float) -> np.ndarray:
    """Triangle number of every pixel."""
    mesh = Delaunay(_lattice(size, pitch, 0.32))
    y, x = np.mgrid[0:size, 0:size]
    found = mesh.find_simplex(np.stack([x, y], -1).reshape(-1, 2).astype(np.float64))
    return (found + 1).reshape(size, size)


def _mean_by_cell(picture: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Every pixel takes the mean colour of its cell."""
    flat, count = cells.ravel(), np.bincount(cells.ravel())
    means = [np.bincount(flat, picture[..., k].ravel()) / np.maximum(count, 1) for k in range(3)]
    return np.stack([m[cells] for m in means], -1).astype(np.float32)


def _saturate(picture: np.ndarray, amount: float) -> np.ndarray:
    grey = picture.mean(-1, keepdims=True)
    return np.clip(grey + (picture - grey) * amount, 0, 1)


def _edges(picture: np.ndarray, width: int) -> np.ndarray:
    """Strength of colour edges in [0, 1] as lines of about `width` pixels, (H, W)."""
    soft = cv2.GaussianBlur(picture, (0, 0), 1.0)
    dx, dy = cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1)
    strength = np.sqrt(dx * dx + dy * dy).max(-1)
    lines = np.clip((strength - 0.16) * 4, 0, 1)
    if width > 1:
        lines = cv2.dilate(lines, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width)))
    return cv2.GaussianBlur(lines, (0, 0), 0.6)


def _watercolor(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    size = picture.shape[0]
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    bend = size / 256 * 3.5
    moved = cv2.remap(
        picture,
        x + bend * _noise(rng, size, 14),
        y + bend * _noise(rng, size, 14),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT,
    )
    wash = cv2.medianBlur((moved * 255).astype(np.uint8), 7).astype(np.float32) / 255
    rim = cv2.GaussianBlur(wash, (0, 0), 4) - wash
    wash = wash - 0.35 * np.clip(rim, 0, 1) - 0.15 * np.abs(rim)
    wash = 1 - (1 - wash) * (0.8 + 0.13 * _noise(rng, size, 7))[..., None]
    edge = np.minimum.reduce([x, y, size - 1 - x, size - 1 - y]) * 256 / size
    mask = np.clip((edge - 9 - 4 * _noise(rng, size, 12)) / 3, 0, 1)[..., None]
    return PAPER + (np.clip(wash, 0, 1) - PAPER) * mask


def _pixel_art(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    size = picture.shape[0]
    small = cv2.resize(picture, (32, 32), interpolation=cv2.INTER_AREA)
    small = np.round(_saturate(small, 1.15) * 10) / 10
    return cv2.resize(small, (size, size), interpolation=cv2.INTER_NEAREST)


def _stained_glass(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    cells, lines = _voronoi(picture.shape[0], 19.0, 0.3)
    glass = np.clip(_saturate(_mean_by_cell(picture, cells), 1.35) * 1.08, 0, 1)
    lead = np.maximum(lines, 0.75 * _edges(picture, 3))[..., None]
    return glass * (1 - lead) + _color((0.07, 0.07, 0.09)) * lead


def _low_poly(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return _saturate(_mean_by_cell(picture, _triangles(picture.shape[0], 17.0)), 1.15)


def _mosaic(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    size = picture.shape[0]
    tiles = cv2.resize(picture, (32, 32), interpolation=cv2.INTER_AREA)
    bumps = np.random.default_rng(3).uniform(-0.06, 0.06, (32, 32, 1)).astype(np.float32)
    big = cv2.resize(np.clip(tiles + bumps, 0, 1), (size, size), interpolation=cv2.INTER_NEAREST)
    y, x = np.mgrid[0:size, 0:size] % (size // 32)
    grout = (((x == 0) | (y == 0))[..., None] * np.float32(0.5)).astype(np.float32)
    return big * (1 - grout) + _color((0.9, 0.88, 0.84)) * grout


def _line_art(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    ink = _edges(picture, 2)[..., None]
    luminance = picture @ LUMA
    wash = np.clip(0.42 - cv2.GaussianBlur(luminance, (0, 0), 1.2), 0, 1)[..., None] * 0.35
    page = PAPER * (1 - wash)
    return page * (1 - ink) + _color((0.1, 0.1, 0.13)) * ink


def _halftone(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    size = picture.shape[0]
    cells = cv2.resize(picture, (32, 32), interpolation=cv2.INTER_AREA)
    color = cv2.resize(_saturate(cells, 1.5), (size, size), interpolation=cv2.INTER_NEAREST)
    dark = 1 - cells @ LUMA
    radius = cv2.resize(1.2 + 3.2 * np.sqrt(dark), (size, size), interpolation=cv2.INTER_NEAREST)
    y, x = (np.mgrid[0:size, 0:size] * (256 / size)) % 8 - 3.5
    dots = np.clip(radius - np.sqrt(x * x + y * y) + 0.5, 0, 1)[..., None].astype(np.float32)
    page = 1 - (1 - cv2.GaussianBlur(picture, (0, 0), 3)) * 0.3
    return page * (1 - dots) + color * 0.92 * dots


def _oil(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    size = picture.shape[0]
    swirl = _noise(rng, size, 24)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    moved = cv2.remap(
        picture, x + 4 * swirl, y + 3 * swirl, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    dabs = cv2.xphoto.oilPainting((moved * 255).astype(np.uint8), 4, 12).astype(np.float32) / 255
    return np.clip(_saturate(dabs, 1.2) * (1 + 0.06 * _noise(rng, size, 40))[..., None], 0, 1)


def _neon(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    lines = _edges(picture, 3)
    vivid = cv2.dilate(picture, np.ones((5, 5), np.uint8))
    vivid = vivid / np.maximum(vivid.max(-1, keepdims=True), 0.05)
    vivid = np.clip((_saturate(vivid, 2.2)), 0.05, 1)
    light = vivid * lines[..., None]
    glow = cv2.GaussianBlur(light, (0, 0), 7) * 1.1 + cv2.GaussianBlur(light, (0, 0), 2.5) * 0.5
    core = np.clip(lines - 0.35, 0, 1)[..., None] * 0.45
    return np.clip(picture * 0.06 + _color((0.03, 0.02, 0.08)) + glow + light + core, 0, 1)


_STYLES = {
    "flat": lambda picture, rng: picture,
    "watercolor": _watercolor,
    "pixel art": _pixel_art,
    "stained glass": _stained_glass,
    "line art": _line_art,
    "halftone": _halftone,
    "mosaic": _mosaic,
    "oil": _oil,
    "neon": _neon,
    "low poly": _low_poly,
}


def _gradient_map(picture: np.ndarray, stops: str, amount: float) -> np.ndarray:
    """Colour by luminance along the stops, dark to light."""
    colors = np.array([rgb(c) for c in stops.split()], np.float32)
    luminance = picture @ LUMA
    at = np.linspace(0, 1, len(colors))
    mapped = np.stack([np.interp(luminance, at, colors[:, k]) for k in range(3)], -1)
    return (picture * (1 - amount) + mapped * amount).astype(np.float32)


def _grade(picture: np.ndarray, grade: str) -> np.ndarray:
    match grade:
        case "natural":
            return picture
        case "pastel":
            return np.clip(_saturate(picture, 0.8) * 0.55 + 0.43, 0, 1)
        case "synthwave":
            return _gradient_map(picture, "#140a2e #5b1fa0 #e8368f #ff9ac1 #9ff0ff", 0.82)
        case "sepia":
            return _gradient_map(picture, "#2b1a10 #8a5f3a #d9b483 #f8ead0", 0.9)
        case "mono":
            return _gradient_map(picture, "#08080a #f6f6f6", 1.0)
        case "golden":
            return np.clip(_gradient_map(picture, "#3a1608 #c4622a #f7b64e #fff0b8", 0.5), 0, 1)
        case "icy":
            return np.clip(_gradient_map(picture, "#071330 #2f6fb0 #9ad4ee #f2fcff", 0.62), 0, 1)
    raise ValueError(f"unknown grade {grade!r}")


def apply(picture: Picture, style: str, grade: str, rng: np.random.Generator) -> Picture:
    """The picture in a style and a grade; (H, W, 3) uint8 in and out."""
    flat = picture.astype(np.float32) / 255
    done = _STYLES[style](_grade(flat, grade), rng)
    return (np.clip(done, 0, 1) * 255 + 0.5).astype(np.uint8)
