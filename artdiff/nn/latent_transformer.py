"""The starter model's denoiser: a text-conditional transformer on latents."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from artdiff.nn.attention import attention
from artdiff.nn.codec import ResidualBlock
from artdiff.nn.narrow import Linear
from artdiff.nn.text import TextConfig, TextEncoder
from artdiff.nn.threads import by_rows
from artdiff.nn.told import Told, place_on_axis


@dataclass(frozen=True)
class LatentTransformerConfig:
    """Sizes of a `LatentTransformer`; every field is JSON-able.

    `vocabulary` is the room for word ids, the special ones included: leave some for new words.
    `told` names what a distilled network is told beside time and text, see `artdiff.nn.told`.
    """

    channels: int = 16
    stem: int = 96
    stem_depth: int = 2
    patch: int = 2
    width: int = 256
    depth: int = 8
    heads: int = 4
    hidden: int = 1024
    vocabulary: int = 1024
    text_length: int = 24
    text_width: int = 192
    text_depth: int = 2
    text_heads: int = 4
    told: tuple[Told, ...] = ()

    __pydantic_config__: ClassVar[dict] = {"extra": "forbid"}

    @property
    def text(self) -> TextConfig:
        """The sizes of the text encoder."""
        return TextConfig(
            self.vocabulary, self.text_length, self.text_width, self.text_depth, self.text_heads
        )


def time_features(t: Tensor, width: int) -> Tensor:
    """Cosines and sines of ``1000 t`` at `width` / 2 geometric frequencies, (B,) -> (B, width)."""
    count = width // 2
    steps = torch.arange(count, dtype=torch.float32, device=t.device) / count
    angles = 1000 * t.float()[:, None] * torch.exp(-math.log(10_000) * steps)
    return torch.cat([angles.cos(), angles.sin()], dim=1)


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def place_features(height: int, width: int, count: int, device: torch.device) -> Tensor:
    """Where each of height x width patches lies in the frame, (height * width, 4 * count).

    Sines and cosines of ``pi / 2 k u``, k = 1 .. count, of both coordinates u in (-1, 1), which
    span the frame whatever its size and shape: other sizes see no unknown position.
    """

    def axis(size: int) -> Tensor:
        u = (torch.arange(size, dtype=torch.float32, device=device) + 0.5) * 2 / size - 1
        k = torch.arange(1, count + 1, dtype=torch.float32, device=device)
        angles = math.pi / 2 * u[:, None] * k
        return torch.cat([angles.sin(), angles.cos()], dim=1)

    rows = axis(height)[:, None].expand(height, width, 2 * count)
    columns = axis(width)[None].expand(height, width, 2 * count)
    return torch.cat([rows, columns], dim=2).flatten(0, 1)


def _zero(layer: nn.Linear | nn.Conv2d) -> None:
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


class _Block(nn.Module):
    """Self-attention, attention to the text and an MLP with a depthwise 3x3; identity at first.

    Queries and keys are normalised per head (Dehghani et al., arXiv 2302.05442, section 2).
    """

    def __init__(self, width: int, heads: int, hidden: int, skip: bool) -> None:
        super().__init__()
        self.heads, head = heads, width // heads
        self.qkv = Linear(width, 3 * width)
        self.qkv.parts = 3  # type: ignore[assignment]
        self.scale = nn.Parameter(torch.ones(head))
        self.out = Linear(width, width)
        self.query = Linear(width, width)
        self.query_scale = nn.Parameter(torch.ones(head))
        self.text_out = Linear(width, width)
        self.near = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.up = Linear(width, hidden)
        self.down = Linear(hidden, width)
        self.skip = Linear(width, width) if skip else None
        for last in (self.out, self.text_out, self.down, self.near, self.skip):
            if last is not None:
                _zero(last)

    def forward(
        self,
        x: Tensor,
        size: tuple[int, int],
        change: Tensor,
        key: Tensor,
        value: Tensor,
        blind: Tensor | None = None,
    ) -> Tensor:
        """Tokens x (B, N, d), N = size[0] * size[1]; change (B, 6, 1, d): scale + 1, shift and
        gate of the attention and of the MLP; text key and value (B, heads, L, d / heads). In rows
        that are blind, (B,) of bool, each token attends to itself only."""
        batch, count, width = x.shape
        head = width // self.heads
        scale1, shift1, gate1, scale2, shift2, gate2 = change.unbind(1)

        h = torch.addcmul(shift1, F.layer_norm(x, (width,)), scale1)
        qkv = self.qkv(h).view(batch, count, 3, self.heads, head)
        q, k = F.layer_norm(qkv[:, :, :2], (head,), self.scale).transpose(1, 3).unbind(2)
        v = qkv[:, :, 2].transpose(1, 2)
        mixed = attention(q, k, v)
        if blind is not None:
            mixed = torch.where(blind[:, None, None, None], v, mixed)
        x = torch.addcmul(x, self.out(mixed.transpose(1, 2).reshape(x.shape)), gate1)

        q = self.query(F.layer_norm(x, (width,))).view(batch, count, self.heads, head)
        q = F.layer_norm(q, (head,), self.query_scale).transpose(1, 2)
        mixed = attention(q, key, value)
        x = x + self.text_out(mixed.transpose(1, 2).reshape(x.shape))

        h = torch.addcmul(shift2, F.layer_norm(x, (width,)), scale2)
        plane = h.view(batch, *size, width).permute(0, 3, 1, 2)
        h = h + self.near(plane).permute(0, 2, 3, 1).reshape(x.shape)
        h = self.down(F.gelu(self.up(h), approximate="tanh"))
        return torch.addcmul(x, h, gate2)


class LatentTransformer(nn.Module):
    """Predicts the flow ``v = eps - x0`` of ``x = (1 - t) x0 + t eps``.

    Residual 3x3 blocks at full latent resolution, then 2x2 patches through transformer blocks
    whose second half also sees the first half (long skips), then residual blocks again. Time and
    pooled text drive one shared adaptive layer norm with a table of offsets per block (Chen et
    al., arXiv 2310.00426, section 2.3). Any latent height and width that are multiples of 2.

    Beside the text, what it is told may hold ``perturbed`` and ``skipped``, (B, N) block numbers
    or -1: blocks of a row whose self-attention map is the identity, and blocks that are left out
    (their long skips stay); see `artdiff.guiders.guider.Markable`. A network whose config has
    `told` may find those numbers there too, (B, 1); their last layers begin at zero, so that it
    begins as the network that knows nothing of them.
    """

    edges = ("enter", "leave", "place")

    def __init__(self, config: LatentTransformerConfig) -> None:
        super().__init__()
        self.config = config
        width, stem, patch = config.width, config.stem, config.patch
        self.text = TextEncoder(config.text)
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.pooled = nn.Linear(config.text_width, width)
        self.told = nn.ModuleDict(
            {name: nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
             for name in config.told}
        )  # fmt: skip
        self.change = nn.Linear(width, 6 * width)
        self.change.parts = 6  # type: ignore[assignment]
        self.table = nn.Parameter(torch.zeros(config.depth, 6, 1, width))
        self.text_kv = Linear(config.text_width, 2 * config.depth * width)
        self.text_kv.parts = 2 * config.depth  # type: ignore[assignment]

        self.enter = nn.Conv2d(config.channels, stem, 3, padding=1)
        self.before = nn.Sequential(*[ResidualBlock(stem) for _ in range(config.stem_depth)])
        self.patch_in = Linear(stem * patch**2, width)
        self.place = nn.Linear(32, width, bias=False)
        self.blocks = nn.ModuleList(
            _Block(width, config.heads, config.hidden, skip=2 * i >= config.depth)
            for i in range(config.depth)
        )
        self.patch_out = Linear(width, stem * patch**2)
        self.after = nn.Sequential(*[ResidualBlock(stem) for _ in range(config.stem_depth)])
        self.leave = nn.Conv2d(stem, config.channels, 3, padding=1)
        with torch.no_grad():
            _zero(self.change)
            _zero(self.leave)
            for told in self.told.values():
                _zero(told[-1])  # type: ignore[index]
            self.table[:, [0, 2, 3, 5]] = 1.0

    @property
    def depth(self) -> int:
        """How many transformer blocks there are."""
        return self.config.depth

    @property
    def weakens(self) -> dict[str, tuple[int, ...]]:
        """The blocks that are weakened if nothing else is said: before and after the middle."""
        middle = self.config.depth // 2
        return {"perturbed": (max(0, middle - 1),), "skipped": (middle,)}

    def encode_text(self, ids: Tensor) -> dict[str, Tensor]:
        """Word ids (B, L) -> the conditioning: ``states``, ``mask``, ``pooled``, leading dim B.

        Dictionaries of several prompts can be mixed linearly, see `TextEncoder`.
        """
        return self.text(ids)

    def _text_keys(self, states: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Keys and values (B, heads, L, d / heads) of every block, from one product."""
        config = self.config
        shape = (*states.shape[:2], config.depth, 2, config.heads, config.width // config.heads)
        kv = self.text_kv(states).view(shape).permute(2, 3, 0, 4, 1, 5)
        return F.layer_norm(kv[:, 0], shape[-1:]).unbind(0), kv[:, 1].unbind(0)

    def forward(self, x: Tensor, t: Tensor, text: dict[str, Tensor]) -> Tensor:
        """x (B, C, h, w) at times t (B,) in [0, 1] with `encode_text`'s result -> v like x."""
        return by_rows(self._answer, x, t, text)

    def _answer(self, x: Tensor, t: Tensor, text: dict[str, Tensor]) -> Tensor:
        config, patch = self.config, self.config.patch
        batch, _, height, width = x.shape
        size = (height // patch, width // patch)
        drive = self.time(time_features(t, config.width)) + self.pooled(text["pooled"])
        for name, told in self.told.items():
            drive = drive + told(time_features(place_on_axis(name, text, t), config.width))
        shared = self.change(F.silu(drive)).view(batch, 1, 6, 1, config.width)
        changes = (shared + self.table).unbind(1)
        keys, values = self._text_keys(text["states"])

        stem = self.before(self.enter(x))
        tokens = self.patch_in(F.pixel_unshuffle(stem, patch).flatten(2).mT.contiguous())
        tokens = tokens + self.place(place_features(*size, 8, x.device))
        kept: list[Tensor] = []
        perturbed, skipped = text.get("perturbed"), text.get("skipped")
        for i, block in enumerate(self.blocks):
            assert isinstance(block, _Block)
            if block.skip is not None:
                tokens = tokens + block.skip(kept.pop())
            blind = None if perturbed is None else (perturbed == i).any(1)
            done = block(tokens, size, changes[i], keys[i], values[i], blind)
            if skipped is not None:
                done = torch.where((skipped == i).any(1)[:, None, None], tokens, done)
            tokens = done
            if block.skip is None:
                kept.append(tokens)
        planes = self.patch_out(tokens).transpose(1, 2).unflatten(2, size)
        stem = stem + F.pixel_shuffle(planes, patch)
        return self.leave(F.silu(self.after(stem)))
