"""How close samplers come to a 1000-step solution in few model calls: ours, tuned, and the peers'.

    OMP_NUM_THREADS=1 python bench/sampler_accuracy.py [--peers FOLDER] [--starts SEED] [--tune]

One mixture of 8 Gaussians in 16 dimensions (deviations 0.15 to 0.5), noise of Stable Diffusion
(scaled-linear betas 0.00085 to 0.012, 1000 steps), the exact denoiser, float64, seed 0. Each row
says the relative root-mean-square error over 2048 starts / the median of each start's relative
error, at 5, 8, 10, 15 and 20 model calls (5, 7, 9, 15, 19 where a step takes two), against
Heun with 1000 steps. The root mean square is mostly the work of a few starts that land in another
component.

Where k-diffusion and diffusers can be imported (from FOLDER, if they are not installed) their
loops run in the same process on the same denoiser, and beside each stands our sampler of the same
name on the same sigmas. `tuned` rows read sampler_accuracy.json, which `--tune` writes anew (on
16384 other starts, some 15 minutes). `--starts` takes 2048 others, to see what chance does.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from artdiff.noise import DiscreteTable, Level
from artdiff.random import Noise
from artdiff.sample import sample
from artdiff.samplers import SAMPLERS
from artdiff.tune.fit import Effort, tune
from artdiff.tune.path import distance, ends, reference
from artdiff.tune.solver import Solver

STORE = Path(__file__).with_suffix(".json")
CALLS = (5, 8, 10, 15, 20)
BETAS = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
TABLE = DiscreteTable.from_betas(BETAS.tolist())
SIGMAS = (-TABLE.log_snrs / 2).exp()
LOW, HIGH = float(SIGMAS[0]), float(SIGMAS[-1])

DRAW = torch.Generator().manual_seed(0)
MEANS = torch.randn(8, 16, generator=DRAW, dtype=torch.float64)
STDS = torch.linspace(0.15, 0.5, 8, dtype=torch.float64)
WEIGHTS = torch.randn(8, generator=DRAW, dtype=torch.float64).softmax(0)
STARTS = torch.randn(2048, 16, generator=DRAW, dtype=torch.float64) * HIGH

Rows = dict[str, list[str]]


def oracle(x: Tensor, sigma: Tensor) -> Tensor:
    """E[x0 | x] at x = x0 + sigma * eps, (B, 16)."""
    total = STDS**2 + sigma**2
    away = x.square().sum(1, keepdim=True) - 2 * x @ MEANS.T + MEANS.square().sum(1)
    each = (WEIGHTS.log() - 8 * total.log() - away / (2 * total)).softmax(1)
    gain = STDS**2 / total
    return (each * (1 - gain)) @ MEANS + (each @ gain)[:, None] * x


def denoise(x: Tensor, at: Level) -> Tensor:
    """The oracle at any level."""
    return oracle(x / at.alpha, at.sigma / at.alpha)


class Counted:
    """The oracle as peers call it, which counts."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        self.calls += 1
        return oracle(x, sigma.reshape(-1)[0].double())


def exact(starts: Tensor, steps: int = 1000) -> Tensor:
    """Heun on a karras grid down to sigma 0.0001, then DDIM's step to 0."""
    x = starts
    for a, b in pairwise([*karras(steps, 1e-4), torch.zeros(())]):
        slope = (x - oracle(x, a)) / a
        ahead = x + (b - a) * slope
        if b > 0:
            slope = (slope + (ahead - oracle(ahead, b)) / b) / 2
        x = x + (b - a) * slope
    return x


def karras(steps: int, low: float = LOW) -> Tensor:
    ends = torch.tensor([HIGH, low], dtype=torch.float64) ** (1 / 7)
    return torch.lerp(ends[0], ends[1], torch.linspace(0, 1, steps, dtype=torch.float64)) ** 7


def exponential(steps: int) -> Tensor:
    return torch.linspace(math.log(HIGH), math.log(LOW), steps, dtype=torch.float64).exp()


def even(steps: int) -> Tensor:
    t = torch.linspace(999, 0, steps, dtype=torch.float64)
    low = t.floor().clamp(max=998).long()
    return torch.lerp(SIGMAS.log()[low], SIGMAS.log()[low + 1], t - low).exp()


GRIDS: dict[str, Callable[[int], Tensor]] = {
    "karras": karras,
    "exp": exponential,
    "linspace-t": even,
}


def levels(sigmas: Tensor) -> list[Level]:
    """Variance-preserving levels of sigmas."""
    return [Level(1 / (1 + s**2).sqrt(), s / (1 + s**2).sqrt()) for s in sigmas.double()]


def closed(sigmas: Tensor) -> Tensor:
    """The same with 0 at the end."""
    return torch.cat([sigmas, sigmas.new_zeros(1)])


def ours(name: str, options: dict[str, Any], sigmas: Tensor, starts: Tensor) -> Tensor:
    """Our sampler on some sigmas, as far as they go."""
    grid = levels(sigmas)
    x, sampler = starts * grid[0].alpha, SAMPLERS[name](**options)
    for step in sample(sampler, denoise, x, grid, Noise([0] * len(x))):
        x = step.x
    return x


def solved(solver: Solver, starts: Tensor) -> Tensor:
    """The tuned sampler on its own levels."""
    sampler = SAMPLERS["tuned"](**solver.model_dump())
    grid = sampler.levels(TABLE)  # type: ignore[attr-defined]
    x = starts * grid[0].alpha
    for step in sample(sampler, denoise, x, grid, Noise([0] * len(x))):
        x = step.x
    return x


# The peers: each yields its sigmas and its samples for a number of steps.


def load_k_diffusion() -> Any:
    """k-diffusion's sampling.py, without the rest of the package; None where it is not."""
    sys.path.insert(0, str(Path(__file__).parent))
    import importlib.util
    import types

    folders = [Path(p) / "k_diffusion" for p in sys.path]
    place = next((folder for folder in folders if (folder / "sampling.py").is_file()), None)
    if place is None:
        return None
    package: Any = types.ModuleType("k_alone")
    package.__path__ = [str(place)]
    helpers: Any = types.ModuleType("k_alone.utils")
    helpers.append_dims = lambda x, n: x[(...,) + (None,) * (n - x.ndim)]
    sys.modules |= {"k_alone": package, "k_alone.utils": helpers}
    spec: Any = importlib.util.spec_from_file_location("k_alone.sampling", place / "sampling.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


K_LOOPS: dict[str, tuple[str, dict[str, Any], int, str, dict[str, Any]]] = {
    "Euler": ("sample_euler", {}, 1, "euler", {}),
    "Heun": ("sample_heun", {}, 2, "heun", {}),
    "DPM2": ("sample_dpm_2", {}, 2, "dpm2", {}),
    "LMS": ("sample_lms", {}, 1, "lms", {}),
    "DPM++ 2M": ("sample_dpmpp_2m", {}, 1, "dpmpp_2m", {}),
    "DPM++ 2S (eta 0)": ("sample_dpmpp_2s_ancestral", {"eta": 0.0}, 2, "dpmpp_2s", {}),
    "DPM++ 3M SDE (eta 0)": (
        "sample_dpmpp_3m_sde",
        {"eta": 0.0, "noise_sampler": lambda *_: 0.0},
        1,
        "dpmpp_3m_sde",
        {"eta": 0.0},
    ),
}
"""Loop, its options, calls a step, and ours of the same name with its options."""

KARRAS, LU = {"use_karras_sigmas": True}, {"use_lu_lambdas": True}
DIFFUSERS: dict[str, tuple[str, dict[str, Any], int, str, dict[str, Any]]] = {
    "DDIM trailing": (
        "DDIMScheduler",
        {"timestep_spacing": "trailing", "clip_sample": False},
        1,
        "ddim",
        {},
    ),
    "Euler": ("EulerDiscreteScheduler", {}, 1, "euler", {}),
    "Euler karras": ("EulerDiscreteScheduler", KARRAS, 1, "euler", {}),
    "Heun": ("HeunDiscreteScheduler", {}, 2, "heun", {}),
    "Heun karras": ("HeunDiscreteScheduler", KARRAS, 2, "heun", {}),
    "LMS": ("LMSDiscreteScheduler", {}, 1, "lms", {}),
    "LMS karras": ("LMSDiscreteScheduler", KARRAS, 1, "lms", {}),
    "DPM++ 2M": ("DPMSolverMultistepScheduler", {}, 1, "dpmpp_2m", {}),
    "DPM++ 2M karras": ("DPMSolverMultistepScheduler", KARRAS, 1, "dpmpp_2m", {}),
    "DPM++ 2M lu": ("DPMSolverMultistepScheduler", LU, 1, "dpmpp_2m", {}),
    "DPM++ 3M": ("DPMSolverMultistepScheduler", {"solver_order": 3}, 1, "dpmpp_3m", {}),
    "DPM++ 3M karras": (
        "DPMSolverMultistepScheduler",
        {"solver_order": 3, **KARRAS},
        1,
        "dpmpp_3m",
        {},
    ),
    "DPM++ 3M lu": ("DPMSolverMultistepScheduler", {"solver_order": 3, **LU}, 1, "dpmpp_3m", {}),
    "DPM++ 2S single": ("DPMSolverSinglestepScheduler", {}, 1, "", {}),
    "DPM++ 2S single karras": ("DPMSolverSinglestepScheduler", KARRAS, 1, "", {}),
    "UniPC-2": ("UniPCMultistepScheduler", {"solver_order": 2}, 1, "unipc", {"solver_order": 2}),
    "UniPC-2 karras": (
        "UniPCMultistepScheduler",
        {"solver_order": 2, **KARRAS},
        1,
        "unipc",
        {"solver_order": 2},
    ),
    "UniPC-3": ("UniPCMultistepScheduler", {"solver_order": 3}, 1, "unipc", {}),
    "UniPC-3 karras": ("UniPCMultistepScheduler", {"solver_order": 3, **KARRAS}, 1, "unipc", {}),
    "DEIS-2": ("DEISMultistepScheduler", {}, 1, "deis", {"solver_order": 2}),
    "DEIS-2 karras": ("DEISMultistepScheduler", KARRAS, 1, "deis", {"solver_order": 2}),
    "DEIS-3": ("DEISMultistepScheduler", {"solver_order": 3}, 1, "deis", {}),
    "DEIS-3 karras": ("DEISMultistepScheduler", {"solver_order": 3, **KARRAS}, 1, "deis", {}),
}
"""Scheduler, its options, calls a step, and ours of the same name with its options."""


def diffusers_samples(
    library: Any, kind: str, options: dict[str, Any], steps: int, starts: Tensor
) -> tuple[Tensor, Tensor]:
    """A scheduler of diffusers, whose model knows the exact sigma: its walk, and samples."""
    scheduler = getattr(library, kind)(
        num_train_timesteps=1000, trained_betas=BETAS.tolist(), **options
    )
    scheduler.set_timesteps(steps)
    scaled = kind in ("EulerDiscreteScheduler", "HeunDiscreteScheduler", "LMSDiscreteScheduler")
    table = getattr(scheduler, "sigmas", None)
    sigmas = SIGMAS[scheduler.timesteps] if table is None else table.double()
    x = starts if scaled else starts / (1 + HIGH**2) ** 0.5
    for index, t in enumerate(scheduler.timesteps):
        sigma = sigmas[index]
        z = x if scaled else x * (1 + sigma**2).sqrt()
        epsilon = (z - oracle(z, sigma)) / sigma
        if scaled:
            scheduler.scale_model_input(x, t)
        x = scheduler.step(epsilon, t, x, return_dict=False)[0]
    walk = sigmas.unique_consecutive()  # some stop at a sigma above 0, some stand still there
    return (walk if len(walk) > len(scheduler.timesteps) else closed(walk)), x


def steps_for(calls: int, each: int) -> int:
    """The steps that take at most so many calls, where the last step takes one."""
    return calls if each == 1 else (calls + 1) // 2


def peers(starts: Tensor) -> Iterator[tuple[str, int, Tensor, Tensor, str, dict[str, Any]]]:
    """Yield name, calls bar, samples, sigmas, and ours of the same name, for each peer's row."""
    k = load_k_diffusion()
    if k is not None:
        for label, (loop, extra, each, mine, options) in K_LOOPS.items():
            for grid, make in GRIDS.items():
                for calls in CALLS:
                    sigmas = closed(make(steps_for(calls, each)))
                    x = getattr(k, loop)(Counted(), starts, sigmas, disable=True, **extra)
                    yield f"k-diffusion {label} {grid}", calls, x, sigmas, mine, options
        for calls in CALLS:
            x = k.sample_dpm_fast(Counted(), starts, LOW, HIGH, calls, disable=True)
            yield "k-diffusion dpm_fast", calls, x, SIGMAS, "", {}
    try:
        import diffusers as library  # pyright: ignore[reportMissingImports]
    except ImportError:
        return
    logging.disable(logging.WARNING)
    for label, (kind, extra, each, mine, options) in DIFFUSERS.items():
        for calls in CALLS:
            steps = steps_for(calls, each)
            sigmas, x = diffusers_samples(library, kind, extra, steps, starts)
            yield f"diffusers {label}", calls, x, sigmas, mine, options


UNTUNED: dict[str, tuple[str, dict[str, Any]]] = {
    "dpmpp_2m": ("dpmpp_2m", {}),
    "dpmpp_3m": ("dpmpp_3m", {}),
    "dpmpp_3m, curvature 1": ("dpmpp_3m", {"curvature": 1.0}),
    "unipc": ("unipc", {}),
    "unipc 2": ("unipc", {"solver_order": 2}),
    "deis": ("deis", {}),
    "lms": ("lms", {}),
}


def cell(samples: Tensor, target: Tensor) -> tuple[float, float]:
    found = distance(samples, target)
    return found.rms, found.median


def line(label: str, cells: Sequence[tuple[float, float]], last: str = "") -> str:
    return f"{label:38} " + " ".join(f"{a:.4f}/{b:.4f}" for a, b in cells) + f"  {last}"


def measure(starts: Tensor) -> None:
    """Print the whole table."""
    target = exact(starts)
    print(f"{'RMS/median at model calls':38} " + " ".join(f"{calls:^13}" for calls in CALLS))
    rows: dict[str, list[tuple[float, float]]] = {}
    twins: dict[str, list[tuple[float, float]]] = {}
    for label, _, x, sigmas, mine, options in peers(starts):
        rows.setdefault(label, []).append(cell(x, target))
        if mine:
            twins.setdefault(label, []).append(cell(ours(mine, options, sigmas, starts), target))
    worse = 0
    for label, cells in rows.items():
        last = ""
        if label in twins:
            ratios = [a[0] / b[0] for a, b in zip(twins[label], cells, strict=True)]
            worse += sum(ratio > 1.005 for ratio in ratios)
            last = "ours/theirs " + " ".join(f"{ratio:.2f}" for ratio in ratios)
        print(line(label, cells, last))
    print()
    for label, (name, options) in UNTUNED.items():
        for grid, make in GRIDS.items():
            found = [cell(ours(name, options, closed(make(n)), starts), target) for n in CALLS]
            print(line(f"artdiff {label} {grid}", found))
    stored = {int(n): Solver.model_validate(s) for n, s in json.loads(STORE.read_text()).items()}
    tuned = [cell(solved(stored[n], starts), target) for n in CALLS]
    print(line("artdiff tuned", tuned))
    if not rows:
        return
    best = [tuple(min(c[i][k] for c in rows.values()) for k in (0, 1)) for i in range(len(CALLS))]
    print(line("lowest of the peers", best))
    ratio = [(a[0] / b[0], a[1] / b[1]) for a, b in zip(tuned, best, strict=True)]
    print(line("tuned / lowest of the peers", ratio))
    print(f"\nuntuned and worse than the peer of the same name: {worse} cells")
    missed = [n for n, (rms, _) in zip(CALLS, ratio, strict=True) if rms > 0.5]
    print(f"more than half of the best peer's error: {missed or 'nowhere'}")


def tune_all() -> None:
    """Tune on other starts, and keep what was found."""
    draw = torch.Generator().manual_seed(7)
    first, last = ends(TABLE)
    starts = torch.randn(16384, 16, generator=draw, dtype=torch.float64) * first
    path = reference(denoise, starts, (first, 0.0), 150)
    found = {}
    for calls in CALLS:
        effort = Effort(gradient_steps=800, batch=1024, few=False, chunk=4096)
        *_, solver = tune(lambda rows: denoise, path, (first, last), calls, effort)
        found[calls] = solver.model_dump(mode="json")
        STORE.write_text(json.dumps(found) + "\n")
        print(f"{calls} calls tuned", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--peers", action="append", default=[], help="a folder of installed peers")
    parser.add_argument("--starts", type=int, help="2048 other starts, of this seed")
    parser.add_argument("--tune", action="store_true", help="find the tuned solvers anew")
    options = parser.parse_args()
    sys.path += options.peers
    torch.set_num_threads(1)
    if options.tune:
        tune_all()
    starts = STARTS
    if options.starts is not None:
        draw = torch.Generator().manual_seed(options.starts)
        starts = torch.randn(2048, 16, generator=draw, dtype=torch.float64) * HIGH
    with torch.no_grad():
        measure(starts)


if __name__ == "__main__":
    main()
