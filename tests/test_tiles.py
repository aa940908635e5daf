"""Windows over large pictures: they cover, their weights sum to 1, and no seam shows."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from artdiff.backends.latent_transformer import load
from artdiff.denoise import GaussianDenoiser, NetDenoiser, VarianceNetDenoiser, answering
from artdiff.engine import Engine
from artdiff.errors import PresetError
from artdiff.model import ModelCard
from artdiff.noise import Flow, Level
from artdiff.plan.resolve import resolve
from artdiff.preset.draft import Draft
from artdiff.random import Noise
from artdiff.tiles import (
    TiledCodec,
    Tiling,
    Window,
    axis,
    normal_by_place,
    tiled_denoiser,
    tiled_model,
)

AT = Level(torch.tensor(0.8, dtype=torch.float64), torch.tensor(0.6, dtype=torch.float64))


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def local(channels=2, out=None):
    """A network that looks three cells away."""
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, padding=1), nn.SiLU(), nn.Conv2d(8, 8, 3, padding=1), nn.SiLU(),
        nn.Conv2d(8, out or channels, 3, padding=1),
    ).requires_grad_(False)  # fmt: skip


@pytest.mark.parametrize("length", [1, 7, 8, 9, 16, 23, 64, 101])
@pytest.mark.parametrize(("size", "overlap", "multiple"), [(8, 4, 1), (8, 0, 1), (6, 5, 1),
                                                           (8, 3, 2), (8, 6, 2)])  # fmt: skip
def test_windows_cover_and_their_weights_sum_to_one(length, size, overlap, multiple):
    length *= multiple
    total, seen = torch.zeros(length, dtype=torch.float64), []
    for start, weights in axis(length, size, overlap, multiple):
        assert start % multiple == 0 and len(weights) == min(size, length)
        assert 0 <= start <= length - len(weights) and (weights >= 0).all()
        total[start : start + len(weights)] += weights
        seen.append(start)
    assert torch.allclose(total, torch.ones_like(total), atol=1e-12)
    assert seen == sorted(set(seen))
    assert all(a + size - b >= overlap for a, b in pairwise(seen))


def test_a_plane_of_one_window_is_that_window():
    assert Tiling(8, 4).windows(5, 8) == [Window(0, 0, 5, 8)]
    assert len(Tiling(8, 4).windows(5, 9)) == 2


@pytest.mark.parametrize(("size", "overlap", "multiple", "said"), [
    (8, 8, 1, "overlap by 0 to 7"), (8, -1, 1, "overlap by 0 to 7"), (0, 0, 1, "multiple of 1"),
    (9, 2, 2, "multiple of 2, not 9"), (8, 7, 2, "overlap by 0 to 6"),
])  # fmt: skip
def test_numbers_that_make_no_windows(size, overlap, multiple, said):
    with pytest.raises(ValueError, match=said):
        Tiling(size, overlap, multiple)


def test_a_plane_that_is_no_multiple():
    with pytest.raises(ValueError, match="multiple of 2, not 7"):
        Tiling(4, 2, 2).windows(8, 7)


def test_a_denoiser_that_looks_less_far_than_a_quarter_of_the_overlap_shows_no_seam():
    network, x = local(), torch.randn(2, 2, 40, 33)
    denoiser = NetDenoiser(lambda x, t, cond: network(x), lambda at: at.sigma, "x0")
    whole = denoiser(x, AT, {})
    assert torch.allclose(tiled_denoiser(denoiser, Tiling(20, 12))(x, AT, {}), whole, atol=1e-6)
    near = tiled_denoiser(denoiser, Tiling(20, 4))(x, AT, {})
    assert not torch.allclose(near, whole, atol=1e-4)  # rims are seen
    assert (near - whole).abs().mean() < 0.1 * (whole.abs().mean())


def test_of_a_pointwise_denoiser_windows_change_nothing():
    denoiser = GaussianDenoiser(torch.tensor(0.3), torch.tensor(0.5))
    x = torch.randn(2, 3, 30, 50, dtype=torch.float64)
    made = tiled_denoiser(denoiser, Tiling(16, 6))(x, AT, {})
    assert torch.allclose(made, denoiser(x, AT, {}), atol=1e-12)


def test_one_window_is_the_denoiser_itself():
    denoiser, x = (
        NetDenoiser(lambda x, t, c: x.flip(3), lambda at: at.sigma, "x0"),
        torch.randn(1, 1, 8, 8),
    )
    assert torch.equal(tiled_denoiser(denoiser, Tiling(8, 4))(x, AT, {}), denoiser(x, AT, {}))


def test_a_learned_variance_is_averaged_as_well():
    network = local(2, 4)
    denoiser = VarianceNetDenoiser(lambda x, t, cond: network(x), lambda at: at.sigma, "x0")
    x = torch.randn(1, 2, 40, 40)
    tiled = tiled_denoiser(denoiser, Tiling(20, 12))
    for made, whole in zip(answering(tiled)(x, AT, {}), answering(denoiser)(x, AT, {}),
                           strict=True):  # fmt: skip
        assert torch.allclose(made, whole, atol=1e-6)
    assert answering(tiled)(x[..., :8, :8], AT, {})[1] is not None


def test_planes_of_the_conditioning_are_cut_with_their_windows():
    def net(x, t, cond):
        assert cond["low"].shape[-1] * 2 == x.shape[-1] and len(cond["text"]) == 1
        return x + cond["low"].repeat_interleave(2, 2).repeat_interleave(2, 3)

    denoiser = NetDenoiser(net, lambda at: at.sigma, "x0")
    cond = {"low": torch.randn(1, 1, 20, 10), "text": torch.zeros(1, 3)}
    x = torch.randn(1, 1, 40, 20)
    made = tiled_denoiser(denoiser, Tiling(16, 8, 2), {"low": 2})(x, AT, cond)
    assert torch.allclose(made, denoiser(x, AT, cond), atol=1e-6)


def test_gradients_flow_through_windows():
    denoiser = NetDenoiser(lambda x, t, cond: x**2, lambda at: at.sigma, "x0")
    x = torch.randn(1, 1, 20, 20, requires_grad=True)
    tiled_denoiser(denoiser, Tiling(8, 4))(x, AT, {}).sum().backward()
    assert torch.allclose(x.grad, 2 * x.detach(), atol=1e-5)


def test_the_network_never_sees_more_than_a_window():
    seen = []
    denoiser = NetDenoiser(lambda x, t, c: seen.append(x.shape) or x, lambda at: at.sigma, "x0")
    for side in (32, 64):
        tiled_denoiser(denoiser, Tiling(16, 4))(torch.zeros(2, 1, side, side), AT, {})
    assert set(seen) == {(2, 1, 16, 16)}


@dataclass
class Blocks:
    """A codec of 4x4 pixels a cell that looks one cell away."""

    channels, factor = 3, 4

    def __post_init__(self):
        self.up = nn.Sequential(nn.Conv2d(3, 48, 3, padding=1), nn.PixelShuffle(4))
        self.up.requires_grad_(False)
        self.seen = []

    def encode(self, images):
        return nn.functional.avg_pool2d(images, 4)

    def decode(self, latents):
        self.seen.append(tuple(latents.shape[-2:]))
        return self.up(latents)


def test_a_tiled_codec_is_the_codec():
    codec = Blocks()
    tiled = TiledCodec(codec, Tiling(10, 4))
    latents, images = torch.randn(1, 3, 24, 17), torch.randn(1, 3, 96, 68)
    assert (tiled.channels, tiled.factor) == (3, 4)
    assert torch.allclose(tiled.encode(images), codec.encode(images), atol=1e-6)
    assert torch.allclose(tiled.decode(latents), codec.decode(latents), atol=1e-5)
    assert max(codec.seen[:-1]) == (10, 10)


def test_the_noise_of_a_place_depends_on_the_place():
    noise = Noise([3, 4])
    large = normal_by_place(noise, torch.empty(2, 3, 70, 50), "s", block=16)
    small = normal_by_place(noise, torch.empty(2, 3, 40, 33), "s", block=16)
    assert torch.equal(large[..., :40, :33], small)
    assert torch.equal(normal_by_place(Noise([4]), large[:1], "s", block=16), large[1:])
    assert abs(large.mean()) < 0.05 and abs(large.std() - 1) < 0.05
    blocks = large[0, 0, :64, :48].unfold(0, 16, 16).unfold(1, 16, 16).reshape(12, -1)
    assert np.abs(np.corrcoef(blocks) - np.eye(12)).max() < 0.3


@pytest.fixture
def model(tiny_folder):
    return load(ModelCard.read(tiny_folder), torch.device("cpu"), torch.float32)


def test_a_tiled_model_draws_what_one_window_draws(model):
    tiled = tiled_model(model, 64, 32)
    x, cond = torch.randn(1, 4, 4, 4), model.conditioner(["a red fox"])
    assert torch.equal(tiled.denoiser(x, AT, cond), model.denoiser(x, AT, cond))
    assert torch.equal(tiled.codec.decode(x), model.codec.decode(x))
    assert tiled.denoiser(torch.randn(1, 4, 10, 6), AT, cond).shape == (1, 4, 10, 6)
    with pytest.raises(ValueError, match=r"size: model 'tiny' needs a multiple of 32; .* is 64"):
        tiled_model(model, 70, 32)


def planned(registry, **values):
    return resolve(Draft("t", {"model": "tiny", "prompt": "a red fox", **values}, {}), registry)


def test_a_preset_says_tile(registry, model):
    seen = []
    inner = model.denoiser
    spied = replace(model, denoiser=lambda x, at, c: seen.append(x.shape[-2:]) or inner(x, at, c))
    plan = planned(registry, width=96, height=64, tile={"size": 32, "overlap": 0})
    assert Engine(spied, plan).pictures([plan.job(0)])[0].shape == (64, 96, 3)
    assert set(seen) == {(2, 2)}


def test_tiles_belong_to_the_film_and_no_tiles_do_not(registry):
    assert "tile" not in planned(registry).manifest()["preset"]
    said = planned(registry, tile={"size": 64, "overlap": 32}).manifest()["preset"]["tile"]
    assert said == {"size": 64, "overlap": 32}


@pytest.mark.parametrize(("tile", "said"), [
    ({"size": 80}, "tile.size: model 'tiny' needs a multiple of 32; the nearest is 64"),
    ({"size": 64, "overlap": 20}, "tile.overlap: model 'tiny' needs a multiple of 32"),
    ({"size": 64, "overlap": 64}, "tile: overlap 64 is not below size 64"),
    ({"sise": 64}, "tile.sise: unknown key; did you mean 'size'?"),
])  # fmt: skip
def test_wrong_tiles_are_told(registry, tile, said):
    with pytest.raises(PresetError, match=said.replace("?", r"\?")):
        planned(registry, **{"tile": tile})


def test_a_flow_ends_where_windows_agree():
    """Sampling in windows from one noise gives one picture, not pasted ones."""
    from artdiff.denoise import bind
    from artdiff.grid import levels
    from artdiff.sample import sample
    from artdiff.samplers import SAMPLERS

    denoiser = tiled_denoiser(
        GaussianDenoiser(torch.tensor(0.2), torch.tensor(0.3)), Tiling(16, 8)
    )
    x = torch.randn(1, 1, 40, 40)
    whole = GaussianDenoiser(torch.tensor(0.2), torch.tensor(0.3))
    ends = []
    for one in (denoiser, whole):
        *_, last = sample(SAMPLERS["dpmpp_2m"](), bind(one, {}), x, levels(Flow(), 5), Noise([0]))
        ends.append(last.x)
    assert torch.allclose(*ends, atol=1e-5)
