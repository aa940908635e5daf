"""artdiff render: a preset becomes a film or pictures."""

from __future__ import annotations

from pathlib import Path

import click

from artdiff.cli import options


@click.command("render")
@options.preset_arguments
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="A film (.mp4 .gif .webm .webp), a picture (.png) or a folder for the frames alone.",
)
@options.quality_option
@click.option("--fresh", is_flag=True, help="Forget the frames of an earlier render.")
@options.profile_guidance
def command(
    preset: str,
    settings: tuple[str, ...],
    frames: str | None,
    preview: bool,
    plugins: tuple[str, ...],
    output: Path | None,
    quality: str | None,
    fresh: bool,
    profile_guidance: bool,
) -> None:
    """Render PRESET, the name of a preset or a TOML file.

    Frames land one by one in a folder beside the film. The same command goes on where an
    interrupted one stopped.
    """
    from artdiff.api import render

    with Bars() as bars:
        done = render(
            preset,
            output,
            settings=[*([f'quality="{quality}"'] if quality else []), *settings],
            frames=frames,
            preview=preview,
            fresh=fresh,
            profile_guidance=profile_guidance,
            plugins=plugins,
            on_progress=bars.report,
        )
    for note in done.notes:
        click.echo(note, err=True)
    kept = done.frames - done.made
    again = f", {kept} were there" if kept else ""
    click.echo(f"{done.made} frames in {done.seconds:.1f} s{again}: {done.folder}", err=True)
    if done.profile:
        click.echo(f"guidance profile: {done.profile}", err=True)
    click.echo(done.output or done.folder)


class Bars:
    """One progress bar for each stage of a render."""

    def __init__(self, unit: str = "frame") -> None:
        self.unit, self.stage, self.bar = unit, "", None

    def __enter__(self) -> Bars:
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def report(self, stage: str, done: int, total: int) -> None:
        """Follow a stage; the first report of it says how many were done before."""
        from artdiff.progress import progress

        if stage != self.stage:
            if self.bar is not None:
                self.bar.close()
            self.stage = stage
            self.bar = progress(total=total, initial=done, desc=stage, unit=self.unit)
        elif self.bar is not None:
            self.bar.update(done - self.bar.n)
