"""Adding weights: recognised by shapes, read safely, and then the model draws."""

import json
import pickle
import random
import re
import shutil
import tomllib
from collections import OrderedDict
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import load_file, save_file

from artdiff.api import image, prepare
from artdiff.backends.unet import helper, load, load_classifier, load_superres
from artdiff.cli import cli
from artdiff.errors import ArtdiffError, ModelError, ModelWarning
from artdiff.importers.add import add
from artdiff.importers.adm import named, published, recognise, shapes_of, sizes_of
from artdiff.importers.card import card_text
from artdiff.importers.weights import read_weights
from artdiff.model import ModelCard, TrainedOn
from artdiff.nn.labels import LabelConditioner
from artdiff.nn.unet import UNet, UNetConfig
from artdiff.nn.unet_classifier import ClassifierConfig, ClassifierUNet
from artdiff.nn.unet_facts import NetworkFacts, ProcessFacts, label_list
from artdiff.nn.unet_superres import SuperResUNet
from artdiff.noise import Level
from artdiff.process import respace
from artdiff.registry import create_registry
from artdiff.starting import levels_of
from artdiff.train.checkpoint import read_tensors, write_tensors
from artdiff.user_models import models_folder

CPU = (torch.device("cpu"), torch.float32)
SIZES = UNetConfig(
    width=32, multipliers=(1, 2), blocks=1, attention=(2,), heads=4, resample="resblock",
    classes=10, learned_variance=True,
)  # fmt: skip
JUDGE = ClassifierConfig(
    width=32, multipliers=(1, 2), blocks=1, attention=(2,), head_channels=32, size=16, classes=10
)
CONFIG = 'size = 16\n[network]\nheads = 4\n[process]\nschedule = "cosine"\nsteps = 100\n'


def flat(tree, *path):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, *path, key)
        else:
            yield ".".join([*path, key]), tuple(value)


def reference_tables():
    for file in sorted((Path(__file__).parent / "references").glob("shapes-*.json")):
        tables = json.loads(file.read_text("utf-8"))
        tables.pop("made_by")
        yield from tables.items()


TABLES = dict(reference_tables())


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty folder of the user's models, and the config of the tiny networks."""
    monkeypatch.setenv("ARTDIFF_MODELS", str(tmp_path / "models"))
    (tmp_path / "tiny.toml").write_text(CONFIG)
    (tmp_path / "film.toml").write_text('prompt = "label 1"\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def weights(network, seed=0):
    """A state dict as the reference programs save it, with nothing left at zero."""
    draw = torch.Generator().manual_seed(seed)
    return OrderedDict(
        (name, torch.randn(p.shape, generator=draw) * 0.1 + (p.ndim == 1 and "weight" in name))
        for name, p in network.state_dict().items()
    )


def run(*words):
    return CliRunner().invoke(cli, [str(word) for word in words])


# What shapes say


@pytest.mark.parametrize("name", TABLES)
def test_published_weights_fit_and_are_recognised(name):
    shapes = dict(flat(TABLES[name]["shapes"]))
    one, kind, _ = recognise(shapes, name, "file")
    assert name in one.files and kind == one.facts.kind
    assert shapes_of(one.facts) == shapes
    assert one.values["parameters"] == TABLES[name]["parameters"]
    assert recognise(shapes, "renamed", "file")[0].facts.network.width == one.facts.network.width


def test_every_card_is_in_a_table_and_every_name_is_of_one_card():
    names = [file for one in published().values() for file in one.files]
    assert len(names) == len(set(names))
    for one in published().values():
        assert set(one.files) & TABLES.keys(), one.name
        if "classifier" in one.values:
            assert named(one.values["classifier"]).facts.kind == "classifier"
        card = tomllib.loads(card_text(one.name, one.facts, one.values, 1000, one.name))
        assert card["facts"].get("low") == one.values.get("low"), one.name


def test_fine_tuned_classes_are_the_published_network_and_others_are_not():
    facts = named("64x64_diffusion").facts
    fewer = replace(facts, network=replace(facts.network, classes=37), labels=())
    one, _, sizes = recognise(shapes_of(fewer), "mine", "file")
    assert one.name == "64x64_diffusion" and sizes["classes"] == 37
    plain = replace(facts, network=replace(facts.network, blocks=2), labels=())
    assert recognise(shapes_of(plain), "mine", "file")[0] is None


@pytest.mark.parametrize(
    "facts",
    [
        NetworkFacts("unet", SIZES),
        NetworkFacts("unet", replace(SIZES, resample="pool", classes=None, multipliers=(1, 1, 2))),
        NetworkFacts("unet", replace(SIZES, resample="conv", channels=1, scale_shift=False)),
        NetworkFacts("unet", replace(SIZES, attention=(), blocks=3, multipliers=(1,))),
        NetworkFacts("superres", replace(SIZES, width=64, multipliers=(0.5, 1, 1))),
        NetworkFacts("superres", replace(SIZES, channels=1, learned_variance=False)),
        NetworkFacts("classifier", JUDGE),
        *(
            NetworkFacts("classifier", replace(JUDGE, pool=pool, size=64))
            for pool in ("adaptive", "spatial", "spatial_v2")
        ),
    ],
)
def test_sizes_come_back_from_shapes(facts):
    kind, sizes = sizes_of(shapes_of(facts), "file")
    assert kind == facts.kind
    network = replace(facts.network, **sizes)
    if facts.kind == "unet" and facts.network.multipliers == (1,):
        network = replace(network, resample=facts.network.resample)  # one level has none
    assert network == facts.network


def test_a_wrong_tensor_is_named():
    shapes = shapes_of(NetworkFacts("unet", SIZES))
    shapes["output_blocks.1.0.out_layers.3.bias"] = (7,)
    with pytest.raises(
        ModelError, match=r"1 of its tensors.*output_blocks\.1\.0\.out_layers\.3\.bias"
    ):
        sizes_of(shapes, "file")
    with pytest.raises(ModelError, match="no tensor 'time_embed"):
        sizes_of({"conv.weight": (3, 3)}, "file")
    with pytest.raises(ModelError, match="did you mean '64x64_diffusion'"):
        named("64x64_difusion")


# Reading files


class Evil:
    def __reduce__(self):
        return (open, ("touched", "w"))


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_that_could_run_code_is_refused_and_not_run(legacy):
    torch.save({"a": Evil()}, "evil.pt", _use_new_zipfile_serialization=not legacy)
    result = run("models", "add", "evil.pt")
    assert isinstance(result.exception, ModelError) and "could run code" in str(result.exception)
    Path("plain.pt").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ModelError):
        read_weights(Path("plain.pt"))
    assert not Path("touched").exists() and not models_folder().exists()


@pytest.mark.parametrize(
    "content", [b"", b"not weights", b"PK\x03\x04 cut", b"\x80\x02}q\x00.", b"\x00" * 64]
)
@pytest.mark.parametrize("name", ["junk.pt", "junk.safetensors"])
def test_files_that_hold_no_weights_are_one_line(name, content):
    Path(name).write_bytes(content)
    with pytest.raises(ModelError) as caught:
        add(Path(name), None, None)
    assert str(caught.value).startswith(name) and "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("legacy", [False, True])
def test_damaged_files_are_one_line(legacy):
    tensors = {f"a.{i}": torch.ones(4, 4) for i in range(3)}
    torch.save(tensors, "whole.pt", _use_new_zipfile_serialization=not legacy)
    whole, draws = Path("whole.pt").read_bytes(), random.Random(0)
    for number in range(600):
        damaged = bytearray(whole)
        for _ in range(3):
            damaged[draws.randrange(len(whole))] = draws.randrange(256)
        end = draws.randrange(len(whole)) if number % 2 else None
        Path("damaged.pt").write_bytes(damaged[:end])
        try:
            read_weights(Path("damaged.pt"))
        except ModelError as error:
            assert "\n" not in str(error), number


@pytest.mark.parametrize(
    "values, wrong",
    [
        ({"step": 3, "a": torch.ones(2)}, "'step' is no tensor"),
        ({"a": torch.ones(2, dtype=torch.int64)}, "not real numbers"),
        ([torch.ones(2)], "no tensors by name"),
        ({}, "no tensors by name"),
        ({"state_dict": {}}, "no tensors by name"),
    ],
)
def test_files_that_hold_other_things_are_named(values, wrong):
    torch.save(values, "other.pt")
    with pytest.raises(ModelError, match=wrong):
        add(Path("other.pt"), None, None)


def test_wrappers_prefixes_and_types_are_read():
    inner = {"module.a": torch.ones(2, dtype=torch.float64), "module.b": torch.ones(3).half()}
    torch.save(
        {"step": 1, "state_dict": inner}, "wrapped.pt", _use_new_zipfile_serialization=False
    )
    tensors, facts = read_weights(Path("wrapped.pt"))
    assert {k: v.dtype for k, v in tensors.items()} == {"a": torch.float32, "b": torch.float16}
    assert facts == {}


# Adding and drawing


def added(network, name, config="tiny.toml"):
    torch.save(weights(network), f"{name}.pt")
    return add(Path(f"{name}.pt"), None, config).card


@pytest.mark.parametrize("prompt, classes", [("label 7", 10), ("", None)])
def test_a_guided_diffusion_file_is_added_and_draws(prompt, classes):
    torch.save(weights(UNet(replace(SIZES, classes=classes))), "mine.pt")
    result = run("models", "add", "mine.pt", "--config", "tiny.toml")
    assert result.exit_code == 0, result.output
    assert "mine: mine, 16x16" in result.output and "--model mine draws" in result.output
    stored = load_file(models_folder() / "mine" / "model.safetensors")
    assert all(
        torch.equal(stored[k], v)
        for k, v in weights(UNet(replace(SIZES, classes=classes))).items()
    )
    assert "mine " in run("models", "list").output
    assert "learned-range" in run("models", "show", "mine").output
    drawn = {}
    for file, extra in {
        "again.png": (), "once.png": (), "ddim.png": ("-s", "sampler.name=ddim"),
        "small.png": ("-s", "sampler.variance=small"),
    }.items():  # fmt: skip
        result = run("image", prompt, "--model", "mine", "--steps", 5, "-o", file, *extra)
        assert result.exit_code == 0, result.output
        drawn[file] = np.asarray(Image.open(file)).astype(int)
    assert drawn["once.png"].shape == (16, 16, 3) and drawn["once.png"].std() > 5
    assert (drawn["once.png"] == drawn["again.png"]).all()
    assert (drawn["once.png"] != drawn["small.png"]).any()  # learned variance is the default
    assert (drawn["once.png"] != drawn["ddim.png"]).any()


@pytest.mark.parametrize(
    "spacing, settings",
    [
        ("25", {"sampler.steps": 25}),
        ("ddim25", {"sampler.steps": 25, "sampler.grid": {"name": "leading", "offset": 0}}),
    ],
)
def test_respacing_is_a_grid(spacing, settings):
    """What guided-diffusion calls --timestep_respacing 25 and ddim25."""
    card = added(UNet(SIZES), "mine")
    process = ProcessFacts("cosine", 100).process()
    plan = prepare("film.toml", create_registry(), {"model": "mine", **settings}).plan
    ours = levels_of(plan, load(card, *CPU).schedule)
    theirs = respace(process, spacing).levels()
    for a, b in zip(ours, theirs, strict=True):
        assert float(a.alpha) == pytest.approx(float(b.alpha), abs=1e-9)


def test_labels_and_half_precision_and_batches():
    tensors = {name: t.half() for name, t in weights(UNet(SIZES)).items()}
    save_file(tensors, "half.safetensors")
    Path("named.toml").write_text(
        'labels = ["a", "b", "c", "red fox", "e", "f", "g", "h", "i", "j"]\n' + CONFIG
    )
    card = add(Path("half.safetensors"), "foxes", "named.toml").card
    assert load_file(Path(card.folder) / "model.safetensors")["out.2.bias"].dtype == torch.float16
    model = load(ModelCard.read(Path(card.folder)), *CPU)
    cond = model.conditioner(["red fox", "label 3"])
    assert torch.equal(cond["classes"][0], cond["classes"][1])
    at = Level(torch.tensor(0.6, dtype=torch.float64), torch.tensor(0.8, dtype=torch.float64))
    x = torch.linspace(-1, 1, 1536).view(2, 3, 16, 16)
    x0, place = model.denoiser.with_variance(x, at, cond)
    assert x0.dtype == torch.float32 and x0.abs().max() <= 1 and place.shape == x.shape
    assert torch.equal(model.denoiser(x, at, cond), x0)
    ve = model.denoiser(x / 0.6, Level(at.alpha / 0.6, at.sigma / 0.6), cond)
    torch.testing.assert_close(ve, x0, rtol=0, atol=5e-5)


def test_clipping_keeps_the_value_inside_and_lets_gradients_through():
    card = added(UNet(SIZES), "mine")
    model = load(card, *CPU)
    x = torch.full((1, 3, 16, 16), 3.0, requires_grad=True)
    at = Level(torch.tensor(0.1, dtype=torch.float64), torch.tensor(0.995, dtype=torch.float64))
    x0 = model.denoiser(x, at, model.conditioner(["1"]))
    assert x0.abs().max() == 1
    (gradient,) = torch.autograd.grad(x0.sum(), x)
    assert gradient.abs().min() > 0


def test_helpers_are_listed_loaded_and_draw_nothing():
    with pytest.raises(ModelError, match="needs head_channels"):
        added(ClassifierUNet(JUDGE), "judge")
    Path("judge.toml").write_text(CONFIG.replace("heads = 4", "head_channels = 32"))
    judge = added(ClassifierUNet(JUDGE), "judge", "judge.toml")
    large = added(SuperResUNet(SIZES), "large")
    listed = run("models", "list").output
    assert "judge" in listed and "draws nothing by itself" in listed
    assert "judge" not in create_registry().entries("models")
    assert run("models", "show", "judge").exit_code == 0

    classifier = load_classifier(judge, *CPU)
    at = Level(torch.tensor(0.6, dtype=torch.float64), torch.tensor(0.8, dtype=torch.float64))
    x = torch.zeros(2, 3, 16, 16, requires_grad=True)
    logits = classifier(x, at)
    assert logits.shape == (2, 10) and torch.autograd.grad(logits.sum(), x)[0].any()

    upsampler = load_superres(large, *CPU)
    cond = upsampler.conditioner(["2", "3"])
    low = {"low": torch.ones(2, 3, 8, 8)}
    bright = upsampler.denoiser(torch.zeros(2, 3, 16, 16), at, {**cond, **low})
    assert bright.shape == (2, 3, 16, 16)
    Path("low.toml").write_text(f"low = 8\n{CONFIG}")
    assert added(SuperResUNet(SIZES), "lower", "low.toml").facts["low"] == 8
    with pytest.raises(ModelError, match="kind 'superres', not 'unet'"):
        load(large, *CPU)
    with pytest.raises(ModelError, match="kind 'classifier', not 'superres'"):
        load_superres(judge, *CPU)

    mine = added(UNet(SIZES), "mine")
    with pytest.raises(ModelError, match="names no classifier"):
        helper(mine, "classifier")
    helped = replace(mine, facts={**mine.facts, "classifier": "judge"})
    assert helper(helped, "classifier").folder == judge.folder
    gone = replace(mine, facts={**mine.facts, "classifier": "gone"})
    with pytest.raises(ModelError, match=r"artdiff models add gone\.pt"):
        helper(gone, "classifier")


def test_what_artdiff_train_leaves_is_added(home):
    process = ProcessFacts("linear", 50, variance="small")
    network = UNet(replace(SIZES, learned_variance=False))
    facts = {"kind": "unet", "config": asdict(network.config), "process": asdict(process),
             "size": 16, "labels": list("abcdefghij")}  # fmt: skip
    (home / "run").mkdir()
    write_tensors(home / "run" / "model.safetensors", weights(network), facts)
    result = run("models", "add", "run", "--name", "trained")
    assert result.exit_code == 0 and "artdiff train" in result.output
    card = create_registry().get("models", "trained")
    sampler = {"name": "ddpm", "variance": "small", "steps": 50, "grid": "linspace"}
    assert card.defaults["sampler"] == sampler
    assert run("image", "j", "--model", "trained", "--steps", 3, "-o", "j.png").exit_code == 0

    shutil.copytree(card.folder, home / "carded")
    assert add(home / "carded", None, None).known_by == "by its card"
    assert "carded" in create_registry().entries("models")


def test_a_folder_with_a_card_gets_the_new_name_and_keeps_its_tuned_steps(home, tiny_folder):
    source = shutil.copytree(tiny_folder, home / "source")
    (source / "tuned.json").write_text("{}")
    result = run("models", "add", "source", "--name", "mine")
    assert result.exit_code == 0, result.output
    assert result.output.startswith("mine: ")
    assert 'artdiff image "a red fox" --model mine draws with it' in result.output
    assert (models_folder() / "mine" / "tuned.json").read_text() == "{}"
    plain = Path(added(UNet(replace(SIZES, classes=None)), "plain").folder)
    classes = Path(added(UNet(SIZES), "classes").folder)
    for folder, prompt in ((plain, ""), (classes, "label 1")):
        result = run("models", "add", folder, "--name", f"new-{folder.name}")
        assert f'image "{prompt}" --model new-{folder.name} draws' in result.output


def trained(**changes):
    """A tiny network as `artdiff train` leaves it, in run/model.safetensors."""
    network = UNet(replace(SIZES, learned_variance=False))
    facts = {"kind": "unet", "config": asdict(network.config), "size": 16, "labels": [],
             "process": {"schedule": "cosine", "steps": 50}}  # fmt: skip
    Path("run").mkdir(exist_ok=True)
    write_tensors(Path("run/model.safetensors"), weights(network), facts | changes)
    return Path("run")


def test_the_card_says_what_a_network_learned_from():
    options = {"path": "my \x7f pictures", "size": 32, "fit": None, "of": {"a b": [1.5, True]}}
    run = trained(dataset="folder", dataset_options=options, held_out=200)
    card = add(run, "mine", None).card
    del options["fit"]
    assert TrainedOn.read(card.facts, "card") == TrainedOn("folder", options, 200)
    assert NetworkFacts.read(card.facts, "card").process.steps == 50
    older = add(trained(dataset="scenes-0123456789ab"), "older", None).card
    assert "dataset" not in older.facts


@pytest.mark.parametrize("changes, said", [
    ({"kind": ["classifier"]}, "holds a ['classifier']"),
    ({"process": {"steps": -24}}, "process.steps: .*greater than or equal to 2"),
    ({"process": {"steps": 1}}, "process.steps: .*greater than or equal to 2"),
    ({"process": {"steps": 10}}, "process: 'linear' has rates of 1 and more at 10 steps"),
    ({"process": 3}, "process: "),
    ({"config": [1]}, "network: "),
    ({"size": 17}, "size: 17 is no multiple of 2, as this network needs; the nearest is 16"),
    ({"size": 8}, "size: pictures of 8x8 cannot be drawn, only from 16 to 8192"),
    ({"size": 16384}, "size: .*less than or equal to 8192"),
    ({"size": 0}, "size: .*greater than or equal to 1"),
    ({"title": {"a": 1}}, "title: must be a text"),
    ({"low": "64"}, "low: must be a whole number from 1"),
    ({"low": 0}, "low: must be a whole number from 1"),
    ({"config": {**asdict(SIZES), "learned_variance": False, "dropout": 7}}, "network: .*dropout"),
    ({"dataset": 3, "held_out": 9}, "dataset: must be a name"),
    ({"dataset": "x", "dataset_options": 3, "held_out": 9}, "dataset_options: must be a table"),
    ({"dataset": "x", "held_out": 0}, "held_out: must be a number from 1"),
])  # fmt: skip
def test_wrong_facts_of_a_weights_file_are_one_line(changes, said):
    wrong = trained(**changes)
    pattern = re.escape(said) if said.startswith("holds") else said
    with pytest.raises(ModelError, match=pattern) as caught:
        add(wrong, None, None)
    assert "\n" not in str(caught.value) and str(caught.value).startswith("run/model.safetensors")
    assert not models_folder().exists() or not list(models_folder().iterdir())


def test_a_published_name_says_only_what_shapes_do_not():
    sizes = replace(SIZES, width=64, learned_variance=False, head_channels=64)
    card = added(UNet(sizes), "mine", "64x64_diffusion")
    facts, like = NetworkFacts.read(card.facts, "card"), named("64x64_diffusion").facts
    assert facts.network == replace(sizes, attention_order="new", dropout=0.1)
    assert facts.process == replace(like.process, variance="small")
    assert facts.size == 64 and not facts.labels and card.title == "mine, 64x64"
    with pytest.raises(ModelError, match="of kind 'classifier', the file of 'unet'"):
        added(UNet(sizes), "other", "64x64_classifier")


def test_labels_of_a_published_name_need_as_many_classes():
    sizes = replace(SIZES, width=64, classes=1000, head_channels=64)
    card = added(UNet(sizes), "mine", "64x64_diffusion")
    assert card.facts["labels"] == "imagenet"


def test_what_cannot_be_added_is_one_line_and_leaves_nothing(home):
    torch.save(weights(UNet(SIZES)), "mine.pt")
    configs = {
        "few.toml": "size = 16\n",
        "heads.toml": CONFIG.replace("heads = 4", "heads = 3"),
        "up.toml": CONFIG.replace("heads = 4", "heads = 4\nheads_up = 3"),
        "typo.toml": CONFIG.replace("steps", "setps"),
        "key.toml": CONFIG.replace("heads = 4", "heads = 4\nhaeds = 4"),
        "blocks.toml": CONFIG.replace("heads = 4", "heads = 4\nblocks = 2"),
        "kind.toml": f'kind = "superres"\n{CONFIG}',
        "broken.toml": "size = ",
        "top.toml": f'lables = ["a"]\n{CONFIG}',
        "table.toml": "network = 3\nsize = 16\n",
        "list.toml": CONFIG.replace("[process]", "[[process]]"),
        "text.toml": f"title = 3\n{CONFIG}",
        "date.toml": f"size = 2020-01-01\n{CONFIG.replace('size = 16', '')}",
        "odd.toml": f"kind = []\n{CONFIG}",
        "steps.toml": CONFIG.replace("steps = 100", "steps = 1"),
    }
    for name, text in configs.items():
        Path(name).write_text(text)
    wrong = {
        None: "--config", "few.toml": "heads or head_channels", "heads.toml": "heads = 3",
        "up.toml": "network: heads_up = 3 does not divide 64",
        "typo.toml": "schedule and steps", "key.toml": "did you mean 'heads'",
        "blocks.toml": "does not fit its config", "kind.toml": "does not fit its config",
        "top.toml": "unknown key 'lables'; did you mean 'labels'", "text.toml": "title: must be",
        "table.toml": "network: must be a table (got 3)", "list.toml": "process: must be a table",
        "date.toml": "size: ", "odd.toml": "kind [] is unknown", "steps.toml": "process.steps",
        "broken.toml": "not TOML", "gone.toml": "cannot be read",
        "64x64_clasifier": "did you mean",
    }  # fmt: skip
    for config, said in wrong.items():
        with pytest.raises(ArtdiffError) as caught:
            add(Path("mine.pt"), None, config)
        assert said in str(caught.value) and "\n" not in str(caught.value), str(caught.value)
    for name in ("../up", "", ".hidden", "a b"):
        with pytest.raises(ModelError, match="--name"):
            add(Path("mine.pt"), name, "tiny.toml")
    assert not models_folder().exists() or not list(models_folder().iterdir())

    add(Path("mine.pt"), None, "tiny.toml")
    with pytest.raises(ModelError, match="there is a model 'mine' already"):
        add(Path("mine.pt"), None, "tiny.toml")
    result = run("models", "add", "mine.pt", "--name", "starter", "--config", "tiny.toml")
    assert "there is a model 'starter' already" in str(result.exception)
    (home / "empty").mkdir()
    with pytest.raises(ModelError, match="no such file"):
        add(home / "empty", None, None)
    write_tensors(home / "empty" / "model.safetensors", {"a": torch.ones(1)}, {"kind": "codec"})
    with pytest.raises(ModelError, match="'codec'"):
        add(home / "empty", None, None)


def test_a_broken_folder_is_left_out_with_a_note():
    folder = Path(added(UNet(SIZES), "mine").folder)
    (folder.parent / "broken").mkdir()
    (folder.parent / "broken" / "card.toml").write_text("name = ")
    with pytest.warns(ModelWarning, match="'broken' is left out"):
        assert "mine" in create_registry().entries("models")
    (folder / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(ModelError, match="damaged"):
        load(ModelCard.read(folder), *CPU)
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        load(ModelCard.read(folder), *CPU)
    save_file({"a": torch.ones(1)}, folder / "model.safetensors")
    with pytest.raises(ModelError, match="do not fit the card"):
        load(ModelCard.read(folder), *CPU)


@pytest.mark.parametrize("line, said", [
    ('defaults = "x"', "defaults: must be a table (got 'x')"),
    ("facts = 3", "facts: must be a table (got 3)"),
    ('multiple = "x"', "multiple: must be a whole number from 1 (got 'x')"),
    ("multiple = 0", "multiple: must be a whole number from 1 (got 0)"),
    ("multiple = true", "multiple: must be a whole number from 1 (got True)"),
    ("multiple = 16.0", "multiple: must be a whole number from 1 (got 16.0)"),
    ('weights = "model.safetensors"', "weights: must be a list of files (got 'model.safetensors"),
    ("weights = [1]", "weights: must be a list of files (got [1])"),
    ("title = 3", "title: must be a text (got 3)"),
    ("fast = 1", "fast: must be true or false (got 1)"),
    ("license = 'MIT'", "unexpected keyword argument 'license'"),
])  # fmt: skip
def test_a_card_of_wrong_values_is_left_out_with_a_note(home, line, said):
    file = models_folder() / "wrong" / "card.toml"
    file.parent.mkdir(parents=True)
    file.write_text(f'name = "wrong"\nbackend = "unet"\n{line}\n')
    with pytest.raises(ModelError) as caught:
        ModelCard.read(file.parent)
    assert str(caught.value).startswith(f"{file}: ") and said in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.warns(ModelWarning, match="'wrong' is left out"):
        assert run("models", "list").output.startswith("starter ")


def test_a_folder_with_the_name_of_another_model_is_named(home):
    folder = models_folder() / "starter"
    folder.mkdir(parents=True)
    (folder / "card.toml").write_text('name = "mine"\nbackend = "unet"\n')
    for words in (("models", "list"), ("image", "a fox", "-o", "fox.png")):
        error = run(*words).exception
        assert isinstance(error, ArtdiffError)
        assert "models: 'starter' is offered by both 'artdiff.backends.adm' and " in str(error)
        assert str(error).endswith(f"; rename the folder {folder}")


# Labels


def test_prompts_name_classes():
    conditioner = LabelConditioner(1000, label_list("imagenet", "here"))
    rows = conditioner(
        [
            "golden retriever",
            "label 207",
            "class 207",
            "207",
            "a Golden  Retriever!",
            "tench goldfish",
            "",
        ]
    )["classes"]
    assert rows.shape == (7, 1000) and all(row.argmax() == 207 for row in rows[:5])
    assert rows[5, :2].tolist() == [0.5, 0.5] and not rows[6].any()
    assert conditioner.unknown("a golden retriever on the label 1207") == [
        "a",
        "on",
        "the",
        "label 1207",
    ]
    assert conditioner(["great white shark"])["classes"].argmax() == 2
    assert conditioner(["black-footed ferret"])["classes"].sum() == 1
    none = LabelConditioner(None)
    assert none(["a", "b"]) == {} and none.unknown("a 3") == ["a", "3"]
    assert not LabelConditioner(5)(["label 5"])["classes"].any()


def test_the_names_of_imagenet_are_a_thousand_different_ones():
    names = label_list("imagenet", "here")
    assert len(names) == 1000 == len({name.lower() for name in names})
    with pytest.raises(ModelError, match="did you mean 'imagenet'"):
        label_list("imagnet", "here")


# Denoisers of latents.


def test_a_denoiser_is_added_with_its_codec_and_draws(codec_run, denoiser_run):
    said = CliRunner().invoke(
        cli, ["models", "add", str(denoiser_run), "--name", "mine", "--codec", str(codec_run)]
    )
    assert said.exit_code == 0 and "--model mine draws with it" in said.output
    card = ModelCard.read(models_folder() / "mine")
    assert card.backend == "latent-transformer" and card.defaults["width"] == 32
    assert set(card.weights) == {"codec.safetensors", "denoiser.safetensors", "vocabulary.txt"}
    assert TrainedOn.read(card.facts, "card") == TrainedOn("shapes", {"size": 32}, 16)
    ((job, picture),) = image("a red disc", settings={"model": "mine", "sampler.steps": 2})
    assert picture.shape == (32, 32, 3) and job.record()["made_with"]["model"]["name"] == "mine"


def test_what_no_denoiser_can_be_added_with(codec_run, denoiser_run, tiny_folder, tmp_path):
    with pytest.raises(ModelError, match="holds a denoiser of latents, which needs its codec"):
        add(denoiser_run, "mine", None)
    with pytest.raises(ModelError, match=r"codec.safetensors: another codec than .* learned from"):
        add(denoiser_run, "mine", None, codec=tiny_folder / "codec.safetensors")
    with pytest.raises(ModelError, match=r"is not a codec that `artdiff train` made"):
        add(denoiser_run, "mine", None, codec=denoiser_run)
    with pytest.raises(ModelError, match="gone: no such file"):
        add(denoiser_run, "mine", None, codec=tmp_path / "gone")
    with pytest.raises(ModelError, match="holds a 'codec', which draws nothing by itself"):
        add(codec_run, "mine", None)
    with pytest.raises(ModelError, match=r"--codec: .* holds no denoiser of latents"):
        add(codec_run, "mine", None, codec=codec_run)
    shutil.copyfile(denoiser_run / "model.safetensors", tmp_path / "lone.safetensors")
    with pytest.raises(ModelError, match=r"vocabulary.txt: no such file"):
        add(tmp_path / "lone.safetensors", "mine", None, codec=codec_run)
    (tmp_path / "cut.safetensors").write_bytes(b"12345678")
    with pytest.raises(ModelError, match="not a file of weights, or a damaged one"):
        shutil.copytree(denoiser_run, tmp_path / "run")
        add(tmp_path / "run", "mine", None, codec=tmp_path / "cut.safetensors")
    assert not (models_folder() / "mine").exists()


def test_a_distilled_denoiser_says_so_on_its_card(codec_run, denoiser_run, tmp_path):
    tensors, facts = read_tensors(denoiser_run / "model.safetensors")
    shutil.copytree(denoiser_run, tmp_path / "few")
    taught = {"scale": [1.0, 3.0], "rescale": 0.5, "stop": 0.4, "steps": [4, 8]}
    write_tensors(tmp_path / "few" / "model.safetensors", tensors, facts | {"distilled": taught})
    card = add(tmp_path / "few", None, None, codec=codec_run).card
    assert card.distilled and card.distilled.steps == (4, 8)
    assert card.defaults["sampler"] == {"name": "euler", "steps": 8}
    assert card.defaults["guidance"] == {"scale": 3.0, "rescale": 0.5, "stop": 0.4}
