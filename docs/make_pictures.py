"""Makes the pictures in docs/pictures again, but for the loss curve that training draws.

    python docs/make_pictures.py            # all
    python docs/make_pictures.py fox lake   # only those whose name contains a word

Nothing is selected: grids show the seeds 0 to 8, strips the preset as it
ships, only the frames that the strip shows.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

import artdiff
from artdiff.api import prepare
from artdiff.frames import save_picture

HERE = Path(__file__).parent / "pictures"

GRIDS = {
    "grid-fox": "a red fox in the snow, watercolor",
    "grid-lake": "mountain lake at sunset, oil painting",
    "grid-city": "city skyline at night, neon lights",
    "grid-sailboat": "a sailboat on the sea at dawn, flat design",
    "grid-strawberry": "a strawberry on a turquoise background, pop art",
    "grid-village": "a village in winter, snowing, pixel art",
}
FILMS = (
    "four-seasons dawn-to-night style-morph dream-loop animal-parade abstract-loop "
    "storm-and-rainbow space-trip drift inpaint-night-passes"
).split()
STILLS = ("postcards", "portrait", "panorama", "inpaint-sky")
FORTY = Path(__file__).parent / "forty.txt"
LIMITS = Path(__file__).parent / "starter-limits.toml"


def grid(name: str, prompt: str) -> None:
    """Nine pictures of a prompt, seeds 0 to 8."""
    images = [image for _, image in artdiff.image(prompt, 9)]
    save_picture(HERE / f"{name}.png", artdiff.contact_sheet(images, 3, cell=144, gap=4))


def stills(name: str, folder: Path) -> None:
    """All pictures of a batch of stills."""
    paths = artdiff.FrameStore.existing(artdiff.render(name, folder / name).folder).paths()
    columns = 6 if len(paths) == 12 else 3
    save_picture(HERE / f"{name}.png", artdiff.contact_sheet(paths, columns, cell=144, gap=4))


def strip(name: str, folder: Path) -> None:
    """Eight evenly spaced frames of a shipped film."""
    every = prepare(name, artdiff.create_registry()).plan.count // 8
    done = artdiff.render(name, folder / name, frames=f"::{every}")
    store = artdiff.FrameStore.existing(done.folder)
    save_picture(HERE / f"{name}.png", artdiff.film_strip(store, 8, max_width=1280))


def forty() -> None:
    """Forty prompts of everyday kinds, the seeds 0 to 3 of each."""
    prompts = FORTY.read_text("utf-8").splitlines()
    rows = [
        np.asarray(artdiff.contact_sheet([p for _, p in artdiff.image(prompt, 4)], 4, gap=2))
        for prompt in prompts
    ]
    save_picture(HERE / "forty.png", artdiff.contact_sheet(rows, 4, prompts, (488, 124), gap=6))


def limits(folder: Path) -> None:
    """What the starter model cannot draw, with its prompts."""
    done = artdiff.render(str(LIMITS), folder / "limits")
    store = artdiff.FrameStore.existing(done.folder)
    labels = [store.settings(index)["prompts"][0][0] for index in store.present()]
    sheet = artdiff.contact_sheet(store.paths(), 4, labels, cell=144, gap=4)
    save_picture(HERE / "starter-limits.png", sheet)


def grids() -> None:
    """Where ten steps of every grid lie, on the levels of Stable Diffusion and on a flow.

    The flow begins at an infinite ratio, drawn at 100.
    """
    import torch
    from matplotlib.figure import Figure

    from artdiff.grid import GRIDS, levels
    from artdiff.noise import DiscreteTable, Flow

    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    schedules = {
        "a trained table (Stable Diffusion)": DiscreteTable.from_betas(betas.tolist()),
        "flow": Flow(),
    }
    figure = Figure(figsize=(10, 3.6), dpi=110, layout="constrained")
    for axes, (title, schedule) in zip(figure.subplots(1, 2), schedules.items(), strict=True):
        for row, cls in enumerate(GRIDS.values()):
            noisy = levels(schedule, 10, grid=cls())[:-1]
            ratios = [min(float(at.sigma / at.alpha), 100.0) for at in noisy]
            axes.plot(
                ratios, [row] * len(ratios), "|-", color="tab:blue", linewidth=0.5, markersize=11
            )
        axes.set_xscale("log")
        axes.invert_xaxis()
        axes.invert_yaxis()
        axes.set_yticks(range(len(GRIDS)), list(GRIDS))
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("sigma / alpha")
    figure.savefig(HERE / "sampler-grids.png")


def pace() -> None:
    """What `artdiff pace dawn-to-night` measures."""
    from artdiff.film.pace import measure_pace
    from artdiff.film.pace_chart import chart

    registry = artdiff.create_registry()
    plan = prepare("dawn-to-night", registry).plan
    chart(measure_pace(plan, registry), plan.count, HERE / "pace.png")


def main(words: list[str]) -> None:
    def wanted(name: str) -> bool:
        return not words or any(word in name for word in words)

    if wanted("sampler-grids"):
        grids()
    if wanted("pace"):
        pace()
    with tempfile.TemporaryDirectory() as temporary:
        for name, prompt in GRIDS.items():
            if wanted(name):
                grid(name, prompt)
        for name in FILMS:
            if wanted(name):
                strip(name, Path(temporary))
        for name in STILLS:
            if wanted(name):
                stills(name, Path(temporary))
        if wanted("forty"):
            forty()
        if wanted("starter-limits"):
            limits(Path(temporary))


if __name__ == "__main__":
    main(sys.argv[1:])
