"""Pictures to evaluate."""

import numpy as np
from PIL import Image


def save_pictures(folder, count, size=32, seed=0):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for index in range(count):
        colours = rng.integers(0, 256, (4, 4, 3), np.uint8)
        picture = Image.fromarray(colours).resize((size, size), Image.Resampling.BICUBIC)
        picture.save(folder / f"{index:03d}.png")
    return folder
