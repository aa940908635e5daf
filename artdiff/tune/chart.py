"""Tuned steps as a table, and as a picture of their grids and errors."""

from __future__ import annotations

from pathlib import Path

from artdiff.tune.file import TunedFile, Tuning

__all__ = ["chart", "row", "table"]

HEAD = f"{'steps':>5}  {'error':>7} {'before':>7} {'ratio':>6}  {'median':>7} {'before':>7}  "
HEAD += f"{'pixels':>7} {'before':>7}"


def row(steps: int, tuning: Tuning) -> str:
    """One count as a line below `HEAD`."""
    ratio = tuning.rms / tuning.before_rms if tuning.before_rms else 1.0
    return (
        f"{steps:5}  {tuning.rms:7.4f} {tuning.before_rms:7.4f} {ratio:6.2f}  "
        f"{tuning.median:7.4f} {tuning.before_median:7.4f}  "
        f"{tuning.pixels:7.4f} {tuning.before_pixels:7.4f}"
    )


def table(tuned: TunedFile) -> str:
    """All counts, on the hold-out: distance to the reference, tuned and before."""
    rows = [row(steps, tuned.counts[steps]) for steps in sorted(tuned.counts)]
    return "\n".join([HEAD, *rows])


def chart(tuned: TunedFile, path: Path) -> bool:
    """Draw the grids and the error curves as a PNG; False where matplotlib is missing."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    counts = sorted(tuned.counts)
    for place, steps in enumerate(counts):
        fractions = [*tuned.counts[steps].solver.fractions, 0.0]
        left.plot(fractions, [place] * len(fractions), "o-", markersize=4, linewidth=0.8)
    left.set_yticks(range(len(counts)), [str(steps) for steps in counts])
    left.invert_xaxis()
    left.set(xlabel="noise fraction", ylabel="steps", title="where the steps lie")
    tunings = [tuned.counts[steps] for steps in counts]
    right.plot(counts, [t.before_rms for t in tunings], "o-", label=f"before: {tuned.untuned}")
    right.plot(counts, [t.rms for t in tunings], "o-", label="tuned")
    right.set(yscale="log", xlabel="steps", ylabel="relative RMS error", title="on the hold-out")
    right.legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return True
