"""`artdiff.evaluate` from measuring to report: resuming, subjects, errors, the command."""

import json
import re
import shutil

import numpy as np
import pytest
import torch
from evaluating import save_pictures
from PIL import Image
from pydantic import BaseModel, Field

import artdiff
from artdiff.cli import main
from artdiff.errors import ArtdiffError, PresetError
from artdiff.evaluation.features import Features
from artdiff.evaluation.measure import choose_metrics, measure
from artdiff.evaluation.pictures import FolderPictures, open_pictures, texts_of
from artdiff.evaluation.report import Evaluation, Measured, number
from artdiff.evaluation.subject import find_real, find_subject
from artdiff.hookspecs import hookimpl

FAST = {"feature_options": {"size": 64}, "bootstrap": 20}
QUICK = {**FAST, "settings": {"sampler.steps": 1, "guidance.scale": 1.0}}


class MeanColour:
    """A feature extractor in a few lines: two kinds of features, and texts."""

    class Options(BaseModel, extra="forbid"):
        scale: float = 1.0

    gives = ("pooled", "aligned")

    def __init__(self, options):
        self.scale = options.scale

    def digest(self):
        return "0" * 16

    def pictures(self, pictures):
        mean = self.scale * pictures.float().mean((2, 3)) / 255
        return {"pooled": mean, "aligned": mean}

    def texts(self, texts):
        return torch.tensor([[float("red" in t), 0.0, float("blue" in t)] for t in texts])


class Brightness:
    """A metric in a few lines."""

    need, real, better, least = "pooled", False, "higher", 1
    recentre, bounds = False, (0.0, 1.0)

    def prepare(self, made, real):
        rows = made.need("pooled").double().mean(1)
        return lambda counts, _: float(counts @ rows / counts.sum())

    def doubt(self, made, real):
        return ""


class Blobs:
    """A dataset of a few colours, larger than the tiny model's pictures, and finite."""

    class Options(BaseModel, extra="forbid"):
        size: int = Field(64, ge=32)

    name, version = "blobs", "1"

    def __init__(self, options):
        self.options = options

    def __len__(self):
        return 15

    def picture(self, index):
        colours = np.random.default_rng(index).integers(0, 256, (4, 4, 3), np.uint8)
        size = (self.options.size, self.options.size)
        return np.asarray(Image.fromarray(colours).resize(size, Image.Resampling.BICUBIC))

    def caption(self, index, draw):
        return ["a red fox", "a blue cat", "a fox in the snow"][index % 3]


class Plugin:
    @hookimpl
    def register_datasets(self):
        return {"blobs": Blobs}

    @hookimpl
    def register_feature_extractors(self):
        return {"mean_colour": MeanColour}

    @hookimpl
    def register_metrics(self):
        return {"brightness": Brightness}


@pytest.fixture
def extended(registry):
    registry.manager.register(Plugin(), "colours")
    return registry


# Measuring.


def measured(registry, names, made, real=None, **options):
    return {m.name: m for m in measure(choose_metrics(registry, names), made, real, **options)}


def test_identical_sets(registry):
    rows = Features(pooled=torch.randn(400, 6, generator=torch.Generator().manual_seed(0)))
    found = measured(registry, ["fid", "kid", "precision", "recall", "coverage"], rows, rows)
    assert found["fid"].value == pytest.approx(0, abs=1e-9)
    assert abs(found["kid"].value) < 0.05
    assert [found[n].value for n in ("precision", "recall", "coverage")] == [1, 1, 1]
    for each in found.values():
        assert each.low <= each.value <= each.high


def test_metrics_doubt_small_sets_and_say_why(registry):
    def doubts(n, size=4, classes=3):
        generator = torch.Generator().manual_seed(n)
        rows = Features(*(torch.randn(n, k, generator=generator) for k in (size, size, classes)))
        names = ["fid", "sfid", "kid", "precision", "density", "is"]
        found = measured(registry, names, rows, rows, rounds=0)
        return {name: each.warning for name, each in found.items()}

    few = doubts(12, size=16)
    assert "n = 12 is below 10 times its 16 features: its covariance has rank 11" in few["fid"]
    assert "use kid" in few["sfid"] and "interval is wide" in few["kid"]
    assert "equal n" in few["precision"] and "10 times its 3 classes" in few["is"]
    assert "5-nearest" in few["density"]
    assert set(doubts(1001).values()) == {""}


def test_the_usual_metrics_come_first_and_others_after(extended):
    assert list(choose_metrics(extended))[:3] == ["fid", "sfid", "kid"]
    assert list(choose_metrics(extended))[-1] == "brightness"
    assert list(choose_metrics(extended, ["kid", "fid"])) == ["kid", "fid"]


# The whole of it.


def test_a_model_is_measured_again_to_the_byte(extended, tmp_path):
    """The same call gives the same report, makes nothing twice, and leaves a page."""
    stages = []
    one, two = (
        artdiff.evaluate(
            "tiny", "blobs", n=12, registry=extended, out=tmp_path / "out", **FAST,
            on_progress=lambda stage, done, total: stages.append((stage, done, total)),
        )
        for _ in range(2)
    )
    assert one == two and isinstance(one, Evaluation)
    assert stages.index(("pictures", 12, 12)) == 12 and stages.count(("pictures", 12, 12)) == 2
    facts = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert facts == one.record()
    assert facts["n"] == 12 == facts["real"] and facts["seed"] == 0
    assert facts["sampler"]["name"] == "dpmpp_2m" and facts["sampler"]["steps"] == 4
    assert facts["guidance"]["scale"] == 2.0 and len(facts["model"]["hash"]) == 16
    assert facts["features"]["name"] == "starter" and len(facts["features"]["hash"]) == 16
    assert re.fullmatch(r"blobs-[0-9a-f]{12}:0-12@32", facts["against"])
    assert {"artdiff", "torch", "numpy"} <= set(facts["versions"])
    assert set(facts["metrics"]) == {
        "fid", "sfid", "kid", "precision", "recall", "density", "coverage", "brightness"
    }
    assert "rank 11 at most" in facts["metrics"]["fid"]["warning"]
    page = (tmp_path / "out" / "evaluation.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert not re.search(r"https?://|<script|<link|@import", page)


def test_an_evaluation_that_was_killed_goes_on(extended, tmp_path):
    def stop(stage, done, total):
        if (stage, done) == ("pictures", 6):
            raise KeyboardInterrupt

    arguments = ("tiny", "blobs")
    options = {"n": 10, "registry": extended, **FAST}
    with pytest.raises(KeyboardInterrupt):
        artdiff.evaluate(*arguments, **options, out=tmp_path / "a", on_progress=stop)
    assert len(list((tmp_path / "a" / "pictures").glob("*.png"))) == 6
    seen = []
    resumed = artdiff.evaluate(
        *arguments, **options, out=tmp_path / "a",
        on_progress=lambda stage, done, total: seen.append(done) if stage == "pictures" else None,
    )
    assert seen == [6, 7, 8, 9, 10]
    assert resumed == artdiff.evaluate(*arguments, **options, out=tmp_path / "b")
    for path in sorted((tmp_path / "b" / "pictures").glob("*.png")):
        assert path.read_bytes() == (tmp_path / "a" / "pictures" / path.name).read_bytes()


def test_a_folder_of_other_pictures_is_not_mixed(extended, tmp_path):
    options = {"n": 4, "metrics": ["kid"], "registry": extended, "out": tmp_path / "a", **QUICK}
    artdiff.evaluate("tiny", "blobs", **options)
    with pytest.raises(artdiff.FrameError, match=r"seed: 0 there, 1 here.*--fresh"):
        artdiff.evaluate("tiny", "blobs", seed=1, **options)
    fresh = artdiff.evaluate("tiny", "blobs", seed=1, fresh=True, **options)
    assert fresh.facts["seed"] == 1


def test_pictures_that_are_there_give_the_numbers_of_their_model(extended, tmp_path):
    made = artdiff.evaluate("tiny", "blobs", n=12, registry=extended, out=tmp_path / "m", **QUICK)
    folder = save_real(tmp_path / "real", 12)
    options = {k: v for k, v in QUICK.items() if k != "settings"}
    there = artdiff.evaluate(
        tmp_path / "m" / "pictures", folder, registry=extended, out=tmp_path / "f", **options
    )
    assert there.measured == made.measured
    assert there.facts["pictures"].startswith("folder-") and "sampler" not in there.facts


def save_real(folder, count, size=32):
    """The first blobs, as they are compared with a model of this size."""
    from artdiff.train.data import square

    blobs = Blobs(Blobs.Options())
    folder.mkdir()
    for index in range(count):
        Image.fromarray(square(blobs.picture(index), size)).save(folder / f"{index:03d}.png")
    return folder


def test_the_model_of_a_folder_is_measured(extended, tiny_folder, tmp_path):
    options = {"n": 4, "metrics": ["kid"], "registry": extended, **QUICK}
    here = artdiff.evaluate(tiny_folder, "blobs", out=tmp_path / "a", **options)
    named = artdiff.evaluate("tiny", "blobs", out=tmp_path / "b", **options)
    assert here.subject.startswith("tiny-") and here.facts["model"]["hash"] in here.facts[
        "model"]["hash"]
    assert here.measured == named.measured


def test_prompts_repeat_and_reach_the_pictures(extended, tmp_path):
    file = tmp_path / "prompts.txt"
    file.write_text("a red fox\n\n  a blue cat <script>\n", encoding="utf-8")
    done = artdiff.evaluate(
        "tiny", prompts=file, n=5, features="mean_colour", registry=extended, bootstrap=0,
        out=tmp_path / "out", settings={"sampler.steps": 1},
    )
    pictures = FolderPictures.open(tmp_path / "out" / "pictures")
    said = ["a red fox", "a blue cat <script>"] * 3
    assert texts_of(pictures) == said[:5]
    assert [m.name for m in done.measured] == ["clip", "brightness"]
    assert 0 <= done.value("clip") <= 100 and done.measured[0].low is None
    again = artdiff.evaluate(
        tmp_path / "out" / "pictures", features="mean_colour", registry=extended, bootstrap=0,
        out=tmp_path / "again",
    )
    assert again.value("clip") == done.value("clip")
    page = (tmp_path / "out" / "evaluation.html").read_text()
    assert "a blue cat &lt;script&gt;" in page and "<script" not in page


def test_the_default_folder_names_the_settings(extended, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = {"n": 4, "metrics": ["kid"], "registry": extended, **QUICK}
    one = artdiff.evaluate("tiny", "blobs", **options)
    two = artdiff.evaluate("tiny", "blobs", seed=3, **options)
    assert one.folder != two.folder and one.folder.parent.name == "evaluations"
    assert artdiff.evaluate("tiny", "blobs", **options).folder == one.folder
    few = artdiff.evaluate("tiny", "blobs", **options)
    assert few.measured[0].low is None and any("fewer than 10" in note for note in few.notes)


@pytest.mark.parametrize(("arguments", "said"), [
    ({"subject": "tinny"}, "tinny: neither a model nor a folder; did you mean 'tiny'"),
    ({"metrics": ["fidd"]}, "unknown metric 'fidd'; did you mean 'fid'"),
    ({"metrics": ["is"]}, "--metrics is: these features have no logits part"),
    ({"metrics": ["clip"]}, "--metrics clip: these features have no aligned part"),
    ({"metrics": ["fid"], "against": None}, "--metrics fid: it compares with real pictures"),
    ({"metrics": ["precision"], "n": 2}, "--metrics precision: it needs 4 pictures, not 2"),
    ({"features": "inceptoin"}, "unknown feature extractor 'inceptoin'; did you mean 'incep"),
    ({"features": "inception"}, "inception needs its weights, which are not downloaded"),
    ({"feature_options": {"sise": 64}}, "starter.sise: unknown key; did you mean 'size'"),
    ({"feature_options": {"size": 65}}, "starter.size"),
    ({"dataset_options": {"size": 1}}, "blobs.size"),
    ({"against": "scenery"}, "--against scenery: neither a dataset nor a folder"),
    ({"n": 0}, "-n must be 1 or more"),
    ({"bootstrap": -1}, "--bootstrap must be 0 or more"),
    ({"settings": {"sampler.name": "eulr"}}, "unknown sampler 'eulr'; did you mean 'euler'"),
    ({"settings": {"frames.count": 3}}, "use -n"),
    ({"prompts": "missing.txt"}, "missing.txt: cannot be read as prompts"),
    ({"real": 16}, "--real 16: 15 pictures of blobs are held out"),
    ({"against": None, "dataset_options": {"size": 64}}, "-d size: an option of a dataset"),
])
def test_mistakes_are_found_before_a_picture_is_made(extended, tmp_path, monkeypatch, arguments,
                                                     said):
    monkeypatch.chdir(tmp_path)
    given = {"subject": "tiny", "against": "blobs", "n": 4, **arguments}
    with pytest.raises(ArtdiffError) as error:
        artdiff.evaluate(**given, registry=extended)
    assert said in str(error.value) and "\n" not in str(error.value)
    assert not list(tmp_path.rglob("*.png"))


def test_pictures_alone_are_not_enough_for_these_features(registry, tmp_path):
    folder = save_pictures(tmp_path / "set", 4)
    with pytest.raises(artdiff.PresetError, match=r"nothing can be measured.*give --against"):
        artdiff.evaluate(folder, registry=registry)


def test_pictures_have_no_settings(extended, tmp_path):
    folder = save_pictures(tmp_path / "set", 4)
    with pytest.raises(artdiff.PresetError, match="settings of a model"):
        artdiff.evaluate(folder, "blobs", settings=["sampler.steps=3"], registry=extended)


@pytest.mark.parametrize("file", ["model.safetensors", "checkpoint-00000040.safetensors"])
def test_a_training_run_is_no_set_of_pictures(extended, tmp_path, monkeypatch, file):
    monkeypatch.chdir(tmp_path)
    save_pictures(tmp_path / "runs" / "x" / "samples", 4)
    (tmp_path / "runs" / "x" / file).write_bytes(b"weights")
    said = "runs/x is a training run; `artdiff models add runs/x` makes it a model"
    for subject, against in (("runs/x", "blobs"), ("tiny", "runs/x")):
        with pytest.raises(ArtdiffError, match=re.escape(said)):
            artdiff.evaluate(subject, against, n=4, registry=extended)
    assert len(open_pictures(tmp_path / "runs" / "x" / "samples")) == 4


def test_a_card_says_what_its_model_is_compared_with(extended, tiny_folder, tmp_path):
    folder = shutil.copytree(tiny_folder, tmp_path / "mine")
    with (folder / "card.toml").open("a") as card:
        card.write('\n[facts]\ndataset = "blobs"\nheld_out = 5\n')
        card.write("dataset_options = { size = 96 }\n")
    plan = find_subject(extended, str(folder), 12, 0, ()).plan

    def real(against=None, options=None, count=None):
        return find_real(extended, plan, 12, against, options or {}, count)

    for against in (None, "blobs"):
        pictures = real(against)
        assert len(pictures) == 5 and pictures.dataset.options.size == 96
    assert real(options={"size": 64}).dataset.options.size == 64
    assert len(real(count=3)) == 3
    with pytest.raises(PresetError, match="--real 6: 5 pictures of blobs are held out"):
        real(count=6)


def test_pictures_have_no_options_and_are_not_fewer_than_asked(extended, tmp_path):
    folder = save_pictures(tmp_path / "set", 4)
    with pytest.raises(PresetError, match="options of a dataset, but these are pictures"):
        find_real(extended, None, 4, folder, {"size": 64}, None)
    with pytest.raises(PresetError, match=r"--real 2000: .*set holds 4 pictures"):
        find_real(extended, None, 4, folder, {}, 2000)


def test_a_caption_that_is_no_text_is_named(tmp_path):
    folder = save_pictures(tmp_path / "set", 1)
    (folder / "000.txt").write_bytes(b"caf\xe9")
    with pytest.raises(artdiff.FrameError, match=r"000\.txt: cannot be read as UTF-8"):
        FolderPictures.open(folder).text(0)


# The report.


def test_the_table_says_each_warning_once():
    facts = {"bootstrap": {"share": 0.95}}
    report = Evaluation("x", (
        Measured("fid", 123.456, 100.0, 150.0, "lower", "too few"),
        Measured("precision", 0.5, None, None, "higher", "wide"),
        Measured("recall", 0.25, None, None, "higher", "wide"),
    ), facts, ("a note",))
    lines = report.table().splitlines()
    assert lines[0].split() == ["metric", "value", "95%", "interval", "better"]
    assert lines[1].split() == ["fid", "123.5", "100.0", "..", "150.0", "lower"]
    assert lines[4:] == ["Note: a note", "Note: fid: too few", "Note: precision, recall: wide"]
    assert report.value("recall") == 0.25
    with pytest.raises(artdiff.PluginError, match="'kid' was not measured; did you mean 'fid'"):
        report.value("kid")


@pytest.mark.parametrize(("value", "text"), [
    (0, "0.000"), (1, "1.000"), (0.00012345, "0.0001234"), (1.2e-7, "0.000000"), (1234.5, "1234"),
    (-2.5, "-2.500"), (1.5e7, "1.500e+07"),
])
def test_numbers_are_short(value, text):
    assert number(value) == text


# The command.


def test_the_command(tiny_plugin, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["evaluate", "tiny", "--against", "scenes", "-n", "4", "--metrics", "kid,precision",
             "-f", "size=64", "--steps", "1", "--guidance", "1.5", "--sampler", "euler",
             "--seed", "7", "-o", "out", "--plugin", str(tiny_plugin)]
    with pytest.raises(SystemExit) as done:
        main(words)
    out = capsys.readouterr()
    assert done.value.code == 0, out.err
    lines = out.out.splitlines()
    assert [line.split()[0] for line in lines[1:3]] == ["kid", "precision"] and lines[-1] == "out"
    facts = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert (facts["sampler"]["name"], facts["sampler"]["steps"], facts["seed"]) == ("euler", 1, 7)
    assert facts["guidance"]["scale"] == 1.5 and facts["features"]["options"]["size"] == 64


@pytest.mark.parametrize(("words", "said"), [
    (["evaluate"], "Missing argument 'MODEL_OR_FOLDER'"),
    (["evaluate", "starter", "-n", "0"], "-n"),
    (["evaluate", "starter", "-f", "size"], "write KEY=VALUE"),
    (["evaluate", "nothing-here"], "Error: nothing-here: neither a model nor a folder"),
])
def test_the_command_refuses_in_one_line(words, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as done:
        main(words)
    assert done.value.code == 2 and said in capsys.readouterr().err
