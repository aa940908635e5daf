"""Every abstract pattern by name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .paint import RGB, Paint
from .patterns_classic import CLASSIC
from .patterns_flow import FLOWING
from .patterns_grid import GRIDS

_PATTERNS = {**CLASSIC, **FLOWING, **GRIDS}


def paint_pattern(
    paint: Paint, rng: np.random.Generator, pattern: str, colors: Sequence[RGB]
) -> None:
    """Fill the picture with the named pattern, in two or three colours."""
    _PATTERNS[pattern](paint, rng, list(colors))
