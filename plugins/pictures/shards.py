"""webdataset shards as a dataset: tar files whose members are read where they lie."""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from artdiff import PresetError

from .captions import Entry, entry_of, sentences, words
from .fit import SUFFIXES, Fit, leave_out, pixels, place_of

PICTURES = tuple(suffix[1:] for suffix in SUFFIXES)
TEXTS = ("txt", "text", "caption", "transcript")
LABELS = ("cls", "cls2", "label", "index")


@dataclass(frozen=True)
class _Sample:
    key: str
    shard: str
    picture: str
    entry: Entry


@dataclass(frozen=True)
class _Place:
    """Where a member's bytes lie."""

    shard: Path
    start: int
    size: int


class Shards:
    """Pictures in tar files: KEY.jpg (png, webp) with KEY.txt, KEY.cls or KEY.json beside it.

    Their order is that of `place_of` over ``SHARD.tar/KEY``.
    """

    name = "webdataset"
    version = "2"

    class Options(Fit, extra="forbid", frozen=True):
        path: str = Field(
            description="A tar file, a folder of them, or a pattern: photos-{000..012}.tar, *.tar."
        )

    options: Options

    def __init__(self, options: Options) -> None:
        self.shards = find_shards(options.path)
        content = self._content()
        if options.content not in ("", content):
            raise PresetError(
                f"data.options.content: the shards {options.path} have changed since"
            )
        self._places: dict[str, _Place] = {}
        samples = [sample for shard in self.shards for sample in self._samples(shard)]
        skipped = options.skipped
        if skipped is None and options.broken == "skip":
            skipped = leave_out([s.picture for s in samples], self._bytes, options, options.path)
        self.options = options.model_copy(update={"content": content, "skipped": skipped})
        out = set(skipped or ())
        samples.sort(key=lambda sample: place_of(f"{sample.shard}/{sample.key}"))
        self._all = [sample for sample in samples if sample.picture not in out]
        if not self._all:
            raise PresetError(f"data.options.path: {options.path} holds no pictures")

    def __len__(self) -> int:
        return len(self._all)

    def picture(self, index: int) -> np.ndarray:
        """Picture `index` in the order of `place_of`: uint8 (size, size, 3)."""
        name = self._at(index).picture
        return pixels(self._bytes(name), name, self.options)

    def attributes(self, index: int) -> dict[str, Any]:
        """Its class (``label``, a text or None), its first caption, and its key."""
        sample = self._at(index)
        return {
            "label": sample.entry.label,
            "caption": self.caption(index, 0),
            "key": sample.key,
        }

    def caption(self, index: int, draw: int) -> str:
        """One of the picture's captions in turn; without any, its class."""
        entry = self._at(index).entry
        if not entry.captions:
            return entry.label or ""
        return entry.captions[draw % len(entry.captions)]

    def vocabulary(self) -> list[str]:
        """Every word of every caption, sorted."""
        texts = [text for s in self._all for text in s.entry.captions or (s.entry.label or "",)]
        return words(texts)

    def _at(self, index: int) -> _Sample:
        if not 0 <= index < len(self._all):
            raise PresetError(f"{self.options.path} holds {len(self._all)} pictures, no {index}")
        return self._all[index]

    def _bytes(self, name: str) -> bytes:
        place = self._places[name]
        with open(place.shard, "rb") as file:
            file.seek(place.start)
            return file.read(place.size)

    def _content(self) -> str:
        """Sixteen hex digits that name the shards, by their names, sizes and times."""
        digest = hashlib.sha256()
        for shard in self.shards:
            facts = shard.stat()
            digest.update(f"{shard.name}\0{facts.st_size}\0{facts.st_mtime_ns}\n".encode())
        return digest.hexdigest()[:16]

    def _samples(self, shard: Path) -> Iterator[_Sample]:
        """The samples of a shard: members that follow each other and share their key."""
        parts: dict[str, str] = {}
        last = None
        for name, place in _members(shard):
            match = re.fullmatch(r"((?:.*/)?[^./][^.]*)\.([^/]+)", name)
            if match is None:
                continue
            key, suffix = match[1], match[2].lower()
            if key != last:
                yield from self._sample(shard, last, parts)
                last, parts = key, {}
            label = f"{shard}: {name}"
            self._places[label] = place
            parts[suffix] = label
        yield from self._sample(shard, last, parts)

    def _sample(self, shard: Path, key: str | None, parts: dict[str, str]) -> Iterator[_Sample]:
        picture = next((parts[suffix] for suffix in PICTURES if suffix in parts), None)
        if key is None or picture is None:
            return
        record: dict[str, Any] = {}
        if "json" in parts:
            try:
                record = json.loads(self._bytes(parts["json"]))
            except ValueError as error:
                raise PresetError(f"{parts['json']}: not JSON: {error}") from error
            if not isinstance(record, dict):
                raise PresetError(f"{parts['json']}: must be an object")
        entry = entry_of(record, parts.get("json", ""))
        texts = [self._text(parts[suffix]) for suffix in TEXTS if suffix in parts]
        labels = [self._text(parts[suffix]).strip() for suffix in LABELS if suffix in parts]
        captions = tuple(line for text in texts for line in sentences(text)) or entry.captions
        yield _Sample(
            key, shard.name, picture, Entry(captions, labels[0] if labels else entry.label)
        )

    def _text(self, name: str) -> str:
        try:
            return self._bytes(name).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise PresetError(f"{name}: cannot be read as UTF-8 text") from error


def find_shards(path: str) -> list[Path]:
    """The tar files of a path, a folder, or a pattern with ``{000..012}``, ``*`` and ``?``.

    :raises PresetError: there is none, one that is named is missing, or it is no pattern.
    """
    if re.match(r"[a-z][a-z0-9+.-]*:", path) and not Path(path).exists():
        raise PresetError(f"data.options.path: {path!r} is not on this machine; fetch it first")
    if Path(path).is_dir():
        found = sorted(Path(path).rglob("*.tar"))
    else:
        found = []
        for name in _braces(path):
            here = Path(name)
            wild = re.search(r"[*?\[]", name) and not here.exists()
            some = _matching(here) if wild else [here]
            missing = [file for file in some if not file.is_file()]
            if missing or not some:
                shown = missing[0] if missing else name
                raise PresetError(f"data.options.path: there is no file {shown}")
            found += some
    if not found:
        raise PresetError(f"data.options.path: {path} holds no .tar files")
    return found


def _matching(pattern: Path) -> list[Path]:
    relative = pattern.relative_to(pattern.anchor) if pattern.anchor else pattern
    try:
        return sorted(Path(pattern.anchor or ".").glob(str(relative)))
    except ValueError as error:  # ** within a name, before Python 3.13
        raise PresetError(f"data.options.path: {pattern}: {error}") from error


def _braces(text: str) -> list[str]:
    """``a-{08..10}`` as a-08, a-09, a-10; ``{x,y}`` as x and y; from left to right."""
    match = re.search(r"\{([^{}]*)\}", text)
    if match is None:
        return [text]
    before, inside, after = text[: match.start()], match[1], text[match.end() :]
    numbers = re.fullmatch(r"(\d+)\.\.(\d+)", inside)
    if numbers:
        first, last = int(numbers[1]), int(numbers[2])
        width = len(numbers[1])
        parts = [str(number).zfill(width) for number in range(first, last + 1)]
    else:
        parts = inside.split(",")
    return [name for part in parts for name in _braces(before + part + after)]


def _members(shard: Path) -> Iterator[tuple[str, _Place]]:
    """The plain files of a tar file, in its order.

    :raises PresetError: it is compressed, cut short or no tar file.
    """
    try:
        with tarfile.open(shard, "r:") as tar:
            size = shard.stat().st_size
            for member in tar:
                if not member.isfile():
                    continue
                if member.offset_data + member.size > size:
                    raise tarfile.ReadError("unexpected end of data")
                yield member.name, _Place(shard, member.offset_data, member.size)
    except (tarfile.TarError, OSError) as error:
        packed = shard.suffix in (".gz", ".tgz", ".bz2", ".xz", ".zst")
        hint = "; unpack it first, pictures are compressed already" if packed else ""
        raise PresetError(f"{shard}: not a tar file that can be read ({error}){hint}") from error
