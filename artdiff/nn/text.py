"""Words to conditioning: a word-level tokenizer and a small text encoder."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PAD, UNKNOWN, EMPTY = 0, 1, 2
"""Ids of a padded slot, of a word that is not in the vocabulary, and of "no words at all"."""

_FIRST = 3


class Tokenizer:
    """Lower-cased words, split at everything that is no letter and no digit, to ids.

    Ids 0, 1, 2 are `PAD`, `UNKNOWN` and `EMPTY`; word i of the vocabulary is id 3 + i.
    """

    def __init__(self, words: Iterable[str], length: int = 24) -> None:
        self.words = list(words)
        self.length = length
        self._ids = {word: _FIRST + i for i, word in enumerate(self.words)}

    @classmethod
    def load(cls, path: Path, length: int = 24) -> Tokenizer:
        """Read a vocabulary file: UTF-8, one word a line, the order gives the ids."""
        return cls(Path(path).read_text(encoding="utf-8").split(), length)

    def save(self, path: Path) -> None:
        """Write the vocabulary file that `load` reads."""
        Path(path).write_text("".join(f"{word}\n" for word in self.words), encoding="utf-8")

    def __len__(self) -> int:
        """The number of ids, the three special ones included."""
        return _FIRST + len(self.words)

    @staticmethod
    def split(text: str) -> list[str]:
        """The words of a text, lower-cased."""
        return re.findall(r"[^\W_]+", text.lower())

    def unknown(self, text: str) -> list[str]:
        """The words of `text` that are not in the vocabulary, each once, in order."""
        return list(dict.fromkeys(word for word in self.split(text) if word not in self._ids))

    def ids(self, text: str) -> list[int]:
        """The first `length` words as ids, padded to `length`; no words at all is `EMPTY`."""
        words = [self._ids.get(word, UNKNOWN) for word in self.split(text)[: self.length]]
        words = words or [EMPTY]
        return words + [PAD] * (self.length - len(words))

    def __call__(self, texts: Iterable[str]) -> Tensor:
        """Texts -> ids (B, length), int64."""
        return torch.tensor([self.ids(text) for text in texts], dtype=torch.int64)


@dataclass(frozen=True)
class TextConfig:
    """Sizes of a `TextEncoder`; `vocabulary` counts all ids (``len(tokenizer)``)."""

    vocabulary: int
    length: int = 24
    width: int = 192
    depth: int = 2
    heads: int = 4


class _TextBlock(nn.Module):
    """Pre-norm self-attention and MLP, (B, L, d) -> (B, L, d); identity at first."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.qkv.parts = 3  # type: ignore[assignment]
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)
        for last in (self.out, self.down):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        qkv = self.qkv(self.norm1(x)).view(batch, length, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(q, k, v)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class TextEncoder(nn.Module):
    """A small transformer over word ids, with learned positions.

    Conditionings are made to be mixed: ``(1 - w) a + w b`` of two prompts' dictionaries is a
    conditioning again, and changes smoothly with w. Therefore every prompt has the same number of
    slots, padded slots carry a learned embedding and are attended to like words (they serve as
    scratch space), and nothing downstream looks at a hard mask. ``mask`` only says where words
    are; it weighs the words in ``pooled`` here and needs no attention bias later.
    """

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        self.words = nn.Embedding(config.vocabulary, config.width)
        self.positions = nn.Parameter(torch.empty(config.length, config.width))
        self.blocks = nn.ModuleList(
            _TextBlock(config.width, config.heads) for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.width)
        nn.init.normal_(self.words.weight, std=0.5)
        nn.init.normal_(self.positions, std=0.1)

    def forward(self, ids: Tensor) -> dict[str, Tensor]:
        """Ids (B, L) -> ``states`` (B, L, d), ``mask`` (B, L) float, ``pooled`` (B, d)."""
        mask = (ids != PAD).to(self.positions.dtype)
        x = self.words(ids) + self.positions
        for block in self.blocks:
            x = block(x)
        states = self.norm(x)
        pooled = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        return {"states": states, "mask": mask, "pooled": pooled}
