"""Inception-v3 of 2015 as torch-fidelity runs it, with weights from a file; never a download."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic import BaseModel, Field
from torch import Tensor

from artdiff import ModelError, Need, import_mended

CELLS = 7
"""Channels of the spatial features; 7 x 17 x 17 = 2023, as many as the pooled ones, nearly."""


class Inception:
    """Inception-v3 of the FID paper: 2048 pooled features, 2023 spatial ones, 1008 logits.

    Spatial features are the first 7 channels of ``mixed_6/conv``, as the sFID of ADM takes them.
    """

    class Options(BaseModel, extra="forbid"):
        weights: Path | None = Field(
            None,
            description="pt_inception-2015-12-05-6726825d.pth (pytorch-fid), or torch-fidelity's "
            "weights-inception-2015-12-05-6726825d.pth.",
        )

    gives: ClassVar[tuple[Need, ...]] = ("pooled", "spatial", "logits")

    def __init__(self, options: Options) -> None:
        if options.weights is None:
            raise ModelError(
                "inception needs its weights, which are not downloaded: "
                "-f weights=pt_inception-2015-12-05-6726825d.pth"
            )
        self.file = options.weights
        _check(self.file)
        module = import_mended("torch_fidelity", "torch-fidelity")
        try:
            self.network: Any = module.FeatureExtractorInceptionV3(
                "inception",
                ["2048", "logits_unbiased"],
                feature_extractor_weights_path=str(self.file),
            )
        except RuntimeError as error:
            line = str(error).strip().splitlines()[-1].strip()
            raise ModelError(f"{self.file}: not the weights of this Inception: {line}") from error
        self._cells: list[Tensor] = []
        self.network.Mixed_6d.branch1x1.register_forward_hook(
            lambda layer, given, found: self._cells.append(found[:, :CELLS].flatten(1))
        )

    def digest(self) -> str:
        """Names the weights' file."""
        return hashlib.sha256(self.file.read_bytes()).hexdigest()[:16]

    def pictures(self, pictures: Tensor) -> Mapping[str, Tensor]:
        """Features of uint8 pictures (B, 3, H, W), scaled to 299 x 299 as TensorFlow 1 did."""
        self._cells.clear()
        pooled, logits = self.network(pictures)
        return {"pooled": pooled, "spatial": self._cells.pop(), "logits": logits}

    def texts(self, texts: Sequence[str]) -> Tensor:
        """There are none."""
        raise ModelError("inception knows no texts; use --features open_clip")


def _check(file: Path) -> None:
    """Read the file as weights and nothing else, before a library reads it trustingly."""
    try:
        torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ModelError(f"{file}: no such file; inception needs -f weights=FILE") from None
    except Exception as error:
        raise ModelError(f"{file}: cannot be read as weights: {type(error).__name__}") from error
