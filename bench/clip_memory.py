"""Memory of CLIP guidance by the number of cuts: its loss and gradient, peak less what was there.

    python bench/clip_memory.py                          # the starter's encoder, pictures of 256
    python bench/clip_memory.py --random ViT-B-32 --size 512    # any architecture, no weights

Each row is measured in a process of its own, on Linux. "together" holds all cuts in memory at
once, as Disco Diffusion does with those of one batch.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from safetensors.torch import save_file

from artdiff import Noise, create_registry, import_open_clip, levels
from artdiff.noise import Flow
from artdiff.testing.toys import toy_pictures, toy_setup


def megabytes(key: str) -> float:
    """Memory of this process, from Linux: VmRSS now, VmHWM the most since `forget`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{key}:"))


def forget() -> None:
    """Begin to look for the most anew."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")


def measure(model: str, size: int, rows: int, cuts: int, at_once: int) -> dict[str, float]:
    """Peak memory of one loss and its gradient, and seconds; the second run counts."""
    kind = create_registry().get("guidance", "clip")
    said = {"model": model, "prompts": ["a red fox"], "at_once": at_once}

    def once(cuts: int, at_once: int) -> None:
        options = kind.Options.model_validate(
            said | {"at_once": at_once, "cuts": {"overview": cuts // 4, "inner": cuts * 3 // 4}}
        )
        term = kind(options, toy_setup(size))
        x0 = toy_pictures(rows, 3, size).float().requires_grad_()
        term.loss(x0, levels(Flow(), 10)[5], Noise(range(rows))).sum().backward()

    once(4, 4)
    forget()
    before, began = megabytes("VmRSS"), time.perf_counter()
    once(cuts, at_once)
    return {"megabytes": megabytes("VmHWM") - before, "seconds": time.perf_counter() - began}


def random_encoder(name: str, folder: Path) -> str:
    """An encoder of an architecture that open_clip knows, with weights of chance."""
    library = import_open_clip()
    network = library.create_model(name)
    config = {"model_cfg": library.get_model_config(name), "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    tensors = {key: tensor.contiguous() for key, tensor in network.state_dict().items()}
    save_file(tensors, folder / "open_clip_model.safetensors")
    return f"local-dir:{folder}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="starter")
    parser.add_argument("--random", help="measure this architecture of open_clip instead")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--rows", type=int, default=1)
    parser.add_argument("--one", nargs=2, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.model, options.size, options.rows, *options.one)))
        return
    with TemporaryDirectory() as folder:
        if options.random:
            options.model = random_encoder(options.random, Path(folder))
        table(options)


def table(options: argparse.Namespace) -> None:
    """Print a row for each number of cuts."""
    shared = ["--model", options.model, "--size", str(options.size), "--rows", str(options.rows)]
    print("| cuts | at_once | MB | seconds |\n|---|---|---|---|")
    for cuts, at_once in ((8, 8), (16, 8), (64, 8), (64, 64)):
        command = [sys.executable, sys.argv[0], *shared, "--one", str(cuts), str(at_once)]
        line = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found = json.loads(line.splitlines()[-1])
        label = "together" if at_once >= cuts > 8 else at_once
        print(
            f"| {cuts} | {label} | {found['megabytes']:.0f} | {found['seconds']:.2f} |", flush=True
        )


if __name__ == "__main__":
    main()
