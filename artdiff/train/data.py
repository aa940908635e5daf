"""Training pictures: what a dataset is, and its memory-mapped, resumable caches on disk."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
import torch
from PIL import Image
from pydantic import BaseModel
from torch import Tensor

from artdiff.errors import PresetError, nearest
from artdiff.nn.codec import Codec
from artdiff.progress import progress
from artdiff.train.recipe import DataRecipe

CHUNK = 256
FULL = "pictures.npy"


class Dataset(Protocol):
    """Captioned pictures; every method is a pure function of (options, index, draw)."""

    name: ClassVar[str]
    version: ClassVar[str]
    """Raise it when options and index draw another picture: it is in the key of the caches."""
    Options: ClassVar[type[BaseModel]]
    options: BaseModel

    def __init__(self, options: BaseModel) -> None: ...

    def picture(self, index: int) -> np.ndarray:
        """The picture as uint8 (H, W, 3)."""
        ...

    def attributes(self, index: int) -> dict:
        """What the picture shows, as JSON-able values."""
        ...

    def caption(self, index: int, draw: int) -> str:
        """A wording of the attributes; another one for each `draw`."""
        ...

    def vocabulary(self) -> list[str]:
        """Every word that a caption can contain."""
        ...


def dataset_key(dataset: Dataset) -> str:
    """Name the dataset and its settings for a folder: ``name-`` and 12 hexadecimal digits."""
    kind = type(dataset)
    name = getattr(kind, "name", kind.__name__.lower())
    parts = [name, getattr(kind, "version", "1"), dataset.options.model_dump(mode="json")]
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return f"{name}-{digest[:12]}"


def weights_of(
    dataset: Dataset, rows: range, often: Mapping[str, Mapping[str, float]], key: str
) -> np.ndarray:
    """How often to take each of some pictures, (len(rows),): the product over its attributes.

    :param often: of an attribute's values, how often they are wanted; others count 1.
    :param key: what a recipe calls `often`, for errors.
    :raises PresetError: no picture has such an attribute or such a value.
    """
    weights = np.ones(len(rows))
    records = [dataset.attributes(row) for row in rows]
    known = set().union(*records)
    for name, wanted in often.items():
        if name not in known:
            raise PresetError(f"{key}.{name}: no attribute{nearest(name, known)}")
        found = np.array([str(record.get(name)) for record in records])
        for value, factor in wanted.items():
            if value not in found:
                near = nearest(value, set(found.tolist()))
                raise PresetError(f"{key}.{name}.{value}: no picture has it{near}")
            weights[found == value] *= factor
    return weights


class Chunked:
    """A growing ``.npy`` file of `count` rows, filled in chunks that are marked when on disk."""

    def __init__(self, path: Path, count: int, row: tuple[int, ...], dtype: str) -> None:
        self.path, self.count = path, count
        self.marks = path.parent / f"{path.stem}.done"
        self.marks.mkdir(parents=True, exist_ok=True)
        if not path.exists() or len(np.load(path, mmap_mode="r")) < count:
            self._resize(row, np.dtype(dtype))

    def _resize(self, row: tuple[int, ...], dtype: np.dtype) -> None:
        header = {"descr": dtype.str, "fortran_order": False, "shape": (self.count, *row)}
        with open(self.path, "r+b" if self.path.exists() else "w+b") as file:
            np.lib.format.write_array_header_1_0(file, header)
            size = file.tell() + self.count * int(np.prod(row)) * dtype.itemsize
            os.truncate(self.path, size)
            file.flush()

    @staticmethod
    def holds(path: Path, start: int, stop: int) -> bool:
        """Whether the file at `path` has the complete chunk (start, stop)."""
        mark = path.parent / f"{path.stem}.done" / str(start)
        return mark.exists() and int(mark.read_text() or 0) >= stop

    def missing(self) -> Iterator[tuple[int, int]]:
        """The chunks (start, stop) that are not yet complete."""
        for start in range(0, self.count, CHUNK):
            stop = min(start + CHUNK, self.count)
            if not self.holds(self.path, start, stop):
                yield start, stop

    def write(self, start: int, rows: np.ndarray) -> None:
        """Put `rows` at `start`, flush them to the disk and mark the chunk."""
        array = np.load(self.path, mmap_mode="r+")
        array[start : start + len(rows)] = rows
        array.flush()
        mark = self.marks / str(start)
        temporary = mark.with_suffix(".part")
        temporary.write_text(str(start + len(rows)))
        os.replace(temporary, mark)

    def read(self) -> np.ndarray:
        """The first `count` rows, memory-mapped and read-only."""
        return np.load(self.path, mmap_mode="r")[: self.count]


_worker_dataset: Dataset | None = None


def _start_worker(kind: type[Dataset], options: dict) -> None:
    global _worker_dataset
    _worker_dataset = kind(kind.Options(**options))


def square(picture: np.ndarray, size: int | None) -> np.ndarray:
    """The middle square of a picture uint8 (H, W, 3), at `size` pixels by averaging areas.

    With `size` None, the picture as it is.

    :raises PresetError: the picture is smaller than that.
    """
    if size is None:
        return picture
    height, width = picture.shape[:2]
    side = min(height, width)
    if side < size:
        raise PresetError(f"data.size: {size} is more than the pictures have, {side}")
    top, left = (height - side) // 2, (width - side) // 2
    cut = Image.fromarray(np.ascontiguousarray(picture[top : top + side, left : left + side]))
    return np.asarray(cut.resize((size, size), Image.Resampling.BOX))


def _render(
    path: Path, count: int, row: tuple[int, ...], start: int, stop: int, dataset: Dataset | None
) -> int:
    dataset = dataset or _worker_dataset
    assert dataset is not None
    size = None if path.name == FULL else row[0]
    full = path.with_name(FULL)
    if size and Chunked.holds(full, start, stop):
        pictures: Iterable[np.ndarray] = np.load(full, mmap_mode="r")[start:stop]
    else:
        pictures = (dataset.picture(index) for index in range(start, stop))
    rows = np.stack([square(picture, size) for picture in pictures])
    Chunked(path, count, row, "|u1").write(start, rows)
    return stop - start


def picture_size(dataset: Dataset, count: int, size: int | None = None) -> tuple[int, int]:
    """Give height and width of the pictures that `prepare` would return, from the first one.

    :raises PresetError: the dataset has fewer pictures than `count`, or smaller ones.
    """
    have = getattr(dataset, "__len__", None)
    if have is not None and have() < count:
        raise PresetError(
            f"data.count: {count} pictures with those held out are more than the dataset has, "
            f"{have()}"
        )
    height, width = square(dataset.picture(0), size).shape[:2]
    return height, width


def prepare(
    dataset: Dataset, count: int, folder: Path, workers: int = 2, size: int | None = None
) -> np.ndarray:
    """Render pictures 0 .. `count` - 1 once; return them memory-mapped, uint8 (count, H, W, 3).

    They lie in ``folder / dataset_key(dataset) / pictures.npy``, or in ``pictures-SIZE.npy`` where
    a `size` is given (see `square`): then only small pictures are kept, made from the large ones
    where those happen to be there. Complete chunks of 256 are kept when the process is killed, and
    when `count` grows. `workers` = 0 renders in this process; otherwise worker processes build the
    dataset from its class and options.

    :raises PresetError: the dataset has fewer pictures, or smaller ones.
    """
    row = (*picture_size(dataset, count, size), 3)
    place = Path(folder) / dataset_key(dataset)
    place.mkdir(parents=True, exist_ok=True)
    store = Chunked(place / (f"pictures-{size}.npy" if size else FULL), count, row, "|u1")
    missing = list(store.missing())
    if not missing:
        return store.read()
    total = sum(stop - start for start, stop in missing)
    with progress(total=total, initial=0, desc="pictures", unit="pic") as bar:
        if workers == 0:
            for start, stop in missing:
                bar.update(_render(store.path, count, row, start, stop, dataset))
        else:
            with ProcessPoolExecutor(
                workers,
                multiprocessing.get_context("spawn"),
                _start_worker,
                (type(dataset), dataset.options.model_dump()),
            ) as pool:
                jobs = [
                    pool.submit(_render, store.path, count, row, start, stop, None)
                    for start, stop in missing
                ]
                for job in as_completed(jobs):
                    bar.update(job.result())
    return store.read()


def to_images(pictures: np.ndarray) -> Tensor:
    """Pictures uint8 (B, H, W, 3) -> images float32 (B, 3, H, W) in [-1, 1]."""
    images = torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2)
    return images.float().div_(127.5).sub_(1).contiguous()


def to_pictures(images: Tensor) -> np.ndarray:
    """Images (B, 3, H, W) in [-1, 1], clamped -> pictures uint8 (B, H, W, 3)."""
    pictures = images.detach().float().clamp(-1, 1).add(1).mul(127.5).round()
    return pictures.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()


@torch.inference_mode()
def encode_latents(codec: Codec, pictures: np.ndarray, path: Path, batch: int = 16) -> np.ndarray:
    """Encode uint8 pictures (N, H, W, 3) once; return float16 latents (N, C, H/f, W/f) at `path`.

    Resumable by chunks of 256. The caller names `path` after the codec's weights.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    factor, height, width = codec.config.factor, *pictures.shape[1:3]
    row = (codec.config.channels, height // factor, width // factor)
    store = Chunked(path, len(pictures), row, "<f2")
    codec = codec.eval()
    missing = list(store.missing())
    with progress(total=sum(b - a for a, b in missing), desc="latents", unit="pic") as bar:
        for start, stop in missing:
            parts = []
            for at in range(start, stop, batch):
                images = to_images(pictures[at : min(at + batch, stop)])
                parts.append(codec.encode(images).half().numpy())
                bar.update(len(images))
            store.write(start, np.concatenate(parts))
    return store.read()


def prepare_latents(
    codec: Codec, digest: str, dataset: Dataset, data: DataRecipe, cache: Path
) -> np.ndarray:
    """The latents of all pictures of a recipe; pictures are rendered only where one is missing.

    They lie beside the pictures in ``latents-DIGEST.npy``; `digest` names the codec's weights.
    """
    name = f"latents-{digest}{f'-{data.size}' if data.size else ''}.npy"
    path, count = cache / dataset_key(dataset) / name, data.held_out + data.count
    if path.exists() and len(np.load(path, mmap_mode="r")) >= count:
        chunks = ((at, min(at + CHUNK, count)) for at in range(0, count, CHUNK))
        if all(Chunked.holds(path, start, stop) for start, stop in chunks):
            return np.load(path, mmap_mode="r")[:count]
    pictures = prepare(dataset, count, cache, data.workers, data.size)
    return encode_latents(codec, pictures, path)
