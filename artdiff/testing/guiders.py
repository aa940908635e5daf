"""Checks of guiders, on a walk whose answers are those of Gaussians."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import torch
from torch import Tensor

from artdiff.denoise import Conditioning, Denoiser, bind
from artdiff.grid import levels
from artdiff.guiders.guider import PASSES, guided
from artdiff.noise import Flow, Level, VPLinear
from artdiff.preset.guidance import GuidancePart
from artdiff.random import Noise
from artdiff.sample import sample
from artdiff.samplers.euler import Euler
from artdiff.testing.findings import Finding, Report, make_options, repeats, said, same

__all__ = ["check_guider"]

STEPS = 5
MEANS = torch.tensor([1.0, -0.5, 0.25], dtype=torch.double)


class _Toy:
    """The exact denoiser of Gaussians whose mean the conditioning says; marked rows are wrong."""

    depth = 4
    weakens: ClassVar[dict[str, tuple[int, ...]]] = {"perturbed": (1,), "skipped": (2,)}

    def __call__(self, x: Tensor, at: Level, cond: Conditioning) -> Tensor:
        mean = cond["mean"].to(x).reshape(-1, 1, 1, 1)
        for key in self.weakens:
            if key in cond:
                mean = mean + 0.3 * (cond[key] >= 0).any(1).to(x).reshape(-1, 1, 1, 1)
        gain = at.alpha / 4 / (at.alpha**2 / 4 + at.sigma**2)
        return mean + gain * (x - at.alpha * mean)


def check_guider(kind: type, options: Any = None, *, name: str = "guider") -> list[Finding]:
    """Check a `Guider` class.

    It asks for passes that there are, and declares them; gives finite x0 of the shape and dtype of
    x on every level from pure noise (alpha = 0) to clean; keeps rows apart, repeats itself from
    one walk to the next, changes nothing in place; a row whose scale is 1 is the conditional
    answer wherever it asks for nothing else.

    Args:
        kind: the class.
        options: its options, or a dictionary of some; the defaults otherwise.
        name: what the findings call it.
    """
    report = Report("guider", name)
    chosen = make_options(report, kind, options)
    for part, value in (("name", str), ("passes", tuple)):
        if not isinstance(getattr(kind, part, None), value):
            report.wrong("declares", f"has no {part}", f"add {part}: ClassVar[...]")
    if chosen is None or (report.findings and report.findings[-1].check == "declares"):
        return report.findings
    taken = sorted(set(type(chosen).model_fields) & set(GuidancePart.model_fields))
    if taken:
        report.wrong("options", f"{taken[0]!r} is a key of all guiders", "give it another name")
    if not (dataclasses.is_dataclass(kind) and kind.__dataclass_params__.frozen):  # type: ignore[attr-defined]
        report.wrong("frozen", "keeps values that can change", "write @dataclass(frozen=True)")
    try:
        guider: Any = kind(**chosen.model_dump())
        _check_passes(report, kind, guider)
        if not any(f.check == "passes" for f in report.findings):
            _check_walks(report, guider)
    except Exception as error:
        report.wrong("runs", said(error), "try it by hand: artdiff.guided(guider, ...)")
    return report.findings


def _check_passes(report: Report, kind: Any, guider: Any) -> None:
    declared = set(kind.passes)
    unknown = sorted(declared - set(PASSES))
    if unknown:
        known = ", ".join(PASSES)
        report.wrong("passes", f"declares {unknown[0]!r}", f"there are {known}")
    for at in (None, *levels(Flow(), 4)[:-1]):
        for scaled in (False, True):
            more = set(guider.asks(scaled, at)) - declared
            if more:
                report.wrong("passes", f"asks for {sorted(more)[0]!r}", "name it in passes")
    if "weak" in declared and "model" not in kind.Options.model_fields:
        report.wrong("passes", "asks a weaker model", "add an option `model`, the model's name")


def _check_walks(report: Report, guider: Any) -> None:
    x = Noise(range(3)).normal(torch.empty(3, 2, 4, 4, dtype=torch.double), "check")
    scale = torch.tensor([1.0, 3.0, 9.0], dtype=torch.double)
    every = [0, 1, 2]
    for schedule in (Flow(), VPLinear()):
        whole = _walk(guider, schedule, x, scale, every)
        if not bool(whole.isfinite().all()):
            report.wrong("finite", "gives NaN or infinite values", "look at alpha = 0, sigma = 0")
            return
        alone = torch.cat([_walk(guider, schedule, x, scale, [row]) for row in every])
        if not same(whole, alone):
            mend = "reduce over (C, H, W) only, never over the batch"
            report.wrong("rows", "a sample depends on its company in the batch", mend)
        if not guider.asks(False):
            plain = _walk(None, schedule, x, scale, [0])
            if not same(plain, whole[:1]):
                mend = "add (seen.scale - 1) times a difference to seen.cond"
                report.wrong("scale", "a row of scale 1 is not the conditional answer", mend)
    before = x.clone()
    _around(guider, scale, every)(x, levels(Flow(), STEPS)[1], {"mean": MEANS})
    if not torch.equal(x, before):
        report.wrong("in place", "writes into x", "make new tensors")
    x = before
    repeats(report, "it", lambda: _walk(guider, Flow(), x, scale, every), torch.equal)
    short = _walk(guider, Flow(), x.float(), scale.float(), every)
    if short.dtype != torch.float32:
        report.wrong("dtype", "float32 in does not come out as float32", "make tensors like x")


def _walk(guider: Any, schedule: Any, x: Tensor, scale: Tensor, rows: list[int]) -> Tensor:
    """Samples of some rows at the end of a walk."""
    grid = levels(schedule, STEPS)
    denoise = bind(_around(guider, scale, rows), {"mean": MEANS[rows]})
    *_, last = sample(Euler(), denoise, x[rows] * grid[0].sigma, grid, Noise(rows))
    return last.x


def _around(guider: Any, scale: Tensor, rows: list[int]) -> Denoiser:
    """The toy with a guider around it, or without."""
    toy = _Toy()
    if guider is None:
        return toy
    weak = bind(toy, {"mean": MEANS[rows] / 2})
    return guided(guider, toy, {"mean": -MEANS[:1]}, scale[rows], weak=weak)
