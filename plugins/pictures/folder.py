"""A folder of pictures as a dataset: class folders, captions beside the pictures or in a table."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from artdiff import PresetError

from .captions import Entry, read_table, sentences, words
from .fit import SUFFIXES, Fit, leave_out, pixels, place_of

TABLES = ("captions.jsonl", "metadata.jsonl", "captions.csv", "metadata.csv")


@dataclass(frozen=True)
class _Picture:
    file: str
    entry: Entry


class Folder:
    """Pictures of a folder and those below it, in the order of `place_of`; folders are classes."""

    name = "folder"
    version = "2"

    class Options(Fit, extra="forbid", frozen=True):
        path: Path = Field(description="The folder with the pictures.")
        labels: Literal["folders", "none"] = Field(
            "folders", description="A picture's class is the first folder it lies in, or nothing."
        )

    options: Options

    def __init__(self, options: Options) -> None:
        root = self.root = options.path
        if not root.is_dir():
            raise PresetError(f"data.options.path: {root} is not a folder")
        files = [path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES]
        names = (path.relative_to(root).as_posix() for path in files if path.is_file())
        found = sorted(name for name in names if not name.startswith(".") and "/." not in name)
        content = self._content(found)
        if options.content not in ("", content):
            raise PresetError(f"data.options.content: the pictures in {root} have changed since")
        skipped = options.skipped
        if skipped is None and options.broken == "skip":
            skipped = leave_out(found, self._bytes, options, str(root))
        self.options = options.model_copy(update={"content": content, "skipped": skipped})
        kept = set(found) - set(skipped or ())
        if not kept:
            raise PresetError(
                f"data.options.path: {root} holds no pictures ({' '.join(SUFFIXES)})"
            )
        table = self._table(found)
        self._pictures = [self._picture(name, table) for name in sorted(kept, key=place_of)]

    def __len__(self) -> int:
        return len(self._pictures)

    def picture(self, index: int) -> np.ndarray:
        """Picture `index` in the order of `place_of` over their names: uint8 (size, size, 3)."""
        file = self._at(index).file
        return pixels(self._bytes(file), str(self.root / file), self.options)

    def attributes(self, index: int) -> dict[str, Any]:
        """Its class (``label``, a text or None), its first caption, and its file."""
        picture = self._at(index)
        return {
            "label": picture.entry.label,
            "caption": self.caption(index, 0),
            "file": picture.file,
        }

    def caption(self, index: int, draw: int) -> str:
        """One of the picture's captions in turn; without any, the name of its class."""
        entry = self._at(index).entry
        if not entry.captions:
            return words_of_label(entry.label)
        return entry.captions[draw % len(entry.captions)]

    def vocabulary(self) -> list[str]:
        """Every word of every caption, sorted."""
        texts = (text for p in self._pictures for text in p.entry.captions)
        labels = (words_of_label(p.entry.label) for p in self._pictures if not p.entry.captions)
        return words([*texts, *labels])

    def _at(self, index: int) -> _Picture:
        if not 0 <= index < len(self._pictures):
            raise PresetError(f"{self.root} holds {len(self._pictures)} pictures, no {index}")
        return self._pictures[index]

    def _bytes(self, name: str) -> bytes:
        try:
            return (self.root / name).read_bytes()
        except OSError as error:
            raise PresetError(f"{self.root / name}: cannot be read: {error.strerror}") from error

    def _content(self, found: Sequence[str]) -> str:
        """Sixteen hex digits that name the files, by their names, sizes and times."""
        digest = hashlib.sha256()
        for name in found:
            facts = (self.root / name).stat()
            digest.update(f"{name}\0{facts.st_size}\0{facts.st_mtime_ns}\n".encode())
        return digest.hexdigest()[:16]

    def _table(self, found: Sequence[str]) -> dict[str, Entry]:
        here = [self.root / name for name in TABLES if (self.root / name).is_file()]
        if len(here) > 1:
            raise PresetError(f"{here[0]} and {here[1].name} are both there; keep one of the two")
        return read_table(here[0], set(found)) if here else {}

    def _picture(self, name: str, table: dict[str, Entry]) -> _Picture:
        folder, slash, _ = name.partition("/")
        label = folder if slash and self.options.labels == "folders" else None
        if name in table:
            entry = table[name]
            return _Picture(name, Entry(entry.captions, entry.label or label))
        beside = (self.root / name).with_suffix(".txt")
        if not beside.is_file():
            return _Picture(name, Entry((), label))
        try:
            text = beside.read_text("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise PresetError(f"{beside}: cannot be read as UTF-8 text") from error
        return _Picture(name, Entry(sentences(text), label))


def words_of_label(label: str | None) -> str:
    """A class as a caption: ``red_fox`` is "red fox"."""
    return (label or "").replace("_", " ").replace("-", " ")
