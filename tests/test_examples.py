"""Every example is run, on a tiny model."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import artdiff
from artdiff.registry import Selection, create_registry

EXAMPLES = Path(__file__).parent.parent / "examples"


def test_the_index_names_every_example():
    index = (EXAMPLES / "README.md").read_text("utf-8")
    for path in EXAMPLES.iterdir():
        assert f"]({path.name}" in index or path.name in ("README.md", "__pycache__"), path.name


def registry_of(*files):
    return create_registry(Selection(files=tuple(map(str, files))))


def test_my_first_film(tiny_plugin, tmp_path):
    preset = str(EXAMPLES / "my-first-film.toml")
    settings = ["model=tiny", "frames.count=5", "sampler.steps=2"]
    film = artdiff.render(
        preset, tmp_path / "film.mp4", settings=settings, registry=registry_of(tiny_plugin)
    )
    assert film.made == 5
    assert artdiff.probe(film.output).frames == 5


def warmth(picture):
    return (picture[..., 0].mean() - picture[..., 2].mean()) / 127.5


@pytest.mark.parametrize("through", ["x0", "denoiser"])
def test_warm_colours_are_warmer(tiny_plugin, tmp_path, through):
    registry = registry_of(tiny_plugin, EXAMPLES / "warm_colours.py")

    def last_frame(weight):
        settings = [
            "model=tiny", "frames.count=2", f"guidance.through={through}",
            f"terms.warm_colours.weight={weight}",
        ]
        folder = tmp_path / f"{through}-{weight}"
        film = artdiff.render(
            str(EXAMPLES / "warm.toml"), folder, settings=settings, registry=registry
        )
        return artdiff.FrameStore.existing(film.folder).read(1)

    # Random weights hardly know colours, so that the tiny model needs a strong hand.
    plain, warm = warmth(last_frame(0)), warmth(last_frame(10_000))
    assert plain + 0.02 < warm < 0.8


def test_warm_begins_as_my_first_film(tiny_plugin, tmp_path):
    """The weight of the term is 0 at the first frame."""
    registry = registry_of(tiny_plugin, EXAMPLES / "warm_colours.py")
    settings = ["model=tiny", "frames.count=3"]
    frames = [
        artdiff.FrameStore.existing(
            artdiff.render(
                str(EXAMPLES / f"{name}.toml"), tmp_path / name, settings=settings,
                registry=registry,
            ).folder
        )
        for name in ("my-first-film", "warm")
    ]
    assert np.array_equal(frames[0].read(0), frames[1].read(0))
    assert not np.array_equal(frames[0].read(2), frames[1].read(2))


def test_render_in_python(tiny_plugin, tmp_path, capsys):
    spec = importlib.util.spec_from_file_location("example", EXAMPLES / "render_in_python.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    common = {"settings": {"model": "tiny"}, "registry": registry_of(tiny_plugin)}
    assert module.main(tmp_path, **common).made == 8
    assert "seed 1: (32, 32, 3)" in capsys.readouterr().out
    assert (tmp_path / "foxes.png").exists() and (tmp_path / "seasons.mp4").exists()
    assert module.main(tmp_path, **common).made == 0


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The packaged plugin, installed by pip into a folder of its own, from a copy."""
    place = tmp_path_factory.mktemp("third-party")
    shutil.copytree(EXAMPLES / "third_party_plugin", place / "source")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index",
         "--no-build-isolation", "--target", place / "site", place / "source"],
        check=True, env={**os.environ, "PIP_FIND_LINKS": ""},
    )
    return place


def artdiff_command(installed, folder, *words, **environment):
    paths = [str(installed / "site"), os.environ.get("PYTHONPATH", "")]
    return subprocess.run(
        [sys.executable, "-m", "artdiff.cli", *map(str, words)], cwd=folder, text=True,
        capture_output=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), **environment},
    )


def test_the_packaged_plugin_renders(installed, tiny_plugin, tmp_path):
    done = artdiff_command(
        installed, tmp_path, "render", "mirror-dance", "-s", "model=tiny", "-s", "frames.count=5",
        "--plugin", tiny_plugin,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(Path("renders") / "mirror-dance.mp4")]
    store = artdiff.FrameStore.existing(tmp_path / "renders" / "mirror-dance.frames")
    assert store.settings(1)["start"][:2] == [7, 8]
    assert not np.array_equal(store.read(0), store.read(2))

    seen = artdiff_command(installed, tmp_path, "symmetry", store.png(0), store.png(1))
    assert seen.returncode == 0, seen.stderr
    assert len(seen.stdout.splitlines()) == 2 and "000000.png: " in seen.stdout


def test_the_packaged_plugin_is_listed_and_can_be_left_out(installed, tmp_path):
    listed = artdiff_command(installed, tmp_path, "presets", "list").stdout
    assert "mirror-dance" in listed and "four-seasons" in listed
    without = artdiff_command(installed, tmp_path, "presets", "list", ARTDIFF_PLUGINS="").stdout
    assert "mirror-dance" not in without and "four-seasons" in without


def test_the_packaged_plugin_passes_its_own_tests(installed):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
         "--rootdir", installed / "source", installed / "source" / "tests"],
        cwd=installed, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(installed / "site")},
    )
    assert done.returncode == 0, done.stdout + done.stderr
