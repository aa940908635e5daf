"""What a model is to artdiff: a denoiser, its noise schedule, a codec, a conditioner, a card."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from artdiff.errors import ModelError
from artdiff.quality import Distilled, Quality, read_levels

if TYPE_CHECKING:
    from torch import Tensor

    from artdiff.denoise import Conditioning, Denoiser
    from artdiff.noise import Schedule


HELD_OUT = 512
"""How many of a dataset's first pictures training holds out, unless something else is said."""


@dataclass(frozen=True)
class ModelCard:
    """What is known of a model without reading its weights.

    `defaults` are preset values that suit the model; a preset overrides them. `quality` says what
    the levels of `quality` in a preset mean, `distilled` what the weights know by heart, if they
    were distilled; `fast` is that of a level of quality; `facts` is whatever else the card tells.
    """

    name: str
    backend: str
    folder: Traversable | Path
    title: str = ""
    description: str = ""
    licence: str = ""
    weights: tuple[str, ...] = ()
    multiple: int = 16
    defaults: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    quality: Mapping[str, Quality] = field(default_factory=dict)
    distilled: Distilled | None = None
    fast: bool = False

    @classmethod
    def read(cls, folder: Traversable | Path) -> ModelCard:
        """Read ``card.toml`` in a model's folder.

        :raises ModelError: the card is missing, is not a card, or has a wrong value; the message
            names the file and the key.
        """
        file = folder.joinpath("card.toml")
        try:
            values = tomllib.loads(file.read_text("utf-8"))
            for key, value in values.items():
                wanted = _wanted(key, value)
                if wanted is not None:
                    raise ModelError(f"{file}: {key}: must be {wanted} (got {value!r})")
            if "quality" in values:
                values["quality"] = read_levels(values["quality"], f"{file}: quality")
            if "distilled" in values:
                values["distilled"] = Distilled.read(values["distilled"], f"{file}: distilled")
            return cls(**values | {"folder": folder, "weights": tuple(values.pop("weights", ()))})
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, TypeError) as error:
            raise ModelError(f"{file}: not a model card: {error}") from error

    def files(self) -> tuple[str, ...]:
        """All weight files, those of levels too, each once."""
        levels = (level.weights or () for level in self.quality.values())
        return tuple(dict.fromkeys([*self.weights, *(name for some in levels for name in some)]))

    def digest(self) -> str:
        """Sixteen hex digits that name the weights: a hash over all weight files.

        :raises ModelError: a weight file is missing.
        """
        files = [self.folder.joinpath(name) for name in self.weights]
        for file in files:
            if not file.is_file():
                raise ModelError(f"{file}: the weights of model {self.name!r} are missing")
        stats = [file.stat() for file in files if isinstance(file, Path)]
        return _hashed(tuple(files), tuple((s.st_size, s.st_mtime_ns) for s in stats))


def _wanted(key: str, value: object) -> str | None:
    """What a plain value of a card must be, if it is not that."""
    if key in ("name", "backend", "title", "description", "licence"):
        return None if isinstance(value, str) else "a text"
    if key == "weights":
        names = isinstance(value, list) and all(isinstance(name, str) for name in value)
        return None if names else "a list of files"
    if key == "multiple":
        count = isinstance(value, int) and not isinstance(value, bool) and value >= 1
        return None if count else "a whole number from 1"
    if key in ("defaults", "facts"):
        return None if isinstance(value, dict) else "a table"
    if key == "fast":
        return None if isinstance(value, bool) else "true or false"
    return None


@lru_cache(maxsize=64)
def _hashed(files: tuple[Traversable | Path, ...], seen: tuple[tuple[int, int], ...]) -> str:
    """Hash files, once in a process while `seen`, their sizes and times of change, is the same."""
    sha = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                sha.update(block)
    return sha.hexdigest()[:16]


@dataclass(frozen=True)
class TrainedOn:
    """The pictures that a model learned from, as its facts name them.

    Attributes:
        dataset: the dataset's name.
        options: its options, ``dataset_options`` in the facts.
        held_out: how many of its first pictures were not trained on.
    """

    dataset: str
    options: Mapping[str, Any] = field(default_factory=dict)
    held_out: int = HELD_OUT

    @classmethod
    def read(cls, facts: Mapping[str, Any], where: str) -> TrainedOn | None:
        """Take it from a card's facts, or from those of a weights file; None if none is named.

        :raises ModelError: a value is wrong; the message begins with `where` and names the key.
        """
        name, options = facts.get("dataset"), facts.get("dataset_options", {})
        held_out = facts.get("held_out", HELD_OUT)
        if name is None:
            return None
        if not isinstance(name, str):
            raise ModelError(f"{where}: dataset: must be a name (got {name!r})")
        if not isinstance(options, Mapping):
            raise ModelError(f"{where}: dataset_options: must be a table (got {options!r})")
        if not isinstance(held_out, int) or held_out < 1:
            raise ModelError(f"{where}: held_out: must be a number from 1 (got {held_out!r})")
        return cls(name, options, held_out)


class Codec(Protocol):
    """Between images in [-1, 1] and latents; the identity for pixel models."""

    @property
    def channels(self) -> int:
        """Channels C of a latent."""
        ...

    @property
    def factor(self) -> int:
        """Pixels f on a side of one latent cell."""
        ...

    def encode(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) to latents (B, C, H / f, W / f)."""
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """Latents to images."""
        ...


class Conditioner(Protocol):
    """Turns texts into tensors that the denoiser understands and that may be mixed linearly."""

    def __call__(self, texts: Sequence[str]) -> Conditioning:
        """Tensors by name, leading dimension len(texts)."""
        ...

    def unknown(self, text: str) -> list[str]:
        """Words of a text that mean nothing to the model."""
        ...


@dataclass(frozen=True)
class Model:
    """What every backend returns; `schedule` is the one the denoiser was trained with."""

    denoiser: Denoiser
    schedule: Schedule
    codec: Codec
    conditioner: Conditioner
    card: ModelCard
