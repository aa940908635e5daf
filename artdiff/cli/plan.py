"""artdiff plan: what a render will do, before it does."""

from __future__ import annotations

import click

from artdiff.cli import options


@click.command("plan")
@options.preset_arguments
@options.quality_option
@click.option("--no-measure", is_flag=True, help="Skip the timing of a step.")
def command(
    preset: str,
    settings: tuple[str, ...],
    frames: str | None,
    preview: bool,
    plugins: tuple[str, ...],
    quality: str | None,
    no_measure: bool,
) -> None:
    """Say what rendering PRESET will do: frames, model calls, time and disk."""
    from artdiff.api import estimate, prepare
    from artdiff.registry import Selection, create_registry

    registry = create_registry(Selection.from_environment(plugins))
    given = [*([f'quality="{quality}"'] if quality else []), *settings]
    work = prepare(preset, registry, given, frames, preview)
    cost = estimate(work, registry, measure=not no_measure)
    plan = work.plan
    part = plan.preset
    rows = [
        ("preset", f"{plan.name}: {part.title}" if part.title else plan.name),
        ("model", f"{plan.card.name} ({plan.card.title})"),
        (
            "frames",
            f"{cost.frames} of {plan.count}, {part.width}x{part.height}, "
            f"{work.fps:g} fps, {cost.frames / work.fps:.1f} s of film",
        ),
        ("source", part.frames.source),
        ("sampler", f"{plan.sampler.name}, {part.sampler.steps} steps, batch {part.batch}"),
        ("terms", ", ".join(c.label for c in plan.terms) or "none"),
        ("effects", ", ".join(c.label for c in plan.effects) or "none"),
        ("model calls", f"{cost.model_calls} pictures through the denoiser"),
        ("time", "not measured" if cost.seconds is None else f"about {_span(cost.seconds)}"),
        ("disk", f"at most about {cost.disk_bytes / 1e6:.1f} MB of frames"),
    ]
    for name, value in rows:
        click.echo(f"{name:12} {value}")
    for key, mix in part.keyed_prompts.items():
        text = " + ".join(p.text if p.weight == 1 else f"{p.weight:g} x {p.text}" for p in mix)
        click.echo(f"{'prompt ' + key:12} {text}")


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
