"""artdiff image: pictures of a prompt, at once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from artdiff.cli import options

if TYPE_CHECKING:
    import numpy as np

    from artdiff.timeline import FrameJob


@click.command("image")
@click.argument("prompt")
@click.option(
    "-n",
    "number",
    default=1,
    show_default=True,
    type=click.IntRange(1, 10_000),
    help="How many pictures, from the seeds SEED, SEED + 1, ...",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the first picture.")
@click.option("--negative", help="What to lead away from.")
@click.option("--steps", type=int, help="Sampling steps.")
@click.option("--scale", type=float, help="Guidance scale; 1 is off.")
@click.option("--size", metavar="WxH", help="Pixels, such as 256x256.")
@click.option("--model", help="Model to use.")
@options.quality_option
@click.option("--grid", is_flag=True, help="One contact sheet instead of single files.")
@options.output_option
@options.profile_guidance
@options.settings_option
@options.plugins_option
def command(
    prompt: str,
    number: int,
    seed: int,
    negative: str | None,
    steps: int | None,
    scale: float | None,
    size: str | None,
    model: str | None,
    quality: str | None,
    grid: bool,
    output: Path | None,
    profile_guidance: bool,
    settings: tuple[str, ...],
    plugins: tuple[str, ...],
) -> None:
    """Make pictures of PROMPT."""
    from artdiff.api import image, write_chart, write_images
    from artdiff.frames import key_of
    from artdiff.guidance.chart import FRAMES
    from artdiff.guidance.profile import GuidanceProfile, profile_path
    from artdiff.progress import progress

    values = {
        "seed": seed,
        "negative": negative,
        "model": model,
        "quality": quality,
        "sampler.steps": steps,
        "guidance.scale": scale,
    }
    if size is not None:
        width, _, height = size.lower().partition("x")
        if not (width.isdigit() and height.isdigit()):
            raise click.BadParameter("write WIDTHxHEIGHT, such as 256x256", param_hint="--size")
        values |= {"width": int(width), "height": int(height)}
    given = [
        f"{key}={json.dumps(v, ensure_ascii=False)}" for key, v in values.items() if v is not None
    ]
    name = re.sub(r"[^a-z0-9]+", "-", prompt.lower()).strip("-")[:60] or "image"
    target = options.picture_path(output, name, numbered=number > 1 and not grid)
    profile, said = GuidanceProfile() if profile_guidance else None, [*given, *settings]
    pictures = image(prompt, number, settings=said, plugins=plugins, profile=profile)
    bar, first = progress(pictures, total=number, desc="image", unit="picture"), {}
    for path in write_images(_keeping(bar, first, FRAMES), target, grid=grid, single=number == 1):
        click.echo(path)
    if profile:
        path = profile_path(target, target.parent)
        profile.write(path, key_of({"prompt": prompt, "n": number, "settings": said}))
        for note in write_chart(profile, first, path):
            click.echo(note, err=True)
        click.echo(f"guidance profile: {path}", err=True)


def _keeping(
    pictures: Iterable[tuple[FrameJob, np.ndarray]], kept: dict[int, np.ndarray], most: int
) -> Iterator[tuple[FrameJob, np.ndarray]]:
    """Pass pictures on, and keep the first ones by number."""
    for job, picture in pictures:
        if len(kept) < most:
            kept[job.index] = picture
        yield job, picture
