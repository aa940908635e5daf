"""Guiders in presets: options, the course, weaker models, and errors before the first frame."""

import shutil
import tomllib

import numpy as np
import pytest
import torch
from pydantic import BaseModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import artdiff
from artdiff.api import estimate, prepare
from artdiff.errors import ModelError, PresetError
from artdiff.guiders import GUIDERS
from artdiff.hookspecs import hookimpl
from artdiff.model import ModelCard
from artdiff.plan.resolve import resolve
from artdiff.preset.draft import Draft, overlay, override
from artdiff.preset.file import draft_preset
from artdiff.preset.schema import preset_schema
from artdiff.renderer import load_engine

COMMON = ["model=tiny", "prompt=a red fox", "sampler.steps=3", "frames.count=2"]


def planned(registry, *settings):
    return resolve(override(Draft("film", {}, {}), [*COMMON, *settings]), registry)


def pictures(registry, *settings):
    plan = planned(registry, *settings)
    return load_engine(plan, registry).pictures([plan.job(0), plan.job(1)])


def offer_changed(registry, folder, place, name, part, change):
    """Offer a copy of the model in a folder with other weights in one part."""
    shutil.copytree(folder, place)
    file = str(place / f"{part}.safetensors")
    with safe_open(file, "pt") as opened:
        facts = opened.metadata()
    save_file({key: change(value) for key, value in load_file(file).items()}, file, facts)
    text = (place / "card.toml").read_text("utf-8").replace('"tiny"', f'"{name}"', 1)
    (place / "card.toml").write_text(text, encoding="utf-8")
    registry.offer("models", name, ModelCard.read(place))


@pytest.fixture
def weaker(registry, tiny_folder, tmp_path):
    """A registry with a second model in the latent space of the first."""
    place = tmp_path / "weaker"
    offer_changed(registry, tiny_folder, place, "weaker", "denoiser", lambda v: 0.9 * v)
    return registry


@pytest.mark.parametrize("name", sorted(set(GUIDERS) - {"autoguidance"}))
def test_every_guider_draws(registry, name):
    found = pictures(registry, f"guidance.name={name}", "guidance.scale=6")
    plain = pictures(registry, "guidance.scale=1")
    assert [p.shape for p in found] == [(32, 32, 3)] * 2
    assert any(not np.array_equal(a, b) for a, b in zip(found, plain, strict=True))


def test_cfg_is_what_it_was(registry):
    a = pictures(registry, "guidance.scale=6", "guidance.rescale=0.4")
    b = pictures(registry, "guidance.scale=6", "guidance.rescale=0.4", "guidance.name=cfg")
    assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_options_reach_the_guider(registry):
    plan = planned(registry, "guidance.name=apg", "guidance.eta=0.5", "guidance.scale=8")
    guider = load_engine(plan, registry).guider
    assert (guider.eta, guider.momentum) == (0.5, -0.5)
    assert plan.preset.guidance.model_extra == guider.Options(eta=0.5).model_dump()
    assert plan.plugins["guidance=apg"] and "guidance=cfg" not in planned(registry).plugins
    said = plan.manifest()["preset"]["guidance"]
    assert (said["name"], said["eta"], said["scale"]) == ("apg", 0.5, 8.0)


def test_the_course_reaches_the_walk(registry):
    off = pictures(registry, "guidance.scale=1")
    never = pictures(registry, "guidance.scale=6", "guidance.course=0")
    late = pictures(registry, "guidance.scale=6", 'guidance.course={"0%"=0, "90%"=1}')
    full = pictures(registry, "guidance.scale=6")
    assert all(np.array_equal(x, y) for x, y in zip(off, never, strict=True))
    assert not np.array_equal(late[0], off[0]) and not np.array_equal(late[0], full[0])


def test_autoguidance_asks_the_weaker_model(weaker):
    settings = ["guidance.name=autoguidance", "guidance.model=weaker"]
    plan = planned(weaker, *settings)
    assert plan.weak.name == "weaker"
    assert plan.manifest()["weak"] == {"name": "weaker", "weights": plan.weak.digest()}
    assert "weak" not in planned(weaker).manifest()
    found = pictures(weaker, *settings, "guidance.scale=4")
    plain = pictures(weaker, "guidance.scale=1")
    same = pictures(weaker, *settings, "guidance.scale=1")
    assert not np.array_equal(found[0], plain[0])
    assert all(np.array_equal(x, y) for x, y in zip(same, plain, strict=True))


class Grey:
    class Options(BaseModel, extra="forbid"):
        pass

    def __init__(self, options, setup):
        self.setup = setup

    def loss(self, x0, at, noise):
        return self.setup.decode(x0).square().mean((1, 2, 3))

    @staticmethod
    @hookimpl
    def register_guidance():
        return {"grey": Grey}


def test_guiders_under_a_gradient(weaker):
    weaker.manager.register(Grey, "greys")
    for name in ("autoguidance", "apg"):
        more = ["guidance.model=weaker"] if name == "autoguidance" else []
        found = pictures(weaker, f"guidance.name={name}", *more, "terms.grey.weight=5")
        assert [p.shape for p in found] == [(32, 32, 3)] * 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["guidance.name=apgg"], r"-s guidance.name: unknown guider 'apgg'.*'apg'"),
        (["guidance.name=apg", "guidance.momentun=0.5"], "unknown key.*'momentum'"),
        (["guidance.etta=0.5"], r"-s guidance.etta: unknown key"),
        (["guidance.name=apg", "guidance.scle=3"], "unknown key.*'scale'"),
        (["guidance.name=apg", "guidance.eta=2"], r"guidance.eta: must be less than or equal"),
        (["guidance.name=pag", "guidance.strength_stop=1", "guidance.strength_start=0.5"],
         "guidance: strength_stop 1 lies above strength_start 0.5"),
        (["guidance.name=autoguidance"], r"guidance.model: is missing"),
        (["guidance.name=autoguidance", "guidance.model=tinny"],
         r"-s guidance.model: unknown model 'tinny'.*'tiny'"),
        (["guidance.name=autoguidance", "guidance.model=tiny"], "is the model itself"),
        (['guidance.course={0=1, "50%"=0}'], r'guidance.course: 0 is not a part of the way'),
        (["guidance.course=-1"], r"guidance.course: must lie between 0 and 100"),
    ],
)  # fmt: skip
def test_mistakes_are_told_before_a_model_is_loaded(registry, settings, message):
    with pytest.raises(PresetError, match=message):
        planned(registry, *settings)


def test_another_guider_drops_the_options_of_the_one_before():
    below = Draft("film", {"guidance": {"name": "pag", "strength": 2.0, "scale": 3.0}}, {"": "a"})
    above = overlay(below, {"guidance": {"name": "apg"}}, "b").values["guidance"]
    assert above == {"name": "apg", "scale": 3.0}


def test_a_block_that_is_not_there(registry):
    settings = ["guidance.name=pag", "guidance.layers=[2]"]
    with pytest.raises(ModelError, match=r"model 'tiny': guidance.layers: .* 0 to 1, not 2"):
        pictures(registry, *settings)


def test_a_model_that_weakens_nothing(registry, monkeypatch):
    from artdiff.nn.latent_transformer import LatentTransformer

    monkeypatch.setattr(LatentTransformer, "weakens", {})
    with pytest.raises(ModelError, match="'pag': model 'tiny': this model cannot perturb"):
        pictures(registry, "guidance.name=pag")
    pictures(registry, "guidance.name=pag", "guidance.strength=0")


@pytest.mark.parametrize("name", ["pag", "skip_layer"])
def test_what_weakens_a_network_does_so_in_windows(registry, name):
    tiled = ["tile.size=64", "tile.overlap=32", "width=96", f"guidance.name={name}"]
    plain, weakened = (
        pictures(registry, *tiled, f"guidance.strength={strength}") for strength in (0, 3)
    )
    assert not np.array_equal(plain[0], weakened[0])


def test_a_weaker_model_of_another_latent_space(registry, tiny_folder, tmp_path):
    def change(value):
        return value + 0.1 * torch.linspace(-1, 1, value.numel()).reshape(value.shape)

    offer_changed(registry, tiny_folder, tmp_path / "other", "other", "codec", change)
    with pytest.raises(ModelError, match="'tiny' and 'other' do not draw in the same latent"):
        pictures(registry, "guidance.name=autoguidance", "guidance.model=other")


def test_a_guider_of_a_plugin(registry):
    class Plugin:
        @hookimpl
        def register_guiders(self):
            return {"halved": Halved}

    class Halved:
        class Options(BaseModel, extra="forbid"):
            part: float = 0.5

        name, passes = "halved", ("uncond",)

        def __init__(self, part):
            self.part = part

        def asks(self, scaled, at=None):
            return self.passes if scaled else ()

        def init(self):
            return 0

        def combine(self, seen, memory):
            return seen.cond + self.part * (seen.classifier_free - seen.cond), memory + 1

    registry.manager.register(Plugin(), "halves")
    whole = pictures(registry, "guidance.name=halved", "guidance.part=1", "guidance.scale=4")
    plain = pictures(registry, "guidance.scale=4")
    assert np.abs(whole[0].astype(int) - plain[0]).max() <= 1
    half = pictures(registry, "guidance.name=halved", "guidance.scale=4")
    other = pictures(registry, "guidance.scale=2.5")
    assert np.abs(half[0].astype(int) - other[0]).max() <= 1


def test_the_schema_knows_the_options(registry):
    part = preset_schema(registry)["$defs"]["GuidancePart"]
    assert set(GUIDERS) <= set(part["properties"]["name"]["enum"])
    assert part["properties"]["momentum"]["description"].startswith("(apg) ")
    assert {"scale", "course", "strength", "layers", "model"} <= set(part["properties"])


def test_options_do_not_hide_common_keys(registry):
    from artdiff.preset.guidance import GuidancePart

    for entry in registry.entries("guiders").values():
        assert not set(entry.value.Options.model_fields) & set(GuidancePart.model_fields)


def test_presets_say_the_same_as_toml(registry, tmp_path):
    file = tmp_path / "film.toml"
    text = (
        'model = "tiny"\nprompt = "a red fox"\n[guidance]\nname = "skip_layer"\nscale = 3.0\n'
        'layers = [0]\nstrength = 2.0\ncourse = { "0%" = 0.5, "100%" = 1.0 }\n'
    )
    file.write_text(text, encoding="utf-8")
    plan = resolve(draft_preset(registry, str(file)), registry)
    assert plan.guider.options.layers == (0,) and plan.preset.guidance.course.along(0.5) == 0.75
    assert tomllib.loads(text)["guidance"]["layers"] == [0]
    assert prepare(str(file), registry, {"sampler.steps": 2}).plan.guider.name == "skip_layer"


def test_estimates_count_every_answer(registry):
    def calls(*settings):
        work = prepare(Draft("film", {}, {}), registry, [*COMMON, "sampler.steps=10", *settings])
        return estimate(work, registry, measure=False).model_calls / 2

    assert calls("guidance.scale=1") == 10 and calls() == 20
    assert calls("guidance.name=pag") == 30
    assert calls("guidance.name=pag", "guidance.scale=1") == 20
    assert calls("guidance.start=0.75", "guidance.name=apg") == 17
    assert calls('guidance.course={"0%"=1, "50%"=0}') == 15


def test_the_python_api_takes_guiders(registry):
    settings = {"model": "tiny", "guidance": {"name": "apg", "scale": 5.0, "eta": 0.2}}
    ((job, picture),) = artdiff.image("a red fox", settings=settings, registry=registry)
    assert job.scale == 5.0 and picture.shape == (32, 32, 3)
