"""Drawing the samples of docs/story.md."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from story_runs import (
    ROWS,
    SCALES,
    VARIANCES,
    Net,
    Sizes,
    Story,
    chunks,
)
from torch import Tensor, nn

from artdiff.backends.unet import NoisyClassifier, denoiser_of_network
from artdiff.denoise import bind
from artdiff.noise import Level
from artdiff.process import respace
from artdiff.random import Noise
from artdiff.sample import Sampler, sample
from artdiff.samplers import DDIM, DDPM
from artdiff.train.data import to_images, to_pictures


@dataclass(frozen=True)
class Job:
    """A set of samples: `key` names it, `row` makes it."""

    key: str
    row: str
    sampler: str
    steps: int
    count: int
    told: bool = False
    scale: float | None = None


def jobs(sizes: Sizes) -> Iterator[Job]:
    """The sets of samples that compare all rows, and those of guidance."""
    for row in ROWS:
        own = "large" if row in VARIANCES else "learned"
        for sampler in (own, "ddim"):
            for steps in sizes.steps:
                key = f"{row}-{sampler}-{steps}"
                yield Job(key, row, sampler, steps, sizes.count, told=row == "adm")
    steps = sizes.guided_steps
    yield Job(f"cascade-learned-{steps}", "base16", "learned", steps, sizes.count)
    yield Job(f"free-learned-{steps}", "adm", "learned", steps, sizes.count)
    for told in (False, True):
        for scale in SCALES:
            key = f"{'told' if told else 'free'}-guided-{scale:g}"
            yield Job(key, "adm", "learned", steps, sizes.guided_count, told, scale)


def more_jobs(sizes: Sizes) -> Iterator[Job]:
    """The other fixed variance, and longer walks."""
    for row in VARIANCES:
        for steps in sizes.steps:
            yield Job(f"{row}-small-{steps}", row, "small", steps, sizes.count)
    for row in ("ddpm", "iddpm", "adm"):
        own, steps = "large" if row in VARIANCES else "learned", sizes.long_steps
        key = f"{row}-{own}-{steps}"
        yield Job(key, row, own, steps, sizes.long_count, told=row == "adm")


@dataclass(frozen=True, eq=False)
class _Known:
    """An answer that was given already."""

    x0: Tensor
    place: Tensor

    def __call__(self, x: Tensor, at: Level) -> Tensor:
        return self.x0

    def with_variance(self, x: Tensor, at: Level) -> tuple[Tensor, Tensor]:
        return self.x0, self.place


@dataclass(frozen=True, eq=False)
class Guided:
    r"""Ancestral steps with learned variance, moved by a classifier of noisy pictures.

    .. math:: x_b \sim N(\mu + s \Sigma \nabla_x \log p(y \mid x_a),\ \Sigma)

    Dhariwal & Nichol, arXiv 2105.05233, Algorithm 1.
    """

    classifier: Callable[[Tensor, Level], Tensor]
    labels: Tensor
    scale: float
    name: ClassVar[str] = "guided"
    order: ClassVar[int] = 1
    nfe: ClassVar[int] = 1

    def init(self, steps: int) -> None:
        return None

    def step(
        self, denoise: Any, x: Tensor, a: Level, b: Level, state: None, noise: Noise
    ) -> tuple[Tensor, Tensor, None]:
        x0, place = denoise.with_variance(x, a)
        drawn, _, _ = DDPM("learned").step(_Known(x0, place), x, a, b, None, noise)
        if b.sigma == 0:
            return drawn, x0, None
        kept = b.sigma / a.sigma
        least = kept**2 * (a.sigma**2 - (a.alpha / b.alpha * b.sigma) ** 2)
        variance = least * kept ** (-2 * place)
        with torch.enable_grad():
            leaf = x.detach().clone().requires_grad_()
            logs = self.classifier(leaf, a).float().log_softmax(1)
            chosen = logs.gather(1, self.labels[:, None]).sum()
            (gradient,) = torch.autograd.grad(chosen, leaf)
        return drawn + self.scale * variance * gradient, x0, None


def draw(story: Story, wanted: Iterable[Job]) -> None:
    nets: dict[str, Net] = {}

    def net(name: str) -> Net:
        if name not in nets:
            nets[name] = Net(story.weights(name))
        return nets[name]

    labels = torch.from_numpy(story.real()[1])
    for job in wanted:
        path = story.pictures(job.key)
        needed = [job.row, *(["classifier"] if job.scale is not None else [])]
        needed += ["upsampler"] if job.row == "base16" else []
        trained = all(story.weights(name).exists() for name in needed)
        if path.exists() or not trained or job.row not in story.rows:
            continue
        print(job.key, flush=True)
        made = _samples(job, net, labels, story.sizes.batch)
        path.parent.mkdir(exist_ok=True)
        if job.row == "base16":
            np.save(story.pictures("base16"), made)
            made = _enlarged(made, net("upsampler"), job, story.sizes.batch)
        np.save(path, made)


def _samples(job: Job, net: Callable[[str], Net], labels: Tensor, batch: int) -> np.ndarray:
    """Samples of a job, uint8 (count, H, W, 3); those of adm are told, or led to, `labels`."""
    model, parts = net(job.row), []
    for rows in chunks(job.count, batch):
        here, cond = labels[rows.start : rows.stop], {}
        if job.told:
            classes = model.facts.network.classes or 0
            cond["classes"] = nn.functional.one_hot(here, classes).float()
        sampler: Sampler[Any] = DDIM() if job.sampler == "ddim" else DDPM(job.sampler)  # type: ignore[arg-type]
        if job.scale is not None:
            sampler = Guided(_noisy(net("classifier")), here, job.scale)
        parts.append(_drawn(model, sampler, job.steps, rows, cond))
    return np.concatenate(parts)


def _noisy(net: Net) -> NoisyClassifier:
    network: Any = net
    return NoisyClassifier(network, net.facts, net.process.schedule)


@torch.no_grad()
def _drawn(
    net: Net, sampler: Sampler[Any], steps: int, rows: range, cond: dict[str, Tensor]
) -> np.ndarray:
    noise, side = Noise(tuple(rows)), net.facts.size
    denoise = bind(denoiser_of_network(net, net.facts), cond)  # type: ignore[arg-type]
    x = noise.normal(torch.empty(len(rows), 3, side, side), "start")
    for step in sample(sampler, denoise, x, respace(net.process, str(steps)).levels(), noise):
        x = step.x
    return to_pictures(x)


def _enlarged(small: np.ndarray, net: Net, job: Job, batch: int) -> np.ndarray:
    """Small pictures through the upsampler."""
    parts = []
    for rows in chunks(len(small), batch):
        low = {"low": to_images(small[rows.start : rows.stop])}
        parts.append(_drawn(net, DDPM("learned"), job.steps, rows, low))
    return np.concatenate(parts)
