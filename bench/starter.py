"""How fast the starter model draws here: seconds and model calls a picture, and peak memory.

    python bench/starter.py            # batches of 1, 4, 8
    python bench/starter.py 1 16       # others

Run it on a quiet machine. Each batch is drawn three times after a warm-up; the median counts.
Ratios to batch 1 hold better from machine to machine than seconds do.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time

from artdiff import create_registry
from artdiff.api import prepare
from artdiff.renderer import load_engine

PROMPT = "mountain lake at sunset, oil painting"


def main(batches: list[int]) -> None:
    registry = create_registry()
    settings = {"prompt": PROMPT, "frames.count": max(batches)}
    plan = prepare("portrait", registry, settings).plan
    began = time.perf_counter()
    engine = load_engine(plan, registry)
    print(f"load       {time.perf_counter() - began:6.2f} s")
    first = None
    for batch in batches:
        jobs = [plan.job(index) for index in range(batch)]
        engine.pictures(jobs, steps=2)
        seconds = []
        for _ in range(3):
            began = time.perf_counter()
            engine.images(jobs)
            seconds.append((time.perf_counter() - began) / batch)
        median = statistics.median(seconds)
        first = first or median
        ratio = median / first
        print(f"batch {batch:4} {median:6.3f} s a picture, {ratio:5.2f} of the first batch")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak       {peak:6.0f} MB")


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or [1, 4, 8])
