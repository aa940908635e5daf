"""Styles that break the picture into cells: along its own edges, or on a grid of 8 pixels."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from scipy.spatial import Delaunay

from .filters import LUMA, blur, color, edges, gradient, grid, saturate


@cache
def _seeds(size: int, pitch: int) -> np.ndarray:
    """One marker in each cell of a brick-like lattice, numbers from 1, (size, size) int32."""
    marks = np.zeros((size, size), np.int32)
    number = 1
    for j, y in enumerate(range(pitch // 2, size, pitch)):
        for x in range(pitch // 2 if j % 2 else pitch, size, pitch):
            cv2.circle(marks, (x, y), 2, number, -1)
            number += 1
    return marks


@cache
def _cones(size: int, pitch: int) -> np.ndarray:
    """Slopes that rise from each seed, (size, size, 3) uint8."""
    away = cv2.distanceTransform((_seeds(size, pitch) == 0).astype(np.uint8), cv2.DIST_L2, 5)
    return np.repeat((away * 0.8).astype(np.uint8)[..., None], 3, -1)


def stained_glass(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Panes grown from a lattice up to the picture's own edges, in lead."""
    size = picture.shape[0]
    # In few tones a sky has no slope, so that panes grow there evenly from their seeds.
    tones = (blur(picture, 0.8) * 10).astype(np.uint8) * 24
    panes = cv2.watershed(tones + _cones(size, 28), _seeds(size, 28).copy())
    lead = (panes <= 0).astype(np.float32)
    flat = np.maximum(panes, 0).ravel()
    count = np.maximum(np.bincount(flat), 1)
    means = np.stack([np.bincount(flat, picture[..., k].ravel()) / count for k in range(3)], -1)
    glass = cv2.medianBlur(
        (means.astype(np.float32)[flat].reshape(picture.shape) * 255).astype(np.uint8), 5
    )
    light = np.clip(saturate(glass.astype(np.float32) / 255, 1.4) * 1.1, 0, 1)
    sheen = np.clip(blur(picture, 3) - blur(picture, 12), -0.1, 0.1)
    lead = blur(cv2.dilate(lead, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))), 0.7)[
        ..., None
    ]
    return (light + sheen) * (1 - lead) + color((0.07, 0.07, 0.1)) * lead


def low_poly(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Triangles whose corners sit on the picture's edges, one in each cell of 16 pixels."""
    size, pitch = picture.shape[0], 16
    n = size // pitch
    dx, dy = gradient(picture, 1.5)
    strength = (dx * dx + dy * dy).sum(-1)
    blocks = strength.reshape(n, pitch, n, pitch).transpose(0, 2, 1, 3).reshape(n * n, -1)
    best = blocks.argmax(1)
    strong = blocks[np.arange(n * n), best] > 0.02
    rows, cols = np.divmod(np.arange(n * n), n)
    inner = np.where(strong, best, (pitch // 2) * pitch + np.where(rows % 2, 3, 12))
    # In calm regions every second corner is left out: large facets.
    keep = strong | ((rows + cols) % 2 == 0)
    points = np.stack([cols * pitch + inner % pitch, rows * pitch + inner // pitch], -1)[keep]
    rim = [(x, y) for x in range(0, size + 1, 32) for y in (-2, size + 1)]
    rim += [(y, x) for x, y in rim]
    points = np.unique(np.concatenate([points, np.array(rim)]), axis=0)
    corners = points[Delaunay(points).simplices]
    middle = np.clip(corners.mean(1), 0, size - 1).astype(int)
    soft = blur(picture, 2.5)
    fills = soft[middle[:, 1], middle[:, 0]]
    tilt = ((middle[:, 0] * 7 + middle[:, 1] * 13) % 5 - 2)[:, None] * 0.016
    fills = (saturate(fills[None], 1.15)[0] + tilt).clip(0, 1) * 255
    out = (soft * 255).astype(np.uint8)
    for triangle, fill in zip(corners.astype(np.int32), fills.tolist(), strict=True):
        cv2.fillConvexPoly(out, triangle, fill, cv2.LINE_AA)
    return out.astype(np.float32) / 255


def pixel_art(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Squares of 8 pixels on a fixed grid, in few, strong colours."""
    size = picture.shape[0]
    n = size // 8
    small = cv2.resize(picture, (2 * n, 2 * n), interpolation=cv2.INTER_AREA)
    # The tone farthest from the cell's mean is its subject: small things stay readable.
    quads = small.reshape(n, 2, n, 2, 3).transpose(0, 2, 1, 3, 4).reshape(n, n, 4, 3)
    mean = quads.mean(2)
    cells = 0.6 * mean + 0.4 * np.median(quads, axis=2)
    cells = np.round(saturate(cells.astype(np.float32), 1.2) * 9) / 9
    return cv2.resize(cells.astype(np.float32), (size, size), interpolation=cv2.INTER_NEAREST)


@cache
def _tiles(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Brightness of each tile of a mosaic, and the grout between them."""
    n = size // 8
    bumps = np.random.default_rng(3).uniform(-0.05, 0.05, (n, n, 1)).astype(np.float32)
    x, y = grid(size)
    grout = (((x % 8 == 0) | (y % 8 == 0)) * 0.38).astype(np.float32)[..., None]
    return bumps, grout


def mosaic(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    size = picture.shape[0]
    bumps, grout = _tiles(size)
    tiles = cv2.resize(picture, bumps.shape[:2], interpolation=cv2.INTER_AREA)
    tiles = np.clip(saturate(tiles, 1.15) + bumps, 0, 1)
    big = cv2.resize(tiles, (size, size), interpolation=cv2.INTER_NEAREST)
    return big * (1 - grout) + color((0.93, 0.91, 0.87)) * grout


@cache
def _dot_grid(size: int, pitch: int) -> np.ndarray:
    """Distance of each pixel to the nearest centre of a grid turned by 45 degrees."""
    x, y = grid(size)
    near = [
        np.hypot((x + s) % pitch - pitch / 2 + 0.5, (y + s) % pitch - pitch / 2 + 0.5)
        for s in (0, pitch / 2)
    ]
    return np.minimum(*near).astype(np.float32)


def halftone(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A comic print: flat colours, dots that grow with the shade, bold outlines."""
    size = picture.shape[0]
    vivid = saturate(picture, 1.4)
    tone = cv2.resize(
        1 - blur(picture, 3) @ LUMA, (size // 8, size // 8), interpolation=cv2.INTER_AREA
    )
    tone = cv2.resize(tone, (size, size), interpolation=cv2.INTER_LINEAR)
    radius = 1.0 + 5.6 * np.sqrt(np.clip(tone, 0, 1))
    dots = np.clip(radius - _dot_grid(size, 16) + 0.5, 0, 1)[..., None]
    page = 1 - (1 - vivid) * 0.55
    ink = edges(picture, 3)[..., None] * 0.9
    shown = page * (1 - dots) + np.clip(vivid * 0.86, 0, 1) * dots
    return shown * (1 - ink) + color((0.08, 0.06, 0.12)) * ink
