"""Checks of what `artdiff evaluate` uses: metrics and feature extractors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from artdiff.evaluation.features import NEEDS, Features
from artdiff.testing.findings import Finding, Report, make_options, repeats, said, same
from artdiff.testing.toys import toy_pictures

__all__ = ["check_feature_extractor", "check_metric"]

COUNT = 48
TRY_METRIC = "try it by hand: metric.prepare(made, real)(a, b)"


def _toy_features(seed: int, shift: float = 0.0) -> Features:
    """Features of all kinds: of Gaussians, moved by `shift`; texts that fit their pictures."""
    draws = torch.Generator().manual_seed(seed)
    rows = torch.randn(COUNT, 6, generator=draws) + shift
    texts = torch.randn(COUNT, 6, generator=draws) * 0.1 + rows - shift
    return Features(rows, rows * 1.5, rows * 2, rows, texts)


def _permuted(features: Features, order: Tensor) -> Features:
    parts = {name: getattr(features, name)[order] for name in (*NEEDS, "texts")}
    return Features(**parts)


def check_metric(kind: type, options: Any = None, *, name: str = "metric") -> list[Finding]:
    """Check a `Metric` class.

    It declares what it needs; its number is finite, in its bounds and the same in any order of
    the pictures; counting a picture twice is having it twice; repeats itself and changes nothing
    in place; and one that compares with real pictures finds like nearer to like.

    Args:
        kind: the class; made without arguments, or with options where it has `Options`.
        options: its options, or a dictionary of some; the defaults otherwise.
        name: what the findings call it.
    """
    report = Report("metric", name)
    for part in ("need", "real", "better", "least", "recentre", "bounds"):
        if not hasattr(kind, part):
            report.wrong("declares", f"has no {part}", f"add {part}: ClassVar, see Metric")
            return report.findings
    chosen = make_options(report, kind, options) if hasattr(kind, "Options") else None
    if hasattr(kind, "Options") and chosen is None:
        return report.findings
    try:
        metric: Any = kind() if chosen is None else kind(chosen)  # type: ignore[call-arg]
        ones = torch.ones(COUNT, dtype=torch.double)

        def value(made: Features, real: Features, a: Tensor = ones, b: Tensor = ones) -> float:
            return float(metric.prepare(made, real if metric.real else None)(a, b))

        made, real = _toy_features(1), _toy_features(2)
        kept = _permuted(made, torch.arange(COUNT))
        with report.random("the metric"):
            number = value(made, real)
        order = torch.randperm(COUNT, generator=torch.Generator().manual_seed(3))
        shuffled = value(_permuted(made, order), real)
        twice = torch.cat([order[: COUNT // 2], order[: COUNT // 2]])
        counts = torch.bincount(twice, minlength=COUNT).double()
        counted, doubled = value(made, real, counts), value(_permuted(made, twice), real)
        far = value(_toy_features(1, 4.0), real)
        doubt = metric.doubt(made, real if metric.real else None)
    except Exception as error:
        report.wrong("runs", said(error), TRY_METRIC)
        return report.findings
    with report.guard("bounds", "give the least and the largest number"):
        low, high = metric.bounds
        if not low <= number <= high:
            report.wrong(
                "bounds", f"gives {number:g}, outside its bounds {low:g}, {high:g}", "mend either"
            )
    slack = 1e-3 * max(abs(number), 0.1)
    if abs(shuffled - number) > slack:
        report.wrong(
            "order", f"gives {number:g}, and {shuffled:g} in another order of the pictures",
            "treat all rows alike",
        )  # fmt: skip
    if abs(counted - doubled) > 1e-3 * max(abs(doubled), 0.1) and metric.recentre:
        report.wrong(
            "counts", f"gives {counted:g} by counts, {doubled:g} with the pictures repeated",
            "weigh each row by its count",
        )  # fmt: skip
    if metric.real and (far < number if metric.better == "lower" else far > number):
        report.wrong(
            "better", f"judges pictures far from the real ones better: {far:g} than {number:g}",
            f"look at the sign, or at better = {metric.better!r}",
        )  # fmt: skip
    if not isinstance(doubt, str):
        report.wrong("doubt", f"doubt gives {type(doubt).__name__}", "return a text, maybe ''")
    if not all(torch.equal(getattr(kept, n), getattr(made, n)) for n in (*NEEDS, "texts")):
        report.wrong("in place", "changes the features", "compute new tensors")
    with report.guard("runs", TRY_METRIC):
        repeats(report, "the metric", lambda: value(made, real), lambda a, b: a == b)
    return report.findings


def check_feature_extractor(
    kind: type, options: Any = None, *, name: str = "extractor"
) -> list[Finding]:
    """Check a `FeatureExtractor` class.

    It gives what it declares, one finite row for each picture whatever the batch, from pictures
    of any size, and repeats itself; its digest tells other options apart from nothing.

    Args:
        kind: the class.
        options: its options, or a dictionary of some; the defaults otherwise. Weights that are
            not there are a note.
        name: what the findings call it.
    """
    report = Report("feature extractor", name)
    chosen = make_options(report, kind, options)
    if chosen is None:
        return report.findings
    try:
        with report.random("its constructor", networks=True):
            extractor: Any = kind(chosen)  # type: ignore[call-arg]
        digest = extractor.digest()
    except Exception as error:
        report.unmade(error)
        return report.findings
    if not isinstance(digest, str) or len(digest) < 8:
        report.wrong(
            "digest", f"digest gives {digest!r}", "hash weights and options: 16 hex digits"
        )

    def features(pictures: Tensor) -> Mapping[str, Tensor]:
        with torch.inference_mode():
            return extractor.pictures(pictures)

    pictures, found = torch.empty(0), {}
    for size in (32, 47):
        pictures = (toy_pictures(3, 3, size) * 127.5 + 127.5).to(torch.uint8)
        kept = pictures.clone()
        try:
            with report.random("it"):
                found = features(pictures)
            alone = [features(pictures[row : row + 1]) for row in range(3)]
        except Exception as error:
            report.wrong("runs", f"{said(error)} on pictures of {size}", "resize them yourself")
            return report.findings
        if not torch.equal(kept, pictures):
            report.wrong("in place", "changes the pictures", "begin with pictures.float()")
        with report.guard("gives", "name in gives what pictures() gives, a tensor for each"):
            for part in extractor.gives:
                rows = found.get(part)
                if not isinstance(rows, Tensor) or rows.ndim != 2 or len(rows) != 3:
                    got = tuple(rows.shape) if isinstance(rows, Tensor) else rows
                    report.wrong("shape", f"gives {got} as {part} of 3 pictures", "give (3, D)")
                elif not bool(rows.isfinite().all()):
                    report.wrong(
                        "finite", f"its {part} features are not finite", "look at the scaling"
                    )
                elif not same(torch.cat([one[part] for one in alone]), rows, 1e-3):
                    report.wrong(
                        "rows", f"{part} features differ alone and in a batch", "call .eval()"
                    )
    if any(f.check in ("gives", "shape") for f in report.findings):
        return report.findings
    with report.guard("runs", "another instance must work as the first does"):
        same_again: Any = kind(chosen)  # type: ignore[call-arg]
        with torch.inference_mode():
            again = same_again.pictures(pictures)
        if not all(same(again[part], found[part], 1e-5) for part in extractor.gives):
            report.wrong("repeatable", "another instance gives other features", "load all weights")
    if "aligned" in extractor.gives and not report.findings:
        with report.guard("texts", "give (B, E), as long as the aligned features"):
            texts = extractor.texts(["a fox", "the sea"])
            if texts.shape != (2, found["aligned"].shape[1]):
                raise ValueError(f"texts gives {tuple(texts.shape)} for two texts")
    return report.findings
