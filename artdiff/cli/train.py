"""artdiff train: a recipe becomes a model."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

import click

from artdiff.errors import PresetError, nearest


@click.command("train")
@click.argument("recipe")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Where checkpoints, curves and samples go; by default runs/RECIPE.",
)
@click.option(
    "--minutes",
    type=click.FloatRange(0, 1e6, min_open=True),
    help="Train so long in all, whatever the recipe says.",
)
@click.option("--threads", type=click.IntRange(1), help="Processor threads to use.")
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    help="Where to train, whatever the recipe says.",
)
def command(
    recipe: str,
    output: Path | None,
    minutes: float | None,
    threads: int | None,
    device: str | None,
) -> None:
    """Train by RECIPE, the name of a shipped recipe or a TOML file; goes on if it was stopped.

    Several processes train one model together where torchrun starts them: torchrun
    --nproc-per-node 2 -m artdiff.cli train RECIPE.
    """
    import torch

    from artdiff.preset.check import validate
    from artdiff.preset.draft import Draft
    from artdiff.registry import create_registry
    from artdiff.train.kinds import load_recipe
    from artdiff.train.loop import train
    from artdiff.train.recipe import StopRecipe

    path = _find(recipe)
    settings = load_recipe(path)
    if minutes is not None:
        settings = settings.model_copy(update={"stop": StopRecipe(minutes=minutes)})
    if device is not None:
        settings = settings.model_copy(update={"device": device})
    if threads is not None:
        torch.set_num_threads(threads)
    kind = create_registry().get("datasets", settings.data.dataset)
    draft = Draft(path.stem, {}, {})
    options = validate(draft, kind.Options, settings.data.options, "data.options")
    made = train(settings, kind(options), output or Path("runs") / path.stem)
    if os.environ.get("RANK", "0") == "0":
        click.echo(made)


def _find(recipe: str) -> Path:
    if recipe.endswith(".toml") or "/" in recipe:
        return Path(recipe)
    folder = Path(str(files("artdiff.train").joinpath("recipes")))
    known = {path.stem: path for path in folder.glob("*.toml")}
    if recipe not in known:
        raise PresetError(f"unknown recipe {recipe!r}{nearest(recipe, known)}")
    return known[recipe]
