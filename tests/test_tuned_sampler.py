"""The tuned sampler walks the solver of its model, on any schedule, and says when it cannot."""

import json
import shutil
from importlib.resources import files

import pytest
import torch

from artdiff.api import prepare
from artdiff.denoise import MixtureDenoiser, bind
from artdiff.engine import Engine
from artdiff.errors import ModelError, ModelWarning, PresetError
from artdiff.model import ModelCard
from artdiff.noise import EDM, Flow, VPCosine, VPLinear
from artdiff.plan.resolve import resolve
from artdiff.preset.draft import Draft, overlay, override
from artdiff.random import Noise
from artdiff.renderer import load_engine
from artdiff.sample import sample
from artdiff.samplers import DDIM, SAMPLERS, Tuned
from artdiff.starting import levels_of
from artdiff.tune.file import Guided, TunedFile, Tuning, home, read_file, read_tuned, solver_of
from artdiff.tune.fit import solve
from artdiff.tune.run import save_tuned
from artdiff.tune.solver import Solver

SOLVER = Solver(
    fractions=(0.95, 0.6, 0.25),
    weights=((0.3684210526,), (-0.1166666667, 0.7), (0.05, -0.35, 1.3)),
)
DRAW = torch.Generator().manual_seed(0)
ORACLE = bind(
    MixtureDenoiser(torch.randn(3, 1, 2, 2, generator=DRAW), torch.ones(3) / 3, torch.ones(3)), {}
)
NUMBERS = {"rms": 0.1, "median": 0.1, "pixels": 0.1, "before_rms": 0.2, "before_median": 0.2,
           "before_pixels": 0.2, "seen_rms": 0.1}


def walk(sampler, levels, x):
    for step in sample(sampler, ORACLE, x, levels, Noise([0] * len(x))):
        x = step.x
    return x


@pytest.mark.parametrize("schedule", [VPLinear(), VPCosine(), Flow(), EDM()])
def test_every_schedule_gives_the_same_sample(schedule):
    y = torch.randn(5, 1, 2, 2, generator=torch.Generator().manual_seed(1)).double()
    sampler = Tuned(**SOLVER.model_dump())
    levels = sampler.levels(schedule)
    assert len(levels) == 4 and levels[-1].sigma == 0 and levels[-1].alpha == 1
    assert [float(at.fraction) for at in levels] == pytest.approx([0.95, 0.6, 0.25, 0.0])
    x = walk(sampler, levels, y * (levels[0].alpha + levels[0].sigma))
    assert torch.allclose(x, solve(ORACLE, y, SOLVER), atol=1e-7)


def test_the_formula_written_out():
    y = torch.randn(2, 1, 2, 2).double()
    sampler = Tuned(**SOLVER.model_dump())
    levels = sampler.levels(Flow())
    one = ORACLE(y, levels[0])
    z = 0.6 / 0.95 * y + 0.3684210526 * one
    two = ORACLE(z, levels[1])
    z = 0.25 / 0.6 * z - 0.1166666667 * one + 0.7 * two
    three = ORACLE(z, levels[2])
    assert torch.allclose(walk(sampler, levels, y), 0.05 * one - 0.35 * two + 1.3 * three)


def test_without_numbers_or_with_the_plain_ones_it_is_ddim():
    y = torch.randn(2, 1, 2, 2).double()
    plain = Tuned((0.9, 0.4), ((1 - 0.4 / 0.9,), (0.0, 1.0)))
    levels = plain.levels(Flow())
    assert torch.allclose(walk(plain, levels, y), walk(DDIM(), levels, y))
    assert torch.equal(walk(Tuned(), levels, y), walk(DDIM(), levels, y))


def test_half_precision_stays_half():
    levels = Tuned(**SOLVER.model_dump()).levels(Flow())
    x, *_ = Tuned(**SOLVER.model_dump()).step(
        lambda x, at: x, torch.ones(1, 1, 2, 2).half(), levels[0], levels[1], (), Noise([0]))
    assert x.dtype == torch.float16


def test_more_steps_than_it_has_are_refused():
    levels = [*Tuned(**SOLVER.model_dump()).levels(Flow())]
    with pytest.raises(ValueError, match="3 tuned steps"):
        walk(Tuned(**SOLVER.model_dump()), [levels[0], *levels], torch.ones(1, 1, 2, 2))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"fractions": (0.5, 0.6), "weights": ((0.1,), (0.5, 0.5))}, "fall"),
        ({"fractions": (1.2,), "weights": ((1.0,),)}, "less than or equal to 1"),
        ({"fractions": (0.5,), "weights": ((0.5, 0.5),)}, "rows"),
        ({"fractions": (1.0, 0.5), "weights": ((0.5,), (0.5, 0.6))}, "row 1"),
        ({"fractions": (1.0,), "weights": ((float("nan"),),)}, "finite"),
        ({"fractions": (), "weights": ((1.0,),)}, "at least 1"),
    ],
)
def test_wrong_numbers_are_no_solver(values, said):
    with pytest.raises(ValueError, match=said):
        Tuned(**values)
    with pytest.raises(ValueError, match=said):
        Tuned.Options(**values)


def tuned_file(card, **changes):
    tuning = Tuning(solver=SOLVER, **NUMBERS)
    said = {"weights": card.digest(), "guidance": Guided(scale=2.0), "reference": "heun, 40 steps",
            "untuned": "dpmpp_2m on linear-t", "counts": {3: tuning}}
    return TunedFile(**said | changes)


@pytest.fixture
def user(tmp_path, monkeypatch):
    """The user's folder of models, empty."""
    monkeypatch.setenv("ARTDIFF_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def plan(registry, user):
    def plan(*settings, steps=3):
        values = {"model": "tiny", "prompt": "a red fox"}
        draft = overlay(Draft("film", {}, {}), values, "film.toml")
        words = ("sampler.name=tuned", f"sampler.steps={steps}", *settings)
        return resolve(override(draft, words), registry)

    return plan


@pytest.fixture
def card(tiny_folder):
    return ModelCard.read(tiny_folder)


def test_the_file_is_read_as_it_was_written(card, tmp_path):
    file = tmp_path / "deep" / "tuned.json"
    save_tuned(file, tuned_file(card))
    again = read_file(file)
    assert again.counts[3].solver.fractions == SOLVER.fractions
    assert again.weights == card.digest() and again.guidance.scale == 2.0
    assert len(file.read_text().splitlines()) < 60


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda v: v | {"version": 2}, "version"),
        (lambda v: v | {"extra": 1}, "extra"),
        (lambda v: v | {"counts": {"4": v["counts"]["3"]}}, "counts.4 has 3 steps"),
        (lambda v: {k: x for k, x in v.items() if k != "weights"}, "weights"),
    ],
)
def test_a_damaged_file_says_what_is_wrong(card, tmp_path, change, said):
    file = tmp_path / "tuned.json"
    values = json.loads(tuned_file(card).model_dump_json())
    file.write_text(json.dumps(change(values)))
    with pytest.raises(ModelError, match=said) as caught:
        read_file(file)
    assert "\n" not in str(caught.value) and str(file) in str(caught.value)
    file.write_text("{")
    with pytest.raises(ModelError, match="tuned steps"):
        read_file(file)


def test_where_tuned_steps_are_kept(card, user, tiny_folder, monkeypatch):
    assert home(card) == tiny_folder / "tuned.json"
    shipped = ModelCard.read(files("artdiff").joinpath("starter"))
    assert home(shipped) == user / "starter" / "tuned.json"
    monkeypatch.setattr("os.access", lambda *_: False)
    assert home(card) == user / "tiny" / "tuned.json"


def test_the_users_steps_come_before_those_beside_the_weights(card, user, tiny_folder, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(tiny_folder, folder)
    copy = ModelCard.read(folder)
    assert read_tuned(copy) == {}
    save_tuned(folder / "tuned.json", tuned_file(copy))
    assert read_tuned(copy)[3].untuned == "dpmpp_2m on linear-t"
    save_tuned(user / "tiny" / "tuned.json", tuned_file(copy, untuned="mine"))
    assert read_tuned(copy)[3].untuned == "mine"


def test_steps_that_the_user_has_not_tuned_stay_those_beside_the_weights(user):
    starter = ModelCard.read(files("artdiff").joinpath("starter"))
    shipped = read_tuned(starter)
    save_tuned(user / "starter" / "tuned.json", tuned_file(starter, untuned="mine"))
    assert set(read_tuned(starter)) == {3, *shipped}
    assert solver_of(starter, 5) == shipped[5].counts[5].solver
    assert solver_of(starter, 3).fractions == SOLVER.fractions


def test_a_preset_that_says_tuned_gets_the_models_solver(plan, card, user, registry):
    save_tuned(user / "tiny" / "tuned.json", tuned_file(card))
    made = plan()
    assert made.sampler.options.fractions == SOLVER.fractions
    kept = made.manifest()["preset"]["sampler"]
    assert tuple(kept["fractions"]) == SOLVER.fractions and len(kept["weights"]) == 3
    levels = levels_of(made, Flow())
    assert [float(at.sigma) for at in levels] == pytest.approx([0.95, 0.6, 0.25, 0.0])
    engine = load_engine(made, registry)
    assert isinstance(engine, Engine) and len(engine.pictures([made.job(0)])) == 1


def test_what_a_picture_remembers_makes_it_again_without_the_file(plan, card, user, registry):
    save_tuned(user / "tiny" / "tuned.json", tuned_file(card))
    made = plan()
    kept = json.loads(json.dumps(made.manifest()["preset"]))
    shutil.rmtree(user)
    again = resolve(overlay(Draft("film", {}, {}), kept, "frame"), registry)
    assert again.sampler.options == made.sampler.options


def test_missing_steps_name_the_nearest_and_what_to_type(plan, card, user):
    with pytest.raises(PresetError, match="artdiff models tune tiny --steps 3"):
        plan()
    save_tuned(user / "tiny" / "tuned.json", tuned_file(card))
    with pytest.raises(PresetError, match=r"tuned steps for 3, not for 7; the nearest is .*=3"):
        plan(steps=7)
    with pytest.raises(PresetError) as caught:
        plan(steps=7)
    assert "\n" not in str(caught.value) and "sampler.steps" in str(caught.value)


def test_other_weights_are_warned_of(plan, card, user):
    save_tuned(user / "tiny" / "tuned.json", tuned_file(card, weights="0" * 16))
    with pytest.warns(ModelWarning, match="other weights"):
        plan()
    with pytest.warns(ModelWarning):
        assert solver_of(card, 3).fractions == SOLVER.fractions


def test_a_preset_may_bring_its_own_solver(plan):
    words = (f"sampler.fractions={list(SOLVER.fractions)}",
             f"sampler.weights={[list(row) for row in SOLVER.weights]}")
    assert plan(*words).sampler.options.weights == SOLVER.weights
    with pytest.raises(PresetError, match="has 3 steps"):
        plan(*words, steps=4)
    with pytest.raises(PresetError, match="sampler"):
        plan("sampler.fractions=[0.5]", "sampler.weights=[[0.2]]", steps=1)


def test_a_preview_keeps_the_tuned_count(card, user, registry):
    save_tuned(user / "tiny" / "tuned.json", tuned_file(card))
    draft = Draft("film", {"model": "tiny", "prompt": "a red fox"}, {})
    settings = {"sampler.name": "tuned", "sampler.steps": 3}
    assert prepare(draft, registry, settings, preview=True).plan.preset.sampler.steps == 3


def test_it_is_offered_by_name():
    assert SAMPLERS["tuned"] is Tuned and Tuned.order == 1 and Tuned.nfe == 1


@pytest.mark.parametrize("steps", [4, 5, 6, 8, 10, 12, 16])
def test_the_starter_ships_with_steps_of_its_own_weights(steps, user, recwarn):
    starter = ModelCard.read(files("artdiff").joinpath("starter"))
    tuning = read_tuned(starter)[steps].counts[steps]
    assert solver_of(starter, steps) == tuning.solver and not recwarn.list
    assert tuning.rms < tuning.before_rms and tuning.pixels < tuning.before_pixels
