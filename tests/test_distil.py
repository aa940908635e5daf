"""Distilling: the student begins as its teacher, learns its guidance, and goes on bit for bit."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from training import (
    Killed,
    Shapes,
    distil_recipe,
    ended_at,
    losses,
    validations,
)

from artdiff.denoise import NetDenoiser
from artdiff.errors import PresetError
from artdiff.grid import levels
from artdiff.guiders import cfg
from artdiff.nn.latent_transformer import LatentTransformer, LatentTransformerConfig
from artdiff.nn.told import LeapingDenoiser
from artdiff.noise import Flow, Leap, Level
from artdiff.random import Noise
from artdiff.sample import asked, sample
from artdiff.samplers import DPMpp2M, Euler
from artdiff.train import loop
from artdiff.train.checkpoint import read_tensors, write_tensors
from artdiff.train.denoiser import load_denoiser
from artdiff.train.kinds import build_task, load_recipe, parse_recipe
from artdiff.train.teacher import Guided, guided_velocity, mean_velocity

RECIPES = Path(loop.__file__).parent / "recipes"
HOW = Guided(rescale=0.5, stop=0.15)


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def made(denoiser_run):
    """A folder with a tiny codec and a tiny teacher."""
    return denoiser_run.parent


@pytest.fixture(scope="module")
def guided(made):
    """The run of a student of guidance."""
    loop.train(distil_recipe(made), Shapes(), made / "guided")
    return made / "guided"


def begun(recipe, made):
    (made / "begun").mkdir(exist_ok=True)
    return build_task(recipe, Shapes(), made / "begun")


def start(network, count=3):
    """Samples, times, and a conditioning of as many rows, for a network."""
    torch.manual_seed(0)
    x = torch.randn(count, network.config.channels, 8, 8)
    text = network.encode_text(torch.randint(3, 10, (count, network.config.text_length)))
    return x, torch.linspace(0.2, 1, count), text


@pytest.mark.parametrize("jumps", [0.0, 0.5])
def test_the_student_begins_as_its_teacher(jumps, made):
    task = begun(distil_recipe(made, table={"jumps": jumps}), made)
    x, t, text = start(task.teacher)
    told = {"scale": torch.tensor([[1.0], [3.0], [7.0]]), "reach": torch.full((3, 1), 0.25)}
    with torch.no_grad():
        same = task.teacher(x, t, text)
        assert same.abs().max() > 0.1
        assert torch.equal(task.model(x, t, text | told), same)
        for layer in task.model.told.values():
            layer[-1].weight.normal_()
            layer[-1].bias.normal_()
        assert not torch.equal(task.model(x, t, text | told), same)


def test_not_told_is_scale_one_and_no_reach(made):
    task = begun(distil_recipe(made, table={"jumps": 0.5}), made)
    x, t, text = start(task.teacher)
    ones, zeros = torch.ones(3, 1), torch.zeros(3, 1)
    with torch.no_grad():
        for layer in task.model.told.values():
            layer[-1].weight.normal_()
        said = task.model(x, t, text | {"scale": ones, "reach": zeros})
        assert torch.equal(task.model(x, t, text), said)
        for told in ({"scale": 2 * ones}, {"reach": zeros + 0.2}):
            assert not torch.allclose(task.model(x, t, text | told), said)


@pytest.mark.parametrize("fraction", [1.0, 0.6, 0.15, 0.1])
def test_the_lesson_is_the_guidance_of_the_sampler(fraction, made):
    network, tokenizer, _ = load_denoiser(made / "denoiser" / "model.safetensors")
    x, _, text = start(network)
    none = network.encode_text(tokenizer([""]))
    scale = torch.tensor([1.0, 4.0, 8.0])
    at = Level(*torch.tensor([1 - fraction, fraction], dtype=torch.float64))
    denoiser = NetDenoiser(network, lambda at: at.sigma, "flow", "flow")
    wanted = cfg(denoiser, none, scale, stop=0.15, rescale=0.5)(x, at, text)
    t = torch.full((3,), fraction)
    found = x - fraction * guided_velocity(network, x, t, text, none, scale, HOW)
    assert torch.allclose(found, wanted, atol=2e-5)
    assert (fraction < 0.15) == torch.allclose(wanted, denoiser(x, at, text), atol=1e-4)


def test_the_mean_velocity_leads_where_many_steps_do():
    """On dx/dt = -2 t x, whose solution is x(s) = x(t) exp(t^2 - s^2)."""
    x, seen = torch.randn(4, 1, 2, 2, dtype=torch.float64), []
    t = torch.tensor([1.0, 0.8, 0.5, 0.5], dtype=torch.float64)
    reach = torch.tensor([0.4, 0.3, 0.5, 0.0], dtype=torch.float64)

    def velocity(x, t, rows):
        seen.append(rows.tolist())
        return -2 * t.view(-1, 1, 1, 1) * x

    def error(parts):
        mean = mean_velocity(velocity, x, t, reach, parts)
        assert torch.equal(mean[3], velocity(x, t, torch.arange(4))[3])
        exact = x * torch.exp(t**2 - (t - reach) ** 2).view(-1, 1, 1, 1)
        return (x - reach.view(-1, 1, 1, 1) * mean - exact)[:3].abs().max()

    assert 3.4 < error(16) / error(32) < 4.6
    seen.clear()
    mean_velocity(velocity, x, t, reach, 3)
    assert seen == [[0, 1, 2, 3], [0, 1, 2], [0, 1, 2]]


def test_one_pass_learns_two(made, guided):
    """What one pass gives lies much nearer to the teacher's guidance than at the start."""
    task = begun(distil_recipe(made), made)
    before = task.validate(task.model)["loss"]
    assert validations(guided, "loss")[-1] < 0.45 * before
    student, _, facts = load_denoiser(guided / "model.safetensors")
    told = {"scale": [1, 6], "rescale": 0.5, "stop": 0.15, "steps": [], "plain": False}
    assert facts["distilled"] == told
    assert task.validate(student)["loss"] < 0.46 * before
    assert (guided / "samples" / "000040.png").stat().st_size > 500
    words = (made / "denoiser" / "vocabulary.txt").read_text()
    assert (guided / "vocabulary.txt").read_text() == words


def test_few_steps_learn_many(made, guided):
    """The student's few steps end nearer to the teacher's many than its own first ones did."""
    recipe = distil_recipe(made, 80, lr=2e-3, table={
        "teacher": str(guided / "model.safetensors"), "jumps": 0.8, "steps": [2, 4], "walks": 16,
        "guidance": 4, "shift": 1.0,
    })  # fmt: skip
    task = begun(recipe, made)
    with torch.no_grad():
        before = task.validate(task.model)
    loop.train(recipe, Shapes(), made / "few")
    after = {name: validations(made / "few", name)[-1] for name in before}
    assert after["loss"] < 0.65 * before["loss"]
    assert after["walk/2"] < 0.7 * before["walk/2"]
    _, facts = read_tensors(made / "few" / "model.safetensors")
    assert facts["distilled"]["steps"] == [2, 4] and facts["config"]["told"] == ["scale", "reach"]


def test_some_samples_learn_plain_answers(made):
    def scales_and_reaches(plain):
        recipe = distil_recipe(made, 4, table={"jumps": 0.5, "plain": plain})
        task = begun(recipe, made)
        draws = torch.Generator().manual_seed(0)
        lesson = task.lesson([5] * 400, 0, draws)
        return task, lesson.scale, lesson.reach

    task, scale, reach = scales_and_reaches(0.3)
    _, before, jumped = scales_and_reaches(0.0)
    plain = scale == 1
    assert 0.2 < plain.float().mean() < 0.4 and not (before == 1).any()
    assert (reach[plain] == 0).all() and torch.equal(reach[~plain], jumped[~plain])
    assert torch.equal(scale[~plain], before[~plain])
    assert task.finish(task.model)["distilled"]["plain"] is True


def test_guidance_may_be_learned_from_more_noise(made):
    late = begun(distil_recipe(made, table={"time_mean": 1.5, "time_std": 0.5}), made)
    usual = begun(distil_recipe(made), made)

    def middle(task):
        draws = torch.Generator().manual_seed(0)
        return task.lesson([5] * 400, 0, draws).t.logit().median().item()

    assert middle(late) == pytest.approx(1.5, abs=0.15)
    assert middle(usual) == pytest.approx(0.3, abs=0.15)


def test_a_killed_run_goes_on_bit_for_bit(made):
    recipe = distil_recipe(made, 12, table={"jumps": 0.5, "steps": [2, 4]})
    whole, killed = made / "whole", made / "killed"
    loop.train(recipe, Shapes(), whole)
    with ended_at(8), pytest.raises(Killed):
        loop.train(recipe, Shapes(), killed)
    loop.train(recipe, Shapes(), killed)
    assert losses(killed) == losses(whole)
    for name in ("model.safetensors", "checkpoint-00000012.safetensors"):
        a, b = read_tensors(whole / name)[0], read_tensors(killed / name)[0]
        assert a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_a_batch_may_be_cut(made):
    task = begun(distil_recipe(made, table={"jumps": 0.5}), made)
    whole = task.loss(3, range(16))[0]
    parts = [task.loss(3, rows)[0] for rows in (range(5), range(5, 16))]
    assert torch.isclose(whole, (5 * parts[0] + 11 * parts[1]) / 16, rtol=1e-4)


def test_another_teacher_is_another_run(made, guided, tmp_path):
    teacher = tmp_path / "model.safetensors"
    for name in ("model.safetensors", "vocabulary.txt"):
        (tmp_path / name).write_bytes((made / "denoiser" / name).read_bytes())
    recipe = distil_recipe(made, 6, table={"teacher": str(teacher)})
    loop.train(recipe, Shapes(), tmp_path / "run")
    tensors, facts = read_tensors(teacher)
    write_tensors(teacher, tensors | {"leave.bias": tensors["leave.bias"] + 1}, facts)
    words = teacher.with_name("vocabulary.txt").read_text()
    teacher.with_name("vocabulary.txt").write_text(f"aardvark\n{words}")
    longer = recipe.model_copy(update={"stop": recipe.stop.model_copy(update={"steps": 8})})
    with pytest.raises(PresetError, match=r"distil.teacher: .*take another folder"):
        loop.train(longer, Shapes(), tmp_path / "run")
    assert (tmp_path / "run" / "vocabulary.txt").read_text() == words


def test_a_run_of_another_kind_keeps_its_words(made, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(made / "denoiser", folder)
    (folder / "vocabulary.txt").write_text("the words\nof the run\n")
    with pytest.raises(PresetError, match="holds a run of kind 'denoiser', not 'distil'"):
        loop.train(distil_recipe(made), Shapes(), folder)
    assert (folder / "vocabulary.txt").read_text() == "the words\nof the run\n"


@pytest.mark.parametrize("table, message", [
    ({"scale": [8, 1]}, "scale: 8 is above 1; the smaller one comes first"),
    ({"guidance": 9}, "guidance 9 is not a scale that it learns"),
    ({"teacher": "none.safetensors"}, "distil.teacher: there is no file none.safetensors"),
    ({"plain": 0.2}, "distil.plain: .* was taught no plain answers"),
    ({"rescale": 0.7}, r"distil.rescale: .* has learned 0.5, not 0.7"),
    ({"scale": [1, 5]}, r"distil.scale: .* has learned \[1.0, 6.0\], not \(1.0, 5.0\)"),
])  # fmt: skip
def test_wrong_lessons(table, message, made, guided):
    table = {"teacher": str(guided / "model.safetensors"), **table}
    with pytest.raises(PresetError, match=message):
        begun(distil_recipe(made, table=table), made)


def test_the_codec_is_the_teachers(made):
    """The one that ships, which is taken where none is named, has more channels."""
    table = {"codec": None, "teacher": str(made / "denoiser" / "model.safetensors")}
    with pytest.raises(PresetError, match=r"distil.codec: .* of 32 channels, the teacher of 4"):
        begun(distil_recipe(made, table=table), made)


def test_euler_tells_how_far_it_goes():
    grid = levels(Flow(), 4, shift=1.5)
    seen = asked(Euler(), grid)
    assert all(isinstance(at, Leap) for at in seen)
    assert [at.to for at in seen] == grid[1:]  # type: ignore[attr-defined]
    assert not any(isinstance(at, Leap) for at in asked(DPMpp2M(), grid))


def test_a_leap_lands_where_the_mean_velocity_does(made):
    """With a network that answers by the reach, Euler arrives exactly."""
    heard = []

    def network(x, t, cond):
        reach = cond["reach"].view(-1, 1, 1, 1) if "reach" in cond else 0
        heard.append(cond)
        return x * 0 + 2 * t.view(-1, 1, 1, 1).to(x) - reach  # mean of dx/dt = 2 t

    denoiser = LeapingDenoiser(network, lambda at: at.sigma, "flow", "flow")
    x = torch.zeros(2, 1, 2, 2, dtype=torch.float64)
    grid = levels(Flow(), 3, shift=1.5)
    *_, last = sample(Euler(), lambda x, at: denoiser(x, at, {}), x, grid, Noise([0, 1]))
    assert torch.allclose(last.x, x - 1, atol=1e-6)
    assert heard[0]["reach"].shape == (2, 1)
    *_, last = sample(DPMpp2M(), lambda x, at: denoiser(x, at, {}), x, grid, Noise([0, 1]))
    assert "reach" not in heard[-1]


def test_told_names_are_part_of_the_config():
    config = LatentTransformer(replace(_small(), told=("scale",))).config
    assert config.told == ("scale",)
    assert not any(name.startswith("told") for name in LatentTransformer(_small()).state_dict())


def _small():
    return LatentTransformerConfig(channels=4, stem=8, stem_depth=1, width=32, depth=2, heads=2,
                                   hidden=32, vocabulary=16, text_length=8, text_width=16,
                                   text_depth=1, text_heads=2)  # fmt: skip


def test_the_tiny_recipe_learns_from_the_weights_that_ship(tmp_path):
    recipe = load_recipe(RECIPES / "tiny-distil.toml")
    small = {"count": 8, "held_out": 4, "dataset": "shapes", "options": {"size": 64}, "workers": 0}
    table = recipe.model_dump(mode="json")
    table |= {"data": small, "stop": {"steps": 2}, "batch": 2}
    loop.train(parse_recipe(table), Shapes(Shapes.Options(size=64)), tmp_path / "run")
    assert np.isfinite(losses(tmp_path / "run")).all()
    assert validations(tmp_path / "run", "walk/2")[-1] < 2
