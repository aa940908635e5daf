"""Finding the plugin that a check is about, and a registry that holds it."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from artdiff.errors import PluginError, nearest
from artdiff.hookspecs import GROUP
from artdiff.registry import Registry, Selection, check_hooks, create_registry

__all__ = ["find_plugin", "registered"]

LONE = "artdiff_checked_"
"""Before the name of a single file, lest it hides a module of that name."""


def find_plugin(plugin: ModuleType | str | Path, registry: Registry) -> ModuleType:
    """The module of a plugin, which is imported unless it is loaded already.

    Args:
        plugin: a module, the name of one, the name of an installed plugin, the path of a Python
            file, of a package's folder, or of a project whose ``pyproject.toml`` has the entry
            point.
        registry: of what is installed; whatever lies in a file of it is not imported again.

    Raises:
        PluginError: there is none.
    """
    if isinstance(plugin, ModuleType):
        return plugin
    path = Path(plugin)
    if path.is_dir():
        return _from_file(_inside(path), registry)
    if path.suffix == ".py" or path.exists() or len(path.parts) > 1:
        return _from_file(path, registry)
    installed = registry.manager.get_plugin(str(plugin))
    if installed is not None:
        return installed
    points = {point.name: point for point in entry_points(group=GROUP)}
    if str(plugin) in points:  # broken, so that the registry has left it out
        return points[str(plugin)].load()
    try:
        return importlib.import_module(str(plugin))
    except ModuleNotFoundError as error:
        if error.name is None or not f"{plugin}.".startswith(f"{error.name}."):
            raise
        known = nearest(str(plugin), points)
        raise PluginError(
            f"{plugin}: no such file or folder, and no plugin or module of that name is "
            f"installed{known}"
        ) from None


def registered(module: ModuleType, registry: Registry) -> str:
    """The name of a plugin in a registry, where it is registered if it was not."""
    known = registry.manager.get_name(module)
    if known is None:
        known = module.__name__.rpartition(".")[2].removeprefix(LONE)
        registry.manager.register(module, known)
        check_hooks(registry.manager, module)
    return known


def alone(module: ModuleType, name: str) -> Registry:
    """A registry of a plugin and of what artdiff brings, without the other installed ones."""
    registry = create_registry(Selection(()))
    if registry.manager.get_name(module) is None:
        registry.manager.register(module, name)
    return registry


def _inside(folder: Path) -> Path:
    """The file of the package in a folder, which is one, or a project that has one."""
    init, project = folder / "__init__.py", folder / "pyproject.toml"
    if init.is_file():
        return init
    if not project.is_file():
        raise PluginError(f"{folder}: holds neither __init__.py nor pyproject.toml")
    try:
        values = tomllib.loads(project.read_text("utf-8"))
        points = values["project"]["entry-points"][GROUP]
        modules = sorted({str(value).partition(":")[0] for value in points.values()})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PluginError(f"{project}: not TOML: {error}") from None
    except (KeyError, AttributeError):
        raise PluginError(
            f'{project}: no entry point of the group "{GROUP}"; add [project.entry-points.{GROUP}]'
        ) from None
    if len(modules) != 1:
        raise PluginError(f"{project}: several plugins, {', '.join(modules)}; check each")
    tried = [base / Path(*modules[0].split(".")) for base in (folder, folder / "src")]
    places = [p for t in tried for p in (t / "__init__.py", t.with_suffix(".py"))]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise PluginError(f"{project}: names the module {modules[0]}, which is not in {folder}")
    return found


def _from_file(file: Path, registry: Registry) -> ModuleType:
    """The module of a file, or of a package by its ``__init__.py``."""
    if not file.is_file():
        raise PluginError(f"{file}: no such file")
    file = file.resolve()
    for _, loaded in registry.manager.list_name_plugin():
        at = getattr(loaded, "__file__", None)
        if isinstance(loaded, ModuleType) and at and Path(at).resolve() == file:
            return loaded
    package = file.name == "__init__.py"
    name = file.parent.name if package else f"{LONE}{file.stem}"
    there = sys.modules.get(name)
    if package and there is not None and Path(there.__file__ or "").resolve() == file:
        return there
    folders = [str(file.parent)] if package else None
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=folders)
    if spec is None or spec.loader is None:
        raise PluginError(f"{file}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    for part in [each for each in sys.modules if each.startswith(f"{name}.")]:
        del sys.modules[part]  # of another package of that name
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        if there is not None:
            sys.modules[name] = there
        raise
    return module
