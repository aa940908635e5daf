"""Scorers: what is wanted has the least loss, gradients are right, rows apart, files checked."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from artdiff import create_registry
from artdiff.errors import FrameError, PresetError
from artdiff.guidance.setup import Setup
from artdiff.noise import Flow, Level
from artdiff.plan.resolve import resolve
from artdiff.preset.draft import Draft, override
from artdiff.random import Noise
from artdiff.testing import check_guidance, gradient_error, toy_pictures, toy_setup

SIZE = 32
AT = Level(torch.tensor(0.6, dtype=torch.double), torch.tensor(0.4, dtype=torch.double))
NOISE = Noise([3, 14])
SCORERS = ("palette symmetry edges composition exposure tiling style likeness").split()
VARIANTS = [
    ("palette", {}),
    ("palette", {"match": "nearest", "colors": ["tomato", "#003366"]}),
    ("palette", {"image": "FILE"}),
    ("palette", {"image": "FILE", "match": "nearest"}),
    *[("symmetry", {"axis": axis}) for axis in ("vertical", "horizontal", "both", "rotation")],
    ("symmetry", {"axis": "rotation", "folds": 6}),
    ("edges", {"image": "FILE"}),
    ("edges", {"image": "FILE", "drawn": True}),
    *[("composition", {"shape": shape}) for shape in ("spot", "thirds", "horizon", "frame")],
    ("composition", {"of": "detail"}),
    ("composition", {"of": "colour", "mask": "FILE"}),
    ("exposure", {}),
    ("exposure", {"brightness": None, "contrast": 0.1, "blacks": 0.2, "whites": 0.9}),
    ("tiling", {}),
    ("tiling", {"axis": "vertical"}),
    ("style", {"image": "FILE"}),
    ("style", {"image": "FILE", "features": "latents"}),
    ("likeness", {"image": "FILE"}),
    ("likeness", {"image": "FILE", "measure": "forms"}),
    ("likeness", {"image": "FILE", "measure": "latents"}),
]
IDS = [f"{name}-{'-'.join(map(str, options.values())) or 'default'}" for name, options in VARIANTS]


@pytest.fixture(scope="module")
def kinds():
    return create_registry().entries("guidance")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A picture with colours and forms."""
    path = tmp_path_factory.mktemp("files") / "wanted.png"
    images = toy_pictures(1, size=SIZE) * 0.9 + 0.1 * torch.linspace(-1, 1, SIZE)
    save(path, images)
    return path


def save(path, images):
    array = images[0].add(1).mul(127.5).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
    Image.fromarray(array).save(path)


def term(kinds, name, options, file, setup=None):
    kind = kinds[name].value
    chosen = {key: str(file) if value == "FILE" else value for key, value in options.items()}
    return kind(kind.Options(**chosen), setup or toy_setup(SIZE))


def loss(term, images, at=AT):
    return term.loss(images, at, NOISE)


@pytest.mark.parametrize(("name", "options"), VARIANTS, ids=IDS)
def test_a_scorer_keeps_what_artdiff_relies_on(kinds, name, options, file):
    """Gradients by finite differences, rows apart, repeatable, finite on a plain picture."""
    kind = kinds[name].value
    chosen = {key: str(file) if value == "FILE" else value for key, value in options.items()}
    findings = check_guidance(kind, chosen, name=name, setup=toy_setup(SIZE))
    assert [str(f) for f in findings if f.check != "half"] == []


@pytest.mark.parametrize(("name", "options"), VARIANTS, ids=IDS)
def test_following_the_gradient_lowers_the_loss(kinds, name, options, file):
    chosen = term(kinds, name, options, file)
    images = toy_pictures(2, size=SIZE, dtype=torch.double).clone()
    first = loss(chosen, images)
    for _ in range(6):
        leaf = images.requires_grad_()
        (slope,) = torch.autograd.grad(loss(chosen, leaf).sum(), leaf)
        step = 0.002 / slope.square().mean((1, 2, 3), keepdim=True).sqrt().clamp(min=1e-9)
        images = (leaf - step * slope).detach()
    assert (loss(chosen, images) < first).all()


def test_a_picture_is_most_like_itself(kinds, file):
    setup = toy_setup(SIZE)
    same, others = setup.picture(str(file)), toy_pictures(4, size=SIZE)[1:]
    for name in ("palette", "edges", "style", "likeness"):
        chosen = term(kinds, name, {"image": "FILE"}, file)
        assert loss(chosen, same) < 0.1 * loss(chosen, others).min(), name


def test_only_pixels_that_are_turned_count(kinds, file):
    images = toy_pictures(1, size=SIZE)
    sides = {"vertical": 3, "horizontal": 2}
    for axis, along in sides.items():
        chosen = term(kinds, "symmetry", {"axis": axis}, file)
        mirrored = (images + images.flip(along)) / 2
        assert loss(chosen, mirrored) < 1e-4 < loss(chosen, images)
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, SIZE)] * 2, indexing="ij")
    for folds in (2, 3, 5, 8):
        star = (torch.cos(folds * torch.atan2(y, x)) * torch.hypot(x, y)).expand(1, 3, -1, -1)
        chosen = term(kinds, "symmetry", {"axis": "rotation", "folds": folds}, file)
        other = term(kinds, "symmetry", {"axis": "rotation", "folds": 7}, file)
        assert loss(chosen, star) < 0.25 * loss(other, star)


def test_symmetry_by_rotation_of_a_picture_that_is_not_square(kinds, file):
    """A circle is a circle there: turning is in pixels, not in shares of the sides."""
    y, x = torch.meshgrid(torch.arange(48) - 23.5, torch.arange(96) - 47.5, indexing="ij")
    rings = torch.cos(torch.hypot(x, y) / 5).expand(1, 3, -1, -1)
    chosen = term(kinds, "symmetry", {"axis": "rotation", "folds": 5}, file)
    assert loss(chosen, rings) < 0.1 * loss(chosen, torch.cos(x / 5).expand(1, 3, -1, -1))


def test_palette_takes_shares_or_the_nearest(kinds, file):
    half = torch.ones(1, 3, SIZE, SIZE)
    half[..., : SIZE // 2] = -1
    black = -torch.ones(1, 3, SIZE, SIZE)
    colors = {"colors": ["black", "#ffffff"]}
    shares, nearest = (
        term(kinds, "palette", {**colors, "match": match}, file) for match in ("shares", "nearest")
    )
    assert loss(shares, half) < 1e-3 < loss(shares, black)
    assert loss(nearest, half) < 1e-3 and loss(nearest, black) < 1e-3
    assert loss(nearest, torch.zeros(1, 3, SIZE, SIZE)) > 1e-2


def test_light_gathers_where_the_shape_says(kinds, file):
    left = torch.linspace(1, -1, SIZE).expand(1, 3, SIZE, SIZE)
    spot = term(kinds, "composition", {"x": 0.2}, file)
    assert loss(spot, left) < loss(spot, left.flip(3))
    top = term(kinds, "composition", {"shape": "horizon", "y": 0.4}, file)
    assert loss(top, left.mT) < loss(top, left)


def test_exposure_is_met_by_what_it_asks_for(kinds, file):
    grey = torch.full((1, 3, SIZE, SIZE), 0.0)
    levels = [
        (loss(term(kinds, "exposure", {"brightness": b}, file), grey)) for b in (0.3, 0.6, 0.9)
    ]
    assert levels[1] < levels[0] and levels[1] < levels[2]
    noisy = toy_pictures(1, size=SIZE)
    calm, loud = (
        term(kinds, "exposure", {"brightness": None, "contrast": c}, file) for c in (0.0, 0.3)
    )
    assert loss(calm, grey) < loss(calm, noisy) and loss(loud, noisy) < loss(loud, grey)


def test_a_wave_that_fits_tiles(kinds, file):
    places = torch.arange(128) * 2 * torch.pi / 128
    fits, breaks = (torch.sin(n * places + 1).expand(1, 3, 128, 128) for n in (1, 1.5))
    chosen = term(kinds, "tiling", {}, file)
    assert loss(chosen, fits) < 0.5 * loss(chosen, breaks)


def test_seamless_meets_at_the_edges_and_keeps_the_variance(kinds, file):
    noise = torch.randn(4, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    smooth = F.avg_pool2d(F.pad(noise, (4,) * 4, "circular"), 9, 1) * 9
    ramp = smooth + torch.linspace(-2, 2, SIZE)
    kind = kinds["seamless"].value
    blend = kind(kind.Options(), toy_setup(SIZE))
    blended = blend(ramp, ramp, AT, NOISE)
    jump = (blended[..., 0] - blended[..., -1]).square().mean()
    assert jump < 0.1 * (ramp[..., 0] - ramp[..., -1]).square().mean()
    white = blend(noise, noise, AT, NOISE)
    assert white.std() == pytest.approx(1, abs=0.03)
    late = Level(torch.tensor(0.9).double(), torch.tensor(0.1).double())
    assert torch.equal(blend(ramp, ramp, late, NOISE), ramp)


def test_the_finished_picture_has_no_step_at_its_edges(kinds, file):
    kind, setup = kinds["seamless"].value, toy_setup(SIZE)
    picture = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    kept = picture.copy()
    mended = kind(kind.Options(mend=0.2), setup).finish(picture, None)
    assert mended.dtype == np.uint8 and np.array_equal(picture, kept)
    for first, last in ((mended[0], mended[-1]), (mended[:, 0], mended[:, -1])):
        assert np.abs(first.astype(int) - last).mean() < 16  # columns came after rows
    assert np.array_equal(mended[8:-8, 6:-6], picture[8:-8, 6:-6])
    assert np.array_equal(kind(kind.Options(mend=0), setup).finish(picture, None), picture)


def test_a_weight_moves_as_far_at_any_size(kinds, file):
    """The loss is a distance times the number of elements of x0."""
    small, large = toy_pictures(1, size=32), toy_pictures(1, size=32).repeat_interleave(2, 2)
    large = large.repeat_interleave(2, 3)
    values = [
        loss(term(kinds, "exposure", {}, file, toy_setup(len(i[0, 0]))), i) for i in (small, large)
    ]
    torch.testing.assert_close(values[1], 4 * values[0], rtol=0.02, atol=0)


def test_nearly_pure_noise_counts_little(kinds, file):
    chosen, images = term(kinds, "exposure", {}, file), toy_pictures(1, size=SIZE)
    at = [Flow()(torch.tensor(t, dtype=torch.double)) for t in (1.0, 0.95, 0.5, 0.02)]
    values = [float(loss(chosen, images, level)) for level in at]
    assert values == sorted(values) and values[0] == 0 and values[2] > 0.9 * values[3]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            ["terms.palette.colors=['#12345']"],
            "terms.palette.colors: '#12345' is no colour; write",
        ),
        (["terms.palette.colors=['tomatoe']"], "'tomatoe' is no colour"),
        (["terms.palette.colors=[]"], "terms.palette.colors: "),
        (["terms.edges.image='gone.png'"], "terms.edges.image: no such file"),
        (["terms.style.weight=1"], "terms.style"),
        (["terms.likeness.image='.'"], "terms.likeness.image: is a folder"),
        (["terms.symmetry.axis='diagonal'"], "terms.symmetry.axis: "),
        (["terms.symmetry.folds=1"], "terms.symmetry.folds: "),
        (["terms.composition.shape='spott'"], "terms.composition.shape: "),
        (["terms.exposure.brightnes=1"], "did you mean 'brightness'?"),
    ],
)
def test_a_wrong_option_is_one_line(settings, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    registry = create_registry()
    with pytest.raises(PresetError) as error:
        resolve(override(Draft("look", {"prompt": "a fox"}, {}), settings), registry)
    assert said in str(error.value) and "\n" not in str(error.value)


def test_a_file_that_is_no_picture_is_one_line(kinds, tmp_path):
    path = tmp_path / "text.png"
    path.write_text("not a picture")
    with pytest.raises(FrameError, match=r"text\.png"):
        term(kinds, "edges", {"image": "FILE"}, path)


def test_files_that_are_not_square_cover_the_frame(kinds, tmp_path):
    array = np.zeros((40, 120, 3), np.uint8)
    array[:, 60:] = 255
    path = tmp_path / "wide.png"
    Image.fromarray(array).save(path)
    chosen = term(kinds, "likeness", {"image": "FILE"}, path)
    assert chosen.wanted.shape == (1, 3, SIZE, SIZE)


def test_losses_see_latents_through_the_codec(kinds, file):
    """A codec with a factor: the loss is of what is decoded, its gradient of the latents."""

    class Halves:
        channels, factor = 12, 2

        def encode(self, images):
            return F.pixel_unshuffle(images, 2)

        def decode(self, latents):
            return F.pixel_shuffle(latents, 2)

    toy = toy_setup(SIZE)
    model = type(toy.model)(**{**vars(toy.model), "codec": Halves()})
    setup, images = Setup(model, SIZE, SIZE), toy_pictures(2, size=SIZE, dtype=torch.double)
    for name in ("palette", "style", "likeness", "symmetry"):
        options = {"image": "FILE"} if name != "symmetry" else {}
        inside = term(kinds, name, options, file, setup)
        latents = F.pixel_unshuffle(images, 2)
        plain = term(kinds, name, options, file)
        torch.testing.assert_close(loss(inside, latents), loss(plain, images))
        assert gradient_error(lambda rows, t=inside: loss(t, rows), latents) < 0.02
