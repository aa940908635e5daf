"""A large picture drawn anew in part, window by window: more detail than there was."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from artdiff import encode_png, image, save_bytes

CELL = 32
"""Sides of redrawn pictures are multiples of it; they are scaled back to what they were."""


def redraw(
    picture: np.ndarray,
    prompt: str,
    strength: float,
    seed: int,
    window: int,
    settings: Iterable[str] = (),
    plugins: Iterable[str] = (),
) -> np.ndarray:
    """Image-to-image of a picture uint8 (H, W, 3) over windows, at its own size.

    :param strength: how much is drawn anew, 0 to 1.
    :param window: the side of a window in pixels.
    :param settings: further preset values, as ``-s`` says them.
    :raises ArtdiffError: a setting is wrong.
    """
    height, width = picture.shape[:2]
    size = [max(CELL, round(side / CELL) * CELL) for side in (height, width)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "large.png"
        save_bytes(file, encode_png(picture, {}))
        values: dict[str, Any] = {
            "seed": seed,
            "height": size[0],
            "width": size[1],
            "init.strength": strength,
            "tile.size": window,
        }
        said = [f"{key}={value}" for key, value in values.items()]
        made = image(prompt, settings=[*said, f"init.image='{file}'", *settings], plugins=plugins)
        drawn = next(iter(made))[1]
    if drawn.shape != picture.shape:
        fitted = Image.fromarray(drawn).resize((width, height), Image.Resampling.LANCZOS)
        drawn = np.array(fitted)
    return drawn
