"""The ADM UNet: one network for DDPM, Improved DDPM and guided diffusion."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from artdiff.nn.unet_blocks import (
    AttentionBlock,
    Blocks,
    GroupNorm,
    ResBlock,
    TorsoConfig,
    Upsample,
    cast_torso,
    encoder,
    middle,
    time_embedding,
    timestep_features,
    zeroed,
)

__all__ = ["UNet", "UNetConfig"]


@dataclass(frozen=True)
class UNetConfig(TorsoConfig):
    """Sizes of a `UNet`, beside those of `TorsoConfig`.

    Args:
        classes: how many labels it can be told, or None.
        learned_variance: whether C more channels come out, the variance values.
        heads_up: attention heads of the upward half, if others than `heads`.

    Raises:
        ValueError: if the sizes do not go together.
    """

    classes: int | None = None
    learned_variance: bool = False
    heads_up: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.heads_up is None or self.head_channels:
            return
        for level in range(len(self.multipliers)):
            wide = self.level_width(level)
            if 2**level in self.attention and (self.heads_up < 1 or wide % self.heads_up):
                raise ValueError(f"heads_up = {self.heads_up} does not divide {wide} channels")

    @property
    def out_channels(self) -> int:
        """Channels that come out."""
        return self.channels * (2 if self.learned_variance else 1)


class UNet(nn.Module):
    """Predicts epsilon (or what it was trained for) of a noisy picture at a timestep.

    Ho et al., arXiv 2006.11239, Appendix B; Nichol & Dhariwal, arXiv 2102.09672, Appendix A;
    Dhariwal & Nichol, arXiv 2105.05233, Section 3. Parameters have the names and shapes of the
    published checkpoints. Height and width must be multiples of ``config.factor``.
    """

    extra_inputs = 0
    """How many pictures beside x enter the first convolution."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        self.time_embed = time_embedding(config.width)
        if config.classes is not None:
            self.label_emb = nn.Embedding(config.classes, 4 * config.width)
        inputs = config.channels * (1 + self.extra_inputs)
        self.input_blocks, given = encoder(config, inputs)
        self.middle_block = middle(config)
        self.output_blocks = _decoder(config, given)
        wide = config.level_width(0)
        last = nn.Conv2d(wide, config.out_channels, 3, padding=1)
        self.out = nn.Sequential(GroupNorm(wide), nn.SiLU(), zeroed(last))
        self.cast()

    def cast(self) -> None:
        """Give the torso the type that the config says; anew after ``.to(dtype)``."""
        parts = (self.input_blocks, self.middle_block, self.output_blocks)
        self.dtype = cast_torso(parts, self.config.torso)

    def forward(self, x: Tensor, timesteps: Tensor, y: Tensor | None = None) -> Tensor:
        """Predict.

        Args:
            x: noisy pictures, (B, C, H, W).
            timesteps: the trained timesteps, (B,), integer or between integers.
            y: labels (B,) long, or mixtures of classes (B, classes) float, where a row of zeros
                is no class at all; None is that for all rows.

        Returns:
            (B, out_channels, H, W) in the type of x. With learned variance the prediction is
            ``[:, :C]`` and ``[:, C:]`` are values v, in [-1, 1] once trained, of
            log variance = f log beta + (1 - f) log beta~, f = (v + 1) / 2; Nichol & Dhariwal,
            Eq. 15.

        Raises:
            ValueError: if y is given and the network knows no classes, or y has another shape.
        """
        drive = self.time_embed(timestep_features(timesteps, self.config.width))
        if y is not None:
            drive = drive + self.embed_classes(y)
        h, kept = x.to(self.dtype), []
        for block in self.input_blocks:
            h = block(h, drive)
            kept.append(h)
        h = self.middle_block(h, drive)
        for block in self.output_blocks:
            h = block(torch.cat([h, kept.pop()], dim=1), drive)
        return self.out(h.to(x.dtype))

    def embed_classes(self, y: Tensor) -> Tensor:
        """Labels (B,) or mixtures (B, classes) to their embedding, (B, 4 * width)."""
        if self.config.classes is None:
            raise ValueError("this network knows no classes, and y was given")
        if y.ndim == 1:
            return self.label_emb(y)
        if y.ndim != 2 or y.shape[1] != self.config.classes:
            wanted = f"(B,) or (B, {self.config.classes})"
            raise ValueError(f"y has the shape {tuple(y.shape)}, not {wanted}")
        return y.to(self.label_emb.weight.dtype) @ self.label_emb.weight


def _decoder(config: UNetConfig, given: list[int]) -> nn.ModuleList:
    """The upward half, which takes what the encoder's blocks gave in reverse."""
    given, blocks = list(given), []
    wide = given[-1]
    for level in reversed(range(len(config.multipliers))):
        for place in range(config.blocks + 1):
            parts: list[nn.Module] = [
                ResBlock(wide + given.pop(), config.level_width(level), config)
            ]
            wide = config.level_width(level)
            if 2**level in config.attention:
                parts.append(AttentionBlock(wide, config, config.heads_up))
            if level and place == config.blocks:
                resampled = config.resample == "resblock"
                parts.append(
                    ResBlock(wide, wide, config, "up")
                    if resampled
                    else Upsample(wide, config.resample == "conv")
                )
            blocks.append(Blocks(*parts))
    return nn.ModuleList(blocks)
