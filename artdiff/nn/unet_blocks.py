"""The parts of the ADM networks: residual blocks, attention, resampling, the encoder half.

Dhariwal & Nichol, "Diffusion Models Beat GANs on Image Synthesis", arXiv 2105.05233, Section 3;
Nichol & Dhariwal, arXiv 2102.09672, Appendix A. Module names are chosen such that parameters have
the names and shapes of the published guided-diffusion and improved-diffusion checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

GROUPS = 32
"""Groups of every group norm: widths must be multiples of it."""

Resample = Literal["conv", "pool", "resblock"]
"""A strided convolution, plain pooling, or a residual block that resamples (BigGAN's way)."""

Order = Literal["legacy", "new"]
"""How the channels of q, k and v lie, see `attend`."""

Torso = Literal["float32", "float16", "bfloat16"]


@dataclass(frozen=True)
class TorsoConfig:
    """What all ADM networks have in common; every field is JSON-able.

    Args:
        channels: channels of a picture.
        width: channels that the multipliers multiply, a multiple of 32.
        multipliers: width of each level, from full resolution down, as a multiple of `width`.
        blocks: residual blocks of a level.
        attention: downsampling factors at which attention acts; resolution r of pictures of size
            s is the factor s / r.
        heads: attention heads, unless `head_channels` says otherwise.
        head_channels: channels of a head; the number of heads follows from the width.
        attention_order: whether the channels of q, k and v of one head lie together (``legacy``)
            or all heads' q, then all k, then all v (``new``). Shapes are the same.
        scale_shift: adaptive group norm (Section 3, Eq. 3) rather than adding the embedding.
        resample: how levels are joined.
        dropout: inside residual blocks, while training.
        torso: the type in which the convolutions between entry and exit compute.
        checkpoint: compute blocks again in the backward pass instead of keeping activations.
    """

    channels: int = 3
    width: int = 128
    multipliers: tuple[float, ...] = (1, 2, 3, 4)
    blocks: int = 2
    attention: tuple[int, ...] = (4, 8)
    heads: int = 4
    head_channels: int | None = None
    attention_order: Order = "legacy"
    scale_shift: bool = True
    resample: Resample = "conv"
    dropout: float = 0.0
    torso: Torso = "float32"
    checkpoint: bool = False

    __pydantic_config__: ClassVar[dict] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        object.__setattr__(self, "multipliers", tuple(self.multipliers))
        object.__setattr__(self, "attention", tuple(self.attention))
        for multiplier in self.multipliers:
            wide = multiplier * self.width
            if wide < GROUPS or wide % GROUPS:
                raise ValueError(
                    f"width * multiplier must be a multiple of {GROUPS}, not "
                    f"{self.width} * {multiplier:g}"
                )
        if not self.multipliers or self.blocks < 1 or self.channels < 1:
            raise ValueError("an ADM network needs channels, levels and blocks, 1 or more of each")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be 0 or more and below 1, not {self.dropout:g}")
        last = len(self.multipliers) - 1
        for level in range(last + 1):
            wide, heads = self.level_width(level), self.head_channels or self.heads
            if (level == last or 2**level in self.attention) and (heads < 1 or wide % heads):
                what = "head_channels" if self.head_channels else "heads"
                raise ValueError(f"{what} = {heads} does not divide {wide} channels")

    def level_width(self, level: int) -> int:
        """Channels of a level."""
        return int(self.multipliers[level] * self.width)

    @property
    def factor(self) -> int:
        """The side of a picture must be a multiple of this many pixels."""
        return 2 ** (len(self.multipliers) - 1)


def attention_factors(size: int, resolutions: tuple[int, ...]) -> tuple[int, ...]:
    """The published flag ``attention_resolutions`` for pictures of a size, as factors."""
    return tuple(sorted(size // resolution for resolution in resolutions))


def timestep_features(timesteps: Tensor, width: int) -> Tensor:
    r"""Cosines, then sines, of :math:`t \cdot 10000^{-i / h}`, h = width / 2: (B,) to (B, width).

    Vaswani et al., arXiv 1706.03762, Section 3.5, in float32; t may be fractional.
    """
    half = width // 2
    place = torch.arange(half, dtype=torch.float32, device=timesteps.device) / half
    angles = timesteps[:, None].float() * torch.exp(-math.log(10_000) * place)
    return torch.cat([angles.cos(), angles.sin()], dim=1)


class GroupNorm(nn.GroupNorm):
    """Group norm with 32 groups that computes in float32, whatever the torso's type."""

    def __init__(self, channels: int) -> None:
        super().__init__(GROUPS, channels)

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.float()).to(input.dtype)


class Upsample(nn.Module):
    """Twice the size by repeating pixels, then a 3x3 convolution if `conv`."""

    def __init__(self, channels: int, conv: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1) if conv else None

    def forward(self, x: Tensor) -> Tensor:
        x = F.interpolate(x, scale_factor=2, mode="nearest")
        return x if self.conv is None else self.conv(x)


class Downsample(nn.Module):
    """Half the size by a 3x3 convolution of stride 2 if `conv`, else by the mean of 2x2."""

    def __init__(self, channels: int, conv: bool) -> None:
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, 2, 1) if conv else nn.AvgPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.op(x)


class ResBlock(nn.Module):
    """A residual block, (B, inputs, H, W) to (B, outputs, H', W'), told of time and class.

    With `resample` both branches are resampled between norm and convolution (BigGAN, Brock et
    al., arXiv 1809.11096, Appendix B).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        config: TorsoConfig,
        resample: Literal["up", "down"] | None = None,
    ) -> None:
        super().__init__()
        self.scale_shift, self.checkpoint = config.scale_shift, config.checkpoint
        self.resample: nn.Module | None = None
        if resample is not None:
            kind = Upsample if resample == "up" else Downsample
            self.resample = kind(inputs, conv=False)
        first = nn.Conv2d(inputs, outputs, 3, padding=1)
        last = nn.Conv2d(outputs, outputs, 3, padding=1)
        drive = nn.Linear(4 * config.width, outputs * (2 if config.scale_shift else 1))
        self.in_layers = nn.Sequential(GroupNorm(inputs), nn.SiLU(), first)
        self.emb_layers = nn.Sequential(nn.SiLU(), drive)
        self.out_layers = nn.Sequential(
            GroupNorm(outputs), nn.SiLU(), nn.Dropout(config.dropout), zeroed(last)
        )
        same = inputs == outputs
        self.skip_connection = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, drive: Tensor) -> Tensor:
        """x (B, inputs, H, W), drive (B, 4 * width)."""
        return _again(self._forward, self.checkpoint, x, drive)

    def _forward(self, x: Tensor, drive: Tensor) -> Tensor:
        h = self.in_layers[:2](x)
        if self.resample is not None:
            h, x = self.resample(h), self.resample(x)
        h = self.in_layers[2](h)
        change = self.emb_layers(drive).to(h.dtype)[:, :, None, None]
        if self.scale_shift:
            scale, shift = change.chunk(2, dim=1)
            h = self.out_layers[1:](self.out_layers[0](h) * (1 + scale) + shift)
        else:
            h = self.out_layers(h + change)
        return self.skip_connection(x) + h


class AttentionBlock(nn.Module):
    """Every pixel attends to every pixel, (B, C, H, W) to the same; scaled by head channels."""

    def __init__(self, channels: int, config: TorsoConfig, heads: int | None = None) -> None:
        super().__init__()
        each = config.head_channels
        self.heads = channels // each if each else (heads or config.heads)
        self.order: Order = config.attention_order
        self.checkpoint = config.checkpoint
        self.norm = GroupNorm(channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.proj_out = zeroed(nn.Conv1d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        return _again(self._forward, self.checkpoint, x)

    def _forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(2)
        mixed = attend(self.qkv(self.norm(flat)), self.heads, self.order)
        return (flat + self.proj_out(mixed)).view(x.shape)


def attend(qkv: Tensor, heads: int, order: Order) -> Tensor:
    """Attention of q, k, v stacked along channels, (B, 3 C, N) to (B, C, N).

    The 3 C channels are (heads, 3, C / heads) in ``legacy`` order, (3, heads, C / heads) in
    ``new`` order.
    """
    batch, wide, count = qkv.shape
    shape = (heads, 3) if order == "legacy" else (3, heads)
    parts = qkv.view(batch, *shape, wide // (3 * heads), count).transpose(3, 4)
    q, k, v = parts.unbind(2 if order == "legacy" else 1)
    mixed = F.scaled_dot_product_attention(q.contiguous(), k.contiguous(), v.contiguous())
    return mixed.transpose(2, 3).reshape(batch, wide // 3, count)


class Blocks(nn.Sequential):
    """Modules in turn; residual blocks are told of time and class as well."""

    def forward(self, x: Tensor, drive: Tensor) -> Tensor:  # type: ignore[override]
        for module in self:
            x = module(x, drive) if isinstance(module, ResBlock) else module(x)
        return x


def time_embedding(width: int) -> nn.Sequential:
    """The network from `timestep_features` (B, width) to what drives the blocks (B, 4 width)."""
    return nn.Sequential(nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, 4 * width))


def encoder(config: TorsoConfig, inputs: int) -> tuple[nn.ModuleList, list[int]]:
    """The downward half for pictures of some channels, and the channels that each block gives."""
    wide = config.level_width(0)
    blocks, given = [Blocks(nn.Conv2d(inputs, wide, 3, padding=1))], [wide]
    last = len(config.multipliers) - 1
    for level in range(last + 1):
        for _ in range(config.blocks):
            parts: list[nn.Module] = [ResBlock(wide, config.level_width(level), config)]
            wide = config.level_width(level)
            if 2**level in config.attention:
                parts.append(AttentionBlock(wide, config))
            blocks.append(Blocks(*parts))
            given.append(wide)
        if level < last:
            resampled = config.resample == "resblock"
            blocks.append(
                Blocks(
                    ResBlock(wide, wide, config, "down")
                    if resampled
                    else Downsample(wide, config.resample == "conv")
                )
            )
            given.append(wide)
    return nn.ModuleList(blocks), given


def middle(config: TorsoConfig) -> Blocks:
    """The blocks at the lowest resolution."""
    wide = config.level_width(len(config.multipliers) - 1)
    return Blocks(
        ResBlock(wide, wide, config), AttentionBlock(wide, config), ResBlock(wide, wide, config)
    )


def zeroed(module: nn.Module) -> nn.Module:
    """The module with all parameters 0, so that the block it ends begins as the identity."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module


def cast_torso(parts: tuple[nn.Module, ...], torso: Torso) -> torch.dtype:
    """Give the convolutions of these parts the torso's type, and return it.

    Norms and what drives the blocks stay in float32.
    """
    dtype = getattr(torch, torso)
    for part in parts:
        for module in part.modules():
            if isinstance(module, nn.Conv1d | nn.Conv2d):
                module.to(dtype)
    return dtype


def _again(function: Callable[..., Tensor], wanted: bool, *inputs: Tensor) -> Tensor:
    """Call a function, keeping only its inputs for the backward pass if wanted."""
    if wanted and torch.is_grad_enabled():
        result = checkpoint(function, *inputs, use_reentrant=False)
        assert isinstance(result, Tensor)
        return result
    return function(*inputs)
