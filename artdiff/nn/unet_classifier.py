"""The noise-aware classifier: the encoder half of the ADM UNet, pooled to logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from artdiff.nn.unet_blocks import (
    GroupNorm,
    TorsoConfig,
    attend,
    cast_torso,
    encoder,
    middle,
    time_embedding,
    timestep_features,
    zeroed,
)

__all__ = ["ClassifierConfig", "ClassifierUNet"]

Pool = Literal["attention", "adaptive", "spatial", "spatial_v2"]


@dataclass(frozen=True)
class ClassifierConfig(TorsoConfig):
    """Sizes of a `ClassifierUNet`, beside those of `TorsoConfig`.

    Args:
        size: pixels on a side, which the pool ``attention`` is made for.
        classes: logits that come out.
        pool: ``attention`` of a mean token, as in CLIP; ``adaptive``, the mean over pixels;
            ``spatial`` and ``spatial_v2``, the means of every block through a small network.

    Raises:
        ValueError: if the sizes do not go together.
    """

    size: int = 64
    classes: int = 1000
    pool: Pool = "attention"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pool == "attention" and not self.head_channels:
            raise ValueError("pool = 'attention' needs head_channels")
        if self.size % self.factor:
            raise ValueError(f"size must be a multiple of {self.factor}, not {self.size}")


class AttentionPool(nn.Module):
    """What the mean of all pixels attends to, (B, C, side, side) to (B, outputs).

    Radford et al., arXiv 2103.00020, Section 2.4.
    """

    def __init__(self, side: int, channels: int, heads: int, outputs: int) -> None:
        super().__init__()
        self.heads = heads
        places = torch.randn(channels, side**2 + 1) / channels**0.5
        self.positional_embedding = nn.Parameter(places)
        self.qkv_proj = nn.Conv1d(channels, 3 * channels, 1)
        self.c_proj = nn.Conv1d(channels, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(2)
        tokens = torch.cat([flat.mean(dim=2, keepdim=True), flat], dim=2)
        tokens = tokens + self.positional_embedding.to(x.dtype)
        mixed = attend(self.qkv_proj(tokens), self.heads, "new")
        return self.c_proj(mixed[:, :, :1])[:, :, 0]


class ClassifierUNet(nn.Module):
    """Logits of noisy pictures at a timestep, for classifier guidance.

    Dhariwal & Nichol, arXiv 2105.05233, Section 4.1 and Appendix H. Parameters have the names and
    shapes of the published checkpoints.
    """

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        self.time_embed = time_embedding(config.width)
        self.input_blocks, given = encoder(config, config.channels)
        self.middle_block = middle(config)
        self.out = _head(config, given)
        self.cast()

    def cast(self) -> None:
        """Give the torso the type that the config says; anew after ``.to(dtype)``."""
        self.dtype = cast_torso((self.input_blocks, self.middle_block), self.config.torso)

    def forward(self, x: Tensor, timesteps: Tensor) -> Tensor:
        """Noisy pictures x (B, C, H, W), timesteps (B,) to logits (B, classes).

        :raises ValueError: the pool is ``attention`` and x is of another size.
        """
        side = self.config.size
        if self.config.pool == "attention" and x.shape[-2:] != (side, side):
            wrong = "x".join(map(str, x.shape[-2:]))
            raise ValueError(f"this classifier sees pictures of {side}x{side}, not {wrong}")
        drive = self.time_embed(timestep_features(timesteps, self.config.width))
        h, means = x.to(self.dtype), []
        for block in (*self.input_blocks, self.middle_block):
            h = block(h, drive)
            if self.config.pool.startswith("spatial"):
                means.append(h.to(x.dtype).mean(dim=(2, 3)))
        return self.out(torch.cat(means, dim=1) if means else h.to(x.dtype))


def _head(config: ClassifierConfig, given: list[int]) -> nn.Sequential:
    """What makes logits of the encoder's output, or of the means of all blocks."""
    wide, classes = given[-1], config.classes
    if config.pool.startswith("spatial"):
        hidden = 2048
        enter, leave = nn.Linear(sum(given) + wide, hidden), nn.Linear(hidden, classes)
        if config.pool == "spatial":
            return nn.Sequential(enter, nn.ReLU(), leave)
        return nn.Sequential(enter, GroupNorm(hidden), nn.SiLU(), leave)
    if config.pool == "adaptive":
        last = zeroed(nn.Conv2d(wide, classes, 1))
        pool = nn.AdaptiveAvgPool2d(1)
        return nn.Sequential(GroupNorm(wide), nn.SiLU(), pool, last, nn.Flatten())
    side = config.size // config.factor
    heads = wide // (config.head_channels or wide)
    pooled = AttentionPool(side, wide, heads, classes)
    return nn.Sequential(GroupNorm(wide), nn.SiLU(), pooled)
