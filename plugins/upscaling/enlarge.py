"""One picture made larger, by whatever model is named."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from artdiff import ModelError, Noise, open_upsampler, upsampler_card

from .foreign import SUFFIXES, Foreign
from .options import Enlarging

SHIPPED = Path(__file__).parent


def opened(model: str) -> Any:
    """The upsampler of a name, a folder or a file; read again when its weights are others.

    :raises ModelError: there is none.
    """
    return _opened(model, weights_of(model))


@lru_cache(maxsize=2)
def _opened(model: str, weights: str) -> Any:
    if model.endswith(SUFFIXES):
        return Foreign(Path(model))
    return open_upsampler(upsampler_card(model, SHIPPED))


def weights_of(model: str) -> str:
    """Sixteen hex digits that name the weights of an upsampler.

    :raises ModelError: there is none.
    """
    if not model.endswith(SUFFIXES):
        return upsampler_card(model, SHIPPED).digest()
    file = Path(model)
    if not file.is_file():
        what = "is a folder" if file.is_dir() else "no such file"
        raise ModelError(f"{file}: {what}")
    stat = file.stat()
    return _hashed(file, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=8)
def _hashed(file: Path, size: int, changed: int) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:16]


def enlarge(picture: np.ndarray, seed: int, how: Enlarging) -> np.ndarray:
    """A picture uint8 (H, W, 3) at `factor` times its size, (H * factor, W * factor, 3).

    An upsampler of a smaller scale is used again on its own picture; what is larger than asked is
    made smaller with Lanczos' filter. Only one window is in the network at a time.

    :raises ModelError: the model cannot be used.
    """
    model = opened(how.model)
    image = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 127.5 - 1
    done, told = 1, {"dirt": how.dirt, "blur": how.blur}
    while done < how.factor:
        noise = Noise([seed], done)
        image = model.enlarge(
            image, noise, steps=how.steps, window=how.window, overlap=how.overlap, **told
        )
        done, told = done * model.scale, {"dirt": 0.0, "blur": 0.0}
    values = image[0].clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)
    large = values.permute(1, 2, 0).contiguous().numpy()
    if done > how.factor:
        height, width = (side * how.factor for side in picture.shape[:2])
        large = np.array(Image.fromarray(large).resize((width, height), Image.Resampling.LANCZOS))
    return large
