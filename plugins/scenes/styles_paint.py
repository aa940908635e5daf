"""Styles of brush and material: watercolour, oil, cut paper, poster, clay."""

from __future__ import annotations

from functools import cache

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
    noise,
    saturate,
    steepness,
)


def watercolor(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Washes with darker rims that bleed a little, on paper with a ragged edge."""
    size = picture.shape[0]
    x, y = grid(size)
    dx, dy = noise(rng, size, 14), noise(rng, size, 14)
    moved = cv2.remap(
        picture, x + 3.5 * dx, y + 3.5 * dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    wash = cv2.medianBlur((moved * 255).astype(np.uint8), 7).astype(np.float32) / 255
    rim = blur(wash, 4) - wash
    wash = wash - 0.35 * np.clip(rim, 0, 1) - 0.15 * np.abs(rim)
    wash = 1 - (1 - wash) * (0.8 + 0.15 * noise(rng, size, 6))[..., None]
    inside = frame(size, 9, 4 * noise(rng, size, 12), 3)
    return PAPER + (np.clip(wash, 0, 1) - PAPER) * inside


@cache
def _brush_spots(size: int, pitch: int) -> np.ndarray:
    """Where strokes start: a fixed, jittered lattice in a fixed, shuffled order, (N, 2) int."""
    rng = np.random.default_rng(pitch)
    y, x = np.mgrid[0 : size + pitch : pitch, 0 : size + pitch : pitch]
    spots = np.stack([x, y], -1).reshape(-1, 2) + rng.integers(
        -pitch // 3, pitch // 3 + 1, (x.size, 2)
    )
    return np.clip(rng.permutation(spots), 0, size - 1)


def oil(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Brush strokes along the forms: broad ones everywhere, fine ones at the edges."""
    size = picture.shape[0]
    grey = blur(picture, 2) @ LUMA
    gx, gy = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    xx, yy, xy = glow(gx * gx, 7), glow(gy * gy, 7), glow(gx * gy, 7)
    across = 0.5 * np.arctan2(2 * xy, xx - yy)
    calm = (xx + yy) < 4e-4
    angle = np.where(calm, 0.25 * fixed_noise(size, 6, 31), across + np.pi / 2)
    strength = np.sqrt(xx + yy)
    soft, fine = blur(picture, 3), blur(picture, 1)
    out = (soft * 255).astype(np.uint8)
    for pitch, width, length, source, least in ((12, 10, 11, soft, 0.0), (8, 6, 7, fine, 0.05)):
        spots = _brush_spots(size, pitch)
        xs, ys = spots[:, 0], spots[:, 1]
        used = strength[ys, xs] >= least
        xs, ys = xs[used], ys[used]
        a = angle[ys, xs]
        ends = np.stack([length * np.cos(a), length * np.sin(a)], -1)
        light = ((xs * 5 + ys * 3) % 7 - 3)[:, None] * 0.013
        paints = np.clip(saturate(source[ys, xs][None], 1.2)[0] + light, 0, 1) * 255
        starts = np.stack([xs, ys], -1)
        tails, heads = (starts - ends).astype(int).tolist(), (starts + ends).astype(int).tolist()
        for tail, head, paint in zip(tails, heads, paints.tolist(), strict=True):
            cv2.line(out, tail, head, paint, width, cv2.LINE_AA)
    done = out.astype(np.float32) / 255
    return 0.8 * done + 0.2 * fine


def paper_cut(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Layers of card: flat colours, a pale cut edge and a soft shadow below each form."""
    size = picture.shape[0]
    card = (
        cv2.medianBlur((flatten(picture, 14) * 255).astype(np.uint8), 5).astype(np.float32) / 255
    )
    tone = blur(card @ LUMA, 0.8)
    step = cv2.Sobel(tone, cv2.CV_32F, 0, 1) + 0.5 * cv2.Sobel(tone, cv2.CV_32F, 1, 0)
    line = edges(card, 2)
    lit = (line * np.clip(step * 3, -1, 1))[..., None]
    shadow = np.roll(glow(line, 5), (4, 3), (0, 1))[..., None]
    fibre = 0.018 * fixed_noise(size, 48, 41)[..., None]
    return saturate(card, 1.05) * (1 - 0.3 * np.clip(shadow, 0, 1)) + 0.16 * lit + fibre


def poster(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A faded travel poster: few flat tones, warm whites, blue blacks, a cream border."""
    size = picture.shape[0]
    few = flatten(saturate(picture, 1.1), 8)
    warm = few * color((0.93, 0.9, 0.82)) + color((0.05, 0.055, 0.09))
    warm = blur(warm, 0.7)
    inside = frame(size, 13, 0.0, 1.0)
    line = frame(size, 9, 0.0, 1.0) - frame(size, 10.5, 0.0, 1.0)
    sheet = warm * inside + color("#f6ecd6") * (1 - inside)
    return sheet * (1 - 0.8 * line) + color("#3a4a5f") * 0.8 * line


def clay(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Soft, puffed forms: each edge rounds off into light from above and shade below."""
    soft = (
        cv2.medianBlur((saturate(picture, 1.1) * 255).astype(np.uint8), 5).astype(np.float32) / 255
    )
    strength = steepness(soft, 1.5)
    inner = glow(np.clip(strength * 1.6, 0, 1), 6)
    below = np.roll(inner, -4, 0) - np.roll(inner, 5, 0)
    rounded = -np.clip(below * 1.5, -0.5, 0.5)[..., None]
    crease = np.clip(strength, 0, 1)[..., None]
    lit = blur(soft, 0.8) * (1 - 0.25 * crease) + 0.34 * rounded
    return np.clip(lit * 0.93 + 0.05, 0, 1)
