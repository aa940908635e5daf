"""artdiff inpaint and artdiff outpaint."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from artdiff import (
    PresetError,
    Registry,
    Selection,
    create_registry,
    nearest,
    output_option,
    picture_path,
    plugins_option,
    settings_option,
)

if TYPE_CHECKING:
    import numpy as np

    from artdiff import FrameJob

    from .windows import Draw


SAMPLERS = {
    "blend": (),
    "ancestral": ('sampler.name="euler_ancestral"',),
    "repaint": ('sampler.name="repaint"',),
}
"""How what is drawn comes to fit, and the settings of it."""


def shared(how: str, seam: int) -> Callable[[Any], Any]:
    """The options that both commands have."""
    options = (
        click.option("--seed", type=int, default=0, show_default=True, help="Seed."),
        click.option("--steps", type=click.IntRange(1, 1000), help="Sampling steps."),
        click.option(
            "--how",
            type=click.Choice(list(SAMPLERS)),
            default=how,
            show_default=True,
            help="blend walks as the model does otherwise and hears the prompt best; ancestral "
            "draws fresh noise at every step and fits better to what is kept; repaint goes back "
            "and forth, fits best and takes three times as long.",
        ),
        click.option("--model", default="starter", show_default=True, help="Model to use."),
        click.option(
            "--seam",
            default=seam,
            show_default=True,
            type=click.IntRange(0, 256),
            help="Pixels inside the mask that blend into what is kept.",
        ),
        output_option,
        settings_option,
        plugins_option,
    )

    def add(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return add


@click.command("inpaint", short_help="Repaint a part of a picture.")
@click.argument("picture", metavar="IMAGE", type=click.Path(path_type=Path))
@click.argument("prompt")
@click.option(
    "--mask",
    metavar="EXPR_OR_FILE",
    help="What is repainted: a file, white or opaque there, or an expression, such as "
    '"circle(0.5, 0.6, 0.2)". Without it, what is transparent in IMAGE.',
)
@click.option(
    "--file",
    "named",
    multiple=True,
    metavar="NAME=PATH",
    help="A mask file that the expression calls NAME. Repeatable.",
)
@click.option(
    "--area",
    type=click.Choice(["masked", "whole", "windows"]),
    default="masked",
    show_default=True,
    help="What the model sees: a window around the mask, at full size where it fits and scaled "
    "where not; the whole picture, scaled to the model's size; or windows one after another, at "
    "full size.",
)
@click.option(
    "--padding",
    default=32,
    show_default=True,
    type=click.IntRange(0, 4096),
    help="Least number of pixels around the mask in the window.",
)
@click.option(
    "-n", "number", default=1, show_default=True, type=click.IntRange(1, 1000), help="How many."
)
@shared("ancestral", 12)
def inpaint(
    picture: Path,
    prompt: str,
    mask: str | None,
    named: tuple[str, ...],
    area: str,
    padding: int,
    number: int,
    seed: int,
    steps: int | None,
    how: str,
    model: str,
    seam: int,
    output: Path | None,
    settings: tuple[str, ...],
    plugins: tuple[str, ...],
) -> None:
    """Repaint a part of IMAGE by PROMPT; all other pixels stay as they are."""
    from artdiff import load_image

    from .files import read_mask
    from .windows import around, fill, repaint

    target = picture_path(output, f"{picture.stem}-inpainted", numbered=number > 1)
    draw = _draw(prompt, model, seed, seam, steps, how, settings, plugins)
    kept = load_image(picture)
    hole = read_mask(mask, picture, kept, named)
    box = around(hole, draw.size, padding, area == "whole")
    said = {"image": picture.name, "mask": mask or "!alpha", "area": area, "how": how}
    if area == "windows":
        if number > 1:
            raise click.BadParameter("goes with one picture; change --seed", param_hint="-n")
        stages = fill(draw, kept, hole, min(draw.size) // 2)
        _save(target, _last(stages, "inpaint"), None, "inpaint", said | {"seed": seed})
        return
    for job, drawn in repaint(draw, kept, hole, box, number):
        path = target if number == 1 else target.with_stem(f"{target.stem}-{job.seed}")
        _save(path, drawn, job, "inpaint", said)


@click.command("outpaint", short_help="Continue a picture beyond its edges.")
@click.argument("picture", metavar="IMAGE", type=click.Path(path_type=Path))
@click.argument("prompt")
@click.option("--left", default=0, metavar="PX", type=click.IntRange(0, 8192), help="Pixels.")
@click.option("--right", default=0, metavar="PX", type=click.IntRange(0, 8192), help="Pixels.")
@click.option("--top", default=0, metavar="PX", type=click.IntRange(0, 8192), help="Pixels.")
@click.option("--bottom", default=0, metavar="PX", type=click.IntRange(0, 8192), help="Pixels.")
@click.option(
    "--overlap",
    metavar="PX",
    type=click.IntRange(16, 8192),
    help="How far windows overlap at least.  [default: half of the model's size]",
)
@shared("repaint", 32)
def outpaint(
    picture: Path,
    prompt: str,
    left: int,
    right: int,
    top: int,
    bottom: int,
    overlap: int | None,
    seed: int,
    steps: int | None,
    how: str,
    model: str,
    seam: int,
    output: Path | None,
    settings: tuple[str, ...],
    plugins: tuple[str, ...],
) -> None:
    """Continue IMAGE beyond its edges by PROMPT; its own pixels stay as they are.

    Windows of the model's size are drawn one after another, each continuing what is there.
    """
    from artdiff import load_image

    from .windows import extend

    sides = (left, right, top, bottom)
    if not any(sides):
        raise click.UsageError("say where to: --left, --right, --top or --bottom PX")
    target = picture_path(output, f"{picture.stem}-outpainted")
    kept = load_image(picture)
    draw = _draw(prompt, model, seed, seam, steps, how, settings, plugins)
    lap = min(draw.size) // 2 if overlap is None else overlap
    if lap >= min(draw.size):
        raise click.BadParameter(
            f"must be below the model's size, {min(draw.size)}", param_hint="--overlap"
        )
    drawn = _last(extend(draw, kept, sides, lap), "outpaint")
    said = {"image": picture.name, "prompt": prompt, "seed": seed, "sides": list(sides)}
    _save(target, drawn, None, "outpaint", {**said, "overlap": lap, "how": how})


def _last(stages: Iterable[tuple[float, np.ndarray]], label: str) -> np.ndarray:
    """The picture when all windows are drawn, behind a progress bar."""
    drawn = None
    with click.progressbar(length=1000, label=label, file=sys.stderr) as bar:
        for done, drawn in stages:  # noqa: B007
            bar.update(round(1000 * done) - bar.pos)
    assert drawn is not None
    return drawn


def _draw(
    prompt: str,
    model: str,
    seed: int,
    seam: int,
    steps: int | None,
    how: str,
    settings: tuple[str, ...],
    plugins: tuple[str, ...],
) -> Draw:
    from .windows import Draw

    registry = create_registry(Selection.from_environment(plugins))
    size = _size(registry, model)
    _check_sides(settings, size)
    count = [f"sampler.steps={steps}"] if steps else []
    said = (f"model={json.dumps(model)}", *SAMPLERS[how], *count, *settings)
    return Draw(registry, prompt, size, seed, seam, said)


def _size(registry: Registry, model: str) -> tuple[int, int]:
    """Width and height that a model draws by itself."""
    entries = registry.entries("models")
    if model not in entries:
        raise PresetError(f"--model: unknown model {model!r}{nearest(model, entries)}")
    defaults = entries[model].value.defaults
    return int(defaults.get("width", 256)), int(defaults.get("height", 256))


def _check_sides(settings: tuple[str, ...], size: tuple[int, int]) -> None:
    """Make sure that settings, ``KEY=VALUE``, leave windows at the size of the model.

    :raises PresetError: they do not.
    """
    sides = dict(zip(("width", "height"), size, strict=True))
    for setting in settings:
        key, _, value = (part.strip() for part in setting.partition("="))
        if key in sides and value != str(sides[key]):
            raise PresetError(
                f"-s {setting}: a window has the model's {key}, {sides[key]}; leave it out"
            )


def _save(
    path: Path, drawn: np.ndarray, job: FrameJob | None, command: str, said: dict[str, Any]
) -> None:
    from artdiff import encode_png, save_bytes

    record = {} if job is None else job.record()
    save_bytes(path, encode_png(drawn, {**record, command: said}))
    click.echo(path)
