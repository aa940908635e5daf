"""artdiff models: which there are, and what is known of each."""

from __future__ import annotations

from pathlib import Path

import click

from artdiff.cli.tune import tune_model
from artdiff.errors import ModelError, PluginError


@click.group("models")
def command() -> None:
    """List, show, add and tune models."""


command.add_command(tune_model)


@command.command("list")
def list_models() -> None:
    """List the models that can be used."""
    from artdiff.backends.adm import HELPERS
    from artdiff.registry import create_registry
    from artdiff.user_models import user_cards

    for name, entry in create_registry().entries("models").items():
        click.echo(f"{name:16} {entry.value.title} ({entry.plugin})")
    for name, card in user_cards().items():
        if card.backend in HELPERS:
            click.echo(f"{name:16} {card.title} (helps other models, draws nothing by itself)")


@command.command("show")
@click.argument("name")
def show(name: str) -> None:
    """Show the card of a model: what it draws, from what data, under which licence."""
    from artdiff.registry import create_registry
    from artdiff.tune.file import read_tuned
    from artdiff.user_models import user_cards

    try:
        card = create_registry().get("models", name)
    except PluginError as error:
        card = user_cards().get(name)
        if card is None:
            raise ModelError(str(error)) from None
    click.echo(f"{card.name}: {card.title}\n\n{card.description.strip()}\n")
    click.echo(f"licence   {card.licence}")
    for file in card.files():
        path = card.folder.joinpath(file)
        size = f"{len(path.read_bytes()) / 1e6:.1f} MB" if path.is_file() else "missing"
        click.echo(f"weights   {file} ({size})")
    click.echo(f"hash      {card.digest()}")
    if tuned := read_tuned(card):
        click.echo(f"tuned     sampler.name = tuned, for {', '.join(map(str, tuned))} steps")
    for key, value in card.defaults.items():
        click.echo(f"default   {key} = {value}")
    for level, said in card.quality.items():
        parts = [f"{key} = {value}" for key, value in said.values.items()]
        parts += [f"weights = {list(said.weights)}"] if said.weights else []
        parts += ["fast products"] if said.fast else []
        click.echo(f"quality   {level}: {', '.join(parts) or 'the defaults'}")
    for key, value in card.facts.items():
        if isinstance(value, dict):
            value = [f"{part} = {each}" for part, each in value.items()]
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        click.echo(f"\n{key.replace('_', ' ')}\n  {text.strip()}")


@command.command("add")
@click.argument("source", type=click.Path(path_type=Path), metavar="FILE_OR_FOLDER")
@click.option("--name", help="What to call it; else as the file is called.")
@click.option(
    "--config",
    metavar="NAME|FILE.toml",
    help="What the weights do not say: a published network's name, or a TOML file.",
)
@click.option(
    "--codec",
    type=click.Path(path_type=Path),
    metavar="FILE_OR_FOLDER",
    help="Of a denoiser of latents, such as the starter's: the codec that it learned from.",
)
def add_model(source: Path, name: str | None, config: str | None, codec: Path | None) -> None:
    """Add a model: guided-diffusion or improved-diffusion weights (.pt), .safetensors, or a folder
    that artdiff train left.

    Weights are read without running anything that is in the file.
    """
    from artdiff.backends.adm import BACKEND, HELPERS
    from artdiff.importers.add import add
    from artdiff.registry import create_registry

    added = add(source, name, config, create_registry().entries("models"), codec)
    card = added.card
    click.echo(f"{card.name}: {card.title}, known {added.known_by}")
    click.echo(str(card.folder))
    if card.backend in HELPERS:
        click.echo("it helps other models and draws nothing by itself")
        return
    prompt = "a red fox"
    if card.backend == BACKEND:
        prompt = "label 1" if card.facts.get("network", {}).get("classes") else ""
    click.echo(f'artdiff image "{prompt}" --model {card.name} draws with it')
