"""Several processes that train one model: on one machine or on many, started by torchrun.

Each process works on its rows of every batch; gradients are summed, so that all make the same
step. There is no wrapper around the model and no state of its own: a run may go on with another
number of processes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from artdiff.errors import ArtdiffError, MachineError, PresetError

BUCKET = 1 << 24
PATIENCE = timedelta(hours=2)
"""How long processes wait for the first one, which validates and draws the sheets."""


@dataclass(frozen=True)
class Ranks:
    """This process among `count`; the one with rank 0 writes the files."""

    rank: int = 0
    count: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        """Whether this process writes."""
        return self.rank == 0

    def rows(self, batch: int, parts: int) -> list[range]:
        """This process's rows of a batch, in up to `parts` parts that are not empty.

        :raises PresetError: the batch has fewer rows than there are processes.
        """
        if batch < self.count:
            raise PresetError(f"batch: {batch} rows cannot be split over {self.count} processes")
        mine = _cut(range(batch), self.count)[self.rank]
        return _cut(mine, min(parts, len(mine)))

    def sum_gradients(self, model: nn.Module) -> None:
        """Replace all gradients by their sum over the processes."""
        if self.count == 1:
            return
        parameters = list(model.parameters())
        found = torch.tensor([p.grad is not None for p in parameters], dtype=torch.uint8)
        dist.all_reduce(found, dist.ReduceOp.MAX)
        kinds: dict[torch.dtype, list[Tensor]] = {}
        for parameter, anywhere in zip(parameters, found.tolist(), strict=True):
            if anywhere and parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            if parameter.grad is not None:
                kinds.setdefault(parameter.grad.dtype, []).append(parameter.grad)
        for gradients in kinds.values():
            for bucket in _buckets(gradients):
                flat = torch.cat([gradient.flatten() for gradient in bucket])
                dist.all_reduce(flat)
                pieces = flat.split([gradient.numel() for gradient in bucket])
                for gradient, piece in zip(bucket, pieces, strict=True):
                    gradient.copy_(piece.view_as(gradient))

    def mean_buffers(self, model: nn.Module) -> None:
        """Replace running statistics by their mean over the processes."""
        if self.count == 1:
            return
        for buffer in model.buffers():
            if buffer.is_floating_point():
                dist.all_reduce(buffer)
                buffer.div_(self.count)

    def gather(self, notes: Mapping[str, Tensor], rows: range, batch: int) -> dict[str, Tensor]:
        """Notes (n,) on this process's `rows` -> on all rows, (batch,) float64 on the CPU."""
        whole = torch.zeros(len(notes), batch, dtype=torch.float64)
        for line, note in zip(whole, notes.values(), strict=True):
            line[rows.start : rows.stop] = note.to(line)
        if self.count > 1 and notes:
            dist.all_reduce(whole)
        return dict(zip(notes, whole, strict=True))

    def sum(self, value: float) -> float:
        """The sum of a number over the processes."""
        if self.count == 1:
            return value
        held = torch.tensor(value, dtype=torch.float64)
        dist.all_reduce(held)
        return held.item()

    def agree(self, minutes: float, signal: int | None) -> tuple[float, int | None]:
        """The first process's clock, and a signal that any process has seen."""
        if self.count == 1:
            return minutes, signal
        held = torch.tensor([minutes if self.first else 0.0, signal or 0], dtype=torch.float64)
        dist.all_reduce(held, dist.ReduceOp.MAX)
        return held[0].item(), int(held[1]) or None

    def share(self, facts: object) -> object:
        """What the first process holds, in every process."""
        if self.count == 1:
            return facts
        held = [facts]
        dist.broadcast_object_list(held)
        return held[0]

    def copy(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite tensors by those of the first process."""
        if self.count > 1:
            for tensor in tensors:
                dist.broadcast(tensor, 0)

    @contextmanager
    def together(self) -> Iterator[None]:
        """End all processes by the same error where one of them fails inside.

        All must enter. An `ArtdiffError` is raised everywhere as it is; of another error the
        processes that did not make it see the kind and the first line, as a `MachineError`.
        """
        mine: Exception | None = None
        try:
            yield
        except Exception as error:
            mine = error
        if self.count > 1:
            told: list[Any] = [None] * self.count
            dist.all_gather_object(told, _told(self.rank, mine))
            mine = mine or next((error for error in told if error), None)
        if mine is not None:
            raise mine

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.count > 1:
            self.sum(0.0)


def _told(rank: int, error: Exception | None) -> ArtdiffError | None:
    if error is None or isinstance(error, ArtdiffError):
        return error
    line = (str(error).splitlines() or [""])[0]
    return MachineError(f"process {rank} failed: {type(error).__name__}: {line}")


def _cut(rows: range, parts: int) -> list[range]:
    ends = [len(rows) * part // parts for part in range(parts + 1)]
    return [rows[a:b] for a, b in pairwise(ends)]


def _buckets(tensors: list[Tensor]) -> Iterator[list[Tensor]]:
    bucket: list[Tensor] = []
    for tensor in tensors:
        if bucket and sum(t.numel() for t in bucket) + tensor.numel() > BUCKET:
            yield bucket
            bucket = []
        bucket.append(tensor)
    if bucket:
        yield bucket


@contextmanager
def joined() -> Iterator[Ranks]:
    """Join the other processes where torchrun has started several; alone otherwise.

    Reads RANK, WORLD_SIZE and LOCAL_RANK; tensors travel by gloo, those on a GPU by nccl.

    :raises MachineError: the others cannot be reached.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1 or "RANK" not in os.environ:
        yield Ranks()
        return
    rank, local = int(os.environ["RANK"]), int(os.environ.get("LOCAL_RANK", "0"))
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(local % torch.cuda.device_count())
        backend = "cpu:gloo,cuda:nccl"
    try:
        dist.init_process_group(backend, timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        text = str(error).splitlines()[0]
        raise MachineError(f"process {rank} of {count} cannot join the others: {text}") from error
    try:
        yield Ranks(rank, count, local)
    finally:
        dist.destroy_process_group()
