"""The kinds that learn from pixels: they learn, and a kill at any moment costs nothing."""

import signal
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
import torch
from training import (
    DATA,
    LABELLED,
    Counting,
    Killed,
    Shapes,
    ended_at,
    losses,
    pixel_recipe,
    train_apart,
    validations,
)

from artdiff.errors import PresetError
from artdiff.model import TrainedOn
from artdiff.nn.unet_facts import NetworkFacts
from artdiff.train import loop
from artdiff.train.checkpoint import read_tensors
from artdiff.train.examples import Examples, read_labels
from artdiff.train.kinds import build_task, load_recipe, parse_recipe
from artdiff.train.report import read_metrics

RECIPES = Path(loop.__file__).parent / "recipes"
NAMES = ("ddpm", "iddpm", "adm", "upsampler", "classifier")


def tiny(name):
    """The shipped recipe for tests, on the shapes."""
    recipe = load_recipe(RECIPES / f"tiny-{name}.toml")
    data = pixel_recipe("diffusion").data
    return recipe.model_copy(update={"data": data})


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """One thread, and no learning curves: test_train.py sees to those."""
    monkeypatch.setattr("artdiff.train.report.Report.draw", lambda report: None)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Each of the tiny recipes, trained once."""
    folder, made = tmp_path_factory.mktemp("kinds"), {}

    def run(name):
        if name not in made:
            made[name] = folder / name
            loop.train(tiny(name), Shapes(), made[name])
        return made[name]

    return run


@pytest.mark.parametrize("name", NAMES)
def test_it_learns(name, runs):
    folder = runs(name)
    seen = losses(folder)
    assert len(seen) == 30
    assert np.mean(seen[-8:]) < (0.85 if name == "classifier" else 0.6) * np.mean(seen[:4])
    assert np.isfinite(validations(folder, "loss")).all()
    if name != "classifier":
        assert (folder / "samples" / "000030.png").stat().st_size > 500


@pytest.mark.parametrize("name", NAMES)
def test_the_file_says_what_sampling_needs(name, runs):
    tensors, facts = read_tensors(runs(name) / "model.safetensors")
    network = NetworkFacts.read(facts, "here")
    network.build().load_state_dict(tensors)
    kinds = {"upsampler": "superres", "classifier": "classifier"}
    assert network.kind == kinds.get(name, "unet") and network.size == 8
    assert network.labels == ("blue", "green", "red", "white")
    assert network.process.steps == 24
    if name in ("iddpm", "adm"):
        assert network.process.schedule == "cosine"
        assert network.process.variance == "learned-range"


@pytest.mark.parametrize("name", ["ddpm", "classifier"])
def test_the_file_says_what_it_learned_from(name, runs):
    _, facts = read_tensors(runs(name) / "model.safetensors")
    assert TrainedOn.read(facts, "here") == TrainedOn("shapes", {"size": 32}, 16)


def test_a_class_that_is_held_out_altogether_is_refused(tmp_path):
    class Rare(Shapes):
        name = "rare"

        def attributes(self, index):
            ground = "white" if index == 3 else ["red", "blue"][index % 2]
            return super().attributes(index) | {"ground": ground}

    said = r"no training picture has the ground 'white', only held-out ones.*data\.held_out \(16\)"
    with pytest.raises(PresetError, match=said):
        build_task(pixel_recipe("classifier", data=LABELLED), Rare(), tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_a_killed_run_goes_on_bit_for_bit(name, runs, tmp_path):
    recipe, step = tiny(name), int(np.random.default_rng(crc32(name.encode())).integers(11, 29))
    if name == "iddpm":
        child = train_apart(recipe, tmp_path / "run", die_at=step)
        assert child.returncode == -signal.SIGKILL, child.stderr
    else:  # a process for each would be slow: what is on the disk is the same
        with ended_at(step), pytest.raises(Killed):
            loop.train(recipe, Shapes(), tmp_path / "run")
    assert len(losses(tmp_path / "run")) == step
    loop.train(recipe, Shapes(), tmp_path / "run")
    assert losses(tmp_path / "run") == losses(runs(name)), f"killed after step {step}"
    last = "checkpoint-00000030.safetensors"
    a, b = read_tensors(runs(name) / last)[0], read_tensors(tmp_path / "run" / last)[0]
    assert a.keys() == b.keys()
    assert all(torch.equal(a[key], b[key]) for key in a), f"killed after step {step}"


def test_loss_second_moment_is_kept(runs):
    tensors, _ = read_tensors(runs("iddpm") / "checkpoint-00000030.safetensors")
    assert tensors["task.counts"].sum() > 12 and tensors["task.losses"].shape == (24, 1)
    assert not any(name.startswith("task.") for name in read_tensors(
        runs("adm") / "checkpoint-00000030.safetensors")[0])  # fmt: skip


def test_numbers_of_a_validation(runs):
    lines = read_metrics(runs("iddpm") / "metrics.jsonl")
    last = next(line["validation"] for line in lines[::-1] if "validation" in line)
    assert {"loss", "vb", "bits", "error/t from 0", "error/t from 18"} == {
        name for name in last if name not in ("error/t from 6", "error/t from 12")
    }
    assert {"mse", "vb"} <= lines[0].keys()
    right = validations(runs("classifier"), "accuracy/t = 0")
    assert 0 <= right[-1] <= 1


def test_a_validation_is_the_same_every_time(tmp_path):
    task = build_task(tiny("iddpm"), Shapes(), tmp_path)
    torch.nn.init.normal_(task.model.out[2].weight)
    with torch.inference_mode():
        assert task.validate(task.model) == task.validate(task.model)


def test_labels_are_left_out_for_some(tmp_path):
    recipe = pixel_recipe("diffusion", table={"empty": 0.5}, batch=64)
    task = build_task(recipe, Shapes(), tmp_path)
    _, labels = task.examples.batch(0, range(64), task.device)
    y = task._told(labels, task._left_out(0))
    kept = y.sum(1) == 1
    assert 16 < kept.sum() < 48 and (y[~kept] == 0).all()
    assert torch.equal(y[kept].argmax(1), labels[kept])


def test_pictures_are_cut_and_made_small(tmp_path):
    class Wide(Counting):
        def picture(self, index):
            picture = super().picture(index)
            return np.concatenate([picture * 0, picture, picture * 0], axis=1)

    recipe = parse_recipe(pixel_recipe("diffusion").model_dump(mode="json"))
    examples = Examples(recipe, Wide(), tmp_path)
    assert examples.pictures.shape == (112, 8, 8, 3)
    mean = Shapes().picture(5).reshape(8, 4, 8, 4, 3).mean((1, 3))
    assert np.abs(examples.pictures[5] - mean).max() <= 0.51
    names = {path.name for path in (tmp_path / examples.key).iterdir()}
    assert names == {"pictures-8.npy", "pictures-8.done", "labels-ground.json"}


def test_small_pictures_come_from_large_ones_that_are_there(tmp_path):
    from artdiff.train.data import prepare

    dataset = Counting()
    prepare(dataset, 40, tmp_path, workers=0)
    dataset.asked.clear()
    small = prepare(dataset, 40, tmp_path, workers=0, size=16)
    assert set(dataset.asked) == {0} and small.shape == (40, 16, 16, 3)
    with pytest.raises(PresetError, match=r"data.size: 64 is more than the pictures have, 32"):
        prepare(dataset, 40, tmp_path, workers=0, size=64)


def test_labels_make_no_pictures(tmp_path):
    dataset = Counting()
    labels, classes = read_labels(dataset, "shape", 30, tmp_path)
    assert classes == ("disc", "square") and not dataset.asked
    assert all(classes[labels[i]] == dataset.attributes(i)["shape"] for i in range(30))
    dataset.attributes = lambda index: {"shape": "disc"}
    again, _ = read_labels(dataset, "shape", 20, tmp_path)
    assert (again == labels[:20]).all()
    more = read_labels(dataset, "shape", 40, tmp_path)[0]
    assert (more[30:] == classes.index("disc")).all()


def test_mirrored_pictures(tmp_path):
    recipe = pixel_recipe("diffusion", batch=32, data=DATA | {"flip": True})
    mirrored = Examples(recipe, Shapes(), tmp_path)
    plain = Examples(pixel_recipe("diffusion", batch=32, data=DATA), Shapes(), tmp_path)
    (a, none), (b, _) = (e.batch(0, range(32), torch.device("cpu")) for e in (mirrored, plain))
    flipped = torch.tensor([torch.equal(x, y.flip(2)) for x, y in zip(a, b, strict=True)])
    same = torch.tensor([torch.equal(x, y) for x, y in zip(a, b, strict=True)])
    assert none is None and (flipped | same).all() and 0 < (~same).sum() < 32
    part = mirrored.batch(0, range(5, 9), torch.device("cpu"))[0]
    assert torch.equal(part, a[5:9])


@pytest.mark.parametrize("kind, changes, message", [
    ("diffusion", {"data": LABELLED | {"label": "shap"}},
     "data.label: pictures have no attribute 'shap'; did you mean 'shape'?"),
    ("diffusion", {"data": LABELLED | {"label": "at"}},
     "data.label: attribute 'at' is not one value; one of shape, colour, ground"),
    ("diffusion", {"data": DATA | {"size": 9}}, "pictures of 9x9 are no multiple of 2.*; try 8"),
    ("upsampler", {"table": {"factor": 3}}, "upsampler.factor: 3 does not divide pictures of 8x8"),
    ("diffusion", {"table": {"prediction": "eps"}}, "diffusion.prediction: .*'v'.*'eps'"),
    ("diffusion", {"table": {"betas": "cosin"}}, "diffusion.betas: .*did you mean 'cosine'?"),
    ("diffusion", {"table": {"loss": "hybrid"}}, "variance 'small' needs the loss 'simple' or"),
    ("diffusion", {"table": {"variance": "learned-range"}}, "needs the loss 'hybrid'"),
    ("diffusion", {"table": {"sheet_steps": "99"}}, "24 steps cannot give 99"),
    ("diffusion", {"table": {"steps": 10}}, "rates of 1 and more at 10 steps"),
    ("diffusion", {"table": {"model": {"widht": 32}}},
     "unknown key 'diffusion.model.widht'; did you mean 'width'?"),
    ("diffusion", {"table": {"model": {"width": 33}}}, "diffusion.model: .*multiple of 32"),
    ("diffusion", {"table": {"model": {"torso": "float16"}}}, "train with the recipe's precision"),
    ("classifier", {"data": DATA}, "a classifier needs data.label"),
])  # fmt: skip
def test_wrong_settings_are_one_line(kind, changes, message, tmp_path):
    with pytest.raises(PresetError, match=message) as caught:
        build_task(pixel_recipe(kind, **changes), Shapes(), tmp_path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 250


@pytest.mark.parametrize("kind, changes, message", [
    ("diffusion", {"data": LABELLED | {"size": 9}}, "data.size: .*9x9 are no multiple of 2"),
    ("upsampler", {"table": {"factor": 3}}, "upsampler.factor: 3 does not divide"),
    ("classifier", {"data": LABELLED | {"size": 9}}, "data.size: .*9x9 are no multiple of 2"),
])  # fmt: skip
def test_a_size_that_does_not_fit_is_known_from_one_picture(kind, changes, message, tmp_path):
    dataset = Counting()
    with pytest.raises(PresetError, match=message):
        build_task(pixel_recipe(kind, **changes), dataset, tmp_path / "run")
    assert set(dataset.asked) == {0}


def test_a_folder_of_another_kind(runs):
    with pytest.raises(PresetError, match="holds a run of kind 'classifier', not 'diffusion'"):
        loop.train(pixel_recipe("diffusion"), Shapes(), runs("classifier"))
