"""How many pictures a second a recipe trains on, in float32 and in narrow types.

python bench/training.py                        # story-ddpm, story-adm and tiny-adm
python bench/training.py story-adm --rounds 9

All types of a recipe take turns in one process, so that their ratio holds where speeds do not.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from importlib.resources import files
from pathlib import Path
from statistics import median

import torch

import artdiff
from artdiff.train.kinds import build_task, load_recipe
from artdiff.train.recipe import Recipe
from artdiff.train.run import Run

RECIPES = ("story-ddpm", "story-adm", "tiny-adm")
TYPES = ("float32", "bfloat16")
COUNT, HELD_OUT = 768, 32


def begin(name: str, precision: str, folder: Path) -> Run:
    """A run of a recipe on few pictures."""
    recipe = load_recipe(Path(str(files("artdiff.train.recipes").joinpath(f"{name}.toml"))))
    settings = recipe.data.model_copy(
        update={"count": COUNT, "held_out": HELD_OUT, "cache": folder / "data", "workers": 0}
    )
    recipe = recipe.model_copy(update={"precision": precision, "data": settings})
    kind = artdiff.create_registry().get("datasets", settings.dataset)
    dataset = kind(kind.Options(**settings.options))
    place = folder / name / precision
    place.mkdir(parents=True)
    return Run(recipe, build_task(recipe, dataset, place), place)


def speeds(runs: dict[str, Run], rounds: int, steps: int) -> dict[str, float]:
    """Pictures a second of each run, the median of `rounds` turns of `steps` steps."""
    seen: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 1):  # the first one warms up
        for name, run in runs.items():
            began = time.perf_counter()
            for _ in range(steps):
                run.advance()
            recipe: Recipe = run.recipe
            if turn:
                seen[name].append(steps * recipe.batch / (time.perf_counter() - began))
    return {name: median(values) for name, values in seen.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("recipes", nargs="*", default=RECIPES)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    print(f"| recipe | parameters | {' | '.join(TYPES)} | {TYPES[1]} / {TYPES[0]} |")
    print("|---|---:|" + "---:|" * (len(TYPES) + 1))
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.recipes:
            runs = {kind: begin(name, kind, Path(folder)) for kind in TYPES}
            found = speeds(runs, arguments.rounds, arguments.steps)
            count = sum(p.numel() for p in runs["float32"].task.model.parameters())
            cells = " | ".join(f"{value:.0f}" for value in found.values())
            ratio = found[TYPES[1]] / found[TYPES[0]]
            print(f"| `{name}` | {count / 1e6:.2f} M | {cells} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
