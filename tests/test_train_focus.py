"""A training that looks closer at subjects: weights of the error, and where subjects are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from training import Shapes, denoiser_recipe, losses

from artdiff.errors import PresetError
from artdiff.train import loop
from artdiff.train.focus import focus_weights
from artdiff.train.losses import flow_loss
from artdiff_plugins.scenes import compose
from artdiff_plugins.scenes.dataset import Scenes


class Aimed(Shapes):
    """Shapes that says where its disc or square is."""

    def subject(self, index):
        top, left = self.attributes(index)["at"]
        return left - 0.3, top - 0.3, left + 0.3, top + 0.3


def test_the_error_counts_more_within_the_box():
    boxes = [(0.25, 0.5, 0.75, 1.0), None, (-0.5, -0.5, 0.125, 2.0), (1.2, 0.0, 1.5, 1.0)]
    weights = focus_weights(boxes, 8, 4, 3.0)
    assert weights.shape == (4, 1, 8, 4)
    assert weights.mean(dim=(1, 2, 3)).tolist() == pytest.approx([1.0] * 4)
    inside, outside = weights[0, 0, 4:, 1:3], weights[0, 0, :4]
    assert inside.unique().numel() == outside.unique().numel() == 1
    assert (inside[0, 0] / outside[0, 0]).item() == pytest.approx(3.0)
    assert (weights[1] == 1).all() and (weights[3] == 1).all()
    half = weights[2, 0, :, 0] / weights[2, 0, :, 1]
    assert half.tolist() == pytest.approx([2.0] * 8)


def test_a_loss_of_weighted_places():
    error, weights = torch.zeros(1, 2, 2, 2), torch.tensor([[[[3.0, 1.0], [0.0, 0.0]]]])
    error[:, :, 0, 0] = 2.0
    nothing = torch.zeros_like(error)
    assert flow_loss(error, nothing, nothing).item() == pytest.approx(1.0)
    assert flow_loss(error, nothing, nothing, weights).item() == pytest.approx(3.0)


def focused(codec, focus, **changes):
    recipe = denoiser_recipe(codec, **changes)
    part = recipe.denoiser.model_copy(update={"focus": focus})
    return recipe.model_copy(update={"denoiser": part})


def test_the_loss_of_a_denoiser_weighs_its_subjects(codec_run, denoiser_run, tmp_path):
    codec = codec_run / "model.safetensors"
    loop.train(focused(codec, 5.0, steps=2), Aimed(), tmp_path / "run")
    seen, plain = losses(tmp_path / "run"), losses(denoiser_run)[:2]
    assert seen != pytest.approx(plain, rel=1e-3)
    assert seen == pytest.approx(plain, rel=0.5)
    loop.train(focused(codec, 2.0, steps=3), Aimed(), tmp_path / "run")
    assert len(losses(tmp_path / "run")) == 3


def test_without_subjects_the_error_cannot_count_more_there(codec_run, tmp_path):
    recipe = focused(codec_run / "model.safetensors", 2.0, steps=2)
    with pytest.raises(PresetError, match=r"denoiser\.focus: the dataset 'shapes' does not say"):
        loop.train(recipe, Shapes(), tmp_path / "run")


def test_subjects_of_scenes_stand_about_where_they_are_drawn(monkeypatch):
    drawn: list[tuple[float, float, float]] = []

    def note(paint, pose, look, x, feet, side, *rest):
        drawn.append((x, feet, side))

    monkeypatch.setattr(compose, "draw", note)
    scenes, shared, empty = Scenes(Scenes.Options()), [], 0
    for index in range(150):
        record, box = scenes.attributes(index), scenes.subject(index)
        if record["object"] is None:
            assert box is None
            empty += 1
            continue
        drawn.clear()
        compose.compose(record, np.random.default_rng(index))
        edges = np.array([(x - s / 2, feet - s, x + s / 2, feet) for x, feet, s in drawn]) / 256
        shared.append(_shared(np.array(box), [*edges[:, :2].min(0), *edges[:, 2:].max(0)]))
    assert empty > 20 and len(shared) > 60
    assert np.mean(shared) > 0.85 and np.quantile(shared, 0.1) > 0.7


def _shared(a, b):
    """The area that two boxes share, as a part of what they cover together."""
    a, b = np.asarray(a), np.asarray(b)
    common = np.prod((np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])).clip(0))
    return common / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - common)
