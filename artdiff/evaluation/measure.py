"""From features to numbers with intervals: which metrics, whether they can be, what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch

from artdiff.errors import PresetError
from artdiff.evaluation.bootstrap import counts, interval
from artdiff.evaluation.features import Estimate, Features, Metric, Need
from artdiff.evaluation.report import Measured
from artdiff.registry import Registry

__all__ = ["choose_metrics", "measure", "possible"]

USUAL = ("fid", "sfid", "kid", "precision", "recall", "density", "coverage", "is", "clip")
SHARE = 0.95
FEWEST = 10
"""Below so many pictures there is no interval: most resamples would be alike."""


def choose_metrics(registry: Registry, names: Iterable[str] | None = None) -> dict[str, Metric]:
    """Metrics by name, in the order asked for; None takes all, the usual ones first.

    :raises PluginError: a name is unknown; the message has the nearest.
    """
    known = list(registry.entries("metrics"))
    if names is None:
        names = [*(n for n in USUAL if n in known), *(n for n in known if n not in USUAL)]
    return {name: registry.get("metrics", name)() for name in names}


def possible(
    metrics: Mapping[str, Metric],
    gives: Iterable[Need],
    n: int,
    real: int,
    texts: bool,
    *,
    strict: bool,
) -> dict[str, Metric]:
    """The metrics that can be measured on these features and so many pictures.

    :param gives: the kinds of features that there are.
    :param real: how many real pictures there are; 0 for none.
    :param texts: whether the made pictures' prompts are known.
    :param strict: refuse what cannot be measured, instead of leaving it out.
    :raises PresetError: see `strict`; or nothing is left.
    """
    chosen = {}
    for name, metric in metrics.items():
        rows = min(n, real) if metric.real else n
        if metric.need not in gives:
            why = f"these features have no {metric.need} part; choose other --features"
        elif metric.real and real == 0:
            why = "it compares with real pictures; give --against DATASET or a folder"
        elif metric.need == "aligned" and not texts:
            why = "it needs the pictures' prompts; give --prompts FILE"
        elif rows < metric.least:
            why = f"it needs {metric.least} pictures, not {rows}"
        else:
            chosen[name] = metric
            continue
        if strict:
            raise PresetError(f"--metrics {name}: {why}")
    if not chosen:
        raise PresetError(
            "nothing can be measured with these features and pictures alone; "
            "give --against DATASET or a folder"
        )
    return chosen


def measure(
    metrics: Mapping[str, Metric],
    made: Features,
    real: Features | None = None,
    *,
    rounds: int = 200,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Measured]:
    """Each metric's number, with a bootstrap interval where there are pictures enough for one.

    Resample b of all metrics is the same one, named by (seed, b).

    :param rounds: resamples; 0 for no intervals.
    """
    n, m = len(made), 0 if real is None else len(real)
    few = rounds == 0 or min(n, m or n) < FEWEST
    measured = []
    for place, (name, metric) in enumerate(metrics.items()):
        estimate = metric.prepare(made, real)
        value = float(estimate(torch.ones(n).double(), torch.ones(m).double()))
        low = high = None
        if not few:
            low, high = interval(
                value,
                lambda step, estimate=estimate: _resampled(estimate, seed, step, n, m),
                rounds,
                share=SHARE,
                recentre=metric.recentre,
                bounds=metric.bounds,
            )
        doubt = metric.doubt(made, real)
        measured.append(Measured(name, value, low, high, metric.better, doubt))
        if on_progress is not None:
            on_progress(place + 1, len(metrics))
    return measured


def _resampled(estimate: Estimate, seed: int, step: int, n: int, m: int) -> float:
    ours = counts(seed, "evaluate.made", step, n)
    theirs = counts(seed, "evaluate.real", step, m) if m else torch.zeros(0).double()
    return float(estimate(ours, theirs))
