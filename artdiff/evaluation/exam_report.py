"""What an examination found: a frozen report, a table, a JSON file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from artdiff.evaluation.exam import Film, Score

__all__ = ["Examination"]

EXAM_RECORD = "exam.json"
EXAM_PAGE = "exam.html"
ALL = "all of these"
FLICKER = 3.0
"""A film pops where its largest step is more than so many times its median."""


@dataclass(frozen=True)
class Examination:
    """How a model did, and all that is needed to examine it again.

    Attributes:
        scores: by trait: ``seen`` and ``held_out`` prompts, and ``renders``, the judge's own
            accuracy on the dataset's pictures of the same prompts.
        numbers: the other measures by name, JSON-able.
        films: frame-to-frame changes by film.
        seconds: of one picture, alone and in a batch: of this machine, unlike all else.
    """

    subject: str
    scores: Mapping[str, Mapping[str, Score]]
    numbers: Mapping[str, float]
    films: Mapping[str, Film]
    seconds: Mapping[str, float]
    facts: Mapping[str, Any]
    folder: Path | None = field(default=None, compare=False)

    def record(self) -> dict[str, Any]:
        """The report as JSON-able values."""
        scores = {
            trait: {part: _as_numbers(score) for part, score in parts.items() if score.of}
            for trait, parts in self.scores.items()
        }
        films = {
            name: {"ratio": _finite(film.ratio), "median": film.median, "steps": film.steps}
            for name, film in self.films.items()
        }
        return {
            "subject": self.subject,
            **self.facts,
            "scores": scores,
            **self.numbers,
            "films": films,
            "seconds": dict(self.seconds),
        }

    def json(self) -> str:
        """`record` as text."""
        return json.dumps(self.record(), indent=1, ensure_ascii=False) + "\n"

    def accuracy_rows(self) -> list[tuple[str, ...]]:
        """Trait, seen, its interval, held out, its interval, renders, questions."""
        rows = []
        for trait, parts in self.scores.items():
            asked = parts["seen"].of + parts["held_out"].of
            if asked:
                texts = [_percent(parts[part]) for part in ("seen", "held_out")]
                cells = [cell for pair in texts for cell in pair]
                rows.append((trait, *cells, _percent(parts["renders"])[0], str(asked)))
        return rows

    def other_rows(self) -> list[tuple[str, str, str]]:
        """Measure, its value, what to hold it beside."""
        n = self.numbers
        rows = [
            ("Frechet distance", f"{n['frechet']:.3f}", f"renders {n['frechet_renders']:.3f}"),
            (
                "diversity within a prompt",
                f"{n['diversity']:.3f}",
                f"renders {n['diversity_renders']:.3f}",
            ),
            (
                "nearest training picture, median",
                f"{n['nearest']:.3f}",
                f"renders {n['nearest_renders']:.3f}",
            ),
            (
                "nearest training picture, smallest",
                f"{n['nearest_smallest']:.3f}",
                f"renders {n['nearest_renders_smallest']:.3f}",
            ),
        ]
        rows += [
            (f"largest step over median: {name}", f"{film.ratio:.2f}", f"below {FLICKER:g}")
            for name, film in self.films.items()
        ]
        return rows + [
            (f"seconds an image, {name}", f"{value:.2f}", "") for name, value in
            self.seconds.items()
        ]  # fmt: skip

    def table(self) -> str:
        """Both tables for people."""
        head = ("asked for", "seen", "95%", "held out", "95%", "renders", "questions")
        return "\n\n".join(
            [
                _aligned([head, *self.accuracy_rows()], left=1),
                _aligned([("measure", "value", "beside"), *self.other_rows()], left=3),
            ]
        )


def _as_numbers(score: Score) -> dict[str, float]:
    low, high = score.interval()
    shares = {"value": score.value, "low": low, "high": high}
    return {"right": score.right, "of": score.of, **{k: round(v, 4) for k, v in shares.items()}}


def _finite(ratio: float) -> float | None:
    """A ratio to four places; None where it is infinite, which JSON cannot say."""
    return round(ratio, 4) if math.isfinite(ratio) else None


def _percent(score: Score) -> tuple[str, str]:
    if not score.of:
        return "-", ""
    low, high = score.interval()
    return f"{100 * score.value:.1f}", f"{100 * low:.0f}..{100 * high:.0f}"


def _aligned(rows: Sequence[Sequence[str]], left: int) -> str:
    """Rows as columns of text, the first `left` of them flush left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
