"""artdiff vary: by strength, by inversion, by subseed, by image prompt."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import artdiff
from artdiff.api import image, prepare
from artdiff.errors import FrameError, PresetError
from artdiff.preset.draft import Draft
from artdiff.renderer import load_engine
from artdiff_plugins.variations.command import command
from artdiff_plugins.variations.settings import by_subseed, fitting_note, sized


@pytest.fixture
def vary(tiny_plugin, tmp_path, monkeypatch):
    """``vary("a.png", ...)``: the pictures that the command wrote, and what it said."""
    monkeypatch.chdir(tmp_path)

    def run(*args, model="tiny"):
        given = [*(["--model", model] if model else []), "--plugin", str(tiny_plugin)]
        done = CliRunner().invoke(command, [*args, *given])
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        lines = done.output.splitlines()
        files = [Path(line) for line in lines if line.endswith(".png") and Path(line).is_file()]
        return [np.array(Image.open(file)) for file in files], done.output

    return run


@pytest.fixture
def drawn(registry, tmp_path):
    """made.png: a picture of the tiny model, with its settings inside."""
    settings = {"model": "tiny", "seed": 7, "guidance.scale": 1.5, "negative": "a cat"}
    ((job, picture),) = image("a red fox", settings=settings, registry=registry)
    artdiff.save_bytes(tmp_path / "made.png", artdiff.encode_png(picture, job.record()))
    return picture


@pytest.fixture
def photo(tmp_path):
    """photo.png, 48x80, smooth."""
    rows, columns = np.mgrid[:48, :80] / 80
    picture = np.stack([rows, columns, 1 - rows], -1) * 255
    Image.fromarray(picture.astype(np.uint8)).save(tmp_path / "photo.png")


def apart(a, b):
    return np.abs(a.astype(float) - b).mean()


def test_each_seed_gives_another_picture_and_the_same_one_again(vary, photo):
    made, said = vary("photo.png", "a red fox", "-n", "3", "-o", "v.png")
    assert len(made) == 3 and "Note: the picture, 80x48, is scaled and cut to 32x32" in said
    assert apart(made[0], made[1]) > 0 and apart(made[1], made[2]) > 0
    again, _ = vary("photo.png", "a red fox", "-n", "3", "-o", "w.png")
    assert all(np.array_equal(a, b) for a, b in zip(made, again, strict=True))
    second, _ = vary("photo.png", "a red fox", "-n", "1", "--seed", "1", "-o", "x.png")
    assert apart(second[0], made[1]) <= 1


def test_strength_0_is_the_picture_through_the_codec_and_more_is_further(vary, photo):
    kept = [vary("photo.png", "-n", "1", "--strength", s, "-o", f"{s}.png")[0][0]
            for s in ("0", "0.25", "0.9")]  # fmt: skip
    other = vary("photo.png", "-n", "1", "--strength", "0", "--seed", "5", "-o", "o.png")[0][0]
    assert np.array_equal(kept[0], other)
    assert 0 < apart(kept[1], kept[0]) < apart(kept[2], kept[0])


def test_inversion_gives_the_picture_back_where_nothing_changes(vary, photo):
    plain = ["-s", "guidance.scale=1", "-s", "sampler.name=ddim", "-s", "sampler.steps=50"]
    shows = ["--shows", "a red fox", "a red fox"]
    start, _ = vary("photo.png", "-n", "1", "--strength", "0", "-o", "a.png")
    deep = ["--how", "inversion", "--strength", "0.8"]
    back, _ = vary("photo.png", *shows, "-n", "1", *deep, *plain, "-o", "b.png")
    noise, _ = vary(
        "photo.png", "a red fox", "-n", "1", "--strength", "0.8", *plain, "-o", "c.png"
    )
    assert apart(back[0], start[0]) < 0.3 * apart(noise[0], start[0])


def test_several_inversions_differ_a_little(vary, photo):
    made, _ = vary("photo.png", "a cat", "-n", "2", "--how", "inversion", "-o", "i.png")
    one, _ = vary("photo.png", "a cat", "-n", "1", "--how", "inversion", "-o", "j.png")
    assert apart(made[0], made[1]) > 0 and apart(made[0], one[0]) > 0
    far, _ = vary("photo.png", "a cat", "-n", "2", "--how", "inversion", "--subseed", "0",
                  "--subseed-strength", "0.9", "-o", "k.png")  # fmt: skip
    assert apart(far[1], one[0]) > apart(made[1], one[0])


def test_how_far_several_inversions_differ_may_be_said_without_a_subseed(vary, photo):
    made = {
        how: vary("photo.png", "a cat", "-n", "2", "--how", "inversion", *more, "-o", f"{how}.png")
        for how, more in {
            "near": ["--subseed-strength", "0"],
            "plain": [],
            "same": ["--subseed-strength", "0.15"],
            "far": ["--subseed-strength", "0.9"],
        }.items()
    }
    near, plain, same, far = (pictures for pictures, _ in made.values())
    assert np.array_equal(near[0], near[1])
    assert np.array_equal(plain, same)
    assert 0 < apart(plain[1], near[1]) < apart(far[1], near[1])


def test_subseeds_lie_round_the_picture(vary, drawn):
    same, _ = vary(
        "made.png", "-n", "2", "--subseed", "3", "--subseed-strength", "0", "-o", "s.png"
    )
    assert apart(same[0], drawn) <= 1 and np.array_equal(same[0], same[1])
    near, _ = vary(
        "made.png", "-n", "2", "--subseed", "3", "--subseed-strength", "0.2", "-o", "n.png"
    )
    far, _ = vary(
        "made.png", "-n", "2", "--subseed", "3", "--subseed-strength", "1", "-o", "f.png"
    )
    assert 0 < apart(near[0], drawn) < apart(far[0], drawn)
    assert not np.array_equal(near[0], near[1])


def test_a_subseed_takes_the_settings_of_the_picture(drawn, tmp_path):
    values = by_subseed(tmp_path / "made.png", 3, None)
    expected = {"seed": 7, "prompt": "a red fox", "negative": "a cat", "width": 32, "height": 32,
                "model": "tiny", "subseed": 3, "subseed_strength": 0.3}  # fmt: skip
    assert expected.items() <= values.items() and values["guidance"]["scale"] == 1.5
    other = by_subseed(tmp_path / "made.png", 3, None, "starter")
    assert other["guidance"] == {"scale": 1.5, "rescale": 0.0}
    assert not {"model", "sampler", "terms"} & set(other)


@pytest.fixture
def special(registry, tmp_path):
    """special.png: drawn by another sampler, with a term that names a file, and an effect."""
    Image.new("RGB", (32, 32), "teal").save(tmp_path / "palette.png")
    settings = {
        "model": "tiny", "sampler": {"name": "euler", "steps": 3, "shift": 2.0}, "seed": 5,
        "terms": {"look \N{FOX FACE}": {"use": "likeness", "image": str(tmp_path / "palette.png"),
                                     "weight": {"0": 20.0, "9": 40.0}},
                  "dark": {"use": "exposure", "brightness": None, "contrast": 0.2, "weight": 9.0}},
        "guidance": {"combine": "priority", "scale": 2.0, "percentile": 0.99},
        "effects": {"large": {"use": "upscale", "steps": 1}},
    }  # fmt: skip
    ((job, picture),) = image("a red fox", settings=settings, registry=registry)
    artdiff.save_bytes(tmp_path / "special.png", artdiff.encode_png(picture, job.record()))
    return picture


def test_a_subseed_takes_sampler_terms_and_effects_along(vary, special, tmp_path):
    same = ["special.png", "-n", "1", "--subseed", "3", "--subseed-strength", "0"]
    (again,), _ = vary(*same, "-o", "a.png", model=None)
    assert np.array_equal(again, special)
    for more in ("sampler.steps=4", "sampler.name=heun", "guidance.name=apg"):
        (other,), said = vary(*same, "-s", more, "-o", "b.png", model=None)
        assert not np.array_equal(other, special) and "other weights" not in said
    order = [list(artdiff.read_settings("a.png")["made_with"]["order"]["terms"])]
    assert order == [["look \N{FOX FACE}", "dark"]]
    Image.new("RGB", (32, 32), "red").save(tmp_path / "palette.png")
    with pytest.raises(PresetError, match=r"special\.png: .*palette\.png is not the file"):
        vary(*same, model=None)
    (tmp_path / "palette.png").unlink()
    with pytest.raises(PresetError, match=r"no such file.*palette\.png"):
        vary(*same, model=None)


def test_what_a_variation_says_of_itself(vary, drawn):
    vary("made.png", "-n", "1", "--subseed", "3", "-o", "s.png")
    assert artdiff.read_settings("s.png")["start"] == [7, 3, 0.3]
    vary("made.png", "-n", "1", "--strength", "0.4", "-o", "t.png")
    init = artdiff.read_settings("t.png")["init"]
    assert init["strength"] == 0.4 and init["image"].startswith("made.png@")


def test_a_sheet_begins_with_the_picture(vary, drawn):
    _, said = vary("made.png", "-n", "3", "--grid", "-o", "grid.png")
    sheet = np.array(Image.open("grid.png"))
    assert said.strip().endswith("grid.png") and sheet.shape == (88, 88, 3)
    assert np.array_equal(sheet[8:40, 8:40], drawn)


def test_names_are_free(vary, drawn):
    vary("made.png", "-n", "2", "-s", "sampler.steps=1")
    assert Path("made-varied-0.png").exists() and Path("made-varied-1.png").exists()
    vary("made.png", "-n", "1", "-s", "sampler.steps=1")
    assert Path("made-varied.png").exists()
    vary("made.png", "-n", "1", "-s", "sampler.steps=1")
    assert Path("made-varied-2.png").exists()


@pytest.mark.parametrize(("args", "said"), [
    (["gone.png"], "gone.png does not exist"),
    (["bad.png"], "bad.png is not a whole picture"),
    (["text.png"], "text.png is not a whole picture"),
    (["photo.png", "--strength", "1.5"], "1.5 is not in the range 0<=x<=1"),
    (["photo.png", "--strength", "-1"], "not in the range"),
    (["photo.png", "--subseed", "3"], "photo.png carries no artdiff settings"),
    (["photo.png", "--subseed", "3", "--strength", "0.5"], "only by --how inversion"),
    (["photo.png", "--subseed", "3", "--seed", "0"], "--seed: goes with --subseed only by"),
    (["photo.png", "--subseed-strength", "0.5"], "goes with --subseed"),
    (["photo.png", "--how", "inversion", "-n", "1", "--subseed-strength", "0.5"],
     "goes with --subseed, or with several pictures by --how inversion"),
    (["photo.png", "--shows", "a fox"], "goes with --how inversion"),
    (["photo.png", "--how", "magic"], "'magic' is not one of"),
    (["photo.png", "--size", "big"], "write WIDTHxHEIGHT"),
    (["photo.png", "--size", "40x40"], "width: model 'tiny' needs a multiple of 32"),
    (["photo.png", "-o", "x.jpg"], "written as .png"),
    (["photo.png", "-s", "sampler.stepz=3"], "unknown key"),
])  # fmt: skip
def test_mistakes_are_one_line(args, said, vary, photo, tmp_path):
    (tmp_path / "bad.png").write_bytes((tmp_path / "photo.png").read_bytes()[:90])
    (tmp_path / "text.png").write_text("a picture")
    try:
        _, told = vary(*args)
    except artdiff.ArtdiffError as error:
        told = str(error)
        assert "\n" not in told
    assert said in told
    assert not list(tmp_path.glob("*varied*"))


def test_other_weights_are_told(vary, drawn, tmp_path):
    said = artdiff.read_settings("made.png")
    said["made_with"]["model"]["weights"] = "0" * 16
    artdiff.save_bytes("old.png", artdiff.encode_png(drawn, said))
    _, told = vary("old.png", "-n", "1", "--subseed", "3", "-o", "new.png")
    assert "Note: old.png was drawn by other weights of model 'tiny'" in told


@pytest.mark.parametrize(("record", "said"), [
    ({"upscaled": "a.png"}, "settings that are not those of a drawn picture"),
    ({"prompts": [["a", 1.0]], "negative": "", "start": [1, 2, 0.5],
      "guidance": {"scale": 1.0, "rescale": 0.0}}, "between two seeds"),
    ({"prompts": [["a", 1.0]], "negative": "", "start": [1, 1, 0], "init": {},
      "guidance": {"scale": 1.0, "rescale": 0.0}}, "was drawn from a picture"),
    ({"prompts": [["a", 1.0]], "negative": "", "start": [1, 1, 0], "terms": {"inpainting": {}},
      "guidance": {"scale": 1.0, "rescale": 0.0}, "inpaint": {}}, "was drawn into a picture"),
    ({"prompts": [["a", 1.0]], "negative": "", "start": [1, 1, 0], "terms": 3,
      "guidance": {"scale": 1.0, "rescale": 0.0}}, "settings that are not those of a drawn"),
])  # fmt: skip
def test_pictures_that_have_no_noise_of_their_own(record, said, tmp_path):
    file = tmp_path / "a.png"
    file.write_bytes(artdiff.encode_png(np.zeros((8, 8, 3), np.uint8), record))
    with pytest.raises(FrameError, match=said):
        by_subseed(file, 0, None)


def test_odd_sizes_are_said():
    wide, square = np.zeros((10, 40, 3), np.uint8), np.zeros((64, 64, 3), np.uint8)
    assert fitting_note(square, square) == ""
    assert "40x10, is scaled and cut to 64x64" in fitting_note(wide, square)
    assert "64x64, is scaled to 32x32" in fitting_note(square, square[:32, :32])


def test_sizes():
    assert sized(None) == {} and sized("32X64") == {"width": 32, "height": 64}
    with pytest.raises(PresetError, match="--size 32: write"):
        sized("32")


def test_a_keyframed_strength_makes_a_film_of_one_picture(registry, photo, tmp_path):
    values = {
        "model": "tiny",
        "prompt": "a red fox",
        "frames": {"source": "prompt_animation", "count": 3},
        "init": {"image": str(tmp_path / "photo.png"), "strength": {"0": 0.0, "2": 0.9}},
    }
    plan = prepare(Draft("film", values, {}), registry).plan
    frames = load_engine(plan, registry).images([plan.job(i) for i in range(3)])
    assert 0 < apart(frames[1], frames[0]) < apart(frames[2], frames[0])


def test_an_image_prompt_is_a_clip_term(drawn, tmp_path):
    from artdiff_plugins.variations.settings import by_words

    values = by_words(tmp_path / "made.png")
    shown = [str(tmp_path / "made.png")]
    wanted = {"terms.clip.image_prompts": shown, "terms.clip.weight": 30, "terms.clip.use": "clip"}
    assert values == wanted
    beside = by_words(tmp_path / "made.png", ["clip"])
    assert set(beside) == {key.replace(".clip.", ".clip-picture.") for key in wanted}
