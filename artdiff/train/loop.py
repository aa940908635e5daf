"""The training loop of every kind of model: it can be killed at any moment and goes on exactly."""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Protocol

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from artdiff.errors import MachineError, PresetError
from artdiff.progress import progress
from artdiff.train.checkpoint import (
    checkpoints,
    load_checkpoint,
    read_tensors,
    save_checkpoint,
    section,
    write_tensors,
)
from artdiff.train.data import Dataset
from artdiff.train.draws import draw_seed
from artdiff.train.ema import Ema, half_life_decay
from artdiff.train.optim import Optimizer, build_optimizer
from artdiff.train.recipe import OptimRecipe, Recipe
from artdiff.train.report import draw_curve, truncate_metrics


class Task(Protocol):
    """What one kind of model brings to the loop."""

    model: nn.Module

    def loss(self, step: int) -> Tensor:
        """The training loss of step `step`: a function of the weights and the step only."""
        ...

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Numbers on held-out data, ``loss`` among them; without randomness."""
        ...

    def sheet(self, model: nn.Module, path: Path) -> None:
        """Draw a sample sheet to `path`."""
        ...

    def finish(self, model: nn.Module) -> dict:
        """Settle the averaged model in place; the JSON-able facts that go into its file."""
        ...


def course(recipe: OptimRecipe, step: int, done: float) -> float:
    """Factor in [0, 1] of the learning rate at step `step`, the share `done` of the run."""
    rise = min(1.0, (step + 1) / recipe.warmup) if recipe.warmup else 1.0
    if recipe.course == "cosine":
        return rise * max(0.01, 0.5 + 0.5 * math.cos(math.pi * min(done, 1.0)))
    if recipe.cooldown and done > 1 - recipe.cooldown:
        return rise * max(0.01, (1 - done) / recipe.cooldown)
    return rise


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


class Run:
    """The state of a run: model, average, optimizer, step and minutes; and its files."""

    def __init__(self, recipe: Recipe, task: Task, folder: Path) -> None:
        self.recipe, self.task, self.folder = recipe, task, folder
        ema = recipe.ema
        decay = half_life_decay(ema.half_life) if ema.half_life else ema.decay
        assert decay is not None
        self.ema = Ema(task.model, decay)
        self.optimizer: Optimizer = build_optimizer(task.model, recipe.optim)
        self.step, self.minutes, self.cooling = 0, 0.0, False
        self.metrics = folder / "metrics.jsonl"

    @property
    def done(self) -> float:
        """The share of the run that is behind us; 1 or more at its end."""
        stop = self.recipe.stop
        return self.step / stop.steps if stop.steps else self.minutes / (stop.minutes or 1)

    @property
    def in_cooldown(self) -> bool:
        optim = self.recipe.optim
        return optim.course == "constant" and self.done > 1 - optim.cooldown

    def tensors(self) -> dict[str, Tensor]:
        parts = {
            "model": self.task.model.state_dict(),
            "ema": self.ema.model.state_dict(),
            "optim": self.optimizer.state,
        }
        return {f"{part}.{name}": t for part, state in parts.items() for name, t in state.items()}

    def facts(self) -> dict:
        recipe = self.recipe.model_dump(mode="json")
        position = {"step": self.step, "minutes": self.minutes, "cooling": self.cooling}
        return {**position, "recipe": recipe}

    def save(self) -> None:
        save_checkpoint(self.folder, self.tensors(), self.facts())
        draw_curve(self.metrics, self.folder / "loss.png")

    def resume(self) -> None:
        """Go on from the newest checkpoint; a run made longer goes on from before its cooldown."""
        found = load_checkpoint(self.folder)
        before = self.folder / "before-cooldown.safetensors"
        if found and found[1]["cooling"]:
            self.step, self.minutes = found[1]["step"], found[1]["minutes"]
            if not self.in_cooldown and before.exists():
                found = read_tensors(before)
                newest = save_checkpoint(self.folder, *found)
                for old in checkpoints(self.folder):
                    if old > newest:
                        old.unlink()
        if found is None:
            truncate_metrics(self.metrics, -1)
            return
        tensors, facts = found
        if facts["recipe"]["kind"] != self.recipe.kind:
            raise PresetError(f"{self.folder} holds a run of kind {facts['recipe']['kind']!r}")
        try:
            self.task.model.load_state_dict(section(tensors, "model"))
            self.ema.model.load_state_dict(section(tensors, "ema"))
            self.optimizer.load(section(tensors, "optim"))
        except (RuntimeError, KeyError) as error:
            raise PresetError(
                f"{self.folder} holds a run of another model or optimizer; "
                "take another folder, or the recipe it was begun with"
            ) from error
        self.step, self.minutes = facts["step"], facts["minutes"]
        self.cooling = facts["cooling"]
        truncate_metrics(self.metrics, self.step)

    def log(self, line: dict) -> None:
        with open(self.metrics, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def advance(self) -> float:
        """One training step; returns its loss."""
        optim, model = self.recipe.optim, self.task.model
        if optim.cooldown and self.in_cooldown and not self.cooling:
            before = self.folder / "before-cooldown.safetensors"
            write_tensors(before, self.tensors(), self.facts())
            self.cooling = True
        model.train()
        loss = self.task.loss(self.step)
        loss.backward()
        norm = float(nn.utils.clip_grad_norm_(model.parameters(), optim.clip))
        value = loss.item()
        if not math.isfinite(value) or not math.isfinite(norm):
            raise MachineError(
                f"training diverged at step {self.step}: lower optim.muon_lr or optim.adam_lr"
            )
        scale = course(optim, self.step, self.done)
        self.optimizer.step(self.step, scale)
        self.optimizer.zero_grad()
        self.ema.update(model, self.step)
        self.step += 1
        self.log({"step": self.step, "loss": value, "grad": norm, "lr": scale})
        return value

    @torch.inference_mode()
    def look(self) -> dict[str, float]:
        """Validate and draw the sheet where the recipe says so; the last numbers, or none."""
        cadence, at_end = self.recipe.cadence, self.done >= 1
        numbers: dict[str, float] = {}
        if self.step % cadence.validate_steps == 0 or at_end:
            numbers = self.task.validate(self.ema.model)
            self.log({"step": self.step, "minutes": self.minutes, "validation": numbers})
        if self.step % cadence.sheet_steps == 0 or at_end:
            path = self.folder / "samples" / f"{self.step:06d}.png"
            path.parent.mkdir(exist_ok=True)
            self.task.sheet(self.ema.model, path)
        return numbers


def build_task(recipe: Recipe, dataset: Dataset, folder: Path) -> Task:
    """Gather the data and make the model, with first weights from `start` or from the seed."""
    from artdiff.train.autoencoder import AutoencoderTask
    from artdiff.train.denoiser import DenoiserTask

    cache = recipe.data.cache or folder.parent / "data"
    kind = AutoencoderTask if recipe.kind == "autoencoder" else DenoiserTask
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(draw_seed(recipe.seed, "weights", 0))
        task = kind(recipe, dataset, folder, cache)
    if recipe.start is not None:
        _load_start(task, recipe.start)
    return task


def _load_start(task: Task, path: Path) -> None:
    try:
        task.model.load_state_dict(read_tensors(path)[0])
    except (OSError, SafetensorError) as error:
        raise PresetError(f"start: {path} cannot be read: {error}") from error
    except RuntimeError as error:
        raise PresetError(f"start: {path} holds weights of another model") from error


def train(recipe: Recipe, dataset: Dataset, folder: Path) -> Path:
    """Train, or go on training, in `folder`; returns its ``model.safetensors``.

    Everything at step k is a function of (recipe, k) and the weights: a run that was killed and
    started again is the same run, bit for bit (with ``stop.steps``; a course that follows the
    clock cannot repeat). On SIGTERM or Ctrl-C the step is finished and saved first.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(recipe, build_task(recipe, dataset, folder), folder)
    run.resume()
    with Interrupt() as interrupt:
        _steps(run, interrupt)
    interrupt.reraise()
    final = folder / "model.safetensors"
    facts = {**run.task.finish(run.ema.model), "step": run.step, "minutes": run.minutes}
    weights = run.ema.model.state_dict()
    half = {n: t.half() if t.is_floating_point() else t for n, t in weights.items()}
    write_tensors(final, half, facts)
    return final


def _steps(run: Run, interrupt: Interrupt) -> None:
    cadence, stop = run.recipe.cadence, run.recipe.stop
    clock = time.monotonic()
    saved_at, minutes_before = run.minutes, run.minutes
    unit, total = ("step", stop.steps) if stop.steps else ("min", stop.minutes)
    position = run.step if stop.steps else run.minutes
    form = "{l_bar}{bar}| {n:.5g}/{total:.5g} {unit} [{elapsed}<{remaining}{postfix}]"
    numbers: dict[str, float] = {}
    smooth = 0.0
    with progress(
        total=total, initial=position, unit=unit, desc=run.recipe.kind, bar_format=form
    ) as bar:
        first = run.step
        while run.done < 1 and interrupt.signal is None:
            loss = run.advance()
            run.minutes = minutes_before + (time.monotonic() - clock) / 60
            smooth = loss if run.step == first + 1 else 0.98 * smooth + 0.02 * loss
            numbers = run.look() or numbers
            run.minutes = minutes_before + (time.monotonic() - clock) / 60
            due = cadence.save_steps and run.step % cadence.save_steps == 0
            if due or run.minutes - saved_at >= cadence.save_minutes:
                run.save()
                saved_at = run.minutes
            seen = {"step": run.step, "train": f"{smooth:.4f}"}
            seen |= {name: f"{value:.4f}" for name, value in numbers.items()}
            bar.set_postfix(seen, refresh=False)
            position_now = run.step if stop.steps else min(run.minutes, total or run.minutes)
            bar.update(position_now - position)
            position = position_now
    if run.step > first:
        run.save()
