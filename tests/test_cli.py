"""The command line: results on stdout, one line for every mistake, nothing lost."""

import errno
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import click
import numpy as np
import pytest
import torch

import artdiff
from artdiff import cli as command_line
from artdiff.cli import COMMANDS, cli, main
from artdiff.frames import FrameStore, load_image, read_settings

FILM = """
model = "tiny"
batch = 4
prompt = "a red fox"
sampler = { name = "dpmpp_2m", steps = 2 }
frames = { source = "prompt_animation", count = 10, noise = "travel", travel_frames = 5 }
"""


@pytest.fixture
def run(tmp_path, monkeypatch, capsys, tiny_plugin):
    """Run a command in a folder with a preset; its exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ARTDIFF_PLUGINS", raising=False)
    monkeypatch.setattr(cli, "registry", None)
    Path("film.toml").write_text(FILM)

    def run(*words):
        if words[0] in ("render", "plan", "image"):
            words = (*words, "--plugin", str(tiny_plugin))
        with pytest.raises(SystemExit) as done:
            main([str(word) for word in words])
        out, err = capsys.readouterr()
        assert "Traceback" not in err and "\r" not in err
        return done.value.code, out, err

    return run


def mistake(result, *said, code=2, begun=""):
    """One line, after click's usage at most, and nothing on stdout.

    `begun`: what the lines of progress begin with, where work was done before.
    """
    assert result[0] == code, result
    assert result[1] == ""
    *before, line = result[2].splitlines()
    assert line.startswith("Error: ") and all(part in line for part in said), result[2]
    usage = bool(before) and before[0].startswith("Usage: artdiff")
    assert usage or all(begun and text.startswith(begun) for text in before), result[2]
    assert "bug of artdiff" not in line


# Help.


def every_command(group=cli, name="artdiff"):
    yield (name, [])
    for child in COMMANDS if group is cli else group.commands:
        command = group.get_command(click.Context(group), child)
        if isinstance(command, click.Group):
            yield from ((n, [child, *w]) for n, w in every_command(command, f"{name} {child}"))
        else:
            yield (f"{name} {child}", [child])


@pytest.mark.parametrize(("name", "words"), list(every_command()), ids=str)
def test_every_command_has_help(run, name, words):
    for flag in ("--help", "-h"):
        code, out, err = run(*words, flag)
        assert code == 0 and err == ""
        assert out.startswith(f"Usage: {name} [OPTIONS]")
    command = cli
    for word in words:
        command = command.get_command(click.Context(command), word)
    assert command.help and all(p.help for p in command.params if isinstance(p, click.Option))


def test_every_short_help_is_the_commands_own(run):
    listed, wide = run("--help")[1], max(map(len, COMMANDS))
    for name, (_, short) in COMMANDS.items():
        assert f"\n  {name:{wide}}  {short}\n" in listed


IMPORTS = """
import sys
import tomllib
from artdiff.cli import main
for words in (["--help"], ["render", "--help"], ["presets", "list"], ["plan", "no-such-preset"]):
    try:
        main(words)
    except SystemExit:
        pass
print("heavy:", [name for name in ("torch", "moviepy", "skia", "cv2") if name in sys.modules])
"""


def test_help_and_first_mistakes_do_not_wait_for_torch():
    done = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True)
    assert "four-seasons" in done.stdout and "unknown preset" in done.stderr
    assert done.stdout.splitlines()[-1] == "heavy: []"


def test_version(run):
    assert run("--version") == (0, f"artdiff, version {artdiff.__version__}\n", "")


# What commands do.


def test_render_says_where_the_film_is_and_goes_on(run):
    code, out, err = run("render", "film.toml", "-o", "a/film.mp4", "--frames", "5")
    assert (code, out) == (0, "a/film.mp4\n")
    assert artdiff.probe("a/film.mp4").frames == 5
    lines = err.splitlines()
    assert lines[-1].startswith("5 frames in ") and lines[-1].endswith("a/film.frames")
    assert any(line.startswith("render: 100%") for line in lines)
    code, out, err = run("render", "film.toml", "-o", "a/film.mp4")
    assert code == 0 and "\n5 frames in " in err and ", 5 were there: " in err


def test_render_into_its_default_place(run):
    assert run("render", "film.toml", "--frames", "2")[1] == "renders/film.mp4\n"
    other = ("-s", "seed=2")
    assert run("render", "film.toml", "--frames", "2", *other)[1] == "renders/film-2.mp4\n"
    assert run("render", "film.toml", "--preview")[1] == "renders/film-preview.mp4\n"
    assert run("render", "film.toml", "-o", "folder", "--frames", "2")[1] == (
        f"{Path('folder').absolute()}\n")


def test_a_second_picture_of_a_prompt_does_not_replace_the_first(run):
    tiny = ("-s", "model=tiny", "-s", "width=32", "-s", "height=32")
    names = [run("image", "a fox", *tiny, "--seed", seed)[1].strip() for seed in (0, 1, 1)]
    assert names == ["a-fox.png", "a-fox-2.png", "a-fox-3.png"]
    assert [read_settings(name)["seed"] for name in names] == [0, 1, 1]
    assert np.array_equal(load_image(names[1]), load_image(names[2]))


def test_image(run):
    few = ("-s", "model=tiny", "-s", "sampler.steps=2")
    assert run("image", "A Red Fox!", *few)[:2] == (0, "a-red-fox.png\n")
    assert run("image", "fox", "-n", 2, "--seed", 7, "-o", "x/f.png", *few)[1].split() == [
        "x/f-7.png", "x/f-8.png"]
    assert read_settings("x/f-8.png")["seed"] == 8
    assert run("image", "fox", "-n", 3, "--grid", "-o", "x", *few)[1] == "x/fox.png\n"
    twice = [run("image", "a dog", "-n", 2, *few)[1].split() for _ in range(2)]
    assert twice == [["a-dog-0.png", "a-dog-1.png"], ["a-dog-2-0.png", "a-dog-2-1.png"]]
    below = [run("image", "a hen", "-n", 2, "--seed", -3, *few)[1].split() for _ in range(2)]
    assert below == [["a-hen--3.png", "a-hen--2.png"], ["a-hen-2--3.png", "a-hen-2--2.png"]]
    one_seed = run("image", "an owl", "-n", 3, "-s", "subseed=7", *few)[1].split()
    assert one_seed == ["an-owl-0.png", "an-owl-0-1.png", "an-owl-0-2.png"]
    asked = ("--negative", "b \N{FOX FACE}", "--steps", 3, "--scale", 2.5, "--size", "64x32")
    code, out, _ = run("image", "a \N{CAT FACE}", *asked, "-o", "y.png", "-s", "model=tiny")
    assert (code, out) == (0, "y.png\n")
    made = read_settings("y.png")
    assert made["negative"] == "b \N{FOX FACE}" and made["prompts"] == [["a \N{CAT FACE}", 1.0]]
    assert made["guidance"]["scale"] == 2.5
    assert load_image("y.png").shape == (32, 64, 3)


def test_plan(run):
    code, out, err = run("plan", "film.toml", "--frames", "5")
    assert code == 0 and err == ""
    rows = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert rows["frames"] == "5 of 10, 32x32, 24 fps, 0.2 s of film"
    assert rows["sampler"] == "dpmpp_2m, 2 steps, batch 4"
    assert rows["time"].startswith("about ")
    assert not Path("renders").exists()
    assert "not measured" in run("plan", "film.toml", "--no-measure")[1]


def test_sheet(run):
    run("render", "film.toml", "-o", "film")
    assert run("sheet", "film", "-o", "s.png", "--every", 5, "--labels") == (0, "s.png\n", "")
    assert run("sheet", "film", "-o", "s/strip.png", "--strip", 4)[0] == 0
    assert load_image("s/strip.png").shape == (40, 4 * 36 + 4, 3)
    assert run("sheet", "film/000000.png", "-o", "one.png")[0] == 0
    mistake(run("sheet", ".", "-o", "s.png"), "is no frame folder")
    mistake(run("sheet", "none.png", "-o", "s.png"), "none.png")
    mistake(run("sheet", "film.toml", "-o", "s.png"), "film.toml")
    mistake(run("sheet", "film", "-o", "s.jpg"), "s.jpg: pictures are written as .png")


def test_presets(run):
    assert "\nfour-seasons " in run("presets", "list")[1]
    assert run("presets", "show", "film.toml")[1] == FILM
    assert "prompts" in run("presets", "show", "four-seasons")[1]
    resolved = json.loads(run("presets", "show", "four-seasons", "--resolved")[1])
    assert resolved["model"] == "starter" and resolved["frames"]["noise"] == "fixed"
    schema = json.loads(run("presets", "schema")[1])
    assert schema["properties"]["terms"]["additionalProperties"]
    assert "travel_frames" in schema["$defs"]["FramesPart"]["properties"]


def test_models(run):
    assert run("models", "list")[1].startswith("starter ")
    shown = run("models", "show", "starter")[1]
    assert "licence" in shown and "denoiser.safetensors (" in shown and "missing" not in shown
    mistake(run("models", "show", "startr"), "did you mean 'starter'")


def test_doctor(run):
    code, out, _ = run("doctor")
    assert code == 0 and all(line.startswith("ok  ") for line in out.splitlines())


def test_doctor_finds_what_is_missing(run, monkeypatch):
    monkeypatch.setenv("ARTDIFF_PLUGINS", "stil")
    code, out, _ = run("doctor")
    assert code == 1
    assert "!!  plugins     PluginError: ARTDIFF_PLUGINS: no plugin 'stil'" in out


def test_plugins(run):
    listed = run("plugins", "list")[1]
    assert f"\nstill ({artdiff.__version__}, Apache-2.0)\n  frame sources      still\n" in listed
    shown = run("plugins", "show", "latent_interpolation")[1]
    assert shown.startswith("latent_interpolation: frame source of plugin latent_interpolation\n")
    assert "\n  stops (default 4): How many stops" in shown
    assert run("plugins", "show", "starter")[1].startswith("starter: model of plugin")
    mistake(run("plugins", "show", "latent_interpolatio"), "did you mean 'latent_interpolation'")


@pytest.mark.parametrize("kind", ["guidance", "projection", "effect"])
def test_a_new_plugin_runs_as_it_is(run, kind):
    code, out, _ = run("plugins", "new", "my-look", "--file", "--kind", kind)
    first, *following = out.splitlines()
    assert code == 0 and first == "my_look.py" and len(following) == 2
    check, show = (run(*line.removeprefix("next: artdiff ").split()) for line in following)
    assert check[0] == 0 and "of plugin my_look" in show[1]
    table = "effects" if kind == "effect" else "terms"
    words = ["-s", f"{table}.my-look.use=my-look", "--plugin", "my_look.py", "--frames", 1]
    words += ["-s", "terms.my-look.weight=300"] if kind == "guidance" else []
    assert run("render", "film.toml", "-o", "with", *words)[0] == 0
    assert run("render", "film.toml", "-o", "without", "--frames", 1)[0] == 0
    assert not np.array_equal(load_image("with/000000.png"), load_image("without/000000.png"))
    mistake(run("plugins", "new", "my-look", "--file"), "my_look.py is there already")
    mistake(run("plugins", "new", "My Look"), "use lower-case letters")
    mistake(run("plugins", "new", "x", "-o", "film.toml/x.py"), "cannot write", code=1)


@pytest.mark.parametrize("kind", ["guidance", "projection", "effect"])
def test_a_new_package_is_ready(run, kind, tmp_path):
    """Its check finds nothing, its test passes where it is installed, its preset makes frames."""
    code, out, _ = run("plugins", "new", "my-look", "--kind", kind, "-o", "made")
    assert code == 0 and "pip install -e made" in out
    code, out, _ = run("plugins", "check", "made/my_look")
    assert code == 0 and out.endswith("nothing wrong\n")
    info = tmp_path / "made" / "my_look-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: my-look\nVersion: 0.1.0\nLicense-Expression: MIT\n")
    points = tomllib.loads((tmp_path / "made" / "pyproject.toml").read_text())["project"]
    lines = [f"{k} = {v}" for k, v in points["entry-points"]["artdiff"].items()]
    (info / "entry_points.txt").write_text("\n".join(["[artdiff]", *lines]))
    here = {**os.environ, "PYTHONPATH": str(tmp_path / "made")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "made/tests"]
    tested = subprocess.run(command, cwd=tmp_path, env=here, capture_output=True, text=True)
    assert tested.returncode == 0, tested.stdout
    command = [sys.executable, "-m", "artdiff.cli", "plugins", "list"]
    listed = subprocess.run(command, cwd=tmp_path, env=here, capture_output=True, text=True)
    assert "my-look (0.1.0, MIT)\n" in listed.stdout
    mistake(run("plugins", "new", "my-look", "-o", "made"), "made is there already")
    mistake(run("plugins", "new", "x", "-o", "film.toml"), "film.toml is there already")


def test_the_tutorial_works(run):
    """What docs/plugin-tutorial.md tells to type makes a film."""
    text = (Path(__file__).parents[1] / "docs" / "plugin-tutorial.md").read_text("utf-8")
    blocks = [block.split("```")[0].split("\n", 1) for block in text.split("\n```")[1::2]]
    look = next(body for kind, body in blocks if kind == "python")
    preset = next(body for kind, body in blocks if body.startswith("title = "))
    assert run("plugins", "new", "golden-hour")[0] == 0
    assert "golden_hour/look.py" in text and "golden_hour/golden-hour.toml" in text
    package = Path("golden-hour") / "golden_hour"
    (package / "look.py").write_text(look)
    (package / "golden-hour.toml").write_text(preset)
    code, out, _ = run("plugins", "check", str(package))
    assert code == 0 and out.endswith("nothing wrong\n")
    hook = "import artdiff\n\n\n@artdiff.hookimpl\ndef register_guidance():\n"
    Path("plugin.py").write_text(f'{look}\n\n{hook}    return {{"golden-hour": GoldenHour}}\n')
    # the tiny model has learnt nothing, and takes much more of a push
    words = ["render", package / "golden-hour.toml", "--plugin", "plugin.py", "-s", "model=tiny",
             "-s", "guidance.through=x0", "-s", "terms.golden-hour.weight={0=0,1=6000}"]
    assert run(*words, "-o", "film", "--frames", "::23")[0] == 0
    stills = [load_image(f"film/{name}.png") for name in ("000000", "000023")]
    spec = importlib.util.spec_from_file_location("golden_hour_look", package / "look.py")
    assert spec and spec.loader
    spec.loader.exec_module(module := importlib.util.module_from_spec(spec))
    term = module.GoldenHour(module.GoldenHour.Options(), SimpleNamespace(decode=lambda x: x))
    losses = term.loss(torch.from_numpy(np.stack(stills)).permute(0, 3, 1, 2) / 127.5 - 1, 0, 0)
    assert losses[1] < losses[0]


@pytest.mark.parametrize(("api", "mend"), [(99, "a newer artdiff"), ("x", "a newer plugin")])
def test_a_plugin_for_other_hooks_says_so(run, tmp_path, api, mend):
    (tmp_path / "old.py").write_text(f"ARTDIFF_API = {api!r}\n")
    said = f"plugin 'old' was written for hooks {api!r}, this artdiff has 1; install {mend}"
    mistake(run("plugins", "list", "--plugin", "old.py"), said)


# Mistakes.


@pytest.mark.parametrize(("settings", "said"), [
    ("sampler.stpes=3", "-s sampler.stpes: unknown key; did you mean 'steps'?"),
    ("promt=a fox", "-s promt: unknown key; did you mean 'prompt'?"),
    ("prompts.-3=x", "-s prompts.-3: prompts: frame -3 lies before the film"),
    ("prompts.abc=x", "'abc' is not a frame; write 12"),
    ("guidance.scale={abc=1}", "-s guidance.scale: 'abc' is not a frame"),
    ("width=wide", "-s width: must be a valid integer (got 'wide')"),
    ("guidance.scale=nan", "-s guidance.scale: must be a finite number"),
    ("frames.fps=inf", "-s frames.fps: must be a finite number"),
    ("sampler.steps=true", "-s sampler.steps: must be a valid integer (got True)"),
    ("frames.travel_frames=true", "-s frames.travel_frames: must be a number (got True)"),
    ("frames.count=0", "-s frames.count: must be greater than or equal to 1 (got 0)"),
    ("sampler.steps=-4", "-s sampler.steps: must be greater than or equal to 1"),
    ("sampler.name=eulr", "did you mean 'euler'?"),
    ("frames.source=stil", "did you mean 'still'?"),
    ("terms.glow.weight=1", "unknown guidance term 'glow'"),
    ("effects.glow.x=1", "unknown effect 'glow'"),
    ("model=tny", "did you mean 'tiny'?"),
    ("width=100", "-s width: model 'tiny' needs a multiple of 32; the nearest is 96 (got 100)"),
    ("seed", "-s seed: write key=value"),
    ("=3", "-s =3: write key=value"),
])
def test_wrong_settings(run, settings, said):
    mistake(run("render", "film.toml", "-o", "film", "-s", settings), said)
    assert not Path("film").exists()


@pytest.mark.parametrize(("name", "content", "said"), [
    ("none.toml", None, "none.toml: no such file"),
    ("none", None, "unknown preset 'none'"),
    ("four-season", None, "did you mean 'four-seasons'?"),
    ("film", None, "(a file needs its .toml)"),
    ("folder.toml", "folder", "folder.toml: is a folder"),
    ("latin.toml", b"prompt = '\xe9'", "latin.toml: not UTF-8 (byte 10)"),
    ("binary.toml", bytes(range(256)), "binary.toml: not UTF-8"),
    ("prose.toml", b"Once upon a time", "prose.toml: not TOML: "),
    ("typo.toml", b"[sampler]\nstpes = 3", "typo.toml: sampler.stpes: unknown key; did you mean"),
    ("loop.toml", b"extends = 'loop.toml'", "loop.toml: extends itself"),
    ("x" * 300, None, "File name too long"),
])
def test_wrong_presets(run, name, content, said):
    if content == "folder":
        Path(name).mkdir()
    elif content is not None:
        Path(name).write_bytes(content)
    for command in ("plan", "render"):
        mistake(run(command, name), said, code=1 if "too long" in said else 2)


def test_an_empty_preset_is_a_preset(run):
    Path("empty.toml").write_text("")
    assert run("render", "empty.toml", "-s", "model=tiny")[:2] == (0, "renders/empty.png\n")


@pytest.mark.parametrize("frames", ["abc", "5:2", "::0", "::-1", "1:2:3:4", "0", "1.5", "99:"])
def test_wrong_frames(run, frames):
    mistake(run("render", "film.toml", "--frames", frames), f"--frames {frames}: ")


@pytest.mark.parametrize(("words", "said"), [
    (["rendr"], "no command 'rendr'; did you mean 'render'?"),
    (["render"], "Missing argument 'PRESET'"),
    (["render", "film.toml", "--nope"], "No such option"),
    (["presets", "shw"], "No such command 'shw'"),
    (["image", "fox", "-n", "0"], "0 is not in the range"),
    (["image", "fox", "--size", "big"], "write WIDTHxHEIGHT"),
    (["image", "fox", "--seed", "1e3"], "not a valid integer"),
    (["image", "fox", "-o", "fox.jpg"], "pictures are written as .png"),
    (["image", "fox", "--steps", "0", "--model", "tiny"], "-s sampler.steps: must be greater"),
    (["image", "fox", "--scale", "nan", "--model", "tiny"], "-s guidance.scale: must be a number"),
    (["train", "nothing"], "unknown recipe 'nothing'; known: judge-clip"),
    (["train", "none.toml"], "none.toml: cannot be read"),
    (["train", "film.toml"], "film.toml: "),
    (["train", "starter-codec", "--minutes", "-1"], "not in the range"),
])
def test_wrong_words(run, words, said):
    mistake(run(*words), said)


@pytest.mark.parametrize(("text", "said"), [
    (None, "no such file"), ("def x(:", "plugin 'bad' could not be loaded: SyntaxError"),
    ("import nothing_like_this", "ModuleNotFoundError"),
    ("import artdiff\n@artdiff.hookimpl\ndef register_effect():\n    return {}",
     "unknown hook 'register_effect'; did you mean 'register_effects'?"),
])
def test_wrong_plugins(run, text, said):
    if text is not None:
        Path("bad.py").write_text(text)
    mistake(run("render", "film.toml", "--plugin", "bad.py"), said)


def test_help_stays_when_a_plugin_is_broken(run, monkeypatch):
    monkeypatch.setenv("ARTDIFF_PLUGINS", "no-such-plugin")
    code, out, err = run("--help")
    assert code == 0 and "\n  render " in out
    assert err.startswith("Commands of plugins are missing here: ARTDIFF_PLUGINS: no plugin")
    mistake(run("wave"), "no plugin 'no-such-plugin' is installed")


# Models.


def cut(path):
    path.write_bytes(path.read_bytes()[:1000])


DAMAGE = {
    "missing weights": (lambda f: (f / "denoiser.safetensors").unlink(), "denoiser.safetensors"),
    "cut weights": (lambda f: cut(f / "denoiser.safetensors"), "are damaged"),
    "no weights": (lambda f: (f / "codec.safetensors").write_text("hello"), "are damaged"),
    "swapped weights": (
        lambda f: shutil.copy(f / "codec.safetensors", f / "denoiser.safetensors"),
        "denoiser.safetensors is not a denoiser"),
    "missing words": (lambda f: (f / "vocabulary.txt").unlink(), "vocabulary.txt"),
    "too many words": (
        lambda f: (f / "vocabulary.txt").write_text("\n".join(map(str, range(99)))),
        "vocabulary.txt has 102 ids, the denoiser knows 32"),
    "no card": (lambda f: (f / "card.toml").write_text("name"), "card.toml: not a model card"),
    "odd card": (lambda f: (f / "card.toml").write_text("nam = 3"), "card.toml: not a model card"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_models(run, tiny_folder, tiny_plugin, tmp_path, damage):
    folder = tmp_path / "damaged"
    shutil.copytree(tiny_folder, folder)
    tiny_plugin.write_text(tiny_plugin.read_text().replace(str(tiny_folder), str(folder)))
    change, said = DAMAGE[damage]
    change(folder)
    mistake(run("image", "fox", "--model", "tiny"), said)
    mistake(run("render", "film.toml"), said, begun="render:   0%")


# The machine.


def test_places_that_cannot_be_written(run):
    Path("file").write_text("mine")
    mistake(run("render", "film.toml", "-o", "file"), "is not a folder")
    mistake(run("render", "film.toml", "-o", "file/film.mp4"), "is not a folder")
    mistake(run("image", "fox", "-s", "model=tiny", "-o", "file/fox.png"), "cannot write",
            code=1, begun="image: ")
    assert Path("file").read_text() == "mine"
    if os.path.isdir("/proc/self"):
        mistake(run("render", "film.toml", "-o", "/proc/film.mp4"), "/proc/film", code=1)
    mistake(run("render", "film.toml", "-o", "film.avi"), "cannot write '.avi'; use .mp4")


@pytest.fixture
def disk(small_disk):
    with small_disk("64k") as folder:
        yield folder


def test_a_full_disk_keeps_what_is_finished(run, disk):
    result = run("render", "film.toml", "-o", disk / "film.mp4")
    assert result[0] == 1 and result[1] == ""
    last = result[2].splitlines()[-1]
    assert last.startswith("Error: cannot write 0000") and "finished frames are kept" in last
    store = FrameStore.existing(disk / "film.frames")
    kept = store.present()
    assert 0 < len(kept) < 10 and store.verify() == []
    subprocess.run(["mount", "-o", "remount,size=1m", str(disk)], check=True)
    code, out, err = run("render", "film.toml", "-o", disk / "film.mp4")
    assert (code, out) == (0, f"{disk / 'film.mp4'}\n") and f", {len(kept)} were there" in err


def test_errors_without_a_line_of_their_own():
    said = command_line._unexpected
    full = "No space left on device"
    assert said(OSError(errno.ENOSPC, full, "x")) == f"x: {full}"
    memory = "[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: can't allocate memory: you"
    assert said(RuntimeError(memory)).startswith("not enough memory; lower batch")
    assert said(MemoryError()).startswith("not enough memory")
    assert "KeyError: 'x' (this is a bug of artdiff" in said(KeyError("x"))


def test_a_bug_is_one_line_or_a_traceback(run, monkeypatch, capsys):
    def broken(*args, **options):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("artdiff.plan.resolve.resolve", broken)
    monkeypatch.setattr("artdiff.api.resolve", broken)
    code, _, err = run("plan", "film.toml")
    assert code == 1 and err.count("\n") == 1 and "ZeroDivisionError" in err and "bug" in err
    monkeypatch.setenv("ARTDIFF_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        main(["plan", "film.toml"])


def test_a_command_of_a_plugin_that_fails_names_the_plugin(run, monkeypatch, tmp_path):
    (tmp_path / "waves.py").write_text(
        "import artdiff\n@artdiff.hookimpl\ndef register_commands(cli):\n"
        "    @cli.command()\n    def wave():\n        raise ValueError('too windy')\n")
    registry = artdiff.create_registry(artdiff.Selection((), (str(tmp_path / "waves.py"),)))
    monkeypatch.setattr("artdiff.registry.create_registry", lambda: registry)
    monkeypatch.setattr(cli, "commands", {})
    assert run("--help")[1].rstrip().endswith("wave")
    mistake(run("wave"), "plugin 'waves' failed: ValueError: too windy")


# Signals and pipes.

STOP = """
import os, signal
import artdiff

@artdiff.hookimpl
def on_frame(job):
    if job.index == 6:
        os.kill(os.getpid(), signal.SIGINT)
"""


def test_ctrl_c_is_130_and_one_line(run, tiny_plugin):
    Path("stop.py").write_text(STOP)
    done = subprocess.run(
        [sys.executable, "-m", "artdiff.cli", "render", "film.toml", "-o", "film.mp4",
         "--plugin", str(tiny_plugin), "--plugin", "stop.py"], capture_output=True, text=True,
    )
    assert done.returncode == 130 and done.stdout == ""
    assert "Traceback" not in done.stderr and "\r" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("stopped; what is finished is kept")
    store = FrameStore.existing("film.frames")
    assert store.present() == [0, 1, 2, 3, 4, 5] and store.verify() == []
    assert run("render", "film.toml", "-o", "film.mp4")[0] == 0


def test_a_reader_that_went_away_is_no_error(run):
    end, beginning = os.pipe()
    os.close(end)
    command = [sys.executable, "-m", "artdiff.cli", "presets", "list"]
    done = subprocess.run(command, stdout=beginning, stderr=subprocess.PIPE, text=True)
    os.close(beginning)
    assert done.returncode == 1 and done.stderr == ""
