"""artdiff upscale: pictures made larger."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from artdiff import FrameError

from .options import STARTER, Enlarging

if TYPE_CHECKING:
    import numpy as np

LARGEST = 8192


@click.command("upscale", short_help="Make pictures larger.")
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="The .png file of one picture, or a folder; else NAME-x2.png beside each.",
)
@click.option("--model", default=STARTER, show_default=True, help="Upsampler: a name or a file.")
@click.option(
    "--factor",
    default="2",
    type=click.Choice(["2", "4"]),
    show_default=True,
    help="How many times larger a side becomes.",
)
@click.option(
    "--steps",
    default=4,
    type=click.IntRange(1, 250),
    show_default=True,
    help="Calls of a diffusion upsampler.",
)
@click.option(
    "--seed",
    default=0,
    type=click.IntRange(-(2**63), 2**64 - 1),
    show_default=True,
    help="Names what is invented.",
)
@click.option("--dirt", default=0.0, type=click.FloatRange(0, 1), help="Noise to take away.")
@click.option(
    "--blur",
    default=0.0,
    type=click.FloatRange(0, 3),
    help="Blur to take away, in pixels: above 0 sharpens.",
)
@click.option(
    "--window",
    default=512,
    type=click.IntRange(64, 4096),
    show_default=True,
    help="Side of the windows that bound the memory, in pixels.",
)
@click.option(
    "--overlap",
    default=64,
    type=click.IntRange(0, 1024),
    show_default=True,
    help="Pixels that windows overlap.",
)
@click.option(
    "--redraw",
    nargs=2,
    type=(click.FloatRange(0, 1), str),
    metavar="STRENGTH PROMPT",
    help="Then draw so much of it anew, in windows of 256 pixels, to a prompt.",
)
@click.option(
    "-s",
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="A preset value for --redraw, such as -s sampler.steps=30. Repeatable.",
)
def command(
    images: tuple[Path, ...],
    output: Path | None,
    model: str,
    factor: str,
    steps: int,
    seed: int,
    dirt: float,
    blur: float,
    window: int,
    overlap: int,
    redraw: tuple[float, str] | None,
    settings: tuple[str, ...],
) -> None:
    """Make IMAGES larger, by a diffusion upsampler or by any network that spandrel knows."""
    if window % 16:
        raise click.BadParameter(f"a multiple of 16, not {window}", param_hint="--window")
    if overlap >= window:
        raise click.BadParameter(f"below --window {window}, not {overlap}", param_hint="--overlap")
    if settings and redraw is None:
        raise click.BadParameter("goes with --redraw", param_hint="-s")
    how = Enlarging(
        model=model, factor=int(factor), steps=steps, window=window, overlap=overlap,
        dirt=dirt, blur=blur,
    )  # fmt: skip
    from artdiff import encode_png, save_bytes

    from .enlarge import enlarge

    targets = _targets(images, output, how.factor)
    for source, target in zip(images, targets, strict=True):
        large = enlarge(_small(source, how.factor), seed, how)
        if redraw is not None:
            large = _redrawn(large, redraw, seed, settings)
        record = {"upscaled": source.name, **how.model_dump(), "seed": seed}
        again = {"strength": redraw[0], "prompt": redraw[1]} if redraw else None
        save_bytes(target, encode_png(large, record | ({"redraw": again} if again else {})))
        click.echo(target)


def _small(source: Path, factor: int) -> np.ndarray:
    """The picture, of which no side may grow beyond what artdiff draws."""
    from artdiff import load_image

    picture = load_image(source)
    height, width = picture.shape[:2]
    if max(height, width) * factor > LARGEST:
        raise FrameError(
            f"{source}: {width}x{height} times {factor} is more than {LARGEST} pixels on a side"
        )
    return picture


def _redrawn(
    large: np.ndarray, again: tuple[float, str], seed: int, settings: tuple[str, ...]
) -> np.ndarray:
    from .redraw import redraw

    strength, prompt = again
    return redraw(large, prompt, strength, seed, 256, settings)


def _targets(images: tuple[Path, ...], output: Path | None, factor: int) -> list[Path]:
    """Where each picture goes; two of one name are refused before anything is drawn."""
    if output is not None and output.suffix and not output.is_dir():
        if output.suffix.lower() != ".png":
            raise click.BadParameter(f"{output}: pictures are written as .png", param_hint="-o")
        if len(images) > 1:
            raise click.BadParameter(
                f"{output} is one file for {len(images)} pictures; name a folder", param_hint="-o"
            )
        return [output]
    names = [f"{source.stem}-x{factor}.png" for source in images]
    targets = [
        (source.parent if output is None else output) / name
        for source, name in zip(images, names, strict=True)
    ]
    twice = next((target for target in targets if targets.count(target) > 1), None)
    if twice is not None:
        raise click.BadParameter(f"two pictures would be written to {twice}; rename one")
    return targets
