"""Draw the picture sheets of the documentation: what a setting changes, on unselected seeds.

    python bench/sheets.py NAME... [--seeds 3] [-o FOLDER]

``bench/sheets/NAME.toml`` becomes ``docs/pictures/NAME.png``. A sheet is a table: each row is a
prompt with a seed, each column a set of settings, written as for ``artdiff image -s``::

    size = 160                    # pixels of a cell, 160 unless said; or [width, height]
    seeds = [0, 1]                # each row is drawn with each of them
    settings = ["sampler.steps=20"]
    rows = ["a red fox in the snow", { label = "with a sky", prompt = "...", settings = [] }]

    [[columns]]
    label = "without"

    [[columns]]
    label = "weight 2"
    settings = ["terms.symmetry.weight=2"]

A column with ``preset = "NAME or FILE"`` starts from that preset's first frame.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydantic import BaseModel, Field, TypeAdapter
from tqdm import tqdm

from artdiff import Registry, Selection, contact_sheet, create_registry
from artdiff.api import prepare
from artdiff.preset.draft import Draft, overlay
from artdiff.preset.file import draft_preset
from artdiff.renderer import load_engine

HERE = Path(__file__).parent
PICTURES = HERE.parent / "docs" / "pictures"


class Row(BaseModel, extra="forbid"):
    """What a row of pictures shows."""

    prompt: str
    label: str = ""
    settings: list[str] = []


class Column(BaseModel, extra="forbid"):
    """What a column changes."""

    label: str
    settings: list[str] = []
    preset: str | None = None


class Sheet(BaseModel, extra="forbid"):
    """A table of pictures."""

    columns: list[Column] = Field(min_length=1)
    rows: list[str | Row] = Field(min_length=1)
    seeds: list[int] = [0]
    settings: list[str] = []
    plugins: list[str] = []
    size: int | tuple[int, int] = 160


def read(name: str) -> Sheet:
    return TypeAdapter(Sheet).validate_python(
        tomllib.loads((HERE / "sheets" / f"{name}.toml").read_text("utf-8"))
    )


def picture(
    registry: Registry, column: Column, row: Row, seed: int, shared: list[str]
) -> np.ndarray:
    """One cell, uint8 (H, W, 3)."""
    draft = draft_preset(registry, column.preset) if column.preset else Draft("sheet", {}, {})
    words: dict[str, Any] = {} if column.preset and not row.prompt else {"prompt": row.prompt}
    draft = overlay(draft, {**words, "seed": seed, "frames": {"source": "still", "count": 1}}, "")
    settings = [*shared, *row.settings, *column.settings]
    plan = prepare(draft, registry, settings).plan
    return load_engine(plan, registry).images([plan.job(0)])[0]


def draw(sheet: Sheet, seeds: list[int]) -> Image.Image:
    registry = create_registry(Selection.from_environment(sheet.plugins))
    rows = [Row(prompt=row) if isinstance(row, str) else row for row in sheet.rows]
    cells = [(row, seed, column) for row in rows for seed in seeds for column in sheet.columns]
    pictures, labels = [], []
    for row, seed, column in tqdm(cells, unit="picture"):
        pictures.append(picture(registry, column, row, seed, sheet.settings))
        first = column is sheet.columns[0]
        labels.append(f"{column.label}\n{row.label or row.prompt}, seed {seed}" if first
                      else column.label)  # fmt: skip
    return contact_sheet(pictures, len(sheet.columns), labels, cell=sheet.size)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="+")
    parser.add_argument("--seeds", type=int, help="seeds 0 to N - 1 instead of the sheet's")
    parser.add_argument("-o", "--output", type=Path, default=PICTURES)
    options = parser.parse_args()
    for name in options.names:
        sheet = read(name)
        seeds = sheet.seeds if options.seeds is None else list(range(options.seeds))
        target = options.output / f"{name}.png"
        draw(sheet, seeds).quantize(256).save(target, optimize=True)
        print(json.dumps({"sheet": str(target), "seeds": seeds}))


if __name__ == "__main__":
    main()
