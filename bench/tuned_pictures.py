"""Draw what tuned steps change: the same prompts and seeds, tuned, untuned and with 100 steps.

    python bench/tuned_pictures.py docs/pictures/tuned-steps.png

A row for each prompt; for each number of steps the tuned picture stands below the untuned one.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from artdiff import create_registry
from artdiff.api import prepare
from artdiff.renderer import load_engine

PROMPTS = [
    "mountain lake at sunset, oil painting",
    "a red fox, flat illustration",
    "village in winter at night, snowfall",
    "orange mandala",
]
STEPS = [4, 6, 8, 12]
SIDE = 128


def pictures(settings: dict[str, object]) -> list[np.ndarray]:
    """One picture for each prompt, of seeds that nothing was tuned on."""
    registry = create_registry()
    drawn = []
    for index, prompt in enumerate(PROMPTS):
        said = {"prompt": prompt, "seed": 5_000_000 + index, "frames.count": 1, **settings}
        plan = prepare("portrait", registry, said).plan
        drawn += load_engine(plan, registry).pictures([plan.job(0)])
    return drawn


def main(target: Path) -> None:
    columns = [("100 steps", pictures({"sampler.name": "dpmpp_2m", "sampler.steps": 100}), None)]
    for steps in STEPS:
        before = pictures({"sampler.name": "dpmpp_2m", "sampler.steps": steps})
        after = pictures({"sampler.name": "tuned", "sampler.steps": steps})
        columns.append((f"{steps} steps", before, after))
    sheet = Image.new("RGB", (len(columns) * SIDE, 20 + len(PROMPTS) * 2 * SIDE), "white")
    pen = ImageDraw.Draw(sheet)
    for column, (label, above, below) in enumerate(columns):
        pen.text((column * SIDE + 4, 4), label, fill="black")
        for row in range(len(PROMPTS)):
            for part, each in enumerate((above, below)):
                if each is not None:
                    small = Image.fromarray(each[row]).resize((SIDE, SIDE), Image.Resampling.BOX)
                    sheet.paste(small, (column * SIDE, 20 + (2 * row + part) * SIDE))
                    word = "tuned" if part else ("dpmpp_2m" if below is not None else "")
                    where = (column * SIDE + 4, 22 + (2 * row + part) * SIDE)
                    pen.text(where, word, fill="white", stroke_width=1, stroke_fill="black")
    sheet.quantize(256).save(target, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
