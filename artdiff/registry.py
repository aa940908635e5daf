"""The plugin manager, made by a function, and the registry of what plugins offer by name."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import pluggy

from artdiff import hookspecs
from artdiff.errors import ArtdiffError, PluginError, PluginWarning, nearest
from artdiff.hookspecs import GROUP, HOOK_API, OLDEST_API, REGISTRATIONS
from artdiff.model import ModelCard
from artdiff.user_models import models_folder

BUILTINS = ("artdiff.builtins", "artdiff.backends.starter", "artdiff.backends.adm")


@dataclass(frozen=True)
class Entry:
    """One named thing and the plugin that offers it."""

    kind: str
    name: str
    value: Any
    plugin: str


class Registry:
    """Everything that the plugins of one manager offer; each kind is asked for once, lazily."""

    def __init__(self, manager: pluggy.PluginManager, trace: bool = False) -> None:
        self.manager, self.trace = manager, trace
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

    def offer(self, kind: str, name: str, value: Any, plugin: str = "here") -> None:
        """Offer one thing more, in this registry only: the model of a folder, say.

        :raises PluginError: something is registered under the name already.
        """
        entries = self.entries(kind)
        if name in entries:
            raise PluginError(f"{kind}: {name!r} is offered by {entries[name].plugin!r} already")
        together = {**entries, name: Entry(kind, name, value, plugin)}
        self._kinds[kind] = dict(sorted(together.items()))

    def loaders(self, card: ModelCard) -> Iterator[Callable[..., Any]]:
        """``load_model`` of the plugin that offers a card, of artdiff's own, of the others."""
        offering = {e.plugin for e in self.entries("models").values() if e.value.name == card.name}
        own, names = set(BUILTINS) - offering, set(self.plugins)
        for group in (offering, own, names - offering - own):
            others = [self.manager.get_plugin(name) for name in names - group]
            hook = self.manager.subset_hook_caller("load_model", others)
            if hook.get_hookimpls():
                yield hook

    def code(self, plugin: str) -> str:
        """Names the code of a plugin's module, see `named_code`."""
        return named_code(plugin, getattr(self.manager.get_plugin(plugin), "__file__", None))

    def blame(self, error: Exception) -> PluginError | None:
        """Name the plugin whose code is deepest in an unexpected error's traceback, if any is."""
        if isinstance(error, ArtdiffError):
            return None
        files = {}
        for name in self.plugins:
            file = getattr(self.manager.get_plugin(name), "__file__", None)
            if file and name not in BUILTINS:
                files[file.removesuffix("__init__.py")] = name
        trace, culprit = error.__traceback__, None
        while trace is not None:
            path = trace.tb_frame.f_code.co_filename
            culprit = next((n for prefix, n in files.items() if path.startswith(prefix)), culprit)
            trace = trace.tb_next
        if culprit is None:
            return None
        return PluginError(f"plugin {culprit!r} failed: {type(error).__name__}: {error}")

    @contextmanager
    def blaming(self) -> Iterator[None]:
        """Turn an unexpected error of a plugin's code into one that names the plugin."""
        try:
            yield
        except Exception as error:
            blamed = self.blame(error)
            if blamed is None:
                raise
            raise blamed from error

    def _collect(self, kind: str) -> dict[str, Entry]:
        found: dict[str, Entry] = {}
        hook = REGISTRATIONS[kind]
        caller = getattr(self.manager.hook, hook)
        for impl in sorted(caller.get_hookimpls(), key=lambda impl: impl.plugin_name):
            if self.trace:
                _trace_before(hook, [impl], {})
            try:
                offered = dict(impl.function())
            except Exception as error:
                raise PluginError(
                    f"plugin {impl.plugin_name!r} failed in {hook}: {_said(error)}"
                ) from error
            for name, value in offered.items():
                if not isinstance(name, str):
                    raise PluginError(
                        f"plugin {impl.plugin_name!r} offers {name!r} in {hook}: names are texts"
                    )
                wanted = _wanted(kind, value)
                if wanted is not None:
                    raise PluginError(
                        f"plugin {impl.plugin_name!r} offers {name!r} in {hook}, which must be "
                        f"{wanted} (got {_brief(value)})"
                    )
                if name in found:
                    raise PluginError(
                        f"{kind}: {name!r} is offered by both {found[name].plugin!r} and "
                        f"{impl.plugin_name!r}; {_remedy(found[name].value, value)}"
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
        """Read ``ARTDIFF_PLUGINS``: unset = all, ``a,b`` = these beside artdiff's own."""
        value = os.environ.get("ARTDIFF_PLUGINS")
        names = None
        if value is not None:
            points = entry_points(group=GROUP)
            own = (point.name for point in points if _is_own(point))
            names = (*own, *(n.strip() for n in value.split(",") if n.strip()))
        return cls(names, tuple(str(f) for f in files))


def create_registry(selection: Selection | None = None) -> Registry:
    """Make a plugin manager with the selected plugins and the registry over it.

    Nothing global is touched; make as many as you like. With ``ARTDIFF_TRACE=1`` every hook call
    is written to standard error.

    A plugin cannot be used that cannot be imported, or implements an unknown hook or a known one
    with wrong arguments. One that is only installed is left out then (`PluginWarning`).

    :raises PluginError: a plugin that is asked for is not installed or cannot be used; or two have
        one name.
    """
    selection = selection or Selection.from_environment()
    trace = os.environ.get("ARTDIFF_TRACE", "") not in ("", "0")
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    for name in BUILTINS:
        manager.register(importlib.import_module(name), name)
    for point in _points(selection.names):
        with _sparing(selection.names is None and not _is_own(point)):
            _register(manager, point.name, lambda point=point: point.load())
    for file in dict.fromkeys(selection.files):
        _register(manager, Path(file).stem, lambda file=file: _import_file(Path(file)))
    if trace:
        manager.add_hookcall_monitoring(_trace_before, _trace_after)
    return Registry(manager, trace)


def check_hooks(manager: pluggy.PluginManager, plugin: Any) -> None:
    """Make sure that a plugin of a manager implements hooks that there are.

    :raises PluginError: it does not; the message has the nearest name.
    """
    for hook in manager.get_hookcallers(plugin) or ():
        impls = [impl for impl in hook.get_hookimpls() if impl.plugin is plugin]
        if not hook.has_spec() and not all(impl.optionalhook for impl in impls):
            known = [h for h in vars(hookspecs) if h.startswith(("register_", "on_", "load_"))]
            raise PluginError(
                f"plugin {manager.get_name(plugin)!r} implements the unknown hook {hook.name!r}"
                f"{nearest(hook.name, known)}"
            )


def _points(names: tuple[str, ...] | None) -> list[EntryPoint]:
    """The entry points of the group ``artdiff`` that are selected; two of one name both."""
    points = sorted(entry_points(group=GROUP))
    if names is None:
        return points
    known = {point.name for point in points}
    missing = [name for name in names if name not in known]
    if missing:
        raise PluginError(
            f"ARTDIFF_PLUGINS: no plugin {missing[0]!r} is installed{nearest(missing[0], known)}"
        )
    return [point for name in dict.fromkeys(names) for point in points if point.name == name]


class _Unusable(PluginError):
    """A plugin that cannot be used, whatever else is there."""


@contextmanager
def _sparing(left_out: bool) -> Iterator[None]:
    """Warn of a plugin that cannot be used, where it may be left out."""
    try:
        yield
    except _Unusable as error:
        if not left_out:
            raise
        warnings.warn(f"{error}; it is left out", PluginWarning, stacklevel=1)


def _is_own(point: EntryPoint) -> bool:
    return point.dist is not None and point.dist.name == "artdiff"


def _register(manager: pluggy.PluginManager, name: str, load: Callable[[], Any]) -> None:
    plugin = _loaded(name, load)
    if manager.has_plugin(name):
        both = " and ".join(_home(p) for p in (manager.get_plugin(name), plugin))
        raise PluginError(f"two plugins are called {name!r}: {both}; leave one out")
    try:
        manager.register(plugin, name)
        check_hooks(manager, plugin)
    except Exception as error:
        if manager.get_plugin(name) is plugin:  # it may be there under another name, and stays
            manager.unregister(plugin)
        raise _Unusable(_fitting(name, error)) from error


def _loaded(name: str, load: Callable[[], Any]) -> Any:
    try:
        plugin = load()
    except PluginError as error:
        raise _Unusable(str(error)) from error
    except (Exception, SystemExit) as error:
        raise _Unusable(f"plugin {name!r} could not be loaded: {_said(error)}") from error
    _check_api(name, plugin)
    return plugin


def _fitting(name: str, error: Exception) -> str:
    text = " ".join(str(error).split())
    is_ours = isinstance(error, PluginError)
    return text if is_ours else f"plugin {name!r} does not fit the hooks: {text}"


def _check_api(name: str, plugin: Any) -> None:
    """Refuse a plugin whose ``ARTDIFF_API`` says that it was written for other hooks."""
    wanted = getattr(plugin, "ARTDIFF_API", HOOK_API)
    if wanted in range(OLDEST_API, HOOK_API + 1):
        return
    mend = "a newer artdiff" if isinstance(wanted, int) and wanted > HOOK_API else "a newer plugin"
    raise _Unusable(
        f"plugin {name!r} was written for hooks {wanted!r}, this artdiff has {HOOK_API}; "
        f"install {mend}"
    )


def _import_file(path: Path) -> Any:
    if not path.is_file():
        raise PluginError(f"--plugin {path}: no such file")
    name = f"artdiff_file_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PluginError(f"--plugin {path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def named_code(plugin: str, file: str | None) -> str:
    """Names the code in a plugin's file: ``plugin@`` and eight digits of the file's hash."""
    if file is None:
        return plugin
    return f"{plugin}@{hashlib.sha256(Path(file).read_bytes()).hexdigest()[:8]}"


def _wanted(kind: str, value: Any) -> str | None:
    """What an offered value must be, if it is not that."""
    from pydantic import BaseModel

    if kind == "models":
        return None if isinstance(value, ModelCard) else "a ModelCard"
    if kind == "presets":
        return None if hasattr(value, "read_bytes") else "a TOML file, such as a Path"
    if not isinstance(value, type):
        return "a class, not an instance"
    if kind in ("metrics", "importers"):
        return None
    options = getattr(value, "Options", None)
    fits = isinstance(options, type) and issubclass(options, BaseModel)
    return None if fits else "a class with its options, class Options(BaseModel)"


def _remedy(*values: Any) -> str:
    """How to be rid of one of several things of one name."""
    for value in values:
        folder = Path(str(value.folder)) if isinstance(value, ModelCard) else None
        if folder is not None and folder.parent == models_folder():
            return f"rename the folder {folder}"
    return "uninstall one, or leave it out of ARTDIFF_PLUGINS"


def _home(plugin: Any) -> str:
    return str(getattr(plugin, "__file__", plugin))


def _said(error: BaseException) -> str:
    return str(error) if isinstance(error, ArtdiffError) else f"{type(error).__name__}: {error}"


def _trace_before(hook_name: str, methods: Sequence[Any], arguments: Mapping[str, Any]) -> None:
    shown = ", ".join(f"{key}={_brief(value)}" for key, value in arguments.items())
    plugins = ", ".join(method.plugin_name for method in methods) or "nobody"
    print(f"artdiff hook {hook_name}({shown}) -> {plugins}", file=sys.stderr)


def _trace_after(outcome: Any, hook_name: str, methods: Any, arguments: Any) -> None:
    if outcome.exception is not None:
        print(f"artdiff hook {hook_name} raised {outcome.exception!r}", file=sys.stderr)


def _brief(value: Any) -> str:
    text = f"<{type(value).__name__}>" if hasattr(value, "shape") else repr(value)
    return text if len(text) < 60 else text[:57] + "..."
