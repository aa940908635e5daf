"""What adding and asking a network of published size costs: ``python bench/published.py [NAME]``.

Weights by chance, of the shapes of the published card NAME (64x64_diffusion unless another one is
given), are written as a file that torch saved. Another process adds that file, loads the model
and asks it once, and reports seconds and its highest memory. The file is deleted in the end.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from artdiff.backends.unet import load, load_classifier, load_superres
from artdiff.importers.add import add
from artdiff.importers.adm import named, shapes_of
from artdiff.noise import Level


def peak() -> float:
    """The highest memory of this process so far, in GB, as Linux tells it."""
    status = Path("/proc/self/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) * 1024 / 1e9 if found else float("nan")


def write(name: str, file: Path) -> None:
    """A file of the shapes of a published network, filled by chance."""
    draw = torch.Generator().manual_seed(0)
    shapes = shapes_of(named(name).facts)
    torch.save({key: torch.randn(s, generator=draw) * 0.02 for key, s in shapes.items()}, file)


def measure(name: str, file: Path) -> None:
    """Add the file, load the model, ask it once; each in a line."""
    before, began = peak(), time.monotonic()
    card = add(file, None, None).card
    size = file.stat().st_size / 1e9
    print(f"{name}: {size:.2f} GB, {torch.get_num_threads()} threads; torch alone {before:.2f} GB")
    print(f"adding: {time.monotonic() - began:.1f} s, at most {peak():.2f} GB", flush=True)
    facts = named(name).facts
    x = torch.randn(1, facts.network.channels, facts.size, facts.size)
    at = Level(torch.tensor(0.6, dtype=torch.float64), torch.tensor(0.8, dtype=torch.float64))
    where = (torch.device("cpu"), torch.float32)
    began = time.monotonic()
    if facts.kind == "classifier":
        classifier = load_classifier(card, *where)
        loaded = time.monotonic()
        classifier(x, at)
    else:
        model = (load if facts.kind == "unet" else load_superres)(card, *where)
        low = {"low": x[..., ::4, ::4]} if facts.kind == "superres" else {}
        loaded = time.monotonic()
        model.denoiser(x, at, {**model.conditioner(["label 1"]), **low})
    done = time.monotonic()
    print(f"loading: {loaded - began:.1f} s; one call, one picture: {done - loaded:.1f} s")
    print(f"all of it: at most {peak():.2f} GB")


def main() -> None:
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2], Path(sys.argv[3]))
        return
    name = named(sys.argv[1] if len(sys.argv) > 1 else "64x64_diffusion").name
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{named(name).files[0]}.pt"
        write(name, file)
        there = os.environ | {"ARTDIFF_MODELS": str(Path(folder) / "models")}
        subprocess.run(
            [sys.executable, __file__, "--measure", name, str(file)], env=there, check=True
        )


if __name__ == "__main__":
    main()
