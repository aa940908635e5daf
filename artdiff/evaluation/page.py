"""The report as one HTML page: the table, and grids of pictures that nobody selected."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from html import escape

from PIL import Image

from artdiff.evaluation.features import PictureRow
from artdiff.evaluation.report import Evaluation
from artdiff.film.sheet import contact_sheet

__all__ = ["evaluation_page", "grid"]

CELLS, COLUMNS, CELL = 48, 8, 112
STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .3rem .9rem; text-align: left; border-bottom: 1px solid #8884; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
img { width: 100%; height: auto; border-radius: 6px; }
figure { margin: 1.5rem 0; }
figcaption, .note { color: GrayText; }
pre { overflow: auto; background: #8881; padding: 1rem; border-radius: 6px; }
"""


def grid(pictures: PictureRow, cells: int = CELLS) -> Image.Image:
    """The first pictures, eight in a row."""
    count = min(len(pictures), cells)
    return contact_sheet([pictures[i] for i in range(count)], columns=COLUMNS, cell=CELL, gap=4)


def evaluation_page(
    report: Evaluation,
    made: PictureRow,
    real: PictureRow | None,
    prompts: Sequence[str] | None,
) -> str:
    """A page that needs no other file: pictures are inside of it."""
    title = f"Evaluation of {report.subject}"
    share = f"{100 * report.facts['bootstrap']['share']:g}% interval"
    head = "".join(f"<th>{escape(t)}</th>" for t in ("metric", "value", share, "better"))
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td class=number>{escape(value)}</td>"
        f"<td class=number>{escape(span)}</td><td>{escape(better)}</td></tr>\n"
        for name, value, span, better in report.rows()
    )
    notes = "".join(f"<p class=note>{escape(note)}</p>\n" for note in report.remarks())
    figures = _figure(made, f"{report.subject}: the first of {len(made)} pictures, unselected")
    if real is not None:
        figures += _figure(real, f"{report.facts['against']}: the first of {len(real)} pictures")
    said = "".join(f"<li>{escape(prompt)}</li>\n" for prompt in (prompts or ())[:CELLS])
    asked = f"<details><summary>Prompts of these pictures</summary><ol>{said}</ol></details>"
    facts = escape(json.dumps(report.record(), indent=1, ensure_ascii=False))
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width">\n<title>{escape(title)}</title>\n'
        f"<style>{STYLE}</style>\n<h1>{escape(title)}</h1>\n"
        f"<table>\n<tr>{head}</tr>\n{rows}</table>\n{notes}{figures}"
        f"{asked if said else ''}\n<h2>Everything that was recorded</h2>\n<pre>{facts}</pre>\n"
        "</html>\n"
    )


def _figure(pictures: PictureRow, caption: str) -> str:
    buffer = io.BytesIO()
    grid(pictures).save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode()
    return (
        f'<figure><img alt="{escape(caption)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>\n"
    )
