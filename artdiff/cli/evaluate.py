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
@click.option("--features", metavar="NAME", help="Feature extractor; starter if left out.")
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
@click.option(
    "--quick", is_flag=True, help="A short exam, under five minutes on two processor cores."
)
@click.option(
    "--judge",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Weights of the exam's judge; by default the dataset's own.",
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
    metavar="B",
    help="Resamples for each interval, 200 if left out; 0 is none.",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Where pictures and results go; by default evaluations/NAME-KEY.",
)
@click.option("--fresh", is_flag=True, help="Forget the pictures of an earlier evaluation.")
@options.settings_option
@options.plugins_option
def command(
    model_or_folder: str,
    against: str | None,
    metrics: str | None,
    features: str | None,
    feature_options: tuple[str, ...],
    dataset_options: tuple[str, ...],
    number: int | None,
    real: int | None,
    quick: bool,
    judge: Path | None,
    seed: int,
    sampler: str | None,
    steps: int | None,
    guidance: float | None,
    prompts: Path | None,
    bootstrap: int | None,
    out: Path | None,
    fresh: bool,
    settings: tuple[str, ...],
    plugins: tuple[str, ...],
) -> None:
    """Measure MODEL_OR_FOLDER: a model by name or folder, or pictures that are there.

    A model whose dataset examines sits its exam: exam.json, exam.html. With one of the options
    --against, --metrics, --features, -f, -d, -n, --real, --prompts or --bootstrap, as all other
    models and pictures, it is measured by metrics instead: evaluation.json, evaluation.html.
    Pictures land one by one; the same command goes on where an interrupted one stopped.
    """
    said = {"sampler.name": sampler, "sampler.steps": steps, "guidance.scale": guidance}
    given = [f"{key}={json.dumps(v)}" for key, v in said.items() if v is not None]
    metric_options = {
        "--against": against,
        "--metrics": metrics,
        "--features": features,
        "-f": feature_options or None,
        "-d": dataset_options or None,
        "-n": number,
        "--real": real,
        "--prompts": prompts,
        "--bootstrap": bootstrap,
    }
    plain = [name for name, value in metric_options.items() if value is not None]
    exam_options = [name for name, on in (("--quick", quick), ("--judge", judge)) if on]
    if plain and exam_options:
        raise click.UsageError(f"{exam_options[0]} is of the exam, {plain[0]} of metrics")
    common = {"seed": seed, "settings": [*given, *settings], "out": out, "fresh": fresh}
    if not plain and (exam_options or _examines(model_or_folder, plugins)):
        from artdiff.evaluation.examine import examine

        with Bars(unit="") as bars:
            sat = examine(
                model_or_folder,
                quick=quick,
                judge=judge,
                plugins=plugins,
                on_progress=bars.report,
                **common,
            )
        click.echo(sat.table())
        click.echo(sat.folder)
        return
    from artdiff.evaluation.run import evaluate

    with Bars(unit="") as bars:
        done = evaluate(
            model_or_folder,
            against,
            metrics=None if metrics is None else _names(metrics),
            features=features or "starter",
            feature_options=_table("-f", feature_options),
            dataset_options=_table("-d", dataset_options),
            n=number,
            real=real,
            prompts=prompts,
            bootstrap=200 if bootstrap is None else bootstrap,
            plugins=plugins,
            on_progress=bars.report,
            **common,
        )
    click.echo(done.table())
    click.echo(done.folder)


def _examines(subject: str, plugins: tuple[str, ...]) -> bool:
    """Whether the dataset of a model has an exam."""
    from artdiff.evaluation.examine import find_exam
    from artdiff.registry import Selection, create_registry

    return find_exam(create_registry(Selection.from_environment(plugins)), subject) is not None


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
