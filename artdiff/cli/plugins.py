"""artdiff plugins: who offers what, and a plugin of your own: its beginning, its checks."""

from __future__ import annotations

from pathlib import Path

import click

from artdiff.errors import MachineError, PluginError, nearest


@click.group("plugins")
def command() -> None:
    """List, show, check and begin plugins."""


@command.command("list", short_help="List the loaded plugins and what they offer.")
@click.option("--plugin", "files", multiple=True, metavar="FILE", help="Also load this file.")
def list_plugins(files: tuple[str, ...]) -> None:
    """List the loaded plugins: version, licence, what each offers, reads and writes."""
    from artdiff.provenance import provenance
    from artdiff.registry import Selection, create_registry

    for plugin in provenance(create_registry(Selection.from_environment(files))):
        from_where = ", ".join(part for part in (plugin.version, plugin.licence) if part)
        click.echo(f"{plugin.name} ({from_where or 'a file'})")
        for kind, names in plugin.offers.items():
            click.echo(f"  {kind.replace('_', ' '):18} {', '.join(names)}")
        for what, names in (("reads", plugin.reads), ("writes", plugin.writes)):
            if names:
                click.echo(f"  {what:18} {', '.join(names)}")
        for text in plugin.trouble:
            click.echo(f"  {'failed':18} {text}")


@command.command("show", short_help="Show what a name is, and its options.")
@click.argument("name")
@click.option("--plugin", "files", multiple=True, metavar="FILE", help="Also load this file.")
def show(name: str, files: tuple[str, ...]) -> None:
    """Show what NAME (a sampler, a guidance term, ...) is and which options it has."""
    from artdiff.hookspecs import REGISTRATIONS
    from artdiff.registry import Selection, create_registry

    registry = create_registry(Selection.from_environment(files))
    entries = [
        registry.entries(kind)[name] for kind in REGISTRATIONS if name in registry.entries(kind)
    ]
    if not entries:
        known = [n for kind in REGISTRATIONS for n in registry.entries(kind)]
        raise PluginError(f"nothing is called {name!r}{nearest(name, known)}")
    for entry in entries:
        singular = entry.kind.replace("_", " ").removesuffix("s")
        click.echo(f"{entry.name}: {singular} of plugin {entry.plugin}")
        # of a model or a preset, the class is not what was asked for
        text = entry.value.__doc__ if isinstance(entry.value, type) else ""
        text = (text or getattr(entry.value, "title", "")).strip().split("\n\n")[0]
        if text:
            click.echo(f"  {' '.join(text.split())}")
        options = getattr(entry.value, "Options", None)
        for key, field in options.model_fields.items() if options else ():
            default = field.get_default(call_default_factory=True)
            default = "required" if field.is_required() else f"default {default!r}"
            click.echo(f"  {key} ({default}): {field.description or ''}")


@command.command("check", short_help="Say what is wrong with a plugin.")
@click.argument("plugin")
@click.option(
    "-s",
    "--set",
    "settings",
    multiple=True,
    metavar="NAME.KEY=VALUE",
    help="An option of what is offered as NAME.",
)
def check(plugin: str, settings: tuple[str, ...]) -> None:
    """Say what is wrong with PLUGIN, and what to do about it.

    PLUGIN is a Python file, the folder of a project or of a package, or the name of an installed
    plugin or of a module.
    """
    from artdiff.testing import check_plugin

    options: dict[str, dict[str, str]] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        name, dot, key = key.rpartition(".")
        if not (equals and dot and name and key):
            raise PluginError(f"-s {setting}: write NAME.KEY=VALUE")
        options.setdefault(name, {})[key] = value
    findings = check_plugin(plugin, options)
    for finding in findings:
        click.echo(finding)
    wrong = sum(finding.level == "wrong" for finding in findings)
    click.echo(f"{plugin}: {f'{wrong} to mend' if wrong else 'nothing wrong'}")
    click.get_current_context().exit(1 if wrong else 0)


@command.command("new", short_help="Write the beginning of a plugin.")
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(["guidance", "projection", "effect"]),
    default="guidance",
    show_default=True,
    help="What it begins with.",
)
@click.option("--file", "single", is_flag=True, help="One Python file instead of a package.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="The folder, or the Python file; by default NAME here.",
)
def new(name: str, kind: str, single: bool, output: Path | None) -> None:
    """Write the beginning of a plugin: a package with a test and a preset, ready to use."""
    from artdiff.scaffold import plugin_file, plugin_package

    module, folder = name.replace("-", "_"), output or Path(name)
    if single:
        files = {output or Path(f"{module}.py"): plugin_file(name, kind)}
    else:
        files = {folder / path: text for path, text in plugin_package(name, kind).items()}
    _refuse_taken(name)
    if single:
        _write(files)
        (path,) = files
        click.echo(path)
        for command in (
            f"artdiff plugins check {path}", f"artdiff plugins show {name} --plugin {path}"
        ):  # fmt: skip
            click.echo(f"next: {command}")
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise PluginError(f"{folder} is there already; choose another -o")
    _write(files)
    for path in files:
        click.echo(path)
    for command in (
        f"pip install -e {folder}", f"artdiff plugins check {name}", f"artdiff render {name}"
    ):  # fmt: skip
        click.echo(f"next: {command}")


def _refuse_taken(name: str) -> None:
    """Make sure that no other plugin offers a term, an effect or a preset of a name."""
    from artdiff.registry import create_registry

    registry = create_registry()
    for kind in ("guidance", "effects", "presets"):
        entry = registry.entries(kind).get(name)
        if entry is not None and entry.plugin != name:
            raise PluginError(f"{name!r} is offered by {entry.plugin!r} already; use another name")


def _write(files: dict[Path, str]) -> None:
    """Write new files; what is there stays."""
    for path, text in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            raise PluginError(f"{path} is there already; choose another -o") from None
        except OSError as error:
            raise MachineError(f"cannot write {path}: {error.strerror}") from error
