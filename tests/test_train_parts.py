"""The parts of a training: optimizers, averages, times, losses, curves."""

import json

import pytest
import torch
from PIL import Image
from training import Shapes, codec_recipe, losses

from artdiff.train import loop
from artdiff.train.checkpoint import read_tensors, write_tensors
from artdiff.train.ema import Ema
from artdiff.train.losses import codec_loss, psnr, training_times
from artdiff.train.optim import build_optimizer, orthogonalise
from artdiff.train.precision import fitting
from artdiff.train.recipe import EmaRecipe, OptimRecipe
from artdiff.train.report import draw_curves, read_metrics, truncate_metrics
from artdiff.train.stored import halved, quartered


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


def test_weights_in_eight_bits_are_near_and_half_the_size(tmp_path):
    generator = torch.Generator().manual_seed(0)
    tensors = {
        "matrix": torch.randn(64, 128, generator=generator) * torch.logspace(-3, 3, 64)[:, None],
        "planes": torch.randn(32, 16, 3, 3, generator=generator),
        "vector": torch.randn(8192, generator=generator),
        "small": torch.randn(8, 8, generator=generator),
        "nothing": torch.zeros(64, 64),
        "large": torch.full((64, 64), 1e6),
        "count": torch.arange(5000).view(50, 100),
    }
    write_tensors(tmp_path / "a.safetensors", quartered(tensors), {"kind": "x"})
    found, facts = read_tensors(tmp_path / "a.safetensors")
    assert facts == {"kind": "x"} and found.keys() == tensors.keys()
    for name in ("matrix", "planes"):
        assert quartered(tensors)[name].dtype == torch.int8
        rows, near = tensors[name].flatten(1), found[name].flatten(1)
        step = rows.abs().amax(1, keepdim=True) / 127
        assert ((near - rows).abs() <= 0.5001 * step).all(), name
        assert 0 < (near - rows).norm() < 0.01 * rows.norm()
    assert not found["nothing"].any()
    for name in ("vector", "small", "large", "count"):
        near, wanted = found[name].float(), tensors[name].float()
        torch.testing.assert_close(near, wanted, rtol=1e-3, atol=1e-3)
    matrix = {"matrix": tensors["matrix"], "planes": tensors["planes"]}
    sizes = []
    for keep in (halved, quartered):
        write_tensors(tmp_path / "b.safetensors", keep(matrix), {})
        sizes.append((tmp_path / "b.safetensors").stat().st_size)
    assert sizes[1] < 0.56 * sizes[0]


@pytest.mark.parametrize(("can", "precision"), [
    ({"avx512_bf16": False, "amx_bf16": False, "avx2": True}, "float32"),
    ({"avx512_bf16": True}, "bfloat16"), ({"amx_bf16": True}, "bfloat16"),
    ({"bf16": True}, "bfloat16"), (None, "bfloat16"),
])  # fmt: skip
@pytest.mark.filterwarnings("ignore::artdiff.errors.MachineWarning")
def test_bfloat16_is_left_to_processors_that_have_it_or_may(can, precision, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", can and (lambda: can), raising=False)
    assert fitting("bfloat16", torch.device("cpu")) == precision
    assert fitting("float16", torch.device("cpu")) == "float16"
    assert fitting("bfloat16", torch.device("cuda")) == "bfloat16"
