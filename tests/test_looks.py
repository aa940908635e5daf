"""Looks: each formula against hand-made pictures, and that its gradient leads there."""

from dataclasses import replace
from importlib.util import find_spec

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file

import artdiff
from artdiff.grid import levels
from artdiff.noise import Flow
from artdiff.options import NoOptions
from artdiff.random import Noise
from artdiff.testing import check_guidance
from artdiff.testing.toys import toy_pictures, toy_setup
from artdiff_plugins.looks.aesthetic import Aesthetic
from artdiff_plugins.looks.terms import OutOfRange, Saturation, TotalVariation

AT, NOISE = levels(Flow(), 10)[5], Noise([1, 2])


def judged(kind, images, **said):
    term = kind(kind.Options(**said), toy_setup())
    return term.loss(images, AT, Noise(range(len(images))))


def stripes(low, high, size=8):
    """Columns that alternate between two values."""
    picture = torch.full((1, 3, size, size), float(low))
    picture[..., ::2] = high
    return picture


def test_tv_counts_edges():
    flat, edges = torch.full((1, 3, 8, 8), 0.3), stripes(-0.5, 0.5)
    found = judged(TotalVariation, torch.cat([flat, edges, edges.mT, 2 * edges]))
    torch.testing.assert_close(found, torch.tensor([0, 7 / 8, 7 / 8, 4 * 7 / 8]))


def test_range_is_what_lies_outside():
    inside, outside = stripes(-1, 1), stripes(-1.5, 0.5)
    squared = judged(OutOfRange, torch.cat([inside, outside]))
    torch.testing.assert_close(squared, torch.tensor([0.0, 0.125]))
    plain = judged(OutOfRange, torch.cat([inside, outside]), power=1)
    torch.testing.assert_close(plain, torch.tensor([0.0, 0.25]))


def test_saturation_is_nearest_at_its_target():
    grey = torch.full((1, 3, 4, 4), 0.4)
    red = torch.tensor([1.0, -1, -1]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    most = (8 / 9) ** 0.5
    found = judged(Saturation, torch.cat([grey, red]), target=0)
    torch.testing.assert_close(found, torch.tensor([0.0, most**2]), atol=1e-4, rtol=1e-4)
    found = judged(Saturation, torch.cat([grey, red]), target=0.5)
    torch.testing.assert_close(
        found, torch.tensor([0.25, (most - 0.5) ** 2]), atol=1e-3, rtol=1e-3
    )


@pytest.mark.parametrize(("kind", "said"), [
    (TotalVariation, {}), (OutOfRange, {}), (OutOfRange, {"power": 1}), (Saturation, {}),
    (Saturation, {"target": 0}),
])  # fmt: skip
def test_gradients_lead_down(kind, said):
    images = 1.6 * toy_pictures(2, 3, 16)
    leaf = images.clone().requires_grad_()
    before = judged(kind, leaf, **said)
    (slope,) = torch.autograd.grad(before.sum(), leaf)
    size = 0.05 * before.detach().view(-1, 1, 1, 1) / slope.square().sum((1, 2, 3), keepdim=True)
    after = judged(kind, images - size * slope, **said)
    assert slope.isfinite().all() and (after < before).all()


@pytest.mark.parametrize("kind", [TotalVariation, OutOfRange, Saturation])
def test_they_are_guidance_as_artdiff_wants_it(kind):
    assert [str(f) for f in check_guidance(kind) if f.level == "wrong"] == []


@pytest.mark.parametrize(("kind", "said"), [
    (TotalVariation, {"weight": 1}), (OutOfRange, {"power": 0}), (Saturation, {"target": 3}),
    (Aesthetic, {}), (Aesthetic, {"head": ""}),
])  # fmt: skip
def test_options_that_are_wrong(kind, said):
    with pytest.raises(ValidationError):
        kind.Options(**said)
    assert TotalVariation.Options is NoOptions


# The aesthetic judge.


class Brightness:
    """An encoder whose embedding says how bright and how dark a picture is."""

    size = (8, 8)

    def see(self, images):
        bright = (images.mean((1, 2, 3)) + 1) / 2
        return torch.stack([bright, 1 - bright], 1)


@pytest.fixture
def aesthetic(monkeypatch):
    from artdiff_plugins.looks import aesthetic

    monkeypatch.setattr(aesthetic, "load_encoder", lambda model, weights: Brightness())
    return lambda path, **said: Aesthetic(
        Aesthetic.Options(head=str(path), **said), replace(toy_setup(), files={})
    )


def test_a_head_that_likes_light(aesthetic, tmp_path):
    torch.save({"weight": torch.tensor([[2.0, -1.0]]), "bias": torch.tensor([0.5])},
               tmp_path / "head.pth")  # fmt: skip
    save_file({"linear.weight": torch.tensor([2.0, -1.0])}, tmp_path / "head.safetensors")
    images = torch.tensor([1.0, -1.0, 0.0]).view(3, 1, 1, 1).expand(3, 3, 8, 8).clone()
    wanted = torch.tensor([2.5, -0.5, 0.5**0.5 + 0.5])
    found = aesthetic(tmp_path / "head.pth").loss(images, AT, Noise([1, 2, 3]))
    torch.testing.assert_close(found, -wanted)
    found = aesthetic(tmp_path / "head.safetensors").loss(images, AT, Noise([1, 2, 3]))
    torch.testing.assert_close(found, -wanted + 0.5)
    images.requires_grad_()
    aesthetic(tmp_path / "head.pth").loss(images, AT, Noise([1, 2, 3])).sum().backward()
    assert images.grad[2].lt(0).all()  # brighter is better


@pytest.mark.parametrize(("tensors", "said"), [
    ({"weight": torch.zeros(1, 5)}, "a head of 5 numbers; the encoder 'starter' gives 2"),
    ({"a.weight": torch.zeros(2), "b.weight": torch.zeros(2)}, "no linear head"),
    ({"weight": torch.zeros(2), "bias": torch.zeros(2)}, "no linear head"),
    ({"other": torch.zeros(2)}, "no linear head; it has other"),
])  # fmt: skip
def test_heads_that_do_not_fit(aesthetic, tmp_path, tensors, said):
    save_file(tensors, tmp_path / "head.safetensors")
    with pytest.raises(artdiff.ModelError) as caught:
        aesthetic(tmp_path / "head.safetensors")
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_head_that_runs_code_is_refused(aesthetic, tmp_path):
    torch.save({"weight": print}, tmp_path / "head.pth")
    with pytest.raises(artdiff.ModelError, match="could run code"):
        aesthetic(tmp_path / "head.pth")


@pytest.mark.skipif(find_spec("open_clip") is None, reason="open_clip is not installed")
def test_heads_are_named_in_presets_by_their_files(registry):
    from artdiff.plan.resolve import resolve
    from artdiff.preset.draft import Draft

    terms = {"beauty": {"use": "aesthetic", "head": "nowhere.pth"}}
    with pytest.raises(artdiff.PresetError, match=r"terms\.beauty\.head: no such file"):
        resolve(Draft("test", {"model": "tiny", "terms": terms}, {}), registry)
