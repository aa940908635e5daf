"""The starter model's own encoder as a feature extractor: ships with artdiff, no download."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import ClassVar

import torch
from pydantic import BaseModel, Field
from torch import Tensor
from torch.nn import functional as F

from artdiff.errors import ModelError
from artdiff.evaluation.features import Need
from artdiff.random import Noise
from artdiff.train.autoencoder import load_codec

__all__ = ["StarterEncoder"]


class StarterEncoder:
    """The encoder of the starter model's codec: 192 pooled and 512 spatial features, offline.

    Pooled features are the latent's mean over the picture (32) and the logarithm of the standard
    deviation of each channel of the last stage (160), less that of pink noise: colours, and how
    much there is of each pattern, which tells sharp pictures from soft ones. Spatial ones are
    the latent, averaged over a grid of 4 x 4. Pictures of any size are scaled to one size
    first, small ones up and large ones down, regardless of their shape.
    """

    class Options(BaseModel, extra="forbid"):
        size: int = Field(
            256, ge=64, le=1024, multiple_of=64, description="Pictures are scaled to this side."
        )
        codec: Path | None = Field(
            None, description="A codec.safetensors that artdiff train made; else the starter's."
        )

    gives: ClassVar[tuple[Need, ...]] = ("pooled", "spatial")

    def __init__(self, options: Options) -> None:
        shipped = Path(str(files("artdiff").joinpath("starter", "codec.safetensors")))
        self.size, self.file = options.size, options.codec or shipped
        try:
            self.codec = load_codec(self.file)
        except FileNotFoundError:
            raise ModelError(f"{self.file}: no such file; give codec=FILE.safetensors") from None
        except ModelError:
            raise
        except Exception as error:
            raise ModelError(f"{self.file}: not a trained codec: {error}") from error
        with torch.inference_mode():
            self.usual = _spread(self.codec.encoder[:-1](pink_noise(4, self.size))).mean(0)

    def digest(self) -> str:
        """Names the codec's file and the size."""
        sha = hashlib.sha256(self.file.read_bytes())
        sha.update(f"/{self.size}".encode())
        return sha.hexdigest()[:16]

    def pictures(self, pictures: Tensor) -> Mapping[str, Tensor]:
        """Features of uint8 pictures (B, 3, H, W): pooled (B, 192), spatial (B, 512)."""
        images = scale(pictures.float() / 127.5 - 1, self.size)
        hidden = self.codec.encoder[:-1](images)
        latents = self.codec.norm(self.codec.encoder[-1](hidden))
        return {
            "pooled": torch.cat([latents.mean((2, 3)), _spread(hidden) - self.usual], 1),
            "spatial": F.adaptive_avg_pool2d(latents, 4).flatten(1),
        }

    def texts(self, texts: Sequence[str]) -> Tensor:
        """There are none."""
        raise ModelError("the starter's encoder knows no texts; use --features open_clip")


def _spread(hidden: Tensor) -> Tensor:
    """The logarithm of each channel's standard deviation over the picture, (B, C)."""
    return (hidden.var((2, 3)) + 1e-4).log() / 2


def pink_noise(count: int, size: int) -> Tensor:
    """Pictures (count, 3, size, size) in [-1, 1] of amplitudes 1 / frequency, as nature's are.

    The same ones every time. Field, "Relations between the statistics of natural images and the
    response properties of cortical cells" (1987).
    """
    white = Noise(range(count)).normal(torch.empty(count, 3, size, size), "evaluate.pink")
    rows, columns = torch.fft.fftfreq(size), torch.fft.rfftfreq(size)
    frequency = torch.hypot(rows[:, None], columns[None]).clamp(min=1 / size)
    pink = torch.fft.irfft2(torch.fft.rfft2(white) / frequency, (size, size))
    return (pink / pink.std() / 2).clamp(-1, 1)


def scale(images: Tensor, size: int) -> Tensor:
    """Images (B, 3, H, W) scaled to (B, 3, size, size), bilinear, antialiased when it shrinks."""
    if images.shape[-2:] == (size, size):
        return images
    return F.interpolate(
        images, (size, size), mode="bilinear", align_corners=False, antialias=True
    )
