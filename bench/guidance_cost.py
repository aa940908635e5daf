"""What guidance costs: a guided step of the starter model beside an unguided one.

    OMP_NUM_THREADS=1 python bench/guidance_cost.py [--rounds 15] [--batch 1] [--model starter]

An unguided step is the model with its card's own guidance scale and no terms. A cheap term in
latents is the mean of x0, one in pixels the mean of the decoded picture. Counted is the CPU time
of one thread. All kinds of step take turns within a round, and what is printed are medians over
the rounds: milliseconds, and ratios that are formed within a round, so that other programs disturb
little. "less the term" is a guided step less what the term costs by itself (its forward and
backward pass to x0), over an unguided step.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor

from artdiff.api import prepare
from artdiff.denoise import bind
from artdiff.guidance.guide import Term, guide
from artdiff.noise import Level
from artdiff.preset.draft import Draft
from artdiff.random import Noise
from artdiff.registry import Selection, create_registry
from artdiff.renderer import load_engine

Step = Callable[[], object]


def spent(step: Step) -> float:
    """CPU milliseconds of this thread."""
    began = time.thread_time()
    step()
    return 1000 * (time.thread_time() - began)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--model", default="starter")
    given = parser.parse_args()
    torch.set_num_threads(1)

    registry = create_registry(Selection())
    values = {"model": given.model, "prompt": "a red fox", "frames.count": given.batch}
    plan = prepare(Draft("cost", {}, {}), registry, values).plan
    engine = load_engine(plan, registry)
    jobs = [plan.job(index) for index in range(given.batch)]
    noise = Noise([job.seed for job in jobs])
    codec, at = engine.model.codec, engine.levels[len(engine.levels) // 2]
    size = (plan.preset.height // codec.factor, plan.preset.width // codec.factor)
    x = noise.normal(torch.empty(given.batch, codec.channels, *size), "bench")
    with torch.inference_mode():
        cond = engine.conditioning([job.prompts for job in jobs])
        inner = engine.denoiser(jobs, noise)
    plain = bind(inner, cond)

    def bright(x0: Tensor, at: Level, noise: Noise) -> Tensor:
        return -x0.mean((1, 2, 3))

    def bright_pixels(x0: Tensor, at: Level, noise: Noise) -> Tensor:
        return -codec.decode(x0).mean((1, 2, 3))

    def alone(loss: Callable[[Tensor, Level, Noise], Tensor]) -> Step:
        def step() -> None:
            leaf = x.clone().requires_grad_()
            torch.autograd.grad(loss(leaf, at, noise).sum(), leaf)

        return step

    def walk(terms: list[Term], **rules: object) -> Step:
        denoise = bind(guide(inner, terms, noise=noise, **rules), cond)  # pyright: ignore[reportArgumentType]

        def step() -> None:
            with torch.inference_mode():
                denoise(x, at)

        return step

    def unguided() -> None:
        with torch.inference_mode():
            plain(x, at)

    losses = {"latents": bright, "pixels": bright_pixels}
    steps: dict[str, Step] = {"unguided": unguided}
    for name, loss in losses.items():
        steps[f"{name}: the term alone"] = alone(loss)
        steps[f"{name}: through x0"] = walk([Term(loss)], through="x0")
        steps[f"{name}: through the denoiser"] = walk([Term(loss)])
    three = [Term(bright, 1.0), Term(lambda x0, at, noise: (x0**2).mean((1, 2, 3))),
             Term(lambda x0, at, noise: x0.diff(dim=3).square().mean((1, 2, 3)))]  # fmt: skip
    for combine in ("sum", "balanced", "projected", "priority"):
        steps[f"three in latents: {combine}"] = walk(three, combine=combine)
    steps["three in latents: sum, watched"] = walk(three, watch=lambda look: None)

    rounds = [{name: spent(step) for name, step in steps.items()} for _ in range(given.rounds + 1)]
    rounds = rounds[1:]  # the first one warms up
    print(f"{given.model}, {given.batch} at {plan.preset.width}x{plan.preset.height}, "
          f"guidance scale {jobs[0].scale:g}, {given.rounds} rounds")  # fmt: skip
    print(f"{'':36} {'ms':>8} {'to unguided':>12} {'less the term':>14}")
    for name in steps:
        kind = name.partition(":")[0]
        term = f"{kind}: the term alone"
        ratio = median(turn[name] / turn["unguided"] for turn in rounds)
        cells = f"{median(turn[name] for turn in rounds):8.1f} {ratio:12.2f}"
        if term in steps and name != term:
            less = median((turn[name] - turn[term]) / turn["unguided"] for turn in rounds)
            cells += f" {less:14.2f}"
        print(f"{name:36} {cells}")


if __name__ == "__main__":
    main()
