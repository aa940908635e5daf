"""The frame folder: numbered PNG files with their settings, resumable and safe to share."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from artdiff.errors import FrameError, MachineError
from artdiff.files import save_bytes, sweep_temps, write_whole

MANIFEST = "render.json"
TEXT_KEY = "artdiff"
_FORMAT = 1
_FRAME = re.compile(r"(\d{6,})\.(?:png|json)")


# Pure parts: settings, their key, and how two of them differ.


def canonical(value: object) -> str:
    """The one JSON text of ``value``: sorted keys, no spaces, ASCII.

    Raises TypeError or ValueError for what JSON cannot say (arrays, NaN).
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )


def key_of(settings: Mapping[str, Any]) -> str:
    """Hex sha256 of the canonical JSON of ``settings``."""
    return hashlib.sha256(canonical(settings).encode()).hexdigest()


def differences(there: object, here: object, prefix: str = "") -> Iterator[str]:
    """Say where two JSON values differ: ``sampler.steps: 16 there, 20 here``, sorted by key."""
    if isinstance(there, dict) and isinstance(here, dict):
        for name in sorted(there.keys() | here.keys()):
            dotted = f"{prefix}.{name}" if prefix else name
            if name not in there:
                yield f"{dotted}: nothing there, {_short(here[name])} here"
            elif name not in here:
                yield f"{dotted}: {_short(there[name])} there, nothing here"
            else:
                yield from differences(there[name], here[name], dotted)
    elif isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        for index, (a, b) in enumerate(zip(there, here, strict=True)):
            yield from differences(a, b, f"{prefix}[{index}]")
    elif canonical(there) != canonical(here):
        yield f"{prefix}: {_short(there)} there, {_short(here)} here"


def pixel_hash(image: np.ndarray) -> str:
    """Hex sha256 of size and pixels of a uint8 image (H, W, 3), whatever file holds it."""
    digest = hashlib.sha256(f"{image.shape[1]}x{image.shape[0]}:".encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def encode_png(image: np.ndarray, settings: Mapping[str, Any]) -> bytes:
    """PNG bytes of a uint8 image (H, W, 3) with its settings inside; equal input, equal bytes.

    The settings are one tEXt chunk named ``artdiff``. Raises ValueError for another shape or
    dtype.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"a frame is uint8 (H, W, 3), not {image.dtype} {image.shape}")
    text = PngInfo()
    text.add_text(TEXT_KEY, canonical(settings))
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", pnginfo=text, compress_level=4)
    return buffer.getvalue()


def _short(value: object) -> str:
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= 40 else f"{text[:37]}..."


# Reading and writing single files; video.py and sheet.py use these too.


def upright(image: Image.Image) -> Image.Image:
    """The picture of an opened file, with that side up which EXIF names, in 8 bits a channel."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image, np.float64)
        scale = 255 / 65535 if values.max(initial=0) > 255 else 1
        return Image.fromarray((values * scale).round().clip(0, 255).astype(np.uint8))
    return image


def load_image(path: str | os.PathLike[str]) -> np.ndarray:
    """Read a picture file, `upright`, as uint8 RGB (H, W, 3).

    Raises FrameError when missing or damaged.
    """
    try:
        with Image.open(path) as image:
            return np.array(upright(image).convert("RGB"))
    except FileNotFoundError:
        raise FrameError(f"{os.fspath(path)} does not exist") from None
    except PermissionError as error:
        raise MachineError(f"cannot read {os.fspath(path)}: {error.strerror}") from error
    # pillow reports damage as SyntaxError, ValueError or OSError, depending on where it lies
    except (OSError, SyntaxError, ValueError) as error:
        raise FrameError(f"{os.fspath(path)} is not a whole picture: {error}") from error


def load_mask(path: str | os.PathLike[str]) -> np.ndarray:
    """Read a picture file as a mask, uint8 (H, W): its alpha, unless it is all opaque, else grey.

    Raises FrameError when missing or damaged.
    """
    grey = load_image(path)
    with Image.open(path) as image:
        alpha = np.array(upright(image).convert("RGBA"))[..., 3]
    return np.array(Image.fromarray(grey).convert("L")) if alpha.min() == 255 else alpha


def read_settings(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read back what `FrameStore.write` put into a PNG: how this one picture was made.

    Raises FrameError when the file is no picture or carries no artdiff settings.
    """
    try:
        with Image.open(path) as image:
            text = image.info.get(TEXT_KEY)
    except (OSError, SyntaxError, ValueError) as error:
        raise FrameError(f"cannot read {os.fspath(path)} as a picture: {error}") from error
    if text is None:
        raise FrameError(
            f"{os.fspath(path)} carries no artdiff settings; did another program save it again?"
        )
    try:
        settings = json.loads(text)
    except ValueError as error:
        raise FrameError(f"{os.fspath(path)}: the artdiff settings inside are damaged") from error
    if not isinstance(settings, dict):
        raise FrameError(f"{os.fspath(path)}: the artdiff settings inside are not a table")
    return settings


def save_picture(path: str | os.PathLike[str], picture: Image.Image) -> None:
    """Write a picture without settings (a contact sheet, say) as PNG, at once."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    save_bytes(path, buffer.getvalue())


@dataclass(frozen=True)
class FrameStore:
    """A folder of frames ``000123.png`` + ``000123.json`` and one ``render.json``.

    Make one with `open` (to render) or `existing` (to look). It holds no open files, so it can
    be pickled and handed to workers, which may write into the same folder at the same time.
    A frame is present when PNG and sidecar are both there, belong to these settings and fit each
    other. Frame numbers run from 0 to ``count - 1``; others raise IndexError.
    """

    path: Path
    count: int
    key: str
    manifest: Mapping[str, Any] = field(hash=False, compare=False, repr=False)
    info: Mapping[str, Any] = field(hash=False, compare=False, repr=False, default_factory=dict)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        manifest: Mapping[str, Any],
        count: int,
        *,
        info: Mapping[str, Any] | None = None,
        fresh: bool = False,
    ) -> Self:
        """Create the folder, or open it again to go on where it stopped.

        ``manifest`` holds all settings that decide pixels and nothing else: its hash is the key,
        and a folder of another key is refused. ``info`` is kept beside it for people (versions,
        date, command) and is never compared. ``count`` may grow or shrink between two calls.
        ``fresh`` removes the frames of an earlier render first; other files stay. Do not use it
        in workers.

        Raises FrameError (other settings, not a folder, damaged render.json), MachineError
        (disk full, no permission), TypeError or ValueError (settings that JSON cannot say).
        """
        if count < 0:
            raise ValueError(f"count must be 0 or more, not {count}")
        folder = Path(path).absolute()
        plain = json.loads(canonical(manifest))
        notes = json.loads(canonical(info or {}))
        store = cls(folder, count, key_of(plain), plain, notes)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise FrameError(f"{folder} is not a folder; give another -o folder") from None
        except OSError as error:
            raise MachineError(f"cannot make the folder {folder}: {error.strerror}") from error
        try:
            sweep_temps(folder)
            if fresh:
                _remove_frames(folder)
            store._claim()
        except OSError as error:
            raise MachineError(f"cannot use the folder {folder}: {error.strerror}") from error
        return store

    @classmethod
    def existing(cls, path: str | os.PathLike[str]) -> Self:
        """Open a folder that was rendered before, without knowing its settings.

        Raises FrameError when it is none, MachineError when it cannot be read.
        """
        folder = Path(path).absolute()
        try:
            record = _read_manifest(folder)
        except OSError as error:
            raise MachineError(f"cannot read {folder / MANIFEST}: {error.strerror}") from error
        if record is None:
            raise FrameError(f"{folder} is no frame folder: it has no {MANIFEST}")
        settings = record["settings"]
        return cls(folder, record["count"], key_of(settings), settings, record["info"])

    def _claim(self) -> None:
        """Write render.json, or check the one that is there; raises OSError, FrameError."""
        target = self.path / MANIFEST
        if not target.exists():
            ours = not any(_FRAME.fullmatch(path.name) for path in self.path.iterdir())
            # asked again: another process may have made both a moment ago
            if not ours and not target.exists():
                raise FrameError(
                    f"{self.path} holds numbered files but no {MANIFEST}, so they are not ours "
                    "to overwrite; give another -o folder"
                )
            with suppress(FileExistsError):  # another process was faster: compare below
                write_whole(target, self._record(), exclusive=True)
        there = _read_manifest(self.path)
        if there is None:
            raise FrameError(f"{target} went away while it was read; try again")
        if key_of(there["settings"]) != self.key:
            raise FrameError(_refusal(self.path, there["settings"], self.manifest))
        if there["count"] != self.count:
            write_whole(target, self._record())

    def _record(self) -> bytes:
        record = {
            "artdiff": _FORMAT,
            "key": self.key,
            "count": self.count,
            "settings": self.manifest,
            "info": self.info,
        }
        return (json.dumps(record, indent=1, sort_keys=True) + "\n").encode()

    def png(self, index: int) -> Path:
        """The path of a frame's PNG, present or not."""
        if not 0 <= index < self.count:
            raise IndexError(f"frame {index} is outside 0..{self.count - 1}")
        return self.path / f"{index:06d}.png"

    def _sidecar(self, index: int) -> dict[str, Any] | None:
        """The sidecar of a frame that looks whole, or None."""
        png = self.png(index)
        try:
            record = json.loads(png.with_suffix(".json").read_bytes())
            size = png.stat().st_size
        except (FileNotFoundError, ValueError):  # ValueError: cut off, as a crash can leave it
            return None
        except OSError as error:
            raise MachineError(f"cannot read {png}: {error.strerror}") from error
        wanted = {"frame": index, "key": self.key, "bytes": size}
        fits = isinstance(record, dict) and wanted.items() <= record.items()
        return record if fits else None

    def has(self, index: int) -> bool:
        """Whether a frame is present. Cheap: compares the file size, see `verify` for more."""
        return self._sidecar(index) is not None

    def present(self) -> list[int]:
        """The numbers of the frames that are there, rising."""
        return [index for index in range(self.count) if self.has(index)]

    def missing(self) -> list[int]:
        """The numbers of the frames still to make, rising."""
        return [index for index in range(self.count) if not self.has(index)]

    def paths(self) -> list[Path]:
        """The PNG files of the whole film in order. Raises FrameError when frames are missing."""
        missing = self.missing()
        if missing:
            first = ", ".join(str(index) for index in missing[:5])
            more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
            raise FrameError(
                f"{self.path} lacks {len(missing)} of {self.count} frames ({first}{more}); "
                "render it again to make them"
            )
        return [self.png(index) for index in range(self.count)]

    def write(self, index: int, image: np.ndarray, sidecar: Mapping[str, Any]) -> None:
        """Keep a frame, uint8 (H, W, 3), with the settings that made it; replaces an older one.

        Raises MachineError when the machine cannot (finished frames stay), ValueError or
        TypeError for another array or settings that JSON cannot say.
        """
        png = self.png(index)
        data = encode_png(image, sidecar)
        record = {
            "frame": index,
            "key": self.key,
            "bytes": len(data),
            "width": image.shape[1],
            "height": image.shape[0],
            "pixels": pixel_hash(image),
            "settings": sidecar,
        }
        text = json.dumps(record, indent=1, sort_keys=True, allow_nan=False) + "\n"
        try:
            write_whole(png, data)
            write_whole(png.with_suffix(".json"), text.encode())
        except OSError as error:
            raise MachineError(
                f"cannot write {png.name}: {error.strerror}; {self._kept()} in {self.path}"
            ) from error

    def _kept(self) -> str:
        try:
            return f"{len(self.present())} finished frames are kept"
        except MachineError:  # the folder itself is gone; the first error is the one to tell
            return "finished frames are kept"

    def settings(self, index: int) -> dict[str, Any]:
        """The settings a present frame was written with. Raises FrameError when missing."""
        record = self._sidecar(index)
        if record is None:
            raise FrameError(f"frame {index} is missing in {self.path}; render it again")
        return record["settings"]

    def read(self, index: int) -> np.ndarray:
        """A present frame as uint8 (H, W, 3). Raises FrameError when missing or damaged."""
        if not self.has(index):
            raise FrameError(f"frame {index} is missing in {self.path}; render it again")
        return load_image(self.png(index))

    def verify(self) -> list[int]:
        """Decode every present frame; the numbers of those whose pixels are not as written."""
        return [index for index in self.present() if not self._is_whole(index)]

    def _is_whole(self, index: int) -> bool:
        record = self._sidecar(index)
        try:
            return bool(record) and pixel_hash(self.read(index)) == record.get("pixels")
        except FrameError:
            return False

    def discard(self, index: int) -> None:
        """Remove a frame (a damaged one, say) so that it counts as missing."""
        png = self.png(index)
        try:
            # the sidecar first: without it the frame is missing, whatever happens next
            png.with_suffix(".json").unlink(missing_ok=True)
            png.unlink(missing_ok=True)
        except OSError as error:
            raise MachineError(f"cannot remove {png}: {error.strerror}") from error


def _read_manifest(folder: Path) -> dict[str, Any] | None:
    """Read render.json, None when there is none; raises FrameError, OSError."""
    target = folder / MANIFEST
    try:
        record = json.loads(target.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError:
        record = None
    if (
        isinstance(record, dict)
        and isinstance(record.get("settings"), dict)
        and isinstance(record.get("info"), dict)
        and isinstance(record.get("count"), int)
    ):
        return record
    raise FrameError(f"{target} is damaged; give another -o folder, or --fresh to start over")


def _remove_frames(folder: Path) -> None:
    """Remove render.json and, only if it was there, the numbered files; raises OSError."""
    if not (folder / MANIFEST).is_file():
        return
    for path in list(folder.iterdir()):
        if _FRAME.fullmatch(path.name):
            path.unlink(missing_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)


def _refusal(folder: Path, there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    found = list(differences(there, here))
    more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
    return (
        f"{folder} holds frames of other settings ({'; '.join(found[:3])}{more}); "
        "give another -o folder, or --fresh to remove them"
    )
