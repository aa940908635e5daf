"""Upscaling: the enlarger, upsamplers at any size, foreign networks, the command."""

import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from click.testing import CliRunner
from PIL import Image
from training import Shapes, losses, validations

import artdiff
from artdiff.api import prepare
from artdiff.errors import ModelError, PresetError
from artdiff.importers.add import add
from artdiff.model import ModelCard
from artdiff.nn.enlarger import Enlarger, EnlargerConfig
from artdiff.nn.unet import UNetConfig
from artdiff.nn.unet_facts import NetworkFacts, ProcessFacts
from artdiff.nn.unet_superres import SuperResUNet
from artdiff.noise import Flow, Level, diffuse
from artdiff.preset.draft import Draft
from artdiff.random import Noise
from artdiff.renderer import load_engine
from artdiff.train import loop
from artdiff.train.checkpoint import write_tensors
from artdiff.train.enlarger import blurred
from artdiff.train.kinds import load_recipe, parse_recipe
from artdiff.upsampling import Upsampler, open_upsampler, upsampler_card
from artdiff_plugins.upscaling.command import command
from artdiff_plugins.upscaling.enlarge import enlarge, opened
from artdiff_plugins.upscaling.options import Enlarging
from artdiff_plugins.upscaling.redraw import redraw

SMALL = EnlargerConfig(width=8, depth=1, patch=4)
RECIPES = Path(loop.__file__).parent / "recipes"


def awake(config=SMALL):
    torch.manual_seed(0)
    network = Enlarger(config).requires_grad_(False)
    for parameter in network.parameters():
        parameter += 0.1 * torch.randn_like(parameter)
    return network


def write(folder, network):
    """The folder of an enlarger as `artdiff models add` leaves it."""
    run = folder / "run"
    run.mkdir(parents=True)
    facts = {"kind": "enlarger", "config": asdict(network.config), "size": 64}
    write_tensors(run / "model.safetensors", network.state_dict(), facts)
    return run


@pytest.fixture
def models(tmp_path, monkeypatch):
    """A folder of the user's models with the enlarger `small`."""
    monkeypatch.setenv("ARTDIFF_MODELS", str(tmp_path / "models"))
    add(write(tmp_path, awake()), "small", None)
    return tmp_path / "models"


def picture(height, width, seed=0):
    noise = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3))
    return np.array(Image.fromarray(noise.astype(np.uint8)).resize((width, height)))


@pytest.fixture
def runner():
    return CliRunner()


# the network


def test_before_training_it_enlarges_bicubically():
    network, low = Enlarger(SMALL).requires_grad_(False), torch.rand(2, 3, 8, 8) * 2 - 1
    at = Flow()(torch.tensor(0.3, dtype=torch.float64))
    near = network.enlarge(low)
    x = diffuse(near, torch.randn(2, 3, 16, 16), at)
    expected = near + at.alpha * 0.02**2 / ((at.alpha * 0.02) ** 2 + at.sigma**2) * (
        x - at.alpha * near
    )
    assert torch.allclose(network(x, at, low), expected.float(), atol=1e-6)


@pytest.mark.parametrize("t", [0.0, 0.5, 1.0])
def test_it_is_finite_at_both_ends_and_keeps_a_clean_picture(t):
    network, low = awake(), torch.rand(1, 3, 8, 8)
    at = Flow()(torch.tensor(t, dtype=torch.float64))
    x = torch.rand(1, 3, 16, 16)
    made = network(x, at, low)
    assert made.isfinite().all()
    if t == 0:
        assert torch.allclose(made, x, atol=1e-6)


def test_a_gaussian_residual_is_denoised_as_well_as_can_be_without_a_network():
    """With a residual of the deviation `floor`, the formula alone is the exact denoiser."""
    network, low = (
        Enlarger(replace(SMALL, floor=0.1)).requires_grad_(False),
        torch.zeros(64, 3, 8, 8),
    )
    x0, noise = 0.1 * torch.randn(64, 3, 16, 16), torch.randn(64, 3, 16, 16)
    at = Flow()(torch.tensor(0.1, dtype=torch.float64))
    made = network(diffuse(x0, noise, at), at, low)
    snr = float(at.alpha * 0.1 / at.sigma)
    assert (made - x0).square().mean() == pytest.approx(0.01 / (1 + snr**2), rel=0.05)


def test_what_is_further_than_its_reach_does_not_matter():
    network, at = awake(), Flow()(torch.tensor(0.3, dtype=torch.float64))
    x, low = torch.randn(1, 3, 96, 96), torch.rand(1, 3, 48, 48)
    before = network(x, at, low)
    x[..., 80:, :], low[..., 40:, :] = 0, 0
    changed = (network(x, at, low) - before).abs().amax((0, 1, 3))
    assert changed[: 80 - SMALL.reach - 4].max() == 0 and changed[80:].min() > 0


def test_what_it_is_told_of_the_small_picture_matters_row_by_row():
    network, at = awake(), Flow()(torch.tensor(0.3, dtype=torch.float64))
    x, low = torch.randn(2, 3, 16, 16), torch.rand(2, 3, 8, 8)
    plain = network(x, at, low)
    told = network(x, at, low, torch.tensor([[0.0, 0.0], [0.1, 0.0]]))
    assert torch.allclose(plain[0], told[0]) and not torch.allclose(plain[1], told[1], atol=1e-4)


def test_levels_may_differ_by_row():
    network = awake()
    x, low = torch.randn(2, 3, 16, 16), torch.rand(2, 3, 8, 8)
    t = torch.tensor([0.2, 0.4]).view(2, 1, 1, 1)
    both = network(x, Flow()(t), low)
    for row in range(2):
        one = slice(row, row + 1)
        at = Level(*(part.double() for part in Flow()(t[row, 0, 0, 0])))
        assert torch.allclose(network(x[one], at, low[one]), both[one], atol=1e-5)


@pytest.mark.parametrize(("wrong", "said"), [
    ({"patch": 3}, "patch is a multiple"), ({"scale": 1}, "scale = 1 >= 2"),
    ({"depth": 0}, "above 0"), ({"spread": 0}, "above 0"),
])  # fmt: skip
def test_sizes_that_do_not_go_together(wrong, said):
    with pytest.raises(ValueError, match=said):
        EnlargerConfig(**wrong)


def test_blur():
    images = torch.rand(3, 2, 24, 24)
    made = blurred(images, torch.tensor([0.0, 1.0, 2.0]))
    assert torch.allclose(made[0], images[0], atol=1e-6)
    assert made[1].std() > made[2].std() and images[1].std() > made[1].std()
    spike = torch.zeros(1, 1, 31, 31)
    spike[..., 15, 15] = 1
    plane = blurred(spike, torch.tensor([1.5]))[0, 0]
    place = torch.arange(31.0) - 15
    assert plane.sum() == pytest.approx(1, abs=1e-4)
    assert (plane.sum(0) * place**2).sum() == pytest.approx(1.5**2, rel=0.02)


def test_how_far_an_image_is_blurred_depends_on_no_other():
    images, widths = torch.rand(3, 2, 24, 24), torch.tensor([0.5, 1.0, 3.0])
    together = blurred(images, widths)
    for row in range(3):
        alone = blurred(images[row : row + 1], widths[row : row + 1])[0]
        assert torch.allclose(together[row], alone, atol=1e-6)


# training


def tiny(**table):
    recipe = load_recipe(RECIPES / "tiny-enlarger.toml").model_dump(mode="json")
    recipe["data"] |= {"dataset": "shapes", "options": {}, "count": 96, "held_out": 16}
    recipe["enlarger"] |= table
    return parse_recipe(recipe | {"data": recipe["data"] | {"workers": 0}})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("enlarger")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("artdiff.train.report.Report.draw", lambda report: None)
        loop.train(tiny(), Shapes(), folder / "run")
    return folder / "run"


def test_it_learns(run):
    assert len(losses(run)) == 100
    loss, psnr = validations(run, "loss"), validations(run, "psnr/one call")
    assert loss[-1] < 0.97 * loss[0] and psnr[-1] > psnr[0] + 2
    assert (run / "samples" / "000100.png").stat().st_size > 500


def test_a_trained_one_is_added_and_opened(run, tmp_path, monkeypatch):
    monkeypatch.setenv("ARTDIFF_MODELS", str(tmp_path))
    added = add(run, "mine", None)
    assert added.card.backend == "enlarger" and "process" not in added.card.facts
    model = open_upsampler(upsampler_card("mine"))
    assert (model.scale, model.ratio, model.multiple) == (2, 4.0, 2)
    low = torch.rand(1, 3, 8, 8)
    assert model.enlarge(low, Noise([0])).shape == (1, 3, 16, 16)


@pytest.mark.parametrize(("table", "said"), [
    ({"crop": 15}, "enlarger.crop: 15 is more .* multiple of 2, as the network needs; try 14"),
    ({"crop": 64}, "enlarger.crop: 64 is more than pictures of 32"),
])  # fmt: skip
def test_crops_that_cannot_be(table, said, tmp_path):
    with pytest.raises(PresetError, match=said):
        loop.train(tiny(**table), Shapes(), tmp_path / "run")


def test_the_starters_recipe_is_whole():
    recipe = load_recipe(RECIPES / "starter-upsampler.toml")
    assert recipe.enlarger.crop % recipe.enlarger.model.factor == 0


# pictures of any size


@pytest.fixture
def small(models):
    return open_upsampler(upsampler_card("small"))


def test_tiles_are_the_whole(small):
    low = torch.rand(1, 3, 80, 41) * 2 - 1
    whole = small.enlarge(low, Noise([1]))
    tiles = small.enlarge(low, Noise([1]), window=128, overlap=104)
    assert whole.shape == tiles.shape == (1, 3, 160, 82)
    assert torch.allclose(whole, tiles, atol=2e-5)


def test_a_part_is_enlarged_as_in_the_whole(small):
    """Noise is named by place: what lies far from the cut does not change."""
    low = torch.rand(1, 3, 40, 64) * 2 - 1
    whole = small.enlarge(low, Noise([1]), steps=1)
    left = small.enlarge(low[..., :32], Noise([1]), steps=1)
    assert torch.allclose(whole[..., :24], left[..., :24], atol=2e-5)


def test_memory_is_bounded_by_the_window(small):
    seen = []
    inner = small.model.denoiser

    def spy(x, at, cond):
        seen.append(tuple(x.shape[-2:]))
        return inner(x, at, cond)

    spied = replace(small, model=replace(small.model, denoiser=spy))
    for side in (32, 64, 96):
        spied.enlarge(torch.zeros(1, 3, side, side), Noise([0]), window=64, overlap=16, steps=1)
    assert set(seen) == {(64, 64)}


def test_rows_do_not_know_each_other(small):
    low = torch.rand(2, 3, 16, 16)
    both = small.enlarge(low, Noise([5, 6]))
    assert torch.allclose(both[1:], small.enlarge(low[1:], Noise([6])), atol=1e-5)
    assert not torch.allclose(both[:1], small.enlarge(low[:1], Noise([9])), atol=1e-3)


def test_an_adm_upsampler_starts_from_pure_noise(tmp_path, monkeypatch):
    monkeypatch.setenv("ARTDIFF_MODELS", str(tmp_path / "models"))
    config = UNetConfig(width=32, multipliers=(1, 1), blocks=1, attention=(2,), heads=1)
    facts = NetworkFacts("superres", config, ProcessFacts(steps=24), 32)
    (tmp_path / "run").mkdir()
    write_tensors(tmp_path / "run" / "model.safetensors", SuperResUNet(config).state_dict(), {
        "kind": "superres", "config": asdict(facts.network), "process": asdict(facts.process),
        "size": 32, "factor": 2,
    })  # fmt: skip
    add(tmp_path / "run", "adm", None)
    model = open_upsampler(upsampler_card("adm"))
    assert (model.scale, model.ratio, model.window) == (2, math.inf, 32)
    assert model.enlarge(torch.zeros(1, 3, 24, 20), Noise([0]), steps=2).shape == (1, 3, 48, 40)


def test_names_that_are_no_upsampler(models, tmp_path):
    with pytest.raises(ModelError, match="no upsampler is called 'smal'; did you mean 'small'"):
        upsampler_card("smal")
    with pytest.raises(ModelError, match=r"no card\.toml there"):
        upsampler_card(str(tmp_path))
    other = tmp_path / "other"
    other.mkdir()
    (other / "card.toml").write_text('name = "o"\nbackend = "unet"\n')
    with pytest.raises(ModelError, match="is no upsampler, but a unet"):
        upsampler_card(str(other))
    assert isinstance(ModelCard.read(models / "small"), ModelCard)
    assert isinstance(open_upsampler(upsampler_card(str(models / "small"))), Upsampler)


# the effect and the command


def test_larger_factors_use_the_model_again(models):
    small = picture(20, 12)
    for factor in (2, 3, 4):
        large = enlarge(small, 0, Enlarging(model="small", factor=factor, steps=1))
        assert large.shape == (20 * factor, 12 * factor, 3) and large.dtype == np.uint8


def test_the_effect(models, registry):
    values = {"model": "tiny", "prompt": "a red fox", "frames": {"count": 2},
              "effects": {"upscale": {"model": "small", "steps": 1}}}  # fmt: skip
    draft = Draft("t", values, {})
    plan = prepare(draft, registry).plan
    pictures = load_engine(plan, registry).images([plan.job(0), plan.job(1)])
    assert [p.shape for p in pictures] == [(64, 64, 3)] * 2
    with pytest.raises(PresetError, match="no upsampler is called 'nobody'"):
        prepare(draft, registry, ["effects.upscale.model=nobody"])


def test_the_command(models, tmp_path, runner):
    Image.fromarray(picture(20, 30)).save(tmp_path / "a.png")
    Image.fromarray(picture(10, 10)).convert("L").save(tmp_path / "b.jpg")
    given = [str(tmp_path / "a.png"), str(tmp_path / "b.jpg"), "--model", "small", "--steps", "2"]
    done = runner.invoke(command, [*given, "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    made = Image.open(tmp_path / "out" / "a-x2.png")
    assert made.size == (60, 40) and Image.open(tmp_path / "out" / "b-x2.png").size == (20, 20)
    assert artdiff.read_settings(tmp_path / "out" / "a-x2.png")["model"] == "small"
    first = np.array(made)
    again = runner.invoke(command, [*given[:1], *given[2:], "-o", str(tmp_path / "c.png")])
    assert again.exit_code == 0
    assert np.array_equal(np.array(Image.open(tmp_path / "c.png")), first)
    other = [*given[:1], *given[2:], "--seed", "1", "-o", str(tmp_path / "d.png")]
    assert runner.invoke(command, other).exit_code == 0
    assert not np.array_equal(np.array(Image.open(tmp_path / "d.png")), first)


@pytest.mark.parametrize(("more", "said"), [
    (["gone.png"], "gone.png does not exist"),
    (["bad.png"], "bad.png is not a whole picture"),
    (["a.png", "--window", "100"], "a multiple of 16"),
    (["a.png", "--window", "64"], "below --window 64, not 64"),
    (["a.png", "-o", "x.jpg"], "written as .png"),
    (["a.png", "a.png", "-o", "x.png"], "is one file for 2 pictures"),
    (["a.png", "a.png", "-o", "."], "two pictures would be written to"),
    (["a.png", "--model", "nobody"], "no upsampler is called"),
    (["a.png", "-s", "seed=1"], "goes with --redraw"),
    (["wide.png", "--factor", "4"], "wide.png: 2064x8 times 4 is more than 8192"),
])  # fmt: skip
def test_mistakes_are_one_line(more, said, models, tmp_path, runner, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(picture(8, 8)).save("a.png")
    Image.fromarray(picture(8, 2064)).save("wide.png")
    Path("bad.png").write_bytes(Path("a.png").read_bytes()[:60])
    default = [] if "--model" in more else ["--model", "small"]
    done = runner.invoke(command, [*more, *default])
    assert done.exit_code != 0
    assert said in f"{done.output} {done.exception}"
    assert not list(tmp_path.glob("*-x*.png"))


def test_redraw_goes_over_tiles(models, tmp_path, tiny_plugin, runner):
    large = picture(80, 72)
    settings = ["model=tiny", "sampler.steps=2", "tile.size=32", "tile.overlap=0"]
    made = redraw(large, "a red fox", 0.5, 0, 32, settings, [str(tiny_plugin)])
    assert made.shape == large.shape and not np.array_equal(made, large)


# networks of others


@pytest.fixture(scope="module")
def spandrel():
    if not __import__("importlib.util").util.find_spec("spandrel"):
        pytest.skip("spandrel is not installed")
    return artdiff.import_mended("spandrel", "spandrel")


@pytest.fixture
def compact(spandrel):
    """A small network of the kind that realesr-animevideov3 is, with random weights."""
    from spandrel.architectures.Compact import Compact

    torch.manual_seed(0)
    return Compact(num_in_ch=3, num_out_ch=3, num_feat=8, num_conv=1, upscale=4).state_dict()


@pytest.mark.parametrize("name", ["net.pth", "net.safetensors"])
def test_files_of_the_esrgan_family(name, compact, tmp_path):
    if name.endswith(".pth"):
        torch.save({"params_ema": compact}, tmp_path / name)
    else:
        from safetensors.torch import save_file

        save_file(compact, tmp_path / name)
    small = picture(40, 30)
    whole = enlarge(small, 0, Enlarging(model=str(tmp_path / name), factor=4))
    assert whole.shape == (160, 120, 3)
    tiles = Enlarging(model=str(tmp_path / name), factor=4, window=64, overlap=48)
    assert np.abs(enlarge(small, 0, tiles).astype(int) - whole).max() <= 2
    half = enlarge(small, 0, Enlarging(model=str(tmp_path / name), factor=2))
    assert half.shape == (80, 60, 3)


def test_rrdb_networks_too(spandrel, tmp_path):
    from spandrel.architectures.ESRGAN import ESRGAN

    torch.manual_seed(0)
    network = ESRGAN(in_nc=3, out_nc=3, num_filters=8, num_blocks=1, scale=2)
    torch.save(network.state_dict(), tmp_path / "esrgan.pth")
    made = enlarge(picture(16, 16), 0, Enlarging(model=str(tmp_path / "esrgan.pth")))
    assert made.shape == (32, 32, 3)


class Evil:
    def __reduce__(self):
        return print, ("code was run",)


@pytest.mark.parametrize(("content", "said"), [
    (lambda f: torch.save({"params": Evil()}, f), "more in it than plain tensors"),
    (lambda f: torch.save({"a": torch.zeros(3)}, f), "no network that spandrel knows"),
    (lambda f: f.write_bytes(b""), "not a file of weights"),
    (lambda f: torch.save([torch.zeros(3)], f), "holds no tensors by name"),
])  # fmt: skip
def test_files_that_are_no_upscalers(content, said, spandrel, tmp_path, capsys):
    content(tmp_path / "net.pth")
    with pytest.raises(ModelError, match=said):
        opened(str(tmp_path / "net.pth"))
    assert "code was run" not in capsys.readouterr().out


def test_a_file_that_is_not_there():
    with pytest.raises(ModelError, match="no such file"):
        opened("nowhere.pth")


def test_a_film_by_other_weights_is_another_film(models, registry):
    said = {"prompt": "a fox", "model": "tiny", "effects": {"upscale": {"model": "small"}}}
    before = prepare(Draft("test", said, {}), registry).plan.manifest()
    assert before == prepare(Draft("test", said, {}), registry).plan.manifest()
    (file,) = (upsampler_card("small").folder / name for name in upsampler_card("small").weights)
    values = safetensors.torch.load_file(file)
    values[next(iter(values))] += 1
    facts = {"kind": "enlarger", "config": asdict(SMALL), "size": 64}
    write_tensors(file, values, facts)
    after = prepare(Draft("test", said, {}), registry).plan.manifest()
    assert before["preset"]["effects"] != after["preset"]["effects"]
    old = before["preset"]["effects"]["upscale"]
    with pytest.raises(PresetError, match=r"effects\.upscale\.weights: .*the weights of 'small'"):
        prepare(Draft("test", said | {"effects": {"upscale": old}}, {}), registry)


def test_an_effect_without_its_upsampler_is_found_before_the_first_frame(models, registry):
    for model, wrong in (("smal", "did you mean 'small'"), ("no.pth", "no such file")):
        said = {"prompt": "a fox", "model": "tiny", "effects": {"upscale": {"model": model}}}
        with pytest.raises(PresetError, match=rf"effects\.upscale\.model: .*{wrong}"):
            prepare(Draft("test", said, {}), registry)
