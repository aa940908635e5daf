"""artdiff evaluate: how good a model's pictures are, in numbers with intervals."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import click

from artdiff.cli import options
from artdiff.cli.render import Bars


@click.command("evaluate")
@click.argument("model_or_folder")
@click.option(
    "--against",
    metavar="DATASET|PATH",
    help="Real pictures: a dataset, a folder or an .npz file. By default the dataset that the "
    "model's card names.",
)
@click.option(
    "--metrics",
    metavar="A,B,...",
    help="fid, sfid, kid, precision, recall, density, coverage, is, clip. By default all that "
    "the features allow.",
)
@click.option(
    "--features", default="starter", show_default=True, metavar="NAME", help="Feature extractor."
)
@click.option(
    "-f",
    "--feature-option",
    "feature_options",
    multiple=True,
    metavar="KEY=VALUE",
    help="An option of the feature extractor, such as -f weights=FILE. Repeatable.",
)
@click.option(
    "-d",
    "--dataset-option",
    "dataset_options",
    multiple=True,
    metavar="KEY=VALUE",
    help="An option of the dataset. Repeatable.",
)
@click.option(
    "-n",
    "number",
    type=click.IntRange(1, 1_000_000),
    help="How many pictures; 64 of a model, all of a folder.",
)
@click.option(
    "--real",
    type=click.IntRange(1, 1_000_000),
    help="How many real pictures; as many of a dataset as are made, all of a folder.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the first picture.")
@click.option("--sampler", help="Sampler.")
@click.option("--steps", type=int, help="Sampling steps.")
@click.option("--guidance", type=float, metavar="W", help="Guidance scale; 1 is off.")
@click.option(
    "--prompts",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Prompts, one on each line. By default the captions of the real pictures.",
)
@click.option(
    "--bootstrap",
    type=click.IntRange(0, 100_000),
    default=200,
    show_default=True,
    metavar="B",
    help="Resamples for each interval; 0 is none.",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Where pictures and results go; by default evaluations/NAME-KEY.",
)
@click.option("--fresh", is_flag=True, help="Forget the pictures of an earlier evaluation.")
@options.settings
@options.plugins
def command(
    model_or_folder: str,
    against: str | None,
    metrics: str | None,
    features: str,
    feature_options: tuple[str, ...],
    dataset_options: tuple[str, ...],
    number: int | None,
    real: int | None,
    seed: int,
    sampler: str | None,
    steps: int | None,
    guidance: float | None,
    prompts: Path | None,
    bootstrap: int,
    out: Path | None,
    fresh: bool,
    settings: tuple[str, ...],
    plugins: tuple[str, ...],
) -> None:
    """Measure MODEL_OR_FOLDER: a model by name or folder, or pictures that are there.

    Prints a table, and writes evaluation.json and evaluation.html. Pictures land one by one;
    the same command goes on where an interrupted one stopped.
    """
    from artdiff.evaluation.run import evaluate

    said = {"sampler.name": sampler, "sampler.steps": steps, "guidance.scale": guidance}
    given = [f"{key}={json.dumps(v)}" for key, v in said.items() if v is not None]
    with Bars(unit="") as bars:
        done = evaluate(
            model_or_folder,
            against,
            metrics=None if metrics is None else _names(metrics),
            features=features,
            feature_options=_table("-f", feature_options),
            dataset_options=_table("-d", dataset_options),
            n=number,
            real=real,
            seed=seed,
            settings=[*given, *settings],
            prompts=prompts,
            bootstrap=bootstrap,
            out=out,
            fresh=fresh,
            plugins=plugins,
            on_progress=bars.report,
        )
    click.echo(done.table())
    click.echo(done.folder)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _table(option: str, assignments: Iterable[str]) -> dict[str, object]:
    """KEY=VALUE texts as a table; a value is a number where it reads as one."""
    table: dict[str, object] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key.strip():
            raise click.BadParameter("write KEY=VALUE, such as size=128", param_hint=option)
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        table[key.strip()] = value if isinstance(value, int | float | bool) else text
    return table
