"""artdiff models tune: steps that suit one model, found offline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from artdiff.cli import options
from artdiff.errors import ModelError, PresetError, nearest

if TYPE_CHECKING:
    from artdiff.plan import Plan
    from artdiff.registry import Registry

COUNTS = (4, 5, 6, 8, 10, 12, 16)


@click.command("tune")
@click.argument("model")
@click.option(
    "--steps",
    multiple=True,
    type=click.IntRange(2, 100),
    help="Numbers of steps to tune for: --steps 4 5 6. By default 4 5 6 8 10 12 16.",
)
@click.argument("more", nargs=-1, type=click.IntRange(2, 100), metavar="")
@click.option(
    "--prompts",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Prompts, one on each line; every second is held out. By default captions of the "
    "dataset that the card names.",
)
@click.option(
    "--samples",
    type=click.IntRange(2, 4096),
    default=24,
    show_default=True,
    help="Samples to tune on, each with a prompt and a seed.",
)
@click.option(
    "--held",
    type=click.IntRange(2, 4096),
    default=24,
    show_default=True,
    help="Samples of the hold-out, with other prompts and seeds.",
)
@click.option(
    "--reference",
    type=click.IntRange(4, 1000),
    default=40,
    show_default=True,
    help="Steps of the reference, two model calls each.",
)
@click.option(
    "--gradient-steps",
    type=click.IntRange(0, 100_000),
    default=0,
    show_default=True,
    help="Gradient steps after the closed form; each costs about 16 pictures.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the first sample.")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Where to write; by default where the model finds it.",
)
@click.option("--again", is_flag=True, help="Tune counts anew that are there already.")
@options.plugins_option
def tune_model(
    model: str,
    steps: tuple[int, ...],
    more: tuple[int, ...],
    prompts: Path | None,
    samples: int,
    held: int,
    reference: int,
    gradient_steps: int,
    seed: int,
    out: Path | None,
    again: bool,
    plugins: tuple[str, ...],
) -> None:
    """Find the steps that bring MODEL closest to a many-step reference.

    For each number of steps: a grid and the weights of a multistep solver, for the guidance that
    the model's card says. Errors are shown for prompts and seeds that were not tuned on. What is
    found is kept for `sampler.name = "tuned"`; what is there already is not done again.
    """
    from artdiff.registry import Selection, create_registry
    from artdiff.tune.chart import chart, table
    from artdiff.tune.file import FILE, TunedFile, home, read_file
    from artdiff.tune.run import Request, guided_of

    if more and not steps:
        raise PresetError(
            f"write --steps before {more[0]}: artdiff models tune {model} --steps 4 5"
        )
    counts = sorted({*steps, *more}) or list(COUNTS)
    registry = create_registry(Selection.from_environment(plugins))
    plan = _plan(registry, model, counts[-1])
    target = home(plan.card) if out is None else out / FILE
    known = read_file(target) if target.is_file() else None
    fresh = TunedFile(
        weights=plan.card.digest(),
        guidance=guided_of(plan),
        reference=f"heun, {reference} steps",
        untuned=_words(plan),
    )
    if known is not None and known.model_dump(exclude={"counts"}) == fresh.model_dump(
        exclude={"counts"}
    ):
        fresh = fresh.model_copy(update={"counts": known.counts})
    elif known is not None and known.weights == fresh.weights and not again:
        raise PresetError(
            f"{target} has steps for other guidance, or by another reference or sampler; --again "
            "drops them, --out writes elsewhere"
        )
    missing = [count for count in counts if again or count not in fresh.counts]
    if missing:
        tuned_on, held_on = _prompts(registry, plan, prompts, max(samples, held))
        request = Request(
            prompts=tuned_on,
            held_prompts=held_on,
            samples=samples,
            held=held,
            reference=reference,
            gradient_steps=gradient_steps,
            seed=seed,
        )
        fresh = _run(registry, model, plan, missing, request, fresh, target)
    click.echo(table(fresh))
    click.echo(target)
    if chart(fresh, target.with_suffix(".png")):
        click.echo(target.with_suffix(".png"))


def _run(
    registry: Registry,
    name: str,
    plan: Plan,
    missing: list[int],
    request: Any,
    tuned: Any,
    target: Path,
) -> Any:
    """Tune the missing counts; each is saved as soon as it is found."""
    from artdiff.progress import progress
    from artdiff.renderer import load_engine
    from artdiff.tune.run import begin, save_tuned, tune_count

    model = load_engine(plan, registry).model
    with progress(total=request.calls(missing), unit="call", desc="reference") as bar:
        ours, held = begin(model, plan, request, bar.update)
        for count in missing:
            bar.set_description(f"{count} steps")
            untuned = _plan(registry, name, count)
            found = tune_count(ours, held, untuned, request, bar.update)
            if found.rms >= found.before_rms:
                click.echo(
                    f"{count} steps: not kept, no closer on the hold-out "
                    f"({found.rms:.4f}, before {found.before_rms:.4f})",
                    err=True,
                )
                continue
            tuned = tuned.model_copy(update={"counts": {**tuned.counts, count: found}})
            save_tuned(target, tuned)
    return tuned


def _plan(registry: Registry, model: str, steps: int) -> Plan:
    """The model's own defaults at so many steps, with the untuned sampler."""
    from artdiff.api import prepare
    from artdiff.preset.draft import Draft

    known = registry.entries("models")
    if model not in known:
        raise ModelError(f"unknown model {model!r}{nearest(model, known)}")
    draft = Draft("tune", {"model": model, "prompt": ""}, {})
    plan = prepare(draft, registry, {"sampler.steps": steps}).plan
    if plan.sampler.name == "tuned":
        plan = prepare(draft, registry, {"sampler.name": "dpmpp_2m", "sampler.steps": steps}).plan
    return plan


def _words(plan: Plan) -> str:
    """The untuned sampler in words."""
    part = plan.preset.sampler
    shift = f", shift {part.shift:g}" if part.shift != 1 else ""
    return f"{part.name} on {part.grid.name}{shift}"


def _prompts(
    registry: Registry, plan: Plan, file: Path | None, count: int
) -> tuple[list[str], list[str]]:
    """Prompts to tune on, and prompts of the hold-out."""
    from artdiff.evaluation.pictures import read_prompts
    from artdiff.model import TrainedOn
    from artdiff.preset.check import validate
    from artdiff.preset.draft import Draft
    from artdiff.tune.run import captions

    if file is not None:
        lines = read_prompts(file)
        if len(lines) < 2:
            raise PresetError(f"{file}: two prompts or more, one on each line")
        return lines[::2], lines[1::2]
    trained = TrainedOn.read(plan.card.facts, f"the card of model {plan.card.name!r}")
    kinds = registry.entries("datasets")
    if trained is None or trained.dataset not in kinds:
        return [""], [""]
    kind = kinds[trained.dataset].value
    draft = Draft(f"the card of model {plan.card.name!r}", {}, {})
    options = validate(draft, kind.Options, trained.options, trained.dataset)
    with registry.blaming():
        return captions(kind(options), count)
