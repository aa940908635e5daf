"""Checks of samplers, against a Gaussian whose path is known exactly."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from artdiff.denoise import GaussianDenoiser, bind
from artdiff.noise import EDM, Flow, Level, Schedule, VPCosine, VPLinear
from artdiff.random import Noise
from artdiff.sample import sample
from artdiff.testing.findings import Finding, Report, make_options, repeats, said, same
from artdiff.train.draws import numpy_draws

__all__ = ["check_grid", "check_sampler", "exact_path", "measured_order"]

Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
"""Rows of a shape by a generator."""

SCHEDULES: dict[str, Schedule] = {
    "vp-linear": VPLinear(), "vp-cosine": VPCosine(), "flow": Flow(), "edm": EDM()
}  # fmt: skip
SHAPE = (1, 2, 2)
TRY = "try it by hand: list(artdiff.sample.sample(...))"
ORACLE = GaussianDenoiser(
    torch.linspace(-1, 1, 4, dtype=torch.double).reshape(SHAPE),
    torch.linspace(0.1, 1.5, 4, dtype=torch.double).reshape(SHAPE),
)


def exact_path(prior: GaussianDenoiser, x: Tensor, a: Level, b: Level) -> Tensor:
    r"""Carry x from level a to b along the probability-flow ODE of a Gaussian, exactly.

    .. math:: x_b = \alpha_b \mu
        + \sqrt{\frac{\alpha_b^2 v + \sigma_b^2}{\alpha_a^2 v + \sigma_a^2}} (x_a - \alpha_a \mu)
    """
    mean, var = prior.mean.to(x), prior.var.to(x)
    ratio = (b.alpha**2 * var + b.sigma**2) / (a.alpha**2 * var + a.sigma**2)
    return b.alpha * mean + (x - a.alpha * mean) * ratio.sqrt()


def measured_order(
    sampler: Any,
    schedule: Schedule | None = None,
    steps: Sequence[int] = (32, 64, 128),
    end: float = 0.1,
) -> float:
    """The slope of log error over log steps, on a Gaussian; for samplers that draw no noise.

    It is infinite for a sampler that is exact on the problem.

    Args:
        sampler: an instance.
        schedule: walk it from pure noise to time `end`, in equal steps of time. Then the first
            steps, where a sampler that looks back knows little, bound the order to about 2. None:
            from sigma / alpha = 80 to 0.05 in equal steps of its logarithm, where they weigh
            little.
        steps: how many, from few to many.
        end: the last time.
    """
    x, points = _start(), []
    for count in steps:
        grid = _smooth_grid(count) if schedule is None else _grid(schedule, count, end)
        here = x * grid[0].sigma
        there = exact_path(ORACLE, here, grid[0], grid[-1])
        away = float((_walk(sampler, here, grid, Noise(range(len(x)))) - there).norm())
        points.append((math.log(count), max(away, 1e-300)))
    if points[-1][1] < 1e-12:
        return math.inf
    mean = sum(n for n, _ in points) / len(points)
    across = sum((n - mean) ** 2 for n, _ in points)
    return -sum((n - mean) * math.log(e) for n, e in points) / across


def check_sampler(kind: type, options: Any = None, *, name: str = "sampler") -> list[Finding]:
    """Check a `Sampler` class.

    It runs on every schedule from pure noise (alpha = 0) to clean (sigma = 0), keeps shape and
    dtype, rows apart, repeats itself, keeps to `nfe` model calls a step, changes nothing in
    place; without noise it converges with the order it declares (0.5 below at most) or better,
    with noise its samples have the Gaussian's mean and variance. (A sampler for models that were
    distilled, which do not give the expectation of x0, rightly fails that last check.)

    Args:
        kind: the class.
        options: its options, or a dictionary of some; the defaults otherwise.
        name: what the findings call it.
    """
    report = Report("sampler", name)
    chosen = make_options(report, kind, options)
    for part, value in (("name", str), ("order", int), ("nfe", int)):
        if not isinstance(getattr(kind, part, None), value):
            report.wrong("declares", f"has no {part}", f"add {part}: ClassVar[{value.__name__}]")
    if chosen is None or (report.findings and report.findings[-1].check == "declares"):
        return report.findings
    with report.guard("runs", "construct it by cls(**options.model_dump())"):
        sampler: Any = kind(**chosen.model_dump())
    if any(f.check == "runs" for f in report.findings):
        return report.findings
    if not (dataclasses.is_dataclass(kind) and kind.__dataclass_params__.frozen):  # type: ignore[attr-defined]
        report.wrong("frozen", "keeps values that can change", "write @dataclass(frozen=True)")
    x = _start()
    try:
        for label, schedule in SCHEDULES.items():
            _check_walk(report, sampler, label, _grid(schedule, 6, 0.0), x)
    except Exception as error:
        report.wrong("runs", said(error), TRY)
        return report.findings
    grid = _grid(Flow(), 6, 0.0)
    with report.guard("runs", TRY):
        repeats(report, "it", lambda: _walk(sampler, x, grid, Noise(range(len(x)))), torch.equal)
    with report.guard("runs", TRY):
        short = _walk(sampler, x.float(), grid, Noise(range(len(x))))
        if short.dtype != torch.float32:
            report.wrong("dtype", "float32 in does not come out as float32", "make tensors like x")
    with report.guard("runs", TRY):
        if _draws(sampler, x, _grid(Flow(), 40, 0.0)):
            _check_spread(report, sampler)
        elif not report.findings:
            _check_order(report, sampler)
    return report.findings


def check_grid(kind: type, options: Any = None, *, name: str = "grid") -> list[Finding]:
    """Check a `Grid` class: on every schedule as many times as steps, strictly falling.

    Args:
        kind: the class.
        options: its options, or a dictionary of some; the defaults otherwise.
        name: what the findings call it.
    """
    report = Report("grid", name)
    chosen = make_options(report, kind, options)
    if chosen is None:
        return report.findings
    with report.guard("runs", "construct it by cls(**options.model_dump())"):
        grid: Any = kind(**chosen.model_dump())
        for label, schedule in SCHEDULES.items():
            for steps, start in ((1, 1.0), (7, 1.0), (20, 0.6)):
                times = grid.times(schedule, steps, start)
                where = f"{steps} steps from {start} on {label}"
                if times.shape != (steps,) or times.dtype != torch.float64:
                    found = f"{tuple(times.shape)} {times.dtype}"
                    report.wrong("shape", f"gives {found} for {where}", "give (steps,) float64")
                elif not bool((times.diff() < 0).all() & (times >= 0).all()):
                    report.wrong("falling", f"does not fall for {where}", "sort, and end above 0")
                elif float(times[0]) > start + 1e-6:
                    report.wrong("start", f"begins above start for {where}", "begin at start")
    return report.findings


def _check_walk(report: Report, sampler: Any, label: str, grid: list[Level], x: Tensor) -> None:
    x = x * grid[0].sigma
    calls, kept, noise = 0, x.clone(), Noise(range(len(x)))

    def denoise(seen: Tensor, at: Level) -> Tensor:
        nonlocal calls
        calls += 1
        return ORACLE(seen, at, {})

    with report.random("step"), torch.no_grad():
        for step in sample(sampler, denoise, x, grid, noise):
            for what, value in (("x", step.x), ("x0", step.x0)):
                if value.shape != x.shape or value.dtype != x.dtype:
                    report.wrong(
                        "shape",
                        f"{what} is {tuple(value.shape)} {value.dtype} on {label}",
                        "give x and x0 the shape and dtype of x",
                    )
                    return
                if not bool(value.isfinite().all()):
                    report.wrong(
                        "finite",
                        f"{what} is not finite at step {step.index} of {len(grid) - 1} on {label}",
                        "build on artdiff.transfer: a flow starts at alpha = 0, ends at sigma = 0",
                    )
                    return
    if not torch.equal(x, kept):
        report.wrong("in place", "step changes x itself", "compute a new tensor")
    if calls > sampler.nfe * (len(grid) - 1):
        report.wrong(
            "nfe",
            f"{calls} model calls for {len(grid) - 1} steps, declares {sampler.nfe} a step",
            "declare the most calls that a step makes",
        )
    last = _walk(sampler, x, grid, noise)
    alone = [_walk(sampler, x[i : i + 1], grid, Noise([i])) for i in range(len(x))]
    if not same(torch.cat(alone), last, 1e-9):
        report.wrong(
            "rows", f"a row walks another way alone than in a batch on {label}",
            "let no norm, maximum or error estimate run over the batch",
        )  # fmt: skip


def _check_order(report: Report, sampler: Any) -> None:
    """Convergence on every schedule, where the first steps bound it to about 2, and without."""
    wanted = {label: min(sampler.order, 2) for label in SCHEDULES}
    for label, least in (wanted | {"equal steps of log SNR": sampler.order}).items():
        order = measured_order(sampler, SCHEDULES.get(label))
        if order < least - 0.5:
            report.wrong(
                "order",
                f"converges with order {order:.1f} on {label}, declares {sampler.order}",
                "look at the first step and at the coefficients, or declare the order it has",
            )


def _check_spread(report: Report, sampler: Any) -> None:
    """Mean and variance of many samples, within Monte-Carlo error and a little for the steps."""
    count = 2000
    grid = _grid(VPCosine(), 100, 0.0)
    noise = _Bulk(range(count))
    x = noise.at(-1).normal(torch.empty(count, *SHAPE, dtype=torch.double), "")
    last = _walk(sampler, x * grid[0].sigma, grid, noise)
    mean = (last.mean(0) - ORACLE.mean) / (ORACLE.var / count).sqrt()
    spread = last.var(0) / ORACLE.var - 1
    if bool((mean.abs() > 6).any()):
        report.wrong(
            "distribution", f"the mean of the samples is {float(mean.abs().max()):.0f} standard "
            "errors away", "compare step with DDPM's: mean and noise must belong together",
        )  # fmt: skip
    elif bool((spread.abs() > 0.2).any()):
        worst = float(spread.flatten()[spread.abs().argmax()])
        report.wrong(
            "distribution", f"the variance of the samples is {worst:+.0%} off",
            "compare step with DDPM's: what noise adds must be taken from the rest",
        )  # fmt: skip


class _Bulk(Noise):
    """The noise of many samples at once, by one generator: quick where rows need no names."""

    def at(self, step: int) -> Noise:
        return _Bulk(self.seeds, step)

    def _draw(self, like: Tensor, stream: str, kind: str, draw: Draw) -> Tensor:
        rows = draw(numpy_draws(0, f"{kind} {stream}", self.step), tuple(like.shape))
        return torch.from_numpy(rows).to(like)


class _Spy(Noise):
    """Notes in a list whether anything is drawn; a step's noise shares it."""

    def __init__(self, seeds: Sequence[int], notes: list[str], step: int = 0) -> None:
        super().__init__(seeds, step)
        object.__setattr__(self, "notes", notes)

    def at(self, step: int) -> Noise:
        return _Spy(self.seeds, self.notes, step)  # type: ignore[attr-defined]

    def normal(self, like: Tensor, stream: str) -> Tensor:
        self.notes.append(stream)  # type: ignore[attr-defined]
        return super().normal(like, stream)

    def uniform(self, like: Tensor, stream: str) -> Tensor:
        self.notes.append(stream)  # type: ignore[attr-defined]
        return super().uniform(like, stream)


def _draws(sampler: Any, x: Tensor, grid: list[Level]) -> bool:
    notes: list[str] = []
    _walk(sampler, x, grid, _Spy(range(len(x)), notes))
    return bool(notes)


def _start() -> Tensor:
    return torch.linspace(-2, 2, 12, dtype=torch.double).reshape(3, *SHAPE)


def _grid(schedule: Schedule, steps: int, end: float) -> list[Level]:
    """Levels at equally spaced times from 1; at end = 0 the last one is clean."""
    alpha, sigma = schedule(torch.linspace(1, end, steps + 1, dtype=torch.double))
    grid = [Level(*pair) for pair in zip(alpha, sigma, strict=True)]
    if end == 0:
        grid[-1] = Level(torch.ones_like(alpha[-1]), torch.zeros_like(sigma[-1]))
    return grid


def _smooth_grid(steps: int) -> list[Level]:
    """Variance-preserving levels from sigma / alpha = 80 to 0.05, equally spaced in its log."""
    first, last = math.log(80), math.log(0.05)
    ratios = torch.linspace(first, last, steps + 1, dtype=torch.double).exp()
    alphas = (1 + ratios**2).rsqrt()
    return [Level(alpha, alpha * ratio) for alpha, ratio in zip(alphas, ratios, strict=True)]


def _walk(sampler: Any, x: Tensor, grid: list[Level], noise: Any) -> Tensor:
    with torch.no_grad():
        for step in sample(sampler, bind(ORACLE, {}), x, grid, noise):
            x = step.x
    return x
