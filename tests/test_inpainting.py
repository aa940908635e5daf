"""Inpainting: what is kept is kept to the last bit; what is drawn follows what is kept."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

import artdiff
from artdiff.denoise import bind
from artdiff.grid import levels
from artdiff.guidance.guide import guide
from artdiff.noise import EDM, Flow, VPCosine, VPLinear
from artdiff.random import Noise
from artdiff.sample import sample
from artdiff.samplers import SAMPLERS
from artdiff.testing import Posterior, check_guidance, check_sampler, toy_pictures, toy_setup
from artdiff_plugins.inpainting import seam
from artdiff_plugins.inpainting.repaint import RePaint, raised
from artdiff_plugins.inpainting.term import Inpainting

SCHEDULES = [VPLinear(), VPCosine(), Flow(), EDM()]
HALF = "rectangle(0, 0, 0.5, 1)"
HALF_ROOT = 0.5**0.5
TURN = torch.tensor([[HALF_ROOT, HALF_ROOT], [HALF_ROOT, -HALF_ROOT]], dtype=torch.double)
PAIR = Posterior(
    (1, 1, 2),
    torch.zeros(1, 2, dtype=torch.double),
    torch.tensor([[1.9, 0.1]], dtype=torch.double),
    torch.ones(1, dtype=torch.double),
    TURN,
)
"""Two pixels of variance 1 and correlation 0.9."""


def save(path, size=(32, 32), seed=0):
    smooth = toy_pictures(1 + seed, 3, 32)[-1]
    picture = Image.fromarray(seam.to_pixels(smooth)).resize(size)
    picture.save(path)
    return np.asarray(picture)


def term(path, size=32, **options):
    return Inpainting(Inpainting.Options(image=(str(path),), **options), toy_setup(size))


@pytest.fixture
def picture(tmp_path):
    return save(tmp_path / "picture.png"), tmp_path / "picture.png"


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("name", [*sorted(set(SAMPLERS) - {"tuned"}), "repaint"])
def test_every_sampler_ends_at_the_known_values(picture, name, schedule):
    setup, inpainting = toy_setup(32), term(picture[1], mask=HALF)
    noise, grid = Noise([1, 2]), levels(schedule, 8)
    denoise = bind(guide(setup.model.denoiser, [], [inpainting], noise=noise), {})
    x = noise.normal(torch.empty(2, 3, 32, 32, dtype=torch.double), "start") * grid[0].sigma
    sampler = RePaint(jump_length=2, jump_n_sample=2) if name == "repaint" else SAMPLERS[name]()
    with torch.no_grad():
        for step in sample(sampler, denoise, x, grid, noise):
            x = step.x
    known = seam.to_image(picture[0]).double().expand_as(x)
    torch.testing.assert_close(x[..., 16:], known[..., 16:], rtol=0, atol=1e-9)
    assert (x[..., :16] - known[..., :16]).abs().mean() > 0.1
    assert not torch.equal(x[0, ..., :16], x[1, ..., :16])


def test_the_kept_part_keeps_its_own_noise(picture):
    """Deterministic: x = alpha z + sigma eps with one eps; ancestral: eps of the right size."""
    setup, inpainting = toy_setup(32), term(picture[1], mask=HALF)
    noise, grid = Noise(range(4)), levels(Flow(), 8)
    denoise = bind(guide(setup.model.denoiser, [], [inpainting], noise=noise), {})
    eps = noise.normal(torch.empty(4, 3, 32, 32, dtype=torch.double), "start")
    known = seam.to_image(picture[0]).double()
    for name in ("ddim", "dpmpp_2m", "euler_ancestral"):
        with torch.no_grad():
            *_, step, _ = sample(SAMPLERS[name](), denoise, eps, grid, noise)
        own = ((step.x - step.b.alpha * known) / step.b.sigma)[..., 16:]
        assert own.std() == pytest.approx(1, abs=0.03)
        if name != "euler_ancestral":
            torch.testing.assert_close(own, eps[..., 16:], rtol=0, atol=1e-9)


def drawn(sampler, steps=40, rows=400):
    """Mean and variance of the free pixel of a pair where the other one is 1.5."""

    def denoise(x, at):
        x0 = PAIR(x, at)
        return torch.cat([torch.full_like(x0[..., :1], 1.5), x0[..., 1:]], -1)

    grid, noise = levels(Flow(), steps), Noise(range(rows))
    x = noise.normal(torch.empty(rows, 1, 1, 2, dtype=torch.double), "start") * grid[0].sigma
    for step in sample(sampler, denoise, x, grid, noise):
        x = step.x
    assert (x[..., 0] == 1.5).all()
    return float(x[..., 1].mean()), float(x[..., 1].var())


def test_time_travel_comes_closer_to_the_conditional_distribution():
    """Exact: mean 1.35, variance 0.19. The blend conditions on what is kept too weakly."""
    blend, ancestral = drawn(SAMPLERS["ddim"]()), drawn(SAMPLERS["euler_ancestral"]())
    travelled = drawn(RePaint(jump_length=4, jump_n_sample=6))
    away = [abs(mean - 1.35) for mean, _ in (blend, ancestral, travelled)]
    assert away[0] > away[1] > away[2] and away[2] < 0.15 < 0.5 < away[0]
    assert travelled[1] == pytest.approx(0.19, abs=0.05) and blend[1] > 0.4


def test_going_up_adds_the_noise_that_is_missing():
    for schedule in SCHEDULES:
        grid = levels(schedule, 6)
        for a, b in pairwise(grid):
            x0, eps = torch.tensor(0.7), torch.tensor([[1.0, 0], [0, 1]])
            lower = b.alpha * x0 + b.sigma * eps[0]
            there = raised(lower, b, a, eps[1])
            mean = raised(b.alpha * x0, b, a, torch.zeros(2))
            torch.testing.assert_close(mean, (a.alpha * x0).float().expand(2))
            spread = (there - mean).square().sum()
            torch.testing.assert_close(spread.double(), a.sigma**2, rtol=1e-4, atol=1e-6)


def test_repaint_without_jumps_is_its_walker():
    grid, noise = levels(Flow(), 6), Noise(range(3))
    x = noise.normal(torch.empty(3, 1, 1, 2, dtype=torch.double), "start")
    for walker in ("ddpm", "dpmpp_2m"):
        ways = []
        for sampler in (SAMPLERS[walker](), RePaint(walker=walker, jump_n_sample=1)):
            *_, last = sample(sampler, bind(PAIR, {}), x, grid, noise)
            ways.append(last.x)
        torch.testing.assert_close(*ways, rtol=0, atol=0)


def test_conformance(picture):
    wrong = check_sampler(RePaint) + check_sampler(RePaint, {"walker": "ddim"})
    options = {"image": (str(picture[1]),), "mask": "feather(circle(x, y, r), 4)"}
    wrong += check_guidance(Inpainting, options, name="inpainting")
    assert not [str(f) for f in wrong if f.level == "wrong"]


def test_a_soft_mask_is_a_strength(picture):
    inpainting = term(picture[1], mask="linear(0, 0, 1, 0)")
    known, x0 = inpainting.known, torch.full((1, 3, 32, 32), 9.0)
    for fraction in (0.99, 0.5, 0.1):
        at = artdiff.Level(*(torch.tensor(v).double() for v in (1 - fraction, fraction)))
        done = inpainting(x0, x0, at, Noise([0]))
        free = (done == 9).all(1)[0, 0]
        assert (free == (torch.arange(32) + 0.5 >= 32 * fraction)).all()
        assert torch.equal(done[..., ~free], known[..., ~free])


def test_what_is_hidden_does_not_matter(tmp_path, picture):
    """Nothing that lies under the mask is seen by the encoder or shows in the result."""
    other = picture[0].copy()
    other[:, :16] = (255, 0, 90)
    Image.fromarray(other).save(tmp_path / "other.png")
    one, two = (term(p, mask=HALF) for p in (picture[1], tmp_path / "other.png"))
    assert torch.equal(one.known, two.known)
    fresh = np.full((32, 32, 3), 99, np.uint8)
    assert (one.finish(fresh, None) == two.finish(fresh, None)).all()


@pytest.mark.parametrize("options", [{}, {"seam": 0}, {"match": False}, {"seam": 200}])
@pytest.mark.parametrize(
    "mask", [HALF, "circle(x, y, r)", "!all", "all", "border(0.1)", "feather(circle(x,y,r), 5)"]
)
def test_kept_pixels_are_identical(picture, mask, options):
    inpainting = term(picture[1], mask=mask, **options)
    fresh = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    done = inpainting.finish(fresh, None)
    kept = inpainting.mask == 0
    assert done.dtype == np.uint8 and (done[kept] == picture[0][kept]).all()
    if mask == "all":
        assert (done == fresh).all()


def test_the_seam_does_not_show():
    """A hard step of 60 grey levels becomes none at the edge, and fades inside."""
    kept, fresh = np.full((64, 64, 3), 100, np.uint8), np.full((64, 64, 3), 160, np.uint8)
    mask = np.zeros((64, 64), np.float32)
    mask[:, 32:] = 1
    row = seam.joined(fresh, kept, mask, 12)[20, :, 0].astype(int)
    assert np.abs(np.diff(row)).max() <= 3 and row[63] > 120
    assert np.diff(seam.joined(fresh, kept, mask, 0)[20, :, 0].astype(int)).max() == 60


def test_a_continuation_is_smooth_and_stays_in_range():
    ramp = np.repeat(np.linspace(0, 255, 64).astype(np.uint8)[None], 64, 0)[..., None].repeat(3, 2)
    mask = np.zeros((64, 64), np.float32)
    mask[20:44, 20:44] = 1
    done = seam.continued(ramp, mask)
    assert (done[mask == 0] == ramp[mask == 0]).all()
    assert np.abs(done[32, 20:44, 0].astype(int) - ramp[32, 20:44, 0]).max() < 60
    assert (seam.continued(ramp, np.ones_like(mask)) == seam.GREY).all()
    assert (seam.continued(ramp, mask * 0.9) == ramp).all()


def test_mask_files_alpha_and_sequences(tmp_path, picture):
    grey = np.zeros((32, 32), np.uint8)
    grey[:8] = 255
    Image.fromarray(grey).save(tmp_path / "grey.png")
    see_through = np.dstack([picture[0], 255 - grey])
    Image.fromarray(see_through).save(tmp_path / "alpha.png")
    a = term(picture[1], files={"top": (str(tmp_path / "grey.png"),)}, mask="top")
    b = term(tmp_path / "alpha.png")
    assert (a.mask == b.mask).all() and a.mask[:8].all() and not a.mask[8:].any()
    assert not term(picture[1]).mask.any()
    with pytest.raises(artdiff.PresetError, match="is 16x16 pixels, the image 32x32"):
        Image.fromarray(grey[:16, :16]).save(tmp_path / "small.png")
        term(picture[1], files={"top": (str(tmp_path / "small.png"),)}, mask="top")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"mask": "circl(0.5, 0.5, 0.1)"}, "did you mean 'circle'"),
        ({"mask": "hero"}, "unknown name 'hero'"),
        ({"files": {"circle": ("a.png",)}}, "cannot name a mask"),
        ({"files": {"a-b": ("a.png",)}}, "cannot name a mask"),
        ({"seam": -1}, "greater than or equal"),
        ({"image": ()}, "at least 1"),
    ],
)
def test_wrong_options(options, said):
    with pytest.raises(ValidationError, match=said):
        Inpainting.Options(**{"image": ("a.png",), **options})


def test_conditioning_for_dedicated_networks(picture):
    told = term(picture[1], mask=HALF).conditioning()
    assert told["mask"].shape == (1, 1, 32, 32) and told["masked"].shape == (1, 3, 32, 32)
    assert told["mask"][..., :16].all() and not told["mask"][..., 16:].any()
