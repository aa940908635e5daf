r"""Finding tuned steps: the solver that comes closest to a many-step reference in n model calls.

Everything here happens in the coordinates of `artdiff.tune.path`, whose `reference` comes first.

1. `fit` finds weights for a given grid in closed form: step by step, least squares against the
   path, along the solver's own trajectory. It costs n model calls a sample.
2. `refine` moves grid and weights together by gradients of the error at the end.
3. `tune` does both and picks by the error on the samples that it was given; how good that is,
   only other samples can say: the `distance` of `samples` on them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from artdiff.denoise import Denoise
from artdiff.noise import Level
from artdiff.tune.path import Path, at_fraction, distance
from artdiff.tune.solver import Solver

__all__ = [
    "Bound",
    "Effort",
    "chunked",
    "fit",
    "grids",
    "refine",
    "samples",
    "solve",
    "tune",
    "work",
]

Bound = Callable[[Tensor], Denoise]
"""A denoiser whose conditioning is bound to some of the samples: (R,) row numbers -> denoiser."""


def grids(first: float, last: float, steps: int, few: bool = False) -> list[tuple[float, ...]]:
    r"""Give grids to begin with, from even to dense at the clean end.

    .. math::
        f_i = f_1 + (f_0 - f_1) \frac{s t^p}{1 + (s - 1) t^p}, \qquad t = 1 - i / n

    for p of 1, 1.5, 2 and s of 1, 1.5, 2.5 (`few`: four of them).
    """
    pairs = [(p, s) for p in (1.0, 1.5, 2.0) for s in (1.0, 1.5, 2.5)]
    pairs = [(1.0, 1.0), (1.0, 1.5), (1.5, 1.5), (1.5, 2.5)] if few else pairs
    found = []
    for power, shift in pairs:
        times = [(1 - i / steps) ** power for i in range(steps)]
        shifted = [shift * t / (1 + (shift - 1) * t) for t in times]
        found.append(tuple(last + (first - last) * t for t in shifted))
    return found


@torch.no_grad()
def fit(
    denoise: Denoise,
    path: Path,
    fractions: Sequence[float],
    *,
    ridge: float = 1e-6,
    rounds: int = 2,
) -> tuple[Solver, Tensor]:
    r"""Find the weights for a grid by least squares, step by step.

    Step i knows :math:`y_i` of the solver itself and its :math:`D_0 \dots D_i`; with
    :math:`k = f_{i+1} / f_i` and :math:`\hat y` the path, it minimises over the free weights

    .. math::
        \left\lVert \hat y(f_{i+1}) - k y_i - (1 - k) D_i
            - \sum_{j < i} w_{ij} (D_j - D_i) \right\rVert^2

    Errors of earlier steps are so put right by later ones as far as they can be.

    Args:
        denoise: for all rows of the path.
        path: what to come close to.
        fractions: f_0, ..., f_{n-1}, falling; f_0 is the path's first.
        ridge: of Tikhonov's, relative to the mean square of the differences.
        rounds: more than 1 weighs a sample by one over its squared error in the round before, so
            that a few that land far away do not decide for all.

    Returns:
        The solver, and its samples, (B, ...).
    """
    y, seen, rows = path.start, [], []
    after = [*fractions[1:], 0.0]
    for here, there in zip(fractions, after, strict=True):
        seen.append(denoise(y, at_fraction(torch.tensor(here, dtype=torch.float64))))
        keep = there / here
        plain = keep * y + (1 - keep) * seen[-1]
        goal = path.end if there == 0 else path.at(there)
        row = _least_squares([d - seen[-1] for d in seen[:-1]], goal - plain, ridge, rounds)
        y = plain
        for weight, value in zip(row, seen[:-1], strict=True):
            y = y + weight * (value - seen[-1])
        rows.append((*row, 1 - keep - sum(row)))
    return Solver(fractions=tuple(fractions), weights=tuple(rows)), y


def _least_squares(
    parts: Sequence[Tensor], goal: Tensor, ridge: float, rounds: int
) -> tuple[float, ...]:
    """Give the weights of the parts, (B, ...) each, whose sum comes closest to the goal."""
    if not parts:
        return ()
    basis = torch.stack([part.flatten(1) for part in parts]).double()
    wanted = goal.flatten(1).double()
    trust, weights = torch.ones(len(wanted)).double(), torch.zeros(len(basis)).double()
    for _ in range(rounds):
        pulled = basis * trust[:, None]
        gram = torch.einsum("ibd,jbd->ij", pulled, basis)
        damping = ridge * gram.diagonal().mean() + 1e-30
        gram = gram + damping * torch.eye(len(gram), dtype=torch.float64)
        weights = torch.linalg.solve(gram, torch.einsum("ibd,bd->i", pulled, wanted))
        error = (torch.einsum("i,ibd->bd", weights, basis) - wanted).square().sum(1)
        trust = 1 / (error + error.median() + 1e-30)
    return tuple(weights.tolist())


def solve(denoise: Denoise, start: Tensor, solver: Solver) -> Tensor:
    """Give the samples of a solver, from y at the first level: (B, ...)."""
    fractions = torch.tensor(solver.fractions, dtype=torch.float64)
    size = solver.steps
    weights = torch.zeros(size, size, dtype=torch.float64)
    for index, row in enumerate(solver.weights):
        weights[index, : len(row)] = torch.tensor(row, dtype=torch.float64)
    return _walk(denoise, start, fractions, torch.tensor(solver.keeps).double(), weights)


def _walk(
    denoise: Denoise, y: Tensor, fractions: Tensor, keeps: Tensor, weights: Tensor
) -> Tensor:
    """Walk a solver that may be under autograd; weights is (n, n), lower triangular."""
    seen: list[Tensor] = []
    for index in range(len(fractions)):
        seen.append(_ask(denoise, y, fractions[index]))
        y = keeps[index].to(y) * y
        for weight, value in zip(weights[index].to(y).unbind(), seen, strict=False):
            y = y + weight * value
    return y


def _ask(denoise: Denoise, y: Tensor, fraction: Tensor) -> Tensor:
    """Ask the denoiser; under autograd, what it computed is forgotten and computed again."""
    if not torch.is_grad_enabled():
        return denoise(y, at_fraction(fraction))
    return checkpoint(lambda y, f: denoise(y, at_fraction(f)), y, fraction, use_reentrant=False)


@dataclass(frozen=True)
class Effort:
    """How hard to look.

    Attributes:
        gradient_steps: gradient steps; 0 leaves it at the closed form.
        batch: samples in each.
        rate: Adam's, for weights; the grid's is three times that.
        few: whether to try four grids to begin with, or nine.
        chunk: samples that are asked at once where no gradient is needed.
    """

    gradient_steps: int = 0
    batch: int = 4
    rate: float = 2e-3
    few: bool = True
    chunk: int = 16


def refine(
    bound: Bound, path: Path, solver: Solver, effort: Effort, seed: int = 0
) -> Iterator[Solver]:
    r"""Move grid and weights together down the gradient of the error at the end.

    The loss is the relative root mean square plus the mean relative error, so that neither the
    few samples that land elsewhere nor the many that do not are forgotten. Free are
    :math:`\mathrm{logit}(f_{i+1} / f_i)` and :math:`w_{ij}` for j < i, so that every solver on the
    way is consistent and its grid falls; f_0 stays. Adam (arXiv 1412.6980) with a cosine rate.
    Samples are drawn in proportion to their error, and weighed so that the loss is unbiased.

    Yields:
        The solver after each gradient step.
    """
    draw = torch.Generator().manual_seed(seed)
    size, first = solver.steps, solver.fractions[0]
    keeps = torch.tensor(solver.keeps[:-1], dtype=torch.float64).logit().requires_grad_()
    table = [list(row[:-1]) + [0.0] * (size - len(row) + 1) for row in solver.weights]
    free = torch.tensor(table, dtype=torch.float64).requires_grad_()
    rates = [effort.rate, 3 * effort.rate]
    optimiser = torch.optim.Adam([{"params": [free]}, {"params": [keeps]}], betas=(0.9, 0.99))
    chance = torch.ones(len(path.start), dtype=torch.float64) / len(path.start)
    scale = path.end.flatten(1).double().square().sum(1).mean()

    def parts() -> tuple[Tensor, Tensor, Tensor]:
        kept = torch.cat([keeps.sigmoid(), keeps.new_zeros(1)])
        fractions = first * torch.cat([keeps.new_ones(1), kept[:-1]]).cumprod(0)
        past = free.tril(-1)
        return fractions, kept, past + torch.diag(1 - kept - past.sum(1))

    for index in range(effort.gradient_steps):
        if index % 50 == 0:
            now = _solver(*parts())
            chance = _errors(bound, path, now, effort.chunk).sqrt()
            chance = (chance + chance.mean()) / (2 * chance.sum())
        warm = min(1, (index + 1) / (0.1 * effort.gradient_steps + 1))
        course = warm * (1 + math.cos(math.pi * index / effort.gradient_steps)) / 2
        for group, rate in zip(optimiser.param_groups, rates, strict=True):
            group["lr"] = rate * course
        rows = torch.multinomial(chance, effort.batch, replacement=True, generator=draw)
        with torch.enable_grad():
            samples = _walk(bound(rows), path.start[rows], *parts())
            error = (samples - path.end[rows]).flatten(1).double().square().sum(1) / scale
            trust = 1 / (len(chance) * chance[rows])
            loss = (error * trust).mean().sqrt() + ((error + 1e-9).sqrt() * trust).mean()
            gradients = torch.autograd.grad(loss, [free, keeps])
        for values, gradient in zip((free, keeps), gradients, strict=True):
            values.grad = gradient
            torch.nn.utils.clip_grad_norm_([values], 1.0)
        optimiser.step()
        with torch.no_grad():
            yield _solver(*parts())


def _solver(fractions: Tensor, keeps: Tensor, weights: Tensor) -> Solver:
    rows = weights.detach().tolist()
    return Solver(
        fractions=tuple(fractions.tolist()),
        weights=tuple(tuple(row[: i + 1]) for i, row in enumerate(rows)),
    )


@torch.no_grad()
def samples(bound: Bound, start: Tensor, solver: Solver, chunk: int) -> Tensor:
    """Give the samples of a solver for all starts, `chunk` at a time."""
    every = torch.arange(len(start)).split(chunk)
    return torch.cat([solve(bound(rows), start[rows], solver) for rows in every])


def tune(
    bound: Bound,
    path: Path,
    between: tuple[float, float],
    steps: int,
    effort: Effort,
    seed: int = 0,
) -> Iterator[Solver]:
    """Find a solver of so many steps: fit on several grids, refine the best.

    The best has the least sum of relative root mean square and median error on the path's
    samples; the refined one counts only where it is better. `between` are the ends of the grids
    to begin with, the first that of the path.

    Yields:
        The best so far, `work` times; the last is the result.
    """
    every = torch.arange(len(path.start))
    best, least = None, math.inf
    for fractions in grids(*between, steps, effort.few):
        solver, ended = fit(chunked(bound, every, effort.chunk), path, fractions)
        found = _score(ended, path)
        if best is None or found < least:
            best, least = solver, found
        yield best
    assert best is not None
    refined = best
    for refined in refine(bound, path, best, effort, seed):
        yield refined
    if effort.gradient_steps:
        ended = samples(bound, path.start, refined, effort.chunk)
        better = _score(ended, path) < least
        yield refined if better else best


def work(effort: Effort) -> int:
    """Say how often `tune` yields."""
    refined = effort.gradient_steps + bool(effort.gradient_steps)
    return len(grids(1.0, 0.0, 1, effort.few)) + refined


def chunked(bound: Bound, rows: Tensor, chunk: int) -> Denoise:
    """Ask for many rows, `chunk` at a time."""
    parts = [(part, bound(part)) for part in rows.split(chunk)]

    def denoise(y: Tensor, at: Level) -> Tensor:
        return torch.cat([ask(y[part], at) for part, ask in parts])

    return denoise


def _score(ended: Tensor, path: Path) -> float:
    found = distance(ended, path.end)
    return found.rms + found.median


def _errors(bound: Bound, path: Path, solver: Solver, chunk: int) -> Tensor:
    """Give the squared error of each sample, (B,)."""
    away = samples(bound, path.start, solver, chunk) - path.end
    return away.flatten(1).double().square().sum(1)
