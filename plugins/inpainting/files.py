"""Masks from files, and the mask of a command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from artdiff import PresetError, load_image, upright

from .expression import Kind, Mask, MaskError, Value, check, evaluate
from .shapes import FUNCTIONS, Canvas

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif")


def read_mask(
    mask: str | None, path: Path, picture: np.ndarray, named: tuple[str, ...] = ()
) -> Mask:
    """The mask of a command, float32 (H, W): a file, an expression, or the image's own alpha.

    :raises PresetError: it is neither, or has another size; the message has the place.
    """
    size = (picture.shape[1], picture.shape[0])
    files = dict(_pair(each) for each in named)
    if mask is not None and (Path(mask).is_file() or _is_name(mask)):
        files, mask = {"file": Path(mask)}, "file"
    if mask is None and not transparent(path):
        raise PresetError(f"{path} has no transparent places: say what to repaint with --mask")
    expression = "!alpha" if mask is None else mask

    def named_mask(name: str) -> Value:
        if name == "all":
            return np.ones(picture.shape[:2], np.float32)
        if name == "alpha":
            return _alpha(path) if transparent(path) else np.ones(picture.shape[:2], np.float32)
        with Image.open(files[name]) as file:
            fitting(str(files[name]), upright(file).size, size)
        if transparent(files[name]):
            return _alpha(files[name])
        return np.asarray(Image.fromarray(load_image(files[name])).convert("L"), np.float32) / 255

    kinds: dict[str, Kind] = dict.fromkeys(["all", "alpha", *files], "mask")
    try:
        check(expression, kinds, FUNCTIONS)
        for file in files.values():
            if not file.is_file():
                what = "is a folder" if file.is_dir() else "no such file"
                raise PresetError(f"--mask: {file}: {what}")
            load_image(file)
        return evaluate(expression, named_mask, FUNCTIONS, Canvas.on(picture))
    except MaskError as error:
        raise PresetError(f"--mask: {error}") from None


def fitting(name: str, size: tuple[int, int], image: tuple[int, int]) -> None:
    """Make sure that a mask has the size, width and height, of its image.

    :raises PresetError: it has not.
    """
    if size != image:
        found, wanted = ("{}x{}".format(*each) for each in (size, image))
        raise PresetError(
            f"mask {name!r} is {found} pixels, the image {wanted}; make them of one size"
        )


def _is_name(mask: str) -> bool:
    """Whether a mask is the name of a picture file, rather than an expression."""
    return "(" not in mask and mask.lower().endswith(SUFFIXES)


def _pair(said: str) -> tuple[str, Path]:
    name, equals, path = said.partition("=")
    if not equals or not name.isidentifier():
        raise PresetError(f"--file: write NAME=PATH (got {said!r})")
    return name, Path(path)


def transparent(path: Path) -> bool:
    """Whether any pixel of a picture file is."""
    with Image.open(path) as image:
        return image.has_transparency_data and bool((_channel(image) < 255).any())


def _alpha(path: Path) -> Mask:
    with Image.open(path) as image:
        return _channel(image).astype(np.float32) / 255


def _channel(image: Image.Image) -> np.ndarray:
    return np.array(upright(image).convert("RGBA"))[..., 3]
