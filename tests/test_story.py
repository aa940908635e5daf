"""The story: rows differ in what the page says, cost the same, and their numbers are measured."""

from __future__ import annotations

import json
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

from artdiff.noise import Level
from artdiff.process import Process, respace
from artdiff.random import Noise
from artdiff.train.kinds import load_recipe

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "story.md"
NUMBERS = ROOT / "docs" / "story.json"
RECIPES = ROOT / "artdiff" / "train" / "recipes"
NAMES = sorted(path.stem.removeprefix("story-") for path in RECIPES.glob("story-*.toml"))


def bench(name: str) -> Any:
    """A file of bench/, which is no package."""
    sys.path.insert(0, str(ROOT / "bench"))
    try:
        return import_module(name)
    finally:
        sys.path.pop(0)


@pytest.fixture(scope="module")
def runs() -> Any:
    return bench("story_runs")


@pytest.fixture(scope="module")
def tables() -> Any:
    return bench("story_tables")


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return json.loads(NUMBERS.read_text("utf-8"))


def recipe(name: str) -> Any:
    return load_recipe(RECIPES / f"story-{name}.toml")


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in values.items():
        deeper = isinstance(value, dict)
        result |= flat(value, f"{prefix}{key}.") if deeper else {prefix + key: value}
    return result


def changes(first: str, second: str) -> set[str]:
    a, b = (flat(recipe(name).model_dump(mode="json")) for name in (first, second))
    return {key for key in a.keys() | b.keys() if a.get(key) != b.get(key)}


def test_rows_and_recipes_are_the_same(runs: Any):
    assert NAMES == sorted((*runs.ROWS, *runs.HALVES, *runs.HELPERS))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("ddpm", "cosine", {"betas"}),
        ("cosine", "iddpm", {"variance", "loss", "stop.steps"}),
        ("iddpm", "vlb", {"loss", "times", "history"}),
        ("iddpm", "base16", {"data.size", "model.attention", "stop.steps"}),
        (
            "iddpm",
            "adm",
            {"data.label", "empty", "stop.steps", "model.attention", "model.heads"}
            | {"model.head_channels", "model.scale_shift", "model.resample"},
        ),
    ],
)
def test_each_row_changes_what_it_says(first: str, second: str, expected: set[str]):
    said = {key.removeprefix("diffusion.") for key in changes(first, second)}
    assert said <= expected
    assert said - {"model.heads"} == expected - {"model.heads"}


def test_all_rows_cost_the_same(runs: Any):
    costs = {name: runs.compute(recipe(name)) for name in (*runs.ROWS, *runs.HALVES)}
    whole = costs.pop("base16") + costs.pop("upsampler")
    for name, cost in {**costs, "7": whole}.items():
        assert cost == pytest.approx(costs["ddpm"], rel=1e-3), name


def test_multiply_adds_are_those_of_a_known_network(runs: Any):
    small = recipe("base16")
    bare = small.diffusion.model.__class__(
        width=32, multipliers=(1,), blocks=1, attention=(), scale_shift=False
    )
    part = small.diffusion.model_copy(update={"model": bare, "variance": "small"})
    counted = runs.multiply_adds(small.model_copy(update={"diffusion": part}))
    pixels, wide, drive = 256, 32, 128
    convolutions = 3 * wide + 2 * wide**2  # the first, a block down
    convolutions += 4 * wide**2  # two in the middle
    convolutions += 2 * (2 * wide**2 + wide**2) + 3 * wide  # two blocks up, the last
    skips = 2 * 2 * wide**2
    middle = 4 * wide**2 * pixels + 2 * pixels**2 * wide  # the attention
    time = wide * drive + drive**2 + 5 * drive * wide
    assert counted == 9 * pixels * convolutions + pixels * skips + middle + time


def test_guided_steps_move_by_the_variance_times_the_gradient():
    guided = bench("story_samples").Guided
    levels = respace(Process.named("cosine"), "10").levels()
    a, b = levels[4], levels[5]
    x = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    place = torch.full_like(x, 0.25)
    weights = torch.linspace(-1, 1, 2 * x[0].numel()).view(2, -1)

    class Known:
        def with_variance(self, x: torch.Tensor, at: Level):
            return x * 0.5, place

    def classifier(x: torch.Tensor, at: Level) -> torch.Tensor:
        return x.flatten(1) @ weights.T

    labels = torch.tensor([1, 0])
    moved, still = (
        guided(classifier, labels, scale).step(Known(), x, a, b, None, Noise((5, 6)))[0]
        for scale in (3.0, 0.0)
    )
    kept = (a.alpha / b.alpha) ** 2
    beta = 1 - kept
    least = beta * b.sigma**2 / a.sigma**2
    variance = beta**0.25 * least**0.75
    chances = classifier(x, a).softmax(1)
    right = torch.eye(2)[labels]
    gradient = ((right - chances) @ weights).view_as(x)
    assert torch.allclose(moved - still, (3 * variance * gradient).float(), atol=1e-5)


def test_numbers_are_those_of_the_recipes(runs: Any, found: dict[str, Any]):
    for name in NAMES:
        mine, row = recipe(name), found["rows"][name]
        assert (row["steps"], row["batch"]) == (mine.stop.steps, mine.batch)
        assert row["macs"] == runs.multiply_adds(mine)
        assert row["compute"] == runs.compute(mine)


def test_the_tables_say_what_was_measured(tables: Any, found: dict[str, Any]):
    text, made = PAGE.read_text("utf-8"), tables.tables(found)
    parts = {match[2]: match[0] for match in tables.MARK.finditer(text)}
    assert made.keys() - {"long"} <= parts.keys() <= made.keys()
    for name, part in parts.items():
        assert part == f"<!-- table: {name} -->\n{made[name]}<!-- /table -->"


def test_numbers_in_the_prose_are_in_a_table_or_in_a_paper(tables: Any):
    text = PAGE.read_text("utf-8")
    measured = set(re.findall(r"\d+\.\d+", " ".join(m[0] for m in tables.MARK.finditer(text))))
    prose = tables.MARK.sub("", text)
    prose = re.sub(r"(?s)```.*?```|`[^`]*`|\[[^]]*\]\([^)]*\)|arXiv\s\d+\.\d+", "", prose)
    papers = set(re.findall(r"\d+\.\d+", " ".join(re.findall(r"(?m)^> .*$", prose))))
    prose = re.sub(r"(?m)^> .*$", "", prose)
    unknown = set(re.findall(r"\d+\.\d+", prose)) - measured - papers
    assert not unknown


def test_pictures_are_there_and_small():
    shown = re.findall(r"\]\((pictures/[^)]+)\)", PAGE.read_text("utf-8"))
    assert len(shown) >= 12
    for name in shown:
        assert (ROOT / "docs" / name).stat().st_size < 300_000, name
