"""What feature extractors and metrics are, and the features of many pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import torch
from pydantic import BaseModel
from torch import Tensor

from artdiff.errors import PluginError

__all__ = ["Estimate", "FeatureExtractor", "Features", "Metric", "Need", "extract"]

Need = Literal["pooled", "spatial", "logits", "aligned"]
NEEDS: tuple[Need, ...] = ("pooled", "spatial", "logits", "aligned")
Estimate = Callable[[Tensor, Tensor], float]
"""A metric's number, given how often each made (N,) and each real (M,) picture counts."""


@dataclass(frozen=True)
class Features:
    """Features of N pictures, row by row; what an extractor does not give is None.

    `pooled` (N, D) describes whole pictures, `spatial` (N, S) also where things are, `logits`
    (N, K) are a classifier's, `aligned` (N, E) lie in one space with `texts` (N, E), those of
    the pictures' own prompts.
    """

    pooled: Tensor | None = None
    spatial: Tensor | None = None
    logits: Tensor | None = None
    aligned: Tensor | None = None
    texts: Tensor | None = None

    def __len__(self) -> int:
        return len(
            next(
                part
                for part in (self.pooled, self.aligned, self.logits, self.spatial)
                if part is not None
            )
        )

    def sizes(self) -> dict[str, int]:
        """How many features there are of each kind."""
        found = {name: getattr(self, name) for name in NEEDS}
        return {name: part.shape[1] for name, part in found.items() if part is not None}

    def need(self, name: Need) -> Tensor:
        """One kind of features. :raises PluginError: they are not there."""
        found: Tensor | None = getattr(self, name)
        if found is None:
            raise PluginError(f"these features have no {name} part")
        return found


class PictureRow(Protocol):
    """Pictures that are read one by one: a list of them, or a folder."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> np.ndarray: ...


class FeatureExtractor(Protocol):
    """Turns pictures into features; made with its options, when it reads its weights."""

    Options: ClassVar[type[BaseModel]]
    gives: ClassVar[tuple[Need, ...]]
    """Which kinds of features `pictures` returns."""

    def __init__(self, options: Any) -> None: ...

    def digest(self) -> str:
        """Sixteen hex digits that name weights and options."""
        ...

    def pictures(self, pictures: Tensor) -> Mapping[str, Tensor]:
        """Features by kind of uint8 pictures (B, 3, H, W) of any size, one row for each."""
        ...

    def texts(self, texts: Sequence[str]) -> Tensor:
        """Features (B, E) of prompts; asked for only where it gives `aligned`."""
        ...


class Metric(Protocol):
    """A number that says something of made pictures, alone or beside real ones."""

    need: ClassVar[Need]
    real: ClassVar[bool]
    """Whether it compares with real pictures."""
    better: ClassVar[Literal["lower", "higher"]]
    least: ClassVar[int]
    """The smallest n for which it is defined."""
    recentre: ClassVar[bool]
    """Whether resampling moves it, as `artdiff.evaluation.bootstrap.interval` says."""
    bounds: ClassVar[tuple[float, float]]

    def prepare(self, made: Features, real: Features | None) -> Estimate:
        """Do what is done once; the returned function is called for each resample."""
        ...

    def doubt(self, made: Features, real: Features | None) -> str:
        """Why n is too small for the number to mean much; empty where it is not."""
        ...


def extract(
    extractor: FeatureExtractor,
    pictures: PictureRow,
    texts: Sequence[str] | None = None,
    *,
    batch: int = 16,
    on_progress: Callable[[int, int], None] | None = None,
) -> Features:
    """The features of pictures, uint8 (H, W, 3) each, of one size or of several.

    :param pictures: anything with a length whose items are read one by one.
    :param texts: the pictures' prompts, for extractors that give `aligned`.
    :param on_progress: called with how many are done, of how many.
    :raises PluginError: the extractor returned something else than it said.
    """
    parts: dict[str, list[Tensor]] = {name: [] for name in extractor.gives}
    done = 0
    for rows in _batches(pictures, batch):
        with torch.inference_mode():
            found = extractor.pictures(torch.from_numpy(rows).permute(0, 3, 1, 2).contiguous())
        for name in extractor.gives:
            part = found.get(name)
            if part is None or part.ndim != 2 or len(part) != len(rows):
                shape = None if part is None else tuple(part.shape)
                raise PluginError(
                    f"{type(extractor).__name__} returned {shape} as {name} features of "
                    f"{len(rows)} pictures, not ({len(rows)}, D)"
                )
            if not bool(part.isfinite().all()):
                raise PluginError(
                    f"{type(extractor).__name__} returned {name} features that are not finite"
                )
            parts[name].append(part.float().cpu())
        done += len(rows)
        if on_progress is not None:
            on_progress(done, len(pictures))
    together: dict[str, Any] = {name: torch.cat(part) for name, part in parts.items()}
    if texts is not None and "aligned" in extractor.gives:
        with torch.inference_mode():
            rows = [texts[at : at + batch] for at in range(0, len(texts), batch)]
            together["texts"] = torch.cat([extractor.texts(part).float().cpu() for part in rows])
    return Features(**together)


def _batches(pictures: PictureRow, batch: int) -> Iterator[np.ndarray]:
    """Stacks (B, H, W, 3) of neighbours of one size, B no larger than `batch`."""
    for at in range(0, len(pictures), batch):
        some = [pictures[i] for i in range(at, min(at + batch, len(pictures)))]
        for _, same in groupby(some, key=lambda picture: picture.shape):
            yield np.stack(list(same))
