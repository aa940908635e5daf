"""Tuned steps for a model: its prompts and seeds, the reference, and what the hold-out says."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

from artdiff.errors import ModelError, PresetError
from artdiff.files import save_bytes
from artdiff.plan import Plan
from artdiff.tune.file import Guided, TunedFile, Tuning

if TYPE_CHECKING:
    from torch import Tensor

    from artdiff.denoise import Denoise
    from artdiff.model import Model
    from artdiff.tune.path import Path

__all__ = ["HOLD", "Request", "Subject", "begin", "captions", "save_tuned", "tune_count"]

HOLD = 1_000_000
"""Where the seeds and captions of the hold-out begin."""


@dataclass(frozen=True)
class Request:
    """What to tune on, and how hard to look.

    Attributes:
        prompts: sample i takes prompt i, and begins again after the last.
        held_prompts: those of the hold-out; best none of which is in `prompts`.
        samples: how many samples to tune on.
        held: how many are in the hold-out.
        reference: steps of the reference, of two model calls each.
        gradient_steps: gradient steps for each count; 0 stays with the closed form.
        batch: samples in a gradient step.
        seed: of the tuned samples; those of the hold-out begin a million later.
    """

    prompts: Sequence[str]
    held_prompts: Sequence[str]
    samples: int = 24
    held: int = 24
    reference: int = 40
    gradient_steps: int = 0
    batch: int = 4
    seed: int = 0

    def calls(self, counts: Sequence[int]) -> int:
        """How many ticks of `begin` and of `tune_count` there will be, about one a model call."""
        return 4 * self.reference + sum(counts) * (4 + 4 * self.gradient_steps + 2)


def captions(dataset: Any, count: int) -> tuple[list[str], list[str]]:
    """Take captions of a dataset for tuning, and others for the hold-out.

    A dataset that ends begins again.
    """
    end = len(dataset) if hasattr(dataset, "__len__") else None
    first = HOLD if end is None else count
    places = [*range(count), *range(first, first + 4 * count)]
    said = [dataset.caption(place if end is None else place % end, 0) for place in places]
    tuned, others = said[:count], said[count:]
    held = [caption for caption in others if caption not in tuned]
    return tuned, (held or tuned)[:count]


class Subject:
    """Samples of a model under its own guidance, and their many-step solutions.

    Attributes:
        path: the reference of every sample, in the coordinates of `artdiff.tune.fit`.
    """

    path: Path

    def __init__(
        self, model: Model, plan: Plan, prompts: Sequence[str], seed: int, count: int
    ) -> None:
        import torch

        from artdiff.random import Noise

        preset, codec = plan.preset, model.codec
        self.model, self.guided = model, guided_of(plan)
        self.noise = Noise([seed + index for index in range(count)])
        size = (preset.height // codec.factor, preset.width // codec.factor)
        self.eps = self.noise.normal(torch.empty(count, codec.channels, *size), "start")
        texts = [prompts[index % len(prompts)] for index in range(count)]
        with torch.no_grad():
            self.cond = dict(model.conditioner(texts))
            self.negative = model.conditioner([""])
        if model.card.distilled:
            self.cond["scale"] = torch.full((count, 1), self.guided.scale)

    def bound(self, rows: Tensor) -> Denoise:
        """The guided denoiser of some samples."""
        from artdiff.denoise import bind
        from artdiff.guiders import cfg

        said, distilled = self.guided, self.model.card.distilled
        guided = cfg(
            self.model.denoiser,
            self.negative,
            1.0 if distilled else said.scale,
            start=said.start,
            stop=said.stop,
            rescale=said.rescale,
        )
        return bind(guided, {key: value[rows] for key, value in self.cond.items()})

    def solve(self, steps: int, chunk: int, tick: Callable[[], object]) -> None:
        """Find the reference, in which `path` then lies; ticks twice a step."""
        import torch

        from artdiff.tune.fit import chunked
        from artdiff.tune.path import ends, reference

        def each() -> None:
            tick()
            tick()

        between = ends(self.model.schedule)
        every = torch.arange(len(self.eps))
        denoise = chunked(self.bound, every, chunk)
        self.path = reference(denoise, between[0] * self.eps, between, steps, each)

    def pixels(self, y: Tensor) -> Tensor:
        """Latents to pictures in [-1, 1], a few at a time."""
        import torch

        with torch.no_grad():
            return torch.cat([self.model.codec.decode(p).clamp(-1, 1) for p in y.split(4)])


def guided_of(plan: Plan) -> Guided:
    """The guidance of a plan, at its beginning.

    :raises PresetError: it is another guider than cfg, or it changes during the walk.
    """
    part = plan.preset.guidance
    if part.name != "cfg" or part.course.values != (1.0,):
        raise PresetError("guidance: steps are tuned for the guider 'cfg', without a course")
    return Guided(
        scale=part.scale.values[0],
        rescale=part.rescale.values[0],
        start=part.start,
        stop=part.stop,
    )


def begin(
    model: Model, plan: Plan, request: Request, tick: Callable[[], object], chunk: int = 8
) -> tuple[Subject, Subject]:
    """Solve the samples to tune on, and those of the hold-out, with many steps."""
    tuned = Subject(model, plan, request.prompts, request.seed, request.samples)
    held = Subject(model, plan, request.held_prompts, request.seed + HOLD, request.held)
    for subject in (tuned, held):
        subject.solve(request.reference, chunk, tick)
    return tuned, held


def tune_count(
    tuned: Subject,
    held: Subject,
    untuned: Plan,
    request: Request,
    tick: Callable[[], object],
    chunk: int = 8,
) -> Tuning:
    """Find the solver for as many steps as the plan `untuned` has, and compare on the hold-out.

    :raises ModelError: the model gives numbers that are not finite, or the hold-out is empty.
    """
    from artdiff.tune.fit import Effort, samples, tune
    from artdiff.tune.path import distance, ends

    steps = untuned.preset.sampler.steps
    effort = Effort(gradient_steps=request.gradient_steps, batch=request.batch, chunk=chunk)
    between = ends(tuned.model.schedule)
    found = tune(tuned.bound, tuned.path, between, steps, effort, request.seed)
    solvers = []
    for solver in found:
        for _ in range(steps if len(solvers) < 4 else 4 * steps):
            tick()
        solvers.append(solver)
    solver = solvers[-1]
    ours = samples(held.bound, held.path.start, solver, chunk)
    seen = distance(samples(tuned.bound, tuned.path.start, solver, chunk), tuned.path.end)
    theirs = _untuned(held, untuned, chunk)
    for _ in range(2 * steps):
        tick()
    target = held.pixels(held.path.end)
    after, before = distance(ours, held.path.end), distance(theirs, held.path.end)
    if not math.isfinite(after.rms + before.rms):
        raise ModelError(f"model {held.model.card.name!r}: numbers that are not finite; not tuned")
    return Tuning(
        solver=solver,
        rms=after.rms,
        median=after.median,
        pixels=float((held.pixels(ours) - target).square().mean().sqrt()),
        before_rms=before.rms,
        before_median=before.median,
        before_pixels=float((held.pixels(theirs) - target).square().mean().sqrt()),
        seen_rms=seen.rms,
    )


def _untuned(held: Subject, plan: Plan, chunk: int) -> Tensor:
    """The hold-out as the plan's own sampler draws it."""
    import torch

    from artdiff.random import Noise
    from artdiff.sample import sample
    from artdiff.starting import levels_of

    levels = levels_of(plan, held.model.schedule)
    drawn = []
    with torch.no_grad():
        for rows in torch.arange(len(held.eps)).split(chunk):
            sampler = plan.sampler.build()
            x = held.eps[rows] * levels[0].sigma.to(held.eps)
            noise = Noise([held.noise.seeds[int(row)] for row in rows])
            for step in sample(sampler, held.bound(rows), x, levels, noise):
                x = step.x
            drawn.append(x)
    return torch.cat(drawn)


def save_tuned(path: FilePath, tuned: TunedFile) -> None:
    """Write tuned steps, whole or not at all; numbers keep seven places.

    :raises MachineError: the machine cannot.
    """
    values = tuned.model_dump(mode="json")
    values["counts"] = {str(count): values["counts"][str(count)] for count in sorted(tuned.counts)}
    text = json.dumps(_rounded(values), indent=1)
    text = re.sub(r"\[[^][{}]*\]", lambda found: " ".join(found[0].split()), text)
    save_bytes(path, f"{text}\n".encode())


def _rounded(value: Any) -> Any:
    """Round every float of plain data to seven places."""
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return round(value, 7) if isinstance(value, float) else value
