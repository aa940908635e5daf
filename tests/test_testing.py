"""The conformance kit: its oracles are exact, and each check catches a plugin that is bad."""

import math
import random
import re
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from pydantic import BaseModel, Field

from artdiff.denoise import GaussianDenoiser, MixtureDenoiser, bind
from artdiff.grid import levels
from artdiff.guidance.guide import Term, guide
from artdiff.noise import EDM, Flow, Level, VPCosine, VPLinear
from artdiff.random import Noise
from artdiff.sample import sample, transfer
from artdiff.samplers import SAMPLERS, Euler, Heun
from artdiff.testing import (
    QuadraticLoss,
    check_dataset,
    check_effect,
    check_feature_extractor,
    check_frame_source,
    check_grid,
    check_guidance,
    check_metric,
    check_plugin,
    check_sampler,
    exact_path,
    gradient_error,
    guided_posterior,
    marginal_loss,
    measured_order,
)

SHAPE = (1, 2, 3)


def doubles(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


GAUSSIAN = GaussianDenoiser(doubles(0, *SHAPE), doubles(1, *SHAPE).square() + 0.2)
MIXTURE = MixtureDenoiser(
    doubles(2, 3, *SHAPE), torch.tensor([0.3, 0.8, 0.0]), torch.tensor([1.0, 2.0, 1.0])
)
ELEMENTWISE = QuadraticLoss(doubles(3, *SHAPE), doubles(4, *SHAPE), 2.5)
LINEAR = QuadraticLoss(doubles(5, 4, 6), doubles(6, 4), 0.7)
LOSSES = pytest.mark.parametrize("loss", [ELEMENTWISE, LINEAR], ids=["elementwise", "linear"])
LEVELS = [schedule(torch.tensor(t, dtype=torch.double))
          for schedule in (VPLinear(), VPCosine(), Flow(), EDM())
          for t in (0.02, 0.4, 0.97)]  # fmt: skip


# ---- oracles ----


@LOSSES
def test_posterior_of_a_gaussian_by_the_textbook(loss):
    matrix = loss.operator if loss.is_matrix else torch.diag(loss.operator.flatten())
    target = loss.target.flatten()
    precision = torch.diag(1 / GAUSSIAN.var.flatten()) + loss.weight * matrix.mT @ matrix
    pull = (GAUSSIAN.mean / GAUSSIAN.var).flatten() + loss.weight * matrix.mT @ target
    found = guided_posterior(GAUSSIAN, loss)
    torch.testing.assert_close(found.covariance, torch.linalg.inv(precision))
    torch.testing.assert_close(found.mean.flatten(), torch.linalg.solve(precision, pull))


@LOSSES
def test_guiding_a_gaussian_is_its_posterior_at_every_level(loss):
    """`guide` through the denoiser, with the exact loss, is exact; so both are right."""
    posterior, noise = guided_posterior(GAUSSIAN, loss), Noise([1, 2, 3])
    guided = guide(GAUSSIAN, [Term(marginal_loss(GAUSSIAN, loss))], noise=noise)
    for number, at in enumerate(LEVELS):
        x = at.sigma * doubles(number, 3, *SHAPE) + at.alpha
        want = posterior(x, at, {})
        torch.testing.assert_close(guided(x, at, {}), want, rtol=1e-9, atol=1e-9)
        if at.fraction > 0.5:  # and without the level's own spread it is not
            plain = guide(GAUSSIAN, [Term(loss)], noise=noise)(x, at, {})
            assert (plain - want).abs().max() > 0.01


@LOSSES
@pytest.mark.parametrize("prior", [GAUSSIAN, MIXTURE], ids=["gaussian", "mixture"])
def test_mean_covariance_and_denoiser_by_importance_sampling(prior, loss):
    count, small = 400_000, QuadraticLoss(loss.operator / 2, loss.target / 2, 0.5)
    if prior is GAUSSIAN:
        x0 = prior.mean + prior.var.sqrt() * doubles(7, count, *SHAPE)
    else:
        generator = torch.Generator().manual_seed(8)
        kind = torch.multinomial(prior.weights, count, replacement=True, generator=generator)
        x0 = prior.means[kind] + prior.stds[kind].reshape(-1, 1, 1, 1) * doubles(9, count, *SHAPE)
    logs, flat, posterior = -small(x0), x0.flatten(1), guided_posterior(prior, small)
    weights = logs.softmax(0)
    mean = weights @ flat
    assert (mean - posterior.mean.flatten()).abs().max() < 0.02
    covariance = (flat - mean).mT @ (weights[:, None] * (flat - mean))
    assert (covariance - posterior.covariance).abs().max() < 0.04
    drawn = posterior.draw(100_000).flatten(1)
    assert (drawn.mean(0) - posterior.mean.flatten()).abs().max() < 0.02
    assert (drawn.mT.cov() - posterior.covariance).abs().max() < 0.04
    at = VPCosine()(torch.tensor(0.7, dtype=torch.double))
    x = doubles(10, 1, *SHAPE)
    seen = logs - (x - at.alpha * x0).square().flatten(1).sum(1) / (2 * at.sigma**2)
    want = seen.softmax(0) @ flat
    assert (posterior(x, at, {}).flatten() - want).abs().max() < 0.04


def test_posterior_is_finite_at_both_ends():
    posterior, x = guided_posterior(MIXTURE, LINEAR), doubles(11, 2, *SHAPE)
    zero, one = torch.zeros((), dtype=torch.double), torch.ones((), dtype=torch.double)
    noise = posterior(x, Level(zero, one), {})
    torch.testing.assert_close(noise, posterior.mean.expand(2, *SHAPE))
    point = QuadraticLoss(torch.ones(SHAPE), torch.zeros(SHAPE))
    spread = guided_posterior(GAUSSIAN, point)
    torch.testing.assert_close(spread(x, Level(one, zero), {}), x)
    assert posterior(x.float(), Level(one, zero), {}).dtype == torch.float32


def test_sampling_the_posterior_gives_its_distribution():
    posterior = guided_posterior(MIXTURE, ELEMENTWISE)
    grid = levels(VPCosine(), 60)
    x = doubles(12, 3000, *SHAPE) * grid[0].sigma
    for step in sample(Heun(), bind(posterior, {}), x, grid, Noise(range(3000))):
        x = step.x
    assert (x.mean(0) - posterior.mean).abs().max() < 0.07
    assert (x.flatten(1).mT.cov() - posterior.covariance).abs().max() < 0.07


@pytest.mark.parametrize("wrong", [
    lambda: QuadraticLoss(torch.ones(2, 6), torch.ones(3)),
    lambda: QuadraticLoss(torch.ones(SHAPE), torch.ones(SHAPE), 0.0),
    lambda: guided_posterior(GAUSSIAN, QuadraticLoss(torch.ones(2, 5), torch.ones(2))),
])  # fmt: skip
def test_sizes_must_agree(wrong):
    with pytest.raises(ValueError):
        wrong()


def test_gradient_error_and_measured_order():
    def honest(x):
        return (x.sin() * x).flatten(1).sum(1)

    def lazy(x):
        return (x.sin() * x.detach()).flatten(1).sum(1)

    x0 = doubles(13, 2, 3, 8, 8)
    assert gradient_error(honest, x0) < 1e-6
    assert gradient_error(lazy, x0) > 0.1
    assert measured_order(Euler(), Flow()) == pytest.approx(1, abs=0.2)
    assert measured_order(Heun(), Flow()) == pytest.approx(2, abs=0.3)
    a, b = LEVELS[2], LEVELS[1]
    there = exact_path(GAUSSIAN, x0[:, :1, :2, :3], a, b)
    torch.testing.assert_close(exact_path(GAUSSIAN, there, b, a), x0[:, :1, :2, :3])


# ---- guidance ----


class Options(BaseModel, extra="forbid"):
    target: float = Field(0.2, description="Where to.")


class Good:
    Options = Options

    def __init__(self, options, setup):
        self.options, self.setup = options, setup

    def loss(self, x0, at, noise):
        shift = noise.uniform(x0[:, :1, :1, :1], "good.shift")
        return ((self.setup.decode(x0) - self.options.target - shift / 9) ** 2).mean((1, 2, 3))


class MixesRows(Good):
    def loss(self, x0, at, noise):
        return ((x0 - x0.mean()) ** 2).mean((1, 2, 3))


class NormOverBatch(Good):
    """Each row's value is right; the gradient is not its own."""

    def loss(self, x0, at, noise):
        own = (x0**2).mean((1, 2, 3))
        return own + (own.sum() - own.sum().detach()) * 0.1


class Scalar(Good):
    def loss(self, x0, at, noise):
        return (x0**2).mean()


class GlobalTorch(Good):
    def loss(self, x0, at, noise):
        return ((x0 - torch.rand(1).to(x0)) ** 2).mean((1, 2, 3))


class GlobalNumpy(Good):
    def loss(self, x0, at, noise):
        return ((x0 - np.random.rand()) ** 2).mean((1, 2, 3))


class GlobalPython(Good):
    def __init__(self, options, setup):
        super().__init__(options, setup)
        self.goal = random.random()


class Unseeded(Good):
    def loss(self, x0, at, noise):
        return ((x0 - np.random.default_rng().random()) ** 2).mean((1, 2, 3))


class Counts(Good):
    calls = 0

    def loss(self, x0, at, noise):
        self.calls += 1
        return (x0**2).mean((1, 2, 3)) * self.calls


class Detached(Good):
    def loss(self, x0, at, noise):
        weight = x0.detach() ** 2
        return (weight * x0).sum((1, 2, 3))


class Constant(Good):
    def loss(self, x0, at, noise):
        return torch.zeros(len(x0))


class SingleOnly(Good):
    def __init__(self, options, setup):
        with torch.inference_mode(False):
            self.filter = torch.ones(3, 3, 1, 1)

    def loss(self, x0, at, noise):
        return torch.conv2d(x0, self.filter).square().mean((1, 2, 3))


class MakesTensors(Good):
    def __init__(self, options, setup):
        with torch.inference_mode():
            self.goal = torch.full((3, 32, 32), 0.3)

    def loss(self, x0, at, noise):
        return (x0 * self.goal).mean((1, 2, 3))


class Noisy(Good):
    """A loss of noisy pictures: in pure noise it must not be shown clean ones."""

    sees = "x"

    def loss(self, x0, at, noise):
        assert at.alpha > 0 or float(x0.std()) > 0.9
        return ((x0 - at.alpha.to(x0) * 0.2) ** 2).mean((1, 2, 3))


class SeesBoth(Good):
    sees = "both"


class InPlace(Good):
    def loss(self, x0, at, noise):
        return x0.clamp_(-0.5, 0.5).square().mean((1, 2, 3))


class DividesByAlpha(Good):
    def loss(self, x0, at, noise):
        return (x0 / at.alpha.to(x0)).square().mean((1, 2, 3))


class Root(Good):
    def loss(self, x0, at, noise):
        return x0.square().sum((1, 2, 3)).sqrt()


class Raises(Good):
    def loss(self, x0, at, noise):
        raise KeyError("nobody")


class Undescribed(Good):
    class Options(BaseModel):
        target: float = 0.2


def wrong(findings):
    return {f.check for f in findings if f.level == "wrong"}


def test_a_good_guidance_has_no_findings():
    assert check_guidance(Good) == []
    assert check_guidance(Good, {"target": 0.5}) == []
    assert check_guidance(Noisy) == []


@pytest.mark.parametrize(("kind", "checks"), [
    (MixesRows, {"rows"}),
    (NormOverBatch, {"rows"}),
    (Scalar, {"shape"}),
    (GlobalTorch, {"global random", "repeatable"}),
    (GlobalNumpy, {"global random", "repeatable"}),
    (GlobalPython, {"global random"}),
    (Unseeded, {"repeatable"}),
    (Counts, {"repeatable"}),
    (Detached, {"gradient"}),
    (Constant, {"gradient"}),
    (SingleOnly, {"dtype"}),
    (MakesTensors, {"inference mode"}),
    (SeesBoth, {"sees"}),
    (InPlace, {"in place"}),
    (DividesByAlpha, {"finite"}),
    (Root, {"plain picture"}),
    (Raises, {"runs"}),
    (Undescribed, {"options", "description"}),
], ids=lambda v: getattr(v, "__name__", ""))  # fmt: skip
def test_a_bad_guidance_is_caught(kind, checks):
    findings = check_guidance(kind, name="bad")
    assert checks <= wrong(findings), [str(f) for f in findings]
    for finding in findings:
        assert "\n" not in str(finding) and "'bad'" in str(finding) and finding.wrong
        assert finding.mend or finding.level == "note"


@pytest.mark.parametrize("kind", [Detached, NormOverBatch, MakesTensors, InPlace, Root])
def test_nothing_else_is_said_of_it(kind):
    assert len(wrong(check_guidance(kind))) == 1, [str(f) for f in check_guidance(kind)]


class Blur:
    Options = Options

    def __init__(self, options, setup):
        pass

    def __call__(self, x0, x, at, noise):
        return (x0 + x0.flip(3)) / 2


class BlursRows(Blur):
    def __call__(self, x0, x, at, noise):
        return x0 / x0.std().clamp(min=1e-3)


class BlursInPlace(Blur):
    def __call__(self, x0, x, at, noise):
        return x0.clamp_(-0.1, 0.1)


class BlursAtRandom(Blur):
    def __call__(self, x0, x, at, noise):
        return x0 + torch.randn_like(x0)


class Halves(Blur):
    def __call__(self, x0, x, at, noise):
        return x0.bfloat16()


class Shrinks(Blur):
    def __call__(self, x0, x, at, noise):
        return x0[..., ::2]


def test_projections():
    assert check_guidance(Blur) == []
    assert wrong(check_guidance(BlursRows)) == {"rows"}
    assert "in place" in wrong(check_guidance(BlursInPlace))
    assert {"global random", "repeatable"} <= wrong(check_guidance(BlursAtRandom))
    assert "dtype" in wrong(check_guidance(Halves))
    assert wrong(check_guidance(Shrinks)) == {"shape"}


# ---- samplers ----


@pytest.mark.parametrize("name", ["ddim", "ddpm", "dpmpp_2m", "heun"])
def test_our_samplers_have_no_findings(name):
    assert check_sampler(SAMPLERS[name], name=name) == []


@dataclass(frozen=True)
class FirstOrder(Euler):
    order = 2


@dataclass(frozen=True)
class Greedy(Heun):
    nfe = 1


@dataclass(frozen=True)
class TooNoisy(Euler):
    def step(self, denoise, x, a, b, state, noise):
        x, x0, state = super().step(denoise, x, a, b, state, noise)
        return x + 0.5 * b.sigma * noise.normal(x, "sampler"), x0, state


@dataclass(frozen=True)
class NoisyAtRandom(Euler):
    def step(self, denoise, x, a, b, state, noise):
        x0 = denoise(x, a)
        return transfer(x, x0, a, b) + b.sigma * 0.01 * torch.randn(x.shape, dtype=x.dtype), x0, 0


@dataclass(frozen=True)
class DividesAtTheStart(Euler):
    def step(self, denoise, x, a, b, state, noise):
        x0 = denoise(x, a)
        return b.alpha * (x / a.alpha) + (b.sigma - b.alpha * a.sigma / a.alpha) * x0, x0, None


@dataclass(frozen=True)
class NormOfAll(Euler):
    def step(self, denoise, x, a, b, state, noise):
        x0 = denoise(x, a)
        return transfer(x, x0 / x0.norm().clamp(min=1), a, b), x0, None


@dataclass
class Changing(Euler.__mro__[1]):
    name, order, nfe, Options = "changing", 1, 1, Euler.Options
    count: int = 0

    def init(self, steps):
        return None

    def step(self, denoise, x, a, b, state, noise):
        x0 = denoise(x, a)
        return transfer(x, x0, a, b), x0, None


@pytest.mark.parametrize(("kind", "check"), [
    (FirstOrder, "order"), (Greedy, "nfe"), (TooNoisy, "distribution"),
    (NoisyAtRandom, "global random"), (DividesAtTheStart, "finite"), (NormOfAll, "rows"),
    (Changing, "frozen"),
], ids=lambda v: getattr(v, "__name__", v))  # fmt: skip
def test_a_bad_sampler_is_caught(kind, check):
    assert check in wrong(check_sampler(kind)), [str(f) for f in check_sampler(kind)]


# ---- effects, frame sources, datasets ----


class Darker:
    Options = Options

    def __init__(self, options):
        self.options, self.seen = options, 0

    def __call__(self, picture, job):
        return picture // 2


class DarkerInPlace(Darker):
    def __call__(self, picture, job):
        picture //= 2
        return picture


class DarkerInFloat(Darker):
    def __call__(self, picture, job):
        return picture / 2


class DarkerEachTime(Darker):
    def __call__(self, picture, job):
        self.seen += 1
        return picture // self.seen


class DarkerAtRandom(Darker):
    def __call__(self, picture, job):
        return picture // np.random.randint(2, 50)


class DarkerByTheClock(Darker):
    def __call__(self, picture, job):
        return picture // (1 + time.perf_counter_ns() % 97)


class EvenOnly(Darker):
    def __call__(self, picture, job):
        height, width = picture.shape[:2]
        return (
            picture.reshape(height // 2, 2, width // 2, 2, 3).repeat(1, 1).reshape(picture.shape)
        )


def test_effects():
    assert check_effect(Darker) == []
    assert "in place" in wrong(check_effect(DarkerInPlace))
    assert wrong(check_effect(DarkerInFloat)) == {"dtype"}
    assert wrong(check_effect(DarkerEachTime)) == {"repeatable"}
    assert wrong(check_effect(DarkerAtRandom)) == {"global random", "repeatable"}
    assert wrong(check_effect(DarkerByTheClock)) == {"repeatable"}
    assert wrong(check_effect(EvenOnly)) == {"runs"}


class Walk:
    Options = Options

    def __init__(self, options, score):
        self.score, self.asked = score, 0

    def __len__(self):
        return self.score.count

    def __getitem__(self, index):
        from artdiff import Start

        return self.score.job(index, self.prompts(index), Start.at(self.seed(index)))

    def prompts(self, index):
        return self.score.prompts(index)

    def seed(self, index):
        return index


class WalkRemembers(Walk):
    def seed(self, index):
        self.asked += 1
        return self.asked


class WalkAtRandom(Walk):
    def seed(self, index):
        return random.randrange(1000)


class WalkLoud(Walk):
    def prompts(self, index):
        return (("a fox", 1.0), ("a cat", 1.0))


class WalkWithTensor(Walk):
    def prompts(self, index):
        return ((lambda: "a fox", 1.0),)


def test_frame_sources():
    assert check_frame_source(Walk) == []
    assert wrong(check_frame_source(WalkRemembers)) == {"repeatable"}
    assert wrong(check_frame_source(WalkAtRandom)) == {"global random", "repeatable"}
    assert wrong(check_frame_source(WalkLoud)) == {"prompts"}
    assert wrong(check_frame_source(WalkWithTensor)) >= {"picklable"}


class Greys:
    name, version, Options = "greys", "1", Options

    def __init__(self, options):
        self.options, self.asked = options, 0

    def picture(self, index):
        return np.full((4, 4, 3), index, np.uint8)

    def attributes(self, index):
        return {"grey": index}

    def caption(self, index, draw):
        return "a grey" if draw % 2 else "grey"

    def vocabulary(self):
        return ["a", "grey"]


class GreysStrange(Greys):
    def caption(self, index, draw):
        return "a bright grey"


class GreysTwoWords(Greys):
    def vocabulary(self):
        return ["a", "grey", "light grey"]


class GreysRemember(Greys):
    def picture(self, index):
        self.asked += 1
        return np.full((4, 4, 3), self.asked, np.uint8)


class GreysFloat(Greys):
    def picture(self, index):
        return np.zeros((4, 4, 3))


class GreysArrays(Greys):
    def attributes(self, index):
        return {"grey": np.float32(index)}


class GreysGrow(Greys):
    def picture(self, index):
        return np.zeros((4 + index, 4, 3), np.uint8)


def test_datasets():
    assert check_dataset(Greys) == []
    assert wrong(check_dataset(GreysStrange)) == {"vocabulary"}
    assert wrong(check_dataset(GreysTwoWords)) == {"vocabulary"}
    assert wrong(check_dataset(GreysRemember)) == {"repeatable"}
    assert wrong(check_dataset(GreysFloat)) == {"shape"}
    assert wrong(check_dataset(GreysArrays)) == {"attributes"}
    assert wrong(check_dataset(GreysGrow)) == {"shape"}


# ---- grids, metrics, feature extractors ----


@dataclass(frozen=True)
class Even:
    name = "even"

    class Options(BaseModel, extra="forbid"):
        pass

    def times(self, schedule, steps, start):
        return torch.linspace(start, 0, steps + 1, dtype=torch.double)[:-1]


class Rising(Even):
    def times(self, schedule, steps, start):
        return super().times(schedule, steps, start).flip(0)


class OneMore(Even):
    def times(self, schedule, steps, start):
        return torch.linspace(start, 0, steps + 1, dtype=torch.double)


class FromTheTop(Even):
    def times(self, schedule, steps, start):
        return super().times(schedule, steps, 1.0)


def test_grids():
    assert check_grid(Even) == []
    assert wrong(check_grid(Rising)) == {"falling"}
    assert wrong(check_grid(OneMore)) == {"shape"}
    assert wrong(check_grid(FromTheTop)) == {"start"}


class MeanGap:
    """How far the means of the features are apart."""

    need, real, better, least, recentre, bounds = "pooled", True, "lower", 1, True, (0.0, math.inf)

    def prepare(self, made, real):
        def mean(rows, counts):
            return counts @ rows.double() / counts.sum()

        return lambda a, b: float((mean(made.pooled, a) - mean(real.pooled, b)).norm())

    def doubt(self, made, real):
        return ""


class NegativeGap(MeanGap):
    def prepare(self, made, real):
        estimate = super().prepare(made, real)
        return lambda a, b: -estimate(a, b)


class FirstGap(MeanGap):
    def prepare(self, made, real):
        return lambda a, b: float((made.pooled[0] - real.pooled[0]).norm())


class Uncounted(MeanGap):
    def prepare(self, made, real):
        estimate = super().prepare(made, real)
        return lambda a, b: estimate(torch.ones_like(a), torch.ones_like(b))


class Centres(MeanGap):
    def prepare(self, made, real):
        made.pooled.sub_(1e-3)
        return super().prepare(made, real)


def test_metrics():
    assert check_metric(MeanGap) == []
    assert wrong(check_metric(NegativeGap)) == {"bounds", "better"}
    assert "order" in wrong(check_metric(FirstGap))
    assert wrong(check_metric(Uncounted)) == {"counts"}
    assert "in place" in wrong(check_metric(Centres))
    assert wrong(check_metric(Good)) == {"declares"}


class Means:
    gives = ("pooled", "aligned")

    class Options(BaseModel, extra="forbid"):
        pass

    def __init__(self, options):
        pass

    def digest(self):
        return "0123456789abcdef"

    def pictures(self, pictures):
        rows = pictures.float().mean((2, 3))
        return {"pooled": rows, "aligned": rows}

    def texts(self, texts):
        return torch.tensor([[float(len(text))] * 3 for text in texts])


class BatchMeans(Means):
    def pictures(self, pictures):
        rows = pictures.float().mean((2, 3))
        return {"pooled": rows - rows.mean(0), "aligned": rows}


class HalfSaid(Means):
    def pictures(self, pictures):
        return {"pooled": pictures.float().mean((2, 3))}


class OtherTexts(Means):
    def texts(self, texts):
        return torch.zeros(len(texts), 7)


class ForgotToLoad(Means):
    def __init__(self, options):
        self.network = torch.nn.Linear(3, 3)

    def pictures(self, pictures):
        rows = self.network(super().pictures(pictures)["pooled"])
        return {"pooled": rows, "aligned": rows}


class NoWeights(Means):
    def __init__(self, options):
        raise OSError("no weights here")


def test_feature_extractors():
    assert check_feature_extractor(Means) == []
    assert wrong(check_feature_extractor(BatchMeans)) == {"rows"}
    assert wrong(check_feature_extractor(HalfSaid)) >= {"shape"} or wrong(
        check_feature_extractor(HalfSaid)
    ) >= {"runs"}
    assert wrong(check_feature_extractor(OtherTexts)) == {"texts"}
    assert wrong(check_feature_extractor(ForgotToLoad)) == {"repeatable"}
    findings = check_feature_extractor(NoWeights)
    assert wrong(findings) == set() and "no weights here" in str(findings[0])


# ---- whole plugins ----

BAD = """
import numpy as np
import torch
from pydantic import BaseModel, Field

import artdiff


class Louder:
    class Options(BaseModel, extra="forbid"):
        path: str = Field(description="Needed.")

    def __init__(self, options):
        self.factor = float(options.path)

    def __call__(self, picture, job):
        picture *= 2
        return picture


class Mean:
    class Options(BaseModel, extra="forbid"):
        pass

    def __init__(self, options, setup):
        pass

    def loss(self, x0, at, noise):
        return (x0 - x0.mean(0)).square().mean((1, 2, 3))


@artdiff.hookimpl
def register_effects():
    return {"louder": Louder}


@artdiff.hookimpl
def register_guidance():
    return {"the_mean": Mean}
"""


@pytest.fixture
def bad(tmp_path):
    path = tmp_path / "bad_plugin.py"
    path.write_text(BAD)
    return path


def test_check_plugin_checks_all_that_is_registered(bad):
    findings = check_plugin(bad)
    assert wrong(findings) == {"rows"}
    notes = [f for f in findings if f.level == "note"]
    assert [f.name for f in notes] == ["louder"] and "'path'" in str(notes[0])
    findings = check_plugin(bad, {"louder": {"path": "2"}})
    assert {(f.name, f.check) for f in findings} >= {("louder", "in place"), ("the_mean", "rows")}


@pytest.mark.parametrize(("text", "said"), [
    ("import nowhere_at_all", "nowhere_at_all"),
    ("x = 1", "implements no hook"),
    ("import artdiff\n@artdiff.hookimpl\ndef register_effect():\n    return {}",
     "register_effect"),
    ("import artdiff\n@artdiff.hookimpl\ndef on_step(jobs):\n    pass", "jobs"),
    ("import artdiff\n@artdiff.hookimpl\ndef register_effects():\n    return {'x': 3}", "a class"),
    ("import artdiff\n@artdiff.hookimpl\ndef register_effects():\n    1 / 0", "ZeroDivision"),
    ("import artdiff\n@artdiff.hookimpl\ndef register_samplers():\n"
     "    from artdiff.samplers import Euler\n    return {'euler': Euler}", "offered by both"),
])  # fmt: skip
def test_a_plugin_that_does_not_load(text, said, tmp_path):
    path = tmp_path / "broken.py"
    path.write_text(text)
    findings = check_plugin(path)
    assert any(said in str(f) for f in findings), [str(f) for f in findings]
    assert all("\n" not in str(f) for f in findings)


def test_a_package_with_a_preset_a_command_and_a_heavy_start(tmp_path):
    folder = tmp_path / "heavy_plugin"
    folder.mkdir()
    (folder / "look.toml").write_text('title = "x"\n[effects.sparkle]\n')
    (folder / "__init__.py").write_text(
        textwrap.dedent("""
        from pathlib import Path
        import click
        import torch
        import artdiff

        @artdiff.hookimpl
        def register_presets():
            return {"look": Path(__file__).with_name("look.toml")}

        @artdiff.hookimpl
        def register_commands(cli):
            @cli.command("mute")
            def mute():
                pass
    """)
    )
    assert wrong(check_plugin(folder)) == {"slow start", "resolves", "commands"}


def test_not_there(tmp_path):
    assert "no such file" in str(check_plugin(tmp_path / "none.py")[0])
    assert wrong(check_plugin("no_such_module_at_all")) == {"loads"}


def test_the_command(bad):
    from artdiff.cli.plugins import command

    assert isinstance(command, click.Group)
    result = CliRunner().invoke(command, ["check", str(bad)])
    assert result.exit_code == 1 and "the_mean" in result.output
    result = CliRunner().invoke(command, ["check", str(bad), "-s", "louder.path=2"])
    assert "[in place]" in result.output
    result = CliRunner().invoke(command, ["check", "artdiff_plugins.still"])
    assert result.exit_code == 0 and "nothing wrong" in result.output


def test_the_page_of_the_kit_runs(monkeypatch):
    root = Path(__file__).parent.parent
    page = (root / "docs" / "plugin-testing.md").read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 3
    monkeypatch.chdir(root)
    for block in blocks:
        names = {"__name__": "page"}
        exec(compile(block, "plugin-testing.md", "exec"), names)
        if "test_it_keeps_what_artdiff_relies_on" in names:
            names["test_it_keeps_what_artdiff_relies_on"]()
