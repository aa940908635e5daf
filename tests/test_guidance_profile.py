"""What a preset says of guidance reaches it, and profiles tell what it did."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import BaseModel

import artdiff
from artdiff.api import prepare
from artdiff.cli import cli, main
from artdiff.errors import PresetError
from artdiff.guidance.chart import chart
from artdiff.guidance.guide import Look
from artdiff.guidance.profile import GuidanceProfile, profile_path
from artdiff.hookspecs import hookimpl
from artdiff.preset.draft import Draft, overlay
from artdiff.random import Noise
from artdiff.renderer import load_engine

TERMS = """
from pydantic import BaseModel
import artdiff


class Bright:
    class Options(BaseModel, extra="forbid"):
        pass

    def __init__(self, options, setup):
        self.setup = setup

    def loss(self, x0, at, noise):
        return -self.setup.decode(x0).mean((1, 2, 3))


class Calm(Bright):
    sees = "x"

    def loss(self, x, at, noise):
        return x.square().mean((1, 2, 3))


@artdiff.hookimpl
def register_guidance():
    return {"bright": Bright, "calm": Calm}
"""
STILLS = """
model = "tiny"
prompt = "a fox"
batch = 2
sampler = { name = "ddim", steps = 3 }
frames = { source = "still", count = 3 }
guidance = { clamp = 1e-4, combine = "priority" }

[terms.bright]
weight = 5

[terms.calm]
weight = { 0 = 1.0, 2 = 3.0 }
course = { "0%" = 0, "60%" = 0, "61%" = 1 }
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("terms.py").write_text(TERMS)
    Path("stills.toml").write_text(STILLS)


@pytest.fixture
def run(tiny_plugin, capsys, monkeypatch):
    """Run a command: its exit code and all that it printed."""
    monkeypatch.setattr(cli, "registry", None)

    def run(*arguments):
        try:
            main([*arguments, f"--plugin={tiny_plugin}", "--plugin=terms.py"])
            code = 0
        except SystemExit as stop:
            code = stop.code
        said = capsys.readouterr()
        return SimpleNamespace(exit_code=code, output=said.out + said.err)

    return run


@pytest.fixture
def no_chart(monkeypatch):
    """Charts take seconds; most tests look at the numbers."""
    monkeypatch.setattr("artdiff.api.chart", lambda *arguments: True)


class Options(BaseModel, extra="forbid"):
    pass


class Seen:
    """Remembers what it was shown."""

    Options = Options
    sees: ClassVar[str] = "x"
    shown: ClassVar[list[float]] = []

    def __init__(self, options, setup):
        pass

    def loss(self, x0, at, noise):
        self.shown.append(float(at.fraction))
        return x0.mean((1, 2, 3))


class Two:
    @hookimpl
    def register_guidance(self):
        return {"seen": Seen, "mean": type("Mean", (Seen,), {"sees": "x0"})}


def guided(registry, **values):
    """The engine of a preset, and the x0 that its denoiser gives in the middle of the walk."""
    values = {"model": "tiny", "prompt": "a fox", "guidance.scale": 1} | values
    plan = prepare(Draft("test", {}, {}), registry, values).plan
    engine = load_engine(plan, registry)
    jobs = [plan.job(0)]
    like = torch.empty(1, engine.model.codec.channels, 8, 8)
    x = Noise([0]).normal(like, "test")
    at = engine.model.schedule(torch.tensor(0.5, dtype=torch.float64))
    cond = engine.conditioning([job.prompts for job in jobs])
    with torch.inference_mode():
        return engine.denoiser(jobs, Noise([0]))(x, at, cond).clone()


def test_a_class_says_what_it_sees_and_a_course_when(registry):
    registry.manager.register(Two(), "two")
    Seen.shown.clear()
    artdiff_images = artdiff.image(
        "a fox",
        settings={
            "model": "tiny", "sampler": {"name": "ddim", "steps": 8},
            "terms.seen.course": {"0%": 0, "50%": 1, "51%": 0, "100%": 0},
        },
        registry=registry,
    )  # fmt: skip
    list(artdiff_images)
    assert Seen.shown and all(0.49 < fraction < 1 for fraction in Seen.shown)
    plain, pushed = guided(registry), guided(registry, **{"terms.seen.weight": 100})
    # sigma**2 / alpha * weight / elements, from x itself whatever the denoiser is
    torch.testing.assert_close(plain - pushed, torch.full_like(plain, 0.5 * 100 / plain.numel()))


def test_clamp_and_mode_reach_the_guidance(registry):
    registry.manager.register(Two(), "two")
    terms = {"terms.mean.weight": 30, "terms.seen.weight": -100, "guidance.through": "x0"}
    plain = guided(registry)

    def moved(**guidance):
        return plain - guided(
            registry, **terms, **{f"guidance.{key}": value for key, value in guidance.items()}
        )

    assert float((moved(clamp=1e-3).square().mean().sqrt() / 0.5 - 1e-3).abs()) < 1e-6
    assert float((moved(clamp=1e-3, clamp_by="dynamic").abs().max() / 0.5 - 1e-3).abs()) < 1e-6
    free, first = moved(), moved(combine="priority")
    assert float(free.mean()) < 0 < float(first.mean())  # opposed: the first term has its way


def test_a_render_with_its_profile(run, monkeypatch):
    done = run("render", "stills.toml", "-o", "out.png", "--profile-guidance")
    assert done.exit_code == 0, done.output
    assert "guidance profile: out.guidance.json" in done.output
    record = json.loads(Path("out.guidance.json").read_text())
    assert record["terms"] == ["bright", "calm"] and list(record["frames"]) == ["0", "1", "2"]
    for calls in record["frames"].values():
        assert len(calls) == 3 and calls[0]["fraction"] == 1
        assert calls[0]["loss"] == [None, None] and calls[0]["moved"] == 0  # alpha = 0
        assert calls[1]["loss"][0] is not None and calls[1]["loss"][1] is None
        assert calls[2]["norm"][1] > 0 and calls[2]["clamped"] > 0.5
    with Image.open("out.guidance.png") as picture:
        assert picture.width > 700 and picture.height > 600


def test_a_profile_changes_no_pixel(run, no_chart):
    pictures = []
    for flags in ([], ["--profile-guidance"]):
        assert run("render", "stills.toml", "-o", "frames", "--fresh", *flags).exit_code == 0
        pictures.append([path.read_bytes() for path in sorted(Path("frames").glob("0*.png"))])
    assert len(pictures[0]) == 3 and pictures[0] == pictures[1]
    assert Path("frames/guidance.json").exists()


def test_a_profile_goes_on_where_a_render_does(run, no_chart):
    part = ("render", "stills.toml", "-o", "out.png", "--profile-guidance")
    assert run(*part, "--frames", "2").exit_code == 0
    first = json.loads(Path("out.guidance.json").read_text())
    assert run(*part).exit_code == 0
    whole = json.loads(Path("out.guidance.json").read_text())
    assert list(first["frames"]) == ["0", "1"] and list(whole["frames"]) == ["0", "1", "2"]
    assert whole["frames"]["0"] == first["frames"]["0"]
    again = run(*part)
    assert again.exit_code == 0 and "no frame was made" in again.output
    assert json.loads(Path("out.guidance.json").read_text()) == whole


def test_another_render_starts_another_profile(run, no_chart):
    part = ("render", "stills.toml", "-o", "out.png", "--profile-guidance", "--fresh")
    assert run(*part).exit_code == 0
    assert run(*part, "--frames", "1:2", "-s", "seed=5").exit_code == 0
    assert list(json.loads(Path("out.guidance.json").read_text())["frames"]) == ["0", "1"]


def test_images_with_their_profile(run, no_chart):
    done = run(
        "image", "a fox", "-n", "2", "-o", "fox.png", "--model", "tiny", "--steps", "3",
        "--profile-guidance", "-s", "terms.bright.weight=2",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    record = json.loads(Path("fox.guidance.json").read_text())
    assert record["terms"] == ["bright"] and list(record["frames"]) == ["0", "1"]
    assert Path("fox-1.png").exists()


def test_nothing_to_profile_is_an_error_before_any_work(run):
    done = run("image", "a fox", "--model", "tiny", "--profile-guidance", "-o", "fox.png")
    assert done.exit_code != 0 and "has no [terms] with a loss" in done.output
    assert not Path("fox.png").exists()


def test_without_matplotlib_the_numbers_are_there(run, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    done = run("render", "stills.toml", "-o", "out.png", "--profile-guidance")
    assert done.exit_code == 0 and "matplotlib is missing" in done.output
    assert Path("out.guidance.json").exists() and not Path("out.guidance.png").exists()


def test_a_damaged_profile_is_written_anew(run, no_chart):
    Path("out.guidance.json").write_text("{")
    assert run("render", "stills.toml", "-o", "out.png", "--profile-guidance").exit_code == 0
    assert json.loads(Path("out.guidance.json").read_text())["terms"] == ["bright", "calm"]


def look(names, rows=1, seed=0):
    draws = torch.Generator().manual_seed(seed)
    rand = lambda *shape: torch.rand(shape, generator=draws, dtype=torch.double)  # noqa: E731
    count = len(names)
    return Look(0.5, names, rand(rows, count), rand(rows, count), rand(rows, count, count),
                rand(rows, count), rand(rows), rand(rows), rand(rows))  # fmt: skip


@pytest.mark.parametrize("count", [1, 5])
def test_charts_of_any_number_of_terms(tmp_path, count):
    profile = GuidanceProfile()

    class Job:
        def __init__(self, index):
            self.index = index

    names = tuple(f"term {n}" for n in range(count))
    for turn in range(3):
        profile.see([Job(n) for n in range(3)], look(names, 3, turn))
    pictures = {n: np.full((8, 8, 3), 20 * n, np.uint8) for n in range(2)}
    assert chart(profile, pictures, tmp_path / "chart.png")
    with Image.open(tmp_path / "chart.png") as picture:
        assert picture.width > 500
    assert not chart(profile, {}, tmp_path / "none.png") and not (tmp_path / "none.png").exists()


def test_profiles_lie_beside_the_result():
    assert profile_path(Path("a/film.mp4"), Path("x")) == Path("a/film.guidance.json")
    assert profile_path(None, Path("a/frames")) == Path("a/frames/guidance.json")


def test_an_unknown_course_key_is_refused(registry):
    registry.manager.register(Two(), "two")
    values = {"model": "tiny", "prompt": "a fox", "terms": {"seen": {"course": {"0": 1, "5": 0}}}}
    with pytest.raises(PresetError, match="course"):
        prepare(overlay(Draft("test", {}, {}), values, "test"), registry)
