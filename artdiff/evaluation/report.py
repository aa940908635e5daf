"""What an evaluation found: a frozen report, a table, a JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from artdiff.errors import PluginError, nearest

__all__ = ["Evaluation", "Measured"]

RECORD = "evaluation.json"
PAGE = "evaluation.html"


@dataclass(frozen=True)
class Measured:
    """One metric's number; `low` and `high` are its bootstrap interval, None without one."""

    name: str
    value: float
    low: float | None
    high: float | None
    better: str
    warning: str = ""


@dataclass(frozen=True)
class Evaluation:
    """How good some pictures are, and all that is needed to measure it again.

    `facts` is JSON-able: what was measured, against what, with which features, on how many
    pictures, and how they were made.
    """

    subject: str
    measured: tuple[Measured, ...]
    facts: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    folder: Path | None = field(default=None, compare=False)

    def value(self, name: str) -> float:
        """The number of a metric. :raises PluginError: it was not measured."""
        numbers = {each.name: each.value for each in self.measured}
        if name not in numbers:
            raise PluginError(f"metric {name!r} was not measured{nearest(name, numbers)}")
        return numbers[name]

    def record(self) -> dict[str, Any]:
        """The report as JSON-able values; equal measurements give equal values."""
        metrics = {
            m.name: {k: v for k, v in asdict(m).items() if k != "name"} for m in self.measured
        }
        return {
            "subject": self.subject,
            **self.facts,
            "metrics": metrics,
            "notes": list(self.notes),
        }

    def json(self) -> str:
        """`record` as text."""
        return json.dumps(self.record(), indent=1, ensure_ascii=False) + "\n"

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Each metric as text: name, number, interval, which way is better."""
        return [
            (
                m.name,
                number(m.value),
                "" if m.low is None or m.high is None else f"{number(m.low)} .. {number(m.high)}",
                m.better,
            )
            for m in self.measured
        ]

    def table(self) -> str:
        """The numbers as a table for people, with what is to be said of them below."""
        share = f"{100 * self.facts['bootstrap']['share']:g}% interval"
        rows = [("metric", "value", share, "better"), *self.rows()]
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        lines = [
            f"{name:{widths[0]}}  {value:>{widths[1]}}  {span:^{widths[2]}}  {better}".rstrip()
            for name, value, span, better in rows
        ]
        return "\n".join([*lines, *(f"Note: {note}" for note in self.remarks())])

    def remarks(self) -> list[str]:
        """Notes, and the warnings of the metrics; metrics with the same one share it."""
        warned: dict[str, list[str]] = {}
        for each in self.measured:
            if each.warning:
                warned.setdefault(each.warning, []).append(each.name)
        said = [f"{', '.join(names)}: {warning}" for warning, names in warned.items()]
        return [*self.notes, *said]


def number(value: float) -> str:
    """Four digits that count, and no more than six after the point.

    >>> number(123.456), number(0.000123456)
    ('123.5', '0.000123')
    """
    text = f"{value:#.4g}"
    return f"{value:.6f}" if "e" in text and abs(value) < 1 else text.rstrip(".")
