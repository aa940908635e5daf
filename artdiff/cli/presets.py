"""artdiff presets: list them, show one, describe what a preset may say."""

from __future__ import annotations

import json
import tomllib

import click

from artdiff.errors import PresetError


@click.group("presets")
def command() -> None:
    """List, show and describe presets."""


@command.command("list")
def list_presets() -> None:
    """List the presets that artdiff and its plugins bring."""
    from artdiff.registry import create_registry

    for name, entry in create_registry().entries("presets").items():
        try:
            values = tomllib.loads(entry.value.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise PresetError(f"preset {name!r} of plugin {entry.plugin!r}: {error}") from error
        click.echo(f"{name:22} {values.get('title', '')}")


@command.command("show")
@click.argument("preset")
@click.option("--resolved", is_flag=True, help="With defaults and what it extends, as JSON.")
def show(preset: str, resolved: bool) -> None:
    """Show PRESET as it is written, or with every value it ends up with."""
    from artdiff.plan.resolve import resolve
    from artdiff.preset.file import draft_preset, find_preset
    from artdiff.registry import create_registry

    registry = create_registry()
    if resolved:
        plan = resolve(draft_preset(registry, preset), registry)
        click.echo(plan.preset.model_dump_json(indent=2))
        return
    if preset in registry.entries("presets"):
        click.echo(find_preset(registry, preset).read_text("utf-8"), nl=False)
        return
    draft_preset(registry, preset)
    with open(preset, encoding="utf-8") as file:
        click.echo(file.read(), nl=False)


@command.command("schema")
def schema() -> None:
    """Print the JSON Schema of presets, for editors that complete and check TOML."""
    from artdiff.preset.schema import preset_schema
    from artdiff.registry import create_registry

    click.echo(json.dumps(preset_schema(create_registry()), indent=2))
