"""Measure the upsampler: PSNR against bicubic and Lanczos, seconds, and memory by size.

    python bench/upscaling.py psnr [--count 32] [--model NAME]
    python bench/upscaling.py cost
    python bench/upscaling.py pictures

PSNR is of held-out scenes, drawn at 256x256, made smaller by the mean of 2x2 pixels and enlarged
again; `edges` is how much neighbouring pixels differ, over the same of the real picture. Cost is
that of one picture in a process of its own, of a step of the starter model and of upscaling:
seconds, and the peak of resident memory above that of the loaded model. The pictures go to
docs/pictures.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from artdiff import contact_sheet, create_registry, image
from artdiff.api import prepare
from artdiff.preset.draft import Draft
from artdiff.renderer import load_engine
from artdiff_plugins.scenes.dataset import Scenes
from artdiff_plugins.upscaling.enlarge import enlarge, opened
from artdiff_plugins.upscaling.options import STARTER, Enlarging
from artdiff_plugins.upscaling.redraw import redraw

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"


def decibels(made: np.ndarray, real: np.ndarray) -> float:
    error = np.square(made.astype(np.float64) - real).mean()
    return float(-10 * np.log10(max(error, 1e-6) / 255**2))


def smaller(picture: np.ndarray) -> np.ndarray:
    """The mean of 2x2 pixels."""
    height, width = (side // 2 for side in picture.shape[:2])
    return np.array(Image.fromarray(picture).resize((width, height), Image.Resampling.BOX))


def resized(low: np.ndarray, how: Image.Resampling) -> np.ndarray:
    return np.array(Image.fromarray(low).resize((low.shape[1] * 2, low.shape[0] * 2), how))


def sharpness(picture: np.ndarray) -> float:
    """Mean absolute difference of neighbouring pixels, both ways."""
    values = picture.astype(np.float64)
    return float(sum(np.abs(np.diff(values, axis=axis)).mean() for axis in (0, 1)))


def psnr(count: int, model: str) -> None:
    """Held-out scenes, 128x128 to 256x256, over Lanczos with intervals of 95 %."""
    scenes, found, edges = Scenes(Scenes.Options(size=256)), {}, {}
    for index in range(count):
        real = scenes.picture(index)
        low = smaller(real)
        made = {
            "bicubic": resized(low, Image.Resampling.BICUBIC),
            "lanczos": resized(low, Image.Resampling.LANCZOS),
            **{
                f"steps {steps}": enlarge(low, 0, Enlarging(model=model, steps=steps))
                for steps in (1, 2, 4, 8)
            },
        }
        edges.setdefault("real", []).append(sharpness(real))
        for name, picture in made.items():
            found.setdefault(name, []).append(decibels(picture, real))
            edges.setdefault(name, []).append(sharpness(picture))
    for name, values in found.items():
        gain = np.array(values) - np.array(found["lanczos"])
        row = {
            "by": name,
            "psnr": round(float(np.mean(values)), 2),
            "over lanczos": round(float(gain.mean()), 2),
            "+-": round(1.96 * float(gain.std(ddof=1)) / count**0.5, 2),
            "edges": round(float(np.mean(edges[name]) / np.mean(edges["real"])), 3),
            "n": count,
        }
        print(json.dumps(row))


def pictures(model: str) -> None:
    """Crops of the first held-out scenes, and of the starter's pictures, by every way."""
    lanczos = Image.Resampling.LANCZOS
    scenes, rows, names = Scenes(Scenes.Options(size=256)), [], []
    for index in range(4):
        real = scenes.picture(index)
        low = smaller(real)
        ways = {
            "128x128": resized(low, Image.Resampling.NEAREST),
            "Lanczos": resized(low, lanczos),
            "1 step": enlarge(low, 0, Enlarging(model=model, steps=1)),
            "4 steps": enlarge(low, 0, Enlarging(model=model, steps=4)),
            "256x256": real,
        }
        rows += [picture[64:192, 64:192] for picture in ways.values()]
        names += list(ways)
    sheet = contact_sheet(rows, columns=5, labels=names, cell=256)
    sheet.quantize(256).save(PICTURES / "upscale-scenes.png", optimize=True)
    rows, names = [], []
    for prompt in ("mountains at sunset", "a blue fish in the sea"):
        drawn = next(image(prompt))[1]
        plain = enlarge(drawn, 0, Enlarging(model=model, steps=1))
        ways = {
            "Lanczos": resized(drawn, lanczos),
            "1 step": plain,
            "4 steps": enlarge(drawn, 0, Enlarging(model=model, steps=4)),
            "4 steps, blur 1": enlarge(drawn, 0, Enlarging(model=model, steps=4, blur=1)),
            "redraw 0.4": redraw(plain, prompt, 0.4, 0, 256),
        }
        rows += [picture[128:384, 128:384] for picture in ways.values()]
        names += list(ways)
    sheet = contact_sheet(rows, columns=5, labels=names, cell=256)
    sheet.quantize(256).save(PICTURES / "upscale-starter.png", optimize=True)


def one(side: int, window: int, steps: int) -> None:
    """Enlarge a picture of side x side twice over, in this process."""
    opened(STARTER)
    low = np.zeros((side, side, 3), np.uint8)
    enlarge(low[:16, :16], 0, Enlarging(steps=1, window=window))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()
    enlarge(low, 0, Enlarging(steps=steps, window=window))
    seconds = time.monotonic() - began
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    row = {"to": side * 2, "window": window, "steps": steps, "seconds": round(seconds, 1)}
    print(json.dumps(row | {"MiB": round(peak), "threads": torch.get_num_threads()}))


def draw(side: int, tile: int) -> None:
    """One step and one decoding of a picture by the starter model, in windows or at once."""
    registry = create_registry()
    values = {"prompt": "mountains at sunset", "width": side, "height": side}
    values |= {"batch": 1, "tile": {"size": tile, "overlap": 128}} if tile else {"batch": 1}
    engine = load_engine(prepare(Draft("bench", values, {}), registry).plan, registry)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()
    engine.pictures([engine.plan.job(0)], steps=1)
    seconds = time.monotonic() - began
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    row = {"draws": side, "window": tile or side, "seconds": round(seconds, 1)}
    print(json.dumps(row | {"MiB": round(peak), "threads": torch.get_num_threads()}))


def cost() -> None:
    for side in (256, 512, 1024, 2048):
        for tile in (0, 256):
            command = [sys.executable, __file__, "draw", str(side), str(tile)]
            subprocess.run(command, check=True)
    for side, window, steps in (
        *((256, 512, steps) for steps in (1, 4, 8)),
        *((side, 256, 1) for side in (128, 256, 512, 1024)),
        *((side, 4096, 1) for side in (128, 256, 512, 1024)),
    ):
        command = [sys.executable, __file__, "one", str(side), str(window), str(steps)]
        subprocess.run(command, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=("psnr", "cost", "pictures", "one", "draw"))
    parser.add_argument("numbers", nargs="*", type=int)
    parser.add_argument("--count", type=int, default=32)
    parser.add_argument("--model", default=STARTER)
    options = parser.parse_args()
    if options.what == "psnr":
        psnr(options.count, options.model)
    elif options.what == "cost":
        cost()
    elif options.what == "pictures":
        pictures(options.model)
    elif options.what == "draw":
        draw(*options.numbers)
    else:
        one(*options.numbers)


if __name__ == "__main__":
    main()
