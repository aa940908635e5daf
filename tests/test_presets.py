"""Every preset that ships with artdiff is one that renders."""

import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

import artdiff
from artdiff.plan.resolve import resolve
from artdiff.preset.file import draft_preset

PRESETS = sorted(p for p in Path(str(files("artdiff.presets"))).glob("*.toml"))
TINY = {"model": "tiny", "width": 32, "height": 32, "sampler.steps": 2}


def test_all_of_them_are_offered(registry):
    assert len(PRESETS) >= 5
    assert set(registry.entries("presets")) == {path.stem for path in PRESETS}


@pytest.mark.parametrize("path", PRESETS, ids=lambda p: p.stem)
def test_a_preset_resolves_with_the_starter_model(registry, path):
    plan = resolve(draft_preset(registry, path.stem), registry)
    assert plan.name == path.stem and plan.preset.title and plan.preset.description
    assert plan.card.name == "starter"
    defaults = plan.card.defaults
    said = tomllib.loads(path.read_text("utf-8"))
    if "tile" not in said:
        assert (plan.preset.width, plan.preset.height) == (defaults["width"], defaults["height"])
    steps = said.get("sampler", {}).get("steps", defaults["sampler"]["steps"])
    assert plan.preset.sampler.steps == steps
    for index in {0, plan.count // 2, plan.count - 1}:
        job = plan.job(index)
        assert sum(share for _, share in job.prompts) == pytest.approx(1)
        assert all(text for text, _ in job.prompts)


@pytest.mark.filterwarnings("ignore::artdiff.errors.PromptWarning")  # the tiny model knows little
@pytest.mark.parametrize("path", PRESETS, ids=lambda p: p.stem)
def test_a_preset_renders_two_frames(registry, path, tmp_path):
    settings = TINY | {"batch": 2}
    done = artdiff.render(path.stem, tmp_path / "two", settings=settings, frames="2",
                          registry=registry)
    store = artdiff.FrameStore.existing(done.folder)
    assert (done.made, store.present(), store.verify()) == (2, [0, 1], [])
    assert store.read(0).shape == (32, 32, 3)
