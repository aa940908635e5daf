"""Where plugins come from, and what they read and write, for people who want to know."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from pydantic import BaseModel

from artdiff import __version__
from artdiff.errors import PluginError
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
        offers: names by kind, ``{"guidance": ("clip",)}``; ``commands`` and ``observers`` are
            kinds as well.
        reads: options that name files, ``clip.image``, and what its ``READS`` says.
        writes: what its ``WRITES`` says.
        trouble: what its hooks said instead of an answer.
    """

    name: str
    version: str
    licence: str
    offers: dict[str, tuple[str, ...]]
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    trouble: tuple[str, ...] = ()


def provenance(registry: Registry) -> list[Provenance]:
    """Describe every loaded plugin, in the order they were loaded.

    A plugin's module may say more of itself, in ``READS`` and ``WRITES``, tuples of short texts.
    What it really does only its code can tell.
    """
    packages = {point.name: point.dist for point in entry_points(group=GROUP)}
    kinds, trouble = _asked(registry)
    found = []
    for name in registry.plugins:
        module = registry.manager.get_plugin(name)
        entries = [entry for kind in kinds.values() for entry in kind if entry.plugin == name]
        version, licence = __version__, "Apache-2.0"
        if not name.startswith("artdiff."):
            package = packages.get(name)
            version = package.version if package else ""
            licence = _licence(package.metadata) if package else ""
        offers = {
            kind: tuple(entry.name for entry in entries if entry.kind == kind) for kind in kinds
        }
        said = [text for text in trouble if repr(name) in text]
        try:
            offers["commands"] = _commands(module)
        except Exception as error:  # a plugin may fail in any way
            offers["commands"] = ()
            said.append(f"register_commands: {type(error).__name__}: {error}")
        hooks = (caller.name for caller in registry.manager.get_hookcallers(module) or ())
        offers["observers"] = tuple(sorted(hook for hook in hooks if hook.startswith("on_")))
        found.append(
            Provenance(
                name,
                version,
                licence,
                {kind: names for kind, names in offers.items() if names},
                (*_files(entries), *getattr(module, "READS", ())),
                tuple(getattr(module, "WRITES", ())),
                tuple(said),
            )
        )
    return found


def _asked(registry: Registry) -> tuple[dict[str, list[Entry]], list[str]]:
    """What is offered by kind, and what went wrong: one plugin that fails hides its kind."""
    kinds: dict[str, list[Entry]] = {}
    trouble = []
    for kind in REGISTRATIONS:
        try:
            kinds[kind] = list(registry.entries(kind).values())
        except PluginError as error:
            trouble.append(str(error))
    return kinds, trouble


def _commands(module: Any) -> tuple[str, ...]:
    """The names of the commands that a plugin adds."""
    if not hasattr(module, "register_commands"):
        return ()
    import click

    group = click.Group("artdiff")
    module.register_commands(cli=group)
    return tuple(sorted(group.commands))


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
