"""Where plugins come from, and what they read and write, for people who want to know."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from pydantic import BaseModel

from artdiff import __version__
from artdiff.hookspecs import GROUP, REGISTRATIONS
from artdiff.options import is_file
from artdiff.registry import Entry, Registry

__all__ = ["Provenance", "provenance"]


@dataclass(frozen=True)
class Provenance:
    """What is known of one loaded plugin.

    Attributes:
        name: how it is registered.
        version: of the package that brings it; "" of a single file.
        licence: as that package's metadata says; "" where it says nothing.
        offers: names by kind, ``{"guidance": ("clip",)}``.
        reads: options that name files, ``clip.image``, and what its ``READS`` says.
        writes: what its ``WRITES`` says.
    """

    name: str
    version: str
    licence: str
    offers: dict[str, tuple[str, ...]]
    reads: tuple[str, ...]
    writes: tuple[str, ...]


def provenance(registry: Registry) -> list[Provenance]:
    """Describe every loaded plugin, in the order they were loaded.

    A plugin's module may say more of itself, in ``READS`` and ``WRITES``, tuples of short texts.
    What it really does only its code can tell.
    """
    packages = {point.name: point.dist for point in entry_points(group=GROUP)}
    found = []
    for name in registry.plugins:
        module = registry.manager.get_plugin(name)
        entries = [
            entry
            for kind in REGISTRATIONS
            for entry in registry.entries(kind).values()
            if entry.plugin == name
        ]
        version, licence = __version__, "Apache-2.0"
        if not name.startswith("artdiff."):
            package = packages.get(name)
            version = package.version if package else ""
            licence = _licence(package.metadata) if package else ""
        offers = {
            kind: tuple(entry.name for entry in entries if entry.kind == kind)
            for kind in REGISTRATIONS
        }
        found.append(
            Provenance(
                name,
                version,
                licence,
                {kind: names for kind, names in offers.items() if names},
                (*_files(entries), *getattr(module, "READS", ())),
                tuple(getattr(module, "WRITES", ())),
            )
        )
    return found


def _licence(metadata: Any) -> str:
    said = metadata.get("License-Expression") or metadata.get("License") or ""
    return said.splitlines()[0] if said else ""


def _files(entries: list[Entry]) -> list[str]:
    """The options that name files."""
    found = []
    for entry in entries:
        options = getattr(entry.value, "Options", None)
        if isinstance(options, type) and issubclass(options, BaseModel):
            found += [
                f"{entry.name}.{key}"
                for key, field in options.model_fields.items()
                if is_file(field)
            ]
    return found
