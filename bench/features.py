"""What a feature extractor sees: distances from real pictures to spoilt ones.

python bench/features.py               # 128 pictures of 256 x 256
python bench/features.py --side 32     # shrunk, as small pixel models learn them
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

import artdiff
from artdiff.train.data import square

Pictures = np.ndarray


def blurred(radius: float) -> Callable[[Pictures], Pictures]:
    def spoil(pictures: Pictures) -> Pictures:
        soft = ImageFilter.GaussianBlur(radius)
        return np.stack([np.asarray(Image.fromarray(p).filter(soft)) for p in pictures])

    return spoil


def noisy(spread: float) -> Callable[[Pictures], Pictures]:
    def spoil(pictures: Pictures) -> Pictures:
        grain = np.random.default_rng(0).normal(0, spread, pictures.shape)
        return np.clip(pictures + grain, 0, 255).astype(np.uint8)

    return spoil


def shuffled(pictures: Pictures) -> Pictures:
    """Each picture's sixteen tiles in another order, the same for all."""
    side = pictures.shape[1] // 4
    order = np.random.default_rng(0).permutation(16)
    tiles = [
        pictures[:, r * side : (r + 1) * side, c * side : (c + 1) * side]
        for r, c in (divmod(int(i), 4) for i in order)
    ]
    rows = [np.concatenate(tiles[4 * r : 4 * r + 4], axis=2) for r in range(4)]
    return np.concatenate(rows, axis=1)


SPOILT: dict[str, Callable[[Pictures], Pictures]] = {
    "other real pictures": lambda p: p,
    "blurred by 1 pixel": blurred(1),
    "blurred by 3 pixels": blurred(3),
    "noise of 10 / 255": noisy(10),
    "noise of 30 / 255": noisy(30),
    "upside down": lambda p: p[:, ::-1],
    "tiles shuffled": shuffled,
    "grey": lambda p: np.repeat(p.mean(3, keepdims=True), 3, axis=3).astype(np.uint8),
    "an eighth of them, eight times": lambda p: np.concatenate([p[: len(p) // 8]] * 8),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("extractor", nargs="?", default="starter")
    parser.add_argument("-n", type=int, default=128)
    parser.add_argument("--side", type=int, default=256)
    arguments = parser.parse_args()

    registry = artdiff.create_registry()
    kind = registry.get("feature_extractors", arguments.extractor)
    extractor = kind(kind.Options())
    scenes = registry.get("datasets", "scenes")
    dataset = scenes(scenes.Options())
    side = arguments.side
    pictures = np.stack([square(dataset.picture(i), side) for i in range(2 * arguments.n)])
    base = artdiff.extract(extractor, list(pictures[: arguments.n]))
    names = ["fid", "sfid", "kid", "precision", "recall"]
    metrics = artdiff.choose_metrics(registry, names)
    print(f"| {arguments.n} pictures against {arguments.n} others | {' | '.join(names)} |")
    print("|---|" + "---:|" * len(names))
    for label, spoil in SPOILT.items():
        features = artdiff.extract(extractor, list(spoil(pictures[arguments.n :])))
        found = artdiff.measure(metrics, features, base, rounds=0)
        print(f"| {label} | {' | '.join(f'{m.value:.3g}' for m in found)} |", flush=True)


if __name__ == "__main__":
    main()
