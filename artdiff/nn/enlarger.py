"""An upsampler that looks at a neighbourhood only: small, fast, and the same in every window."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from artdiff.nn.unet_blocks import Torso, timestep_features
from artdiff.noise import Level

__all__ = ["Enlarger", "EnlargerConfig"]

FREQUENCIES = 32


@dataclass(frozen=True)
class EnlargerConfig:
    """Sizes of a `Enlarger`, and what it was trained for; every field is JSON-able.

    Args:
        channels: channels of a picture.
        scale: how many times larger a side becomes.
        patch: pixels on a side of a cell of the network, a multiple of `scale`.
        width: channels of a cell.
        depth: residual blocks.
        spread: the standard deviation of what an enlarged small picture lacks, at edges.
        floor: the same where it lacks little: noise below it is not taken for noise.
        start: the ratio sigma / alpha of the noise that sampling starts from; well above what an
            enlarged small picture lacks anywhere.
        noise: the largest noise on small pictures in training.
        blur: the largest blur of small pictures in training, a standard deviation in their pixels.
        torso: the type in which the network computes.

    Raises:
        ValueError: if the sizes do not go together.
    """

    channels: int = 3
    scale: int = 2
    patch: int = 4
    width: int = 64
    depth: int = 6
    spread: float = 0.1
    floor: float = 0.02
    start: float = 4.0
    noise: float = 0.2
    blur: float = 1.0
    torso: Torso = "float32"

    __pydantic_config__: ClassVar[dict] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        if self.scale < 2 or self.patch < 1 or self.patch % self.scale:
            raise ValueError(f"patch is a multiple of scale = {self.scale} >= 2, not {self.patch}")
        if (
            min(self.width, self.depth, self.channels) < 1
            or min(self.spread, self.floor, self.start) <= 0
        ):
            raise ValueError("width, depth, channels, spread, floor and start are above 0")
        numbers = (self.spread, self.floor, self.start, self.noise, self.blur)
        if min(self.noise, self.blur) < 0 or not all(map(math.isfinite, numbers)):
            raise ValueError("noise and blur are 0 or more, and all numbers finite")

    classes: ClassVar[None] = None
    learned_variance: ClassVar[bool] = False

    @property
    def factor(self) -> int:
        """The side of a large picture must be a multiple of this many pixels."""
        return self.patch

    @property
    def reach(self) -> int:
        """How many pixels away the network looks, at most."""
        return self.patch * (2 * self.depth + 2)


class _Block(nn.Module):
    """Two 3x3 convolutions beside the identity, the first one scaled and shifted."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.last = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.bias)

    def forward(self, h: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        inner = torch.addcmul(shift, self.first(F.silu(h)), scale)
        return h + self.last(F.silu(inner))


class Enlarger(nn.Module):
    r"""Gives the expected large picture, of its noisy version x and the small picture.

    The network f sees the difference d of x to the small picture enlarged bicubically, u, and
    puts out what u lacks. With a = alpha, s = sigma, c = `spread` and e = `floor`:

    .. math::
        d = x - a u, \qquad
        x_0 = u + \frac{a e^2}{a^2 e^2 + s^2} d
            + \frac{s c}{\sqrt{a^2 e^2 + s^2}}\, f\!\left(\frac{d}{\sqrt{a^2 c^2 + s^2}}\right)

    With e = c it is the preconditioning of Karras et al., arXiv 2206.00364, Eq. 7 and Table 1, for
    the difference in place of the picture. What a small picture lacks is nothing in most places
    and much at edges; a smaller e leaves less noise where there is nothing.

    There are no norms and no attention: a pixel depends on
    what lies within `EnlargerConfig.reach` and on nothing else, so that windows of any size
    agree. It is told how noisy and how blurred the small picture is (Ho et al., "Cascaded
    Diffusion Models", arXiv 2106.15282, Section 4.2).
    """

    def __init__(self, config: EnlargerConfig) -> None:
        super().__init__()
        self.config = config
        cells = config.patch**2 * config.channels
        given = cells + (config.patch // config.scale) ** 2 * config.channels
        self.enter = nn.Conv2d(given, config.width, 3, padding=1)
        self.blocks = nn.ModuleList(_Block(config.width) for _ in range(config.depth))
        self.leave = nn.Conv2d(config.width, cells, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        assert self.leave.bias is not None
        nn.init.zeros_(self.leave.bias)
        self.drive = nn.Sequential(
            nn.Linear(3 * FREQUENCIES, config.width),
            nn.SiLU(),
            nn.Linear(config.width, 2 * config.depth * config.width),
        )
        self.cast()

    def cast(self) -> None:
        """Give the torso the type that the config says; anew after ``.to(dtype)``."""
        self.dtype = getattr(torch, self.config.torso)
        for part in (self.enter, self.blocks, self.leave):
            part.to(self.dtype)

    def forward(self, x: Tensor, at: Level, low: Tensor, told: Tensor | None = None) -> Tensor:
        """Give E[x0 | x, low].

        Args:
            x: noisy pictures, (B, C, H, W); H and W multiples of ``config.factor``.
            at: their level, 0-dim or (B, 1, 1, 1).
            low: small pictures in [-1, 1], (B, C, H / scale, W / scale).
            told: noise and blur of the small pictures, (B, 2); None is neither.

        Returns:
            (B, C, H, W) in the type of x.
        """
        config = self.config
        near = self.enlarge(low)
        away = x - at.alpha * near
        seen = away / torch.hypot(at.alpha * config.spread, at.sigma)
        out = self._inner(seen, at, low, told).to(x.dtype)
        kept = at.alpha * config.floor**2 / ((at.alpha * config.floor) ** 2 + at.sigma**2)
        return near + kept * away + self.gain(at) * out

    def enlarge(self, low: Tensor) -> Tensor:
        """Small pictures (B, C, h, w) enlarged bicubically."""
        return F.interpolate(
            low, scale_factor=self.config.scale, mode="bicubic", align_corners=False
        )

    def gain(self, at: Level) -> Tensor:
        """The factor of the network's output in x0."""
        config = self.config
        return at.sigma * config.spread / torch.hypot(at.alpha * config.floor, at.sigma)

    def _inner(self, away: Tensor, at: Level, low: Tensor, told: Tensor | None) -> Tensor:
        config, batch = self.config, len(away)
        drive = self.drive(self._features(at, told, away)).view(batch, config.depth, 2, -1, 1, 1)
        scale, shift = (1 + drive[:, :, 0]).to(self.dtype), drive[:, :, 1].to(self.dtype)
        seen = torch.cat(
            [
                F.pixel_unshuffle(away, config.patch),
                F.pixel_unshuffle(low, config.patch // config.scale),
            ],
            dim=1,
        )
        h = self.enter(seen.to(self.dtype))
        for place, block in enumerate(self.blocks):
            h = block(h, scale[:, place], shift[:, place])
        return F.pixel_shuffle(self.leave(F.silu(h)), config.patch)

    def _features(self, at: Level, told: Tensor | None, like: Tensor) -> Tensor:
        """Noise level, and noise and blur of the small picture, as waves: (B, 3 * 32)."""
        ratio = (at.sigma.double() / at.alpha.double()).log().clamp(-8, 8)
        level = (ratio + 8).to(like.device, torch.float32).reshape(-1).expand(len(like))
        if told is None:
            told = level.new_zeros(len(like), 2)
        parts = [60 * level, 500 * told[:, 0], 500 * told[:, 1]]
        waves = [timestep_features(part, FREQUENCIES) for part in parts]
        return torch.cat(waves, dim=1) / 2**0.5
