"""CLIP guidance: cuts, distances, memory, prompts; the encoders that it shares."""

import json
import math
import weakref
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

if find_spec("open_clip") is None:
    pytest.skip("open_clip is not installed", allow_module_level=True)

from tiny_encoder import CONFIG, write_tiny_encoder

import artdiff
from artdiff.engine import Engine
from artdiff.grid import levels
from artdiff.noise import Flow
from artdiff.openclip import import_open_clip
from artdiff.plan.resolve import resolve
from artdiff.preset.draft import Draft
from artdiff.random import Noise
from artdiff.testing import check_guidance
from artdiff.testing.toys import toy_pictures, toy_setup
from artdiff.timeline import FrameJob, Start
from artdiff_plugins.clip_guidance import cuts as cutting
from artdiff_plugins.clip_guidance.options import Augment, Cuts, Options
from artdiff_plugins.clip_guidance.parts import summed
from artdiff_plugins.clip_guidance.term import ClipGuidance, spherical
from artdiff_plugins.clip_guidance.walk import read_walk

MIDDLE = levels(Flow(), 10)[5]
NOISE = Noise([7, 8])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An encoder with random weights, as `artdiff train` writes it."""
    return write_tiny_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def encoder(folder):
    return artdiff.load_encoder(f"local-dir:{folder}")


def options(folder, **said):
    said = {"model": f"local-dir:{folder}", "prompts": ["a red fox"], **said}
    return Options.model_validate(said)


def term(folder, setup=None, **said):
    return ClipGuidance(options(folder, **said), setup or toy_setup())


def job(*prompts):
    return FrameJob(0, 0, prompts, "", Start.at(0))


# The encoders.


def test_an_encoder_is_loaded_once(folder, encoder):
    assert artdiff.load_encoder(f"local-dir:{folder}") is encoder
    assert encoder.size == (16, 16) and len(encoder.digest()) == 16
    assert not any(p.requires_grad for p in encoder.network.parameters())


def test_embeddings_are_open_clips(encoder):
    images = toy_pictures(2, 3, 16).float()
    mean = std = torch.full((3, 1, 1), 0.5)
    wanted = encoder.network.encode_image(((images + 1) / 2 - mean) / std)
    torch.testing.assert_close(encoder.see(images), wanted)
    leaf = images.clone().requires_grad_()
    encoder.see(torch.cat([leaf, leaf], 3)).sum().backward()
    assert leaf.grad.abs().sum() > 0
    assert encoder.reading("a fox").norm() == pytest.approx(1, abs=1e-5)


def test_what_is_read_under_inference_mode_may_meet_a_gradient(folder, encoder):
    with torch.inference_mode():
        text = encoder.reading("a blue cat")
    assert encoder.reading("a blue cat") is text
    row = torch.ones(24, requires_grad=True)
    (row @ text).backward()
    torch.testing.assert_close(row.grad, text)


def test_words_that_an_encoder_never_saw(encoder):
    assert encoder.unknown("a red zebra crossing") == ["zebra", "crossing"]


def test_relevance_finds_the_half_that_is_meant(folder):
    """An encoder that looks at the mean colour only; 'red' is red and nothing else is."""
    encoder = artdiff.TextImageEncoder(Colours(), Colours.tokenise, "colours")
    picture = torch.full((2, 3, 48, 64), -1.0)
    picture[0, 0, :, :32] = 1  # red on the left
    picture[1, 0, :, 32:] = 1
    found = encoder.relevance(picture, "red")
    assert found.shape == (2, 1, 48, 64) and found.min() == 0 and found.max() == 1
    left, right = found[:, 0, :, :24].mean((1, 2)), found[:, 0, :, 40:].mean((1, 2))
    assert left[0] > 0.8 and right[0] < 0.2 and left[1] < 0.2 and right[1] > 0.8
    alone = encoder.relevance(picture[:1], "red")
    torch.testing.assert_close(found[:1], alone)


class Colours(torch.nn.Module):
    """Embeds a picture as its mean colour and black, and the word red as red."""

    def __init__(self):
        super().__init__()
        self.visual = torch.nn.Identity()
        self.visual.image_size, self.visual.image_mean = 8, (0.0, 0.0, 0.0)
        self.visual.image_std = (1.0, 1.0, 1.0)
        self.logit_scale = torch.nn.Parameter(torch.tensor(2.0))

    def encode_image(self, images):
        colours = images.mean((2, 3))
        return torch.cat([colours, 1 - colours.amax(1, keepdim=True) + 1e-3], 1)

    def encode_text(self, ids):
        return torch.nn.functional.one_hot(ids[:, 0], 4).float()

    @staticmethod
    def tokenise(texts):
        return torch.tensor([[0 if text == "red" else 3] for text in texts])


SHIPPED = Path(artdiff.__file__).parent / "starter" / "clip"


@pytest.mark.skipif(not SHIPPED.is_dir(), reason="the starter's encoder is not trained yet")
def test_the_starters_encoder_ships():
    encoder = artdiff.load_encoder()
    assert encoder.unknown("a village at sunset") == []
    assert encoder.unknown("qwertz") == ["qwertz"]
    own = import_open_clip().create_model(f"local-dir:{SHIPPED}")
    torch.testing.assert_close(own.token_embedding.weight, encoder.network.token_embedding.weight)
    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) < 25e6


@pytest.mark.parametrize(("model", "weights", "said"), [
    ("ViT-Z-99", "", "open_clip knows no model 'ViT-Z-99'"),
    ("ViT-B-32", "", "needs weights"),
    ("ViT-B-32", "missing.pt", "missing.pt: no such file"),
    ("local-dir:nowhere", "", "open_clip cannot load local-dir:nowhere"),
])  # fmt: skip
def test_encoders_that_are_not_there(model, weights, said):
    with pytest.raises(artdiff.ModelError) as caught:
        artdiff.load_encoder(model, weights)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_pickle_that_runs_code_is_refused(folder, tmp_path):
    import_open_clip().add_model_config(_config(tmp_path))
    flag = tmp_path / "ran"
    torch.save({"state_dict": Evil(flag)}, tmp_path / "evil.pt")
    with pytest.raises(artdiff.ModelError, match="cannot load artdiff-evil"):
        artdiff.load_encoder("artdiff-evil", str(tmp_path / "evil.pt"))
    assert not flag.exists()


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def _config(place):
    (place / "artdiff-evil.json").write_text(json.dumps(CONFIG["model_cfg"]))
    return place / "artdiff-evil.json"


# Numbers over the walk.


@pytest.mark.parametrize(("value", "at", "wanted"), [
    (3, 0.5, 3),
    ({"0%": 12, "100%": 4}, 0.25, 10),
    ("[12]*400+[4]*600", 0.39, 12),
    ("[12]*400+[4]*600", 0.41, 4),
    ("[12] * 400 + [4] * 600", 1.0, 4),
    ("[0.2]*200+[0.5]*200+[0]*600", 0.3, 0.5),
    ("[1]*1000", 0.7, 1),
])  # fmt: skip
def test_walks(value, at, wanted):
    assert read_walk(value).along(at) == pytest.approx(wanted)


@pytest.mark.parametrize("value", [
    "[12]*400 + __import__('os').getcwd()", "[12]*400+", "12", "[1,2]*3", "[1]*0", "[1]*-3",
    {"10": 3, "20": 4}, {"0%": "many"}, None, [1, 2],
])  # fmt: skip
def test_walks_that_are_none(value):
    with pytest.raises(ValueError, match=r".") as caught:
        read_walk(value)
    assert "\n" not in str(caught.value)


# What a preset says.


def test_prompts_have_weights_behind_a_colon():
    found = Options.model_validate({"prompts": ["a fox: red:2", "10:30 train", "fog:-0.5", "sea"]})
    assert [(p.text, p.weight) for p in found.prompts] == [
        ("a fox: red", 2), ("10:30 train", 1), ("fog", -0.5), ("sea", 1)]  # fmt: skip
    again = Options.model_validate(found.model_dump(mode="json"))
    assert again == found
    said = ["fox:.5", "fox:-.5", "fox:2.", "fox: 2 ", "fox: .", "fox:-"]
    found = Options.model_validate({"prompts": said})
    assert [(p.text, p.weight) for p in found.prompts] == [
        ("fox", 0.5), ("fox", -0.5), ("fox", 2), ("fox", 2), ("fox: .", 1), ("fox:-", 1)
    ]  # fmt: skip
    assert [e.model for e in Options.model_validate({"model": ["starter", "ViT-B-32"]}).model] == [
        "starter", "ViT-B-32"]  # fmt: skip
    assert Options.model_validate({"augment": False}).augment.rotate == 0


@pytest.mark.parametrize("said", [
    {"prompts": [3]}, {"prompts": [""]}, {"cuts": {"inner": -1}}, {"cuts": {"innner": 1}},
    {"cuts": {"grey": 2}}, {"model": []}, {"model": {"weights": "a", "file": "b"}},
    {"at_once": 0}, {"cut_batches": 0}, {"augment": {"rotate": 400}}, {"fuzz": -1},
])  # fmt: skip
def test_options_that_are_wrong(said):
    with pytest.raises(ValidationError):
        Options.model_validate(said)


def test_nothing_to_lead_towards(folder):
    with pytest.raises(artdiff.PresetError, match="nothing to lead towards"):
        term(folder, prompts=[])
    with pytest.raises(artdiff.PresetError, match="nothing to lead towards"):
        term(folder, replace(toy_setup(), job=job(("", 1.0))), prompts=[])


def test_the_films_own_prompts(folder):
    setup = replace(toy_setup(), job=job(("a red fox", 0.25), ("snow", 0.75)))
    own, said = term(folder, setup, prompts=[]), term(folder, prompts=["a red fox:1", "snow:3"])
    x0 = toy_pictures(2, 3, 16).float()
    torch.testing.assert_close(own.loss(x0, MIDDLE, NOISE), said.loss(x0, MIDDLE, NOISE))


def test_words_that_mean_nothing_are_told(folder):
    with pytest.raises(artdiff.ModelError, match="knows no word of 'zebra crossing'"):
        term(folder, prompts=["zebra crossing"])
    with pytest.warns(artdiff.PromptWarning, match="does not know: zebra"):
        term(folder, prompts=["a red zebra"])


# Cuts.


def test_inner_cuts_lie_in_the_picture_and_rows_have_their_own():
    cuts = Cuts.model_validate({"overview": 5, "inner": 6, "grey": 0.5, "smallest": 0.25})
    drawn = cutting.draw_cuts(cuts, 0.5, (32, 48), NOISE, "x")
    overview, inner = drawn[:5], drawn[5:]
    assert [(c.grey, c.mirrored) for c in overview] == [
        (False, False), (True, False), (False, True), (True, True), (False, False)]  # fmt: skip
    assert [c.grey for c in inner] == [True] * 3 + [False] * 3
    for cut in inner:
        assert cut.boxes[0] != cut.boxes[1]
        for top, left, side in cut.boxes:
            assert 8 <= side <= 32 and 0 <= top <= 32 - side and 0 <= left <= 48 - side
    alone = cutting.draw_cuts(cuts, 0.5, (32, 48), Noise([8]), "x")
    assert [c.boxes[0] for c in alone[5:]] == [c.boxes[1] for c in inner]


def test_power_makes_cuts_small_and_counts_follow_the_walk():
    def sides(power):
        cuts = Cuts.model_validate({"overview": 0, "inner": 64, "smallest": 0, "power": power})
        drawn = cutting.draw_cuts(cuts, 0.5, (64, 64), Noise([1]), "x")
        return np.mean([box[2] for cut in drawn for box in cut.boxes])

    assert sides(0.25) > sides(1) + 10 > sides(4) + 20
    cuts = Cuts.model_validate({"overview": "[3]*400+[1]*600", "inner": {"0%": 0, "100%": 10}})
    assert len(cutting.draw_cuts(cuts, 0.1, (8, 8), NOISE, "x")) == 3 + 1
    assert len(cutting.draw_cuts(cuts, 0.9, (8, 8), NOISE, "x")) == 1 + 9


def test_cuts_show_what_they_should():
    images = toy_pictures(2, 3, 16).float()
    box = cutting.Cut("a", ((0, 0, 8), (8, 8, 8)))
    seen = cutting.take(
        images, [box, cutting.Cut("b"), cutting.Cut("c", None, True, True)], (8, 8)
    )
    assert torch.equal(seen[0], images[0, :, :8, :8])
    assert torch.equal(seen[1], images[1, :, 8:, 8:])
    whole = cutting.resized(images, (8, 8))
    assert torch.equal(seen[2:4], whole)
    assert torch.equal(seen[4:], cutting.greyed(whole.flip(3)))
    wide = torch.ones(1, 3, 8, 16)
    (padded,) = cutting.take(wide, [cutting.Cut("d")], (16, 16))
    assert padded[:, 4:12].eq(1).all() and padded[:, :4].eq(0).all() and padded[:, 12:].eq(0).all()


def test_augmentations_turn_shift_and_colour():
    images = toy_pictures(2, 3, 32).float()
    cuts = [cutting.Cut("a"), cutting.Cut("b")]
    seen = cutting.take(images, cuts, (32, 32))

    def changed(**said):
        augment = Augment(**dict.fromkeys(Augment.model_fields, 0) | said)
        return cutting.augmented(seen, cuts, augment, NOISE)

    assert torch.equal(changed(), seen)
    torch.testing.assert_close(changed(flip=1), seen.flip(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(changed(grey=1), cutting.greyed(seen))
    for said in ({"rotate": 30}, {"shift": 0.3}, {"jitter": 0.5}, {"grain": 0.5}):
        difference = (changed(**said) - seen).flatten(1).abs().mean(1)
        assert (difference > 0.01).all(), said
    assert (changed(grain=0.1) - seen).std().item() == pytest.approx(0.1, rel=0.05)


# The loss.


def test_spherical_is_half_the_squared_angle():
    angles = torch.tensor([0.0, 0.5, 1.0, 2.0, 3.0], dtype=torch.float64)
    a = torch.tensor([1.0, 0.0], dtype=torch.float64).expand(5, 2)
    b = torch.stack([angles.cos(), angles.sin()], 1).requires_grad_()
    found = spherical(a, b)
    torch.testing.assert_close(found, angles**2 / 2, atol=1e-5, rtol=1e-5)
    found.sum().backward()
    assert b.grad.isfinite().all()


def test_summed_has_the_gradient_of_the_plain_sum():
    images = torch.randn(3, 3, 4, 4, dtype=torch.float64, generator=_seeded(0))
    parts = [1.0, -2.0, 0.5]

    def judge(images, part):
        return (part * images).sin().flatten(1).sum(1)

    rows = torch.tensor([1.0, 2.0, -1.0], dtype=torch.float64)
    one, other = (images.clone().requires_grad_() for _ in range(2))
    found, wanted = summed(one, judge, parts), sum(judge(other, part) for part in parts)
    (found * rows).sum().backward()
    (wanted * rows).sum().backward()
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(one.grad, other.grad)
    with torch.inference_mode():
        torch.testing.assert_close(summed(images, judge, parts), found.detach())


def _seeded(seed):
    return torch.Generator().manual_seed(seed)


def gradient(term, x0, noise=NOISE, at=MIDDLE):
    leaf = x0.clone().requires_grad_()
    value = term.loss(leaf, at, noise)
    value.sum().backward()
    return value.detach(), leaf.grad


def test_memory_is_no_matter_of_taste(folder):
    """`at_once` changes neither the loss nor its gradient."""
    x0 = toy_pictures(2, 3, 32).float()
    few, many = (gradient(term(folder, at_once=n, cut_batches=2), x0) for n in (3, 64))
    torch.testing.assert_close(few[0], many[0])
    torch.testing.assert_close(few[1], many[1], rtol=1e-3, atol=1e-7)


def test_nothing_of_a_part_outlives_it(folder, monkeypatch):
    """While one part is judged, what another was differentiated by is gone."""
    seen, alive = [], []
    guided = term(folder, at_once=2, cuts={"overview": 0, "inner": 8})
    plain = artdiff.TextImageEncoder.see

    def see(encoder, images):
        alive.append(sum(one() is not None for one in seen))
        seen.append(weakref.ref(images))
        return plain(encoder, images)

    monkeypatch.setattr(artdiff.TextImageEncoder, "see", see)
    gradient(guided, toy_pictures(2, 3, 32).float())
    assert alive == [0, 0, 0, 0]


def test_rows_are_apart_and_draws_have_names(folder):
    x0 = toy_pictures(3, 3, 32).float()
    whole = gradient(term(folder), x0, Noise([5, 6, 7]))
    part = gradient(term(folder), x0[1:2], Noise([6]))
    torch.testing.assert_close(whole[0][1:2], part[0], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(whole[1][1:2], part[1], rtol=1e-3, atol=1e-7)
    again = gradient(term(folder), x0, Noise([5, 6, 7]))
    assert torch.equal(whole[1], again[1])
    other = gradient(term(folder), x0, Noise([5, 9, 7]))
    assert not torch.equal(whole[1][1], other[1][1]) and torch.equal(whole[1][0], other[1][0])


def test_weights_of_texts_encoders_and_pictures(folder, tmp_path):
    x0 = toy_pictures(2, 3, 16).float()
    plain = {"augment": False, "cuts": {"overview": 1, "inner": 0}}

    def loss(**said):
        return term(folder, setup, **plain, **said).loss(x0, MIDDLE, NOISE)

    picture = (x0[:1] + 1).mul(127.5).round().to(torch.uint8)[0].permute(1, 2, 0).numpy()
    Image.fromarray(picture).save(tmp_path / "own.png")
    setup = toy_setup()
    fox, snow = loss(), loss(prompts=["snow"])
    torch.testing.assert_close(loss(prompts=["a red fox:3", "snow"]), 0.75 * fox + 0.25 * snow)
    torch.testing.assert_close(loss(prompts=["a red fox", "snow:-1"]), 0.5 * fox - 0.5 * snow)
    twice = [{"model": f"local-dir:{folder}", "weight": w} for w in (0.5, 2)]
    torch.testing.assert_close(loss(model=twice), 2.5 * fox)
    near = loss(prompts=[], image_prompts=[str(tmp_path / "own.png")])
    assert near[0] < 0.01 < near[1]
    assert not torch.equal(loss(fuzz=0.3), fox)


def test_a_walk_without_cuts_costs_nothing_and_still_has_a_gradient(folder):
    value, slope = gradient(term(folder, cuts={"overview": 0, "inner": 0}), toy_pictures(2, 3, 16))
    assert not value.any() and not slope.any()


def test_it_leads_to_the_text(folder):
    """Steps against the gradient bring the picture nearer to the text, seen whole."""
    guided = term(folder, cuts={"overview": 1, "inner": 6})
    judge = term(folder, cuts={"overview": 1, "inner": 0}, augment=False)
    x0 = toy_pictures(2, 3, 32).float()
    before = judge.loss(x0, MIDDLE, NOISE)
    for step in range(12):
        slope = gradient(guided, x0, NOISE.at(step))[1]
        x0 = (x0 - 0.05 * slope / slope.square().mean((1, 2, 3), True).sqrt()).clamp(-1, 1)
    after = judge.loss(x0, MIDDLE, NOISE)
    assert (after < before - 0.05).all()


def test_it_is_a_guidance_as_artdiff_wants_it(folder):
    found = check_guidance(ClipGuidance, options(folder, augment=False), name="clip")
    assert [str(f) for f in found if f.level == "wrong"] == []


# In the engine.


def render(registry, folder, batch=2, count=2, **values):
    terms = {"clip": {"model": f"local-dir:{folder}", "weight": 30, **values}}
    draft = Draft("test", {
        "model": "tiny", "prompt": "a red fox", "seed": 3, "terms": terms, "batch": batch,
        "frames": {"source": "still", "count": count}, "sampler": {"steps": 3},
    }, {})  # fmt: skip
    plan = resolve(draft, registry)
    from artdiff.renderer import load_engine

    engine: Engine = load_engine(plan, registry)
    jobs = [plan.job(i) for i in range(count)]
    starts = range(0, count, batch)
    return np.stack([p for at in starts for p in engine.images(jobs[at : at + batch])])


def test_a_render_with_clip(registry, folder):
    guided = render(registry, folder)
    assert not np.array_equal(guided, render(registry, folder, weight=0))
    apart = render(registry, folder, batch=1)
    assert np.abs(guided.astype(int) - apart).max() <= 1
    stronger = render(registry, folder, course={"0%": 0, "100%": 2})
    assert not np.array_equal(guided, stronger)


def test_mistakes_in_a_preset_name_the_key(registry, folder):
    with pytest.raises(artdiff.PresetError) as caught:
        render(registry, folder, cuts={"overveiw": 3})
    assert "terms.clip.cuts.overveiw" in str(caught.value) and "overview" in str(caught.value)
    with pytest.raises(artdiff.PresetError, match=r"terms\.clip\.cuts\.inner.*12"):
        render(registry, folder, cuts={"inner": "[12]*"})
    with pytest.raises(artdiff.PresetError, match="no such file"):
        render(registry, folder, image_prompts=["nowhere.png"])
    assert math.isfinite(render(registry, folder, cuts={"inner": "[2]*400+[1]*600"}).mean())


def test_prompts_may_change_from_frame_to_frame(registry, folder):
    keys = {"0": ["a red fox:2", "snow:-1"], "50%": "a blue cat"}
    draft = Draft("test", {
        "model": "tiny", "prompt": "a fox", "frames": {"source": "still", "count": 5},
        "terms": {"clip": {"model": f"local-dir:{folder}", "prompts": keys, "at_once": {0: 2}}},
    }, {})  # fmt: skip
    plan = resolve(draft, registry)
    fox = [{"text": "a red fox", "weight": 2}, {"text": "snow", "weight": -1}]
    cat = [{"text": "a blue cat", "weight": 1}]
    found = [plan.job(i).terms[0].options["prompts"] for i in range(5)]
    assert found == [fox, fox, cat, cat, cat]
    assert plan.manifest()["preset"]["terms"]["clip"]["prompts"] == {"0": fox, "50%": cat}
    draft.values["terms"]["clip"]["prompts"] = {"0": "a fox", "half": "a cat"}
    with pytest.raises(artdiff.PresetError, match=r"terms\.clip\.prompts: 'half' is not a frame"):
        resolve(draft, registry)
    draft.values["terms"]["clip"]["prompts"] = {"0": "a fox", "3": 7}
    with pytest.raises(artdiff.PresetError, match=r"terms\.clip\.prompts"):
        resolve(draft, registry)
