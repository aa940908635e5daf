"""Batches in parts, several processes, narrow types: the same training."""

import shutil
import socket
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from training import Shapes, losses, pixel_recipe, train_apart

from artdiff.errors import MachineError, MachineWarning, PresetError
from artdiff.train import loop
from artdiff.train.checkpoint import read_tensors
from artdiff.train.precision import LossScale, pick_device
from artdiff.train.ranks import Ranks
from artdiff.train.report import read_metrics

HYBRID = {
    "variance": "learned-range", "loss": "hybrid", "times": "loss-second-moment", "history": 1,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """One thread, and no learning curves: test_train.py sees to those."""
    monkeypatch.setattr("artdiff.train.report.Report.draw", lambda report: None)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks") / "whole"
    loop.train(pixel_recipe("diffusion", 12, HYBRID), Shapes(), folder)
    return folder


def assert_same_training(a, b, rtol=2e-4):
    """Losses and weights agree to the rounding of float32, after as many steps."""
    np.testing.assert_allclose(losses(a), losses(b), rtol=rtol)
    name = f"checkpoint-{len(losses(a)):08d}.safetensors"
    one, other = read_tensors(a / name)[0], read_tensors(b / name)[0]
    assert one.keys() == other.keys()
    for part in ("model.", "ema.", "task."):
        mine, theirs = (
            torch.cat([t.flatten().double() for name, t in side.items() if name.startswith(part)])
            for side in (one, other)
        )
        assert (mine - theirs).norm() < 1e-3 * mine.norm(), part


@pytest.mark.parametrize("parts", [2, 3])
def test_a_batch_in_parts_is_the_same_batch(parts, whole, tmp_path):
    recipe = pixel_recipe("diffusion", 12, HYBRID, accumulate=parts)
    loop.train(recipe, Shapes(), tmp_path / "run")
    assert_same_training(whole, tmp_path / "run")


@contextmanager
def second_process(recipe, folder):
    """This process is the first of two, as torchrun would start them; gives the other one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name, value in place.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("RANK", "1")
        monkeypatch.setenv("LOCAL_RANK", "1")
        second = train_apart(recipe, folder, wait=False)
        monkeypatch.setenv("RANK", "0")
        monkeypatch.setenv("LOCAL_RANK", "0")
        try:
            yield second
        finally:
            second.kill()


def test_two_processes_train_as_one_and_one_goes_on(whole, tmp_path):
    folder, recipe = tmp_path / "run", pixel_recipe("diffusion", 8, HYBRID)
    with second_process(recipe, folder) as second:
        loop.train(recipe, Shapes(), folder)
        _, said = second.communicate(timeout=300)
    assert second.returncode == 0, said
    assert (folder / "model.safetensors").exists()
    np.testing.assert_allclose(losses(folder), losses(whole)[:8], rtol=2e-4)
    loop.train(pixel_recipe("diffusion", 12, HYBRID), Shapes(), folder)
    assert_same_training(whole, folder)


def test_both_processes_end_where_the_first_one_cannot_go_on(whole, tmp_path):
    """Only the first process reads the folder; both say what is wrong with it."""
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    recipe = pixel_recipe("diffusion", 14, HYBRID, seed=4)
    with second_process(recipe, folder) as second:
        with pytest.raises(PresetError, match=r"seed: 4, but the run in .* was begun with 3"):
            loop.train(recipe, Shapes(), folder)
        _, said = second.communicate(timeout=300)
    assert second.returncode == 1
    assert "PresetError: seed: 4, but the run in" in said.splitlines()[-1]


def test_both_processes_end_where_the_first_one_cannot_build(tmp_path):
    class Broken(Shapes):
        def picture(self, index):
            raise OSError("the disk is\ngone")

    recipe = pixel_recipe("diffusion", 2)
    with second_process(recipe, tmp_path / "run") as second:
        with pytest.raises(OSError, match="the disk is"):
            loop.train(recipe, Broken(), tmp_path / "run")
        _, said = second.communicate(timeout=300)
    assert second.returncode == 1
    assert said.splitlines()[-1].endswith("MachineError: process 0 failed: OSError: the disk is")


def test_rows_of_processes_and_parts():
    parts = [Ranks(rank, 3, rank).rows(10, 2) for rank in range(3)]
    assert [row for rank in parts for part in rank for row in part] == list(range(10))
    assert all(len(rank) == 2 for rank in parts)
    assert Ranks().rows(2, 5) == [range(0, 1), range(1, 2)]
    with pytest.raises(PresetError, match="batch: 2 rows cannot be split over 3 processes"):
        Ranks(0, 3).rows(2, 1)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_narrow_types_learn_the_same(precision, whole, tmp_path, monkeypatch):
    monkeypatch.setattr("artdiff.train.precision.processor_has_bfloat16", lambda: True)
    recipe = pixel_recipe("diffusion", 12, HYBRID, precision=precision)
    loop.train(recipe, Shapes(), tmp_path / "run")
    assert losses(tmp_path / "run") != losses(whole)
    np.testing.assert_allclose(losses(tmp_path / "run"), losses(whole), rtol=0.1)
    tensors, _ = read_tensors(tmp_path / "run" / "checkpoint-00000012.safetensors")
    assert tensors["model.out.2.weight"].dtype == torch.float32
    assert ("scale.value" in tensors) == (precision == "float16")


def test_a_processor_without_bfloat16_trains_in_float32(whole, tmp_path, monkeypatch):
    monkeypatch.setattr("artdiff.train.precision.processor_has_bfloat16", lambda: False)
    recipe = pixel_recipe("diffusion", 12, HYBRID, precision="bfloat16")
    with pytest.warns(MachineWarning, match="no bfloat16; the recipe is trained in float32"):
        loop.train(recipe, Shapes(), tmp_path / "run")
    assert losses(tmp_path / "run") == losses(whole)


def test_float16_goes_on_exactly(tmp_path):
    recipe = pixel_recipe("diffusion", 7, precision="float16")
    loop.train(recipe, Shapes(), tmp_path / "whole")
    shorter = recipe.model_copy(update={"stop": recipe.stop.model_copy(update={"steps": 5})})
    loop.train(shorter, Shapes(), tmp_path / "run")
    loop.train(recipe, Shapes(), tmp_path / "run")
    assert losses(tmp_path / "whole") == losses(tmp_path / "run")


def test_loss_scale_halves_and_doubles():
    scale = LossScale("float16", first=8.0, patience=2)
    assert not scale.update(False) and scale.value == 4 and not scale.exhausted
    assert scale.update(True) and scale.update(True) and scale.value == 8
    model = torch.nn.Linear(1, 1)
    scale.scale(model(torch.ones(1, 1)).sum()).backward()
    assert model.weight.grad == 8
    scale.unscale(model)
    assert model.weight.grad == 1
    for _ in range(20):
        scale.update(False)
    assert scale.exhausted
    plain = LossScale("float32")
    assert plain.state() == {} and plain.update(True) and not plain.update(False)
    assert plain.exhausted


def test_a_skipped_step_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("artdiff.train.run.LossScale", lambda p: LossScale(p, first=2.0**60))
    loop.train(pixel_recipe("diffusion", 3, precision="float16"), Shapes(), tmp_path / "run")
    lines = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert not np.isfinite([line["grad"] for line in lines if "grad" in line]).any()
    tensors, _ = read_tensors(tmp_path / "run" / "checkpoint-00000003.safetensors")
    assert tensors["scale.value"] == 2.0**57
    assert all(not value.any() for name, value in tensors.items() if name.startswith("optim."))


def test_a_gpu_that_is_not_there():
    if torch.cuda.is_available():
        assert pick_device("auto").type == "cuda"
        return
    assert pick_device("auto").type == "cpu"
    with pytest.raises(MachineError, match="device: this machine has no CUDA device"):
        pick_device("cuda")


def test_divergence_is_one_line(tmp_path):
    optim = {"name": "adamw", "adam_lr": 1e30, "warmup": 0}
    with pytest.raises(MachineError, match=r"diverged at step .*: lower optim.adam_lr") as caught:
        loop.train(pixel_recipe("diffusion", 9, optim=optim), Shapes(), tmp_path / "run")
    assert "\n" not in str(caught.value)
