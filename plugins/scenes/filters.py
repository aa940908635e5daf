"""What the styles share; pictures here are (H, W, 3) float32 in [0, 1] unless they say uint8."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from .paint import RGB, rgb

Picture = np.ndarray  # (H, W, 3) uint8
LUMA = np.array((0.3, 0.59, 0.11), np.float32)
"""Luminance of linear mixes, near enough to Rec. 601."""


def color(value: RGB | str) -> np.ndarray:
    return np.array(rgb(value) if isinstance(value, str) else value, np.float32)


PAPER = color("#f7f2e6")


def noise(rng: np.random.Generator, size: int, cells: int) -> np.ndarray:
    """Smooth noise in [-1, 1], (size, size) float32."""
    coarse = rng.uniform(-1, 1, (cells, cells)).astype(np.float32)
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)


@cache
def fixed_noise(size: int, cells: int, seed: int) -> np.ndarray:
    """The same smooth noise for every picture: the grain of a paper or a board."""
    return noise(np.random.default_rng(seed), size, cells)


@cache
def strokes(size: int, period: float, angle: float, seed: int) -> np.ndarray:
    """A fixed texture of slanted, slightly wavy strokes in [0, 1], (size, size) float32."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    bend = 2.5 * fixed_noise(size, 10, seed)
    along = x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle)) + bend
    return (0.5 + 0.5 * np.sin(along * (2 * np.pi / period))).astype(np.float32)


@cache
def grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """x and y of every pixel, float32."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    return x, y


def saturate(picture: np.ndarray, amount: float) -> np.ndarray:
    grey = cv2.transform(picture, np.full((3, 3), 1 / 3, np.float32))
    return np.clip(grey + (picture - grey) * np.float32(amount), 0, 1)


def blur(picture: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(picture, (0, 0), sigma)


def glow(picture: np.ndarray, sigma: float) -> np.ndarray:
    """A wide blur, computed at a quarter of the size."""
    h, w = picture.shape[:2]
    small = cv2.resize(picture, (w // 4, h // 4), interpolation=cv2.INTER_AREA)
    return cv2.resize(blur(small, sigma / 4), (w, h), interpolation=cv2.INTER_LINEAR)


def gradient(picture: np.ndarray, sigma: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """d/dx and d/dy of the colours, (H, W, 3) each, after a small blur."""
    soft = blur(picture, sigma)
    return cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1)


def steepness(picture: np.ndarray, sigma: float = 1.0) -> np.ndarray:
    """Length of the steepest channel's gradient, (H, W)."""
    dx, dy = gradient(picture, sigma)
    return np.sqrt(strongest(cv2.multiply(dx, dx) + cv2.multiply(dy, dy)))


def strongest(picture: np.ndarray) -> np.ndarray:
    """The largest channel of every pixel, (H, W)."""
    red, green, blue = cv2.split(picture)
    return cv2.max(cv2.max(red, green), blue)


def edges(picture: np.ndarray, width: int, level: float = 0.16) -> np.ndarray:
    """Strength of colour edges in [0, 1] as lines of about `width` pixels, (H, W)."""
    strength = steepness(picture)
    lines = np.clip((strength - level) * 4, 0, 1)
    if width > 1:
        lines = cv2.dilate(lines, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width)))
    return blur(lines, 0.6)


def flatten(picture: np.ndarray, levels: int) -> np.ndarray:
    """Fewer colours: soft noise removed, each channel in steps."""
    smooth = cv2.medianBlur((picture * 255).astype(np.uint8), 5).astype(np.float32) / 255
    return np.round(smooth * levels) / np.float32(levels)


def frame(size: int, margin: float, wobble: np.ndarray | float, soft: float) -> np.ndarray:
    """1 inside, 0 in the margin at the picture's edge, (H, W, 1)."""
    x, y = grid(size)
    edge = np.minimum(np.minimum(x, y), size - 1 - np.maximum(x, y))
    return np.clip((edge - margin - wobble) / soft, 0, 1)[..., None].astype(np.float32)
