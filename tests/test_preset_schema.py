"""The JSON Schema that editors check presets by: it says what artdiff itself says."""

import tomllib
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from artdiff import create_registry
from artdiff.api import prepare
from artdiff.errors import PresetError
from artdiff.preset.draft import Draft, overlay
from artdiff.preset.schema import preset_schema

PRESETS = sorted((Path(__file__).parent.parent / "presets").glob("*.toml"))
PICTURE = 'image = "presets/inpaint-lake.png"'

RIGHT = [
    'prompt = ["a lake", { text = "a fox", weight = 2 }]',
    'prompts = { 0 = "a lake", "50%" = ["a fox"], "1.5s" = "an owl" }',
    'sampler = { grid = "karras" }',
    "sampler = { grid = { name = 'karras', rho = 5.0 } }",
    'terms.clip.model = "starter"',
    'terms.clip.model = ["starter", { model = "ViT-B-32", weights = "openai" }]',
    'terms.clip.prompts = ["a village at sunset:2", { text = "fog", weight = -1 }]',
    'terms.clip.prompts = { 0 = ["a red fox"], "50%" = ["an owl:2", "fog:-1"] }',
    "terms.clip.augment = false",
    'terms.clip.cuts.inner = "[12]*400+[4]*600"',
    'terms.clip.weight = { 0 = 10, "100%" = 60, easing = "ease-in" }',
    'terms.clip.course = { "0%" = 0, "30%" = 1 }',
    'terms.classifier.target = "night"',
    'terms.classifier.target = { 0 = "dawn", "50%" = "night" }',
    'terms.exposure.brightness = { 0 = 0.2, "100%" = 0.8 }',
    f'terms.inpainting = {{ {PICTURE}, mask = "circle(x, y, r)", x = {{ 0 = 0, "100%" = 1 }} }}',
]
WRONG = [
    'prompts = { soon = "a lake" }',
    'terms.clip.prompts = { 0 = ["a red fox"], easing = "hold" }',
    "terms.clip.at_once = 0",
    "terms.clip.at_once = { 0 = 1, 10 = 0 }",
    "terms.clip.augment = { flips = 1 }",
    'terms.exposure.brightness = { 0 = 0.2, "100%" = 0.8, easing = "bouncy" }',
    'terms.exposure.brightness = { 0 = "dark" }',
    "terms.inpainting = { image = 5 }",
    'frames = { source = "still", cuont = 3 }',
    'frames = { source = "stil" }',
]


@pytest.fixture(scope="module")
def schema():
    found = preset_schema(create_registry())
    Draft202012Validator.check_schema(found)
    return Draft202012Validator(found)


def resolved(text):
    return prepare(overlay(Draft("said", {}, {}), tomllib.loads(text), "said"), create_registry())


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_shipped_presets_are_right(path, schema):
    schema.validate(tomllib.loads(path.read_text("utf-8")))


@pytest.mark.parametrize("text", RIGHT)
def test_what_artdiff_takes_is_right(text, schema):
    schema.validate(tomllib.loads(text))
    resolved(text)


@pytest.mark.parametrize("text", WRONG)
def test_what_artdiff_refuses_is_wrong(text, schema):
    assert not schema.is_valid(tomllib.loads(text))
    with pytest.raises(PresetError):
        resolved(text)
