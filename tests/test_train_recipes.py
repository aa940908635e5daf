"""Recipes of trainings: what is wrong is named, and what another run would be is known."""

import json
from pathlib import Path

import pytest
from training import codec_recipe, pixel_recipe

from artdiff.errors import PresetError
from artdiff.train import loop
from artdiff.train.kinds import KINDS, load_recipe, parse_recipe
from artdiff.train.recipe import Recipe, first_change

RECIPES = Path(loop.__file__).parent / "recipes"

SAME_RUN = [
    {"stop": {"steps": 99}}, {"stop": {"minutes": 1}}, {"accumulate": 2}, {"device": "cpu"},
    {"precision": "bfloat16"}, {"start": "other.safetensors"}, {"cadence": {"save_steps": 9}},
    {"data": {"workers": 3, "cache": "elsewhere"}}, {"autoencoder": {"validation": 3}},
    {"optim": {"name": "adamw", "adam_lr": 1e-4, "cooldown": 0.2, "clip": 9}},
]  # fmt: skip

OTHER_RUN = [
    ("batch", 9, {"batch": 9}), ("ema.half_life", 7.0, {"ema": {"half_life": 7}}),
    ("ema.decay", 0.9, {"ema": {"half_life": None, "decay": 0.9}}),
    ("optim.name", "muon", {"optim": {"name": "muon"}}),
    ("optim.convs", True, {"optim": {"name": "adamw", "convs": True}}),
    ("data.count", 95, {"data": {"count": 95}}), ("data.size", 4, {"data": {"size": 4}}),
    ("data.flip", True, {"data": {"flip": True}}), ("kind", "diffusion", {}),
    ("autoencoder.noise", 0.1, {"autoencoder": {"noise": 0.1}}),
    ("autoencoder.model.channels", 8, {"autoencoder": {"model": {"channels": 8}}}),
]  # fmt: skip


def changed(begun, changes):
    """A recipe with other values in some of its tables."""
    table = {k: begun[k] | v if isinstance(v, dict) else v for k, v in changes.items()}
    if "minutes" in changes.get("stop", {}):
        table["stop"] = changes["stop"]
    if "model" in changes.get("autoencoder", {}):
        model = begun["autoencoder"]["model"] | changes["autoencoder"]["model"]
        table["autoencoder"] = begun["autoencoder"] | {"model": model}
    return parse_recipe(begun | table)


@pytest.mark.parametrize("changes", SAME_RUN, ids=str)
def test_what_may_change_when_a_run_goes_on(changes):
    begun = codec_recipe().model_dump(mode="json")
    assert first_change(begun, changed(begun, changes)) is None


@pytest.mark.parametrize(
    ("key", "value", "changes"), OTHER_RUN, ids=[key for key, *_ in OTHER_RUN]
)
def test_what_makes_another_run(key, value, changes):
    begun = codec_recipe().model_dump(mode="json")
    if key == "kind":
        other = pixel_recipe("diffusion")
    else:
        other = changed(begun, changes)
    change = first_change(begun, other)
    assert change is not None and change[0].startswith(key.partition(".")[0])
    if key != "ema.decay":  # then half_life has gone, which comes first
        assert (change[0], change[2]) == (key, value)
    assert json.loads(json.dumps(begun)) == begun


@pytest.mark.parametrize("text, message", [
    ("[optim]\nmuon_rl = 1.0", "unknown key 'optim.muon_rl'; did you mean 'muon_lr'?"),
    ("[autoencoder.model]\nchanels = 8",
     "unknown key 'autoencoder.model.chanels'; did you mean 'channels'?"),
    ("[optim]\nadam-lr = 1", "unknown key 'optim.adam-lr'; did you mean 'adam_lr'?"),
    ("[autoencoder.model]\nencoder-depths = [1]",
     "unknown key 'autoencoder.model.encoder-depths'; did you mean 'encoder_depths'?"),
    ("[optim-]", "unknown key 'optim-'; did you mean 'optim'?"),
    ("[denoiser]\ncodec = 'x'\ngiudance = 3", "unknown key 'denoiser'; known: accumulate, autoen"),
    ("[optim]\nadam_lr = -1.0", "optim.adam_lr: Input should be greater than 0"),
    ("[optim]\nbetas = [2.0, 3.0]", "optim.betas: Input should be less than 1 (got 2.0)"),
    ("[optim]\nbetas = [0.9, 1.0]", "optim.betas: Input should be less than 1 (got 1.0)"),
    ("[optim]\nbetas = [-0.1, 0.9]", "optim.betas: Input should be greater than or equal to 0"),
    ("[optim]\nmomentum = 1.0", "optim.momentum: Input should be less than 1"),
    ("[optim", "not TOML"),
])  # fmt: skip
def test_a_wrong_recipe_names_file_and_key(text, message, tmp_path):
    path = tmp_path / "my.toml"
    path.write_text(
        "kind = 'autoencoder'\nbatch = 2\ndata = {dataset = 'shapes', count = 5}\n"
        f"ema = {{decay = 0.9}}\nstop = {{steps = 1}}\n{text}"
    )
    with pytest.raises(PresetError) as caught:
        load_recipe(path)
    assert str(caught.value).startswith(f"{path}: ") and message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_key_is_documented():
    text = (RECIPES.parents[2] / "docs" / "training.md").read_text("utf-8")
    recipe, tables = Recipe.model_fields, {"data", "optim", "ema", "stop", "cadence"}
    keys = set(recipe) - tables
    for table in tables:
        fields = recipe[table].annotation.model_fields
        keys |= {f"{table}.{field}" for field in fields}
    for kind in ("diffusion", "upsampler", "classifier"):
        keys |= set(KINDS[kind].recipe.model_fields[kind].annotation.model_fields)
    assert not {key for key in keys if f"`{key}`" not in text}
    assert not {kind for kind in KINDS if f"`{kind}`" not in text}


def test_shipped_recipes_load():
    for path in RECIPES.glob("*.toml"):
        load_recipe(path)
    with pytest.raises(PresetError, match="cannot be read"):
        load_recipe(RECIPES / "none.toml")


@pytest.mark.parametrize("table, message", [
    ({"kind": "difusion"}, "unknown kind 'difusion'; did you mean 'diffusion'?"),
    ({"kind": ["classifier"]}, "unknown kind .'classifier'.; did you mean 'classifier'?"),
    ({"kind": {"a": 1}}, "unknown kind {'a': 1}"),
    ({}, "missing key 'kind'; known: autoencoder"),
    ({"kind": "autoencoder", "accumulate": 3}, "accumulate is at most batch, 2"),
    ({"kind": "autoencoder", "precision": "float23"}, "precision: .*did you mean 'float32'"),
    ({"kind": "autoencoder", "autoencoder": {"model": {"encoder_widths": [8]}}},
     "recipe: autoencoder.model: .* for each of the same scales$"),
    ({"kind": "autoencoder", "autoencoder": {"model": {"patch": 0}}},
     "autoencoder.model: .*patch"),
    ({"kind": "diffusion", "diffusion": {"model": {"heads_up": 3}}},
     "diffusion.model: heads_up = 3 does not divide 512 channels$"),
    ({"kind": "diffusion", "diffusion": {"model": {"dropout": 1.5}}},
     "diffusion.model: dropout must be"),
    ({"kind": "diffusion", "diffusion": {"model": {"classes": 3}}},
     "diffusion.model: .* say its classes; leave it out"),
    ({"kind": "upsampler", "upsampler": {"model": {"learned_variance": True}}},
     "upsampler.model: .* say its learned_variance; leave it out"),
    ({"kind": "classifier", "classifier": {"heads": ["a"], "model": {"head_channels": 64,
      "size": 32}}}, "classifier.model: .* say its size; leave it out"),
    ({"kind": "enlarger", "enlarger": {"model": {"start": 0.01}}},
     "enlarger.model: start is above 0.01"),
    ({"kind": "enlarger", "enlarger": {"model": {"start": float("inf")}}},
     "enlarger.model: .*finite"),
    ({"kind": "enlarger", "enlarger": {"model": {"noise": -1}}}, "enlarger.model: noise"),
    ({"kind": "enlarger", "enlarger": {"model": {"patch": 0}}}, "enlarger.model: patch"),
])  # fmt: skip
def test_a_wrong_kind_or_value(table, message):
    rest = {"batch": 2, "data": {"dataset": "shapes", "count": 5}, "ema": {"decay": 0.9}}
    with pytest.raises(PresetError, match=message):
        parse_recipe({**rest, "stop": {"steps": 1}, **table})
