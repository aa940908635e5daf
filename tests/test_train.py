"""Training: it learns, it is exactly repeatable, and a kill at any moment costs nothing."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import BaseModel

from artdiff.errors import PresetError
from artdiff.train import loop
from artdiff.train.autoencoder import load_codec
from artdiff.train.checkpoint import checkpoints, load_checkpoint, read_tensors
from artdiff.train.data import CHUNK, dataset_key, encode_latents, prepare
from artdiff.train.denoiser import load_denoiser
from artdiff.train.draws import batch_indices
from artdiff.train.ema import Ema, half_life_decay
from artdiff.train.losses import codec_loss, psnr, training_times
from artdiff.train.optim import build_optimizer, orthogonalise
from artdiff.train.recipe import OptimRecipe, load_recipe, parse_recipe
from artdiff.train.report import read_metrics, truncate_metrics

COLOURS = {
    "red": (220, 40, 40), "green": (30, 190, 60), "blue": (40, 60, 220), "white": (250, 250, 250),
}  # fmt: skip
RECIPES = Path(loop.__file__).parent / "recipes"


class Shapes:
    """A coloured disc or square on a coloured ground."""

    name = "shapes"
    version = "1"

    class Options(BaseModel, extra="forbid"):
        size: int = 32

    def __init__(self, options=None):
        self.options = options or self.Options()

    def attributes(self, index):
        draws = np.random.default_rng(index)
        names = list(COLOURS)
        return {
            "shape": ["disc", "square"][draws.integers(2)],
            "colour": names[draws.integers(4)],
            "ground": names[draws.integers(4)],
            "at": draws.random(2).tolist(),
        }

    def picture(self, index):
        facts, size = self.attributes(index), self.options.size
        rows, columns = (np.mgrid[:size, :size] + 0.5) / size
        away = np.stack([rows - facts["at"][0], columns - facts["at"][1]])
        disc = np.hypot(*away) < 0.3
        inside = disc if facts["shape"] == "disc" else np.abs(away).max(0) < 0.25
        picture = np.where(
            inside[..., None], COLOURS[facts["colour"]], COLOURS[facts["ground"]]
        )
        return picture.astype(np.uint8)

    def caption(self, index, draw):
        facts = self.attributes(index)
        if draw % 2:
            return f"a {facts['colour']} {facts['shape']} on {facts['ground']}"
        return f"{facts['shape']} in {facts['colour']}, {facts['ground']} ground"

    def vocabulary(self):
        return sorted({*COLOURS, "disc", "square", "a", "on", "in", "ground"})


class Counting(Shapes):
    """Notes which pictures were asked for."""

    def __init__(self, options=None):
        super().__init__(options)
        self.asked = []

    def picture(self, index):
        self.asked.append(index)
        return super().picture(index)


def codec_recipe(steps=60, **changes):
    small = {"channels": 4, "patch": 2, "encoder_widths": [16, 24], "encoder_depths": [1, 1],
             "decoder_widths": [16, 32], "decoder_depths": [1, 1]}  # fmt: skip
    return parse_recipe({
        "kind": "autoencoder", "seed": 3, "batch": 8,
        "data": {"dataset": "shapes", "count": 96, "held_out": 16, "workers": 0},
        "autoencoder": {"model": small, "crop": 16, "validation": 16},
        "optim": {"name": "adamw", "adam_lr": 4e-3, "warmup": 5, "course": "cosine"},
        "ema": {"half_life": 5}, "stop": {"steps": steps},
        "cadence": {"save_steps": 5, "validate_steps": 30, "sheet_steps": 30},
        **changes,
    })  # fmt: skip


def denoiser_recipe(codec, steps=80, **changes):
    small = {"channels": 4, "stem": 16, "stem_depth": 1, "width": 32, "depth": 2, "heads": 2,
             "hidden": 64, "vocabulary": 24, "text_length": 8, "text_width": 24, "text_depth": 1,
             "text_heads": 2}  # fmt: skip
    return parse_recipe({
        "kind": "denoiser", "seed": 3, "batch": 16,
        "data": {"dataset": "shapes", "count": 96, "held_out": 16, "workers": 0},
        "denoiser": {"codec": str(codec), "model": small, "prompts": ["red disc on blue"],
                     "sheet_steps": 3},
        "optim": {"muon_lr": 1e-2, "adam_lr": 4e-3, "warmup": 5, "cooldown": 0.25},
        "ema": {"decay": 0.9}, "stop": {"steps": steps},
        "cadence": {"save_steps": 5, "validate_steps": 40, "sheet_steps": 40},
        **changes,
    })  # fmt: skip


def losses(folder):
    return [line["loss"] for line in read_metrics(folder / "metrics.jsonl") if "loss" in line]


def validations(folder, name):
    lines = read_metrics(folder / "metrics.jsonl")
    return [line["validation"][name] for line in lines if "validation" in line]


def die_at(step):
    """From now on, training kills this process after `step` steps, as the power company would."""
    advance = loop.Run.advance

    def mortal(run):
        value = advance(run)
        if run.step == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return value

    loop.Run.advance = mortal


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def codec_run(tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("train") / "codec"
    assert loop.train(codec_recipe(), Shapes(), folder) == folder / "model.safetensors"
    return folder


@pytest.fixture(scope="module")
def denoiser_run(codec_run):
    folder = codec_run.parent / "denoiser"
    loop.train(denoiser_recipe(codec_run / "model.safetensors"), Shapes(), folder)
    return folder


def test_codec_learns(codec_run):
    seen = losses(codec_run)
    assert len(seen) == 60
    assert np.mean(seen[-10:]) < 0.7 * np.mean(seen[:5])
    first, last = validations(codec_run, "psnr")
    assert last > first and last > 12
    for name in ("loss.png", "samples/000030.png", "samples/000060.png"):
        assert (codec_run / name).stat().st_size > 500
    assert len(checkpoints(codec_run)) == 2


def test_trained_codec_loads(codec_run):
    codec = load_codec(codec_run / "model.safetensors")
    assert not codec.training and codec.config.factor == 4
    tensors, facts = read_tensors(codec_run / "model.safetensors")
    assert facts["kind"] == "codec" and facts["step"] == 60
    assert tensors["decoder.0.weight"].dtype == torch.float16


def test_denoiser_learns(denoiser_run):
    seen = losses(denoiser_run)
    assert np.mean(seen[-15:]) < 0.85 * np.mean(seen[:5])
    first, last = validations(denoiser_run, "loss")
    assert last < first
    assert (denoiser_run / "samples/000040.png").exists()


def test_trained_denoiser_loads(denoiser_run):
    model, tokenizer, facts = load_denoiser(denoiser_run / "model.safetensors")
    assert tokenizer.unknown("red zebra") == ["zebra"]
    assert facts["prediction"] == "flow" and facts["latent"] == [4, 8, 8]
    text = model.encode_text(tokenizer(["red disc"]))
    assert model(torch.randn(1, 4, 6, 10), torch.ones(1), text).shape == (1, 4, 6, 10)


def test_a_run_may_begin_from_trained_weights(denoiser_run, codec_run, tmp_path):
    codec, weights = codec_run / "model.safetensors", denoiser_run / "model.safetensors"
    fresh = denoiser_recipe(codec, steps=5)
    loop.train(fresh, Shapes(), tmp_path / "fresh")
    more = Shapes()
    more.vocabulary = lambda: sorted({"aardvark", *Shapes().vocabulary()})
    loop.train(fresh.model_copy(update={"start": weights}), more, tmp_path / "warm")
    assert np.mean(losses(tmp_path / "warm")) < 0.9 * np.mean(losses(tmp_path / "fresh"))
    words = (tmp_path / "warm" / "vocabulary.txt").read_text()
    assert words == (denoiser_run / "vocabulary.txt").read_text() + "aardvark\n"
    for wrong, said in ((codec, "another model"), (tmp_path / "none", "cannot be read")):
        recipe = fresh.model_copy(update={"start": wrong})
        with pytest.raises(PresetError, match=said):
            loop.train(recipe, Shapes(), tmp_path / "wrong")


@pytest.mark.parametrize("kind", ["autoencoder", "denoiser"])
def test_a_killed_run_goes_on_bit_for_bit(kind, codec_run, tmp_path):
    codec = codec_run / "model.safetensors"
    make = "codec_recipe(17)" if kind == "autoencoder" else f"denoiser_recipe({str(codec)!r}, 17)"
    recipe = codec_recipe(17) if kind == "autoencoder" else denoiser_recipe(codec, 17)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    loop.train(recipe, Shapes(), whole)

    step = int(np.random.default_rng().integers(6, 16))
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import torch; torch.set_num_threads(1)\n"
        "from test_train import *\n"
        f"die_at({step}); loop.train({make}, Shapes(), Path({str(killed)!r}))"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert child.returncode == -signal.SIGKILL, child.stderr
    assert len(losses(killed)) == step
    with open(killed / "metrics.jsonl", "a") as file:
        file.write('{"step": ')
    loop.train(recipe, Shapes(), killed)

    assert losses(killed) == losses(whole), f"killed after step {step}"
    for name in ("model.safetensors", "checkpoint-00000017.safetensors"):
        a, b = read_tensors(whole / name)[0], read_tensors(killed / name)[0]
        assert a.keys() == b.keys()
        assert all(torch.equal(a[key], b[key]) for key in a), f"killed after step {step}"


def test_a_damaged_checkpoint_is_passed_over(tmp_path):
    folder = tmp_path / "run"
    loop.train(codec_recipe(10), Shapes(), folder)
    newest, older = checkpoints(folder)
    newest.write_bytes(newest.read_bytes()[:1000])
    found = load_checkpoint(folder)
    assert found and f"{found[1]['step']:08d}" in older.name


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_first(number, tmp_path, monkeypatch):
    advance = loop.Run.advance

    def signalled(run):
        if run.step == 6:
            signal.raise_signal(number)
        return advance(run)

    monkeypatch.setattr(loop.Run, "advance", signalled)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        loop.train(codec_recipe(20), Shapes(), tmp_path / "run")
    found = load_checkpoint(tmp_path / "run")
    assert found and found[1]["step"] == 7
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_a_longer_run_goes_on_from_before_the_cooldown(tmp_path):
    optim = {"name": "adamw", "cooldown": 0.5, "warmup": 0}
    folder, whole = tmp_path / "run", tmp_path / "whole"
    loop.train(codec_recipe(8, optim=optim), Shapes(), folder)
    rates = [line["lr"] for line in read_metrics(folder / "metrics.jsonl") if "lr" in line]
    assert rates == pytest.approx([1, 1, 1, 1, 1, 0.75, 0.5, 0.25])
    loop.train(codec_recipe(16, optim=optim), Shapes(), folder)
    loop.train(codec_recipe(16, optim=optim), Shapes(), whole)
    assert losses(folder) == losses(whole)


def test_stopping_by_the_clock(tmp_path):
    recipe = codec_recipe(stop={"minutes": 0.005}, cadence={"validate_steps": 1000})
    loop.train(recipe, Shapes(), tmp_path / "run")
    found = load_checkpoint(tmp_path / "run")
    assert found and found[1]["minutes"] >= 0.005
    assert (tmp_path / "run" / "model.safetensors").exists()


def test_another_model_in_the_folder_is_an_error(codec_run):
    other = codec_recipe(autoencoder={"model": {"channels": 8}, "crop": 16})
    with pytest.raises(PresetError, match="another model"):
        loop.train(other, Shapes(), codec_run)


@pytest.mark.parametrize("text, message", [
    ("[optim]\nmuon_rl = 1.0", "unknown key 'optim.muon_rl'; did you mean 'muon_lr'?"),
    ("[autoencoder.model]\nchanels = 8",
     "unknown key 'autoencoder.model.chanels'; did you mean 'channels'?"),
    ("[denoiser]\ncodec = 'x'\ngiudance = 3", "did you mean 'guidance'?"),
    ("[denoiser]\n", "missing key 'denoiser.codec'"),
    ("[optim]\nadam_lr = -1.0", "optim.adam_lr: Input should be greater than 0"),
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


def test_shipped_recipes_load():
    for path in RECIPES.glob("*.toml"):
        load_recipe(path)
    with pytest.raises(PresetError, match="cannot be read"):
        load_recipe(RECIPES / "none.toml")


def test_picture_cache_resumes(tmp_path):
    dataset = Counting(Counting.Options(size=8))
    count = 2 * CHUNK + 10
    first = prepare(dataset, count, tmp_path, workers=0)
    assert first.shape == (count, 8, 8, 3)
    folder = tmp_path / dataset_key(dataset)
    (folder / "pictures.done" / str(CHUNK)).unlink()
    np.load(folder / "pictures.npy", mmap_mode="r+")[CHUNK : 2 * CHUNK] = 0
    dataset.asked.clear()
    again = prepare(dataset, count, tmp_path, workers=0)
    assert set(dataset.asked) == {0, *range(CHUNK, 2 * CHUNK)}
    dataset.asked.clear()
    more = prepare(dataset, count + 20, tmp_path, workers=0)
    assert set(dataset.asked) == {0, *range(2 * CHUNK, count + 20)}
    for pictures in (again, more):
        assert all((pictures[i] == dataset.picture(i)).all() for i in range(0, count, 37))
    assert len(more) == count + 20 and (more[-1] == dataset.picture(count + 19)).all()


def test_picture_cache_is_keyed_by_settings(tmp_path):
    keys = {dataset_key(Shapes(Shapes.Options(size=size))) for size in (8, 16)}
    assert len(keys) == 2


def test_worker_processes_draw_the_same_pictures(tmp_path):
    dataset = Shapes(Shapes.Options(size=8))
    pictures = prepare(dataset, CHUNK + 3, tmp_path, workers=1)
    assert (pictures[CHUNK + 2] == dataset.picture(CHUNK + 2)).all()
    assert (pictures[5] == dataset.picture(5)).all()


def test_latents_are_kept_and_exact(codec_run, tmp_path):
    codec = load_codec(codec_run / "model.safetensors")
    pictures = prepare(Shapes(), 20, tmp_path, workers=0)
    latents = encode_latents(codec, pictures, tmp_path / "latents.npy", batch=8)
    assert latents.shape == (20, 4, 8, 8) and latents.dtype == np.float16
    assert (encode_latents(codec, pictures, tmp_path / "latents.npy") == latents).all()


def test_batches_are_epochs():
    seen = np.concatenate([batch_indices(1, step, 7, 21) for step in range(6)])
    assert sorted(seen[:21]) == sorted(seen[21:]) == list(range(21))
    assert seen[:21].tolist() != seen[21:].tolist()
    assert (batch_indices(1, 4, 7, 21) == seen[28:35]).all()


def test_metrics_are_cut_at_a_step(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps({"step": i}) + "\n" for i in range(5)) + '{"st')
    truncate_metrics(path, 2)
    assert [line["step"] for line in read_metrics(path)] == [0, 1, 2]


@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 12, 40), (2, 40, 12)])
def test_orthogonalise(shape):
    torch.manual_seed(0)
    matrices = torch.randn(shape)
    result = orthogonalise(matrices)
    values = torch.linalg.svdvals(result)
    assert values.median() > 0.65 and values.max() < 1.4
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    assert ((result * (left @ right)).sum((1, 2)) / result.norm(dim=(1, 2))
            / (left @ right).norm(dim=(1, 2))).min() > 0.95


@pytest.mark.parametrize("name", ["muon", "adamw"])
def test_optimizer_descends(name):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
    optimizer = build_optimizer(model, OptimRecipe(name=name, muon_lr=0.05, adam_lr=0.02))
    assert len(optimizer.matrices) == (2 if name == "muon" else 0)
    x = torch.randn(64, 8)
    seen = []
    for step in range(60):
        loss = (model(x)[:, 0] - x[:, 0] * x[:, 1].sign()).square().mean()
        loss.backward()
        optimizer.step(step, 1.0)
        optimizer.zero_grad()
        seen.append(loss.item())
    assert seen[-1] < 0.6 * seen[0]


def test_ema_follows():
    model = torch.nn.Linear(1, 1)
    ema = Ema(model, half_life_decay(10))
    torch.nn.init.constant_(ema.model.weight, 0.0)
    torch.nn.init.constant_(model.weight, 1.0)
    for _ in range(10):
        ema.update(model, 10**6)
    assert ema.model.weight.item() == pytest.approx(0.5)


def test_training_times():
    t = training_times(4096, torch.Generator().manual_seed(0))
    assert t.shape == (4096,) and 0 < t.min() and t.max() < 1
    plain = training_times(4096, torch.Generator().manual_seed(0), uniform=0.0)
    assert plain.logit().mean().item() == pytest.approx(0.3, abs=0.01)
    assert plain.logit().std().item() == pytest.approx(1.0, abs=0.02)


def test_codec_losses():
    images = torch.rand(2, 3, 16, 16) * 2 - 1
    assert codec_loss(images, images) == 0
    assert codec_loss(images + 0.1, images).item() == pytest.approx(0.205, abs=1e-4)
    assert psnr(torch.full((1, 3, 4, 4), 0.2), torch.zeros(1, 3, 4, 4)).item() == pytest.approx(20)
