"""What CLIP guidance does: 64 pictures without it and with it, judged by another encoder.

    python bench/clip_effect.py unconditional --model scenes-unconditional \\
        --judge local-dir:runs/judge-clip --weights 0 50 150 500
    python bench/clip_effect.py starter --judge local-dir:runs/judge-clip --prompted

Every prompt is drawn with the same seeds at every weight; weight 0 is no guidance. Numbers and
intervals (95%, bootstrap over pictures) go to docs/clip-effect-NAME.json and, as a table, to the
screen and between the marks of that name in docs/clip-guidance.md; the first pictures, unselected,
to docs/pictures/clip-effect-NAME.png. "score" is 100 times the cosine of picture and prompt,
"right" the share of pictures whose own prompt is the nearest of all prompts, both by the judge;
"guide" is the score by the encoder that guided. With --prompted the model is told the prompt as
well (classifier-free guidance by its own defaults).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from artdiff import (
    Registry,
    Selection,
    TextImageEncoder,
    contact_sheet,
    create_registry,
    load_encoder,
)
from artdiff.api import prepare
from artdiff.evaluation.bootstrap import counts, interval
from artdiff.preset.draft import Draft
from artdiff.renderer import load_engine

DOCS = Path(__file__).parent.parent / "docs"
PROMPTS = (
    "mountains in winter at night",
    "a village at sunset",
    "in the jungle",
    "in the deep sea",
    "a city at night, neon",
    "a red apple on a white background",
    "blue and white waves, watercolor",
    "a canyon, low poly",
)
ROUNDS = 2000


def draw(options: argparse.Namespace, registry: Registry, weight: float, seeds: int) -> Tensor:
    """Pictures of all prompts in turn, seeds inside: (n, 3, H, W) in [-1, 1]."""
    drawn = []
    for prompt in options.prompts:
        values: dict[str, Any] = {
            "model": options.model,
            "prompt": prompt if options.prompted else "",
            "frames": {"source": "still", "count": seeds},
            "sampler": {"steps": options.steps},
            "batch": options.batch,
        }
        if weight:
            term = {"model": options.guide, "prompts": [{"text": prompt}], "weight": weight}
            if options.begin:
                begin = 100 * options.begin
                term["course"] = {"0%": 0, f"{begin:g}%": 0, f"{begin + 1:g}%": 1}
            values["terms"] = {"clip": term}
        plan = prepare(Draft("effect", values, {}), registry, options.set).plan
        engine = load_engine(plan, registry)
        jobs = [plan.job(index) for index in range(seeds)]
        for at in range(0, seeds, options.batch):
            drawn += engine.images(jobs[at : at + options.batch])
    return torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2).float() / 127.5 - 1


@torch.no_grad()
def likeness(encoder: TextImageEncoder, images: Tensor, prompts: list[str]) -> Tensor:
    """100 times the cosines of pictures (n) with all prompts (p): (n, p)."""
    texts = torch.stack([encoder.reading(prompt) for prompt in prompts])
    seen = torch.cat([F.normalize(encoder.see(some), dim=1) for some in images.split(32)])
    return 100 * seen @ texts.mT


def mean(values: Tensor, name: str) -> dict[str, Any]:
    """The mean of one number a picture, and its interval."""
    value = float(values.mean())

    def resampled(step: int) -> float:
        drawn = counts(0, name, step, len(values))
        return float((drawn @ values.double()) / len(values))

    return {"value": value, "interval": list(interval(value, resampled, ROUNDS))}


def judge(options: argparse.Namespace, images: Tensor, seeds: int) -> dict[str, Tensor]:
    """One number for each picture, by name."""
    own = torch.arange(len(options.prompts)).repeat_interleave(seeds)
    rows = torch.arange(len(images))
    found = likeness(load_encoder(options.judge), images, options.prompts)
    guide = likeness(load_encoder(options.guide), images, options.prompts)
    return {
        "score": found[rows, own],
        "right": (found.argmax(1) == own).float(),
        "guide": guide[rows, own],
    }


def shown(number: dict[str, Any]) -> str:
    low, high = number["interval"]
    return f"{number['value']:.2f} ({low:.2f} to {high:.2f})"


def write_table(page: Path, name: str, table: list[str]) -> None:
    """Put a table between the marks of its name in a page that has them."""
    mark, end = f"<!-- clip-effect {name} -->\n", "<!-- end -->"
    text = page.read_text("utf-8") if page.is_file() else ""
    if mark in text:
        before, _, rest = text.partition(mark)
        after = rest[rest.index(end) :]
        page.write_text(before + mark + "\n" + "\n".join(table) + "\n\n" + after, "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("name", help="of the results")
    parser.add_argument("--model", default="starter")
    parser.add_argument("--guide", default="starter", help="encoder, as in the term clip")
    parser.add_argument("--judge", required=True, help="another encoder")
    parser.add_argument("--weights", type=float, nargs="+", default=[0, 50, 150, 500])
    parser.add_argument("--prompts", nargs="+", default=list(PROMPTS))
    parser.add_argument("--count", type=int, default=64, help="pictures of each weight")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--begin", type=float, default=0.0, help="share of the way unguided first")
    parser.add_argument("--prompted", action="store_true", help="the model reads the prompt too")
    parser.add_argument("-s", "--set", action="append", default=[], help="further settings")
    parser.add_argument("--plugin", action="append", default=[])
    parser.add_argument("-o", "--output", type=Path, default=DOCS)
    options = parser.parse_args()
    if options.guide == options.judge:
        parser.error("the judge is another encoder than the guide")
    registry = create_registry(Selection.from_environment(options.plugin))
    seeds = max(1, options.count // len(options.prompts))
    rows, cells, labels, plain = [], [], [], {}
    right = f"right of {len(options.prompts)}"
    head = ["weight", "score by the judge", "more than without", right, "score by the guide"]
    table = [f"| {' | '.join(head)} | seconds a picture |", "|---|---|---|---|---|---|"]
    print(*table, sep="\n")
    for weight in options.weights:
        began = time.perf_counter()
        images = draw(options, registry, weight, seeds)
        seconds = (time.perf_counter() - began) / len(images)
        numbers = judge(options, images, seeds)
        plain = plain or numbers
        row = {name: mean(values, name) for name, values in numbers.items()}
        row["more"] = mean(numbers["score"] - plain["score"], "more")
        rows.append({"weight": weight, "seconds": seconds, **row})
        columns = [f"{weight:g}", *(shown(row[k]) for k in ("score", "more", "right", "guide"))]
        table.append(f"| {' | '.join(columns)} | {seconds:.1f} |")
        print(table[-1], flush=True)
        pictures = (images + 1).mul(127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        for place, prompt in enumerate(options.prompts):
            cells += list(pictures[place * seeds : place * seeds + 1])
            labels.append(f"weight {weight:g}\n{prompt}" if place == 0 else prompt)
    args = {k: v for k, v in vars(options).items() if k not in ("output", "plugin")}
    args |= {k: Path(args[k]).name for k in ("guide", "judge")}
    result = {"options": args, "pictures": seeds * len(options.prompts), "rows": rows}
    (options.output / f"clip-effect-{options.name}.json").write_text(json.dumps(result) + "\n")
    write_table(options.output / "clip-guidance.md", options.name, table)
    sheet = contact_sheet(cells, len(options.prompts), labels, cell=112)
    target = options.output / "pictures" / f"clip-effect-{options.name}.png"
    target.parent.mkdir(exist_ok=True)
    sheet.quantize(256).save(target, optimize=True)


if __name__ == "__main__":
    main()
