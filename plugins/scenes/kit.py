"""What a maker needs to draw one thing: a tree, a house, a walker.

A maker is a function of a `Kit`. It draws on a square of its own: feet at (0, 0), x from -50 to
50, and up to y = -100. Scenes and objects move and scale that square to where the thing stands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .paint import RGB, Paint, rgb

LAMP = rgb("#ffdf7e")
SKINS = tuple(map(rgb, ("#ffd7b8", "#eebf98", "#c98d66", "#8d5b44", "#5c3a2e")))
CLOTHES = tuple(map(rgb, ("#e2574c", "#3f7fd0", "#f2b134", "#4aa36b", "#8a5cc2", "#f08fb4")))


@dataclass(frozen=True)
class Kit:
    """Brushes, chance and light for a maker; `glow` means that windows and lamps are lit."""

    paint: Paint
    rng: np.random.Generator
    tone: Callable[[RGB], RGB]
    season: str = "summer"
    glow: bool = False
    color: RGB | None = None

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * float(self.rng.random())

    def chance(self, share: float) -> bool:
        return float(self.rng.random()) < share

    def one(self, options: Sequence[RGB]) -> RGB:
        return options[int(self.rng.integers(len(options)))]

    def main(self, *codes: str) -> RGB:
        """The colour that was asked for, or one of these; as the light shows it."""
        if self.color is not None:
            return self.tone(self.color)
        return self.tone(rgb(codes[int(self.rng.integers(len(codes)))]))

    def lit(self, code: str) -> RGB:
        return self.tone(rgb(code))

    def pane(self) -> RGB:
        """The colour of a window."""
        return LAMP if self.glow else self.lit("#8fc4e0")

    def plain(self) -> Kit:
        """The same without a colour asked for: for what stands beside the main thing."""
        return replace(self, color=None)


Maker = Callable[[Kit], None]
