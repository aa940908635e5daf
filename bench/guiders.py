"""Measure what guiders do to pictures of the starter model, and what they cost.

    python bench/guiders.py [--pictures 16] [--markdown]

The same prompts, seeds and sampler for every row. Contrast is the standard deviation of a
picture's values, burnt the share of values that are 0 or 255, colour the mean distance of a pixel
from its own grey; all on the scale 0 to 255. Rows is how many rows a step sends through the
network for each picture. No number here says whether a picture is good; the sheets show that.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

import numpy as np

from artdiff import Engine, Model, Registry, create_registry
from artdiff.api import prepare
from artdiff.preset.draft import Draft
from artdiff.renderer import load_model

PROMPTS = (
    "mountains at sunset", "a lake in autumn, watercolor", "a city at night, neon",
    "a spiral of blue and gold", "a forest in winter", "the sea in a storm, oil",
    "a desert at day, low poly", "a village in spring, flat",
)  # fmt: skip
SETTINGS = {
    "scale 1": ["guidance.scale=1"],
    "cfg 4": ["guidance.scale=4"],
    "cfg 10": ["guidance.scale=10"],
    "cfg 10, rescale 0.7": ["guidance.scale=10", "guidance.rescale=0.7"],
    "cfg 10, percentile 0.995": ["guidance.scale=10", "guidance.percentile=0.995"],
    "cfg 10, from 40% on": ["guidance.scale=10", 'guidance.course={"39%"=0, "40%"=1}'],
    "apg 10": ["guidance.scale=10", "guidance.name=apg"],
    "apg 10, threshold 0": [
        "guidance.scale=10", "guidance.name=apg", "guidance.threshold=0",
    ],
    "cfg_zero_star 10": ["guidance.scale=10", "guidance.name=cfg_zero_star"],
    "tangential 10": ["guidance.scale=10", "guidance.name=tangential"],
    "pag, scale 1": ["guidance.scale=1", "guidance.name=pag"],
    "skip_layer, scale 1": ["guidance.scale=1", "guidance.name=skip_layer"],
    "pag, scale 4": ["guidance.scale=4", "guidance.name=pag"],
}  # fmt: skip


class Rows:
    """Counts the rows that go through a network."""

    def __init__(self, network: object) -> None:
        self.network, self.count = network, 0

    def __call__(self, x, time, cond):  # noqa: ANN001, ANN204
        self.count += len(x)
        return self.network(x, time, cond)  # type: ignore[operator]

    def __getattr__(self, name: str) -> object:
        return getattr(self.network, name)


def draw(
    registry: Registry, model: Model, settings: Sequence[str], count: int
) -> tuple[np.ndarray, float]:
    """Pictures (N, H, W, 3), and the rows of the network for each step of each picture."""
    found, rows, steps = [], model.denoiser.network, 1  # type: ignore[attr-defined]
    rows.count = 0
    for number, prompt in enumerate(PROMPTS):
        seeds = count // len(PROMPTS)
        draft = Draft("bench", {"prompt": prompt, "seed": number * seeds}, {})
        common = ["guidance.rescale=0", "guidance.stop=0", f"frames.count={seeds}"]
        plan = prepare(draft, registry, [*common, "frames.source=still", *settings]).plan
        found += Engine(model, plan).pictures([plan.job(i) for i in range(seeds)])
        steps = plan.preset.sampler.steps
    return np.stack(found), rows.count / (steps * len(found))


def measure(pictures: np.ndarray) -> dict[str, float]:
    values = pictures.astype(np.float64)
    grey = values.mean(-1, keepdims=True)
    return {
        "contrast": float(values.std((1, 2, 3)).mean()),
        "colour": float(np.sqrt(((values - grey) ** 2).mean(-1)).mean()),
        "burnt": float(((pictures == 0) | (pictures == 255)).mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=16)
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    registry = create_registry()
    model = load_model(registry.get("models", "starter"), registry)
    rows = Rows(model.denoiser.network)  # type: ignore[attr-defined]
    object.__setattr__(model.denoiser, "network", rows)
    if options.markdown:
        print("| guidance | rows | contrast | colour | burnt |\n|---|---|---|---|---|", flush=True)
    for name, settings in SETTINGS.items():
        pictures, rows = draw(registry, model, settings, options.pictures)
        found = measure(pictures)
        if options.markdown:
            line = f"{found['contrast']:.1f} | {found['colour']:.1f} | {found['burnt']:.1%}"
            print(f"| {name} | {rows:.2f} | {line} |", flush=True)
        else:
            print(json.dumps({"guidance": name, "rows": rows, **found}), flush=True)


if __name__ == "__main__":
    main()
