"""From frame jobs to pictures: the only user of `sample`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from artdiff.denoise import Conditioning, Denoise, bind
from artdiff.errors import ArtdiffError, ModelError, PluginError, PresetError
from artdiff.frames import load_image, load_mask
from artdiff.grid import levels
from artdiff.guidance import Look, Projection, Term, guide
from artdiff.guiders import guided
from artdiff.guiders.fit import check_models
from artdiff.guiders.rows import plain
from artdiff.inversion import invert
from artdiff.model import Model
from artdiff.noise import Level, Schedule
from artdiff.plan import Chosen, Plan
from artdiff.random import Noise
from artdiff.sample import Step, sample
from artdiff.tiles import tiled_model
from artdiff.timeline import FrameJob, Init, Mix

MOST_TERMS = 64
"""So many terms are kept for the next batch."""

Observe = Callable[[FrameJob, Step], None]
WatchJobs = Callable[[Sequence[FrameJob], Look], None]


@dataclass(frozen=True)
class Setup:
    """What a guidance term may know beside its options: the model, its frame, and files.

    Attributes:
        job: the frame, of a term that is ``per_frame``.
        files: paths by reference, as in `Plan.files`.
    """

    model: Model
    height: int
    width: int
    job: FrameJob | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    last: list[tuple[Tensor, Tensor]] = field(default_factory=list, compare=False, repr=False)

    def decode(self, x0: Tensor) -> Tensor:
        """Latents (B, C, h, w) to images (B, 3, H, W) in [-1, 1]; gradients flow.

        All terms of a call that ask for the same x0 share one decoding.
        """
        graph = x0.requires_grad and torch.is_grad_enabled()
        if not self.last or self.last[0][0] is not x0 or self.last[0][1].requires_grad != graph:
            self.last[:] = [(x0, self.model.codec.decode(x0))]
        return self.last[0][1]

    def encode(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [-1, 1] to latents (B, C, h, w)."""
        return self.model.codec.encode(images)

    def path(self, reference: str) -> Path:
        """The file of an option of the type `File`."""
        return Path(self.files.get(reference, reference))

    def picture(self, reference: str) -> Tensor:
        """A picture file scaled and cropped to the frame: (1, 3, H, W) in [-1, 1].

        :raises FrameError: it is not a picture.
        """
        return _tensor(load_image(self.path(reference)), self) * 2 - 1

    def alpha(self, reference: str) -> Tensor:
        """A mask file, scaled and cropped to the frame: (1, 1, H, W) in [0, 1].

        It is the alpha channel, where the picture has one that is not all opaque, else its grey.

        :raises FrameError: it is not a picture.
        """
        return _tensor(load_mask(self.path(reference))[..., None], self)


def _tensor(picture: np.ndarray, setup: Setup) -> Tensor:
    """A uint8 picture (H, W, C) that covers the frame, (1, C, height, width) in [0, 1]."""
    image = Image.fromarray(picture.squeeze(2) if picture.shape[2] == 1 else picture)
    fitted = ImageOps.fit(image, (setup.width, setup.height), Image.Resampling.LANCZOS)
    values = torch.from_numpy(np.array(fitted, np.float32) / 255)
    return values.reshape(setup.height, setup.width, -1).permute(2, 0, 1)[None]


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


def levels_of(plan: Plan, schedule: Schedule, start: float = 1.0) -> list[Level]:
    """The noise levels of every frame of a plan, from noise to clean.

    A sampler that has levels of its own, as `tuned` does, walks those.

    :param start: the time in (0, 1] at which the walk begins; it has that part of the steps.
    :raises PresetError: the grid has fewer levels than the preset wants steps.
    """
    if hasattr(plan.sampler.kind, "levels"):
        return plan.sampler.kind(**plan.sampler.options.model_dump()).levels(schedule)
    part, grid = plan.preset.sampler, plan.grid.kind(**plan.grid.options.model_dump())
    try:
        steps = math.ceil(part.steps * start - 1e-9)
        return levels(schedule, max(1, steps), shift=part.shift, start=start, grid=grid)
    except ValueError as error:
        raise PresetError(f"sampler.steps: {error}") from error


class Engine:
    """A loaded model at work on one plan."""

    def __init__(
        self,
        model: Model,
        plan: Plan,
        observe: Observe | None = None,
        watch: WatchJobs | None = None,
        weak: Model | None = None,
    ) -> None:
        """Put a model to work.

        :param weak: the weaker model that the plan's guider asks, if it does.
        :raises ModelError: the models cannot do what the guider asks for.
        """
        self.model, self.plan, self.observe, self.watch = model, plan, observe, watch
        self.weak, chosen = weak, plan.guider
        with _accuse("guider", chosen):
            self.guider = chosen.kind(**chosen.options.model_dump())
            scaled = any(value != 1 for value in plan.preset.guidance.scale.values)
            check_models(self.guider, scaled, model, weak)
        tile = plan.preset.tile
        if tile.size:
            self.model = tiled_model(model, tile.size, tile.overlap)
            self.weak = weak and tiled_model(weak, tile.size, tile.overlap)
        self.effects = [chosen.kind(chosen.options) for chosen in plan.effects]
        self._texts: dict[tuple[str, bool], Conditioning] = {}
        self._terms: dict[tuple[int, str, int | None], Any] = {}
        self._decoded: list[tuple[Tensor, Tensor]] = []

    @cached_property
    def levels(self) -> list[Level]:
        """The noise levels of every frame that starts from noise, to the clean one."""
        return levels_of(self.plan, self.model.schedule)

    def pictures(self, jobs: Sequence[FrameJob], steps: int | None = None) -> list[np.ndarray]:
        """Draw the pictures of some jobs, before effects: uint8 (H, W, 3) each.

        Jobs that walk the same levels are one batch.

        :param steps: stop after so many steps; None goes all the way.
        :raises ModelError: the model gave numbers that are not finite.
        :raises PluginError: a term failed; the message names it and the frames.
        """
        walks: dict[Init | None, list[FrameJob]] = {}
        for job in jobs:
            walks.setdefault(job.init and replace(job.init, image=""), []).append(job)
        drawn = {}
        for walk in walks.values():
            drawn |= {
                job.index: picture
                for job, picture in zip(walk, self._batch(walk, steps), strict=True)
            }
        return [drawn[job.index] for job in jobs]

    @torch.inference_mode()
    def _batch(self, jobs: Sequence[FrameJob], steps: int | None) -> list[np.ndarray]:
        """Draw jobs that walk the same levels."""
        preset, codec = self.plan.preset, self.model.codec
        noise = Noise([job.seed for job in jobs])
        size = (preset.height // codec.factor, preset.width // codec.factor)
        like = torch.empty(len(jobs), codec.channels, *size)
        sampler = self.plan.sampler.kind(**self.plan.sampler.options.model_dump())
        with _blame(jobs):
            levels, x = self._begin(jobs, like)
            cond = self.conditioning([job.prompts for job in jobs])
            denoise = bind(self.denoiser(jobs, noise), cond)
            for step in islice(sample(sampler, denoise, x, levels, noise), steps):
                x = step.x
                self._decoded.clear()
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

    def _begin(self, jobs: Sequence[FrameJob], like: Tensor) -> tuple[list[Level], Tensor]:
        """The levels that some jobs walk, which are the same, and their samples at the first."""
        unit, init = self.start(jobs, like), jobs[0].init
        if init is None:
            return self.levels, unit * self.levels[0].sigma.to(like)
        setup = self.setup()
        images = torch.cat([setup.picture(job.init.image) for job in jobs if job.init])
        clean = self.model.codec.encode(images)
        if init.strength == 0:
            return [], clean
        levels = levels_of(self.plan, self.model.schedule, init.strength)
        if init.how == "noise":
            return levels, levels[0].alpha.to(like) * clean + levels[0].sigma.to(like) * unit
        shown = self.conditioning([((init.prompt, 1.0),)] * len(jobs))
        *_, last = invert(bind(self.model.denoiser, shown), clean, levels, rounds=1)
        if all(job.start.t == 0 for job in jobs):
            return levels, last.x
        alpha, sigma = (part.to(like) for part in levels[0])
        other = Noise([job.start.towards for job in jobs]).normal(like, "start")
        way = torch.tensor([job.start.t for job in jobs])
        return levels, alpha * clean + sigma * slerp((last.x - alpha * clean) / sigma, other, way)

    def setup(self, job: FrameJob | None = None) -> Setup:
        """What a term may know, of one frame or of all."""
        preset, files = self.plan.preset, self.plan.files
        return Setup(self.model, preset.height, preset.width, job, files, self._decoded)

    def conditioning(self, mixes: Sequence[Mix], weak: bool = False) -> Conditioning:
        """The conditioning of each mix of texts: the weighted sum of the texts' own.

        :param weak: whether it is for the weaker model.
        """
        rows = []
        for mix in mixes:
            parts = [(self._text(text, weak), weight) for text, weight in mix]
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

    def _text(self, text: str, weak: bool) -> Conditioning:
        if (text, weak) not in self._texts:
            model = self.weak if weak and self.weak else self.model
            self._texts[text, weak] = model.conditioner([text])
        return self._texts[text, weak]

    def denoiser(self, jobs: Sequence[FrameJob], noise: Noise) -> Any:
        """The model's denoiser with all guidance around it, one row per job."""
        part = self.plan.preset.guidance
        negative = self.conditioning([((job.negative, 1.0),) for job in jobs])
        combined = guided(
            self.guider,
            self.model.denoiser,
            negative,
            torch.tensor([job.scale for job in jobs]),
            start=part.start,
            stop=part.stop,
            rescale=torch.tensor([job.rescale for job in jobs]),
            course=part.course.along,
            weak=self._weaker(jobs),
        )
        losses, projections = [], []
        for place, chosen in enumerate(self.plan.terms):
            if hasattr(chosen.kind, "loss"):
                losses.append(self._loss(chosen, place, jobs))
            else:
                projections.append(self._projection(chosen, place, jobs))
        return guide(
            combined,
            losses,
            projections,
            noise=noise,
            through=part.through,
            combine=part.combine,
            clamp=part.clamp,
            clamp_by=part.clamp_by,
            watch=partial(self.watch, jobs) if self.watch else None,
        )

    def _weaker(self, jobs: Sequence[FrameJob]) -> Denoise | None:
        """The weaker model, told the same as the model."""
        weak = self.weak
        if weak is None:
            return None
        cond = self.conditioning([job.prompts for job in jobs], weak=True)

        def denoise(x: Tensor, at: Level) -> Tensor:
            return weak.denoiser(x, at, {key: plain(value) for key, value in cond.items()})

        return denoise

    def _groups(
        self, chosen: Chosen, place: int, jobs: Sequence[FrameJob]
    ) -> list[tuple[Any, list[int]]]:
        """The instances of a term, with the rows that each serves."""
        groups: dict[int, tuple[Any, list[int]]] = {}
        for row, job in enumerate(jobs):
            term = self._instance(chosen, place, job)
            groups.setdefault(id(term), (term, []))[1].append(row)
        return list(groups.values())

    def _instance(self, chosen: Chosen, place: int, job: FrameJob) -> Any:
        """The term that serves a frame: one for each set of option values, or for each frame."""
        with _accuse("guidance", chosen):
            values = chosen.options.__class__.model_validate(dict(job.terms[place].options))
            own = getattr(chosen.kind, "per_frame", False)
            key = (place, values.model_dump_json(), job.index if own else None)
            if key not in self._terms:
                while len(self._terms) >= MOST_TERMS:
                    self._terms.pop(next(iter(self._terms)))
                with torch.inference_mode(False):
                    self._terms[key] = chosen.kind(values, self.setup(job if own else None))
            return self._terms[key]

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

        return Term(
            loss,
            weight,
            f"{chosen.label} of plugin {chosen.plugin}",
            sees=getattr(chosen.kind, "sees", "x0"),
            course=self.plan.courses[place].along,
            label=chosen.label,
        )

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
        """Let the terms mend a picture, uint8 (H, W, 3), and run the effects over it."""
        for place, chosen in enumerate(self.plan.terms):
            if hasattr(chosen.kind, "finish"):
                with _blame([job]), _accuse("guidance", chosen):
                    picture = self._instance(chosen, place, job).finish(picture, job)
                    _expect_picture("guidance", chosen, picture)
        for effect, chosen in zip(self.effects, self.plan.effects, strict=True):
            with _blame([job]), _accuse("effect", chosen):
                picture = effect(picture, job)
                _expect_picture("effect", chosen, picture)
        return picture


def _rows(noise: Noise, rows: Sequence[int]) -> Noise:
    return Noise([noise.seeds[row] for row in rows], noise.step)


def _judge(chosen: Chosen, term: Any, x0: Tensor, at: Level, noise: Noise) -> Tensor:
    """The loss of a term, (B,)."""
    with _accuse("guidance", chosen):
        values = term.loss(x0, at, noise)
    _expect(chosen, values, "a loss", x0.shape[:1])
    if not values.requires_grad:
        seen = getattr(chosen.kind, "sees", "x0")
        raise PluginError(
            f"guidance {chosen.label!r} (plugin {chosen.plugin!r}) returned a loss that does not "
            f"depend on {seen}; compute it in torch, from {seen} itself"
        )
    return values


def _expect(chosen: Chosen, found: Any, what: str, shape: torch.Size) -> None:
    """Refuse what a term returned, unless it is a finite tensor of a shape."""
    named = f"guidance {chosen.label!r} (plugin {chosen.plugin!r})"
    if not isinstance(found, Tensor) or found.shape != shape:
        raise PluginError(f"{named} returned {_shape(found)} as {what}, not {tuple(shape)}")
    if not bool(found.isfinite().all()):
        raise PluginError(f"{named} returned {what} that is not finite (NaN or infinite)")


def _expect_picture(what: str, chosen: Chosen, picture: Any) -> None:
    """Refuse what a plugin returned, unless it is a picture."""
    fits = isinstance(picture, np.ndarray) and picture.dtype == np.uint8
    if not fits or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise PluginError(
            f"{what} {chosen.label!r} (plugin {chosen.plugin!r}) returned "
            f"{_shape(picture)}, not a uint8 picture (H, W, 3)"
        )


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
