"""Pictures of any size through a small model, films with moving masks, and the two commands."""

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import artdiff
from artdiff.api import prepare
from artdiff.errors import PresetError
from artdiff.preset.draft import Draft, overlay
from artdiff.renderer import load_engine
from artdiff_plugins.inpainting.command import inpaint, outpaint
from artdiff_plugins.inpainting.files import read_mask
from artdiff_plugins.inpainting.windows import Box, Draw, around, extend, fill, repaint

QUICK = ("model='tiny'", "sampler.steps=2")


def noise(width, height, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def save(path, picture):
    Image.fromarray(picture).save(path)
    return str(path)


@pytest.fixture
def draw(registry):
    return Draw(registry, "a red fox", (32, 32), settings=QUICK)


def film(registry, folder, **more):
    for index in range(3):
        save(folder / f"film-{index:02d}.png", noise(64, 64, index))
        Image.fromarray(np.full((64, 64), 255 * (index % 2), np.uint8)).save(
            folder / f"m{index + 1}.png"
        )
    values = {
        "model": "tiny", "width": 64, "height": 64, "prompt": "a red fox",
        "frames": {"source": "still", "count": 6}, "sampler": {"name": "repaint", "steps": 3},
        "terms": {"inpainting": {
            "image": str(folder / "film-%02d.png"), "mask": "circle(x, 0.5, r) | (odd & all)",
            "files": {"odd": str(folder / "m%d.png")}, "x": {"0": 0.0, "100%": 1.0}, "r": 0.3,
        }},
    } | more  # fmt: skip
    return prepare(overlay(Draft("film", {}, {}), values, "film"), registry).plan


def test_masks_move_over_a_film(registry, tmp_path):
    plan = film(registry, tmp_path)
    engine = load_engine(plan, registry)
    for index, middle, count in ((0, 0, 1), (1, None, 2), (5, 63, 3)):
        instance = engine.terms.instance(0, plan.job(index))
        mask = instance.mask
        assert (instance.picture == noise(64, 64, count - 1)).all()
        assert mask.all() if middle is None else mask[32, middle] and not mask[32, 63 - middle]


def test_batches_and_workers_do_not_matter(registry, tmp_path):
    pictures = []
    for batch in (1, 4):
        plan = film(registry, tmp_path, batch=batch)
        engine = load_engine(plan, registry)
        jobs = [plan.job(i) for i in range(plan.count)]
        parts = [jobs[i : i + batch] for i in range(0, len(jobs), batch)]
        pictures.append([p for part in parts for p in engine.images(part)])
    worker = load_engine(film(registry, tmp_path), registry)
    alone = worker.images([worker.plan.job(4)])[0]
    for one, four in zip(*pictures, strict=True):
        assert np.abs(one.astype(int) - four).max() <= 1
    assert np.abs(alone.astype(int) - pictures[0][4]).max() <= 1
    assert len({p.tobytes() for p in pictures[0]}) == 6


def test_another_picture_is_another_film(registry, tmp_path):
    keys = []
    for seed in (0, 9):
        plan = film(registry, tmp_path)
        if seed:
            save(tmp_path / "film-01.png", noise(64, 64, seed))
            values = {"model": "tiny", "terms": plan.preset.terms}
            assert values
            plan = prepare(
                overlay(Draft("film", {}, {}), {
                    "model": "tiny", "width": 64, "height": 64,
                    "terms": {"inpainting": {"image": str(tmp_path / "film-%02d.png")}},
                }, "film"), registry,
            ).plan  # fmt: skip
        keys.append(plan.preset.terms["inpainting"]["image"])
    assert keys[0] != keys[1] and keys[0][0] == keys[1][0]
    assert str(tmp_path) not in str(keys)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"image": "gone.png"}, "terms.inpainting.image: no such file"),
        ({"image": "gone-%04d.png"}, "no such files"),
        ({"image": "50%s-%d.png"}, "no such files"),
        ({"image": ""}, "is a folder"),
        ({"image": "film-%02d.png", "files": {"a": "gone.png"}}, "files: no such file"),
        ({"image": "film-%02d.png", "mask": "circle(z, 0, 1)"}, "unknown name 'z'"),
        ({"image": "film-%02d.png", "x": "left"}, "must be a valid number"),
        ({"image": "film-%02d.png", "maks": "all"}, "did you mean 'mask'"),
        ({}, "terms.inpainting.image: is missing"),
    ],
)
def test_mistakes_in_a_preset_name_the_key(registry, tmp_path, monkeypatch, values, said):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "film-00.png", noise(32, 32))
    draft = overlay(Draft("film", {}, {}), {"model": "tiny", "terms": {"inpainting": values}}, "")
    with pytest.raises(PresetError) as caught:
        prepare(draft, registry)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_box_may_reach_beyond_the_picture():
    picture = noise(10, 6)
    box = Box(-3, -2, 20, 12)
    cut = box.cut(picture)
    assert (cut[2:8, 3:13] == picture).all() and (cut[2:8, 2] == picture[:, 1]).all()
    assert box.outside(6, 10).sum() == 20 * 12 - 60
    assert (box.paste(picture, cut) == picture).all()
    changed = Box(8, 4, 4, 4).paste(picture, np.zeros((4, 4, 3), np.uint8))
    assert not changed[4:, 8:].any() and (changed[:4] == picture[:4]).all()
    assert Box(-1, 0, 5, 1).cut(noise(1, 1)).shape == (1, 5, 3)


@pytest.mark.parametrize(
    ("size", "hole", "whole", "wanted"),
    [
        ((100, 80), (50, 40, 60, 50), False, Box(39, 29, 32, 32)),
        ((100, 80), (0, 0, 4, 4), False, Box(0, 0, 32, 32)),
        ((100, 80), (96, 76, 100, 80), False, Box(68, 48, 32, 32)),
        ((100, 80), (10, 10, 60, 20), False, Box(7, 0, 56, 56)),
        ((100, 80), (50, 40, 60, 50), True, Box(0, -10, 100, 100)),
        ((20, 80), (5, 40, 9, 44), False, Box(-6, 26, 32, 32)),
    ],
)
def test_windows_around_masks(size, hole, whole, wanted):
    mask = np.zeros((size[1], size[0]), np.float32)
    mask[hole[1] : hole[3], hole[0] : hole[2]] = 1
    assert around(mask, (32, 32), 3, whole) == wanted


def test_an_empty_mask_is_told():
    with pytest.raises(PresetError, match="repaints nothing"):
        around(np.zeros((4, 4), np.float32), (32, 32), 3)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize(("width", "height"), [(32, 32), (90, 70), (20, 24), (200, 33)])
def test_pictures_of_any_size_keep_their_pixels(draw, width, height, whole):
    picture, mask = noise(width, height), np.zeros((height, width), np.float32)
    mask[5:15, 3:18] = 1
    mask[15:17, 3:18] = 0.4
    ((_, done),) = repaint(draw, picture, mask, around(mask, draw.size, 4, whole))
    assert done.shape == picture.shape and (done[mask == 0] == picture[mask == 0]).all()
    assert (done[mask == 1] != picture[mask == 1]).any()


@pytest.mark.parametrize(
    ("size", "sides"),
    [((32, 32), (20, 0, 0, 0)), ((20, 16), (3, 5, 0, 7)), ((50, 40), (0, 30, 10, 0))],
)
def test_outpainting_keeps_the_picture(draw, size, sides):
    picture = noise(*size)
    *_, (share, done) = extend(draw, picture, sides, 16)
    left, right, top, bottom = sides
    assert share == 1
    assert done.shape == (size[1] + top + bottom, size[0] + left + right, 3)
    inner = done[top : top + size[1], left : left + size[0]]
    assert (inner == picture).all()
    outer = np.ones(done.shape[:2], bool)
    outer[top : top + size[1], left : left + size[0]] = False
    assert done[outer].std() > 0


@pytest.mark.parametrize("size", [(90, 50), (20, 24)])
def test_windows_fill_a_mask_that_is_larger_than_the_model(draw, size):
    picture, mask = noise(*size), np.zeros(size[::-1], np.float32)
    mask[5:20] = 1
    mask[20:22] = 0.5
    *_, (share, done) = fill(draw, picture, mask, 16)
    assert share == 1 and (done[mask == 0] == picture[mask == 0]).all()
    assert (done[mask == 1] != picture[mask == 1]).any(1).mean() > 0.9


def test_an_effect_that_enlarges_a_window_is_told(registry):
    settings = (*QUICK, "effects.upscale.factor=2", "effects.upscale.steps=1")
    large = Draw(registry, "a red fox", (32, 32), settings=settings)
    picture, mask = noise(40, 40), np.zeros((40, 40), np.float32)
    mask[5:15, 3:18] = 1
    for made in (
        repaint(large, picture, mask, around(mask, large.size, 4)),
        extend(large, picture, (0, 8, 0, 0), 16),
    ):
        with pytest.raises(PresetError) as caught:
            next(made)
        assert str(caught.value) == (
            "-s effects.upscale: makes a window 64x64 instead of 32x32; leave it out"
        )
    mask[:] = 1
    ((_, done),) = repaint(large, picture, mask, around(mask, large.size, 0))
    assert done.shape == picture.shape


def test_the_mask_of_a_command(tmp_path):
    picture = noise(8, 6)
    path = tmp_path / "a.png"
    save(path, picture)
    grey = np.zeros((6, 8), np.uint8)
    grey[:2] = 255
    file = tmp_path / "m.png"
    Image.fromarray(grey).save(file)
    assert (read_mask(str(file), path, picture) == (grey > 0)).all()
    assert (read_mask("!m & all", path, picture, (f"m={file}",)) == (grey == 0)).all()
    holes = tmp_path / "holes.png"
    Image.fromarray(np.dstack([picture, 255 - grey])).save(holes)
    assert (read_mask(None, holes, picture) == (grey > 0)).all()


def test_texts_are_found_by_the_encoder(tmp_path, monkeypatch):
    class Encoder:
        def relevance(self, images, words):
            assert images.shape == (1, 3, 6, 8) and words == "the sky"
            return (images[:, :1] > 0).float()

    monkeypatch.setattr(artdiff, "load_encoder", Encoder, raising=False)
    picture = noise(8, 6)
    path = tmp_path / "a.png"
    save(path, picture)
    found = read_mask("text('the sky')", path, picture)
    assert (found == (picture[..., 0] > 127)).all()


def command(function, *arguments):
    return CliRunner().invoke(function, list(map(str, arguments)))


def test_inpaint_and_outpaint(tmp_path, tiny_plugin, monkeypatch):
    monkeypatch.setenv("ARTDIFF_PLUGINS", "inpainting,still")
    picture = noise(40, 40)
    source = save(tmp_path / "a.png", picture)
    common = ["a red fox", "--model", "tiny", "--steps", 2, "--plugin", tiny_plugin]
    out = tmp_path / "out.png"
    done = command(inpaint, source, *common, "--mask", "circle(.5,.5,.2)", "-o", out, "-n", 2)
    assert done.exit_code == 0, done.output
    first, second = (np.asarray(Image.open(tmp_path / f"out-{i}.png")) for i in (0, 1))
    assert first.shape == (40, 40, 3) and (first != second).any()
    assert (first[:10] == picture[:10]).all() and (first != picture).any()
    said = artdiff.read_settings(tmp_path / "out-0.png")
    assert said["inpaint"]["mask"] == "circle(.5,.5,.2)" and str(tmp_path) not in str(said)
    done = command(outpaint, source, *common, "--right", 10, "-o", tmp_path / "wide.png")
    assert done.exit_code == 0, done.output
    wide = np.asarray(Image.open(tmp_path / "wide.png"))
    assert wide.shape == (40, 50, 3) and (wide[:, :40] == picture).all()


def test_a_second_run_writes_beside_the_first(tmp_path, tiny_plugin, monkeypatch):
    monkeypatch.setenv("ARTDIFF_PLUGINS", "inpainting,still")
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "a.png", noise(32, 32))
    common = ["a.png", "a red fox", "--model", "tiny", "--steps", 1, "--plugin", tiny_plugin]
    for number, written in (
        (2, ["a-inpainted-0.png", "a-inpainted-1.png"]),
        (2, ["a-inpainted-2-0.png", "a-inpainted-2-1.png"]),
        (1, ["a-inpainted.png"]),
        (1, ["a-inpainted-2.png"]),
    ):
        done = command(inpaint, *common, "--mask", "circle(.5,.5,.2)", "-n", number)
        assert done.output.splitlines()[-number:] == written


@pytest.mark.parametrize("setting", ["width=64", "height = 64"])
def test_a_size_of_windows_is_refused_before_anything_is_drawn(tmp_path, tiny_plugin, setting):
    source = save(tmp_path / "a.png", noise(40, 40))
    common = ["a fox", "--model", "tiny", "--plugin", tiny_plugin]
    for function, more in ((inpaint, ["--mask", "text('sky')"]), (outpaint, ["--left", 8])):
        done = command(function, source, *common, *more, "-s", setting)
        assert isinstance(done.exception, PresetError)
        side = setting.split("=")[0].strip()
        said = f"-s {setting}: a window has the model's {side}, 32; leave it out"
        assert str(done.exception) == said


def test_the_size_of_the_model_may_be_said(tmp_path, tiny_plugin):
    source = save(tmp_path / "a.png", noise(40, 40))
    given = ["--model", "tiny", "--steps", 1, "--plugin", tiny_plugin, "-s", "width=32"]
    more = ["--mask", "circle(.5,.5,.2)", "-o", tmp_path / "b.png"]
    done = command(inpaint, source, "a fox", *given, *more)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--mask", "circle(.5,.5"], "--mask: at column 7: '(' is not closed"),
        (["--mask", "circel(.5,.5,.1)"], "did you mean 'circle'"),
        (["--mask", "nothere.png"], "nothere.png: no such file"),
        (["--mask", "!all"], "the mask is empty"),
        (["--mask", "x"], "unknown name 'x'"),
        ([], "no transparent places"),
        (["--mask", "m & all", "--file", "m"], "write NAME=PATH"),
        (["--mask", "m & all", "--file", "m=small.png"], "is 8x8 pixels, the image 40x40"),
        (["--mask", "all", "--model", "startr"], "did you mean 'starter'"),
        (["--mask", "all", "-o", "a.jpg"], "written as .png"),
    ],
)
def test_mistakes_are_one_line(tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "a.png", noise(40, 40))
    save(tmp_path / "small.png", noise(8, 8))
    done = command(inpaint, "a.png", "a fox", *arguments)
    told = done.output + str(done.exception)
    assert done.exit_code != 0 and said in told


def test_a_missing_image_and_no_side(tmp_path):
    gone = command(inpaint, tmp_path / "gone.png", "a fox", "--mask", "all")
    assert isinstance(gone.exception, artdiff.FrameError) and "does not exist" in str(
        gone.exception
    )
    source = save(tmp_path / "a.png", noise(8, 8))
    assert "--left" in command(outpaint, source, "a fox").output
