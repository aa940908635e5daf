"""The starter model's autoencoder: a picture to a 16 times smaller latent, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from artdiff.nn.narrow import Conv2d
from artdiff.nn.threads import by_rows


@dataclass(frozen=True)
class CodecConfig:
    """Sizes of a `Codec`; every field is JSON-able.

    ``*_widths`` and ``*_depths`` go from the finest scale (after `patch`) to the coarsest;
    each further scale halves height and width, so ``factor = patch * 2 ** (scales - 1)``.

    Raises:
        ValueError: if the sizes do not go together.
    """

    channels: int = 16
    patch: int = 4
    encoder_widths: tuple[int, ...] = (48, 96, 160)
    encoder_depths: tuple[int, ...] = (2, 2, 1)
    decoder_widths: tuple[int, ...] = (64, 96, 192)
    decoder_depths: tuple[int, ...] = (3, 4, 3)

    __pydantic_config__: ClassVar[dict] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        widths, depths = self.encoder_widths, self.encoder_depths
        parts = (widths, depths, self.decoder_widths, self.decoder_depths)
        if not widths or len({len(part) for part in parts}) > 1:
            raise ValueError(
                "encoder_widths, encoder_depths, decoder_widths and decoder_depths need one "
                "number for each of the same scales"
            )
        if min(self.channels, self.patch, *(min(part) for part in parts)) < 1:
            raise ValueError("channels, patch, widths and depths are 1 or more")

    @property
    def factor(self) -> int:
        """How many pixels one latent cell is wide and high."""
        return self.patch * 2 ** (len(self.encoder_widths) - 1)


class ResidualBlock(nn.Module):
    """``x + conv3x3(silu(conv3x3(silu(x))))``, (B, C, H, W) -> (B, C, H, W); identity at first."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = Conv2d(width, width, 3, padding=1)
        self.last = Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.last(F.silu(self.first(F.silu(x))))


def _stage(width: int, depth: int) -> list[nn.Module]:
    return [ResidualBlock(width) for _ in range(depth)]


def _encoder(config: CodecConfig) -> nn.Sequential:
    widths, depths = config.encoder_widths, config.encoder_depths
    layers: list[nn.Module] = [
        nn.PixelUnshuffle(config.patch),
        nn.Conv2d(3 * config.patch**2, widths[0], 3, padding=1),
        *_stage(widths[0], depths[0]),
    ]
    for fine, coarse, depth in zip(widths, widths[1:], depths[1:], strict=False):
        layers += [nn.PixelUnshuffle(2), nn.Conv2d(4 * fine, coarse, 1), *_stage(coarse, depth)]
    return nn.Sequential(*layers, nn.Conv2d(widths[-1], config.channels, 3, padding=1))


def _decoder(config: CodecConfig) -> nn.Sequential:
    widths, depths = config.decoder_widths[::-1], config.decoder_depths[::-1]
    layers: list[nn.Module] = [
        nn.Conv2d(config.channels, widths[0], 3, padding=1),
        *_stage(widths[0], depths[0]),
    ]
    for coarse, fine, depth in zip(widths, widths[1:], depths[1:], strict=False):
        layers += [nn.Conv2d(coarse, 4 * fine, 1), nn.PixelShuffle(2), *_stage(fine, depth)]
    last = nn.Conv2d(widths[-1], 3 * config.patch**2, 3, padding=1)
    return nn.Sequential(*layers, nn.SiLU(), last, nn.PixelShuffle(config.patch))


class Codec(nn.Module):
    """Autoencoder between pictures (B, 3, H, W) and latents (B, channels, H / f, W / f).

    Fully convolutional: H and W are any multiples of ``f = config.factor``.
    The latent has zero mean and unit variance per channel by an affine-free batch norm: batch
    statistics in training mode, running statistics in evaluation mode.
    """

    def __init__(self, config: CodecConfig | None = None) -> None:
        super().__init__()
        self.config = config or CodecConfig()
        self.encoder = _encoder(self.config)
        self.norm = nn.BatchNorm2d(self.config.channels, affine=False, momentum=0.02)
        self.decoder = _decoder(self.config)

    def encode(self, images: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) in [-1, 1] -> latents (B, channels, H / f, W / f)."""
        return self.norm(self.encoder(images))

    def decode(self, latents: Tensor) -> Tensor:
        """Latents (B, channels, h, w) -> pictures (B, 3, h * f, w * f) near [-1, 1].

        Between them it computes in the type of the decoder's weights.
        """
        inner = latents.to(next(self.decoder.parameters()).dtype)
        return by_rows(self.decoder, inner).to(latents.dtype)

    def forward(self, images: Tensor, noise: Tensor | None = None) -> Tensor:
        """Reconstruct pictures (B, 3, H, W); `noise`, of the latent's shape, is added to it."""
        latents = self.encode(images)
        return self.decode(latents if noise is None else latents + noise)


@torch.no_grad()
def calibrate(codec: Codec, batches: list[Tensor]) -> None:
    """Set the latent's running statistics to the exact ones over `batches` of pictures, in place.

    Each batch is (B, 3, H, W) in [-1, 1]; variances are the unbiased ones over all cells.
    """
    cells = [codec.encoder(batch).transpose(0, 1).flatten(1).double() for batch in batches]
    together = torch.cat(cells, dim=1)
    assert codec.norm.running_mean is not None and codec.norm.running_var is not None
    codec.norm.running_mean.copy_(together.mean(1))
    codec.norm.running_var.copy_(together.var(1))
