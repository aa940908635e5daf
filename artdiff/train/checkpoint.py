"""Checkpoints: one atomically replaced safetensors file with all that a run needs to go on."""

from __future__ import annotations

import json
import os
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from artdiff.errors import MachineError
from artdiff.train.stored import whole


def write_tensors(path: Path, tensors: dict[str, Tensor], facts: dict) -> None:
    """Write tensors and JSON-able `facts` (metadata key ``artdiff``) to `path`, atomically."""
    temporary = path.with_name(path.name + ".part")
    contiguous = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    try:
        save_file(contiguous, temporary, {"artdiff": json.dumps(facts)})
        temporary.chmod(0o644)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
    except (OSError, SafetensorError) as error:
        raise MachineError(f"cannot write {path}: {error}") from error


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict]:
    """Read back what `write_tensors` wrote, 8 bits as floats; SafetensorError when damaged."""
    with safe_open(path, framework="pt") as file:
        facts = json.loads((file.metadata() or {}).get("artdiff", "{}"))
        return whole({name: file.get_tensor(name) for name in file.keys()}), facts


def read_facts(path: Path) -> dict:
    """The facts of a file that `write_tensors` wrote; none of any other file."""
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get("artdiff", "{}"))
    except (OSError, SafetensorError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def section(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The tensors whose names start with ``name.``, without that."""
    start = f"{name}."
    return {key[len(start) :]: value for key, value in tensors.items() if key.startswith(start)}


def checkpoints(folder: Path) -> list[Path]:
    """The step checkpoints in `folder`, newest first."""
    return sorted(folder.glob("checkpoint-*.safetensors"), reverse=True)


def save_checkpoint(folder: Path, tensors: dict[str, Tensor], facts: dict) -> Path:
    """Write ``checkpoint-<step>.safetensors`` and keep it and the one before."""
    path = folder / f"checkpoint-{facts['step']:08d}.safetensors"
    write_tensors(path, tensors, facts)
    for old in [other for other in checkpoints(folder) if other < path][1:]:
        old.unlink()
    return path


def load_checkpoint(folder: Path) -> tuple[dict[str, Tensor], dict] | None:
    """The newest checkpoint in `folder` that can be read, or None."""
    for path in checkpoints(folder):
        try:
            return read_tensors(path)
        except (SafetensorError, OSError):
            continue
    return None
