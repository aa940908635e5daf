"""Measure two of the scorers: which features tell styles apart, and how well edges meet.

    OMP_NUM_THREADS=1 python bench/scorers.py styles [--each 20]
    OMP_NUM_THREADS=1 python bench/scorers.py seams

``styles`` takes pictures of every style of the data set `scenes` and asks how often the nearest
other picture, by the Gram matrices of some features, has the same style. ``seams`` draws three
prompts with the starter model and compares the step across each seam with those inside.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from artdiff import create_registry
from artdiff.api import image
from artdiff.train.autoencoder import load_codec
from artdiff.train.data import to_images
from artdiff_plugins.scenes.dataset import Scenes
from artdiff_plugins.scorers.style import gram, strokes

CODEC = "codec.safetensors"
PROMPTS = ("purple and gold tiles", "blue and orange abstract waves", "flower field at dawn")
SEAMS = {
    "without": [],
    "tiling": ["terms.tiling.weight=1"],
    "seamless, unfinished": ["terms.seamless.weight=1", "terms.seamless.mend=0"],
    "seamless": ["terms.seamless.weight=1"],
}
Grams = Callable[[Tensor], list[Tensor]]


def features() -> dict[str, Grams]:
    """Gram matrices of one image, (1, 3, H, W) in [-1, 1], by the name of the features."""
    codec = load_codec(Path(str(create_registry().get("models", "starter").folder)) / CODEC)

    def blocks(x: Tensor) -> list[Tensor]:
        found = []
        for module in codec.encoder:
            x = module(x)
            if type(module).__name__ == "ResidualBlock":
                found.append(gram(x)[0])
        return found

    return {
        "strokes": lambda x: [gram(part)[0] for part in strokes(x)],
        "latents": lambda x: [gram(codec.encode(x))[0]],
        "all blocks of the encoder": blocks,
        "mean colour": lambda x: [x.mean((2, 3))[0]],
    }


@torch.inference_mode()
def styles(each: int) -> None:
    """Print how often the nearest other picture has the same style."""
    data, chosen = Scenes(Scenes.Options()), dict[str, list[int]]()
    for index in range(each * 125):
        record = data.attributes(index)
        if record["kind"] != "pattern" and len(chosen.setdefault(record["style"], [])) < each:
            chosen[record["style"]].append(index)
    labels = np.array([style for style, indices in chosen.items() for _ in indices])
    images = [to_images(data.picture(i)[None]) for indices in chosen.values() for i in indices]
    print(f"{len(labels)} pictures, {len(chosen)} styles, chance {each / len(labels):.3f}")
    for name, grams in features().items():
        found = [grams(x) for x in images]
        apart = torch.zeros(len(images), len(images))
        for level in zip(*found, strict=True):
            rows = torch.stack([matrix.flatten() for matrix in level])
            apart += torch.cdist(rows, rows).square() / (rows.square().sum(1) + 1e-6)
        nearest = apart.fill_diagonal_(torch.inf).argmin(1).numpy()
        print(f"{name:26} {(labels[nearest] == labels).mean():.2f}")


def seams() -> None:
    """Print the step across the seam, in mean steps between neighbours inside."""
    for name, settings in SEAMS.items():
        ratios = []
        for seed, prompt in enumerate(PROMPTS):
            wanted = [f"seed={seed}", "sampler.steps=8", *settings]
            ((_, picture),) = image(prompt, settings=wanted)
            for axis in (0, 1):
                lines = np.moveaxis(picture.astype(float), axis, 0)
                inside = np.abs(np.diff(lines, axis=0)).mean()
                ratios.append(np.abs(lines[0] - lines[-1]).mean() / inside)
        print(f"{name:22} {np.mean(ratios):.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=["styles", "seams"])
    parser.add_argument("--each", type=int, default=20, help="pictures of each style")
    options = parser.parse_args()
    styles(options.each) if options.what == "styles" else seams()


if __name__ == "__main__":
    main()
