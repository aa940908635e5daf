"""Upscaling networks of the Real-ESRGAN family and their kin, in files, through spandrel."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from artdiff import ModelError, Noise, Tiling, import_mended, read_plain_weights

SUFFIXES = (".pth", ".pt", ".ckpt", ".safetensors")


class Foreign:
    """A network that spandrel knows: it enlarges at once, and draws nothing by chance.

    Pickles are read with ``weights_only``, by artdiff and not by spandrel: a file that holds more
    than tensors is refused.
    """

    def __init__(self, file: Path) -> None:
        values, _ = read_plain_weights(file)
        if not isinstance(values, Mapping) or not all(isinstance(name, str) for name in values):
            raise ModelError(f"{file}: holds no tensors by name")
        spandrel: Any = import_mended("spandrel", "'artdiff[upscale]'")
        try:
            tensors = spandrel.canonicalize_state_dict(dict(values))
            loaded = spandrel.ModelLoader().load_from_state_dict(tensors)
        except Exception as error:  # networks of any kind may refuse tensors in any way
            raise ModelError(
                f"{file}: no network that spandrel knows, or a damaged one ({_line(error)})"
            ) from error
        fits = isinstance(loaded, spandrel.ImageModelDescriptor) and loaded.scale > 1
        if not fits or (loaded.input_channels, loaded.output_channels) != (3, 3):
            name = loaded.architecture.name
            raise ModelError(f"{file}: a {name} network, which does not enlarge colour pictures")
        self.network, self.scale = loaded.eval(), int(loaded.scale)

    @torch.inference_mode()
    def enlarge(
        self, low: Tensor, noise: Noise, *, window: int | None, overlap: int, **_: float
    ) -> Tensor:
        """Small pictures (1, 3, h, w) in [-1, 1] to (1, 3, h * scale, w * scale), in windows."""
        side = max((window or 512) // self.scale, 16)
        tiling = Tiling(side, min(overlap // self.scale, side - 1))
        image = (low + 1) / 2
        joined = tiling.join(lambda w: self.network(w.cut(image)), *low.shape[-2:], up=self.scale)
        return joined * 2 - 1


def _line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 120 else f"{text[:117]}..."
