"""How well an encoder's relevance map finds what a text says: pictures made of two halves.

    python bench/clip_relevance.py                                # the starter's encoder
    python bench/clip_relevance.py --model local-dir:runs/my-clip --count 64

Each picture is the middle of one held-out picture of the dataset beside that of another; the
caption of each should light up its own half. "half" is the share of maps with the higher mean on
the right half (chance 0.5), "area" the mean area under the ROC curve of the pixels (chance 0.5),
with 95% bootstrap intervals over maps. Some maps, unselected, go to docs/pictures.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from artdiff import contact_sheet, create_registry, load_encoder
from artdiff.evaluation.bootstrap import counts, interval

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"
SIZE = 256


def halves(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The middles of two pictures, side by side."""
    quarter = first.shape[1] // 4
    return np.concatenate([first[:, quarter:-quarter], second[:, quarter:-quarter]], 1)


def area(values: Tensor, inside: Tensor) -> float:
    """The area under the ROC curve: how often a pixel inside lies above one outside."""
    ranks = values.flatten().argsort().argsort().double()
    chosen = inside.flatten()
    inner, outer = int(chosen.sum()), int((~chosen).sum())
    return float((ranks[chosen].sum() - inner * (inner - 1) / 2) / (inner * outer))


def shown(values: list[float]) -> str:
    found = torch.tensor(values, dtype=torch.float64)

    def resampled(step: int) -> float:
        return float(counts(0, "relevance", step, len(found)) @ found / len(found))

    low, high = interval(float(found.mean()), resampled, 2000)
    return f"{found.mean():.3f} ({low:.3f} to {high:.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="starter")
    parser.add_argument("--dataset", default="scenes")
    parser.add_argument("--count", type=int, default=32, help="pictures of two halves")
    parser.add_argument("-o", "--output", type=Path, default=PICTURES)
    options = parser.parse_args()
    encoder = load_encoder(options.model)
    kind = create_registry().get("datasets", options.dataset)
    data = kind(kind.Options(size=SIZE))
    sides, areas, cells, labels = [], [], [], []
    for row in range(options.count):
        picture = halves(data.picture(2 * row), data.picture(2 * row + 1))
        image = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 127.5 - 1
        cells.append(picture)
        labels.append("")
        for side in (0, 1):
            text = data.caption(2 * row + side, 0)
            found = encoder.relevance(image, text)[0, 0]
            inside = torch.zeros_like(found, dtype=torch.bool)
            inside[:, side * SIZE // 2 : (side + 1) * SIZE // 2] = True
            sides.append(float(found[inside].mean() > found[~inside].mean()))
            areas.append(area(found, inside))
            cells.append((found * 255).byte().numpy()[..., None].repeat(3, 2))
            labels.append(text)
    print(f"half {shown(sides)}, area {shown(areas)} of {len(sides)} maps")
    sheet = contact_sheet(cells[:18], 6, labels[:18], cell=128)
    sheet.quantize(256).save(options.output / "clip-relevance.png", optimize=True)


if __name__ == "__main__":
    main()
