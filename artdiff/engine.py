"""From frame jobs to pictures: the only user of `sample`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property, partial
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from artdiff.denoise import Denoise, bind
from artdiff.guidance.guide import Look, guide
from artdiff.guidance.plan_terms import PlanTerms
from artdiff.guidance.setup import Setup
from artdiff.guidance.verdicts import (
    JudgedSampler,
    accusing,
    at_frames,
    expect_picture,
    expect_samples,
)
from artdiff.guiders import guided
from artdiff.guiders.fit import check_models
from artdiff.guiders.rows import plain
from artdiff.model import Model
from artdiff.noise import Level
from artdiff.plan import Plan
from artdiff.random import Noise
from artdiff.sample import Step, sample
from artdiff.starting import image_start, levels_of, noise_of
from artdiff.texts import Texts
from artdiff.tiles import tiled_model
from artdiff.timeline import FrameJob, Init

Observe = Callable[[FrameJob, Step], None]
WatchJobs = Callable[[Sequence[FrameJob], Look], None]


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
        with accusing("guider", chosen):
            self.guider = chosen.build()
            scaled = any(value != 1 for value in plan.preset.guidance.scale.values)
            check_models(self.guider, scaled, model, weak)
        tile = plan.preset.tile
        if tile.size:
            self.model = tiled_model(model, tile.size, tile.overlap)
            self.weak = weak and tiled_model(weak, tile.size, tile.overlap)
        self.effects = [chosen.kind(chosen.options) for chosen in plan.effects]
        self.conditioning = Texts(self.model.conditioner)
        self._weak_conditioning = Texts((self.weak or self.model).conditioner)
        preset = plan.preset
        self._setup = Setup(self.model, preset.height, preset.width, files=plan.files)
        self.terms = PlanTerms(plan, self._setup)

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
        sampler: Any = JudgedSampler(self.plan.sampler, self.plan.sampler.build())
        with at_frames(jobs) as walk:
            levels, x = self._begin(jobs, like)
            cond = self.conditioning([job.prompts for job in jobs])
            if self.model.card.distilled:
                cond = {**cond, "scale": torch.tensor([[job.scale] for job in jobs])}
            denoise = bind(self.denoiser(jobs, noise), cond)
            walk.step, walk.steps = 1, len(levels) - 1
            for step in islice(sample(sampler, denoise, x, levels, noise), steps):
                x, walk.step = step.x, step.index + 2
                self._setup.last.clear()
                if self.observe is not None:
                    for row, job in enumerate(jobs):
                        part = slice(row, row + 1)
                        x0 = step.x0[part].clone()  # samplers keep it
                        seen = Step(step.index, step.a, step.b, step.x[part].clone(), x0)
                        self.observe(job, seen)
        expect_samples(self.model.card.name, jobs, x)
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
        return noise_of(jobs, like)

    def _begin(self, jobs: Sequence[FrameJob], like: Tensor) -> tuple[list[Level], Tensor]:
        """The levels that some jobs walk, which are the same, and their samples at the first."""
        if jobs[0].init:
            return image_start(self.plan, self._setup, self.conditioning, jobs, like)
        return self.levels, self.start(jobs, like) * self.levels[0].sigma.to(like)

    def setup(self, job: FrameJob | None = None) -> Setup:
        """What a term may know, of one frame or of all."""
        return replace(self._setup, job=job)

    def denoiser(self, jobs: Sequence[FrameJob], noise: Noise) -> Any:
        """The model's denoiser with all guidance around it, one row per job."""
        part = self.plan.preset.guidance
        negative = self.conditioning([((job.negative, 1.0),) for job in jobs])
        combined = guided(
            self.guider,
            self.model.denoiser,
            negative,
            1.0 if self.model.card.distilled else torch.tensor([job.scale for job in jobs]),
            start=part.start,
            stop=part.stop,
            rescale=torch.tensor([job.rescale for job in jobs]),
            course=part.course.along,
            weak=self._weaker(jobs),
        )
        losses, projections = self.terms.of(jobs)
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
        cond = self._weak_conditioning([job.prompts for job in jobs])

        def denoise(x: Tensor, at: Level) -> Tensor:
            return weak.denoiser(x, at, {key: plain(value) for key, value in cond.items()})

        return denoise

    def finish(self, picture: np.ndarray, job: FrameJob) -> np.ndarray:
        """Let the terms mend a picture, uint8 (H, W, 3), and run the effects over it."""
        picture = self.terms.finish(picture, job)
        for effect, chosen in zip(self.effects, self.plan.effects, strict=True):
            with at_frames([job]), accusing("effect", chosen):
                picture = effect(picture, job)
                expect_picture("effect", chosen, picture)
        return picture
