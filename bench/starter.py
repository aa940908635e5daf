"""How fast the starter model draws here: processor time, time on the clock, peak memory.

    python bench/starter.py                  # one picture alone, batches of 4 and of 8
    python bench/starter.py 1 16             # other batches
    python bench/starter.py film             # and a film of 96 frames, encoding included
    python bench/starter.py sampler.steps=8  # with other settings

Processor time with one thread hardly depends on what else a machine does; time on the clock, with
all of its cores, wants a quiet one. Each is the least of several.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from artdiff import create_registry
from artdiff.api import prepare, render
from artdiff.frames import encode_png
from artdiff.nn.narrow import fast_dtype
from artdiff.renderer import load_engine

PROMPT = "mountain lake at sunset, oil painting"
REPEATS = 5


def least(call: Callable[[], object], repeats: int = REPEATS) -> tuple[float, float]:
    """Processor seconds with one thread, and seconds on the clock with all, after a warm-up."""
    cores, found = torch.get_num_threads(), []
    for threads, clock in ((1, time.process_time), (cores, time.perf_counter)):
        torch.set_num_threads(threads)
        call()
        seconds = []
        for _ in range(repeats):
            began = clock()
            call()
            seconds.append(clock() - began)
        found.append(min(seconds))
    torch.set_num_threads(cores)
    return found[0], found[1]


def show(what: str, found: tuple[float, float], count: int = 1) -> None:
    one, clock = (1000 * seconds / count for seconds in found)
    print(f"{what:26} {one:9.1f} {clock:9.1f}", flush=True)


def pictures(batches: list[int], settings: list[str]) -> None:
    """Time drawing, and what a picture needs beside the denoiser."""
    registry = create_registry()
    wanted = [f"prompt={PROMPT}", f"frames.count={max(batches)}", *settings]
    plan = prepare("portrait", registry, wanted).plan
    began = time.process_time()
    engine = load_engine(plan, registry)
    fast = fast_dtype(torch.device("cpu")) if plan.card.fast else torch.float32
    print(f"{torch.get_num_threads()} threads, products in {fast}")
    print(f"loaded in {time.process_time() - began:.2f} s\n")
    print(f"{'milliseconds a picture':26} {'one core':>9} {'clock':>9}")
    for batch in batches:
        jobs = [plan.job(index) for index in range(batch)]
        show(f"drawing, batch {batch}", least(lambda jobs=jobs: engine.pictures(jobs)), batch)
    codec, preset = engine.model.codec, plan.preset
    for batch in batches:
        size = preset.height // codec.factor, preset.width // codec.factor
        latents = torch.randn(batch, codec.channels, *size)
        with torch.inference_mode():
            found = least(lambda latents=latents: codec.decode(latents))
        show(f"of it decoding, batch {batch}", found, batch)
    picture = engine.pictures([plan.job(0)])[0]
    show("writing PNG", least(lambda: encode_png(picture, plan.job(0).record())))


def film(settings: list[str]) -> None:
    """Time the film of the README from nothing to its encoded file."""
    with tempfile.TemporaryDirectory() as folder:
        began, used = time.perf_counter(), time.process_time()
        made = render("four-seasons", Path(folder) / "film.mp4", settings=settings)
        clock, used = time.perf_counter() - began, time.process_time() - used
    print(f"\nfilm of {made.frames} frames: {clock:.1f} s on the clock, {used:.1f} s of processor")


if __name__ == "__main__":
    words = sys.argv[1:]
    asked = [word for word in words if "=" in word]
    pictures([int(word) for word in words if word.isdigit()] or [1, 4, 8], asked)
    if "film" in words:
        film(asked)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\npeak memory {peak:.0f} MB")
