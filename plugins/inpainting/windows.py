"""Pictures of any size through a model of one size: windows around masks, and outward."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from PIL import Image

from artdiff import FrameJob, PresetError, Registry, Tiling, image

from . import seam
from .expression import Mask


@dataclass(frozen=True)
class Draw:
    """How a window is drawn: what `artdiff image` is told, and the join.

    Attributes:
        size: width and height that the model draws.
        seam: as in the term's options, in pixels of the picture.
        settings: overrides, ``KEY=VALUE``.
    """

    registry: Registry
    prompt: str
    size: tuple[int, int]
    seed: int = 0
    seam: int = 12
    settings: tuple[str, ...] = field(default=())

    def __call__(
        self, picture: np.ndarray, mask: Mask, number: int = 1, seed: int = 0
    ) -> Iterator[tuple[FrameJob, np.ndarray]]:
        """Repaint a picture of the model's size, uint8 (H, W, 3), from seed to seed + number."""
        with TemporaryDirectory() as folder:
            paths = [str(Path(folder, name)) for name in ("picture.png", "mask.png")]
            Image.fromarray(picture).save(paths[0])
            Image.fromarray(np.ceil(mask * 255).astype(np.uint8)).save(paths[1])
            said = {
                "width": self.size[0],
                "height": self.size[1],
                "seed": self.seed + seed,
                "terms.inpainting.image": paths[0],
                "terms.inpainting.files.mask": paths[1],
                "terms.inpainting.mask": "mask",
                "terms.inpainting.seam": self.seam,
            }
            given = [f"{key}={json.dumps(value)}" for key, value in said.items()]
            settings = [*given, *self.settings]
            yield from image(self.prompt, number, settings=settings, registry=self.registry)


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels, which may reach beyond the picture."""

    left: int
    top: int
    width: int
    height: int

    def cut(self, picture: np.ndarray) -> np.ndarray:
        """What lies in the box; the picture is mirrored at its edges."""
        height, width = picture.shape[:2]
        rows = _mirrored(np.arange(self.top, self.top + self.height), height)
        columns = _mirrored(np.arange(self.left, self.left + self.width), width)
        return picture[rows][:, columns]

    def outside(self, height: int, width: int) -> np.ndarray:
        """Which pixels of the box lie beyond a picture, bool (h, w)."""
        rows = np.arange(self.top, self.top + self.height)
        columns = np.arange(self.left, self.left + self.width)
        beyond = ((rows < 0) | (rows >= height))[:, None], (columns < 0) | (columns >= width)
        return beyond[0] | beyond[1]

    def paste(self, picture: np.ndarray, part: np.ndarray) -> np.ndarray:
        """The picture with a part in the box."""
        height, width = picture.shape[:2]
        top, left = max(self.top, 0), max(self.left, 0)
        bottom, right = min(self.top + self.height, height), min(self.left + self.width, width)
        whole = picture.copy()
        whole[top:bottom, left:right] = part[
            top - self.top : bottom - self.top, left - self.left : right - self.left
        ]
        return whole


def _mirrored(places: np.ndarray, length: int) -> np.ndarray:
    """Places on an axis, reflected at its ends as often as needed."""
    period = max(1, 2 * (length - 1))
    places = np.abs(places) % period
    return np.where(places >= length, period - places, places)


def around(mask: Mask, size: tuple[int, int], padding: int, whole: bool = False) -> Box:
    """The box that is drawn for a mask: of the shape of the model's pictures, and no smaller.

    It holds all that the mask repaints with `padding` pixels around it, or, for `whole`, the whole
    picture; where there is room it lies inside of the picture.

    :raises PresetError: the mask repaints nothing.
    """
    if not mask.any():
        raise PresetError("the mask is empty: it repaints nothing; 1 (white) is what is repainted")
    height, width = mask.shape
    rows, columns = (np.flatnonzero((mask > 0).any(axis)) for axis in (1, 0))
    edges = [columns[0] - padding, columns[-1] + 1 + padding]
    edges += [rows[0] - padding, rows[-1] + 1 + padding]
    if whole:
        edges = [0, width, 0, height]
    left, right, top, bottom = (int(edge) for edge in edges)
    left, right, top, bottom = max(left, 0), min(right, width), max(top, 0), min(bottom, height)
    scale = max((right - left) / size[0], (bottom - top) / size[1], 0 if whole else 1)
    wide, high = round(size[0] * scale), round(size[1] * scale)
    return Box(
        _inside((left + right - wide) // 2, wide, width),
        _inside((top + bottom - high) // 2, high, height),
        wide,
        high,
    )


def _inside(start: int, size: int, length: int) -> int:
    """Move a stretch into [0, length], or around its middle if it is too long."""
    return (length - size) // 2 if size > length else min(max(start, 0), length - size)


def repaint(
    draw: Draw, picture: np.ndarray, mask: Mask, box: Box, number: int = 1
) -> Iterator[tuple[FrameJob, np.ndarray]]:
    """Repaint what a mask says, in a box that is scaled to the model's size: whole pictures.

    Pixels where the mask is 0 are those of `picture`.

    :raises PresetError: effects change the size of a window that is not scaled.
    """
    part, hole = box.cut(picture), box.cut(mask).copy()
    hole[box.outside(*mask.shape)] = 0
    same = draw.size == (box.width, box.height)
    small, weak = part, hole
    if not same:
        shrinks = draw.size[0] < box.width
        how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        small, weak = cv2.resize(part, draw.size, interpolation=how), _shrunk(hole, draw.size)
    for job, drawn in draw(small, weak, number):
        if same:
            _check_size(drawn, draw)
        else:
            large = cv2.resize(drawn, (box.width, box.height), interpolation=cv2.INTER_LANCZOS4)
            drawn = seam.joined(large, part, hole, draw.seam)
        yield job, box.paste(picture, drawn)


def _shrunk(mask: Mask, size: tuple[int, int]) -> Mask:
    how = cv2.INTER_AREA if size[0] < mask.shape[1] else cv2.INTER_LINEAR
    return np.clip(cv2.resize(mask, size, interpolation=how), 0, 1)


def _check_size(drawn: np.ndarray, draw: Draw) -> None:
    """Make sure that effects left a drawn window, uint8 (H, W, 3), at its size.

    :raises PresetError: they did not.
    """
    height, width = drawn.shape[:2]
    if (width, height) != draw.size:
        keys = [setting.partition("=")[0].strip().split(".") for setting in draw.settings]
        effects = dict.fromkeys(".".join(key[:2]) for key in keys if key[0] == "effects")
        wide, high = draw.size
        raise PresetError(
            f"-s {', '.join(effects) or 'effects'}: makes a window {width}x{height} instead of "
            f"{wide}x{high}; leave it out"
        )


def extend(
    draw: Draw, picture: np.ndarray, sides: tuple[int, int, int, int], overlap: int
) -> Iterator[tuple[float, np.ndarray]]:
    """Continue a picture beyond its edges by `fill`: (share that is done, the picture).

    Args:
        picture: uint8 (H, W, 3); its pixels stay.
        sides: pixels to add: left, right, top, bottom.
        overlap: how far windows overlap at least.
    """
    left, right, top, bottom = sides
    whole = cv2.copyMakeBorder(picture, top, bottom, left, right, cv2.BORDER_CONSTANT)
    known = np.zeros(picture.shape[:2], np.float32)
    mask = cv2.copyMakeBorder(known, top, bottom, left, right, cv2.BORDER_CONSTANT, value=[1.0])
    yield from fill(draw, np.asarray(whole), np.asarray(mask), overlap)


def fill(
    draw: Draw, picture: np.ndarray, mask: Mask, overlap: int
) -> Iterator[tuple[float, np.ndarray]]:
    """Repaint what a mask says, window by window: (share that is done, the picture).

    Windows of the model's size lie over the picture; the one of which most is known is drawn next,
    so that each has something to continue. Each has noise of its own. A picture that is smaller
    than a window is drawn with more around it, which is cut off.

    :raises PresetError: effects change the size of a window.
    """
    height, width = mask.shape
    high, wide = max(height, draw.size[1]), max(width, draw.size[0])
    top, left = (high - height) // 2, (wide - width) // 2
    around = (top, high - height - top, left, wide - width - left, cv2.BORDER_CONSTANT)
    whole = np.asarray(cv2.copyMakeBorder(picture, *around))
    unknown = np.asarray(cv2.copyMakeBorder(mask, *around, value=[1.0]))
    crop, boxes = Box(left, top, width, height), list(_grid(draw.size, overlap, high, wide))
    total, number = float(mask.sum()), 0
    while crop.cut(unknown).any():
        holes = [box.cut(unknown).mean() for box in boxes]
        wanted = [i for i, box in enumerate(boxes) if holes[i] > 0 and _meets(box, crop, unknown)]
        box = boxes[min(wanted, key=lambda i: holes[i])]
        ((_, drawn),) = draw(box.cut(whole), box.cut(unknown), seed=number)
        _check_size(drawn, draw)
        whole = box.paste(whole, drawn)
        unknown = box.paste(unknown, np.zeros(drawn.shape[:2], np.float32))
        number += 1
        yield 1 - float(crop.cut(unknown).sum()) / total, crop.cut(whole)


def _meets(box: Box, crop: Box, unknown: Mask) -> bool:
    """Whether a box has something to draw inside of a crop."""
    rows = slice(max(box.top, crop.top), min(box.top + box.height, crop.top + crop.height))
    columns = slice(max(box.left, crop.left), min(box.left + box.width, crop.left + crop.width))
    return bool(unknown[rows, columns].any())


def _grid(size: tuple[int, int], overlap: int, height: int, width: int) -> Iterable[Box]:
    """Boxes of one size that cover a plane."""
    spans = []
    for side, length in zip(size, (width, height), strict=True):
        lap = min(overlap, side - 1)
        spans.append([w.left for w in Tiling(side, lap).windows(1, length)])
    for top in spans[1]:
        for left in spans[0]:
            yield Box(left, top, *size)
