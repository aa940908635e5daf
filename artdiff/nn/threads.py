"""The rows of a batch shared out among threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from threading import Barrier
from typing import Any

import torch
from torch import Tensor


def by_rows(call: Callable[..., Tensor], *inputs: Tensor | Mapping[str, Tensor]) -> Tensor:
    """Give ``call(*inputs)``, whose rows are computed in as many threads as there are cores.

    A second core helps a small product little, and waits at the end of each; rows do not wait for
    one another. On another device, with gradients or autocast (which is a thread's own), with one
    row or with one core the call is made as it is.

    :param inputs: tensors and mappings of tensors; what has as many rows as the first is cut.
    """
    first, cores = inputs[0], torch.get_num_threads()
    assert isinstance(first, Tensor)
    rows, parts = len(first), min(len(first), cores)
    plain = torch.is_grad_enabled() or torch.is_autocast_enabled("cpu")
    if parts < 2 or plain or first.device.type != "cpu":
        return call(*inputs)
    inference = torch.is_inference_mode_enabled()

    def answer(part: int) -> Tensor:
        mine = slice(part * rows // parts, (part + 1) * rows // parts)
        with torch.inference_mode(inference), torch.no_grad():
            return call(*(_cut(value, rows, mine) for value in inputs))

    return torch.cat(list(_threads(os.getpid(), parts, cores).map(answer, range(parts))))


def _cut(value: Any, rows: int, mine: slice) -> Any:
    if isinstance(value, Mapping):
        return {key: _cut(part, rows, mine) for key, part in value.items()}
    return value[mine] if len(value) == rows else value


@lru_cache(maxsize=8)
def _threads(process: int, parts: int, cores: int) -> ThreadPoolExecutor:
    """Threads that have the cores to share between them; a forked process needs its own."""
    threads = ThreadPoolExecutor(parts, "rows", _begin, (cores // parts,))
    started = Barrier(parts + 1)
    for _ in range(parts):
        threads.submit(started.wait)
    started.wait()
    torch.set_num_threads(cores)  # a thread's number is also that of all later ones
    return threads


def _begin(cores: int) -> None:
    torch.get_num_threads()  # a thread takes over the process's number when it first looks
    torch.set_num_threads(cores)
