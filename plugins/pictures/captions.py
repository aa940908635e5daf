"""Captions from text files and tables."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from artdiff import PresetError

FILE_KEYS = ("file_name", "file", "filename", "image", "path")
TEXT_KEYS = ("caption", "captions", "text", "prompt")
LABEL_KEYS = ("label", "class")


@dataclass(frozen=True)
class Entry:
    """What is said of one picture."""

    captions: tuple[str, ...]
    label: str | None


def sentences(text: str) -> tuple[str, ...]:
    """The captions of a text file: one a line, blank lines left out."""
    lines = (" ".join(line.split()) for line in text.splitlines())
    return tuple(line for line in lines if line)


def words(texts: Iterable[str]) -> list[str]:
    """Every word of the texts, lower-cased, each once, sorted."""
    return sorted({word for text in texts for word in re.findall(r"[^\W_]+", text.lower())})


def entry_of(record: dict[str, Any], where: str) -> Entry:
    """What a record says: a caption, or a list of them, and a class.

    :raises PresetError: one of them is no text; the message says where.
    """
    texts = next((record[key] for key in TEXT_KEYS if record.get(key) not in (None, "")), ())
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise PresetError(
            f"{where}: the caption must be a text or a list of texts (got {texts!r})"
        )
    label = next((record[key] for key in LABEL_KEYS if record.get(key) not in (None, "")), None)
    if not isinstance(label, str | int | None):
        raise PresetError(f"{where}: the label must be a text or a whole number (got {label!r})")
    captions = tuple(line for text in texts for line in sentences(text))
    return Entry(captions, None if label is None else str(label))


def read_table(path: Path, pictures: Set[str]) -> dict[str, Entry]:
    """Read ``.jsonl`` (an object a line) or ``.csv`` (with a header): by picture, what is said.

    The picture stands under ``file_name`` (or file, image, path), its caption under ``caption``
    (or text, prompt), its class under ``label``.

    :raises PresetError: a row is wrong or names no picture; the message has file and line.
    """
    found: dict[str, Entry] = {}
    for line, record in _rows(path):
        where = f"{path}, line {line}"
        name = next((record[key] for key in FILE_KEYS if record.get(key)), None)
        if not isinstance(name, str):
            raise PresetError(f"{where}: names no picture; give it as file_name")
        name = name.replace("\\", "/").removeprefix("./")
        if name not in pictures:
            raise PresetError(f"{where}: there is no picture {name!r} beside the table")
        if name in found:
            raise PresetError(f"{where}: {name!r} has a row already")
        found[name] = entry_of(record, where)
    return found


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise PresetError(f"{path}: cannot be read as UTF-8 text") from error
    if path.suffix == ".csv":
        try:
            reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
            for row in reader:
                yield reader.line_num, {str(key): value for key, value in row.items()}
        except csv.Error as error:
            raise PresetError(f"{path}: not a table of comma-separated values: {error}") from error
        return
    for number, line in enumerate(text.split("\n"), 1):  # splitlines also cuts within texts
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise PresetError(f"{path}, line {number}: not JSON: {error}") from error
        if not isinstance(record, dict):
            raise PresetError(f"{path}, line {number}: must be an object, such as "
                              '{"file_name": "a.png", "caption": "a red fox"}')  # fmt: skip
        yield number, record
