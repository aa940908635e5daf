"""A guidance profile as a picture: a film strip, and below each frame what its terms did."""

from __future__ import annotations

import io
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from artdiff.files import save_bytes
from artdiff.film.sheet import Picture, spread
from artdiff.frames import load_image
from artdiff.guidance.profile import Call, GuidanceProfile

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["FRAMES", "chart"]

FRAMES = 6
"""So many frames are shown at most, evenly spaced."""

PAIRS = 6
"""So many pairs of terms are drawn at most, the most opposed."""


def chart(profile: GuidanceProfile, pictures: Mapping[int, Picture], path: Path) -> bool:
    """Draw a profile as a PNG: one column for each frame, from pure noise to the picture.

    :param pictures: of the frames, uint8 (H, W, 3) or files; frames without one are left out.
    :returns: False where there is nothing to draw, or matplotlib is missing.
    :raises MachineError: the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    known = sorted(set(profile.frames).intersection(pictures))
    if not known:
        return False
    shown = [known[place] for place in spread(len(known), FRAMES)]
    rows = [_strengths, *([_cosines] if len(profile.terms) > 1 else []), _clamps, _moves]
    figure = Figure(figsize=(2.6 * len(shown), 2.6 + 1.7 * len(rows)))
    heights = {"height_ratios": [1.4, *[1] * len(rows)], "hspace": 0.22, "wspace": 0.1}
    grid = figure.subplots(
        1 + len(rows), len(shown), squeeze=False, sharey="row", gridspec_kw=heights
    )
    pairs = _opposed(profile, shown)
    for column, index in enumerate(shown):
        picture = pictures[index]
        top = grid[0][column]
        top.imshow(picture if isinstance(picture, np.ndarray) else load_image(picture))
        top.set_title(f"frame {index}", fontsize=9)
        top.set_axis_off()
        calls = profile.frames[index]
        way = [100 * (1 - call["fraction"]) for call in calls]
        for draw, axes in zip(rows, grid[1:, column], strict=True):
            draw(axes, way, calls, profile.terms, pairs)
            axes.set_xlim(0, 100)
            axes.tick_params(labelsize=7)
            axes.grid(alpha=0.25)
        grid[-1][column].set_xlabel("% of the way from noise", fontsize=8)
    for axes in grid[1:, -1]:
        handles, labels = axes.get_legend_handles_labels()
        if handles:
            axes.legend(
                handles, labels, fontsize=7, loc="upper left", bbox_to_anchor=(1.02, 1.0),
                borderaxespad=0,
            )  # fmt: skip
    titles = {
        _strengths: "gradient (RMS)", _cosines: "cosine", _clamps: "clamp takes",
        _moves: "x0 moves by",
    }  # fmt: skip
    for draw, axes in zip(rows, grid[1:, 0], strict=True):
        axes.set_ylabel(titles[draw], fontsize=8)
    grid[-1][0].set_ylim(bottom=0)  # now that all columns, which share it, are drawn
    data = io.BytesIO()
    figure.savefig(data, dpi=100, format="png", bbox_inches="tight")
    save_bytes(path, data.getvalue())
    return True


Pairs = list[tuple[int, int]]


def _opposed(profile: GuidanceProfile, shown: list[int]) -> Pairs:
    """The pairs of terms to draw: those whose gradients agree least over the frames shown."""
    means = {
        (a, b): float(np.mean([c["cosine"][a][b] for i in shown for c in profile.frames[i]]))
        for a, b in combinations(range(len(profile.terms)), 2)
    }
    return sorted(sorted(means, key=lambda pair: means[pair])[:PAIRS])


def _strengths(
    axes: Axes, way: list[float], calls: list[Call], terms: tuple[str, ...], pairs: Pairs
) -> None:
    for place, term in enumerate(terms):
        sizes = [call["norm"][place] or np.nan for call in calls]
        axes.plot(way, sizes, "o-", markersize=2, linewidth=1, label=term)
    whole = [call["rms"] or np.nan for call in calls]
    axes.plot(way, whole, "k--", linewidth=1, label="whole, before the clamp")
    axes.set_yscale("log")


def _cosines(
    axes: Axes, way: list[float], calls: list[Call], terms: tuple[str, ...], pairs: Pairs
) -> None:
    for a, b in pairs:
        cosines = [
            call["cosine"][a][b] if call["norm"][a] and call["norm"][b] else np.nan
            for call in calls
        ]
        axes.plot(way, cosines, "o-", markersize=2, linewidth=1, label=f"{terms[a]}, {terms[b]}")
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set_ylim(-1.05, 1.05)


def _clamps(
    axes: Axes, way: list[float], calls: list[Call], terms: tuple[str, ...], pairs: Pairs
) -> None:
    axes.fill_between(way, [100 * call["clamped"] for call in calls], color="tab:red", alpha=0.5)
    axes.set_ylim(0, 100)
    axes.yaxis.set_major_formatter("{x:.0f}%")


def _moves(
    axes: Axes, way: list[float], calls: list[Call], terms: tuple[str, ...], pairs: Pairs
) -> None:
    axes.plot(way, [call["moved"] for call in calls], "k-", linewidth=1)
