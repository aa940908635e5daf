"""The story of docs/story.md, from nothing: train, sample, bound, measure, draw, write.

    python bench/story.py all                    # about five hours on one core
    python bench/story.py sample bound           # some of it
    python bench/story.py all --quick --runs quick    # does it run? minutes, no meaning

Every phase leaves out what is there already, so it can be stopped at any time. Models, samples
and bounds lie in the folder --runs; numbers go to docs/story.json, pictures to docs/pictures and
tables to docs/story.md (with --quick into the folder --runs as well).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from story_numbers import phase_bound, phase_measure
from story_pictures import draw_all
from story_runs import HALVES, HELPERS, QUICK, ROOT, ROWS, Sizes, Story, dataset_of
from story_samples import draw, jobs, more_jobs
from story_tables import write_tables

from artdiff.train.loop import train


def phase_train(story: Story) -> None:
    """Train what is not trained."""
    for name in (*ROWS, *HALVES, *HELPERS):
        if not story.weights(name).exists():
            recipe = story.recipe(name)
            train(recipe, dataset_of(recipe), story.runs / f"story-{name}")


def phase_sample(story: Story) -> None:
    """Draw the sets of samples whose models are trained."""
    draw(story, jobs(story.sizes))


def phase_more(story: Story) -> None:
    """Draw those of `more_jobs`."""
    draw(story, more_jobs(story.sizes))


def phase_draw(story: Story) -> None:
    """Draw the pictures."""
    draw_all(story)


def phase_page(story: Story) -> None:
    """Write the tables into the page."""
    if not story.quick:
        write_tables(ROOT / "docs" / "story.md", ROOT / "docs" / "story.json")


PHASES = {
    "train": phase_train,
    "sample": phase_sample,
    "bound": phase_bound,
    "more": phase_more,
    "measure": phase_measure,
    "draw": phase_draw,
    "page": phase_page,
}


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("phases", nargs="+", choices=["all", *PHASES])
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--rows", nargs="+", default=(*ROWS, *HALVES), help="sample only these")
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args(words)
    out = asked.runs if asked.quick else ROOT / "docs"
    sizes = QUICK if asked.quick else Sizes()
    story = Story(asked.runs, out, sizes, asked.quick, tuple(asked.rows))
    for name in PHASES if "all" in asked.phases else asked.phases:
        PHASES[name](story)


if __name__ == "__main__":
    main()
