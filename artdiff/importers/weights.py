"""Reading files of weights without running anything that is in them."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from artdiff.errors import ModelError
from artdiff.train.checkpoint import read_tensors

WRAPPERS = ("state_dict", "ema", "model")
"""Keys under which training programs keep the weights beside other things."""

KEPT = (torch.float32, torch.float16, torch.bfloat16)


def read_weights(file: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a ``.safetensors`` file or of one that torch saved, and artdiff's facts.

    Pickles are read with ``weights_only``: one that holds more than tensors and plain values is
    refused, whoever made it. A prefix ``module.`` of all names is dropped.

    :raises ModelError: the file cannot be read, is no file of weights, or could run code.
    """
    values, facts = read_plain_weights(file)
    return _tensors(values, file), facts if isinstance(facts, dict) else {}


def read_plain_weights(file: Path) -> tuple[Any, dict[str, Any]]:
    """What is in a file of weights, as it lies there, and artdiff's facts.

    :raises ModelError: as `read_weights` does.
    """
    if not file.is_file():
        raise ModelError(f"{file}: no such file")
    facts: dict[str, Any] = {}
    try:
        if file.suffix == ".safetensors":
            values, facts = read_tensors(file)
        else:
            values = _unpickle(file)
    except pickle.UnpicklingError as error:
        if "weights only" in str(error).lower():
            raise ModelError(
                f"{file}: a pickle with more in it than plain tensors, which could run code when "
                "it is read; only plain tensors are accepted"
            ) from None
        raise ModelError(f"{file}: not a file of weights") from error
    except OSError as error:
        raise ModelError(f"{file}: cannot be read: {error.strerror or error}") from error
    except MemoryError:
        raise
    except Exception as error:  # reading a damaged pickle may raise anything
        raise ModelError(f"{file}: not a file of weights, or a damaged one") from error
    return values, facts


def _unpickle(file: Path) -> Any:
    """What torch saved; mapped into memory where the format allows it."""
    try:
        return torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError as error:
        if "mmap" not in str(error):
            raise
        return torch.load(file, map_location="cpu", weights_only=True)


def _tensors(values: Any, file: Path) -> dict[str, Tensor]:
    """The state dict in what was read."""
    if isinstance(values, Mapping):
        found = [values[key] for key in WRAPPERS if isinstance(values.get(key), Mapping)]
        values = found[0] if found else values
    if not isinstance(values, Mapping) or not values:
        raise ModelError(f"{file}: holds no tensors by name")
    tensors = {}
    for name, value in values.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise ModelError(f"{file}: holds no tensors by name; {name!r} is no tensor")
        if not value.is_floating_point():
            raise ModelError(f"{file}: {name!r} holds {value.dtype}, not real numbers")
        tensors[name] = value if value.dtype in KEPT else value.float()
    if all(name.startswith("module.") for name in tensors):
        return {name.removeprefix("module."): value for name, value in tensors.items()}
    return tensors
