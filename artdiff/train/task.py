"""What one kind of model brings to the training loop."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from artdiff.train.data import Dataset
from artdiff.train.recipe import Recipe


class Task:
    """A model, its training steps, its validation and its sample sheets.

    A kind of model is one file with two classes: a `Recipe` that names the kind and adds its
    table, and a `Task` that is made of (recipe, dataset, folder, cache); `artdiff.train.kinds`
    lists them. `folder` is the run's, `cache` holds what datasets need on disk.

    Everything random is drawn by name (`artdiff.train.draws`, `artdiff.random.Noise`): that is
    why a run that was killed goes on as if nothing had happened, and why a batch may be cut.
    """

    model: nn.Module

    def __init__(self, recipe: Recipe, dataset: Dataset, folder: Path, cache: Path) -> None:
        raise NotImplementedError

    @property
    def device(self) -> torch.device:
        """Where the model is, and where the batches must go."""
        return next(self.model.parameters()).device

    def begin(self, folder: Path) -> None:
        """Write what lies beside the run's checkpoints in `folder`, such as a vocabulary.

        Called in the first process, when the checkpoint that is there has been taken over: before
        that the folder may be the run of another recipe, and is only read.
        """

    def loss(self, step: int, rows: range) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The mean loss of some rows of the batch of step `step`, a scalar with gradient.

        `rows` lies in ``range(recipe.batch)``: all of it, or a part where the batch is worked
        through in parts or split over processes. The loss of the batch is the mean over its rows.
        A function of the weights, `state`, the step and the rows only. The second value holds
        notes for `after`: a number for each row, (len(rows),), without gradient.
        """
        raise NotImplementedError

    def after(self, step: int, notes: Mapping[str, Tensor]) -> dict[str, float]:
        """Take note of the whole batch of step `step`; numbers for the log beside its loss.

        `notes` are those of `loss` for all rows in their order, (recipe.batch,) in float64 on the
        CPU: the same in every process.
        """
        return {}

    def state(self) -> dict[str, Tensor]:
        """What steps have changed besides the weights: live tensors, for the checkpoint."""
        return {}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take over a saved `state`; KeyError where it belongs to another recipe."""
        for name, tensor in self.state().items():
            tensor.copy_(state[name])

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Numbers on held-out data, ``loss`` among them; without randomness.

        Numbers of one family, such as an accuracy at several levels, are named ``family/member``.
        """
        raise NotImplementedError

    def sheet(self, model: nn.Module, path: Path) -> None:
        """Draw a sample sheet to `path`."""

    def finish(self, model: nn.Module) -> dict:
        """Settle the averaged model in place; the JSON-able facts that go into its file."""
        raise NotImplementedError

    def export(self, weights: Path) -> None:
        """Write what lies beside the finished `weights`, such as another program's config."""
