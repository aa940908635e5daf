"""After `resolve` no mistake of the user's is left, and the manifest says what decides pixels."""

import json
import re
from dataclasses import replace
from functools import partial

import pytest
from pydantic import BaseModel, Field, create_model

from artdiff.errors import ModelError, PluginError, PresetError
from artdiff.frames import key_of
from artdiff.grid import GRIDS, levels
from artdiff.hookspecs import hookimpl
from artdiff.model import ModelCard
from artdiff.noise import DiscreteTable
from artdiff.plan import Chosen
from artdiff.plan.resolve import resolve
from artdiff.preset.draft import Draft, overlay, override
from artdiff.preset.file import draft_preset
from artdiff.registry import Selection, create_registry


class Plugin:
    """A term and an effect with options of every kind."""

    class Glow:
        class Options(BaseModel, extra="forbid"):
            amount: float = Field(1.0, ge=0, le=2)
            count: int = Field(3, ge=0)
            mode: str = "soft"

    class Blur:
        class Options(BaseModel, extra="forbid"):
            radius: int = 1

    @hookimpl
    def register_guidance(self):
        return {"glow": self.Glow}

    @hookimpl
    def register_effects(self):
        return {"blur": self.Blur}


@pytest.fixture
def plan(registry):
    registry.manager.register(Plugin(), "glows")

    def plan(*assignments, **values):
        draft = overlay(Draft("film", {}, {}), {"model": "tiny", **values}, "film.toml")
        return resolve(override(draft, assignments), registry)

    return plan


def test_values_come_from_preset_then_model_then_artdiff(plan):
    found = plan("batch=2", seed=3)
    assert (found.preset.batch, found.preset.seed, found.preset.width) == (2, 3, 32)
    assert (found.sampler.name, found.preset.sampler.steps) == ("dpmpp_2m", 4)
    assert found.preset.guidance.scale.at(0, 1, 1) == 2.0
    assert found.preset.negative == ""


def test_what_was_chosen_and_by_whom(plan):
    found = plan(
        "terms.a.use=glow",
        "terms.a.amount=2",
        "effects.blur.radius=4",
        "frames.count=5",
        "frames.source=latent_interpolation",
        "frames.stops=2",
        "sampler.name=ddim",
    )
    assert found.count == 5 and found.job(3).index == 3
    assert [(c.label, c.name, c.plugin) for c in (*found.terms, *found.effects)] == [
        ("a", "glow", "glows"),
        ("blur", "blur", "glows"),
    ]
    assert found.effects[0].options.radius == 4
    code = {key: re.sub(r"@[0-9a-f]{8}$", "@code", name) for key, name in found.plugins.items()}
    assert code == {
        "sampler=ddim": "artdiff.builtins",
        "a=glow": "glows@code",
        "blur=blur": "glows@code",
        "frames=latent_interpolation": "latent_interpolation@code",
        "model=tiny": "tiny-model",
    }


def test_the_code_of_artdiffs_own_models_is_its_version(plan):
    assert not any(key.startswith("model=") for key in plan(model="starter").plugins)


@pytest.mark.parametrize(("kind", "table", "key"), [
    ("frame_sources", "frames", "count"), ("samplers", "sampler", "steps"),
    ("guiders", "guidance", "scale"), ("guidance", "terms.it", "weight"),
    ("effects", "effects.it", "use"),
])  # fmt: skip
def test_an_option_with_the_name_of_a_tables_own_key_is_refused(plan, registry, kind, table, key):
    options = create_model("Options", __base__=BaseModel, **{key: (int, 1)})
    registry.offer(kind, "it", type("It", (), {"Options": options}), "ours")
    name = {"frames": "source", "sampler": "name", "guidance": "name"}.get(table, "use")
    with pytest.raises(PluginError, match=f"'ours': 'it' has an option '{key}', which is a key"):
        plan(f"{table}.{name}=it")


def test_a_source_must_give_the_frame_that_was_asked_for(plan):
    class Turning:
        def __init__(self, source):
            self.source = source

        def __getitem__(self, index):
            return self.source[index % 3]

    found = plan("frames.count=5")
    turning = replace(found, source=Turning(found.source))
    assert turning.job(2) == found.job(2)
    with pytest.raises(PluginError, match="source 'still' gave the job of frame 1 for frame 4"):
        turning.job(4)


def test_classes_without_a_file_are_known_by_their_plugin():
    code = "class Typed:\n    class Options(BaseModel):\n        pass\n"
    space = {"BaseModel": BaseModel, "__name__": "notebook"}
    exec(code, space)
    chosen = Chosen("a", "a", space["Typed"], space["Typed"].Options(), "notebook")
    assert chosen.code() == "notebook"


def test_options_of_a_term_may_be_keyframes(plan):
    found = plan(
        'terms.glow={weight={0=0,"4"=8}, amount={0=0,"4"=2}, count={0=0,"4"=2}}',
        "frames.count=5",
        "frames.source=prompt_animation",
    )
    terms = [found.job(i).terms[0] for i in range(5)]
    assert [t.weight for t in terms] == [0, 2, 4, 6, 8]
    assert [t.options["amount"] for t in terms] == [0, 0.5, 1, 1.5, 2]
    assert [t.options["count"] for t in terms] == [0, 0, 1, 2, 2]  # whole, as the option wants
    assert terms[0].options["mode"] == "soft"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("model=tny", "-s model: unknown model 'tny'; did you mean 'tiny'?"),
        ("model=3", "-s model: must be a name (got 3)"),
        ("width=33", "-s width: model 'tiny' needs a multiple of 32; the nearest is 32 (got 33)"),
        ("height=80", "the nearest is 64 (got 80)"),
        ("sampler.name=eulr", "-s sampler.name: unknown sampler 'eulr'; did you mean 'euler'?"),
        ("sampler.grid=karas", "sampler.grid.name: unknown grid 'karas'; did you mean 'karras'?"),
        ("sampler.grid=3", "-s sampler.grid: must be a table (got 3)"),
        ("sampler.grid.rho=3", "-s sampler.grid.rho: unknown key; known: name"),
        (
            "sampler.grid={name='karras', roh=3}",
            "sampler.grid.roh: unknown key; did you mean 'rho'?",
        ),
        (
            "sampler.grid={name='karras', rho=0}",
            "sampler.grid.rho: must be greater than or equal to 1",
        ),
        ("sampler.stpes=3", "-s sampler.stpes: unknown key; did you mean 'steps'?"),
        (
            "frames.source=stil",
            "-s frames.source: unknown frame source 'stil'; did you mean 'still'?",
        ),
        ("frames.cuont=3", "-s frames.cuont: unknown key; did you mean 'count'?"),
        ("terms.glwo.weight=1", "terms.glwo: unknown guidance term 'glwo'; did you mean 'glow'?"),
        ("terms.a.use=glwo", "-s terms.a.use: unknown guidance term 'glwo'; did you mean 'glow'?"),
        ("terms.a.use=[1]", "-s terms.a.use: unknown guidance term [1]"),
        ("terms.glow.wieght=1", "-s terms.glow.wieght: unknown key; did you mean 'weight'?"),
        ("terms.glow.ammount=1", "-s terms.glow.ammount: unknown key; did you mean 'amount'?"),
        ("terms.glow.amount=3", "-s terms.glow.amount: must be less than or equal to 2 (got 3)"),
        ("terms.glow.amount=true", "-s terms.glow.amount: must be a number (got True)"),
        ("terms.glow.weight=x", "-s terms.glow.weight: must be a number or a table of keyframes"),
        ("terms.glow.amount={0=1, 9=3}", "-s terms.glow.amount: must be less than or equal to 2"),
        ("terms.glow.amount={0=1, x9=3}", "'x9' is not a frame"),
        ("terms.glow.mode={0=1}", "-s terms.glow.mode: must be a valid string"),
        ("effects.blr={}", "-s effects.blr: unknown effect 'blr'; did you mean 'blur'?"),
        ("effects.blur.radius={0=1}", "-s effects.blur.radius: must be a valid integer"),
    ],
)
def test_mistakes_end_here(plan, setting, message):
    with pytest.raises(PresetError) as caught:
        plan(setting)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_mistakes_in_the_file_name_it(plan):
    with pytest.raises(PresetError, match=r"^film\.toml: effects\.glow: unknown effect 'glow'"):
        plan(effects={"glow": {}})
    with pytest.raises(PresetError, match=r"^film\.toml: sampler\.eta: unknown key"):
        plan(sampler={"name": "euler", "eta": 0.5})


def test_a_grid_is_a_name_or_a_table_with_options(plan):
    for settings in (
        ["sampler.grid=karras", "sampler.grid.rho=5"],
        ["sampler.grid.rho=5", "sampler.grid.name=karras"],
        ["sampler.grid={name='karras', rho=5}"],
    ):
        found = plan(*settings)
        assert (found.grid.name, found.grid.options.rho) == ("karras", 5.0)
        manifest = found.manifest()
        kept = manifest["preset"]["sampler"]["grid"]
        assert kept == {"name": "karras", "rho": 5.0, "end": 0.001}
        assert manifest["plugins"]["sampler.grid=karras"] == "artdiff.builtins"
    changed = plan("sampler.grid=exponential", sampler={"grid": {"name": "karras", "rho": 5}})
    assert (changed.grid.name, changed.grid.options.rho) == ("exponential", 1.0)
    other = plan("sampler.name=euler", sampler={"name": "ddim", "eta": 0.1, "grid": "beta"})
    assert (other.sampler.name, other.grid.name) == ("euler", "beta")


def test_without_a_grid_nothing_says_so(plan):
    found = plan("sampler.grid=linear-t")
    assert found.grid.name == plan().grid.name == "linear-t"
    assert found.manifest() == plan().manifest()
    assert "grid" not in found.manifest()["preset"]["sampler"]


def test_unknown_presets(registry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text("")
    with pytest.raises(PresetError, match=r"unknown preset 'four-season'; did you mean"):
        draft_preset(registry, "four-season")
    with pytest.raises(PresetError, match=r"unknown preset 'mine'.*a file needs its \.toml"):
        draft_preset(registry, "mine")


# The manifest: what a frame folder remembers.


def test_the_manifest_fills_in_every_default(plan):
    manifest = plan(
        "terms.glow.weight={0=1,9=2}",
        "effects.blur={}",
        "sampler.name=ddim",
        "frames.source=prompt_animation",
    ).manifest()
    preset = manifest["preset"]
    assert preset["terms"]["glow"] == {
        "weight": {"0": 1, "9": 2},
        "amount": 1.0,
        "count": 3,
        "mode": "soft",
    }
    assert preset["effects"] == {"blur": {"radius": 1}}
    assert preset["sampler"] == {"name": "ddim", "steps": 4, "shift": 1.0, "eta": 0.0}
    assert preset["frames"] == {
        "source": "prompt_animation",
        "count": 1,
        "noise": "fixed",
        "travel_frames": 48,
    }
    assert json.loads(json.dumps(manifest)) == manifest


def test_what_decides_no_pixel_is_left_out(plan):
    one = plan("title=a", "description=b", "frames.fps=12").manifest()
    assert one == plan("title=c", "frames.fps=30", "terms={}").manifest()


@pytest.mark.parametrize(
    "setting",
    [
        "seed=1",
        "width=64",
        "batch=2",
        "negative=x",
        "guidance.scale=3",
        "sampler.shift=2",
        "terms.glow.amount=0.5",
        "effects.blur.radius=2",
        "frames.count=2",
        "easing=hold",
        "guidance.scale={0=2, '33.33333%'=2}",
    ],
)
def test_what_decides_pixels_is_remembered(plan, setting):
    assert plan(setting).manifest() != plan().manifest()


@pytest.mark.parametrize(
    "setting",
    [
        "prompts={0='a', '1s'='b'}",
        "guidance.scale={0=1, '1.5s'=2}",
        "terms.glow.amount={0=1, '1.5 s'=2}",
        "prompts={0='a', ' 1s'='b'}",
    ],
)
def test_fps_decides_pixels_where_keyframes_stand_at_times(plan, setting):
    assert plan(setting, "frames.fps=12").manifest() != plan(setting, "frames.fps=24").manifest()


def test_the_order_of_terms_and_effects_is_remembered(plan):
    def manifest(*settings):
        return plan(*settings).manifest()

    for table, name in (("terms", "glow"), ("effects", "blur")):
        one, other = (f'{table}.{label}={{use="{name}"}}' for label in "ab")
        assert manifest(one, other)["order"] == {table: ["a", "b"]}
        assert key_of(manifest(one, other)) != key_of(manifest(other, one))
    assert "order" not in manifest("terms.glow={}", "effects.blur={}")


def test_the_weights_are_part_of_the_manifest(plan, tiny_folder):
    found = plan()
    before = found.manifest()["model"]["weights"]
    file = tiny_folder / "vocabulary.txt"
    text = file.read_text()
    try:
        file.write_text(text + "more\n")
        assert found.manifest()["model"]["weights"] != before
        file.unlink()
        with pytest.raises(ModelError, match=r"vocabulary\.txt: the weights of model 'tiny'"):
            found.manifest()
    finally:
        file.write_text(text)


def test_changed_code_of_a_plugin_is_another_plan(registry, tmp_path):
    """A frame folder of the old code would be refused."""
    code = (
        "import artdiff\nfrom pydantic import BaseModel\n\n\nclass Dim:\n"
        "    class Options(BaseModel, extra='forbid'):\n        pass\n\n"
        "    def __init__(self, options):\n        pass\n\n"
        "    def __call__(self, picture, job):\n        return picture // FACTOR\n\n\n"
        "@artdiff.hookimpl\ndef register_effects():\n    return {'dim': Dim}\n"
    )
    names = []
    for factor in (2, 2, 3):
        folder = tmp_path / str(len(names))
        folder.mkdir()
        (folder / "dim.py").write_text(code.replace("FACTOR", str(factor)), encoding="utf-8")
        made = create_registry(Selection(files=(str(folder / "dim.py"),)))
        draft = override(Draft("a", {}, {}), ["effects.dim={}"])
        names.append(resolve(draft, made).manifest()["plugins"]["dim=dim"])
    assert names[0] == names[1] != names[2]


class Discrete:
    """A plugin that offers models whose cards say that they have 24 trained steps."""

    def __init__(self, folder):
        card = ModelCard.read(folder)
        self.cards = {
            name: replace(card, name=name, facts={"process": {"steps": 24, "variance": variance}})
            for name, variance in (("fixed", "small"), ("learned", "learned-range"))
        }

    @hookimpl
    def register_models(self):
        return self.cards


@pytest.fixture
def discrete(registry, tiny_folder, plan):
    registry.manager.register(Discrete(tiny_folder), "discrete-models")
    return plan


@pytest.mark.parametrize("grid, most", [
    ("sgm-uniform", 24), ("trailing", 24), ("leading", 23), ("linspace", 24), ("karras", 999),
])  # fmt: skip
def test_more_steps_than_the_model_has_are_refused_by_the_plan(grid, most, discrete):
    """As many as `levels` refuses when the model is there."""
    words = ("sampler.name=ddim", "model=fixed", f"sampler.grid={grid}")
    table = DiscreteTable.from_betas([0.1] * 24)
    kind = GRIDS[grid]()
    for steps in (most, most + 1):
        plan = partial(discrete, *words, f"sampler.steps={steps}")
        if steps == most or grid == "karras":
            assert plan().preset.sampler.steps == steps
            levels(table, steps, grid=kind)
        else:
            said = f"sampler.steps: the grid {grid} has no {steps} different levels; .* has 24$"
            with pytest.raises(PresetError, match=said):
                plan()
            with pytest.raises(ValueError, match=f"no {steps} different levels"):
                levels(table, steps, grid=kind)


def test_a_variance_that_was_not_learned_is_refused_by_the_plan(discrete):
    words = ("sampler.name=ddpm", "sampler.variance=learned")
    with pytest.raises(PresetError, match=r"sampler.variance: model 'fixed' has learned no var"):
        discrete(*words, "model=fixed")
    assert discrete(*words, "model=learned").sampler.options.variance == "learned"
    assert discrete("sampler.name=ddpm", "sampler.variance=large", "model=fixed")
    unsaid = discrete(*words)  # that card says nothing: the sampler does, beside the model
    with pytest.raises(ModelError, match=r"sampler.variance: the model has learned no variance"):
        unsaid.sampler.kind(variance="learned")._ask(lambda x, a: x, None, None)
