"""Options that several commands share, those of plugins too."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


class PngPath(click.Path):
    """The path of a picture to write."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path:
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if path.suffix.lower() != ".png":
            self.fail(f"{path}: pictures are written as .png", param, ctx)
        if path.is_dir():
            self.fail(f"{path} is a folder; give the picture a name in it", param, ctx)
        return path


settings_option = click.option(
    "-s",
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a value of the preset, such as -s sampler.steps=30. Repeatable.",
)
plugins_option = click.option(
    "--plugin",
    "plugins",
    multiple=True,
    metavar="FILE",
    type=click.Path(),
    help="Load a plugin from a Python file. Repeatable.",
)
output_option = click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="The .png file (several pictures are numbered), or a folder.",
)
quality_option = click.option(
    "--quality",
    type=click.Choice(["draft", "normal", "best"]),
    help="How much time a picture may take; what the preset says itself comes before it.",
)
frames = click.option(
    "--frames",
    metavar="RANGE",
    help="Only these frames: 24 (the first 24), 10:20, ::4 (every fourth).",
)
profile_guidance = click.option(
    "--profile-guidance",
    is_flag=True,
    help="Write beside the result what each guidance term did: NAME.guidance.json and .png.",
)
preview = click.option(
    "--preview",
    is_flag=True,
    help="Every fourth frame, with half the steps unless they are tuned, for a quick look.",
)


def preset_arguments(function: Callable[..., Any]) -> Callable[..., Any]:
    """PRESET with -s, --frames, --preview and --plugin."""
    for option in (plugins_option, preview, frames, settings_option):
        function = option(function)
    return click.argument("preset")(function)


def picture_path(output: Path | None, name: str, *, numbered: bool = False) -> Path:
    """The .png file to write by `output_option`: NAME.png in a folder or, if none is said, here.

    A picture of an earlier call keeps its name: then it is NAME-2.png, NAME-3.png, ...

    :param numbered: several pictures will be written, with a number behind the name of each.
    :raises click.BadParameter: `output` is a file of another kind.
    """
    if output is not None and (output.is_dir() or not output.suffix):
        return output / f"{name}.png"
    if output is not None:
        if output.suffix.lower() != ".png":
            raise click.BadParameter(f"{output}: pictures are written as .png", param_hint="-o")
        return output
    free, number = name, 1
    end = re.compile(r"(--?\d+)*" if numbered else "")
    stems = [path.stem for path in Path().glob("*.png")]
    while any(stem.startswith(free) and end.fullmatch(stem, len(free)) for stem in stems):
        number += 1
        free = f"{name}-{number}"
    return Path(f"{free}.png")
