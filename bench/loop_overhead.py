"""What a sampling step costs beside the model: ms a step of every sampler with a free model.

    OMP_NUM_THREADS=1 python bench/loop_overhead.py [--steps 50] [--rounds 20] [--peers FOLDER]

The sample is 1x4x64x64 float32, the model returns what it is given, one thread. Counted is the CPU
time of that thread, the least of the rounds, so that other programs disturb little. Where
k-diffusion and diffusers can be imported (from FOLDER, if they are not installed), their loops run
in between, in the same process.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from artdiff.grid import levels
from artdiff.noise import DiscreteTable
from artdiff.random import Noise
from artdiff.sample import asked, sample
from artdiff.samplers import SAMPLERS

SHAPE = (1, 4, 64, 64)
BETAS = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
TABLE = DiscreteTable.from_betas(BETAS.tolist())

K_DIFFUSION = {
    "euler": "sample_euler",
    "euler_ancestral": "sample_euler_ancestral",
    "heun": "sample_heun",
    "dpm2": "sample_dpm_2",
    "lms": "sample_lms",
    "dpmpp_2s": "sample_dpmpp_2s_ancestral",
    "dpmpp_sde": "sample_dpmpp_sde",
    "dpmpp_2m": "sample_dpmpp_2m",
    "dpmpp_2m_sde": "sample_dpmpp_2m_sde",
    "dpmpp_3m_sde": "sample_dpmpp_3m_sde",
}
DIFFUSERS: dict[str, tuple[str, dict[str, Any]]] = {
    "ddpm": ("DDPMScheduler", {}),
    "ddim": ("DDIMScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler_ancestral": ("EulerAncestralDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "dpm2": ("KDPM2DiscreteScheduler", {}),
    "lms": ("LMSDiscreteScheduler", {}),
    "plms": ("PNDMScheduler", {"skip_prk_steps": True}),
    "ipndm": ("IPNDMScheduler", {}),
    "deis": ("DEISMultistepScheduler", {"solver_order": 3}),
    "unipc": ("UniPCMultistepScheduler", {"solver_order": 3}),
    "dpmpp_2s": ("DPMSolverSinglestepScheduler", {}),
    "dpmpp_2m": ("DPMSolverMultistepScheduler", {}),
    "dpmpp_2m_sde": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
    "dpmpp_3m": ("DPMSolverMultistepScheduler", {"solver_order": 3}),
    "lcm": ("LCMScheduler", {}),
}


def ours(name: str, steps: int) -> Callable[[], int]:
    sampler, grid, x = SAMPLERS[name](), levels(TABLE, steps), torch.randn(SHAPE)
    x = x * grid[0].sigma

    def walk() -> int:
        for _ in sample(sampler, lambda x, at: x, x, grid, Noise([0])):
            pass
        return steps

    return walk


def k_diffusion(name: str, steps: int) -> Callable[[], int] | None:
    """A loop of k-diffusion, whose sampling.py is loaded without the rest of the package."""
    if name not in K_DIFFUSION:
        return None
    try:
        import importlib.util

        place = next(
            Path(p) / "k_diffusion" for p in sys.path if (Path(p) / "k_diffusion").is_dir()
        )
        package = types.ModuleType("k_alone")
        package.__path__ = [str(place)]
        helpers: Any = types.ModuleType("k_alone.utils")
        helpers.append_dims = lambda x, n: x[(...,) + (None,) * (n - x.ndim)]
        sys.modules |= {"k_alone": package, "k_alone.utils": helpers}
        spec: Any = importlib.util.spec_from_file_location(
            "k_alone.sampling", place / "sampling.py"
        )
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    except (ImportError, StopIteration):
        return None
    grid = levels(TABLE, steps)
    sigmas = torch.tensor([float(at.sigma / at.alpha) for at in grid])
    x, loop = torch.randn(SHAPE) * sigmas[0], getattr(module, K_DIFFUSION[name])
    extra = {"eta": 0.0} if name == "dpmpp_2s" else {}

    def walk() -> int:
        loop(lambda x, sigma: x, x, sigmas, disable=True, **extra)
        return steps

    return walk


def diffusers(name: str, steps: int) -> Callable[[], int] | None:
    """A loop of diffusers as a pipeline has it, without the model."""
    if name not in DIFFUSERS:
        return None
    try:
        import diffusers as library  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    logging.disable(logging.WARNING)
    kind, options = DIFFUSERS[name]
    scheduler = getattr(library, kind)(
        num_train_timesteps=1000,
        **({} if name == "ipndm" else {"trained_betas": BETAS.tolist()}),
        **options,
    )
    x0 = torch.randn(SHAPE)

    def walk() -> int:
        scheduler.set_timesteps(steps)
        x = x0 * scheduler.init_noise_sigma
        for t in scheduler.timesteps:
            seen = scheduler.scale_model_input(x, t)
            x = scheduler.step(seen, t, x, return_dict=False)[0]
        return steps

    return walk


def fastest(walks: dict[str, Callable[[], int]], rounds: int) -> dict[str, float]:
    """The least ms a step of each loop, all of them in turn, the first round unheard."""
    best = dict.fromkeys(walks, float("inf"))
    for turn in range(rounds + 1):
        for who, walk in walks.items():
            began = time.thread_time()
            done = walk()
            spent = (time.thread_time() - began) / done * 1000
            best[who] = min(best[who], spent) if turn else best[who]
    return best


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--peers", action="append", default=[], help="a folder of installed peers")
    options = parser.parse_args()
    sys.path += options.peers
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"{'ms a step':16} {'calls':>5} {'artdiff':>9} {'k-diffusion':>12} {'diffusers':>10}")
    with torch.no_grad():
        for name in SAMPLERS:
            walks = {"artdiff": ours(name, options.steps)}
            for who, make in (("k-diffusion", k_diffusion), ("diffusers", diffusers)):
                walk = make(name, options.steps)
                walks |= {who: walk} if walk else {}
            found = fastest(walks, options.rounds)
            cells = [
                f"{found[who]:.3f}" if who in found else "-"
                for who in ("artdiff", "k-diffusion", "diffusers")
            ]
            calls = len(asked(SAMPLERS[name](), levels(TABLE, options.steps))) / options.steps
            print(
                f"{name:16} {calls:5.2f} {cells[0]:>9} {cells[1]:>12} {cells[2]:>10}", flush=True
            )


if __name__ == "__main__":
    main()
