"""artdiff vary: pictures that are like a picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from artdiff import output_option, picture_path, plugins_option, settings_option

if TYPE_CHECKING:
    from .settings import How


@click.command("vary", short_help="Draw pictures like another.")
@click.argument("picture", metavar="IMAGE", type=click.Path(path_type=Path))
@click.argument("prompt", required=False)
@click.option(
    "--strength",
    type=click.FloatRange(0, 1),
    help="How much is drawn anew: 0 nothing, 1 all.  [default: 0.5; with inversion 1]",
)
@click.option(
    "--how",
    type=click.Choice(["noise", "inversion"]),
    default="noise",
    show_default=True,
    help="noise keeps what is large; inversion finds the noise behind the picture, and keeps the "
    "composition while the prompt changes.",
)
@click.option(
    "-n", "number", default=4, show_default=True, type=click.IntRange(1, 10_000), help="How many."
)
@click.option(
    "--subseed",
    type=int,
    help="Vary the noise of a picture that artdiff made instead, towards SUBSEED, "
    "SUBSEED + 1, ...",
)
@click.option("--subseed-strength", type=click.FloatRange(0, 1), help="How far.  [default: 0.3]")
@click.option(
    "--image-prompt",
    "shown",
    is_flag=True,
    help="Guide towards what the picture shows, too, by CLIP.",
)
@click.option("--shows", default="", metavar="TEXT", help="What IMAGE shows, for inversion.")
@click.option("--seed", type=int, help="Seed of the first one.  [default: 0]")
@click.option("--size", metavar="WxH", help="Pixels; else those of the model.")
@click.option("--model", help="Model to use.")
@click.option("--grid", is_flag=True, help="One contact sheet, IMAGE first.")
@output_option
@settings_option
@plugins_option
def command(
    picture: Path,
    prompt: str | None,
    strength: float | None,
    how: How,
    number: int,
    subseed: int | None,
    subseed_strength: float | None,
    shown: bool,
    shows: str,
    seed: int | None,
    size: str | None,
    model: str | None,
    grid: bool,
    output: Path | None,
    settings: tuple[str, ...],
    plugins: tuple[str, ...],
) -> None:
    """Draw pictures like IMAGE, to PROMPT if there is one.

    Without --subseed, IMAGE may be any picture: it is scaled and cut to the size that is drawn.
    With it, IMAGE is one that artdiff made; its settings are read from the file.
    """
    from artdiff import contact_sheet, encode_png, image, load_image, save_bytes, save_picture

    from .settings import by_image, by_subseed, by_words, fitting_note, sized, weights_note

    if subseed is not None and how == "noise":
        for hint, given in (("--strength", strength), ("--seed", seed)):
            if given is not None:
                raise click.BadParameter(
                    "goes with --subseed only by --how inversion", param_hint=hint
                )
    several = how == "inversion" and number > 1
    if subseed_strength is not None and subseed is None and not several:
        raise click.BadParameter(
            "goes with --subseed, or with several pictures by --how inversion",
            param_hint="--subseed-strength",
        )
    if shows and how != "inversion":
        raise click.BadParameter("goes with --how inversion", param_hint="--shows")
    name = f"{picture.stem}-varied"
    whole = picture_path(output, name, numbered=number > 1 and not grid)
    if subseed is not None and how == "noise":
        values = by_subseed(picture, subseed, subseed_strength, model)
    else:
        values = by_image(picture, how, strength, seed or 0, number, shows)
        values |= {"subseed": subseed} if subseed is not None else {}
        values |= {"subseed_strength": subseed_strength} if subseed_strength is not None else {}
    values |= by_words(picture, values.get("terms", ())) if shown else {}
    said = [f"{key}={value}" for key, value in sized(size).items()]
    said += [f"model={json.dumps(model)}"] if model else []
    drawn = image(
        prompt or "", number, settings=[*said, *settings], values=values, origin=str(picture),
        plugins=plugins,
    )  # fmt: skip
    first, made = load_image(picture), []
    for place, (job, result) in enumerate(drawn):
        if place == 0:
            again = [weights_note(picture, job)] if subseed is not None and how == "noise" else []
            for note in filter(None, [fitting_note(first, result), *again]):
                click.echo(note, err=True)
        if grid:
            made.append(result)
            continue
        target = whole if number == 1 else whole.with_stem(f"{whole.stem}-{place}")
        save_bytes(target, encode_png(result, job.record()))
        click.echo(target)
    if grid:
        height, width = made[0].shape[:2]
        save_picture(whole, contact_sheet([first, *made], cell=(width, height)))
        click.echo(whole)
