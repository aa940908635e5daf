"""artdiff pace: let a film of changing prompts change evenly."""

from __future__ import annotations

from pathlib import Path

import click

from artdiff.cli import options


@click.command("pace")
@click.argument("preset")
@options.settings_option
@options.plugins_option
@click.option(
    "--chart",
    "picture",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Draw the way and the pace as a PNG.",
)
def command(
    preset: str, settings: tuple[str, ...], plugins: tuple[str, ...], picture: Path | None
) -> None:
    """Measure where the pictures of PRESET change, and space its frames by that.

    Between two prompts pictures may stay as they are for long and then change at once. This
    draws the way between the prompts, closer where it is steep, and prints the table [pace] that
    makes every frame change by about as much: `artdiff pace film.toml >> film.toml`.
    """
    from artdiff.api import prepare
    from artdiff.film.pace import measure_pace
    from artdiff.film.pace_chart import chart
    from artdiff.progress import progress
    from artdiff.registry import Selection, create_registry

    registry = create_registry(Selection.from_environment(plugins))
    plan = prepare(preset, registry, settings).plan
    with progress(unit="picture", desc="pace") as bar:

        def drawn(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        pace = measure_pace(plan, registry, drawn)
    click.echo("\n[pace]")
    for key, value in pace.curve(plan.count).items():
        click.echo(f'"{key}" = {value}')
    if picture is not None and not chart(pace, plan.count, picture):
        click.echo("no chart: matplotlib is missing; pip install matplotlib", err=True)
