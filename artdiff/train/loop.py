"""The training loop of every kind of model: it can be killed at any moment and goes on exactly."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import torch

from artdiff.errors import PresetError
from artdiff.progress import progress
from artdiff.train.data import Dataset
from artdiff.train.kinds import build_task
from artdiff.train.precision import fitting, pick_device
from artdiff.train.ranks import Ranks, joined
from artdiff.train.recipe import Recipe
from artdiff.train.run import Run


class Interrupt:
    """Turns SIGTERM and Ctrl-C into a flag while it is entered, so that a step can end."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, object] = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def reraise(self) -> None:
        """End the program as the signal would have."""
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        if self.signal is not None:
            raise SystemExit(128 + self.signal)


def train(recipe: Recipe, dataset: Dataset, folder: Path) -> Path:
    """Train, or go on training, in `folder`; returns its ``model.safetensors``.

    Everything at step k is a function of (recipe, k) and the weights: a run that was killed and
    started again is the same run, bit for bit on a CPU (with ``stop.steps``; a course that follows
    the clock cannot repeat). On SIGTERM or Ctrl-C the step is finished and saved first. Where
    torchrun started several processes, they train together and the first one writes.
    """
    folder = Path(folder)
    with joined() as ranks, torch.random.fork_rng(devices=[]):
        run = _in_turn(ranks, lambda: _begin(recipe, dataset, folder, ranks))
        run.resume()
        with Interrupt() as interrupt:
            _steps(run, interrupt)
        if interrupt.signal is None and run.report:
            run.finish()
        if run.report:
            run.report.close()
        ranks.wait()
        interrupt.reraise()
    return folder / "model.safetensors"


def _begin(recipe: Recipe, dataset: Dataset, folder: Path, ranks: Ranks) -> Run:
    """Gather the data, make the model and put it where it trains.

    The run's recipe says all options of the dataset, those left out too.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise PresetError(f"{folder}: a file is in the place of this folder") from error
    options = dataset.options.model_dump(mode="json")
    data = recipe.data.model_copy(update={"options": options})
    device = pick_device(recipe.device, ranks.local)
    precision = fitting(recipe.precision, device)
    recipe = recipe.model_copy(update={"data": data, "precision": precision})
    task = build_task(recipe, dataset, folder)
    task.model.to(device)
    return Run(recipe, task, folder, ranks)


def _in_turn(ranks: Ranks, build: Callable[[], Run]) -> Run:
    """Build in the first process, then in the first of each machine, then in the others.

    The first to come fills the caches on the disk that the others find there. Where one fails,
    all end.
    """
    turn = 0 if ranks.first else 1 if ranks.local == 0 else 2
    run: Run | None = None
    for now in range(3):
        with ranks.together():
            run = build() if now == turn else run
    assert run is not None
    return run


def _steps(run: Run, interrupt: Interrupt) -> None:
    cadence, stop = run.recipe.cadence, run.recipe.stop
    clock, first = time.monotonic(), run.step
    saved_at, minutes_before = run.minutes, run.minutes
    unit, total = ("step", stop.steps) if stop.steps else ("min", stop.minutes)
    position = run.step if stop.steps else run.minutes
    form = "{l_bar}{bar}| {n:.5g}/{total:.5g} {unit} [{elapsed}<{remaining}{postfix}]"
    numbers: dict[str, float] = {}
    smooth, stopped = 0.0, None
    with progress(
        total=total,
        initial=position,
        unit=unit,
        desc=run.recipe.kind,
        bar_format=form,
        disable=not run.ranks.first,
    ) as bar:
        while run.done < 1 and stopped is None:
            loss = run.advance()
            smooth = loss if run.step == first + 1 else 0.98 * smooth + 0.02 * loss
            run.minutes = minutes_before + (time.monotonic() - clock) / 60
            numbers = run.look() or numbers
            minutes = minutes_before + (time.monotonic() - clock) / 60
            run.minutes, stopped = run.ranks.agree(minutes, interrupt.signal)
            due = cadence.save_steps and run.step % cadence.save_steps == 0
            if due or run.minutes - saved_at >= cadence.save_minutes:
                run.save()
                saved_at = run.minutes
            seen = {"step": run.step, "train": f"{smooth:.4f}"}
            seen |= {name: f"{value:.4f}" for name, value in numbers.items() if "/" not in name}
            bar.set_postfix(seen, refresh=False)
            position_now = run.step if stop.steps else min(run.minutes, total or run.minutes)
            bar.update(position_now - position)
            position = position_now
    interrupt.signal = stopped
    if run.step > first:
        run.save()
