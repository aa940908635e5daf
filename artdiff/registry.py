"""The plugin manager, made by a function, and the registry of what plugins offer by name."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import pluggy

from artdiff import hookspecs
from artdiff.errors import PluginError, nearest
from artdiff.hookspecs import GROUP, REGISTRATIONS

BUILTINS = ("artdiff.builtins", "artdiff.backends.starter")


@dataclass(frozen=True)
class Entry:
    """One named thing and the plugin that offers it."""

    kind: str
    name: str
    value: Any
    plugin: str


class Registry:
    """Everything that the plugins of one manager offer; each kind is asked for once, lazily."""

    def __init__(self, manager: pluggy.PluginManager) -> None:
        self.manager = manager
        self._kinds: dict[str, dict[str, Entry]] = {}

    @property
    def hook(self) -> Any:
        """The manager's hook caller."""
        return self.manager.hook

    @cached_property
    def plugins(self) -> tuple[str, ...]:
        """Names of the loaded plugins, in the order they were loaded."""
        return tuple(name for name, _ in self.manager.list_name_plugin() if name)

    def entries(self, kind: str) -> Mapping[str, Entry]:
        """All entries of a kind (``"samplers"``, ``"guidance"``, ...) by name.

        :raises PluginError: two plugins offer the same name, or a plugin's hook raised.
        """
        if kind not in self._kinds:
            self._kinds[kind] = self._collect(kind)
        return self._kinds[kind]

    def get(self, kind: str, name: str) -> Any:
        """The class, card or file registered under a name.

        :raises PluginError: nothing is registered under it; the message has the nearest name.
        """
        entries = self.entries(kind)
        if name not in entries:
            singular = kind.replace("_", " ").removesuffix("s")
            raise PluginError(f"unknown {singular} {name!r}{nearest(name, entries)}")
        return entries[name].value

    def _collect(self, kind: str) -> dict[str, Entry]:
        found: dict[str, Entry] = {}
        caller = getattr(self.manager.hook, REGISTRATIONS[kind])
        for impl in sorted(caller.get_hookimpls(), key=lambda impl: impl.plugin_name):
            try:
                offered = dict(impl.function())
            except Exception as error:
                raise PluginError(
                    f"plugin {impl.plugin_name!r} failed in {REGISTRATIONS[kind]}: {error!r}"
                ) from error
            for name, value in offered.items():
                if name in found:
                    raise PluginError(
                        f"{kind}: {name!r} is offered by both {found[name].plugin!r} and "
                        f"{impl.plugin_name!r}; uninstall one, or leave it out of ARTDIFF_PLUGINS"
                    )
                found[name] = Entry(kind, name, value, impl.plugin_name)
        return dict(sorted(found.items()))


@dataclass(frozen=True)
class Selection:
    """Which plugins to load beside the built-in ones.

    `names` are entry points of the group ``artdiff`` (None = all that are installed); `files` are
    single Python files, as given by ``--plugin``.
    """

    names: tuple[str, ...] | None = None
    files: tuple[str, ...] = field(default=())

    @classmethod
    def from_environment(cls, files: Iterable[str] = ()) -> Selection:
        """Read ``ARTDIFF_PLUGINS``: unset = all installed, empty = none, ``a,b`` = these."""
        value = os.environ.get("ARTDIFF_PLUGINS")
        names = None if value is None else tuple(n.strip() for n in value.split(",") if n.strip())
        return cls(names, tuple(str(f) for f in files))


def create_registry(selection: Selection | None = None) -> Registry:
    """Make a plugin manager with the selected plugins and the registry over it.

    Nothing global is touched; make as many as you like. With ``ARTDIFF_TRACE=1`` every hook call
    is written to standard error.

    :raises PluginError: a plugin is not installed, cannot be imported, or implements an unknown
        hook or a known one with wrong arguments.
    """
    selection = selection or Selection.from_environment()
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    for name in BUILTINS:
        manager.register(importlib.import_module(name), name)
    for point in _points(selection.names):
        _register(manager, point.name, lambda point=point: point.load())
    for file in selection.files:
        _register(manager, Path(file).stem, lambda file=file: _import_file(Path(file)))
    for plugin in manager.get_plugins():
        name = manager.get_name(plugin)
        for hook in manager.get_hookcallers(plugin) or ():
            if not hook.has_spec():
                known = [h for h in vars(hookspecs) if h.startswith(("register_", "on_", "load_"))]
                raise PluginError(
                    f"plugin {name!r} implements the unknown hook {hook.name!r}"
                    f"{nearest(hook.name, known)}"
                )
    if os.environ.get("ARTDIFF_TRACE", "") not in ("", "0"):
        manager.add_hookcall_monitoring(_trace_before, _trace_after)
    return Registry(manager)


def installed_plugins() -> dict[str, EntryPoint]:
    """Installed plugins by name: entry points of the group ``artdiff``."""
    return {point.name: point for point in sorted(entry_points(group=GROUP))}


def _points(names: tuple[str, ...] | None) -> list[EntryPoint]:
    points = installed_plugins()
    if names is None:
        return list(points.values())
    missing = [name for name in names if name not in points]
    if missing:
        raise PluginError(
            f"ARTDIFF_PLUGINS: no plugin {missing[0]!r} is installed{nearest(missing[0], points)}"
        )
    return [points[name] for name in names]


def _register(manager: pluggy.PluginManager, name: str, load: Any) -> None:
    try:
        manager.register(load(), name)
    except PluginError:
        raise
    except pluggy.PluginValidationError as error:
        text = " ".join(str(error).split())
        raise PluginError(f"plugin {name!r} does not fit the hooks: {text}") from error
    except Exception as error:
        raise PluginError(f"plugin {name!r} could not be loaded: {error!r}") from error


def _import_file(path: Path) -> Any:
    if not path.is_file():
        raise PluginError(f"--plugin {path}: no such file")
    name = f"artdiff_file_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PluginError(f"--plugin {path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _trace_before(hook_name: str, methods: list[Any], arguments: Mapping[str, Any]) -> None:
    shown = ", ".join(f"{key}={_brief(value)}" for key, value in arguments.items())
    plugins = ", ".join(method.plugin_name for method in methods) or "nobody"
    print(f"artdiff hook {hook_name}({shown}) -> {plugins}", file=sys.stderr)


def _trace_after(outcome: Any, hook_name: str, methods: Any, arguments: Any) -> None:
    if outcome.exception is not None:
        print(f"artdiff hook {hook_name} raised {outcome.exception!r}", file=sys.stderr)


def _brief(value: Any) -> str:
    text = f"<{type(value).__name__}>" if hasattr(value, "shape") else repr(value)
    return text if len(text) < 60 else text[:57] + "..."
