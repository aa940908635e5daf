"""Tuned steps come closer than any classical solver, on starts that they were not tuned on."""

import json
import math
from itertools import pairwise

import pytest
import torch
from click.testing import CliRunner

from artdiff.cli import cli
from artdiff.denoise import GaussianDenoiser, MixtureDenoiser, bind
from artdiff.errors import PresetError
from artdiff.grid import karras_levels
from artdiff.noise import EDM, Flow, Level, VPLinear
from artdiff.random import Noise
from artdiff.sample import sample
from artdiff.samplers import DPMpp2M
from artdiff.tune.file import read_file
from artdiff.tune.fit import (
    Effort,
    chunked,
    fit,
    grids,
    refine,
    samples,
    solve,
    tune,
    work,
)
from artdiff.tune.path import Path, distance, ends, reference
from artdiff.tune.run import captions
from artdiff.tune.solver import Solver

DRAW = torch.Generator().manual_seed(3)
MIXTURE = bind(
    MixtureDenoiser(
        torch.randn(4, 8, generator=DRAW, dtype=torch.float64),
        torch.tensor([0.2, 0.3, 0.4, 0.5]),
        torch.ones(4),
    ),
    {},
)
SCHEDULE = VPLinear()


def starts(count, seed):
    draw = torch.Generator().manual_seed(seed)
    return ends(SCHEDULE)[0] * torch.randn(count, 8, generator=draw, dtype=torch.float64)


def plain(fractions):
    """DDIM on a grid."""
    keeps = [b / a for a, b in pairwise([*fractions, 0.0])]
    rows = tuple((0.0,) * i + (1 - keep,) for i, keep in enumerate(keeps))
    return Solver(fractions=fractions, weights=rows)


def every(denoise):
    return lambda rows: denoise


@pytest.fixture(scope="module")
def path():
    return reference(MIXTURE, starts(256, 1), ends(SCHEDULE), 60)


@pytest.fixture(scope="module")
def held():
    return reference(MIXTURE, starts(256, 2), ends(SCHEDULE), 60)


def test_distance_is_relative_and_counts_the_few_and_the_many():
    target = torch.ones(4, 2, 2, 2)
    away = target.clone()
    away[0] *= 3
    assert distance(target, target) == distance(away, away)
    found = distance(away, target)
    assert found.rms == pytest.approx(1.0) and found.median == 0


@pytest.mark.parametrize("schedule", [VPLinear(), Flow(), EDM()])
def test_the_reference_converges_to_the_exact_solution_of_a_gaussian(schedule):
    mean, var = torch.full((1, 2, 2), 0.3).double(), torch.tensor(0.25).double()
    denoise = bind(GaussianDenoiser(mean, var), {})
    first, _ = ends(schedule)
    start = first * torch.randn(8, 1, 2, 2, generator=DRAW, dtype=torch.float64)
    scale = ((1 - first) ** 2 * var + first**2).sqrt()
    exact = mean + var.sqrt() / scale * (start - (1 - first) * mean)
    paths = [reference(denoise, start, (first, 0.0), steps) for steps in (20, 40)]
    errors = [distance(path.end, exact).rms for path in paths]
    assert errors[1] < errors[0] / 3 and errors[1] < 2e-3


def test_the_reference_keeps_its_path_and_tells_of_each_step():
    told = []
    path = reference(MIXTURE, starts(3, 0), (0.9, 0.1), 7, lambda: told.append(1))
    assert len(told) == 7 and path.states.shape == (8, 3, 8) and path.slopes.shape == (7, 3, 8)
    assert path.fractions[0] == 0.9 and path.fractions[-2] == pytest.approx(0.1)
    assert path.fractions[-1] == 0 and torch.equal(path.start, path.states[0])
    assert torch.equal(path.rows(torch.tensor([2])).end[0], path.end[2])


def test_a_path_is_asked_between_its_levels(path):
    fine = reference(MIXTURE, path.start[:16], ends(SCHEDULE), 240)
    some = path.rows(torch.arange(16))
    for fraction in (0.95, 0.61, 0.3, 0.05):
        assert distance(some.at(fraction), fine.at(fraction)).rms < 2e-3
    assert torch.equal(some.at(float(path.fractions[5])), some.states[5])
    assert torch.allclose(some.at(0.0), some.end)
    assert torch.equal(some.at(1.0), some.start)


def test_grids_fall_between_the_ends():
    for grid in [*grids(1.0, 0.0, 5), *grids(0.99, 0.03, 12, few=True)]:
        assert all(a > b > 0 for a, b in pairwise(grid))
    assert len(grids(1.0, 0.0, 5)) == 9 and grids(1.0, 0.1, 4)[0][0] == 1.0


def test_a_fit_beats_ddim_and_dpmpp_on_other_starts(path, held):
    solver, ended = fit(MIXTURE, path, grids(*ends(SCHEDULE), 8)[4])
    assert torch.allclose(solve(MIXTURE, path.start, solver), ended)
    ours = distance(solve(MIXTURE, held.start, solver), held.end)
    ddim = distance(solve(MIXTURE, held.start, plain(solver.fractions)), held.end)
    levels = karras_levels(SCHEDULE, 8)
    x = held.start / ends(SCHEDULE)[0] * levels[0].sigma
    for step in sample(DPMpp2M(), MIXTURE, x, levels, Noise([0] * 256)):
        x = step.x
    classical = distance(x, held.end)
    assert ours.rms < 0.5 * ddim.rms and ours.median < 0.3 * classical.median
    assert ours.rms < 0.7 * classical.rms


def test_a_fit_is_exact_where_the_answer_never_changes():
    def constant(y, at):
        return torch.full_like(y, 0.7)

    path = reference(constant, starts(4, 0), ends(SCHEDULE), 20)
    solver, ended = fit(constant, path, grids(*ends(SCHEDULE), 3)[0])
    assert torch.allclose(ended, torch.full_like(ended, 0.7)) and solver.steps == 3
    assert all(math.isfinite(w) for row in solver.weights for w in row)


def test_refining_lowers_the_error_and_keeps_the_first_level(path):
    begun = plain(grids(*ends(SCHEDULE), 5)[4])
    effort = Effort(gradient_steps=40, batch=64, rate=1e-2, chunk=256)
    found = list(refine(every(MIXTURE), path, begun, effort))
    assert len(found) == 40 and found[-1].fractions[0] == begun.fractions[0]
    errors = [distance(solve(MIXTURE, path.start, s), path.end).rms for s in (begun, found[-1])]
    assert errors[1] < 0.6 * errors[0]
    again = list(refine(every(MIXTURE), path, begun, effort))
    assert again[-1] == found[-1]
    assert list(refine(every(MIXTURE), path, begun, effort, seed=1))[-1] != found[-1]


def test_gradients_flow_as_finite_differences_say(path):
    """The gradient that `refine` follows, at one weight and at one fraction."""
    few = path.rows(torch.arange(8))
    begun, _ = fit(MIXTURE, few, grids(*ends(SCHEDULE), 3)[0])

    def loss(middle, weight):
        fractions = torch.stack([torch.tensor(begun.fractions[0]).double(), middle,
                                 torch.tensor(begun.fractions[2]).double()])
        keeps = torch.stack([middle / fractions[0], fractions[2] / middle, middle * 0])
        rows = torch.zeros(3, 3).double()
        past = torch.stack([middle * 0, weight, middle * 0])
        rows = rows + torch.diag(1 - keeps - past)
        rows = rows + torch.zeros(3, 3).double().index_put(
            (torch.tensor([1]), torch.tensor([0])), weight)
        from artdiff.tune.fit import _walk
        return (_walk(MIXTURE, few.start, fractions, keeps, rows) - few.end).square().sum()

    inputs = tuple(torch.tensor(v).double().requires_grad_()
                   for v in (begun.fractions[1], begun.weights[1][0]))
    assert torch.autograd.gradcheck(loss, inputs)


def test_tune_yields_as_often_as_it_says_and_is_repeatable(path):
    effort = Effort(gradient_steps=5, batch=16, chunk=256)
    found = list(tune(every(MIXTURE), path, ends(SCHEDULE), 4, effort))
    assert len(found) == work(effort) and found[-1].steps == 4
    assert list(tune(every(MIXTURE), path, ends(SCHEDULE), 4, effort))[-1] == found[-1]
    plain = Effort(gradient_steps=0, chunk=256)
    assert len(list(tune(every(MIXTURE), path, ends(SCHEDULE), 4, plain))) == work(plain) == 4


def test_chunks_change_nothing(path):
    solver, _ = fit(MIXTURE, path, grids(*ends(SCHEDULE), 3)[0])
    whole = solve(MIXTURE, path.start, solver)
    assert torch.allclose(samples(every(MIXTURE), path.start, solver, 7), whole)
    ask = chunked(every(MIXTURE), torch.arange(256), 100)
    at = Level(torch.tensor(0.5).double(), torch.tensor(0.5).double())
    assert torch.allclose(ask(path.start, at), MIXTURE(path.start, at))


def test_a_row_has_the_conditioning_of_its_own(path):
    """Minibatches ask for the rows they hold."""
    shift = torch.arange(256.0).double()[:, None] / 256

    def bound(rows):
        return lambda y, at: MIXTURE(y, at) + shift[rows]

    own = reference(bound(torch.arange(256)), path.start, ends(SCHEDULE), 40)
    begun, _ = fit(bound(torch.arange(256)), own, grids(*ends(SCHEDULE), 4)[4])
    before = distance(samples(bound, own.start, begun, 50), own.end).rms
    *_, after = refine(bound, own, begun, Effort(gradient_steps=30, batch=32, rate=3e-3, chunk=50))
    assert distance(samples(bound, own.start, after, 50), own.end).rms < before


def test_captions_of_the_hold_out_are_others():
    class Fake:
        def caption(self, index, draw):
            return f"picture {index % 1000}" if index < 900 else f"other {index}"

    tuned, held = captions(Fake(), 5)
    assert len(tuned) == len(held) == 5 and not set(tuned) & set(held)


@pytest.fixture
def run(tiny_plugin, tmp_path):
    out = tmp_path / "out"

    def run(*words):
        small = ["--samples", "3", "--held", "3", "--reference", "6", "-o", str(out)]
        return CliRunner().invoke(
            cli, ["models", "tune", "--plugin", str(tiny_plugin), "tiny", *small, *words]
        ), out / "tuned.json"

    return run


def test_the_command_tunes_counts_and_goes_on_where_it_stopped(run):
    result, file = run("--steps", "2", "3")
    assert result.exit_code == 0, result.output
    first = read_file(file)
    assert set(first.counts) <= {2, 3} and first.counts and first.guidance.scale == 2.0
    assert "steps" in result.output and str(file) in result.output
    assert file.with_suffix(".png").read_bytes()[:4] == b"\x89PNG"
    kept = min(first.counts)
    known = json.loads(file.read_text())
    known["counts"] = {str(kept): known["counts"][str(kept)]}
    known["counts"][str(kept)]["rms"] = 0.012345
    file.write_text(json.dumps(known))
    result, _ = run("--steps", "2", "--steps", "3")
    assert result.exit_code == 0 and read_file(file).counts[kept].rms == 0.012345
    result, _ = run("--steps", str(kept), "--again")
    assert result.exit_code == 0 and read_file(file).counts[kept].rms != 0.012345


def test_steps_of_other_weights_are_begun_anew(run):
    _, file = run("--steps", "3")
    other = json.loads(file.read_text()) | {"weights": "0" * 16}
    file.write_text(json.dumps(other))
    run("--steps", "2")
    assert 3 not in read_file(file).counts and read_file(file).weights != "0" * 16


def test_steps_by_another_reference_are_not_dropped_unsaid(run):
    _, file = run("--steps", "3")
    before = file.read_bytes()
    result, _ = run("--steps", "2", "--reference", "5")
    assert isinstance(result.exception, PresetError) and file.read_bytes() == before
    said = str(result.exception)
    assert "steps for other guidance, or by another reference or sampler; --again" in said
    run("--steps", "2", "--reference", "5", "--again")
    assert 3 not in read_file(file).counts


def test_prompts_that_are_no_text(run, tmp_path):
    (tmp_path / "prompts.txt").write_bytes(b"caf\xe9\nno text\n")
    result, _ = run("--steps", "2", "--prompts", str(tmp_path / "prompts.txt"))
    assert "cannot be read as prompts: not UTF-8" in str(result.exception)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--steps", "1"], "2<=x<=100"),
        (["3"], "--steps"),
        (["--steps", "2", "--prompts", "no-such-file"], "does not exist"),
    ],
)
def test_bad_input_is_one_line(run, words, said):
    result, _ = run(*words)
    assert result.exit_code != 0
    assert said in result.output + str(result.exception)


def test_an_unknown_model_is_named_with_the_nearest():
    result = CliRunner().invoke(cli, ["models", "tune", "startr", "--steps", "4"])
    assert result.exit_code != 0 and "starter" in result.output + str(result.exception)


def test_one_prompt_is_not_enough(run, tmp_path):
    (tmp_path / "p.txt").write_text("a red fox\n\n")
    result, _ = run("--steps", "2", "--prompts", str(tmp_path / "p.txt"))
    assert "two prompts" in result.output + str(result.exception)


def test_a_path_is_a_value(path):
    assert isinstance(path.rows(torch.tensor([0])), Path)


def test_captions_of_a_dataset_that_ends():
    class Few:
        def __len__(self):
            return 5

        def caption(self, index, draw):
            assert 0 <= index < 5
            return f"picture {index}"

    tuned, held = captions(Few(), 3)
    assert tuned == ["picture 0", "picture 1", "picture 2"]
    assert held == ["picture 3", "picture 4", "picture 3"]
