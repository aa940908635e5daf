"""Draft, normal, best: what the card says they mean."""

from dataclasses import replace
from pathlib import Path

import click
import pytest
import torch
from levels import Cards

from artdiff.api import estimate, prepare
from artdiff.cli import cli, main
from artdiff.errors import ModelError, PresetError
from artdiff.frames import FrameStore, key_of
from artdiff.hookspecs import hookimpl
from artdiff.importers.add import add
from artdiff.model import ModelCard
from artdiff.plan.resolve import resolve
from artdiff.preset.draft import Draft, overlay
from artdiff.quality import Distilled
from artdiff.registry import Selection, create_registry
from artdiff.renderer import load_engine


@pytest.mark.parametrize("level, sampler, steps, scale, weights", [
    (None, "dpmpp_2m", 4, 2.0, "denoiser.safetensors"),
    ("draft", "euler", 2, 2.0, "few.safetensors"),
    ("normal", "dpmpp_2m", 4, 2.0, "denoiser.safetensors"),
    ("best", "dpmpp_2m", 8, 3.0, "denoiser.safetensors"),
])  # fmt: skip
def test_the_card_says_what_a_level_means(level, sampler, steps, scale, weights, plan):
    found = plan(**({"quality": level} if level else {}))
    assert (found.sampler.name, found.preset.sampler.steps) == (sampler, steps)
    assert found.preset.guidance.scale.values == (scale,)
    assert weights in found.card.weights and len(found.card.weights) == 3
    assert (found.card.distilled is not None) == (level == "draft")
    assert found.preset.width == 32, "what a level does not say is the model's default"


def test_what_the_preset_says_comes_before_its_quality(plan, both, tmp_path):
    said = plan(quality="best", sampler={"steps": 5})
    assert (said.preset.sampler.steps, said.preset.guidance.scale.values) == (5, (3.0,))
    assert plan("sampler.steps=3", quality="best").preset.sampler.steps == 3
    assert plan("quality=best", sampler={"steps": 6}).preset.sampler.steps == 6
    assert plan("quality=normal", quality="best").preset.sampler.steps == 4
    other = plan(quality="draft", sampler={"name": "heun"})
    assert (other.sampler.name, other.preset.sampler.steps) == ("heun", 2)
    base = tmp_path / "base.toml"
    base.write_text('model = "few"\nquality = "draft"\nprompt = "fox"\nsampler.steps = 3\n')
    (tmp_path / "child.toml").write_text('extends = "base.toml"\nquality = "best"\n')
    child = prepare(tmp_path / "child.toml", both).plan
    assert (child.preset.sampler.steps, child.preset.guidance.scale.values) == (3, (3.0,))
    assert child.sampler.name == "dpmpp_2m"


@pytest.mark.parametrize("values, message", [
    ({"quality": "drafty"},
     "film.toml: quality: must be 'draft', 'normal' or 'best'; did you mean 'draft'? (got "
     "'drafty')"),
    ({"quality": "fast"}, "film.toml: quality: must be 'draft', 'normal' or 'best' (got 'fast')"),
    ({"quality": 3}, "film.toml: quality: must be 'draft', 'normal' or 'best' (got 3)"),
    ({"quality": ["draft"]}, "film.toml: quality: must be 'draft', 'normal' or 'best' (got ["),
    ({"model": "tiny", "quality": "draft"},
     "film.toml: quality: model 'tiny' has no levels of quality; set sampler.steps instead"),
])  # fmt: skip
def test_wrong_words(values, message, plan):
    with pytest.raises(PresetError) as caught:
        plan(**values)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


def test_a_mistake_in_a_level_names_the_level(registry, few_folder):
    card = ModelCard.read(few_folder)
    levels = {"draft": replace(card.quality["draft"], values={"sampler": {"stepps": 2}})}
    registry.manager.register(Cards(replace(card, name="typo", quality=levels)), "typo-model")
    draft = overlay(Draft("film", {}, {}), {"model": "typo", "quality": "draft"}, "film.toml")
    with pytest.raises(PresetError, match=r"^model typo, quality draft: sampler\.stepps: unk"):
        resolve(draft, registry)
    draft = overlay(draft, {"quality": "best"}, "-s quality")
    with pytest.raises(PresetError, match=r"^-s quality: model 'typo' has only draft; set"):
        resolve(draft, registry)


def test_the_key_of_a_folder_knows_what_decides_pixels(plan):
    keys = {
        level: key_of(plan(**({"quality": level} if level else {})).manifest())
        for level in (None, "draft", "normal", "best")
    }
    assert keys[None] == keys["normal"], "the defaults, said in another way"
    assert len(set(keys.values())) == 3
    same = {"sampler": {"steps": 8}, "guidance": {"scale": 3.0}}
    assert key_of(plan(**same).manifest()) == keys["best"]
    steps = {"sampler": {"name": "euler", "steps": 2}}
    plain = plan(**steps).manifest()
    assert plain["preset"] == plan(quality="draft").manifest()["preset"]
    assert plain["model"] != plan(quality="draft").manifest()["model"], "other weights"


def test_model_calls_are_counted_as_they_are_made(both):
    def calls(quality):
        work = prepare(Draft("film", {}, {}), both, {"model": "few", "quality": quality})
        return estimate(work, both, measure=False).model_calls

    assert (calls("draft"), calls("normal"), calls("best")) == (2, 8, 16)


@pytest.mark.parametrize("text, message", [
    ("[quality.drafty]", "quality.drafty: unknown level; did you mean 'draft'?"),
    ("quality = 3", "quality: must be a table (got 3)"),
    ("[quality]\ndraft = 3", "quality.draft: must be a table (got 3)"),
    ("[quality.draft]\nweights = 'a'", "quality.draft.weights: must be a list of files (got 'a')"),
    ("[quality.draft]\nmodel = 'a'", "quality.draft.model: is not for a level to say"),
    ("[quality.draft.distilled]\nscale = [1, 8]", "quality.draft.weights: is missing"),
    ("[distilled]\nscale = 4", "distilled.scale: must be [smallest, largest] (got 4)"),
    ("[distilled]\nscale = [8, 1]", "distilled.scale: must be [smallest, largest] (got [8, 1])"),
    ("[distilled]\nscale = [1, 8]\nstops = 1", "distilled.stops: unknown key; did you mean"),
    ("[distilled]\nscale = [1, 8]\nplain = 1", "distilled.plain: must be true or false (got 1)"),
    ("[distilled]\nscale = [1, 8]\nstop = 'a'", "distilled.stop: must be a number (got 'a')"),
])  # fmt: skip
def test_wrong_cards(text, message, tmp_path):
    (tmp_path / "card.toml").write_text(f'name = "a"\nbackend = "b"\n{text}\n')
    with pytest.raises(ModelError) as caught:
        ModelCard.read(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'card.toml'}: {message}")


def test_levels_come_along_when_a_model_is_added(few_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("ARTDIFF_MODELS", str(tmp_path / "home"))
    added = add(few_folder, "mine", None)
    assert {path.name for path in (tmp_path / "home" / "mine").iterdir()} >= {
        "few.safetensors", "denoiser.safetensors", "codec.safetensors", "vocabulary.txt",
    }  # fmt: skip
    assert added.card.quality["draft"].distilled == Distilled((1.0, 6.0), steps=(2, 4))


def test_the_starter_has_all_levels():
    registry = create_registry(Selection())

    def found(level):
        settings = {"prompt": "fox", **({"quality": level} if level else {})}
        plan = prepare(Draft("film", {}, {}), registry, settings).plan
        return plan.sampler.name, plan.preset.sampler.steps

    def calls(level):
        settings = {"prompt": "fox", "quality": level, "frames.count": 1}
        work = prepare(Draft("film", {}, {}), registry, settings)
        return estimate(work, registry, measure=False).model_calls

    assert set(registry.get("models", "starter").quality) == {"draft", "normal", "best"}
    assert found("normal") == found(None)
    assert found("draft")[1] < found("normal")[1] < found("best")[1] == 32
    said = [calls(level) for level in ("draft", "normal", "best")]
    assert said == [8, 17, 55], "as docs/starter-model.md says"


def test_the_card_in_the_documentation_is_one(tmp_path):
    page = (Path(__file__).parent.parent / "docs" / "training.md").read_text("utf-8")
    text = page[page.index("[quality.draft]") :]
    (tmp_path / "card.toml").write_text(f'name = "a"\nbackend = "b"\n{text[: text.index("```")]}')
    card = ModelCard.read(tmp_path)
    assert list(card.quality) == ["draft", "normal", "best"]
    assert card.quality["draft"].distilled == Distilled((1.0, 8.0), 0.5, 0.4, (4, 8))


# The command line.


@pytest.fixture
def run(tmp_path, few_folder, monkeypatch, capsys):
    """Run a command; its exit code, output and errors."""
    plugin = tmp_path / "few_plugin.py"
    plugin.write_text(
        "from pathlib import Path\n\nimport artdiff\n\n\n"
        "@artdiff.hookimpl\ndef register_models():\n"
        f"    return {{'few': artdiff.ModelCard.read(Path({str(few_folder)!r}))}}\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "registry", None)
    Path("film.toml").write_text('model = "few"\nprompt = "a red fox"\n')

    def run(*words):
        with pytest.raises(SystemExit) as done:
            main([*words, "--plugin", str(plugin)])
        out, err = capsys.readouterr()
        return done.value.code, out, err

    return run


def test_quality_on_the_command_line(run):
    code, _, err = run("render", "film.toml", "--quality", "draft", "-o", "out")
    assert code == 0, err
    settings = FrameStore.existing("out").manifest
    assert settings["preset"]["sampler"]["name"] == "euler"
    assert "quality" not in settings["preset"]
    code, out, err = run("image", "fox", "--model", "few", "--quality", "best", "-o", "a.png")
    assert (code, out) == (0, "a.png\n"), err
    code, out, err = run("image", "fox", "--model", "few", "--quality", "bets")
    assert code == 2 and "'bets' is not one of" in err
    code, _, err = run(
        "image", "fox", "--model", "few", "--quality", "draft", "--negative", "snow"
    )
    assert code == 2
    assert err.splitlines()[-1] == (
        "Error: -s negative: the distilled weights of model 'few' take no negative prompt; "
        "set quality to 'normal'"
    )


def test_help_names_the_levels():
    command = cli.get_command(click.Context(cli), "image")
    assert command is not None
    text = command.get_help(click.Context(command))
    assert "--quality [draft|normal|best]" in text


def test_fast_products_are_a_levels_own_and_another_film(few_folder, registry, tmp_path):
    folder = tmp_path / "swift"
    folder.mkdir()
    for file in few_folder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    text = (folder / "card.toml").read_text().replace('"few"', '"swift"', 1)
    fast = text.replace("[quality.best]", "[quality.best]\nfast = true")
    (folder / "card.toml").write_text(fast)

    class Swift:
        @hookimpl
        def register_models(self):
            return {"swift": ModelCard.read(folder)}

    registry.manager.register(Swift(), "swift")
    plans = [
        resolve(Draft("film", {"model": "swift", "prompt": "fox", "quality": level}, {}), registry)
        for level in ("normal", "best")
    ]
    assert [plan.card.fast for plan in plans] == [False, True]
    assert [plan.manifest()["model"].get("fast") for plan in plans] == [None, True]
    with pytest.MonkeyPatch.context() as patch:
        where = "artdiff.backends.latent_transformer.fast_dtype"
        patch.setattr(where, lambda device: torch.bfloat16)
        engines = [load_engine(plan, registry) for plan in plans]
    types = [next(e.model.denoiser.network.blocks[0].up.parameters()).dtype for e in engines]
    assert types == [torch.float32, torch.bfloat16]
    (folder / "card.toml").write_text(text.replace("[quality.best]", '[quality.best]\nfast = "x"'))
    with pytest.raises(ModelError, match=r"quality.best.fast: must be true or false"):
        ModelCard.read(folder)
