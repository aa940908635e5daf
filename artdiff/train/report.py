"""The written side of a run: metrics.jsonl, TensorBoard's events and the learning curves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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


class Report:
    """Writes ``metrics.jsonl``, ``events/`` and ``loss.png`` of a run in `folder`.

    Events are written where TensorBoard is installed; every `every`-th training step is a point.
    """

    def __init__(self, folder: Path, every: int) -> None:
        self.folder, self.every = folder, every
        self.metrics = folder / "metrics.jsonl"
        self.events: Any = None
        self.stale = False

    def resume(self, step: int) -> None:
        """Go on after step `step`: what was written about later ones is void."""
        truncate_metrics(self.metrics, step)
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return
        self.events = SummaryWriter(str(self.folder / "events"), purge_step=step + 1)

    def log(self, line: dict) -> None:
        """Add what is known of a step: training numbers, or those of a validation."""
        with open(self.metrics, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self.stale = True
        if self.events is None:
            return
        step = line["step"]
        if "validation" in line:
            for name, value in line["validation"].items():
                self.events.add_scalar(f"validation/{name}", value, step)
        elif step % self.every == 0:
            for name in line.keys() - {"step"}:
                self.events.add_scalar(f"training/{name}", line[name], step)

    def flush(self) -> None:
        """Bring all that is known to the disk."""
        if self.events is not None:
            self.events.flush()

    def draw(self) -> None:
        """Draw the learning curves so far."""
        draw_curves(self.metrics, self.folder / "loss.png")
        self.stale = False

    def close(self) -> None:
        """Write no more."""
        if self.stale:
            self.draw()
        if self.events is not None:
            self.events.close()


def draw_curves(metrics: Path, path: Path) -> None:
    """Draw training and validation loss over steps, and a plot for each other validation number.

    Validation is of the averaged weights. Numbers named ``family/member`` share a plot.
    """
    from matplotlib.figure import Figure

    lines = read_metrics(metrics)
    checks = [line for line in lines if "validation" in line]
    families: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for line in checks:
        for name, value in line["validation"].items():
            family, _, member = name.partition("/")
            curve = families.setdefault(family, {}).setdefault(member, [])
            curve.append((line["step"], value))
    valid = families.pop("loss", {}).get("", [])
    rows = 1 + (len(families) + 1) // 2
    figure = Figure(figsize=(8, 4.5 + 3 * (rows - 1)), dpi=100, layout="constrained")
    grid = figure.add_gridspec(rows, 2, height_ratios=[1.5] + [1] * (rows - 1))
    _draw_loss(figure.add_subplot(grid[0, :]), lines, valid)
    for place, (family, members) in enumerate(families.items()):
        _draw_family(figure.add_subplot(grid[1 + place // 2, place % 2]), family, members)
    temporary = path.with_suffix(".part.png")
    figure.savefig(temporary)
    temporary.replace(path)


def _draw_loss(axes: Axes, lines: list[dict], valid: list[tuple[int, float]]) -> None:
    import numpy as np

    train = [(line["step"], line["loss"]) for line in lines if "loss" in line]
    if train:
        steps, losses = np.array(train).T
        axes.plot(steps, losses, color="0.85", linewidth=0.5)
        width = max(1, len(losses) // 100)
        smooth = np.convolve(losses, np.ones(width) / width, "valid")
        axes.plot(steps[width - 1 :], smooth, color="tab:blue", label="training")
        low = min([float(smooth.min()), *(loss for _, loss in valid)])
        axes.set_ylim(0.95 * low, float(np.quantile(losses, 0.98)) * 1.05)
    if valid:
        label, color = "validation, averaged weights", "tab:orange"
        axes.plot(*np.array(valid).T, "o-", color=color, markersize=3, label=label)
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    axes.grid(alpha=0.3)
    if train or valid:
        axes.legend()


def _draw_family(axes: Axes, name: str, members: dict[str, list[tuple[int, float]]]) -> None:
    import numpy as np

    for member, points in members.items():
        axes.plot(*np.array(points).T, "o-", markersize=2, label=member or None)
    axes.set_title(name, fontsize="medium")
    axes.grid(alpha=0.3)
    if any(members):
        axes.legend(fontsize="small")
