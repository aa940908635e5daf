"""Classifier guidance: Bayes' rule exactly, labels by name, classifiers of latents in small."""

import math
import tomllib
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from training import Shapes, codec_recipe, parse_recipe, pixel_recipe, validations

from artdiff import Noise, create_registry, guide
from artdiff.backends.unet import NoisyClassifier, helper, load_classifier
from artdiff.denoise import GaussianDenoiser, MixtureDenoiser, bind
from artdiff.errors import ModelError, PresetError
from artdiff.grid import levels
from artdiff.guidance.guide import Term
from artdiff.guidance.setup import Setup
from artdiff.importers.add import add
from artdiff.model import ModelCard
from artdiff.noise import Flow, Level, VPLinear
from artdiff.plan.resolve import resolve
from artdiff.preset.draft import Draft, override
from artdiff.sample import sample
from artdiff.samplers import Heun
from artdiff.testing import check_guidance, toy_setup
from artdiff.train import loop
from artdiff.train.examples import read_labels
from artdiff_plugins.classifier_guidance.target import Wanted, read_target
from artdiff_plugins.classifier_guidance.term import ClassifierGuidance

CPU = (torch.device("cpu"), torch.float32)
NOISE = Noise(range(4))
MEANS = torch.tensor([[-1.0, 0.5], [1.2, 0.3], [0.1, -1.5]], dtype=torch.double).reshape(
    3, 2, 1, 1
)
STDS = torch.tensor([0.3, 0.5, 0.4], dtype=torch.double)
SHARES = torch.tensor([0.2, 0.5, 0.3], dtype=torch.double)
MIXTURE = MixtureDenoiser(MEANS, STDS, SHARES)
HEADS = {
    "time": {"day": 0, "night": 1, "none": 2},
    "scene": {"lake": 3, "sea": 4, "none": 5},
}


def exact(x, at):
    """Logits of which component of the mixture a noisy sample comes from, (B, 3)."""
    var = at.alpha**2 * STDS**2 + at.sigma**2
    away = (x[:, None] - at.alpha * MEANS).square().sum((2, 3, 4))
    return SHARES.log() - away / (2 * var) - var.log()


def led_to(classes, weight=1.0, classifier=exact):
    """The term of the plugin with a classifier of ours in it."""
    term = object.__new__(ClassifierGuidance)
    term.wanted = (Wanted((0, 1, 2), classes, weight),)
    term._classifier = lambda device: lambda x, at: classifier(x.double(), at)
    term.loss = lambda x, at, noise: sum(wish.surprise(classifier(x, at)) for wish in term.wanted)
    return Term(term.loss, 1.0, sees=ClassifierGuidance.sees)


def component(k):
    return GaussianDenoiser(MEANS[k], STDS[k] ** 2)


@pytest.mark.parametrize("at", levels(VPLinear(), 5)[:-1] + levels(Flow(), 5)[1:-1])
@pytest.mark.parametrize("k", [0, 1, 2])
def test_an_exact_classifier_makes_the_denoiser_of_its_class(at, k):
    """Bayes' rule: a mixture led to one component, weight 1, is that component, everywhere."""
    x = NOISE.normal(torch.empty(4, 2, 1, 1, dtype=torch.double), "x") * 1.5
    guided = guide(MIXTURE, [led_to((k,))], noise=NOISE)(x, at, {})
    torch.testing.assert_close(guided, component(k)(x, at, {}))


@pytest.mark.parametrize("at", levels(Flow(), 4)[1:-1])
def test_any_of_two_and_none_of_one_are_the_same_mixture(at):
    x = NOISE.normal(torch.empty(4, 2, 1, 1, dtype=torch.double), "x") * 1.5
    rest = MixtureDenoiser(MEANS[1:], STDS[1:], SHARES[1:])(x, at, {})
    for wish in (led_to((1, 2)), led_to((0,), -1.0)):
        found = guide(MIXTURE, [wish], noise=NOISE)(x, at, {})
        torch.testing.assert_close(found, rest, rtol=1e-3, atol=1e-3)


def test_samples_have_the_distribution_of_the_class():
    """The flow carries N(0, 1) to the component: each sample lands at its own quantile."""
    grid = levels(VPLinear(), 120)
    unit = torch.tensor([[-1.5, 0.5], [0.0, 0.0], [1.0, -1.0], [2.0, 1.5]]).reshape(4, 2, 1, 1)
    denoise = bind(guide(MIXTURE, [led_to((2,))], noise=NOISE), {})
    *_, last = sample(Heun(), denoise, unit.double() * grid[0].sigma, grid, NOISE)
    torch.testing.assert_close(last.x, MEANS[2] + unit * STDS[2], rtol=0, atol=0.03)


def test_it_is_algorithm_2_of_the_paper():
    r"""eps' = eps - sqrt(1 - alpha-bar) grad log p(y | x), arXiv 2105.05233, Eq. 14."""
    kept = torch.tensor(0.3, dtype=torch.double)
    at = Level(kept.sqrt(), (1 - kept).sqrt())
    x = NOISE.normal(torch.empty(4, 2, 1, 1, dtype=torch.double), "x")
    table = torch.linspace(-1, 1, 6, dtype=torch.double).reshape(2, 3)

    def some(x, at):
        return torch.tanh(x.flatten(1)) @ table

    scale = 2.5
    leaf = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(some(leaf, at).log_softmax(1)[:, 1].sum(), leaf)
    eps = (x - at.alpha * MIXTURE(x, at, {})) / at.sigma
    wanted = (x - at.sigma * (eps - (1 - kept).sqrt() * scale * slope)) / at.alpha
    term = replace(led_to((1,), classifier=some), weight=scale)
    for through in ("denoiser", "x0"):
        guided = guide(MIXTURE, [term], noise=NOISE, through=through)(x, at, {})
        torch.testing.assert_close(guided, wanted)


def test_several_heads_are_judged_apart():
    logits = NOISE.normal(torch.empty(4, 6, dtype=torch.double), "logits")
    wishes = read_target({"night": 1.0, "lake": 0.5}, HEADS, "c")
    found = sum(wish.surprise(logits) for wish in wishes)
    time, scene = logits[:, :3].log_softmax(1), logits[:, 3:].log_softmax(1)
    torch.testing.assert_close(found, -time[:, 1] - 0.5 * scene[:, 0])


def test_what_is_surely_seen_may_be_unwanted():
    logits = torch.tensor([[200.0, 0.0, 0.0]], requires_grad=True)
    value = Wanted((0, 1, 2), (0,), -1.0).surprise(logits)
    assert float(value.detach()) == pytest.approx(-math.log(1e-6), rel=1e-3)
    assert torch.autograd.grad(value.sum(), logits)[0].isfinite().all()


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        ("night", [(1,)]),
        ("time:night", [(1,)]),
        ("day|night", [(0, 1)]),
        (4, [(4,)]),
        ("4", [(4,)]),
        (["night", "sea"], [(1,), (4,)]),
        ({"night": 2.0, "scene:none": -1.0}, [(1,), (5,)]),
    ],
)
def test_targets(target, wanted):
    assert [wish.classes for wish in read_target(target, HEADS, "c")] == wanted


def test_digits_in_a_text_are_a_name_before_they_are_a_number():
    digits = {"digit": {name: number for number, name in enumerate(sorted(map(str, range(12))))}}
    for target, wanted in (("2", 4), (2, 2), ("digit:2", 4), ("10", 2)):
        assert read_target(target, digits, "c")[0].classes == (wanted,)
    assert read_target("2|11", digits, "c")[0].classes == (4, 3)
    with pytest.raises(PresetError, match="has the classes 0 to 11, not 12"):
        read_target("12", digits, "c")


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("nigth", "the classifier 'c' knows no label 'nigth'; did you mean 'night'?"),
        ("castle", "knows no label 'castle'; it has 6, such as day, lake"),
        ("none", "'none' may be 'time:none' or 'scene:none'; say which"),
        ("time:nite", "knows no time 'nite'; did you mean 'night'?"),
        (6, "has the classes 0 to 5, not 6"),
        (-1, "not -1"),
        ("-1", "not -1"),
        ("--5", "knows no label '--5'"),
        ("night|lake", "labels of different heads"),
        ("day|night|time:none", "names all classes there are"),
        ([], "names no label"),
    ],
)
def test_wrong_targets(target, said):
    with pytest.raises(PresetError) as error:
        read_target(target, HEADS, "c")
    assert said in str(error.value) and "\n" not in str(error.value)


class Sided(Shapes):
    """With an attribute that is a list of few values."""

    def attributes(self, index):
        facts = super().attributes(index)
        return facts | {"sides": ["left" if place < 0.5 else "right" for place in facts["at"]]}


@pytest.mark.parametrize(
    "setting",
    ["target=true", "target=1.5", "target={'3'=1.0}", "target=[1.5]", "classifier='../x'"],
)
def test_wrong_options_are_one_line(setting):
    registry = create_registry()
    settings = ["terms.classifier.target=night", f"terms.classifier.{setting}"]
    with pytest.raises(PresetError, match=r"terms\.classifier\.") as error:
        resolve(override(Draft("look", {"prompt": "a fox"}, {}), settings), registry)
    assert "\n" not in str(error.value)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder of models: a codec of shapes, and a classifier of its noisy latents."""
    folder = tmp_path_factory.mktemp("models")
    codec = loop.train(codec_recipe(8), Shapes(), folder / "runs/codec")
    data = {"dataset": "shapes", "count": 96, "held_out": 16, "workers": 0}
    model = {"width": 32, "multipliers": [1, 2], "blocks": 1, "attention": [2]}
    table = {
        "codec": str(codec), "heads": ["shape", "ground", "sides.0"], "betas": "cosine",
        "model": model | {"head_channels": 16}, "validation": 16, "steps": 100,
    }  # fmt: skip
    recipe = pixel_recipe("classifier", steps=40, table=table, data=data, batch=16)
    loop.train(recipe, Sided(), folder / "runs/judge")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARTDIFF_MODELS", str(folder))
        add(folder / "runs/judge", "judge", None)
    return folder, codec


@pytest.fixture
def setup(trained, monkeypatch):
    """A model of these latents, whose card names the classifier."""
    folder, codec = trained
    monkeypatch.setenv("ARTDIFF_MODELS", str(folder))
    toy = toy_setup(32)
    place = folder / "shapes"
    place.mkdir(exist_ok=True)
    (place / "codec.safetensors").write_bytes(codec.read_bytes())
    card = ModelCard("shapes", "toy", place, facts={"classifier": "judge"})
    latent = SimpleNamespace(channels=4, factor=4, decode=lambda x: x, encode=lambda x: x)
    return Setup(replace(toy.model, codec=latent, card=card), 32, 32)


def test_one_network_learns_several_attributes_of_latents(trained):
    folder, _ = trained
    classifier = load_classifier(ModelCard.read(folder / "judge"), *CPU)
    assert list(classifier.heads) == ["shape", "ground", "sides.0"]
    assert list(classifier.heads["sides.0"]) == ["left", "right"]
    numbers = [n for head in classifier.heads.values() for n in head.values()]
    assert numbers == list(range(8)) == list(range(classifier.facts.network.classes))
    assert validations(folder / "runs/judge", "ground/t = 0")[-1] > 0.6  # chance is 0.25
    x = Noise([1, 2]).normal(torch.empty(2, 4, 8, 8), "x")
    for at in (Flow()(torch.tensor(t, dtype=torch.double)) for t in (0.0, 0.4, 1.0)):
        assert classifier(x, at).shape == (2, 8) and classifier(x, at).isfinite().all()
    flow = Flow()(torch.tensor(0.4, dtype=torch.double))
    norm = torch.hypot(*flow)
    same = Level(flow.alpha / norm, flow.sigma / norm)
    torch.testing.assert_close(classifier(x, flow), classifier(x / norm, same))


@pytest.mark.parametrize("target", ["disc", {"red": 1.0, "left": -0.5}, "red|blue"])
def test_the_term_keeps_what_artdiff_relies_on(setup, target):
    findings = check_guidance(ClassifierGuidance, {"target": target}, setup=setup)
    assert [str(f) for f in findings if f.check != "half"] == []


def test_the_gradient_leads_to_the_label(setup):
    term = ClassifierGuidance(ClassifierGuidance.Options(target="ground:red"), setup)
    at = Flow()(torch.tensor(0.5, dtype=torch.double))
    x = Noise([1, 2, 3]).normal(torch.empty(3, 4, 8, 8), "x")
    before = term.loss(x, at, NOISE)
    for _ in range(5):
        leaf = x.requires_grad_()
        (slope,) = torch.autograd.grad(term.loss(leaf, at, NOISE).sum(), leaf)
        x = (leaf - 0.05 * slope / slope.square().mean().sqrt()).detach()
    assert (term.loss(x, at, NOISE) < before).all()


def test_it_is_offered_and_named(setup):
    assert create_registry().get("guidance", "classifier") is ClassifierGuidance
    term = ClassifierGuidance(ClassifierGuidance.Options(target="red", classifier="judge"), setup)
    assert term.card.name == "judge" and isinstance(term._classifier(CPU[0]), NoisyClassifier)


def test_a_classifier_that_does_not_fit_is_refused(setup, trained, tmp_path):
    options = ClassifierGuidance.Options(target="red")
    pixels = Setup(replace(setup.model, codec=toy_setup(32).model.codec), 32, 32)
    with pytest.raises(PresetError, match=r"sees latents of 4 channels, .* have 3"):
        ClassifierGuidance(options, pixels)
    wide = Setup(setup.model, 32, 64)
    with pytest.raises(PresetError, match="'judge' sees pictures of 32x32 only, not 64x32"):
        ClassifierGuidance(options, wide)
    other = replace(setup.model.card, folder=tmp_path)
    (tmp_path / "codec.safetensors").write_bytes(b"another one")
    with pytest.raises(ModelError, match=r"trained on latents of the codec .*; train it anew"):
        helper(other, "classifier")
    with pytest.raises(ModelError, match="'gone', which is not there"):
        helper(setup.model.card, "classifier", "gone")


def test_a_helper_may_lie_in_the_folder_of_its_model(setup, trained, monkeypatch):
    folder, _ = trained
    inside = Path(setup.model.card.folder) / "inside"
    inside.mkdir(exist_ok=True)
    for name in ("card.toml", "model.safetensors"):
        (inside / name).write_bytes((folder / "judge" / name).read_bytes())
    assert helper(setup.model.card, "classifier", "inside").folder == inside


@pytest.mark.parametrize(
    ("table", "data", "said"),
    [
        ({"heads": ["shape"]}, {"label": "ground"}, "give data.label or classifier.heads"),
        ({}, {"label": None}, "a classifier needs data.label"),
        ({"heads": ["shape", "shape"]}, {"label": None}, "two heads are the same"),
        ({"heads": ["shape"], "codec": "x"}, {"label": None, "flip": True}, "cannot be mirrored"),
    ],
)
def test_wrong_recipes(table, data, said):
    base = {"dataset": "shapes", "count": 96, "held_out": 16, "workers": 0, "size": 8}
    with pytest.raises(PresetError, match=said):
        pixel_recipe("classifier", table=table, data=base | data)


def test_missing_codecs_and_attributes(tmp_path):
    base = {"dataset": "shapes", "count": 96, "held_out": 16, "workers": 0, "size": 8}
    gone = pixel_recipe("classifier", table={"heads": ["shape"], "codec": "gone"}, data=base)
    with pytest.raises(PresetError, match=r"classifier\.codec: there is no file gone"):
        loop.train(gone, Shapes(), tmp_path / "gone")
    for name, said in (("shap", "did you mean 'shape'"), ("at", "is not one value")):
        with pytest.raises(PresetError, match=said):
            read_labels(Shapes(), name, 8, tmp_path)
    with pytest.raises(PresetError, match=r"no attribute 'shape\.0'"):
        read_labels(Shapes(), "shape.0", 8, tmp_path)


def test_the_shipped_recipe_parses():
    text = files("artdiff.train").joinpath("recipes/starter-classifier.toml").read_text("utf-8")
    recipe = parse_recipe(tomllib.loads(text))
    assert "time" in recipe.classifier.heads and recipe.classifier.codec is not None
