"""The exam of `artdiff evaluate`: judges, questions, the arithmetic, the report, the command."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import TinyModel, write_tiny_model
from training import COMMON, Shapes

import artdiff
from artdiff.cli import main
from artdiff.errors import PresetError
from artdiff.evaluation.exam import (
    Film,
    Question,
    Score,
    film_steps,
    nearness,
    score,
    spread_of,
)
from artdiff.evaluation.exam_marks import Size
from artdiff.evaluation.exam_report import Examination
from artdiff.evaluation.examine import examine, find_exam
from artdiff.evaluation.judge import Judge
from artdiff.hookspecs import hookimpl
from artdiff.nn.judge import JudgeConfig, JudgeNet
from artdiff.train import loop
from artdiff.train.heads import TraitHeads
from artdiff.train.judge import Disturbance, JudgeTask, disturb
from artdiff.train.kinds import build_task, load_recipe, parse_recipe
from artdiff.train.report import read_metrics
from artdiff_plugins.scenes import exam as scene_exam
from artdiff_plugins.scenes.dataset import Scenes
from artdiff_plugins.scenes.records import held_out_pairs
from artdiff_plugins.scenes.traits import asked, traits

TINY = Size(questions=6, again=2, each=2, alike=3, frames=4)


class Asked(Shapes):
    """Shapes that know what can be told from them, and that examine."""

    name = "asked"

    def traits(self, index):
        facts = self.attributes(index)
        both = (facts["colour"], facts["ground"])
        plain = facts["colour"] == facts["ground"]
        return {"shape": () if plain else (facts["shape"],), "colour": both}

    def exam(self):
        return ShapeExam(self)


class ShapeExam:
    judge = Path("no-judge.safetensors")

    def __init__(self, dataset):
        self.dataset, self.films = dataset, {"year": "four-seasons"}

    def question(self, index):
        facts = self.dataset.traits(index)
        said = {name: values for name, values in facts.items() if values}
        return Question(self.dataset.caption(index, 0), {**said, "smell": ("none",)},
                        index % 2 == 0)

    def answer(self, index, draw):
        return self.dataset.picture(index) if draw == 0 else self.dataset.picture(index)[::-1]

    def alike(self, index, count):
        return range(index, index + count)

    def training(self, index):
        return self.dataset.picture(100 + index)


class Plugin:
    @hookimpl
    def register_datasets(self):
        return {"asked": Asked}


def judge_recipe(steps=100, **table):
    model = {"patch": 2, "widths": [16, 24], "depths": [1, 1]}
    return parse_recipe({
        **COMMON, "kind": "judge", "batch": 16,
        "data": {**COMMON["data"], "dataset": "asked", "size": 16},
        "judge": {"model": model, "validation": 16, **table},
        "optim": {"convs": True, "muon_lr": 1e-2, "adam_lr": 1e-2, "warmup": 5, "cooldown": 0.3},
        "ema": {"half_life": 4}, "stop": {"steps": steps},
        "cadence": {"save_steps": 100, "validate_steps": steps, "sheet_steps": 1000},
    })  # fmt: skip


@pytest.fixture(scope="session")
def judge_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("judge")
    return loop.train(judge_recipe(), Asked(), folder / "runs/judge")


# The judge.


def test_a_judge_learns_what_can_be_told(judge_file):
    last = [line["validation"] for line in read_metrics(judge_file.with_name("metrics.jsonl"))
            if "validation" in line][-1]  # fmt: skip
    assert last["right/colour"] > 0.75 and last["loss"] < 0.9  # 1.4 by chance
    judge = Judge(Judge.Options(weights=judge_file))
    assert judge.heads == {
        "shape": ("disc", "square"), "colour": ("blue", "green", "red", "white")
    }
    found = artdiff.extract(judge, [Shapes().picture(i) for i in range(5)])
    assert found.sizes() == {"pooled": 24, "logits": 6}
    choices = judge.choices(found.logits)
    assert len(choices) == 5 and set(choices[0]) == {"shape", "colour"}
    assert all(choice["colour"] in judge.heads["colour"] for choice in choices)
    assert len(judge.digest()) == 16


def test_the_judge_that_ships_knows_pictures_that_no_training_has_seen():
    scenes = Scenes(Scenes.Options())
    judge = Judge(Judge.Options(weights=scenes.exam().judge))
    some = range(2_000_000, 2_000_064)
    choices = judge.choices(artdiff.extract(judge, [scenes.picture(i) for i in some]).logits)
    for trait, least in {"scene": 0.85, "time": 0.85, "style": 0.8, "object": 0.65}.items():
        rights = [scenes.traits(i).get(trait) for i in some]
        hits = [c[trait] in right for c, right in zip(choices, rights, strict=True) if right]
        assert sum(hits) >= least * len(hits), trait


def test_a_batch_may_be_worked_through_in_parts(tmp_path):
    recipe = judge_recipe()
    task = build_task(recipe, Asked(), tmp_path / "run")
    assert isinstance(task, JudgeTask)
    whole, notes = task.loss(3, range(16))
    parts = [task.loss(3, rows) for rows in (range(10), range(10, 16))]
    assert whole.item() == pytest.approx((10 * parts[0][0] + 6 * parts[1][0]).item() / 16, 1e-5)
    joined = torch.cat([part["accuracy"] for _, part in parts])
    assert torch.equal(notes["accuracy"].nan_to_num(9), joined.nan_to_num(9))


def test_heads_take_any_right_value_and_skip_what_cannot_be_told():
    heads = TraitHeads(None, Asked(), judge_recipe().data, 112)
    assert list(heads.classes) == ["shape", "colour"] and heads.sizes == (2, 4)
    logits = torch.log(torch.tensor([[0.9, 0.1, 0.4, 0.3, 0.2, 0.1]] * 2))
    rights = torch.tensor([[[0, -1], [0, 2]], [[-1, -1], [1, -1]]])
    loss = heads.loss(logits, rights)
    assert loss[0].exp().tolist() == pytest.approx([1 / 0.9, 1 / 0.6])
    assert loss[1, 0] == 0 and loss[1, 1].exp().item() == pytest.approx(1 / 0.3)
    right = heads.right(logits, rights)
    assert right[0].tolist() == [1, 1] and right[1, 0].isnan() and right[1, 1] == 0


def test_disturbed_pictures_are_those_of_their_rows():
    images = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    whole = disturb(images, Disturbance(), 1, 2, range(6), 6)
    part = disturb(images[2:5], Disturbance(), 1, 2, range(2, 5), 6)
    assert torch.allclose(whole[2:5], part, atol=1e-5)
    assert not torch.allclose(whole, disturb(images, Disturbance(), 1, 3, range(6), 6), atol=0.1)
    still = Disturbance(zoom=0, shift=0, blur=0, noise=0, light=0)
    same = disturb(images, still, 1, 2, range(6), 6)
    near = torch.minimum((same - images).abs().amax((1, 2, 3)),
                         (same - images.flip(3)).abs().amax((1, 2, 3)))
    assert near.max() < 1e-4
    assert whole.min() >= -1 and whole.max() <= 1


def test_the_network_keeps_the_size_of_its_activations():
    net = JudgeNet(JudgeConfig(size=64, classes=(5, 3)))
    with torch.inference_mode():
        found = net.features(torch.randn(8, 3, 64, 64))
        logits = net(torch.randn(2, 3, 64, 64))
    assert logits.shape == (2, 8) and 0.3 < found.std() < 3
    with pytest.raises(ValueError, match="sees pictures of 64x64, not 32x64"):
        net(torch.zeros(1, 3, 32, 64))


@pytest.mark.parametrize(("values", "said"), [
    ({"size": 100}, "multiple of 16, not 100"),
    ({"widths": (8,)}, "one number for each stage"),
    ({"depths": (0, 1, 1)}, "1 or more"),
])
def test_sizes_that_do_not_fit(values, said):
    with pytest.raises(ValueError, match=said):
        JudgeConfig(**values)


@pytest.mark.parametrize(("table", "said"), [
    ({"heads": ["shap"]}, "no trait 'shap'; did you mean 'shape'"),
    ({"weights": {"size": 2.0}}, "judge.weights: there is no head 'size'; known: colour, shape"),
    ({"weights": {"shap": 2.0}}, "there is no head 'shap'; did you mean 'shape'?"),
    ({"model": {"classes": [3]}}, "pictures and their traits say its classes; leave it out"),
    ({"disturb": {"blur": 2}}, "zoom and blur below 1"),
    ({"disturb": {"noise": float("inf")}}, "judge.disturb: disturbances are finite"),
    ({"disturb": {"light": float("nan")}}, "judge.disturb: disturbances are finite"),
])
def test_recipes_that_cannot_be(table, said, tmp_path):
    with pytest.raises(PresetError, match=re.escape(said)):
        build_task(judge_recipe(**table), Asked(), tmp_path / "run")


def test_datasets_without_traits_cannot_be_judged(tmp_path):
    with pytest.raises(PresetError, match=r"data\.dataset: 'asked' has no traits"):
        build_task(judge_recipe(), Shapes(), tmp_path / "run")


def test_files_that_are_no_judge(tiny_folder, tmp_path):
    (tmp_path / "x").write_bytes(b"nothing")
    for file, said in (
        (tmp_path / "none", "no such file"),
        (tmp_path / "x", "cannot be read as weights"),
        (tiny_folder / "codec.safetensors", "not a judge; artdiff train starter-judge"),
    ):
        with pytest.raises(artdiff.ModelError, match=said):
            Judge(Judge.Options(weights=file))


def test_the_shipped_recipe_fits_and_would_ship_small():
    folder = Path(loop.__file__).parent / "recipes"
    recipe = load_recipe(folder / "starter-judge.toml")
    others = [load_recipe(folder / f"{name}.toml") for name in
              ("starter-classifier", "starter-clip", "starter-denoiser")]
    assert recipe.kind == "judge" and recipe.seed not in [other.seed for other in others]
    classes = (49, 37, 8, 7, 4, 17, 7, 428, 4, 18, 18)
    net = JudgeNet(replace(recipe.judge.model, classes=classes))
    assert 2 * sum(p.numel() for p in net.parameters()) < 3_000_000


# The arithmetic.


def test_intervals_are_those_of_wilson():
    assert Score(9, 10).interval() == pytest.approx((0.5958, 0.9821), abs=1e-4)
    assert Score(0, 10).interval() == pytest.approx((0, 0.2775), abs=1e-4)
    assert Score(0, 0).interval() == (0, 1) and np.isnan(Score(0, 0).value)


def test_a_trait_is_right_where_any_of_its_values_is_seen():
    questions = [Question("", {"object": ("fox", "owl"), "smell": ("none",)}, True),
                 Question("", {"time": ("night",)}, True)]  # fmt: skip
    choices = [{"object": "owl", "time": "day"}, {"object": "owl", "time": "day"}]
    assert score(questions, choices, "object") == Score(1, 1)
    assert score(questions, choices, "time") == Score(0, 1)
    assert score(questions, choices, "smell") == Score(0, 0)
    assert score(questions, choices, None) == Score(1, 2)


def test_a_pop_stands_out_of_a_film():
    shades = [0, 1, 2, 3, 40, 41, 42]
    film = film_steps([np.full((4, 4, 3), shade, np.uint8) for shade in shades])
    assert film.ratio == pytest.approx(37, rel=0.01) and len(film.steps) == 6
    assert Film((0.0, 0.0, 1.0)).ratio == np.inf


def test_a_film_that_stands_still_is_recorded_as_json():
    """JSON has no infinity."""
    still = Film((0.0, 0.0, 1.0))
    text = Examination("pupil", {}, {}, {"year": still}, {}, {}).json()
    assert json.loads(text, parse_constant=pytest.fail)["films"]["year"]["ratio"] is None


def test_a_mirrored_copy_is_found():
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (64, 64, 3), np.uint8) for _ in range(4)]
    assert nearness(pictures[2][:, ::-1].copy(), pictures) == (pytest.approx(0, abs=2e-3), 2)
    assert nearness(pictures[2], pictures[:2])[0] > 0.03


def test_diversity_is_the_mean_distance_within_groups():
    rows = torch.tensor([[0.0, 0], [3, 4], [9, 9], [9, 9]])
    assert spread_of(rows, 2) == 2.5


# The questions of the scenes.

FOX = {
    "kind": "scene", "style": "watercolor", "grade": "natural", "object": "fox", "second": None,
    "color": "blue", "natural": None, "count": 2, "scene": "snow", "time": "night",
    "weather": "fog", "season": None, "pattern": None, "ground": None, "colors": [],
}  # fmt: skip
MANDALA = FOX | {
    "kind": "pattern", "object": None, "color": None, "count": 0, "scene": None, "time": None,
    "weather": "clear", "pattern": "mandala", "colors": ["red", "gold"], "style": "flat",
}  # fmt: skip
KEY = FOX | {
    "kind": "portrait", "object": "key", "second": "owl", "count": 1, "color": None,
    "natural": "gold", "scene": None, "time": None, "ground": "rays", "colors": ["mint"],
    "style": "neon", "weather": "clear",
}  # fmt: skip


@pytest.mark.parametrize(("record", "caption", "said"), [
    (FOX, "two blue foxes in the snow at night, foggy, watercolor",
     "color count object scene style time weather"),
    (FOX, "two foxes in the blue snow", "count object scene"),
    (FOX, "fox watercolor", "count object style"),
    (FOX, "midnight snowman", ""),
    (MANDALA, "red and golden mandala", "color pattern"),
    (MANDALA, "mandala in vector art", "pattern style"),
    (KEY, "a golden key and an owl on a light green background with rays, neon",
     "background color object style"),
    (KEY, "a key on a background", ""),
    (KEY | {"grade": "sepia"}, "a golden key and an owl, mint background, sepia", "grade object"),
])
def test_only_what_a_caption_says_is_asked(record, caption, said):
    found = asked(record, caption)
    assert sorted(found) == said.split()
    assert all(found[name] == traits(record)[name] for name in found)


def test_every_record_has_traits_and_most_captions_ask_for_several():
    scenes = Scenes(Scenes.Options(seed=5))
    counts = []
    for index in range(300):
        record = scenes.attributes(index)
        told = scenes.traits(index)
        assert set(told) == set(traits(FOX)) and told["style"] == (record["style"],)
        counts.append(len(asked(record, scenes.caption(index, 0))))
    assert min(counts) >= 0 and np.mean(counts) > 3 and counts.count(0) < 6


def test_half_of_the_questions_are_of_held_out_combinations(monkeypatch):
    monkeypatch.setattr(scene_exam, "TRAINED", 200)
    exam = Scenes(Scenes.Options(size=32)).exam()
    questions = [exam.question(index) for index in range(40)]
    assert [each.seen for each in questions] == [True, False] * 20
    assert len({each.prompt for each in questions}) > 35
    assert questions == [exam.question(index) for index in range(40)]
    first, second = exam.answer(3, 0), exam.answer(3, 1)
    assert first.shape == (32, 32, 3) and (first != second).any()
    assert (second == exam.answer(3, 1)).all()
    dataset, row = exam._place(4)
    record = dataset.attributes(row)
    near = [exam.trained.attributes(place) for place in exam.alike(4, 5)]
    key = next(name for name in ("object", "scene", "pattern") if record[name])
    known = {exam.trained.attributes(i)[key] for i in range(200)}
    assert len(near) == 5 and not any(held_out_pairs(each) for each in near)
    assert record[key] not in known or near[0][key] == record[key]
    assert (exam.training(7) == Scenes(Scenes.Options(size=32)).picture(7)).all()


# The whole of it.


@pytest.fixture
def examined(registry, tmp_path):
    """The tiny model, whose card names a dataset with an exam."""
    folder = write_tiny_model(tmp_path / "model")
    card = folder / "card.toml"
    card.write_text(card.read_text().replace('"tiny"', '"pupil"') + '[facts]\ndataset = "asked"\n')
    registry.manager.register(Plugin(), "asking")
    registry.manager.register(type("Pupil", (), {"register_models": hookimpl(
        lambda self: {"pupil": TinyModel(folder).card})})(), "pupil")
    return registry


def test_a_model_sits_its_exam_once(examined, judge_file, tmp_path):
    stages = []

    def run(**more):
        return examine(
            "pupil", size=TINY, judge=judge_file, registry=examined, out=tmp_path / "out",
            settings={"sampler.steps": 2}, **more,
        )  # fmt: skip

    one = run()
    two = run(on_progress=lambda stage, done, total: stages.append((stage, done)))
    assert ("pictures", 6) in stages and ("pictures", 0) not in stages
    assert replace(one, seconds={}) == replace(two, seconds={})
    record = json.loads((tmp_path / "out/exam.json").read_text())
    assert record == json.loads(json.dumps(two.record()))
    assert set(record["scores"]) == {"shape", "colour", "all of these"}
    renders = record["scores"]["colour"]["renders"]
    assert renders["of"] == 6 and renders["low"] < renders["value"] <= renders["high"]
    halves = record["scores"]["colour"]
    assert halves["seen"]["of"] + halves["held_out"]["of"] == 6
    assert record["frechet"] > record["frechet_renders"] >= 0
    assert record["nearest"] > 0 < record["diversity_renders"]
    assert len(record["films"]["year"]["steps"]) == 3
    assert set(record["seconds"]) == {"alone", "in a batch of 4"}
    assert record["model"]["name"] == "pupil" and record["sampler"]["steps"] == 2
    lines = one.table().splitlines()
    assert lines[0].split()[:4] == ["asked", "for", "seen", "95%"]
    assert any(line.startswith("largest step over median: year") for line in lines)
    page = (tmp_path / "out/exam.html").read_text()
    assert page.count("data:image/png;base64,") == 5 and "<polyline" in page
    assert not re.search(r"https?://|<script|<link|@import", page)


def test_an_exam_of_other_settings_is_not_mixed(examined, judge_file, tmp_path):
    options = {"size": TINY, "judge": judge_file, "registry": examined, "out": tmp_path / "out"}
    examine("pupil", settings=["sampler.steps=1"], **options)
    with pytest.raises(artdiff.FrameError, match=r"steps: 1 there, 2 here.*--fresh"):
        examine("pupil", settings=["sampler.steps=2"], **options)


def test_settings_may_be_a_table(examined, judge_file, tmp_path):
    options = {"size": TINY, "judge": judge_file, "registry": examined, "out": tmp_path / "out"}
    tables = {"sampler": {"steps": 2}, "guidance": {"scale": 3.0}}
    one = examine("pupil", settings=tables, **options)
    two = examine("pupil", settings=["sampler.steps=2", "guidance.scale=3.0"], **options)
    assert replace(one, seconds={}) == replace(two, seconds={})
    assert one.record()["sampler"]["steps"] == 2


def test_who_sits_no_exam(examined, tmp_path):
    assert find_exam(examined, "tiny") is None and find_exam(examined, str(tmp_path)) is None
    with pytest.raises(PresetError, match=r"tiny: no model of a dataset that examines.*-n 64"):
        examine("tiny", registry=examined)
    with pytest.raises(PresetError, match=r"no-judge\.safetensors: the judge is not there"):
        examine("pupil", registry=examined)


def test_the_starter_is_examined_by_the_scenes(registry):
    exam = find_exam(registry, "starter")
    assert isinstance(exam, scene_exam.SceneExam)
    assert set(exam.films.values()) <= set(registry.entries("presets"))


@pytest.mark.parametrize(("words", "said"), [
    (["starter", "--quick", "-n", "4"], "--quick is of the exam, -n of metrics"),
    (["starter", "--judge", "x", "--metrics", "fid"], "--judge is of the exam, --metrics of"),
    (["starter", "--judge", "missing"], "missing: the judge is not there"),
])
def test_the_command_refuses_in_one_line(words, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as done:
        main(["evaluate", *words])
    assert done.value.code == 2 and said in capsys.readouterr().err
