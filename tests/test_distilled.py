"""Weights that were distilled: what they are asked, what they refuse, what their card may say."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from levels import KNOWS, Cards, asked

from artdiff.api import estimate, image, prepare, render
from artdiff.errors import ModelError, PresetError
from artdiff.frames import key_of
from artdiff.model import ModelCard
from artdiff.preset.draft import Draft
from artdiff.quality import Distilled, Quality
from artdiff.registry import Registry
from artdiff.renderer import load_engine
from artdiff.train.checkpoint import read_tensors, write_tensors


def test_distilled_weights_are_asked_once_and_told_the_scale(both):
    plain, _ = asked(both, quality="normal")
    assert plain.batches == [4] * 4 and plain.told == [{}] * 4
    few, first = asked(both, quality="draft")
    assert few.batches == [2, 2]
    assert few.told[0] == {"scale": [2.0, 2.0], "reach": [0.5, 0.5]}
    other, second = asked(both, **{"quality": "draft", "guidance.scale": 5.0})
    assert other.batches == [2, 2] and other.told[0]["scale"] == [5.0, 5.0]
    assert (first != second).any()
    walked, _ = asked(both, **{"quality": "draft", "sampler.name": "dpmpp_2m"})
    assert all("reach" not in told for told in walked.told)


def test_one_scale_a_frame(both):
    few, _ = asked(both, **{"quality": "draft", "guidance.scale": {"0": 1.0, "1": 5.0},
                            "frames.source": "prompt_animation"})  # fmt: skip
    assert few.told[0]["scale"] == [1.0, 5.0]


def test_windows_and_images_work_with_distilled_weights(both, tmp_path):
    few, pictures = asked(both, **{"quality": "draft", "width": 64, "height": 32,
                                   "tile.size": 32, "tile.overlap": 0})  # fmt: skip
    assert pictures.shape == (2, 32, 64, 3)
    assert len(few.told) == 4 and all(t["scale"] == [2.0, 2.0] for t in few.told)
    path = tmp_path / "a.png"
    next(image("fox", settings={"model": "few"}, registry=both))
    render(Draft("still", {"model": "few", "prompt": "fox"}, {}), path, registry=both)
    part, _ = asked(both, **{"quality": "draft", "sampler.steps": 4, "init.image": str(path),
                             "init.strength": 0.5})  # fmt: skip
    assert [round(told["reach"][0], 6) for told in part.told] == [0.25, 0.25]


@pytest.mark.parametrize("key, value, message", [
    ("negative", "snow", "take no negative prompt"),
    ("guidance.name", "apg", "know plain 'cfg' only"),
    ("guidance.percentile", 0.99, "know plain 'cfg' only"),
    ("guidance.scale", 7.0, r"know guidance scales from 1 to 6 \(got 7\)"),
    ("guidance.scale", {"0": 0.5, "1": 2.0}, r"know guidance scales from 1 to 6 \(got 0.5\)"),
    ("guidance.rescale", 0.5, r"know 0 only \(got 0.5\)"),
    ("guidance.stop", 0.2, r"know 0 only \(got 0.2\)"),
    ("guidance.start", 0.8, r"know 1 only \(got 0.8\)"),
    ("guidance.course", {"0%": 0, "30%": 1}, r"know 1 only \(got 0\)"),
    ("sampler.steps", 5, r"walk 2 to 4 steps \(got 5\)"),
    ("terms", {"tv": {}}, r"take steps too long for \[terms\]"),
])  # fmt: skip
def test_what_distilled_weights_do_not_know(key, value, message, both):
    def settled(quality):
        settings = {"model": "few", "quality": quality, "frames.count": 2, key: value}
        return prepare(Draft("film", {}, {}), both, settings).plan

    at = "guidance.name" if key == "guidance.percentile" else key
    wanted = f": the distilled weights of model 'few' {message}; set quality to 'normal'$"
    with pytest.raises(PresetError, match=wanted) as caught:
        settled("draft")
    assert at in str(caught.value) or at == "guidance.name"
    assert settled("normal").card.distilled is None


@pytest.mark.parametrize("change", [
    lambda card: replace(card, distilled=None),
    lambda card: replace(card, distilled=Distilled((1.0, 9.0), steps=(2, 4))),
    lambda card: replace(card, distilled=Distilled((1.0, 6.0), steps=(1, 4))),
    lambda card: replace(card, distilled=Distilled((1.0, 6.0), plain=True)),
    lambda card: replace(card, weights=ModelCard.read(Path(str(card.folder))).weights),
])  # fmt: skip
def test_card_and_weights_agree_on_what_was_distilled(change, both, plan):
    found = plan(quality="draft")
    with pytest.raises(ModelError, match=r"card.toml: distilled: the weights \w+.safetensors say"):
        load_engine(replace(found, card=change(found.card)), both)


def test_a_model_that_is_distilled_as_a_whole(registry, few_folder):
    """A card may have no levels and say of its only weights that they were distilled."""
    card = ModelCard.read(few_folder)
    level = card.quality["draft"]
    whole = replace(
        card, name="few", weights=level.weights, distilled=level.distilled, quality={},
        defaults={**card.defaults, **level.values},
    )  # fmt: skip
    registry.manager.register(Cards(whole), "whole-model")
    few, _ = asked(registry)
    assert few.batches == [2, 2] and few.told[0]["scale"] == [2.0, 2.0]
    with pytest.raises(PresetError, match="take no negative prompt; take another model"):
        asked(registry, negative="snow")


@pytest.fixture
def one_file(registry, few_folder, tmp_path) -> Registry:
    """A model "one" whose only weights know guidance, few steps, and plain answers."""
    taught = KNOWS | {"plain": True}
    for file in few_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    tensors, facts = read_tensors(tmp_path / "few.safetensors")
    write_tensors(tmp_path / "few.safetensors", tensors, facts | {"distilled": taught})
    level = ModelCard.read(few_folder).quality["draft"]
    few = Distilled((1.0, 6.0), steps=(2, 4))
    card = replace(
        ModelCard.read(few_folder), name="one", folder=tmp_path, weights=level.weights,
        distilled=Distilled((1.0, 6.0), plain=True),
        quality={"draft": replace(level, distilled=few), "normal": Quality(), "best": Quality()},
    )  # fmt: skip
    registry.manager.register(Cards(card), "one-model")
    return registry


@pytest.mark.parametrize("settings, passes", [
    ({}, 1),
    ({"quality": "draft"}, 1),
    ({"negative": "snow"}, 2),
    ({"negative": "snow", "quality": "best"}, 2),
    ({"guidance.rescale": 0.5}, 2),
    ({"guidance.scale": 9.0}, 2),
    ({"guidance.name": "apg"}, 2),
])  # fmt: skip
def test_weights_that_were_taught_plain_answers_too(settings, passes, one_file):
    """What they do not know by heart is asked of the same weights in two passes."""
    said, pictures = asked(one_file, model="one", **settings)
    assert said.batches[0] == 2 * passes and np.isfinite(pictures).all()
    draft = settings.get("quality") == "draft"
    assert all(("scale" in told) == (passes == 1) for told in said.told)
    assert all(("reach" in told) == draft for told in said.told)
    settings = {"model": "one", "frames.count": 2, "prompt": "a red fox", **settings}
    work = prepare(Draft("film", {}, {}), one_file, settings)
    steps = work.plan.preset.sampler.steps
    assert estimate(work, one_file, measure=False).model_calls == 2 * passes * steps


def test_plain_steps_are_no_leaps(one_file):
    plain, _ = asked(one_file, model="one", **{"negative": "snow", "sampler.name": "euler"})
    assert plain.told == [{}] * 4
    known, _ = asked(one_file, model="one", **{"sampler.name": "euler"})
    assert all(list(told) == ["scale"] for told in known.told)


def test_one_pass_and_two_are_different_films(one_file):
    def key(**settings):
        values = {"model": "one", "prompt": "a red fox", **settings}
        return key_of(prepare(Draft("film", {}, {}), one_file, values).plan.manifest())

    manifests = {key(), key(quality="draft"), key(**{"guidance.scale": 9.0})}
    assert len(manifests) == 3


def test_few_steps_are_refused_what_two_passes_know(one_file):
    draft = {"model": "one", "quality": "draft", "negative": "snow"}
    with pytest.raises(PresetError, match="take no negative prompt; set quality to 'normal'"):
        prepare(Draft("film", {}, {}), one_file, draft)
