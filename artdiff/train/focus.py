"""Where a picture's subject stands, and how much more the error counts there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

Box = tuple[float, float, float, float]
"""Left, top, right and bottom as shares of the picture's sides; parts may lie outside [0, 1]."""


@runtime_checkable
class HasSubject(Protocol):
    """A dataset that can say where the subject of its pictures stands."""

    def subject(self, index: int) -> Box | None:
        """The box of the subject of picture `index`, about; None where nothing stands out."""
        ...


def focus_weights(boxes: Iterable[Box | None], height: int, width: int, focus: float) -> Tensor:
    """Weights of the error at every place, (B, 1, height, width) float32, of mean 1 in a picture.

    Where a subject stands the error counts `focus` times what it counts elsewhere; a cell that a
    box covers in part lies between. A picture without a subject weighs 1 everywhere.
    """
    maps = [_covered(box, height, width) for box in boxes]
    weights = 1 + (focus - 1) * torch.stack(maps)[:, None]
    return weights / weights.mean(dim=(2, 3), keepdim=True)


def _covered(box: Box | None, height: int, width: int) -> Tensor:
    """The share of each cell that the box covers, (height, width)."""
    if box is None:
        return torch.zeros(height, width)
    left, top, right, bottom = box
    return _overlap(top, bottom, height)[:, None] * _overlap(left, right, width)[None]


def _overlap(start: float, stop: float, cells: int) -> Tensor:
    edges = torch.linspace(0, cells, cells + 1).clamp(start * cells, stop * cells)
    return edges[1:] - edges[:-1]
