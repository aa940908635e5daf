"""Draft, normal, best: what the card says they mean, and weights that were distilled."""

from dataclasses import asdict, replace
from pathlib import Path

import click
import numpy as np
import pytest
import torch

from artdiff.api import estimate, image, prepare, render
from artdiff.cli import cli, main
from artdiff.errors import ModelError, PresetError
from artdiff.frames import FrameStore, key_of
from artdiff.hookspecs import hookimpl
from artdiff.importers.add import add
from artdiff.model import ModelCard
from artdiff.nn.latent_transformer import LatentTransformer
from artdiff.plan.resolve import resolve
from artdiff.preset.draft import Draft, overlay, override
from artdiff.quality import Distilled, Quality
from artdiff.registry import Registry, Selection, create_registry
from artdiff.renderer import load_engine
from artdiff.train.checkpoint import read_tensors, write_tensors
from artdiff.train.denoiser import load_denoiser

KNOWS = {"scale": [1.0, 6.0], "rescale": 0.0, "stop": 0.0, "steps": [2, 4]}
FEW = """
[quality.draft]
weights = ["codec.safetensors", "few.safetensors", "vocabulary.txt"]
sampler = { name = "euler", steps = 2 }
distilled = { scale = [1.0, 6.0], rescale = 0.0, stop = 0.0, steps = [2, 4] }

[quality.normal]

[quality.best]
sampler = { steps = 8 }
guidance = { scale = 3.0 }
"""


@pytest.fixture(scope="session")
def few_folder(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with levels of quality, the first of them with distilled weights."""
    folder = tmp_path_factory.mktemp("few")
    for file in tiny_folder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    teacher, _, _ = load_denoiser(folder / "denoiser.safetensors")
    student = LatentTransformer(replace(teacher.config, told=("scale", "reach")))
    student.load_state_dict(student.state_dict() | teacher.state_dict())
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(1)
        for layer in student.told.values():
            layer[-1].weight.normal_(std=0.5)  # type: ignore[index]
    facts = {"kind": "denoiser", "config": asdict(student.config), "distilled": KNOWS}
    write_tensors(folder / "few.safetensors", student.state_dict(), facts)
    card = (folder / "card.toml").read_text()
    (folder / "card.toml").write_text(card.replace('"tiny"', '"few"', 1) + FEW)
    return folder


class Cards:
    """A plugin that offers models of some cards."""

    def __init__(self, *cards: ModelCard) -> None:
        self.cards = {card.name: card for card in cards}

    @hookimpl
    def register_models(self) -> dict[str, ModelCard]:
        return self.cards


@pytest.fixture
def both(registry: Registry, few_folder: Path) -> Registry:
    """All plugins, the tiny model and the one with levels."""
    registry.manager.register(Cards(ModelCard.read(few_folder)), "few-model")
    return registry


@pytest.fixture
def plan(both: Registry):
    def plan(*assignments, **values):
        draft = overlay(Draft("film", {}, {}), {"model": "few", **values}, "film.toml")
        return resolve(override(draft, assignments), both)

    return plan


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


class Asked:
    """What a network is asked: rows of each call, and what it is told."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.told: list[dict[str, list[float]]] = []

    def note(self, network, args) -> None:
        x, _, cond = args
        self.batches.append(len(x))
        self.told.append({k: cond[k].flatten().tolist() for k in ("scale", "reach") if k in cond})


def asked(registry, **values):
    """What the network of one film is asked for two pictures, and the pictures."""
    settings = {"model": "few", "frames.count": 2, "prompt": "a red fox", **values}
    plan = prepare(Draft("film", {}, {}), registry, settings).plan
    engine, noted = load_engine(plan, registry), Asked()
    engine.model.conditioner.network.register_forward_pre_hook(noted.note)
    return noted, np.stack(engine.images([engine.plan.job(i) for i in range(2)]))


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

    assert set(registry.get("models", "starter").quality) == {"draft", "normal", "best"}
    assert found("normal") == found(None)
    assert found("draft")[1] < found("normal")[1] < found("best")[1] == 32


def test_the_card_in_the_documentation_is_one(tmp_path):
    page = (Path(__file__).parent.parent / "docs" / "training.md").read_text("utf-8")
    text = page[page.index("[quality.draft]") :]
    (tmp_path / "card.toml").write_text(f'name = "a"\nbackend = "b"\n{text[: text.index("```")]}')
    card = ModelCard.read(tmp_path)
    assert list(card.quality) == ["draft", "normal", "best"]
    assert card.quality["draft"].distilled == Distilled((1.0, 8.0), 0.5, 0.15, (4, 8))


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
