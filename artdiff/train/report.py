"""The written side of a run: metrics.jsonl and the loss curve."""

from __future__ import annotations

import json
from pathlib import Path


def read_metrics(path: Path) -> list[dict]:
    """All complete lines of a metrics file."""
    if not path.exists():
        return []
    lines = []
    for line in path.read_text().splitlines():
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return lines


def truncate_metrics(path: Path, step: int) -> None:
    """Drop every line after step `step`, and a line that was cut in the middle."""
    kept = [line for line in read_metrics(path) if line["step"] <= step]
    temporary = path.with_suffix(".part")
    temporary.write_text("".join(json.dumps(line) + "\n" for line in kept))
    temporary.replace(path)


def draw_curve(metrics: Path, path: Path) -> None:
    """Draw training loss (smoothed) and validation loss of the averaged weights over steps."""
    import numpy as np
    from matplotlib.figure import Figure

    lines = read_metrics(metrics)
    train = [(line["step"], line["loss"]) for line in lines if "loss" in line]
    valid = [(line["step"], line["validation"]["loss"]) for line in lines if "validation" in line]
    figure = Figure(figsize=(8, 4.5), dpi=100, layout="constrained")
    axes = figure.subplots()
    if train:
        steps, losses = np.array(train).T
        axes.plot(steps, losses, color="0.85", linewidth=0.5)
        width = max(1, len(losses) // 100)
        smooth = np.convolve(losses, np.ones(width) / width, "valid")
        axes.plot(steps[width - 1 :], smooth, color="tab:blue", label="training")
        axes.set_ylim(0.95 * smooth.min(), float(np.quantile(losses, 0.98)) * 1.05)
    if valid:
        axes.plot(
            *np.array(valid).T,
            "o-",
            color="tab:orange",
            markersize=3,
            label="validation, averaged weights",
        )
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    axes.grid(alpha=0.3)
    axes.legend()
    temporary = path.with_suffix(".part.png")
    figure.savefig(temporary)
    temporary.replace(path)
