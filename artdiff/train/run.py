"""The state of a training run: what a step changes, and the files that remember it."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn

from artdiff.errors import MachineError, PresetError
from artdiff.train.checkpoint import (
    checkpoints,
    load_checkpoint,
    read_tensors,
    save_checkpoint,
    section,
    write_tensors,
)
from artdiff.train.draws import draw_seed
from artdiff.train.ema import Ema
from artdiff.train.optim import Optimizer, build_optimizer
from artdiff.train.precision import LossScale, autocast
from artdiff.train.ranks import Ranks
from artdiff.train.recipe import OptimRecipe, Recipe, first_change
from artdiff.train.report import Report
from artdiff.train.stored import halved, quartered
from artdiff.train.task import Task


def course(recipe: OptimRecipe, step: int, done: float) -> float:
    """Factor in [0, 1] of the learning rate at step `step`, the share `done` of the run."""
    rise = min(1.0, (step + 1) / recipe.warmup) if recipe.warmup else 1.0
    if recipe.course == "cosine":
        return rise * max(0.01, 0.5 + 0.5 * math.cos(math.pi * min(done, 1.0)))
    if recipe.cooldown and done > 1 - recipe.cooldown:
        return rise * max(0.01, (1 - done) / recipe.cooldown)
    return rise


class Run:
    """The state of a run: model, averages, optimizer, loss scale, step and minutes; its files."""

    def __init__(
        self, recipe: Recipe, task: Task, folder: Path, ranks: Ranks | None = None
    ) -> None:
        self.recipe, self.task, self.folder = recipe, task, folder
        self.ranks = ranks or Ranks()
        self.parts = self.ranks.rows(recipe.batch, recipe.accumulate)
        decays = recipe.ema.decays()
        self.averages = {name: Ema(task.model, decay) for name, decay in decays.items()}
        self.optimizer: Optimizer = build_optimizer(
            task.model, recipe.optim, recipe.precision
        )
        self.scale = LossScale(recipe.precision)
        self.step, self.minutes, self.cooling = 0, 0.0, False
        self.report = Report(folder, recipe.cadence.event_steps) if self.ranks.first else None

    @property
    def model(self) -> nn.Module:
        """The averaged model that validates and is kept."""
        return next(iter(self.averages.values())).model

    @property
    def done(self) -> float:
        """The share of the run that is behind us; 1 or more at its end."""
        stop = self.recipe.stop
        return self.step / stop.steps if stop.steps else self.minutes / (stop.minutes or 1)

    @property
    def in_cooldown(self) -> bool:
        """Whether the learning rate is to fall by now."""
        optim = self.recipe.optim
        return optim.course == "constant" and self.done > 1 - optim.cooldown

    def tensors(self) -> dict[str, Tensor]:
        """All that steps change, live: ``model.``, ``ema.``, ``ema1.``, ``optim.``, ..."""
        parts: dict[str, dict[str, Tensor]] = {"model": self.task.model.state_dict()}
        for number, average in enumerate(self.averages.values()):
            parts[f"ema{number or ''}"] = average.model.state_dict()
        parts |= {"optim": self.optimizer.state, "scale": self.scale.state()}
        parts["task"] = self.task.state()
        return {f"{part}.{name}": t for part, state in parts.items() for name, t in state.items()}

    def facts(self) -> dict:
        """Where the run stands, and its recipe."""
        recipe = self.recipe.model_dump(mode="json")
        position = {"step": self.step, "minutes": self.minutes, "cooling": self.cooling}
        return {**position, "recipe": recipe}

    def save(self) -> None:
        """Write a checkpoint."""
        if self.report:
            self.report.flush()
            save_checkpoint(self.folder, self.tensors(), self.facts())

    def resume(self) -> None:
        """Go on from the newest checkpoint; a run made longer goes on from before its cooldown."""
        place = (0, 0.0, False)
        with self.ranks.together():
            facts = self._read() if self.ranks.first else None
            if self.ranks.first:
                self.task.begin(self.folder)
            place = (facts["step"], facts["minutes"], facts["cooling"]) if facts else place
        place = self.ranks.share(place)
        assert isinstance(place, tuple)
        self.step, self.minutes, self.cooling = place
        self.ranks.copy(self.tensors().values())
        if self.report:
            self.report.resume(self.step)

    def _read(self) -> dict | None:
        found = load_checkpoint(self.folder)
        if found:
            self._compare(found[1]["recipe"])
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
            return None
        tensors, facts = found
        try:
            self.task.model.load_state_dict(section(tensors, "model"))
            for number, average in enumerate(self.averages.values()):
                average.model.load_state_dict(section(tensors, f"ema{number or ''}"))
            self.optimizer.load(section(tensors, "optim"))
            self.scale.load(section(tensors, "scale"))
            self.task.load(section(tensors, "task"))
        except (RuntimeError, KeyError) as error:
            raise PresetError(
                f"{self.folder} holds a run of another model, optimizer or number of averages; "
                "take another folder, or the recipe it was begun with"
            ) from error
        return facts

    def _compare(self, begun: dict) -> None:
        """Refuse a recipe that would make another run of the one in the folder."""
        change = first_change(begun, self.recipe)
        if change is None:
            return
        key, then, now = change
        if key == "kind":
            raise PresetError(
                f"{self.folder} holds a run of kind {then!r}, not {now!r}; take another folder"
            )
        raise PresetError(
            f"{key}: {now!r}, but the run in {self.folder} was begun with {then!r}; "
            "take another folder"
        )

    def advance(self) -> float:
        """One training step; returns its loss."""
        optim, model = self.recipe.optim, self.task.model
        if optim.cooldown and self.in_cooldown and not self.cooling:
            if self.ranks.first:
                before = self.folder / "before-cooldown.safetensors"
                write_tensors(before, self.tensors(), self.facts())
            self.cooling = True
        model.train()
        value, notes = self._gradients(model)
        norm = float(nn.utils.clip_grad_norm_(model.parameters(), optim.clip))
        factor = course(optim, self.step, self.done)
        numbers: dict[str, float] = {}
        if self.scale.update(math.isfinite(value) and math.isfinite(norm)):
            self.optimizer.step(self.step, factor)
            for average in self.averages.values():
                average.update(model, self.step)
            numbers = self.task.after(self.step, notes)
        elif self.scale.exhausted or not math.isfinite(value):
            raise MachineError(self._diverged())
        self.optimizer.zero_grad()
        self.step += 1
        if self.report:
            line = {"step": self.step, "loss": value, "grad": norm, "lr": factor}
            self.report.log(line | numbers)
        return value

    def _gradients(self, model: nn.Module) -> tuple[float, dict[str, Tensor]]:
        """Gradients of the whole batch's loss; that loss, and the notes on all rows."""
        batch, losses, notes = self.recipe.batch, [], []
        for rows in self.parts:
            torch.manual_seed(draw_seed(self.recipe.seed, f"dropout {rows.start}", self.step))
            with autocast(self.recipe.precision, self.task.device):
                loss, found = self.task.loss(self.step, rows)
            if len(rows) < batch:
                loss = loss * (len(rows) / batch)
            self.scale.scale(loss).backward()
            losses.append(loss.detach())
            notes.append(found)
        self.ranks.sum_gradients(model)
        self.ranks.mean_buffers(model)
        self.scale.unscale(model)
        value = self.ranks.sum(float(sum(loss.item() for loss in losses)))
        mine = {name: torch.cat([note[name].cpu() for note in notes]) for name in notes[0]}
        rows = range(self.parts[0].start, self.parts[-1].stop)
        return value, self.ranks.gather(mine, rows, batch)

    def _diverged(self) -> str:
        optim = self.recipe.optim
        rates = f"optim.adam_lr ({optim.adam_lr:g}; try {optim.adam_lr / 3:.1g})"
        if optim.name == "muon":
            rates = f"optim.muon_lr ({optim.muon_lr:g}; try {optim.muon_lr / 3:.1g}) or {rates}"
        return f"training diverged at step {self.step}: lower {rates}"

    @torch.inference_mode()
    def look(self) -> dict[str, float]:
        """Validate and draw the sheet where the recipe says so; the last numbers, or none."""
        cadence, at_end = self.recipe.cadence, self.done >= 1
        numbers: dict[str, float] = {}
        if self.report is None:
            return numbers
        if self.step % cadence.validate_steps == 0 or at_end:
            numbers = self.task.validate(self.model)
            self.report.log({"step": self.step, "minutes": self.minutes, "validation": numbers})
            self.report.draw()
        if self.step % cadence.sheet_steps == 0 or at_end:
            path = self.folder / "samples" / f"{self.step:06d}.png"
            path.parent.mkdir(exist_ok=True)
            self.task.sheet(self.model, path)
        return numbers

    def finish(self) -> Path:
        """Write ``model.safetensors``, and the other averages beside it.

        No clock is in them: equal trainings leave equal files, of one digest.
        """
        final = self.folder / "model.safetensors"
        for number, (name, average) in enumerate(self.averages.items()):
            facts = {**self.task.finish(average.model), "average": name, **self._pictures()}
            facts["step"] = self.step
            keep = quartered if self.recipe.keep == "int8" else halved
            path = final if number == 0 else self.folder / f"model-{name}.safetensors"
            write_tensors(path, keep(average.model.state_dict()), facts)
        self.task.export(final)
        return final

    def _pictures(self) -> dict:
        """What the pictures were, as `artdiff.model.TrainedOn` reads it."""
        data = self.recipe.data
        options = data.model_dump(mode="json")["options"]
        return {"dataset": data.dataset, "dataset_options": options, "held_out": data.held_out}
