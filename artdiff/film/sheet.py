"""Contact sheets and film strips: many frames in one picture."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from artdiff.errors import FrameError
from artdiff.frames import FrameStore, load_image

Picture: TypeAlias = np.ndarray | str | os.PathLike[str]
Colour: TypeAlias = str | tuple[int, int, int]
Font: TypeAlias = ImageFont.ImageFont | ImageFont.FreeTypeFont
_FONT_SIZE = 14
_LABEL_WIDTH = 96
_LABEL_GAP = 4


def contact_sheet(
    images: Sequence[Picture],
    columns: int | None = None,
    labels: Sequence[str] | None = None,
    cell: int | tuple[int, int] | None = None,
    gap: int = 8,
    background: Colour = "#181818",
    *,
    max_width: int = 2048,
) -> Image.Image:
    """Arrange pictures, uint8 (H, W, 3) or files, in a grid, row by row; an RGB picture.

    ``cell`` is the room for one picture in pixels, (width, height) or one number for both;
    pictures are scaled into it and keep their shape. Without it the cell is the size of the
    largest picture, no wider than ``max_width`` allows (and wide enough to read labels, where
    those are given). An explicit cell may make the sheet wider than ``max_width``. Labels stand
    below their picture, wrapped, never cut. Without ``columns`` the grid is about square. Only
    one picture is in memory at a time. Raises FrameError for no pictures or an unreadable file,
    ValueError for numbers that make no sheet.
    """
    if len(images) == 0:
        raise FrameError("a contact sheet needs at least one picture")
    if labels is not None and len(labels) != len(images):
        raise ValueError(f"{len(labels)} labels for {len(images)} pictures")
    columns = math.ceil(math.sqrt(len(images))) if columns is None else columns
    if columns < 1 or gap < 0 or max_width < 1:
        raise ValueError(f"no sheet has {columns} columns, a gap of {gap}, width {max_width}")
    columns = min(columns, len(images))
    if cell is None:
        width, height = _natural_cell(images, columns, gap, max_width, labels is not None)
    else:
        width, height = (cell, cell) if isinstance(cell, int) else cell
    if width < 1 or height < 1:
        raise ValueError(f"a cell of {width} x {height} pixels holds nothing")

    font = ImageFont.load_default(_FONT_SIZE)
    wrapped = [wrap(label, width, font) for label in labels or ()]
    rows = [range(at, min(at + columns, len(images))) for at in range(0, len(images), columns)]
    heights = [_label_height(wrapped, row, font) for row in rows]
    sheet = Image.new(
        "RGB",
        (columns * (width + gap) + gap, sum(heights) + len(rows) * (height + gap) + gap),
        background,
    )
    draw = ImageDraw.Draw(sheet)
    ink = _ink(sheet.getpixel((0, 0)))
    top = gap
    for row, label_height in zip(rows, heights, strict=True):
        for column, index in enumerate(row):
            left = gap + column * (width + gap)
            picture = _fit(_as_image(images[index]), width, height)
            middle = (left + (width - picture.width) // 2, top + (height - picture.height) // 2)
            sheet.paste(picture, middle)
            for line, text in enumerate(wrapped[index] if wrapped else ()):
                where = (left, top + height + _LABEL_GAP + line * _line_height(font))
                draw.text(where, text, fill=ink, font=font)
        top += height + label_height + gap
    return sheet


def film_strip(
    source: FrameStore | Sequence[Picture],
    count: int = 8,
    *,
    gap: int = 4,
    background: Colour = "#181818",
    max_width: int = 2048,
) -> Image.Image:
    """One row of ``count`` evenly spaced frames, the first and the last among them.

    A film of fewer frames shows each once. Of a `FrameStore` that is not finished, the frames
    that are there. Raises FrameError when there is none, ValueError for a count below 1.
    """
    if count < 1:
        raise ValueError(f"a film strip shows at least 1 frame, not {count}")
    if isinstance(source, FrameStore):
        frames: Sequence[Picture] = [source.png(index) for index in source.present()]
    else:
        frames = source
    if len(frames) == 0:
        raise FrameError("a film strip needs at least one finished frame")
    chosen = [frames[index] for index in spread(len(frames), count)]
    return contact_sheet(
        chosen, columns=len(chosen), gap=gap, background=background, max_width=max_width
    )


def spread(total: int, count: int) -> list[int]:
    """``min(total, count)`` evenly spaced numbers from 0 to ``total - 1``, both ends included."""
    if total <= count:
        return list(range(total))
    if count == 1:
        return [0]
    return [round(step * (total - 1) / (count - 1)) for step in range(count)]


def wrap(text: str, width: int, font: Font) -> list[str]:
    """Break ``text`` into lines no wider than ``width`` pixels, at spaces where possible.

    A word wider than a line is broken anywhere; no character is dropped but the spaces at breaks.
    """
    lines: list[str] = []
    for paragraph in text.splitlines():
        line = ""
        for word in paragraph.split():
            joined = f"{line} {word}" if line else word
            if font.getlength(joined) <= width:
                line = joined
                continue
            if line:
                lines.append(line)
            while len(word) > 1 and font.getlength(word) > width:
                fits = max(1, _longest(word, width, font))
                lines.append(word[:fits])
                word = word[fits:]
            line = word
        lines.append(line)
    return lines


def _longest(word: str, width: int, font: Font) -> int:
    """How many leading characters of ``word`` fit."""
    fits = 0
    while fits < len(word) and font.getlength(word[: fits + 1]) <= width:
        fits += 1
    return fits


def _line_height(font: Font) -> int:
    if isinstance(font, ImageFont.FreeTypeFont):
        ascent, descent = font.getmetrics()
        return ascent + descent
    return math.ceil(font.getbbox("Ág")[3])


def _label_height(
    wrapped: Sequence[Sequence[str]],
    row: range,
    font: Font,
) -> int:
    lines = max((len(wrapped[index]) for index in row), default=0) if wrapped else 0
    return _LABEL_GAP + lines * _line_height(font) if lines else 0


def _natural_cell(
    images: Sequence[Picture], columns: int, gap: int, max_width: int, labelled: bool
) -> tuple[int, int]:
    sizes = [_size(image) for image in images]
    width = max(size[0] for size in sizes)
    height = max(size[1] for size in sizes)
    room = max(1, (max_width - gap) // columns - gap)
    if width > room:
        # the row is as high as its highest picture after scaling, not before
        height = max(1, *(math.ceil(h * min(1.0, room / w)) for w, h in sizes))
        width = room
    if labelled:
        width = min(max(width, _LABEL_WIDTH), room)
    return width, height


def _size(picture: Picture) -> tuple[int, int]:
    if isinstance(picture, np.ndarray):
        return picture.shape[1], picture.shape[0]
    try:
        with Image.open(picture) as image:
            return image.size
    except (OSError, SyntaxError, ValueError) as error:
        raise FrameError(f"cannot read {Path(picture)} as a picture: {error}") from error


def _as_image(picture: Picture) -> Image.Image:
    array = picture if isinstance(picture, np.ndarray) else load_image(picture)
    return Image.fromarray(np.ascontiguousarray(array)).convert("RGB")


def _fit(image: Image.Image, width: int, height: int) -> Image.Image:
    """Scale to the largest size inside width x height that keeps the shape.

    A picture smaller than the cell is enlarged by whole pixels only, so that it stays true.
    """
    scale = min(width / image.width, height / image.height)
    if scale >= 1:
        factor = int(scale)
        size = (image.width * factor, image.height * factor)
        return image.resize(size, Image.Resampling.NEAREST) if factor > 1 else image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS)


def _ink(background: float | tuple[int, ...] | None) -> str:
    """Black or white, whichever reads better on this RGB background."""
    if not isinstance(background, tuple):
        return "#e8e8e8"
    red, green, blue = background[:3]
    return "#181818" if 0.299 * red + 0.587 * green + 0.114 * blue > 128 else "#e8e8e8"
