"""The report of an examination as one HTML page: tables, pictures that nobody selected, curves."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from artdiff.evaluation.exam import Film
from artdiff.evaluation.exam_report import FLICKER, Examination
from artdiff.evaluation.page import STYLE
from artdiff.film.sheet import contact_sheet, film_strip

__all__ = ["Shown", "examination_page"]


@dataclass(frozen=True)
class Shown:
    """A figure of the page: pictures or files, one label each, so many in a row."""

    title: str
    pictures: Sequence[np.ndarray | Path]
    labels: Sequence[str] | None = None
    columns: int = 8
    strip: Film | None = None


def examination_page(report: Examination, figures: Sequence[Shown]) -> str:
    """A page that needs no other file: pictures and curves are inside of it."""
    title = f"Examination of {report.subject}"
    head = ("asked for", "seen, %", "95%", "held out, %", "95%", "renders, %", "questions")
    body = "".join(_figure(each) for each in figures)
    facts = escape(json.dumps(report.record(), ensure_ascii=False))
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width">\n<title>{escape(title)}</title>\n'
        f"<style>{STYLE}</style>\n<h1>{escape(title)}</h1>\n"
        f"{_html(head, report.accuracy_rows())}"
        f"{_html(('measure', 'value', 'beside'), report.other_rows())}"
        f"{body}<h2>Everything that was recorded</h2>\n<pre>{facts}</pre>\n</html>\n"
    )


def _html(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["".join(f"<th>{escape(cell)}</th>" for cell in head)]
    lines += [
        f"<td>{escape(row[0])}</td>"
        + "".join(f"<td class=number>{escape(cell)}</td>" for cell in row[1:])
        for row in rows
    ]
    return "<table>\n" + "".join(f"<tr>{line}</tr>\n" for line in lines) + "</table>\n"


def _figure(shown: Shown) -> str:
    if shown.strip is not None:
        image = film_strip(list(shown.pictures), 8, max_width=1024)
    else:
        image = contact_sheet(
            list(shown.pictures), shown.columns, shown.labels, cell=1024 // shown.columns, gap=4
        )
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode()
    curve = _curve(shown.strip) if shown.strip is not None else ""
    return (
        f'<figure><img alt="{escape(shown.title)}" src="data:image/png;base64,{data}">{curve}'
        f"<figcaption>{escape(shown.title)}</figcaption></figure>\n"
    )


def _curve(film: Film) -> str:
    """The steps of a film as a line, its median and the largest that is even."""
    width, height, top = 960, 120, max(*film.steps, FLICKER * film.median) * 1.05 or 1.0
    count = max(1, len(film.steps) - 1)
    points = " ".join(
        f"{width * place / count:.1f},{height * (1 - step / top):.1f}"
        for place, step in enumerate(film.steps)
    )
    levels = "".join(
        f'<line x1="0" x2="{width}" y1="{y:.1f}" y2="{y:.1f}" stroke="currentColor" '
        f'stroke-dasharray="4 6" opacity=".5"/>'
        for y in (height * (1 - level / top) for level in (film.median, FLICKER * film.median))
    )
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="change by frame">{levels}'
        f'<polyline points="{points}" fill="none" stroke="#d9622b" stroke-width="2"/></svg>'
    )
