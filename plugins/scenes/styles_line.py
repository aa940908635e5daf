"""Styles made of lines: ink, neon, woodblock, chalk, crayon, blueprint."""

from __future__ import annotations

import cv2
import numpy as np

from .filters import (
    LUMA,
    PAPER,
    blur,
    color,
    edges,
    fixed_noise,
    flatten,
    frame,
    glow,
    grid,
    saturate,
    strokes,
    strongest,
)


def line_art(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Ink outlines, and diagonal hatching that thickens with the shade."""
    ink = edges(picture, 2)
    shade = 1 - blur(picture, 2.0) @ LUMA
    hatch = np.clip((strokes(picture.shape[0], 8.0, 0.785, 5) - 1.25 + shade) * 4, 0, 1)
    cross = np.clip((strokes(picture.shape[0], 8.0, -0.785, 6) - 1.55 + shade) * 4, 0, 1)
    dark = np.maximum(ink, 0.5 * np.maximum(hatch, cross))[..., None]
    return PAPER * (1 - dark) + color((0.1, 0.1, 0.14)) * dark


def neon(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    lines = edges(blur(picture, 0.8), 3, 0.22)
    vivid = cv2.dilate(picture, np.ones((5, 5), np.uint8))
    vivid = vivid / np.maximum(strongest(vivid), 0.05)[..., None]
    vivid = np.maximum(saturate(vivid, 2.2), 0.05)
    light = vivid * lines[..., None]
    halo = glow(light, 7) * 1.15 + blur(light, 2.0) * 0.5
    core = np.clip(lines - 0.35, 0, 1)[..., None] * 0.45
    return picture * 0.07 + color((0.03, 0.02, 0.08)) + halo + light + core


_INKS = np.stack([color(c) for c in (
    "#1f2f4f", "#2f5a86", "#6f9ab0", "#a8c4c4", "#f0e4c8", "#d9b98a", "#c98a52", "#b5483a",
    "#7a8f5a", "#4a6a50", "#3a3038", "#e0a8a0", "#f6f0e0", "#8a6a5a",
)])  # fmt: skip


def _ink_table() -> np.ndarray:
    """A soft nearest-ink table over 17 x 17 x 17 colours."""
    axis = np.linspace(0, 1, 17, dtype=np.float32)
    cube = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1)
    gap = ((cube[..., None, :] - _INKS) ** 2 * color((0.8, 1.2, 0.7))).sum(-1)
    weight = np.exp(-gap * 90)
    return (weight / weight.sum(-1, keepdims=True)) @ _INKS


_INK_TABLE = _ink_table().astype(np.float32)


def woodblock(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A print in few mineral inks with dark key lines, on cream paper."""
    size = picture.shape[0]
    smooth = cv2.medianBlur((saturate(picture, 0.95) * 255).astype(np.uint8), 5)
    at = (smooth.astype(np.float32) * (16 / 255) + 0.5).astype(np.intp)
    printed = blur(_INK_TABLE[at[..., 0], at[..., 1], at[..., 2]], 1.0)
    grain = 0.035 * strokes(size, 16.0, 1.571, 8)[..., None]
    ink = edges(picture, 2)[..., None] * 0.88
    shown = (printed - grain) * (1 - ink) + color("#232838") * ink
    inside = frame(size, 9, 0.0, 1.5)
    return shown * inside + color("#f2e8d0") * (1 - inside)


def chalk(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pale, powdery lines and rubbed-in colour on a dark board."""
    size = picture.shape[0]
    board = color("#1f2d2b") + 0.02 * fixed_noise(size, 6, 11)[..., None]
    soft = blur(picture, 1.2)
    bright = np.clip(saturate(soft, 1.8) * 0.72 + 0.3, 0, 1)
    rubbed = 0.62 + 0.16 * strokes(size, 14.0, 0.6, 12) + 0.07 * fixed_noise(size, 40, 14)
    fill = (np.clip((soft @ LUMA) * 0.95 - 0.05, 0.06, 0.52) * rubbed)[..., None]
    line = (edges(picture, 3) * 0.92)[..., None]
    shown = board * (1 - fill) + bright * fill
    return shown * (1 - line) + np.clip(bright * 0.5 + 0.55, 0, 1) * line


def crayon(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Wax strokes that leave the paper's white between them, with darker outlines."""
    size = picture.shape[0]
    cover = np.clip(
        0.76 + 0.26 * strokes(size, 12.0, 0.9, 21) + 0.12 * fixed_noise(size, 40, 22), 0, 1
    )
    wax = saturate(flatten(picture, 12), 1.25)
    paper = color("#fcf9f0")
    fill = cover[..., None] * np.clip(1.15 - 0.35 * (wax @ LUMA), 0.6, 1)[..., None]
    shown = paper * (1 - fill) + wax * fill
    line = (edges(picture, 3, 0.2) * 0.7)[..., None]
    shown = shown * (1 - line) + wax * 0.45 * line
    inside = frame(size, 7, 3.5 * fixed_noise(size, 22, 23), 3.0)
    return shown * inside + paper * (1 - inside)


def blueprint(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """White lines and a pale wash on blue, over a drafting grid."""
    size = picture.shape[0]
    x, y = grid(size)
    ruled = (((x % 32 < 1.5) | (y % 32 < 1.5)) * 0.16).astype(np.float32)[..., None]
    wash = (blur(picture, 1.5) @ LUMA)[..., None]
    ground = color("#173f7e") * (0.8 + 0.5 * wash) + color((0.02, 0.05, 0.08)) * wash
    ground = ground + (color("#8fb8f0") - ground) * ruled
    line = edges(picture, 2)[..., None] * 0.95
    return ground * (1 - line) + color("#f0f6ff") * line
