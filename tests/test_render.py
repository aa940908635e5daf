"""A render can be stopped anywhere, cut anywhere and done again, and is the same film."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import TinyModel
from PIL import Image
from pydantic import BaseModel

import artdiff
from artdiff.api import estimate, prepare, write_images
from artdiff.errors import FrameError, PluginError, PresetError
from artdiff.frames import FrameStore, load_image, read_settings
from artdiff.hookspecs import hookimpl
from artdiff.renderer import chunks, select

FILM = """
model = "tiny"
batch = 4
prompts = { 0 = "a red fox", "100%" = "a blue cat in the snow" }
sampler = { name = "ddpm", steps = 2 }
frames = { source = "latent_interpolation", count = 14, fps = 12, stops = 3 }
"""
STILLS = """
model = "tiny"
prompt = "a fox"
sampler = { steps = 2 }
frames = { source = "still", count = 5 }
"""


@pytest.fixture(autouse=True)
def presets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("film.toml").write_text(FILM)
    Path("stills.toml").write_text(STILLS)


@pytest.fixture
def render(registry):
    def render(output=None, preset="film.toml", **options):
        return artdiff.render(preset, output, registry=registry, **options)

    return render


def frames(folder):
    """The bytes of every frame in a folder."""
    return {path.name: path.read_bytes() for path in sorted(Path(folder).glob("0*.png"))}


@pytest.fixture(scope="module")
def whole(tiny_folder, tmp_path_factory):
    """The frames of the film, made at once."""
    place = tmp_path_factory.mktemp("whole")
    (place / "film.toml").write_text(FILM)
    registry = artdiff.create_registry(artdiff.Selection())
    registry.manager.register(TinyModel(tiny_folder), "tiny-model")
    made = artdiff.render(place / "film.toml", place / "film", registry=registry)
    return frames(made.folder)


# Selections.


@pytest.mark.parametrize(("text", "chosen"), [
    (None, range(14)), ("5", range(5)), ("99", range(14)), ("3:6", range(3, 6)), (":2", range(2)),
    ("12:", range(12, 14)),
    ("::4", range(0, 14, 4)), ("1::4", range(1, 14, 4)), (" 2 : 4 ", range(2, 4)),
    ("-3:", range(11, 14)),
])
def test_selections(text, chosen):
    assert select(text, 14) == chosen


@pytest.mark.parametrize("text", ["abc", "1.5", "1:2:3:4", "::0", "::-1", "0", "9:3", "99:"])
def test_wrong_selections(text):
    with pytest.raises(PresetError, match=f"--frames {text}: "):
        select(text, 14)


@pytest.mark.parametrize(("text", "batch"), [
    ("14", 4), ("5:7", 4), ("3:12", 5), ("::4", 3), ("2::3", 2), ("13:", 8), ("4:5", 1),
])
def test_chunks_lie_where_those_of_the_whole_selection_lie(text, batch):
    chosen = select(text, 14)
    step, offset = chosen.step, chosen.start % chosen.step
    everything = range(offset, 14 + batch * step, step)
    found = list(chunks(chosen, batch))
    assert set(chosen) <= {i for chunk in found for i in chunk}
    for chunk in found:
        assert len(chunk) == batch and not set(chosen).isdisjoint(chunk)
        assert everything.index(chunk[0]) % batch == 0


@pytest.mark.parametrize("text", ["5:7", "9:", "6"])
def test_a_part_of_the_film_is_that_part_bit_for_bit(render, whole, text):
    """Also where it begins and ends in the middle of a batch."""
    part = frames(render("part", frames=text).folder)
    assert list(part) == [f"{i:06d}.png" for i in select(text, 14)]
    assert part == {name: whole[name] for name in part}
    done = render("part")
    assert (done.frames, done.made) == (14, 14 - len(part))
    assert frames("part") == whole


# Stopping and going on.


class Stop:
    """Raises in the middle of a batch, like Ctrl-C would."""

    @hookimpl
    def on_frame(self, job):
        if job.index == 6:
            raise KeyboardInterrupt


def test_an_interrupted_film_goes_on_to_the_same_bytes(render, registry, whole):
    registry.manager.register(Stop(), "stop")
    with pytest.raises(KeyboardInterrupt):
        render("film.mp4")
    assert list(frames("film.frames")) == [f"{i:06d}.png" for i in range(6)]
    assert not Path("film.mp4").exists()
    registry.manager.unregister(name="stop")
    seen = []
    done = render("film.mp4", on_progress=lambda *report: seen.append(report))
    assert (done.made, done.frames) == (8, 14)
    assert frames("film.frames") == whole
    assert artdiff.probe("film.mp4").frames == 14
    assert seen[0] == ("render", 6, 14) and seen[8] == ("render", 14, 14)
    assert seen[9] == ("encode", 0, 14) and seen[-1] == ("encode", 14, 14)


KILL = """
import os, signal
import artdiff

@artdiff.hookimpl
def on_frame(job):
    if job.index == 5 and "KILL" in os.environ:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_film_goes_on_to_the_same_bytes(tiny_plugin, whole):
    Path("kill.py").write_text(KILL)
    command = [sys.executable, "-m", "artdiff.cli", "render", "film.toml", "-o", "killed",
               "--plugin", str(tiny_plugin), "--plugin", "kill.py"]
    died = subprocess.run(command, capture_output=True, env={**os.environ, "KILL": "1"})
    assert died.returncode == -signal.SIGKILL
    assert list(frames("killed")) == [f"{i:06d}.png" for i in range(5)]
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert "9 frames in " in again.stderr and ", 5 were there" in again.stderr
    assert frames("killed") == whole


def test_a_damaged_frame_is_made_again(render, whole):
    render("film")
    Path("film/000003.png").write_bytes(b"")
    Path("film/000009.json").unlink()
    assert render("film").made == 2
    assert frames("film") == whole


# Other settings.


def test_other_settings_are_refused_where_a_place_was_given(render, whole):
    render("film.mp4")
    before = Path("film.mp4").read_bytes()
    with pytest.raises(FrameError, match=r"preset\.seed: 0 there, 5 here.*another -o"):
        render("film.mp4", settings={"seed": 5})
    with pytest.raises(FrameError, match=r"preset\.sampler\.steps: 2 there, 4 here"):
        render("film.mp4", settings=["sampler.steps=4"])
    with pytest.raises(FrameError, match="every: nothing there, 4 here"):
        render("film.mp4", frames="::4")
    assert frames("film.frames") == whole and Path("film.mp4").read_bytes() == before
    fresh = render("film.mp4", settings={"seed": 5}, fresh=True)
    assert fresh.made == 14 and frames("film.frames") != whole


def test_another_fps_needs_no_other_frames(render):
    render("film.mp4", frames="4")
    assert render("film.mp4", frames="4", settings={"frames.fps": 25}).made == 0
    assert artdiff.probe("film.mp4").fps == pytest.approx(25)


def test_without_a_place_other_settings_get_the_next_name(render):
    one = render(frames="2")
    assert (one.output, one.folder.name) == (Path("renders/film.mp4"), "film.frames")
    two = render(frames="2", settings={"seed": 5})
    assert (two.output, two.folder.name) == (Path("renders/film-2.mp4"), "film-2.frames")
    assert render(frames="2", settings={"seed": 6}).output == Path("renders/film-3.mp4")
    assert render(frames="2", settings={"seed": 5}).made == 0  # found again
    assert render(frames="2").made == 0
    assert render(preset="stills.toml").output == Path("renders/stills.png")


def test_preview(render):
    done = render(preview=True, settings={"sampler.steps": 10})
    assert done.output == Path("renders/film-preview.mp4") and done.frames == 4
    film = artdiff.probe(done.output)
    assert film.frames == 4 and film.fps == pytest.approx(3)
    store = artdiff.FrameStore.existing(done.folder)
    assert store.present() == [0, 4, 8, 12]
    assert store.manifest["preset"]["sampler"]["steps"] == 5


@pytest.mark.parametrize(("steps", "preview"), [(2, 2), (4, 4), (7, 4), (20, 10)])
def test_a_preview_never_takes_more_steps(registry, steps, preview):
    work = prepare("film.toml", registry, {"sampler.steps": steps}, preview=True)
    assert work.plan.preset.sampler.steps == preview


# Outputs.


@pytest.mark.parametrize("suffix", [".mp4", ".gif", ".webm", ".webp"])
def test_films(render, suffix):
    done = render(f"out/film{suffix}", frames="3")
    assert done.output == Path(f"out/film{suffix}") and done.notes == ()
    found = artdiff.probe(done.output)
    assert (found.frames, found.width, found.height) == (3, 32, 32)
    assert found.duration == pytest.approx(0.25, abs=0.02)


def test_a_folder(render):
    done = render("only/frames", frames="3")
    assert done.output is None and done.folder == Path("only/frames").absolute()
    assert len(frames(done.folder)) == 3


def test_stills_become_a_sheet_and_one_a_picture(render):
    sheet = render("sheet.png", preset="stills.toml")
    assert Image.open(sheet.output).size == (3 * 40 + 8, 2 * 40 + 8)
    render("one.png", preset="stills.toml", frames="2:3")
    assert np.array_equal(load_image("one.png"), load_image(sheet.folder / "000002.png"))
    assert read_settings("one.png")["seed"] == 2


def test_a_picture_tells_what_it_was_made_from(render, registry):
    done = render("film", frames="4:6")
    job = prepare("film.toml", registry).plan.job(4)
    settings = read_settings(done.folder / "000004.png")
    assert settings.pop("made_with")["model"]["name"] == "tiny" and settings == job.record()


@pytest.mark.parametrize(("output", "settings", "message"), [
    ("film.avi", {}, r"cannot write '\.avi'; use \.mp4"),
    ("taken.mp4", {}, r"taken\.mp4: is a folder"),
    ("film.gif", {"frames.fps": 60}, r"\.gif plays at most 50 frames a second, not 60"),
])
def test_wrong_outputs_are_found_before_the_first_frame(render, output, settings, message):
    Path("taken.mp4").mkdir()
    with pytest.raises(PresetError, match=message):
        render(output, settings=settings)
    assert sorted(p.name for p in Path().iterdir() if "toml" not in p.name) == ["taken.mp4"]


def test_a_film_without_frames(render, registry):
    class Nothing:
        class Options(BaseModel):
            pass

        def __init__(self, options, score):
            pass

        def __len__(self):
            return 0

    plugin = type("P", (), {"register_frame_sources": staticmethod(
        hookimpl(lambda: {"nothing": Nothing}))})()
    registry.manager.register(plugin, "nothing")
    with pytest.raises(PresetError, match="no frames"):
        render("film", settings={"frames.source": "nothing"})


# Pictures of a prompt, and estimates.


def test_as_many_pictures_as_are_asked_for(registry):
    settings = {"model": "tiny", "frames.count": 3}
    with pytest.raises(PresetError, match=r"frames\.count: 3, but the call asks for 1"):
        artdiff.image("a fox", settings=settings, registry=registry)


def test_a_picture_says_what_it_takes_to_draw_it_again(registry):
    settings = {"model": "tiny", "sampler": {"name": "euler", "steps": 2}}
    ((job, _),) = artdiff.image("a fox", settings=settings, registry=registry)
    made = job.record()["made_with"]
    assert made["model"]["name"] == "tiny" and len(made["model"]["weights"]) == 16
    assert made["sampler"]["name"] == "euler" and made["sampler"]["steps"] == 2
    assert (made["width"], made["height"]) == (32, 32) and made["artdiff"] == artdiff.__version__
    assert "seed" not in made and "prompt" not in made and "frames" not in made


def test_image(registry):
    settings = {"model": "tiny", "seed": 3}
    made = list(artdiff.image("a fox", 6, settings=settings, registry=registry))
    assert [job.seed for job, _ in made] == [3, 4, 5, 6, 7, 8]
    assert {picture.shape for _, picture in made} == {(32, 32, 3)}
    paths = list(write_images(made[:2], Path("fox.png"), grid=False, single=False))
    assert paths == [Path("fox-3.png"), Path("fox-4.png")]
    assert np.array_equal(load_image("fox-4.png"), made[1][1])
    assert read_settings("fox-4.png")["prompts"] == [["a fox", 1.0]]
    (sheet,) = write_images(made, Path("grid.png"), grid=True, single=False)
    assert Image.open(sheet).size == (3 * 40 + 8, 2 * 40 + 8)


@pytest.mark.parametrize(("settings", "calls"), [
    ({"guidance.scale": 1}, 14 * 2), ({"guidance.scale": 3}, 14 * 4),
    ({"guidance": {"scale": 3, "stop": 0.6}}, 14 * 3),
    # Heun's first step, from alpha = 0, and its last are Euler's
    ({"guidance.scale": 3, "sampler": {"name": "heun", "steps": 5}}, 14 * 16),
])
def test_estimates_count_model_calls(registry, settings, calls):
    work = prepare("film.toml", registry, settings)
    found = estimate(work, registry, measure=False)
    assert (found.frames, found.model_calls, found.seconds) == (14, calls, None)
    assert found.disk_bytes > 0


def test_estimates_count_what_batches_draw_besides(registry):
    def drawn(frames):
        work = prepare("film.toml", registry, {"guidance.scale": 1, "batch": 4}, frames)
        return estimate(work, registry, measure=False).model_calls / 2

    assert [drawn(frames) for frames in ("5", "5:6", "3:5", "12:", "::4")] == [8, 4, 8, 2, 4]


@pytest.mark.parametrize("steps", [1, 2, 6])
def test_estimates_measure(registry, steps):
    work = prepare("film.toml", registry, {"sampler.steps": steps})
    assert 0 < estimate(work, registry).seconds < 60


class Fussy:
    """Refuses one frame."""

    class Options(BaseModel, extra="forbid"):
        frame: int

    def __init__(self, options):
        self.options = options

    def __call__(self, picture, job):
        if job.index == self.options.frame:
            raise KeyError("oops")
        return picture

    @hookimpl
    def register_effects(self):
        return {"fussy": Fussy}


def test_an_effect_that_fails_keeps_the_frames_before_it(registry, tmp_path):
    """Frame 2 shares its batch with frames 0 and 1, which are finished and stay."""
    registry.manager.register(Fussy(Fussy.Options(frame=0)), "fussy-plugin")
    settings = {"model": "tiny", "frames.count": 4, "effects.fussy.frame": 2}
    with pytest.raises(PluginError, match=r"frame 2: effect 'fussy' .* KeyError: 'oops'"):
        artdiff.render("four-seasons", tmp_path / "f", settings=settings, registry=registry)
    assert FrameStore.existing(tmp_path / "f").present() == [0, 1]
