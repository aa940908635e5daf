"""The Python API: pictures as arrays, a film from a preset, and the settings of a frame.

python examples/render_in_python.py
"""

from pathlib import Path

import artdiff


def main(folder="renders/python", **common):
    """Make two pictures and a short film in a folder; `common` goes to artdiff (plugins, ...)."""
    folder = Path(folder)
    settings = {"sampler.steps": 8, **common.pop("settings", {})}

    # Pictures arrive one by one, as a job (how it was made) and an array, uint8 (H, W, 3).
    pictures = []
    for job, picture in artdiff.image("a red fox in the snow", 2, settings=settings, **common):
        print(f"seed {job.seed}: {picture.shape}, mean brightness {picture.mean():.0f}")
        pictures.append(picture)
    artdiff.contact_sheet(pictures, labels=["seed 0", "seed 1"]).save(_in(folder, "foxes.png"))

    # A preset with other settings; calling this again makes only what is missing.
    film = artdiff.render(
        "four-seasons",
        folder / "seasons.mp4",
        settings={**settings, "frames.count": 8, "frames.fps": 4},
        on_progress=lambda stage, done, total: print(f"{stage} {done}/{total}"),
        **common,
    )
    print(f"{film.output}: {artdiff.probe(film.output).duration:g} s")

    # Every frame carries what it was made from.
    store = artdiff.FrameStore.existing(film.folder)
    print(store.settings(4)["prompts"])
    return film


def _in(folder, name):
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name


if __name__ == "__main__":
    main()
