"""Training: it learns, it is exactly repeatable, and a kill at any moment costs nothing."""

import json
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace
from zlib import crc32

import numpy as np
import pytest
import torch
from PIL import Image
from training import (
    Counting,
    Killed,
    Shapes,
    codec_recipe,
    denoiser_recipe,
    ended_at,
    losses,
    pixel_recipe,
    train_apart,
    validations,
)

from artdiff.errors import PresetError
from artdiff.train import loop
from artdiff.train.autoencoder import AutoencoderTask, load_codec
from artdiff.train.checkpoint import checkpoints, load_checkpoint, read_tensors, write_tensors
from artdiff.train.data import (
    CHUNK,
    dataset_key,
    encode_latents,
    prepare,
    prepare_latents,
    to_pictures,
    weights_of,
)
from artdiff.train.denoiser import load_denoiser
from artdiff.train.draws import batch_indices, weighted_indices
from artdiff.train.ema import Ema
from artdiff.train.kinds import KINDS, load_recipe, parse_recipe
from artdiff.train.losses import codec_loss, psnr, training_times
from artdiff.train.optim import build_optimizer, orthogonalise
from artdiff.train.recipe import EmaRecipe, OptimRecipe, Recipe, StopRecipe, first_change
from artdiff.train.report import draw_curves, read_metrics, truncate_metrics

RECIPES = Path(loop.__file__).parent / "recipes"


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


class Places(Shapes):
    """Pictures of which each pixel says where it is."""

    def picture(self, index):
        rows, columns = np.mgrid[:32, :32]
        return np.stack([rows, columns, 0 * rows], 2).astype(np.uint8)


def test_aligned_crops_begin_on_the_grid_and_are_not_mirrored(tmp_path):
    recipe = codec_recipe()
    seen = {}
    for align in (1, 8):
        part = recipe.autoencoder.model_copy(update={"align": align, "halved": 0.0})
        task = AutoencoderTask(
            recipe.model_copy(update={"autoencoder": part}), Places(), tmp_path, tmp_path
        )
        crops = [to_pictures(task.images(step)) for step in range(20)]
        seen[align] = {(tuple(c[0, 0, :2]), tuple(c[0, -1, :2])) for some in crops for c in some}
    assert len(seen[1]) > 60 and any(left[1] > right[1] for left, right in seen[1])
    corners = {left for left, _ in seen[8]}
    assert all(left[1] < right[1] for left, right in seen[8])
    assert corners == {(row, column) for row in (0, 8, 16) for column in (0, 8, 16)}


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


def test_weights_that_do_not_fit_are_an_error(codec_run, tmp_path):
    tensors, facts = read_tensors(checkpoints(codec_run)[0])
    for name, missing in (("model", "model.encoder.1.weight"), ("optimizer", "optim.first.")):
        folder = tmp_path / name
        folder.mkdir()
        kept = {key: value for key, value in tensors.items() if not key.startswith(missing)}
        write_tensors(folder / "checkpoint-00000060.safetensors", kept, facts)
        with pytest.raises(PresetError, match="another model, optimizer or number of averages"):
            loop.train(codec_recipe(70), Shapes(), folder)


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


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / "run").touch()
    for folder in (tmp_path / "run", tmp_path / "run" / "below"):
        with pytest.raises(PresetError, match="a file is in the place of this folder"):
            loop.train(codec_recipe(), Shapes(), folder)


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


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 12, 40), (2, 40, 12)])
def test_orthogonalise(shape, dtype):
    torch.manual_seed(0)
    matrices = torch.randn(shape)
    result = orthogonalise(matrices, dtype)
    assert result.dtype is torch.float32
    values = torch.linalg.svdvals(result)
    assert values.median() > 0.65 and values.max() < 1.4
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    assert (
        (result * (left @ right)).sum((1, 2))
        / result.norm(dim=(1, 2))
        / (left @ right).norm(dim=(1, 2))
    ).min() > 0.95


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
    ema = Ema(model, EmaRecipe(half_life=10).decays()["half-life-10"])
    torch.nn.init.constant_(ema.model.weight, 0.0)
    torch.nn.init.constant_(model.weight, 1.0)
    for _ in range(10):
        ema.update(model, 10**6)
    assert ema.model.weight.item() == pytest.approx(0.5)


def test_pictures_are_taken_as_often_as_the_recipe_says():
    rows = range(16, 112)
    records = [Shapes().attributes(row) for row in rows]
    often = {"shape": {"disc": 3.0}, "colour": {"red": 0.5, "blue": 2.0}}
    weights = weights_of(Shapes(), rows, often, "denoiser.often")
    factors = {"disc": 3, "square": 1, "red": 0.5, "blue": 2, "green": 1, "white": 1}
    assert weights.tolist() == [factors[r["shape"]] * factors[r["colour"]] for r in records]
    taken = np.concatenate([weighted_indices(7, step, 32, weights) for step in range(600)])
    shares = np.bincount(taken, minlength=96) / len(taken)
    np.testing.assert_allclose(shares, weights / weights.sum(), atol=4e-3)
    np.testing.assert_array_equal(weighted_indices(7, 3, 32, weights), taken[96:128])
    for record in records[::2]:
        del record["shape"]
    some = SimpleNamespace(attributes=lambda row: records[row - 16])
    weights = weights_of(some, rows, {"shape": {"disc": 3.0}}, "denoiser.often")
    assert weights.tolist() == [3 if r.get("shape") == "disc" else 1 for r in records]
    assert (weighted_indices(7, 0, 4, np.array([0.0, 1.0, 0.0])) == 1).all()


@pytest.mark.parametrize(("often", "said"), [
    ({"shap": {"disc": 2.0}}, "denoiser.often.shap: no attribute; did you mean 'shape'?"),
    ({"shape": {"disk": 2.0}}, "denoiser.often.shape.disk: no picture has it; "
                               "did you mean 'disc'?"),
])  # fmt: skip
def test_what_no_picture_has_cannot_be_taken_often(often, said, codec_run, tmp_path):
    recipe = denoiser_recipe(codec_run / "model.safetensors")
    part = recipe.denoiser.model_copy(update={"often": often})
    with pytest.raises(PresetError) as raised:
        loop.train(recipe.model_copy(update={"denoiser": part}), Shapes(), tmp_path / "run")
    assert str(raised.value) == said


def test_a_run_goes_on_with_other_shares_and_times(denoiser_run, codec_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(denoiser_run, folder)
    recipe = denoiser_recipe(codec_run / "model.safetensors")
    other = {"often": {"shape": {"disc": 3.0}}, "time_mean": 1.0}
    part = recipe.denoiser.model_copy(update=other)
    stop = StopRecipe(steps=recipe.stop.steps + 2)
    loop.train(recipe.model_copy(update={"denoiser": part, "stop": stop}), Shapes(), folder)
    assert len(losses(folder)) == len(losses(denoiser_run)) + 2


def test_training_times():
    t = training_times(4096, torch.Generator().manual_seed(0))
    assert t.shape == (4096,) and 0 < t.min() and t.max() < 1
    plain = training_times(4096, torch.Generator().manual_seed(0), uniform=0.0)
    assert plain.logit().mean().item() == pytest.approx(0.3, abs=0.01)
    assert plain.logit().std().item() == pytest.approx(1.0, abs=0.02)
    late = training_times(4096, torch.Generator().manual_seed(0), 1.2, 0.5, uniform=0.0)
    assert late.logit().mean().item() == pytest.approx(1.2, abs=0.01)
    assert late.logit().std().item() == pytest.approx(0.5, abs=0.02)


def test_codec_losses():
    images = torch.rand(2, 3, 16, 16) * 2 - 1
    assert codec_loss(images, images) == 0
    assert codec_loss(images + 0.1, images).item() == pytest.approx(0.205, abs=1e-4)
    assert psnr(torch.full((1, 3, 4, 4), 0.2), torch.zeros(1, 3, 4, 4)).item() == pytest.approx(20)


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


def test_events_do_not_double(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    folder, cadence = tmp_path / "run", {"save_steps": 4, "validate_steps": 3, "event_steps": 1}
    loop.train(codec_recipe(7, cadence=cadence), Shapes(), folder)
    (folder / "checkpoint-00000007.safetensors").unlink()
    loop.train(codec_recipe(9, cadence=cadence), Shapes(), folder)
    events = accumulator.EventAccumulator(str(folder / "events"))
    events.Reload()
    seen = events.Scalars("training/loss")
    assert [event.step for event in seen] == list(range(1, 10))
    assert [event.value for event in seen] == pytest.approx(losses(folder))
    assert [event.step for event in events.Scalars("validation/psnr")] == [3, 6, 9]


def test_curves_of_several_numbers(tmp_path):
    path = tmp_path / "metrics.jsonl"
    numbers = {"loss": 1.0, "psnr": 20.0, "accuracy/t = 0": 0.9, "accuracy/t = 5": 0.5}
    lines = [{"step": step, "loss": 1 / step, "grad": 1, "lr": 1} for step in range(1, 9)]
    lines += [{"step": step, "minutes": 1, "validation": numbers} for step in (4, 8)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    draw_curves(path, tmp_path / "loss.png")
    with Image.open(tmp_path / "loss.png") as picture:
        assert picture.size == (800, 750)
    path.write_text("")
    draw_curves(path, tmp_path / "loss.png")


def test_latents_that_are_there_need_no_pictures(codec_run, tmp_path):
    dataset, path = Counting(), codec_run / "model.safetensors"
    recipe, codec = denoiser_recipe(path).data, load_codec(path)
    first = prepare_latents(codec, "abc", dataset, recipe, tmp_path)
    (tmp_path / dataset_key(dataset) / "pictures.npy").unlink()
    dataset.asked.clear()
    again = prepare_latents(codec, "abc", dataset, recipe, tmp_path)
    assert not dataset.asked and (first == again).all()


def test_a_dataset_that_ends(tmp_path):
    dataset = type("Few", (Shapes,), {"__len__": lambda self: 20})()
    with pytest.raises(PresetError, match=r"data.count: 30 pictures .* has, 20"):
        prepare(dataset, 30, tmp_path, workers=0)


@pytest.mark.parametrize("table, message", [
    ({"kind": "difusion"}, "unknown kind 'difusion'; did you mean 'diffusion'?"),
    ({"kind": ["classifier"]}, "unknown kind .'classifier'.; did you mean 'classifier'?"),
    ({"kind": {"a": 1}}, "unknown kind {'a': 1}"),
    ({}, "missing key 'kind'; known: autoencoder"),
    ({"kind": "autoencoder", "accumulate": 3}, "accumulate is at most batch, 2"),
    ({"kind": "autoencoder", "precision": "float23"}, "precision: .*did you mean 'float32'"),
])  # fmt: skip
def test_a_wrong_kind_or_value(table, message):
    rest = {"batch": 2, "data": {"dataset": "shapes", "count": 5}, "ema": {"decay": 0.9}}
    with pytest.raises(PresetError, match=message):
        parse_recipe({**rest, "stop": {"steps": 1}, **table})
