"""Measure inpainting: kept pixels, seams, and RePaint beside the latent blend.

    python bench/inpainting.py [--scenes 64] [--methods blend,ancestral,repaint] [-o FILE]

Draws into rendered scenes that no training saw, under four kinds of masks in turn, each with the
scene's own caption, and writes bench/inpainting.json. `seam` is the mean step of brightness across
the mask's edge over that of the untouched scene at the same place, one grey level added to both
(some scenes are flat there); `bend` is the same of the second difference, which a seam that was
only smeared fails; `away` is how far what was drawn lies from what was hidden, RMS in grey levels.
A Gaussian with a known answer comes first.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from artdiff import SAMPLERS, Flow, Noise, create_registry, levels
from artdiff.api import prepare
from artdiff.preset.draft import Draft, overlay
from artdiff.renderer import load_engine
from artdiff.sample import sample
from artdiff.testing import Posterior
from artdiff_plugins.inpainting.repaint import RePaint
from artdiff_plugins.inpainting.seam import joined

HERE = Path(__file__).parent
MASKS = {
    "circle": "circle(0.5, 0.55, 0.24)",
    "left": "rectangle(0, 0, 0.39, 1)",
    "sky": "rectangle(0, 0, 1, 0.43)",
    "ring": "border(0.15) | rectangle(0.4, 0.3, 0.55, 0.5)",
}
METHODS: dict[str, dict[str, Any]] = {
    "blend": {"name": "dpmpp_2m"},
    "ancestral": {"name": "euler_ancestral"},
    "repaint": {"name": "repaint"},
}
SEED = 7


def scenes(count: int, registry: Any) -> Iterator[tuple[np.ndarray, str]]:
    """Scenes and captions of another seed than those of any training."""
    kind = registry.get("datasets", "scenes")
    dataset = kind(kind.Options(seed=SEED))
    for index in range(count):
        yield dataset.picture(index), dataset.caption(index, 0)


def steps(picture: np.ndarray, hole: np.ndarray) -> tuple[float, float]:
    """Mean first and second difference of brightness across the edge of a mask."""
    grey = picture.astype(np.float64).mean(2)
    first, second = [], []
    for values, inside in ((grey, hole), (grey.T, hole.T)):
        rise, edge = np.diff(values, axis=0), inside[1:] != inside[:-1]
        first.append(np.abs(rise)[edge])
        bend = np.abs(rise[1:-1] - (rise[:-2] + rise[2:]) / 2)
        second.append(bend[edge[1:-1]])
    return float(np.concatenate(first).mean()), float(np.concatenate(second).mean())


def measure(method: str, count: int, folder: Path, registry: Any) -> dict[str, Any]:
    """Draw into all scenes by one method; numbers of each scene."""
    drawn = list(scenes(count, registry))
    for index, (picture, _) in enumerate(drawn):
        Image.fromarray(picture).save(folder / f"scene-{index:04d}.png")
    kinds, rows, seconds = list(MASKS), [], 0.0
    for place, kind in enumerate(kinds):
        own = range(place, count, len(kinds))
        values = {
            "seed": 1,
            "batch": 4,
            "easing": "hold",
            "prompts": {str(i): drawn[i][1] for i in range(count)},
            "frames": {"source": "prompt_animation", "count": count},
            "sampler": METHODS[method],
            "terms": {
                "inpainting": {
                    "image": str(folder / "scene-%04d.png"), "mask": MASKS[kind]
                }
            },
        }  # fmt: skip
        plan = prepare(overlay(Draft("bench", {}, {}), values, "bench"), registry).plan
        engine = load_engine(plan, registry)
        jobs = [plan.job(index) for index in own]
        for first in tqdm(range(0, len(jobs), 4), desc=f"{method} {kind}"):
            some = jobs[first : first + 4]
            began = time.monotonic()
            raw = engine.pictures(some)
            seconds += time.monotonic() - began
            for job, before in zip(some, raw, strict=True):
                term: Any = engine.terms.instance(0, job)
                rows.append(judge(kind, before, engine.finish(before, job), drawn, job, term.mask))
    return {"seconds": seconds / count, "rows": rows}


def judge(
    kind: str, raw: np.ndarray, done: np.ndarray, drawn: list, job: Any, mask: np.ndarray
) -> dict[str, Any]:
    """The numbers of one scene."""
    picture, hole = drawn[job.index][0], mask > 0
    there = steps(picture, hole)
    row: dict[str, Any] = {
        "scene": job.index,
        "mask": kind,
        "kept": bool((done[~hole] == picture[~hole]).all()),
        "away": float(np.sqrt(np.square(done[hole] - picture[hole].astype(float)).mean())),
    }
    others = {
        "": done, "hard ": joined(raw, picture, mask, 0),
        "unmatched ": joined(raw, picture, mask, 12, match=False),
    }  # fmt: skip
    for name, result in others.items():
        here = steps(result, hole)
        row[f"{name}seam"], row[f"{name}bend"] = (
            (a + 1) / (b + 1) for a, b in zip(here, there, strict=True)
        )
        row[f"{name}steps"] = [here[0], there[0]]
    return row


def gaussian() -> dict[str, list[float]]:
    """Mean and variance of one of two pixels (correlation 0.9) where the other is 1.5."""
    half = math.sqrt(0.5)
    turn = torch.tensor([[half, half], [half, -half]], dtype=torch.double)
    spread = torch.tensor([[1.9, 0.1]], dtype=torch.double)
    one = torch.ones(1, dtype=torch.double)
    prior = Posterior((1, 1, 2), torch.zeros(1, 2, dtype=torch.double), spread, one, turn)

    def denoise(x: torch.Tensor, at: Any) -> torch.Tensor:
        x0 = prior(x, at)
        return torch.cat([torch.full_like(x0[..., :1], 1.5), x0[..., 1:]], -1)

    grid, noise, found = levels(Flow(), 50), Noise(range(1000)), {"exact": [1.35, 0.19, 0]}
    walkers: dict[str, Any] = {
        "ddim": SAMPLERS["ddim"](),
        "dpmpp_2m": SAMPLERS["dpmpp_2m"](),
        "euler_ancestral": SAMPLERS["euler_ancestral"](),
        "repaint": RePaint(),
        "repaint, 10 and 10": RePaint(jump_length=10, jump_n_sample=10),
    }
    for name, sampler in walkers.items():
        calls = [0]

        def counted(x: torch.Tensor, at: Any, calls: list[int] = calls) -> torch.Tensor:
            calls[0] += 1
            return denoise(x, at)

        x = noise.normal(torch.empty(1000, 1, 1, 2, dtype=torch.double), "start")
        for step in sample(sampler, counted, x * grid[0].sigma, grid, noise):
            x = step.x
        free = x[..., 1]
        found[name] = [float(free.mean()), float(free.var()), calls[0]]
    return found


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over scenes with half-widths of 95% intervals."""
    told: dict[str, Any] = {"scenes": len(rows), "kept identical": sum(r["kept"] for r in rows)}
    for key in ("seam", "bend", "hard seam", "hard bend", "unmatched seam", "away"):
        values = np.array([r[key] for r in rows])
        told[key] = [float(values.mean()), float(1.96 * values.std() / math.sqrt(len(values)))]
    pooled = np.array([r["steps"] for r in rows]).sum(0)
    told["seam, pooled"] = float(pooled[0] / pooled[1])
    return told


def beside(rows: list[dict[str, Any]], first: list[dict[str, Any]]) -> dict[str, list[float]]:
    """How much less than by the first method, scene by scene: mean and half a 95% interval."""
    told = {}
    for key in ("hard seam", "away"):
        less = np.array([b[key] - a[key] for a, b in zip(rows, first, strict=True)])
        told[key] = [float(less.mean()), float(1.96 * less.std() / math.sqrt(len(less)))]
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=64)
    parser.add_argument("--methods", default="blend,ancestral,repaint")
    parser.add_argument("-o", "--output", type=Path, default=HERE / "inpainting.json")
    told = parser.parse_args()
    known = json.loads(told.output.read_text("utf-8")) if told.output.is_file() else {}
    registry = create_registry()
    with torch.inference_mode():
        known["gaussian"] = gaussian()
    print(json.dumps(known["gaussian"], indent=1))
    first: list[dict[str, Any]] = []
    for method in told.methods.split(","):
        with TemporaryDirectory() as folder:
            found = measure(method, told.scenes, Path(folder), registry)
        known[method] = {"seconds": round(found["seconds"], 2), **summary(found["rows"])}
        known[method]["by mask"] = {
            kind: summary([r for r in found["rows"] if r["mask"] == kind]) for kind in MASKS
        }
        first = first or found["rows"]
        known[method]["less than the first"] = beside(found["rows"], first)
        plain = {k: v for k, v in known[method].items() if k != "by mask"}
        print(method, json.dumps(plain, indent=1))
        told.output.write_text(json.dumps(known, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
