"""Training: it learns, it is exactly repeatable, and a kill at any moment costs nothing."""

import shutil
import signal
from dataclasses import replace
from functools import partial
from zlib import crc32

import numpy as np
import pytest
import torch
from safetensors import safe_open
from training import (
    Counting,
    Killed,
    Shapes,
    codec_recipe,
    denoiser_recipe,
    ended_at,
    losses,
    train_apart,
    validations,
)

from artdiff.errors import PresetError
from artdiff.train import loop
from artdiff.train.autoencoder import load_codec
from artdiff.train.checkpoint import checkpoints, load_checkpoint, read_tensors, write_tensors
from artdiff.train.denoiser import load_denoiser
from artdiff.train.recipe import StopRecipe
from artdiff.train.report import read_metrics


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


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
    recipe = codec_recipe(17) if kind == "autoencoder" else denoiser_recipe(codec, 17)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    loop.train(recipe, Shapes(), whole)

    step = int(np.random.default_rng(crc32(kind.encode())).integers(6, 16))
    if kind == "autoencoder":
        child = train_apart(recipe, killed, die_at=step)
        assert child.returncode == -signal.SIGKILL, child.stderr
    else:  # a process for each would be slow: what is on the disk is the same
        with ended_at(step), pytest.raises(Killed):
            loop.train(recipe, Shapes(), killed)
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


def test_another_recipe_in_the_folder_is_an_error(codec_run):
    before = {path: path.read_bytes() for path in checkpoints(codec_run)}
    part = codec_recipe().model_dump(mode="json")["autoencoder"]
    wider = codec_recipe(autoencoder=part | {"model": part["model"] | {"channels": 8}})
    smaller = Shapes(Shapes.Options(size=16))
    for recipe, dataset, said in (
        (codec_recipe(seed=4), Shapes(), "seed: 4, but the run in .* was begun with 3; take anot"),
        (wider, Shapes(), "autoencoder.model.channels: 8, but .* was begun with 4"),
        (codec_recipe(), smaller, "data.options.size: 16, but .* was begun with 32"),
    ):
        with pytest.raises(PresetError, match=said) as caught:
            loop.train(recipe, dataset, codec_run)
        assert "\n" not in str(caught.value)
    assert before == {path: path.read_bytes() for path in checkpoints(codec_run)}


def test_a_refused_recipe_leaves_the_words_of_the_run(denoiser_run, codec_run, tmp_path):
    """Resuming the right recipe later must find the ids that its weights have learned."""
    folder = tmp_path / "run"
    shutil.copytree(denoiser_run, folder)
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    more = Shapes(Shapes.Options(size=16))
    more.vocabulary = lambda: ["aardvark"]
    with pytest.raises(PresetError, match=r"data\.options\.size: 16, but .* was begun with 32"):
        loop.train(denoiser_recipe(codec_run / "model.safetensors"), more, folder)
    assert before == {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_the_channels_are_those_of_the_codec(codec_run, tmp_path):
    """It is said before a picture is drawn."""
    recipe = denoiser_recipe(codec_run / "model.safetensors")
    model = replace(recipe.denoiser.model, channels=16)
    part = recipe.denoiser.model_copy(update={"model": model})
    dataset = Counting()
    said = r"denoiser\.model\.channels: the codec has latents of 4 channels, not 16"
    with pytest.raises(PresetError, match=said):
        loop.train(recipe.model_copy(update={"denoiser": part}), dataset, tmp_path / "run")
    assert dataset.asked == []


def test_the_same_training_leaves_the_same_file(tmp_path):
    """Of bytes: digests of weights are in the keys of caches, and in reports."""
    one, other = (loop.train(codec_recipe(3), Shapes(), tmp_path / name) for name in "ab")
    assert one.read_bytes() == other.read_bytes()


def test_weights_that_do_not_fit_are_an_error(codec_run, tmp_path):
    tensors, facts = read_tensors(checkpoints(codec_run)[0])
    for name, missing in (("model", "model.encoder.1.weight"), ("optimizer", "optim.first.")):
        folder = tmp_path / name
        folder.mkdir()
        kept = {key: value for key, value in tensors.items() if not key.startswith(missing)}
        write_tensors(folder / "checkpoint-00000060.safetensors", kept, facts)
        with pytest.raises(PresetError, match="another model, optimizer or number of averages"):
            loop.train(codec_recipe(70), Shapes(), folder)


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / "run").touch()
    for folder in (tmp_path / "run", tmp_path / "run" / "below"):
        with pytest.raises(PresetError, match="a file is in the place of this folder"):
            loop.train(codec_recipe(), Shapes(), folder)


def test_a_run_goes_on_with_other_shares_and_times(denoiser_run, codec_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(denoiser_run, folder)
    recipe = denoiser_recipe(codec_run / "model.safetensors")
    other = {"often": {"shape": {"disc": 3.0}}, "time_mean": 1.0}
    part = recipe.denoiser.model_copy(update=other)
    stop = StopRecipe(steps=recipe.stop.steps + 2)
    loop.train(recipe.model_copy(update={"denoiser": part, "stop": stop}), Shapes(), folder)
    assert len(losses(folder)) == len(losses(denoiser_run)) + 2


def compiled(recipe):
    part = recipe.denoiser.model_copy(update={"compile": True})
    return recipe.model_copy(update={"denoiser": part})


def test_a_compiled_loss_is_the_same_loss(codec_run, denoiser_run, tmp_path, monkeypatch):
    """The graph is captured as it would be; making machine code of it takes a minute."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    recipe = denoiser_recipe(codec_run / "model.safetensors", steps=2)
    loop.train(compiled(recipe), Shapes(), tmp_path / "run")
    assert losses(tmp_path / "run") == pytest.approx(losses(denoiser_run)[:2], rel=1e-4)


def test_weights_may_be_kept_in_eight_bits(codec_run, denoiser_run, tmp_path):
    start = str(denoiser_run / "model.safetensors")
    recipe = denoiser_recipe(codec_run / "model.safetensors", steps=1, start=start, keep="int8")
    path = loop.train(recipe, Shapes(), tmp_path / "run")
    with safe_open(path, framework="pt") as file:
        assert file.get_tensor("change.weight").dtype == torch.int8
    network, _, _ = load_denoiser(path)
    checkpoint, _ = load_checkpoint(tmp_path / "run")
    wanted = checkpoint["ema.change.weight"]
    assert 0 < (network.change.weight - wanted).norm() < 0.02 * wanted.norm()


def test_compiling_needs_a_compiler(codec_run, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    recipe = compiled(denoiser_recipe(codec_run / "model.safetensors", steps=2))
    with pytest.raises(PresetError, match=r"denoiser\.compile: there is no C\+\+ compiler"):
        loop.train(recipe, Shapes(), tmp_path / "run")


def test_numbers_too_large_for_sixteen_bits_are_kept(tmp_path):
    """The latents before their normalisation may be of any size: so may their variance."""
    first = loop.train(codec_recipe(2), Shapes(), tmp_path / "first")
    tensors, facts = read_tensors(first)
    last = max(n for n in tensors if n.startswith("encoder.") and n.endswith("weight"))
    write_tensors(tmp_path / "start.safetensors", tensors | {last: 3e4 * tensors[last]}, facts)
    recipe = codec_recipe(2, start=str(tmp_path / "start.safetensors"))
    found, _ = read_tensors(loop.train(recipe, Shapes(), tmp_path / "run"))
    assert found["norm.running_var"].max() > 65504
    assert all(bool(tensor.isfinite().all()) for tensor in found.values())
    assert found[last].dtype == torch.float16


def test_a_decoder_learns_on_alone(tmp_path):
    first = loop.train(codec_recipe(6), Shapes(), tmp_path / "first")
    before, _ = read_tensors(first)
    recipe = codec_recipe(12, start=str(first))
    part = recipe.autoencoder.model_copy(update={"encoder": "kept"})
    recipe = recipe.model_copy(update={"autoencoder": part})
    after, _ = read_tensors(loop.train(recipe, Shapes(), tmp_path / "run"))
    for name, tensor in before.items():
        assert torch.equal(tensor, after[name]) != name.startswith("decoder."), name
    with pytest.raises(PresetError, match=r'encoder = "kept" needs `start`'):
        codec_recipe(6, autoencoder={"encoder": "kept"})


def test_several_averages(tmp_path):
    recipe = codec_recipe(6, ema={"half_life": [0.5, 50]})
    loop.train(recipe, Shapes(), tmp_path / "run")
    tensors, _ = read_tensors(tmp_path / "run" / "checkpoint-00000006.safetensors")
    name = "encoder.1.weight"
    fast, slow, raw = (tensors[f"{part}.{name}"] for part in ("ema", "ema1", "model"))
    assert not torch.equal(fast, slow) and not torch.equal(fast, raw)
    main, facts = read_tensors(tmp_path / "run" / "model.safetensors")
    other, told = read_tensors(tmp_path / "run" / "model-half-life-50.safetensors")
    assert torch.equal(main[name], fast.half()) and torch.equal(other[name], slow.half())
    assert (facts["average"], told["average"]) == ("half-life-0.5", "half-life-50")
    with pytest.raises(PresetError, match=r"ema.half_life: .*100.*begun with .*50.0.; take"):
        three = {"half_life": [0.5, 50, 100]}
        loop.train(codec_recipe(8, ema=three), Shapes(), tmp_path / "run")
    for wrong in ({}, {"decay": []}, {"decay": [0.9, 0.9]}, {"decay": 0.5, "half_life": 2}):
        with pytest.raises(PresetError, match="ema"):
            codec_recipe(6, ema=wrong)


def test_a_run_of_the_old_layout_goes_on(tmp_path):
    """Checkpoints of the first starter models have three sections and an older recipe."""
    whole, old = tmp_path / "whole", tmp_path / "old"
    constant = {"name": "adamw", "adam_lr": 4e-3, "warmup": 5}
    loop.train(codec_recipe(8, optim=constant), Shapes(), whole)
    loop.train(codec_recipe(5, optim=constant), Shapes(), old)
    tensors, facts = read_tensors(old / "checkpoint-00000005.safetensors")
    assert {name.partition(".")[0] for name in tensors} == {"model", "ema", "optim"}
    recipe = facts["recipe"]
    for new in ("accumulate", "precision", "device"):
        del recipe[new]
    for new in ("size", "label", "flip"):
        del recipe["data"][new]
    del recipe["cadence"]["event_steps"]
    recipe |= {"start": None, "denoiser": None}
    assert facts.keys() == {"step", "minutes", "cooling", "recipe"}
    write_tensors(old / "checkpoint-00000005.safetensors", tensors, facts)
    loop.train(codec_recipe(8, optim=constant), Shapes(), old)
    assert losses(old) == losses(whole)
