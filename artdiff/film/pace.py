"""Measuring where between its prompts a film changes, and the pace that makes it change evenly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from artdiff.errors import PresetError
from artdiff.film.change import rms_change
from artdiff.plan import Plan
from artdiff.registry import Registry
from artdiff.renderer import load_engine
from artdiff.timeline import Score

__all__ = ["Pace", "measure_pace", "refine", "simplify"]

FIRST = 129
"""So many positions are measured to begin with, or as many as the film has frames."""
NARROWEST = 1e-4
"""In frames: what still jumps within so little is taken for a jump."""
TOLERANCE = 0.3
"""In frames: how far keyframes may be left out."""

Draw = Callable[[Sequence[float]], list[np.ndarray]]


@dataclass(frozen=True)
class Pace:
    """How much a film's pictures change along the way of its prompts.

    Attributes:
        positions: places on the way, rising from 0 to 1, (n,).
        steps: RMS change from each place to the next, pictures in [0, 1], (n - 1,).
    """

    positions: tuple[float, ...]
    steps: tuple[float, ...]

    @property
    def passed(self) -> np.ndarray:
        """The share of all change that lies before each place, (n,), from 0 to 1."""
        passed = np.concatenate([[0.0], np.cumsum(self.steps)])
        return passed / passed[-1]

    def curve(self, count: int) -> dict[str, float]:
        """A preset's table `pace` for a film of `count` frames: percent of it to percent of way.

        Keyframes that lie within `TOLERANCE` frames of the line between others are left out. What
        rests on the way, without any change, is passed within a thousandth of a percent.
        """
        kept = simplify(self.passed, np.asarray(self.positions), TOLERANCE / max(1, count - 1))
        keys: dict[float, float] = {}
        for i in kept:
            at = round(100 * self.passed[i], 3)
            before = keys.pop(at, None)
            if before is not None and at > 0:
                keys[round(at - 0.001, 3)] = before
            keys[at] = round(100 * self.positions[i], 4)
        return {f"{at:g}%": position for at, position in keys.items()}


def simplify(x: np.ndarray, y: np.ndarray, tolerance: float) -> list[int]:
    """Places of a line (n,) from which the others are found within `tolerance` along x.

    Ramer, "An iterative procedure for the polygonal approximation of plane curves", 1972.
    """
    kept, spans = {0, len(x) - 1}, [(0, len(x) - 1)]
    while spans:
        a, b = spans.pop()
        if b - a < 2:
            continue
        off = np.abs(np.interp(y[a + 1 : b], y[[a, b]], x[[a, b]]) - x[a + 1 : b])
        middle = a + 1 + int(off.argmax())
        if off.max() > tolerance:
            kept.add(middle)
            spans += [(a, middle), (middle, b)]
    return sorted(kept)


def refine(draw: Draw, first: int, goal: int, most: int, batch: int = 8) -> Pace:
    """Measure a way, closer where it changes more, until no step is above that of a film.

    :param draw: pictures uint8 (H, W, 3) at positions in [0, 1].
    :param first: evenly spaced positions to begin with, two or more.
    :param goal: frames of the film that shall be even.
    :param most: pictures to draw at the most.
    """
    places = [i / (first - 1) for i in range(first)]
    seen = dict(zip(places, draw(places), strict=True))
    steps = {(a, b): rms_change(seen[a], seen[b]) for a, b in pairwise(places)}
    while len(seen) < most:
        mean = sum(steps.values()) / (goal - 1)
        wide = [s for s in steps if steps[s] > mean and s[1] - s[0] > NARROWEST / (goal - 1)]
        worst = sorted(wide, key=lambda s: (-steps[s], s))[: min(batch, most - len(seen))]
        if not worst:
            break
        middles = [(a + b) / 2 for a, b in worst]
        for (a, b), middle, picture in zip(worst, middles, draw(middles), strict=True):
            seen[middle] = picture
            del steps[a, b]
            steps[a, middle] = rms_change(seen[a], picture)
            steps[middle, b] = rms_change(picture, seen[b])
    order = sorted(steps)
    return Pace((0.0, *(b for _, b in order)), tuple(steps[s] for s in order))


def measure_pace(
    plan: Plan, registry: Registry, on_draw: Callable[[int, int], None] | None = None
) -> Pace:
    """Draw a film's pictures along its prompts, all else as it is in frame 0.

    :param on_draw: is told how many pictures are drawn, and how many are known to be wanted.
    :raises PresetError: the prompts do not change, or no picture does.
    """
    if len(plan.preset.keyed_prompts) < 2 or plan.count < 3:
        raise PresetError(
            f"{plan.name}: a pace wants three frames and two keyframes of prompts; set "
            "frames.count and prompts"
        )
    score = Score(plan.preset.model_copy(update={"pace": None}))
    engine, still, last = load_engine(plan, registry), plan.job(0), plan.count - 1
    first, drawn = min(FIRST, plan.count), 0

    def draw(places: Sequence[float]) -> list[np.ndarray]:
        nonlocal drawn
        pictures: list[np.ndarray] = []
        for start in range(0, len(places), plan.preset.batch):
            some = places[start : start + plan.preset.batch]
            jobs = [
                replace(still, index=number, prompts=score.prompts(place * last))
                for number, place in enumerate(some)
            ]
            pictures += engine.images(jobs)
            drawn += len(jobs)
            if on_draw:
                on_draw(drawn, max(first, drawn))
        return pictures

    with registry.blaming():
        pace = refine(draw, first, plan.count, 3 * first, 2 * plan.preset.batch)
    if not sum(pace.steps):
        raise PresetError(f"{plan.name}: the pictures do not change along the prompts")
    return pace
