"""With every kind of guidance in use at once, a frame is the same frame.

In whatever batch, whatever part of the film, whatever else is installed or says nothing, and, but
for the modes that mean the order of terms, in whatever order the terms stand. Where the test says
*same*, it means bytes; where it says *near*, the order of a sum of floats has changed: larger
matrices are multiplied by other routines, and (a + b) + c is not a + (b + c).
"""

from __future__ import annotations

import gc
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import TinyModel
from PIL import Image
from safetensors.torch import save_file

if find_spec("open_clip") is None:
    pytest.skip("open_clip is not installed", allow_module_level=True)

from tiny_encoder import write_tiny_encoder

import artdiff
from artdiff.api import prepare
from artdiff.hookspecs import hookimpl
from artdiff.model import ModelCard
from artdiff.nn.unet_facts import NetworkFacts
from artdiff.preset.draft import Draft
from artdiff.renderer import load_engine
from artdiff.testing.toys import toy_pictures

COUNT = 4
NEAR = {"rtol": 0, "atol": 2e-5}
"""Of latents, which are about 1; each part of guidance moves them by 250 times as much or more."""

JUDGE = """
name = "judge"
backend = "unet-classifier"
title = "random weights for tests"
licence = "Apache-2.0"
weights = ["model.safetensors"]
multiple = 4

[facts]
kind = "classifier"
size = 8
labels = ["time:day", "time:night", "scene:lake", "scene:sea"]
process = { schedule = "cosine", steps = 100 }
network = { channels = 4, width = 32, multipliers = [1.0], blocks = 1, attention = [], classes = 4, pool = "adaptive" }
"""  # noqa: E501

WALKS = {
    "apg, sum, denoiser": ("euler_ancestral", {"name": "apg", "combine": "sum"}),
    "cfg_zero_star, balanced, x0": (
        "heun", {"name": "cfg_zero_star", "combine": "balanced", "through": "x0"},
    ),
    "pag, projected, x0": (
        "dpmpp_2m_sde",
        {"name": "pag", "combine": "projected", "through": "x0", "clamp_by": "dynamic"},
    ),
    "skip_layer, priority, denoiser": ("repaint", {"name": "skip_layer", "combine": "priority"}),
}  # fmt: skip
"""A sampler and a guider each, that differ in as much as there is."""

ORDERLESS = [name for name in WALKS if "sum" in name or "balanced" in name]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """An encoder, a classifier of noisy latents and a picture."""
    place = tmp_path_factory.mktemp("guidance")
    write_tiny_encoder(place / "encoder")
    judge = place / "models" / "judge"
    judge.mkdir(parents=True)
    (judge / "card.toml").write_text(JUDGE)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = NetworkFacts.read(ModelCard.read(judge).facts, "judge").build()
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    save_file(network.state_dict(), judge / "model.safetensors")
    picture = ((toy_pictures(1, 3, 32)[0] + 1) * 127.5).to(torch.uint8)
    Image.fromarray(picture.permute(1, 2, 0).numpy()).save(place / "picture.png")
    return place


@pytest.fixture(autouse=True)
def models(place, monkeypatch):
    monkeypatch.setenv("ARTDIFF_MODELS", str(place / "models"))


def terms(place):
    """One of each kind: a loss of cuts, one that sees x, one of latents decoded, a mask."""
    return {
        "clip": {
            "model": f"local-dir:{place / 'encoder'}", "weight": 60, "fuzz": 0.3, "at_once": 3,
            "cuts": {"overview": 2, "inner": 3}, "course": {"0%": 0, "20%": 1},
        },
        "classifier": {"classifier": "judge", "target": {"time:night": 1, "scene:sea": -0.5},
                       "weight": 60},
        "exposure": {"brightness": 0.3, "weight": {"0": 0.0, "3": 60.0}},
        "inpainting": {"image": str(place / "picture.png"), "x": {"0": 0.2, "3": 0.7},
                       "mask": "feather(circle(x, 0.5, 0.3), 4)"},
    }  # fmt: skip


def values(place, walk, **more):
    sampler, guidance = WALKS[walk]
    scale = {"0": 1.0, "3": 5.0}
    return {
        "model": "tiny", "prompts": {"0": "a red fox", "100%": "a blue cat snow"},
        "width": 64, "height": 64, "negative": "sea", "seed": 5, "batch": COUNT,
        "terms": terms(place),
        "frames": {"source": "still", "count": COUNT}, "sampler": {"name": sampler, "steps": 4},
        "guidance": {"scale": scale, "rescale": 0.3, "clamp": 0.1, **guidance},
    } | more  # fmt: skip


def draw(registry, values, batch=COUNT, watch=None):
    """Every x of the walk of each frame, (frames, steps, C, h, w), and the finished pictures."""
    plan = prepare(Draft("test", values, {}), registry, {}).plan
    engine, walks = load_engine(plan, registry, watch), {}
    engine.observe = lambda job, step: walks.setdefault(job.index, []).append(step.x[0].clone())
    jobs = [plan.job(index) for index in range(COUNT)]
    pictures = [
        picture
        for first in range(0, COUNT, batch)
        for picture in engine.images(jobs[first : first + batch])
    ]
    rows = torch.stack([torch.stack(walks[index]) for index in range(COUNT)])
    return SimpleNamespace(x=rows, pictures=np.stack(pictures), engine=engine, jobs=jobs)


def same(a, b):
    return torch.equal(a.x, b.x) and np.array_equal(a.pictures, b.pictures)


def assert_near(a, b):
    torch.testing.assert_close(a.x, b.x, **NEAR)
    assert np.abs(a.pictures.astype(int) - b.pictures).max() <= 2


@pytest.fixture(scope="module", params=WALKS)
def walk(request):
    return request.param


@pytest.fixture(scope="module")
def whole(tiny_folder, place, walk):
    """The film as one batch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARTDIFF_MODELS", str(place / "models"))
        return draw(plugins(tiny_folder), values(place, walk))


def plugins(tiny_folder):
    """All installed plugins and the tiny model."""
    made = artdiff.create_registry(artdiff.Selection())
    made.manager.register(TinyModel(tiny_folder), "tiny-model")
    return made


# That every part of it does something, without which the rest would mean little.


def test_every_part_acts(registry, place, walk, whole):
    for label in terms(place):
        rest = {key: table for key, table in terms(place).items() if key != label}
        without = draw(registry, values(place, walk, terms=rest))
        assert (whole.x[3, -1] - without.x[3, -1]).abs().max() > 0.005, label
    plain = values(place, walk)
    plain["guidance"] |= {"name": "cfg"}
    assert not same(whole, draw(registry, plain))
    other = draw(registry, values(place, walk, seed=6))
    assert (whole.x - other.x).abs().flatten(1).amax(1).min() > 0.01


# Batches.


@pytest.mark.parametrize("batch", [1, 3])
def test_a_frame_is_near_itself_in_any_batch(registry, place, walk, whole, batch):
    assert_near(whole, draw(registry, values(place, walk), batch))


def test_places_in_a_batch_do_not_matter(whole):
    turned = whole.engine.images(whole.jobs[::-1])[::-1]
    assert np.abs(np.stack(turned).astype(int) - whole.pictures).max() <= 2


def test_an_engine_draws_the_same_again(whole):
    """Nothing of a walk (momentum, what was decoded, terms that are kept) is left to the next."""
    assert np.array_equal(np.stack(whole.engine.images(whole.jobs)), whole.pictures)


# The order of terms and of plugins.


def test_a_mask_may_stand_anywhere_among_losses(registry, place, walk, whole):
    tables = terms(place)
    first = {"inpainting": tables.pop("inpainting")} | tables
    assert same(whole, draw(registry, values(place, walk, terms=first)))


@pytest.mark.parametrize("walk", ORDERLESS, indirect=True)
@pytest.mark.parametrize("order", [(3, 2, 1, 0), (1, 2, 3, 0)])
def test_the_order_of_terms_is_the_order_of_a_sum(registry, place, walk, whole, order):
    names = list(terms(place))
    turned = {names[i]: terms(place)[names[i]] for i in order}
    assert_near(whole, draw(registry, values(place, walk, terms=turned)))


@pytest.mark.parametrize("walk", sorted(set(WALKS) - set(ORDERLESS)), indirect=True)
def test_other_modes_mean_the_order_of_terms(registry, place, walk, whole):
    turned = dict(reversed(terms(place).items()))
    assert not same(whole, draw(registry, values(place, walk, terms=turned)))


def test_terms_that_say_nothing_change_nothing(registry, place, walk, whole):
    """Nor does a second term of a kind change what the first one draws."""
    tables = terms(place)
    more = {
        "second": tables["clip"] | {"use": "clip", "weight": 0},
        **tables,
        "third": {"use": "symmetry", "course": 0},
        "fourth": {"use": "symmetry", "weight": {"0": 0, "3": 0}},
        "fifth": {"use": "tv", "course": {"0%": 0, "100%": 0}},
    }
    assert same(whole, draw(registry, values(place, walk, terms=more)))


class Loud:
    """A plugin that offers a term and looks at every step; nobody names it."""

    @hookimpl
    def register_guidance(self):
        return {"aardvark": type("Aardvark", (), {"Options": artdiff.NoOptions, "loss": None})}

    @hookimpl
    def on_step(self, job, step):
        torch.rand(3), np.random.rand(3)


def backwards(registry, more):
    """A registry with the same plugins, registered the other way round, after one more."""
    turned = artdiff.create_registry(artdiff.Selection())
    known = [(name, plugin) for name, plugin in registry.manager.list_name_plugin() if plugin]
    for _, plugin in list(turned.manager.list_name_plugin()):
        turned.manager.unregister(plugin)
    turned.manager.register(more, "aardvarks")
    for name, plugin in reversed(known):
        turned.manager.register(plugin, name)
    return turned


def test_the_order_of_plugins_and_more_of_them_change_nothing(registry, place, walk, whole):
    turned = backwards(registry, Loud())
    assert turned.plugins[1:] == registry.plugins[::-1] and turned.plugins[0] == "aardvarks"
    assert same(whole, draw(turned, values(place, walk)))


def test_watching_changes_nothing(registry, place, walk, whole):
    looks = []
    watched = draw(registry, values(place, walk), watch=lambda jobs, look: looks.append(look))
    assert same(whole, watched)
    assert all(look.names == ("clip", "classifier", "exposure") for look in looks)
    assert looks[0].losses.shape == (COUNT, 3) and len(looks) >= 4
    assert any((look.clamped > 0).any() for look in looks)


# Films in parts.


def test_parts_of_a_film_are_the_film(tiny_folder, place, tmp_path, walk):
    """As several workers draw it: each has a part, and a process, registry and engine of its own.

    The cuts between the parts do not lie where those of batches do.
    """

    def render(folder, frames=None):
        said = values(place, walk, batch=2, frames={"source": "still", "count": 5})
        artdiff.render(
            Draft("test", said, {}), folder, frames=frames, registry=plugins(tiny_folder)
        )
        return {path.name: path.read_bytes() for path in sorted(folder.glob("0*.png"))}

    whole = render(tmp_path / "whole")
    assert len(set(whole.values())) == 5
    last = render(tmp_path / "parts", "3:")
    assert last.items() <= whole.items() and 2 <= len(last) < 5
    assert render(tmp_path / "parts", ":3") == whole


# Memory.


def graphs():
    """How many tensors that hold a graph are alive."""
    return sum(type(o) is torch.Tensor and o.grad_fn is not None for o in gc.get_objects())


def test_no_graph_outlives_its_step(registry, place, walk):
    plan = prepare(Draft("test", values(place, walk), {}), registry, {}).plan
    engine, alive = load_engine(plan, registry), []
    gc.collect()
    before = graphs()  # another test of this process may keep some alive

    engine.observe = lambda job, step: alive.append(graphs() - before)
    engine.images([plan.job(0), plan.job(1)])
    assert len(alive) >= 8 and set(alive) == {0}
