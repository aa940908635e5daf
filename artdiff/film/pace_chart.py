"""A film's pace as a picture: how much it changes along its way, and the way by time."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from artdiff.film.pace import Pace

__all__ = ["chart"]


def chart(pace: Pace, count: int, path: Path) -> bool:
    """Draw the change a frame for even and for measured spacing, and the pace, as a PNG.

    :returns: False where matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False

    positions, total = np.asarray(pace.positions), sum(pace.steps)
    slope = np.asarray(pace.steps) / np.diff(positions) / (count - 1)
    figure = Figure(figsize=(10, 3.6), dpi=110, layout="constrained")
    left, right = figure.subplots(1, 2)
    left.stairs(slope, 100 * positions, linewidth=1.2, label="evenly along the prompts")
    left.axhline(total / (count - 1), color="C1", label="at this pace")
    left.set(xlabel="% of the way of the prompts", ylabel="RMS change a frame", yscale="log")
    figure.legend(loc="outside upper left", ncols=2, frameon=False)
    right.plot([0, 100], [0, 100], linewidth=0.8)
    right.plot(100 * pace.passed, 100 * positions)
    keys = pace.curve(count)
    right.plot([float(key[:-1]) for key in keys], list(keys.values()), "o", markersize=3)
    right.set(xlabel="% of the film", ylabel="% of the way of the prompts")
    figure.savefig(path, format="png")
    return True
