"""From a picture file to pixels: upright, without transparency, all of one size."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Literal

import numpy as np
from PIL import Image, ImageColor, ImageOps
from pydantic import BaseModel, Field, field_validator

from artdiff import PresetError, upright

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")


class Fit(BaseModel, extra="forbid", frozen=True):
    """How pictures become squares of one size; the base of both datasets' options."""

    size: int = Field(64, ge=4, le=4096, description="Side in pixels.")
    fit: Literal["crop", "pad", "stretch"] = Field(
        "crop", description="The middle square; all of it, with bars; all of it, distorted."
    )
    background: str = Field(
        "white", description="Colour behind transparency and of bars: a name, or #rrggbb."
    )
    broken: Literal["error", "skip"] = Field(
        "error", description="What to do with files that are no pictures; skip reads all files."
    )
    content: str = Field(
        "", description="Names the files, found by itself: other files are other training data."
    )
    skipped: tuple[str, ...] | None = Field(
        None, description="The broken files that are left out, found by itself."
    )

    @field_validator("background")
    @classmethod
    def _colour(cls, value: str) -> str:
        ImageColor.getrgb(value)
        return value


def pixels(data: bytes, name: str, fit: Fit) -> np.ndarray:
    """Decode a picture file: uint8 (size, size, 3).

    EXIF says which side is up; of an animation the first picture counts; 16 bits become 8.

    :raises PresetError: it is no picture, or cut short; the message names it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(BytesIO(data)) as file:
                picture = _opaque(upright(file), fit.background)
    except MemoryError:
        raise
    except Exception as error:
        said = str(error).strip() or type(error).__name__
        raise PresetError(
            f"{name}: not a picture that can be read ({said.splitlines()[0]}); "
            'mend or remove it, or set data.options.broken = "skip"'
        ) from error
    size, how = (fit.size, fit.size), Image.Resampling.LANCZOS
    if fit.fit == "stretch":
        picture = picture.resize(size, how)
    elif fit.fit == "pad":
        picture = ImageOps.pad(picture, size, how, color=ImageColor.getrgb(fit.background))
    else:
        picture = ImageOps.fit(picture, size, how)
    return np.asarray(picture)


def place_of(name: str) -> str:
    """Where a picture comes in a dataset: the SHA-256 of its name, in hex digits.

    The first pictures of a dataset are held out; in the order of the names they would be those of
    the first classes.
    """
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()


def leave_out(
    names: Iterable[str], read: Callable[[str], bytes], fit: Fit, where: str
) -> tuple[str, ...]:
    """The files that are broken, after reading them all; says so on standard error."""
    import sys

    wrong = []
    for name in names:
        try:
            pixels(read(name), name, fit)
        except PresetError:
            wrong.append(name)
    if wrong:
        some = ", ".join(wrong[:5]) + (", ..." if len(wrong) > 5 else "")
        print(f"{where}: left out {len(wrong)} broken pictures: {some}", file=sys.stderr)
    return tuple(wrong)


def _opaque(picture: Image.Image, background: str) -> Image.Image:
    """The picture in RGB, laid over a colour where it is transparent."""
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    ground = Image.new("RGBA", picture.size, (*ImageColor.getrgb(background)[:3], 255))
    return Image.alpha_composite(ground, picture.convert("RGBA")).convert("RGB")
