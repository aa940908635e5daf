"""Sets of pictures to measure: a folder, an .npz file, the held-out part of a dataset."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from artdiff.errors import FrameError
from artdiff.evaluation.features import PictureRow
from artdiff.frames import load_image, read_settings
from artdiff.train.data import square

__all__ = ["ArrayPictures", "DatasetPictures", "FolderPictures", "Pictures", "open_pictures"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
MOST_CAPTION = 10_000

DAMAGED = (
    *(OSError, EOFError, ValueError, KeyError, TypeError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error),
)
"""What numpy raises on a file that is no .npz file, or a damaged one."""


class Pictures(PictureRow, Protocol):
    """Pictures, uint8 (H, W, 3), read one by one, of which it is known where they come from."""

    def key(self) -> str:
        """Names the pictures: what they are, and a hash of what they show."""
        ...

    def text(self, index: int) -> str | None:
        """The prompt or caption of a picture, if it is known."""
        ...


@dataclass(frozen=True)
class FolderPictures:
    """The picture files of a folder and of the folders in it, in the order of their names."""

    folder: Path
    paths: tuple[Path, ...]

    @classmethod
    def open(cls, folder: Path, most: int | None = None) -> FolderPictures:
        """:raises FrameError: the folder holds no pictures."""
        found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
        found = [p for p in found if p.is_file() and not p.name.startswith(".")]
        if not found:
            raise FrameError(f"{folder}: no pictures in it ({' '.join(SUFFIXES)})")
        return cls(folder, tuple(found[:most]))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> np.ndarray:
        return load_image(self.paths[index])

    def key(self) -> str:
        """``folder-`` and twelve hex digits over names and bytes."""
        names = [p.relative_to(self.folder).as_posix() for p in self.paths]
        return f"folder-{_digest(zip(names, (p.read_bytes() for p in self.paths), strict=True))}"

    def text(self, index: int) -> str | None:
        """What stands in NAME.txt beside the picture, or in an artdiff picture itself."""
        beside = self.paths[index].with_suffix(".txt")
        if beside.is_file():
            try:
                return beside.read_text("utf-8-sig")[:MOST_CAPTION].strip()
            except (OSError, UnicodeDecodeError) as error:
                raise FrameError(f"{beside}: cannot be read as UTF-8 text") from error
        try:
            prompts = read_settings(self.paths[index]).get("prompts")
        except FrameError:
            return None
        return prompts[0][0] if prompts and len(prompts) == 1 else None


@dataclass(frozen=True)
class ArrayPictures:
    """The pictures of an .npz file, ``arr_0`` uint8 (N, H, W, 3), as sampling scripts write it."""

    file: Path
    array: np.ndarray

    @classmethod
    def open(cls, file: Path, most: int | None = None) -> ArrayPictures:
        """:raises FrameError: the file is not of this kind."""
        try:
            with np.load(file, allow_pickle=False) as found:
                array = found["arr_0"][:most]
        except FileNotFoundError:
            raise FrameError(f"{file}: no such file") from None
        except DAMAGED as error:
            raise FrameError(f"{file}: no .npz file with pictures as arr_0") from error
        if array.ndim != 4 or array.shape[3] != 3 or array.dtype != np.uint8 or not len(array):
            raise FrameError(
                f"{file}: arr_0 is {array.dtype} {array.shape}, not uint8 (N, H, W, 3)"
            )
        return cls(file, array)

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.array[index]

    def key(self) -> str:
        """``npz-`` and twelve hex digits over the pictures."""
        return f"npz-{_digest([('arr_0', np.ascontiguousarray(self.array).tobytes())])}"

    def text(self, index: int) -> str | None:
        return None


@dataclass(frozen=True)
class DatasetPictures:
    """The first `count` pictures of a dataset, which training holds out.

    With a `size`, larger ones are cut to their middle square and shrunk to it, as in training.
    """

    dataset: Any
    count: int
    label: str
    size: int | None = None

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> np.ndarray:
        if not 0 <= index < self.count:
            raise IndexError(index)
        picture = self.dataset.picture(index)
        shrink = self.size is not None and self.size < min(picture.shape[:2])
        return square(picture, self.size) if shrink else picture

    def key(self) -> str:
        """The dataset's key, as training caches use it, how many pictures, and their side."""
        side = "" if self.size is None else f"@{self.size}"
        return f"{self.label}:0-{self.count}{side}"

    def text(self, index: int) -> str | None:
        """The first wording of the picture's caption."""
        return self.dataset.caption(index, 0)


def open_pictures(path: Path, most: int | None = None) -> FolderPictures | ArrayPictures:
    """The pictures of a folder or an .npz file, `most` at most.

    :raises FrameError: there are none, or the folder is one that `artdiff train` left, in which
        the pictures are curves and sheets.
    """
    if path.is_dir():
        if (path / "model.safetensors").is_file() or next(
            path.glob("checkpoint-*.safetensors"), None
        ):
            raise FrameError(
                f"{path} is a training run; `artdiff models add {path}` makes it a model"
            )
        return FolderPictures.open(path, most)
    if path.suffix.lower() == ".npz":
        return ArrayPictures.open(path, most)
    raise FrameError(f"{path}: neither a folder of pictures nor an .npz file")


def texts_of(pictures: Pictures) -> list[str] | None:
    """The prompts of all pictures, or None if one of them has none."""
    found = [pictures.text(index) for index in range(len(pictures))]
    return [text for text in found if text] if all(found) else None


def read_prompts(file: Path) -> list[str]:
    """The prompts of a text file, one on a line; empty lines are left out.

    :raises FrameError: it cannot be read or holds none.
    """
    try:
        lines = [line.strip() for line in file.read_text("utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise FrameError(f"{file}: cannot be read as prompts: {reason}") from error
    prompts = [line for line in lines if line]
    if not prompts:
        raise FrameError(f"{file}: no prompts in it; write one on each line")
    return prompts


def _digest(parts: Iterable[tuple[str, bytes]]) -> str:
    sha = hashlib.sha256()
    for name, data in parts:
        sha.update(f"{name}\0{len(data)}\0".encode())
        sha.update(data)
    return sha.hexdigest()[:12]


def cycled(texts: Sequence[str], count: int) -> list[str]:
    """`count` texts, from the first again after the last."""
    return [texts[index % len(texts)] for index in range(count)]
