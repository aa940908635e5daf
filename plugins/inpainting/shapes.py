"""What a mask expression may call: shapes, changes of masks, colours and texts.

Shapes take fractions: x from the left, y from the top, radii and widths as shares of the shorter
side. What changes a mask takes pixels of the frame. Every function gives float32 (H, W) in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from .expression import Function, Mask, MaskError
from .seam import to_image


@dataclass(frozen=True)
class Canvas:
    """What a mask is drawn on: a size in pixels, the picture under it, and how texts are found.

    `picture` is uint8 (H, W, 3); `relevance` gives the relevance map of a text, (H, W) in [0, 1].
    """

    height: int
    width: int
    picture: np.ndarray
    relevance: Callable[[str], Mask]

    @classmethod
    def on(cls, picture: np.ndarray) -> Canvas:
        """A canvas over a picture, where the starter's encoder finds texts."""

        height, width = picture.shape[:2]
        seen = picture.tobytes()
        return cls(height, width, picture, lambda words: _found(seen, (height, width, 3), words))

    @property
    def shorter(self) -> int:
        return min(self.height, self.width)

    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        """x (1, W) and y (H, 1) of the middles of the pixels, as fractions."""
        x = (np.arange(self.width, dtype=np.float32) + 0.5) / self.width
        y = (np.arange(self.height, dtype=np.float32) + 0.5) / self.height
        return x[None], y[:, None]

    def distance(self, x: float, y: float) -> np.ndarray:
        """Distance from a point, as a share of the shorter side."""
        across, down = self.grid()
        return np.hypot((across - x) * self.width, (down - y) * self.height) / self.shorter


@lru_cache(maxsize=8)
def _found(picture: bytes, shape: tuple[int, int, int], words: str) -> Mask:
    """Where a picture shows what a text says, (H, W); once for all frames of a film."""
    from artdiff import load_encoder

    seen = to_image(np.frombuffer(picture, np.uint8).reshape(shape))
    return load_encoder().relevance(seen, words)[0, 0].float().cpu().numpy()


def circle(canvas: Canvas, x: float, y: float, r: float) -> Mask:
    """A disc around (x, y)."""
    return (canvas.distance(x, y) <= r).astype(np.float32)


def ellipse(canvas: Canvas, x: float, y: float, rx: float, ry: float) -> Mask:
    """An ellipse around (x, y); rx is a share of the width, ry of the height."""
    across, down = canvas.grid()
    if rx <= 0 or ry <= 0:
        return np.zeros((canvas.height, canvas.width), np.float32)
    return (np.hypot((across - x) / rx, (down - y) / ry) <= 1).astype(np.float32)


def rectangle(canvas: Canvas, left: float, top: float, right: float, bottom: float) -> Mask:
    """From (left, top) to (right, bottom)."""
    across, down = canvas.grid()
    inside = (across >= left) & (across <= right) & (down >= top) & (down <= bottom)
    return inside.astype(np.float32)


def border(canvas: Canvas, width: float) -> Mask:
    """A frame along the four sides."""
    across, down = canvas.grid()
    side = np.minimum(across, 1 - across) * canvas.width
    edge = np.minimum(side, np.minimum(down, 1 - down) * canvas.height)
    return (edge < width * canvas.shorter).astype(np.float32)


def linear(canvas: Canvas, x0: float, y0: float, x1: float, y1: float) -> Mask:
    """A gradient from 0 at (x0, y0) to 1 at (x1, y1)."""
    across, down = canvas.grid()
    dx, dy = (x1 - x0) * canvas.width, (y1 - y0) * canvas.height
    square = dx**2 + dy**2
    if square == 0:
        raise MaskError("linear: the two points are the same")
    way = ((across - x0) * canvas.width * dx + (down - y0) * canvas.height * dy) / square
    return np.clip(way, 0, 1).astype(np.float32)


def radial(canvas: Canvas, x: float, y: float, inner: float, outer: float) -> Mask:
    """A gradient round (x, y) from 1 inside the radius inner to 0 outside outer."""
    if not outer > inner:
        raise MaskError(f"radial: outer must be larger than inner (got {inner:g} and {outer:g})")
    return np.clip((outer - canvas.distance(x, y)) / (outer - inner), 0, 1).astype(np.float32)


def colour(canvas: Canvas, name: str, within: float = 0.2) -> Mask:
    """Where the picture has about a colour, by name or as "#rrggbb"; within is a Lab distance.

    1 is the distance of black and white. The edge is hard: add feather or grow. Parts of a colour
    beyond 0 and 255 are clipped, as in CSS.
    """
    from PIL import ImageColor

    try:
        parts = ImageColor.getrgb(name)[:3]
    except ValueError:
        raise MaskError(f'colour: {name!r} is no colour; write "skyblue" or "#87ceeb"') from None
    wanted = np.array([[[min(max(part, 0), 255) for part in parts]]], np.uint8)
    seen, sought = (
        np.asarray(cv2.cvtColor(each.astype(np.float32) / 255, cv2.COLOR_RGB2Lab))
        for each in (canvas.picture, wanted)
    )
    return (np.linalg.norm(seen - sought, axis=2) <= 100 * within).astype(np.float32)


def text(canvas: Canvas, words: str) -> Mask:
    """How much each place shows what a text says."""
    return canvas.relevance(words)


def feather(canvas: Canvas, mask: Mask, px: float) -> Mask:
    """Soften edges: the mask goes from 0 to 1 over px pixels on either side of an edge."""
    reach = _pixels("feather", px)
    if not reach:
        return mask
    return np.clip(cv2.GaussianBlur(mask, (2 * reach + 1,) * 2, reach / 2.5), 0, 1)


def grow(canvas: Canvas, mask: Mask, px: float) -> Mask:
    """Widen by px pixels on every side."""
    reach = _pixels("grow", px)
    return cv2.dilate(mask, _disc(reach)) if reach else mask


def shrink(canvas: Canvas, mask: Mask, px: float) -> Mask:
    """Narrow by px pixels on every side; the edge of the frame is no side."""
    reach = _pixels("shrink", px)
    return cv2.erode(mask, _disc(reach)) if reach else mask


def invert(canvas: Canvas, mask: Mask) -> Mask:
    """1 - mask, as ! does."""
    return 1 - mask


def shift(canvas: Canvas, mask: Mask, dx: float, dy: float) -> Mask:
    """Move by dx pixels to the right and dy down, fractions too; what comes in is 0."""
    matrix = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    return cv2.warpAffine(mask, matrix, (canvas.width, canvas.height), flags=cv2.INTER_LINEAR)


def threshold(canvas: Canvas, mask: Mask, at: float = 0.5) -> Mask:
    """1 where the mask is at least so large, 0 elsewhere."""
    return (mask >= at).astype(np.float32)


FUNCTIONS: Mapping[str, Function] = {
    f.__name__: f
    for f in (
        *(circle, ellipse, rectangle, border, linear, radial, colour, text),
        *(feather, grow, shrink, invert, shift, threshold),
    )
}
"""The functions by the name that expressions use."""

FARTHEST = 1024


def _pixels(name: str, px: float) -> int:
    """A whole number of pixels."""
    if not 0 <= px <= FARTHEST:
        raise MaskError(f"{name}: px must lie between 0 and {FARTHEST} (got {px:g})")
    return round(px)


def _disc(reach: int) -> np.ndarray:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1,) * 2)
