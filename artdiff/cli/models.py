"""artdiff models: which there are, and what is known of each."""

from __future__ import annotations

import click

from artdiff.errors import ModelError, PluginError


@click.group("models")
def command() -> None:
    """List and show models."""


@command.command("list")
def list_models() -> None:
    """List the models that can be used."""
    from artdiff.registry import create_registry

    for name, entry in create_registry().entries("models").items():
        click.echo(f"{name:16} {entry.value.title} ({entry.plugin})")


@command.command("show")
@click.argument("name")
def show(name: str) -> None:
    """Show the card of a model: what it draws, from what data, under which licence."""
    from artdiff.registry import create_registry

    try:
        card = create_registry().get("models", name)
    except PluginError as error:
        raise ModelError(str(error)) from None
    click.echo(f"{card.name}: {card.title}\n\n{card.description.strip()}\n")
    click.echo(f"licence   {card.licence}")
    for file in card.weights:
        path = card.folder.joinpath(file)
        size = f"{len(path.read_bytes()) / 1e6:.1f} MB" if path.is_file() else "missing"
        click.echo(f"weights   {file} ({size})")
    click.echo(f"hash      {card.digest()}")
    for key, value in card.defaults.items():
        click.echo(f"default   {key} = {value}")
    for key, value in card.facts.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        click.echo(f"\n{key.replace('_', ' ')}\n  {text.strip()}")
