"""Where the walk of a frame begins: its levels, its noise, the image that it starts from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from artdiff.denoise import bind
from artdiff.errors import PresetError
from artdiff.grid import Grid, levels
from artdiff.guidance.setup import Setup
from artdiff.guidance.verdicts import JudgedGrid, expect_levels
from artdiff.inversion import invert
from artdiff.noise import Level, Schedule
from artdiff.plan import Plan
from artdiff.random import Noise
from artdiff.texts import Texts
from artdiff.timeline import FrameJob


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
    :raises PluginError: what the grid or the sampler gives are no levels.
    """
    if hasattr(plan.sampler.kind, "levels"):
        own = plan.sampler.build().levels(schedule)
        expect_levels(plan.sampler, own)
        return own
    part, grid = plan.preset.sampler, cast(Grid, JudgedGrid(plan.grid, plan.grid.build()))
    try:
        steps = math.ceil(part.steps * start - 1e-9)
        return levels(schedule, max(1, steps), shift=part.shift, start=start, grid=grid)
    except ValueError as error:
        raise PresetError(f"sampler.steps: {error}") from error


def noise_of(jobs: Sequence[FrameJob], like: Tensor) -> Tensor:
    """The standard normal noise that the jobs start from, (B, C, h, w)."""
    return _towards(jobs, Noise([job.start.seed for job in jobs]).normal(like, "start"))


def image_start(
    plan: Plan, setup: Setup, texts: Texts, jobs: Sequence[FrameJob], like: Tensor
) -> tuple[list[Level], Tensor]:
    """The levels that jobs with an image walk, and their samples at the first, (B, C, h, w).

    The jobs share strength, way and prompt of their images. At strength 0 there are no levels.

    :raises FrameError: an image cannot be read.
    """
    model, init = setup.model, jobs[0].init
    assert init is not None
    images = torch.cat([setup.picture(job.init.image) for job in jobs if job.init])
    clean = model.codec.encode(images)
    if init.strength == 0:
        return [], clean
    walked = levels_of(plan, model.schedule, init.strength)
    alpha, sigma = (part.to(like) for part in walked[0])
    if init.how == "noise":
        return walked, alpha * clean + sigma * noise_of(jobs, like)
    shown = texts([((init.prompt, 1.0),)] * len(jobs))
    *_, last = invert(bind(model.denoiser, shown), clean, walked, rounds=1)
    if not _travels(jobs):
        return walked, last.x
    return walked, alpha * clean + sigma * _towards(jobs, (last.x - alpha * clean) / sigma)


def _towards(jobs: Sequence[FrameJob], noise: Tensor) -> Tensor:
    """Noise of the jobs, on its way to that of the seeds that they go towards."""
    if not _travels(jobs):
        return noise
    other = Noise([job.start.towards for job in jobs]).normal(noise, "start")
    return slerp(noise, other, torch.tensor([job.start.t for job in jobs]))


def _travels(jobs: Sequence[FrameJob]) -> bool:
    return any(job.start.t != 0 for job in jobs)
