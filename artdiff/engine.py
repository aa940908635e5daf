"""From frame jobs to pictures: the only user of `sample`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from artdiff.denoise import Conditioning, bind
from artdiff.errors import ArtdiffError, ModelError, PluginError, PresetError
from artdiff.grid import levels
from artdiff.guidance import Projection, Term, cfg, guide
from artdiff.model import Model
from artdiff.noise import Level, Schedule
from artdiff.plan import Chosen, Plan
from artdiff.random import Noise
from artdiff.sample import Step, sample
from artdiff.timeline import FrameJob, Mix

Observe = Callable[[FrameJob, Step], None]


@dataclass(frozen=True)
class Setup:
    """What a guidance term may know beside its options: the model, and how to see x0."""

    model: Model
    height: int
    width: int

    def decode(self, x0: Tensor) -> Tensor:
        """Latents (B, C, h, w) to images (B, 3, H, W) in [-1, 1]; gradients flow."""
        return self.model.codec.decode(x0)


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Spherical interpolation from rows of a to rows of b, (B, C, H, W), t (B,) in [0, 1].

    Keeps the length of Gaussian noise where a straight line would shrink it (Shoemake,
    "Animating rotation with quaternion curves", SIGGRAPH 1985). Equal rows stay as they are.
    """
    t = t.to(a).reshape(-1, 1, 1, 1)
    axes = (1, 2, 3)
    cosine = (a * b).sum(axes, keepdim=True) / (
        a.square().sum(axes, keepdim=True) * b.square().sum(axes, keepdim=True)
    ).sqrt().clamp(min=1e-12)
    angle = cosine.clamp(-1, 1).acos()
    sine = angle.sin()
    near = sine < 1e-4
    safe = torch.where(near, torch.ones_like(sine), sine)
    left, right = ((1 - t) * angle).sin() / safe, (t * angle).sin() / safe
    return torch.where(near, a + t * (b - a), left * a + right * b)


def levels_of(plan: Plan, schedule: Schedule) -> list[Level]:
    """The noise levels of every frame of a plan, from noise to clean.

    A sampler that has levels of its own, as `tuned` does, walks those.

    :raises PresetError: the grid has fewer levels than the preset wants steps.
    """
    if hasattr(plan.sampler.kind, "levels"):
        return plan.sampler.kind(**plan.sampler.options.model_dump()).levels(schedule)
    part, grid = plan.preset.sampler, plan.grid.kind(**plan.grid.options.model_dump())
    try:
        return levels(schedule, part.steps, shift=part.shift, grid=grid)
    except ValueError as error:
        raise PresetError(f"sampler.steps: {error}") from error


class Engine:
    """A loaded model at work on one plan."""

    def __init__(self, model: Model, plan: Plan, observe: Observe | None = None) -> None:
        self.model, self.plan, self.observe = model, plan, observe
        self.effects = [chosen.kind(chosen.options) for chosen in plan.effects]
        self._texts: dict[str, Conditioning] = {}

    @cached_property
    def levels(self) -> list[Level]:
        """The noise levels of every frame, from noise to clean."""
        return levels_of(self.plan, self.model.schedule)

    @torch.inference_mode()
    def pictures(self, jobs: Sequence[FrameJob], steps: int | None = None) -> list[np.ndarray]:
        """Draw the pictures of some jobs as one batch, before effects: uint8 (H, W, 3) each.

        :param steps: stop after so many steps; None goes all the way.
        :raises ModelError: the model gave numbers that are not finite.
        :raises PluginError: a term failed; the message names it and the frames.
        """
        preset, codec = self.plan.preset, self.model.codec
        noise = Noise([job.seed for job in jobs])
        size = (preset.height // codec.factor, preset.width // codec.factor)
        like = torch.empty(len(jobs), codec.channels, *size)
        x = self.start(jobs, like) * self.levels[0].sigma.to(like)
        sampler = self.plan.sampler.kind(**self.plan.sampler.options.model_dump())
        with _blame(jobs):
            cond = self.conditioning([job.prompts for job in jobs])
            denoise = bind(self.denoiser(jobs, noise), cond)
            for step in islice(sample(sampler, denoise, x, self.levels, noise), steps):
                x = step.x
                if self.observe is not None:
                    for row, job in enumerate(jobs):
                        part = slice(row, row + 1)
                        seen = Step(step.index, step.a, step.b, step.x[part], step.x0[part])
                        self.observe(job, seen)
        wrong = [job.index for job, row in zip(jobs, x, strict=True) if not row.isfinite().all()]
        if wrong:
            raise ModelError(
                f"frame {wrong[0]}: the model {self.model.card.name!r} gave numbers that are "
                "not finite; lower guidance.scale or the weights of [terms]"
            )
        decoded = codec.decode(x).clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)
        return list(decoded.permute(0, 2, 3, 1).contiguous().numpy())

    def images(self, jobs: Sequence[FrameJob]) -> list[np.ndarray]:
        """Draw and finish the pictures of some jobs as one batch: uint8 (H, W, 3) each.

        :raises PluginError: an effect failed; and what `pictures` raises.
        """
        drawn = self.pictures(jobs)
        return [self.finish(p, job) for p, job in zip(drawn, jobs, strict=True)]

    def start(self, jobs: Sequence[FrameJob], like: Tensor) -> Tensor:
        """The standard normal noise that the jobs start from, (B, C, h, w)."""
        first = Noise([job.start.seed for job in jobs]).normal(like, "start")
        if all(job.start.t == 0 for job in jobs):
            return first
        second = Noise([job.start.towards for job in jobs]).normal(like, "start")
        return slerp(first, second, torch.tensor([job.start.t for job in jobs]))

    def conditioning(self, mixes: Sequence[Mix]) -> Conditioning:
        """The conditioning of each mix of texts: the weighted sum of the texts' own."""
        rows = []
        for mix in mixes:
            parts = [(self._text(text), weight) for text, weight in mix]
            rows.append(
                {
                    key: sum(
                        (cond[key] * weight for cond, weight in parts[1:]),
                        parts[0][0][key] * parts[0][1],
                    )
                    for key in parts[0][0]
                }
            )
        return {key: torch.cat([row[key] for row in rows]) for key in rows[0]}

    def _text(self, text: str) -> Conditioning:
        if text not in self._texts:
            self._texts[text] = self.model.conditioner([text])
        return self._texts[text]

    def denoiser(self, jobs: Sequence[FrameJob], noise: Noise) -> Any:
        """The model's denoiser with all guidance around it, one row per job."""
        part = self.plan.preset.guidance
        negative = self.conditioning([((job.negative, 1.0),) for job in jobs])
        guided = cfg(
            self.model.denoiser,
            negative,
            torch.tensor([job.scale for job in jobs]),
            start=part.start,
            stop=part.stop,
            rescale=torch.tensor([job.rescale for job in jobs]),
        )
        losses, projections = [], []
        for place, chosen in enumerate(self.plan.terms):
            if hasattr(chosen.kind, "loss"):
                losses.append(self._loss(chosen, place, jobs))
            else:
                projections.append(self._projection(chosen, place, jobs))
        return guide(guided, losses, projections, noise=noise, through=part.through)

    def _groups(
        self, chosen: Chosen, place: int, jobs: Sequence[FrameJob]
    ) -> list[tuple[Any, list[int]]]:
        """One instance of a term for each set of option values, with the rows it serves."""
        preset = self.plan.preset
        setup = Setup(self.model, preset.height, preset.width)
        rows: dict[str, list[int]] = {}
        options: dict[str, Any] = {}
        for row, job in enumerate(jobs):
            with _accuse("guidance", chosen):
                values = chosen.options.__class__.model_validate(dict(job.terms[place].options))
            key = values.model_dump_json()
            options[key] = values
            rows.setdefault(key, []).append(row)
        with _accuse("guidance", chosen):
            return [(chosen.kind(options[key], setup), group) for key, group in rows.items()]

    def _loss(self, chosen: Chosen, place: int, jobs: Sequence[FrameJob]) -> Term:
        groups = self._groups(chosen, place, jobs)
        weight = torch.tensor([job.terms[place].weight for job in jobs])

        def loss(x0: Tensor, at: Level, noise: Noise) -> Tensor:
            if len(groups) == 1:
                return _judge(chosen, groups[0][0], x0, at, noise)
            values = x0.new_zeros(len(x0))
            for term, rows in groups:
                judged = _judge(chosen, term, x0[rows], at, _rows(noise, rows))
                values = values.index_put((torch.tensor(rows),), judged.to(values))
            return values

        return Term(loss, weight, f"{chosen.label} of plugin {chosen.plugin}")

    def _projection(self, chosen: Chosen, place: int, jobs: Sequence[FrameJob]) -> Projection:
        groups = self._groups(chosen, place, jobs)
        weight = torch.tensor([job.terms[place].weight for job in jobs]).reshape(-1, 1, 1, 1)

        def project(x0: Tensor, x: Tensor, at: Level, noise: Noise) -> Tensor:
            done = x0.clone()
            for term, rows in groups:
                with _accuse("guidance", chosen):
                    changed = term(x0[rows], x[rows], at, _rows(noise, rows))
                _expect(chosen, changed, "x0", x0[rows].shape)
                done[rows] = changed.to(done)
            return x0 + weight.to(x0) * (done - x0)

        return project

    def finish(self, picture: np.ndarray, job: FrameJob) -> np.ndarray:
        """Run the effects over a picture, uint8 (H, W, 3)."""
        for effect, chosen in zip(self.effects, self.plan.effects, strict=True):
            with _blame([job]), _accuse("effect", chosen):
                picture = effect(picture, job)
                fits = isinstance(picture, np.ndarray) and picture.dtype == np.uint8
                if not fits or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
                    raise PluginError(
                        f"effect {chosen.label!r} (plugin {chosen.plugin!r}) returned "
                        f"{_shape(picture)}, not a uint8 picture (H, W, 3)"
                    )
        return picture


def _rows(noise: Noise, rows: Sequence[int]) -> Noise:
    return Noise([noise.seeds[row] for row in rows], noise.step)


def _judge(chosen: Chosen, term: Any, x0: Tensor, at: Level, noise: Noise) -> Tensor:
    """The loss of a term, (B,)."""
    with _accuse("guidance", chosen):
        values = term.loss(x0, at, noise)
    _expect(chosen, values, "a loss", x0.shape[:1])
    if not values.requires_grad:
        raise PluginError(
            f"guidance {chosen.label!r} (plugin {chosen.plugin!r}) returned a loss that does not "
            "depend on x0; compute it in torch, from x0 itself"
        )
    return values


def _expect(chosen: Chosen, found: Any, what: str, shape: torch.Size) -> None:
    """Refuse what a term returned, unless it is a finite tensor of a shape."""
    named = f"guidance {chosen.label!r} (plugin {chosen.plugin!r})"
    if not isinstance(found, Tensor) or found.shape != shape:
        raise PluginError(f"{named} returned {_shape(found)} as {what}, not {tuple(shape)}")
    if not bool(found.isfinite().all()):
        raise PluginError(f"{named} returned {what} that is not finite (NaN or infinite)")


def _shape(value: Any) -> str:
    kind = getattr(value, "dtype", type(value).__name__)
    return f"{kind} {tuple(value.shape)}" if hasattr(value, "shape") else f"{kind}"


@contextmanager
def _accuse(what: str, chosen: Chosen) -> Iterator[None]:
    """Let an error of a plugin's class name the class and the plugin."""
    try:
        yield
    except ArtdiffError:
        raise
    except Exception as error:
        raise PluginError(
            f"{what} {chosen.label!r} (plugin {chosen.plugin!r}) failed: "
            f"{type(error).__name__}: {error}"
        ) from error


@contextmanager
def _blame(jobs: Sequence[FrameJob]) -> Iterator[None]:
    """Let an error of a plugin say at which frames it happened."""
    try:
        yield
    except ArtdiffError as error:
        first, last = jobs[0].index, jobs[-1].index
        where = f"frame {first}" if first == last else f"frames {first} to {last}"
        raise type(error)(f"{where}: {error}") from error
