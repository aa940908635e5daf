"""artdiff sheet: frames beside each other, as one PNG."""

from __future__ import annotations

from pathlib import Path

import click

from artdiff.cli import options


@click.command("sheet")
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    type=options.PngPath(),
    metavar="PNG",
    help="The picture to write.",
)
@click.option(
    "--every", type=click.IntRange(1), default=1, show_default=True, help="Take every n-th frame."
)
@click.option("--columns", type=click.IntRange(1), help="Pictures in a row.")
@click.option(
    "--strip",
    type=click.IntRange(1),
    metavar="N",
    help="A film strip: N evenly spaced frames in one row.",
)
@click.option("--cell", type=click.IntRange(8), help="Side of a picture in pixels.")
@click.option("--labels", is_flag=True, help="Write the prompts below the pictures.")
def command(
    sources: tuple[Path, ...],
    output: Path,
    every: int,
    columns: int | None,
    strip: int | None,
    cell: int | None,
    labels: bool,
) -> None:
    """Draw a contact sheet of SOURCES: frame folders, or single PNG files."""
    from artdiff.film.sheet import contact_sheet, film_strip
    from artdiff.frames import FrameStore, read_settings, save_picture

    paths: list[Path] = []
    for source in sources:
        if source.is_dir():
            store = FrameStore.existing(source)
            paths += [store.png(index) for index in store.present()]
        else:
            paths.append(source)
    paths = paths[::every]
    if strip:
        picture = film_strip(paths, strip)
    else:
        names = [_label(read_settings(path)) for path in paths] if labels else None
        picture = contact_sheet(paths, columns, names, cell)
    save_picture(output, picture)
    click.echo(output)


def _label(settings: dict) -> str:
    parts = settings.get("prompts", [])
    main = max(parts, key=lambda part: part[1])[0] if parts else ""
    return f"{settings.get('index', '')}: {main}"
