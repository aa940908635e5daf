"""Checks of guidance: losses and projections."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from artdiff.guidance.setup import Setup
from artdiff.guidance.terms import Sees
from artdiff.noise import Flow, Level, diffuse
from artdiff.random import Noise
from artdiff.testing.findings import Finding, Report, make_options, repeats, said, same
from artdiff.testing.pictures import check_change
from artdiff.testing.toys import toy_job, toy_pictures, toy_setup

__all__ = ["check_guidance", "gradient_error"]

LEVELS = tuple(Flow()(torch.tensor(t, dtype=torch.float64)) for t in (1.0, 0.6, 0.02))
"""Pure noise, the middle, nearly clean."""

TRY_LOSS = "try it by hand: term.loss(x0, at, noise)"
TRY_PROJECTION = "try it by hand: term(x0, x, at, noise)"
ROWS = "keep the batch apart: reduce over the dimensions 1, 2, 3 and never over 0"
SEEDS = (3, 14, 15)


def check_guidance(
    kind: type,
    options: Any = None,
    *,
    name: str = "guidance",
    setup: Setup | None = None,
) -> list[Finding]:
    """Check a `Guidance` (a class with ``loss``) or a `Projection` class.

    Of both: runs as the engine runs it, shapes, finite numbers at every level and on a plain
    picture, rows apart, repeatable, no shared generator, nothing changed in place, float32 and
    float64. Of a loss also: its gradient against finite differences. A loss that sees x is shown
    noisy pictures. What it does to finished pictures, in ``finish``, is checked like an effect.

    Args:
        kind: the class.
        options: its options, or a dictionary of some; the defaults otherwise.
        name: what the findings call it.
        setup: of a model with the identity as its codec if left out (`toy_setup`).
    """
    report = Report("guidance", name)
    chosen = make_options(report, kind, options)
    if chosen is None:
        return report.findings
    setup = setup or toy_setup()
    if getattr(kind, "per_frame", False) and setup.job is None:
        setup = replace(setup, job=toy_job(3))

    def build() -> Any:
        return kind(chosen, setup)  # type: ignore[call-arg]

    codec = setup.model.codec
    x0 = toy_pictures(len(SEEDS), codec.channels, setup.height // codec.factor)
    try:
        with report.random("its constructor", networks=True):
            term = build()
    except Exception as error:
        report.unmade(error)
        return report.findings
    if hasattr(kind, "loss"):
        _check_loss(report, term, build, x0)
    elif callable(term):
        _check_projection(report, term, build, x0)
    else:
        report.wrong(
            "kind", "is neither a loss nor a projection",
            "give it loss(self, x0, at, noise) or __call__(self, x0, x, at, noise)",
        )  # fmt: skip
    if hasattr(kind, "finish"):
        size, frame = (setup.height, setup.width), setup.job.index if setup.job else 3
        check_change(report, "finish", lambda: build().finish, (size, size), frame)
    return report.findings


def gradient_error(
    loss: Callable[[Tensor], Tensor], x0: Tensor, seed: int = 0, directions: int = 3
) -> float:
    """The largest disagreement of a loss's gradient with central differences, as a share.

    Args:
        loss: rows x0, (B, C, H, W) in float64, to (B,).
        x0: where.
        seed: of the directions in which differences are taken.
        directions: how many; each row of x0 has its own.

    Returns:
        The greatest ``|difference - gradient| / (|difference| + |gradient| + 0.01 |loss|)`` over
        rows and directions, the best step of four taken for each; below 0.02 is agreement.
    """
    leaf = x0.detach().clone().requires_grad_()
    with torch.enable_grad():
        value = loss(leaf * 1)
        (gradient,) = torch.autograd.grad(value.sum(), leaf)
    noise, worst = Noise(range(len(x0))), 0.0
    smooth = F.interpolate(
        noise.at(seed).normal(x0[..., :2, :2], "smooth"), x0.shape[2:], mode="bilinear"
    )
    for number in range(directions):
        way = noise.at(seed).normal(x0, f"direction {number}")
        way = smooth + way * (number > 0)
        told = (gradient * way).flatten(1).sum(1)
        best = torch.full_like(told, torch.inf)
        for step in (1e-2, 1e-3, 1e-4, 1e-6):
            with torch.no_grad():
                ahead, behind = loss(x0 + step * way), loss(x0 - step * way)
            seen = ((ahead - behind) / (2 * step)).to(told)
            size = seen.abs() + told.abs() + 0.01 * value.detach().abs().to(told) + 1e-12
            best = torch.minimum(best, (seen - told).abs() / size)
        worst = max(worst, float(best.max()))
    return worst


def _check_loss(report: Report, term: Any, build: Callable[[], Any], clean: Tensor) -> None:
    noise, sees = Noise(SEEDS), getattr(term, "sees", "x0")
    if sees not in get_args(Sees):
        report.wrong(
            "sees", f"sees is {sees!r}",
            'write sees: ClassVar[Literal["x0", "x"]] = "x" for a loss of noisy pictures',
        )  # fmt: skip
        return

    def shown(at: Level) -> Tensor:
        return clean if sees == "x0" else diffuse(clean, noise.normal(clean, "check"), at)

    x0 = shown(LEVELS[1])
    try:
        _judge(term, x0, LEVELS[1], noise)
    except RuntimeError as error:
        if "nference tensor" not in str(error):
            report.wrong("runs", said(error), TRY_LOSS)
            return
        report.wrong(
            "inference mode",
            "it makes tensors under torch.inference_mode, which autograd refuses",
            "make them under `with torch.no_grad():`",
        )
        return
    except Exception as error:
        report.wrong("runs", said(error), TRY_LOSS)
        return
    for at in LEVELS:
        with report.guard("runs", f"{TRY_LOSS}, where at.alpha = {float(at.alpha):g}"):
            with report.random("loss"):
                value, gradient, touched = _judge(term, shown(at), at, noise)
            if not _fits_loss(report, value, gradient, len(x0)):
                return
            if touched:
                report.wrong("in place", "loss changes x0 itself", "work on a copy: x0 = x0 * 1")
            with report.guard("runs", f"{TRY_LOSS}, with one row"):
                _check_rows(report, term, shown(at), at, noise, value)
    with report.guard("runs", TRY_LOSS):
        repeats(report, "loss", lambda: _judge(term, x0, LEVELS[1], noise)[0], torch.equal)
        repeats(report, "loss", lambda: _judge(build(), x0, LEVELS[1], noise)[0], torch.equal)
    with report.guard("runs", f"{TRY_LOSS}, where x0 is 0"):
        plain, slope, _ = _judge(term, torch.zeros_like(x0), LEVELS[1], noise)
        if slope is not None and not bool(plain.isfinite().all() & slope.isfinite().all()):
            report.wrong(
                "plain picture",
                "the loss or its gradient is not finite on a picture of one colour",
                "keep roots and divisions away from 0, for example (v + 1e-6).sqrt()",
            )
    with report.guard("runs", TRY_LOSS):
        _check_dtypes(report, term, x0, noise)


def _check_dtypes(report: Report, term: Any, x0: Tensor, noise: Noise) -> None:
    at = LEVELS[1]
    single = _judge(term, x0, at, noise)[0]
    mend = "convert between x0's dtype and your network's, and make new tensors like x0"
    with report.guard("dtype", mend):
        double = _judge(term, x0.double(), at, noise)[0]
        if not same(single, double, 1e-3):
            report.wrong("dtype", "loss gives other values in float64 than in float32", mend)
        if any(finding.check == "rows" for finding in report.findings):
            return
        error = gradient_error(lambda rows: term.loss(rows, at, noise), x0.double())
        if not error < 0.02:
            report.wrong(
                "gradient", f"the gradient is {error:.0%} away from finite differences",
                "let x0 flow through: no detach, item, numpy, no_grad or rounding on its way",
            )  # fmt: skip
    try:
        half = _judge(term, x0.bfloat16(), at, noise)[0]
        if not bool(half.isfinite().all()):
            report.note("half", "the loss is not finite in bfloat16")
    except Exception as error:
        report.note("half", f"does not run in bfloat16: {said(error)}")


def _fits_loss(report: Report, value: Any, gradient: Tensor | None, count: int) -> bool:
    if not isinstance(value, Tensor) or value.shape != (count,):
        found = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        report.wrong("shape", f"loss gives {found} for {count} pictures, not ({count},)", ROWS)
        return False
    if gradient is None:
        report.wrong(
            "gradient", "the loss does not depend on x0",
            "let x0 flow through: no detach, item, numpy or no_grad on its way",
        )  # fmt: skip
        return False
    if not bool(value.isfinite().all() & gradient.isfinite().all()):
        report.wrong(
            "finite", "the loss or its gradient is not finite at some level",
            "keep roots, logarithms and divisions away from 0 (alpha is 0 in pure noise)",
        )  # fmt: skip
        return False
    return True


def _check_rows(
    report: Report, term: Any, x0: Tensor, at: Level, noise: Noise, value: Tensor
) -> None:
    """Rows alone give what they give in company, and no row's loss moves with another row."""
    alone = [
        _judge(term, x0[row : row + 1], at, Noise(SEEDS[row : row + 1], noise.step))[0]
        for row in range(len(x0))
    ]
    if any(one.shape != (1,) for one in alone) or not same(torch.cat(alone), value):
        report.wrong("rows", "a picture gets another loss alone than in a batch", ROWS)
        return
    leaf = x0.clone().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(term.loss(leaf * 1, at, noise)[0], leaf)
    if bool((gradient[1:] != 0).any()):
        report.wrong("rows", "the loss of one picture has a gradient in another one", ROWS)


class _Judged(NamedTuple):
    """A loss, its gradient (None where it has none), and whether x0 was written into."""

    value: Any
    gradient: Tensor | None
    touched: bool


def _judge(term: Any, x0: Tensor, at: Level, noise: Noise) -> _Judged:
    """Run a loss as `guide` does."""
    leaf = x0.clone().requires_grad_()
    seen = leaf * 1
    with torch.enable_grad():
        value = term.loss(seen, at, noise)
        touched = seen._version > 0  # also where it wrote what was there
        if not isinstance(value, Tensor) or not value.requires_grad:
            return _Judged(value, None, touched)
        (gradient,) = torch.autograd.grad(value.sum(), leaf, allow_unused=True)
    return _Judged(value.detach(), gradient, touched)


def _check_projection(report: Report, term: Any, build: Callable[[], Any], x0: Tensor) -> None:
    noise = Noise(SEEDS)

    def project(rows: Tensor, at: Level, noise: Noise, term: Any = term) -> Tensor:
        x = at.alpha.to(rows) * rows + at.sigma.to(rows) * noise.normal(rows, "check")
        kept, before = (x.clone(), rows.clone()), (x._version, rows._version)
        with torch.inference_mode():
            found = term(rows, x, at, noise)
        written = x._version > before[0] or rows._version > before[1]
        if written or not (torch.equal(x, kept[0]) and torch.equal(rows, kept[1])):
            report.wrong(
                "in place", "the projection changes x0 or x itself", "return a new tensor"
            )
            rows.copy_(kept[1])
        return found

    for at in LEVELS:
        with report.guard("runs", f"{TRY_PROJECTION}, where at.alpha = {float(at.alpha):g}"):
            with report.random("the projection"):
                found = project(x0, at, noise)
            if not isinstance(found, Tensor) or found.shape != x0.shape:
                got = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
                report.wrong("shape", f"gives {got} for {tuple(x0.shape)}", "return x0's shape")
                return
            if found.dtype != x0.dtype:
                report.wrong("dtype", f"gives {found.dtype} for {x0.dtype}", "return x0's dtype")
            if not bool(found.isfinite().all()):
                report.wrong(
                    "finite", "the new x0 is not finite at some level",
                    "keep divisions away from 0 (alpha is 0 in pure noise)",
                )  # fmt: skip
            with report.guard("runs", f"{TRY_PROJECTION}, with one row"):
                alone = [
                    project(x0[row : row + 1], at, Noise(SEEDS[row : row + 1]))
                    for row in range(len(x0))
                ]
                if not same(torch.cat(alone), found):
                    wrong = "a picture becomes another one alone than in a batch"
                    report.wrong("rows", wrong, ROWS)
    with report.guard("runs", TRY_PROJECTION):
        repeats(report, "the projection", lambda: project(x0, LEVELS[1], noise), torch.equal)
    with report.guard("runs", TRY_PROJECTION):
        again = project(x0, LEVELS[1], noise, build())
        if not torch.equal(again, project(x0, LEVELS[1], noise)):
            report.wrong(
                "repeatable", "another instance with the same options gives other values",
                "keep no state between calls",
            )  # fmt: skip
    with report.guard("dtype", "convert constants to x0's dtype: self.mask.to(x0)"):
        double = project(x0.double(), LEVELS[1], noise)
        if double.dtype != torch.float64 or not same(double, project(x0, LEVELS[1], noise), 1e-3):
            report.wrong("dtype", "float64 in does not come out as float64", "return x0's dtype")
