"""Presets from files: TOML, by name or by path, over what they extend. No torch."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from importlib.resources.abc import Traversable
from pathlib import Path

from artdiff.errors import PresetError, nearest
from artdiff.preset.draft import Draft, Values, overlay
from artdiff.registry import Registry

Find = Callable[[str], Path | Traversable]


def draft_preset(registry: Registry, name: str) -> Draft:
    """Read a preset by name or path, with what it extends."""
    return read_preset(name, lambda wanted: find_preset(registry, wanted))


def find_preset(registry: Registry, name: str) -> Traversable:
    """The file of a preset by name.

    :raises PresetError: no plugin offers it; the message has the nearest name.
    """
    entries = registry.entries("presets")
    if name not in entries:
        here = " (a file needs its .toml)" if Path(f"{name}.toml").exists() else ""
        raise PresetError(f"unknown preset {name!r}{nearest(name, entries)}{here}")
    return entries[name].value


def read_preset(name: str, find: Find) -> Draft:
    """Read a preset by name or path, with everything it extends underneath it.

    :param find: turns a preset's name into its file; raises PresetError for unknown names.
    :raises PresetError: a file is missing, is not UTF-8 or not TOML, or extends itself.
    """
    return _read(name, _locate(name, None, find), find, {})


def _read(
    name: str, source: Path | Traversable, find: Find, seen: Mapping[Path | str, str]
) -> Draft:
    """Read one file over what it extends; `seen` are the files on the way here, as shown."""
    label = str(source) if isinstance(source, Path) else name
    known = source.resolve() if isinstance(source, Path) else name
    if known in seen:
        raise PresetError(f"{label}: extends itself ({' -> '.join([*seen.values(), label])})")
    values = _parse_file(source, label)
    parent = values.pop("extends", None)
    draft = Draft(Path(name).stem if _is_path(name) else name, {}, {})
    if parent is not None:
        if not isinstance(parent, str):
            raise PresetError(f"{label}: extends: must be the name or path of a preset")
        try:
            above = _locate(parent, source.parent if isinstance(source, Path) else None, find)
        except PresetError as error:
            raise PresetError(f"{label}: extends: {error}") from None
        below = _read(parent, above, find, {**seen, known: label})
        draft = Draft(draft.name, below.values, below.origin)
    return overlay(Draft(draft.name, draft.values, {**draft.origin, "": label}), values, label)


def _is_path(name: str) -> bool:
    return name.endswith(".toml") or "/" in name


def _locate(name: str, beside: Path | None, find: Find) -> Path | Traversable:
    if not _is_path(name):
        return find(name)
    path = Path(name)
    if beside is not None and not path.is_absolute():
        path = beside / path
    if not path.is_file():
        what = "is a folder, not a preset" if path.is_dir() else "no such file"
        raise PresetError(f"{path}: {what}")
    return path


def _parse_file(source: Path | Traversable, label: str) -> Values:
    try:
        return tomllib.loads(source.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise PresetError(f"{label}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PresetError(
            f"{label}: not UTF-8 (byte {error.start}); save the file as UTF-8"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise PresetError(f"{label}: not TOML: {error}") from error
