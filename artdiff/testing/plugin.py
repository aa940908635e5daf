"""One check of everything that a plugin registers."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from artdiff.errors import ArtdiffError, ModelError, PluginError
from artdiff.hookspecs import REGISTRATIONS
from artdiff.model import ModelCard
from artdiff.plan.resolve import resolve
from artdiff.preset.file import draft_preset
from artdiff.registry import Entry, Registry, Selection, create_registry
from artdiff.testing.findings import Finding, Report, said
from artdiff.testing.guiders import check_guider
from artdiff.testing.loading import alone, find_plugin, registered
from artdiff.testing.measures import check_feature_extractor, check_metric
from artdiff.testing.pieces import check_dataset, check_effect, check_frame_source
from artdiff.testing.samplers import check_grid, check_sampler
from artdiff.testing.terms import check_guidance

__all__ = ["check_plugin"]

CHECKS: dict[str, Callable[..., list[Finding]]] = {
    "guidance": check_guidance,
    "samplers": check_sampler,
    "grids": check_grid,
    "guiders": check_guider,
    "effects": check_effect,
    "frame_sources": check_frame_source,
    "datasets": check_dataset,
    "metrics": check_metric,
    "feature_extractors": check_feature_extractor,
}


def check_plugin(
    plugin: ModuleType | str | Path,
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[Finding]:
    """Check everything that a plugin registers: what is wrong and how to mend it.

    Nothing is downloaded and no weights are read. An empty list, or one of notes only, means that
    the plugin keeps what artdiff relies on; whether its pictures are good is another question.

    Args:
        plugin: a module, the name of one or of an installed plugin, or the path of a Python file,
            of a package's folder, or of a project with ``pyproject.toml``.
        options: by the name of what is offered, values for its options; the defaults otherwise.
            What has options without a default is not checked without them.

    Returns:
        The findings; ``str(finding)`` is one line.
    """
    label = plugin.__name__ if isinstance(plugin, ModuleType) else str(plugin)
    report = Report("plugin", label)
    try:
        registry = create_registry(Selection.from_environment())
        module = find_plugin(plugin, registry)
        name = registered(module, registry)
    except (ArtdiffError, pluggy.PluginValidationError) as error:
        report.wrong("loads", said(error), "see docs/plugins.md for the hooks and their arguments")
        return report.findings
    except (Exception, SystemExit) as error:
        report.wrong("loads", said(error), "a plugin must import by itself")
        return report.findings
    _check_imports(report, module)
    offered = 0
    for kind in REGISTRATIONS:
        for entry in _entries(report, kind, module, name, registry):
            offered += 1
            chosen = (options or {}).get(entry.name)
            own = Report(kind.removesuffix("s").replace("_", " "), entry.name)
            with own.guard("runs", "no more of it could be checked"):
                if kind in CHECKS:
                    own.findings += CHECKS[kind](entry.value, chosen, name=entry.name)
                elif kind == "models":
                    own.findings += _check_card(entry.name, entry.value)
                elif kind == "presets":
                    own.findings += _check_preset(entry.name, registry)
            report.findings += own.findings
    hooks = {caller.name for caller in registry.manager.get_hookcallers(module) or ()}
    if "register_commands" in hooks:
        report.findings += _check_commands(module)
    if not offered and not hooks:
        report.wrong("offers", "implements no hook", "mark functions with @artdiff.hookimpl")
    return report.findings


def _entries(
    report: Report, kind: str, module: ModuleType, name: str, registry: Registry
) -> list[Entry]:
    """What a plugin offers of a kind; a hook of another plugin that fails is not its fault."""
    try:
        return [e for e in registry.entries(kind).values() if e.plugin == name]
    except PluginError as error:
        try:
            lone = alone(module, name).entries(kind)
        except PluginError as own:
            report.wrong(f"register_{kind}", str(own), "mend what the hook returns")
            return []
        if repr(name) in str(error):
            report.wrong(f"register_{kind}", str(error), "or offer it by a name of its own")
        elif any(e.plugin == name for e in lone.values()):
            report.note("another plugin", str(error), "its names could not be compared")
        return [e for e in lone.values() if e.plugin == name]


def _check_imports(report: Report, module: ModuleType) -> None:
    """The entry module of a package is imported at every start of artdiff."""
    if not hasattr(module, "__path__") or not module.__file__:
        return
    heavy = {"torch", "torchvision", "diffusers", "transformers", "open_clip", "scipy", "cv2"}
    tree = ast.parse(Path(module.__file__).read_text("utf-8"))
    for node in tree.body:
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for found in {name.partition(".")[0] for name in names} & heavy:
            report.wrong(
                "slow start", f"imports {found} at its top, so that `artdiff --help` waits for it",
                "import what a hook offers inside the hook",
            )  # fmt: skip


def _check_card(name: str, card: ModelCard) -> list[Finding]:
    report = Report("model", name)
    if not card.licence:
        report.wrong("licence", "the card names no licence", "add licence = '...'")
    try:
        card.digest()
    except ModelError as error:
        report.note("weights", str(error))
    return report.findings


def _check_preset(name: str, registry: Registry) -> list[Finding]:
    report = Report("preset", name)
    try:
        plan = resolve(draft_preset(registry, name), registry)
        for index in {0, plan.count // 2, plan.count - 1}:
            plan.job(index)
    except ArtdiffError as error:
        if "unknown model" in str(error):
            report.note("not checked", str(error))
        else:
            report.wrong("resolves", str(error), f"see `artdiff plan {name}`")
    except Exception as error:
        report.wrong("resolves", said(error), f"see `artdiff plan {name}`")
    return report.findings


def _check_commands(module: ModuleType) -> list[Finding]:
    import click
    from click.testing import CliRunner

    group = click.Group("artdiff")
    report = Report("plugin", module.__name__)
    with report.guard("commands", "register_commands(cli) adds commands by cli.add_command"):
        module.register_commands(cli=group)
    for name, command in group.commands.items():
        result = CliRunner().invoke(command, ["--help"])
        if result.exit_code:
            report.wrong("commands", f"`{name} --help` fails", "mend the command's options")
        if not command.get_short_help_str():
            report.wrong("commands", f"the command {name!r} says nothing of itself", "a docstring")
    return report.findings
