"""Guiders against closed forms and each other; rows stay apart; one call for all answers."""

import math
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import pytest
import torch
from pydantic import BaseModel
from torch import nn

from artdiff.denoise import NetDenoiser, VarianceDenoiser, bind
from artdiff.errors import ModelError, PluginError
from artdiff.grid import levels
from artdiff.guidance.guide import Term, guide
from artdiff.guiders import (
    APG,
    CFG,
    GUIDERS,
    PAG,
    Autoguidance,
    CFGZeroStar,
    Seen,
    SkipLayer,
    Tangential,
    cfg,
    dynamic_threshold,
    guided,
)
from artdiff.guiders.guider import PASSES, blocks_of
from artdiff.guiders.rows import stack
from artdiff.nn.latent_transformer import LatentTransformer, LatentTransformerConfig
from artdiff.noise import Flow, Level, VPCosine, VPLinear
from artdiff.random import Noise
from artdiff.sample import sample
from artdiff.samplers import DPMpp2M, Euler, Heun
from artdiff.testing import check_guider

DOUBLE = torch.float64
AT = Level(torch.tensor(0.6, dtype=DOUBLE), torch.tensor(0.8, dtype=DOUBLE))
FREE = [CFG(), APG(), CFGZeroStar(), Tangential(), PAG(strength=0), SkipLayer(strength=0)]
PLAIN_APG = APG(eta=1, threshold=0, momentum=0)


def normal(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=DOUBLE)


class Conditional:
    """The exact denoiser of Gaussians N(mean, v): the conditioning says the mean."""

    def __init__(self, var=0.25):
        self.var, self.rows, self.keys = torch.as_tensor(var, dtype=DOUBLE), [], []

    def __call__(self, x, at, cond):
        self.rows.append(len(x))
        self.keys.append(set(cond))
        mean = cond["mean"].reshape(-1, *[1] * (x.ndim - 1))
        gain = at.alpha * self.var / (at.alpha**2 * self.var + at.sigma**2)
        return mean + gain * (x - at.alpha * mean)


class Weak(Conditional):
    """One whose marked rows lie elsewhere."""

    depth = 4

    def __init__(self, keys=("perturbed", "skipped")):
        super().__init__()
        self.weakens = dict.fromkeys(keys, (1, 2))
        self.seen = {}

    def __call__(self, x, at, cond):
        self.seen = {key: cond[key] for key in ("perturbed", "skipped") if key in cond}
        x0 = super().__call__(x, at, cond)
        for marks in self.seen.values():
            x0 = x0 + (marks >= 0).sum(1).reshape(-1, *[1] * (x.ndim - 1))
        return x0


def mean(*values):
    return {"mean": torch.tensor(values, dtype=DOUBLE)}


def walk(denoiser, cond, x, schedule=None, steps=12, sampler=None):
    grid = levels(schedule or Flow(), steps)
    denoise = bind(denoiser, cond)
    *_, last = sample(sampler or Euler(), denoise, x * grid[0].sigma, grid, Noise(range(len(x))))
    return last.x


def test_names_passes_and_options_fit():
    for name, kind in GUIDERS.items():
        assert kind.name == name and kind.passes and set(kind.passes) <= set(PASSES)
        required = {k for k, f in kind.Options.model_fields.items() if f.is_required()}
        made = kind(**kind.Options(**dict.fromkeys(required, "x")).model_dump())
        assert made == kind(**dict.fromkeys(required, "x")), "the same defaults"
        assert set(made.asks(True)) <= set(kind.passes)


@pytest.mark.parametrize("guider", FREE)
def test_scale_1_with_nothing_else_is_the_denoiser_itself(guider):
    denoiser = Conditional()
    assert guided(guider, denoiser, mean(0.0), 1.0) is denoiser
    assert guided(guider, denoiser, mean(0.0), torch.ones(3)) is denoiser
    assert guided(guider, denoiser, mean(0.0), 2.0) is not denoiser


@pytest.mark.parametrize("guider", [
    CFG(), APG(), Tangential(), CFGZeroStar(zero=1), CFG(percentile=0.5, bound=0.1),
])  # fmt: skip
def test_a_row_of_scale_1_is_the_conditional_answer(guider):
    x, cond, scale = normal(2, 3, 2, 2), mean(1.0, 2.0), torch.tensor([1.0, 5.0], dtype=DOUBLE)
    found = guided(guider, Conditional(), mean(-1.0), scale)(x, AT, cond)
    plain = Conditional()(x, AT, cond)
    torch.testing.assert_close(found[0], plain[0])
    assert not torch.allclose(found[1], plain[1])


@pytest.mark.parametrize("schedule", [Flow(), VPLinear(), VPCosine()])
def test_guided_gaussians_are_the_gaussian_further_on(schedule):
    """Both answers share one gain, so that cfg moves the mean to m_u + w (m_c - m_u), exactly."""
    x, w = normal(2, 1, 3, 3), 3.0
    steps = partial(walk, x=x, schedule=schedule, steps=40, sampler=Heun())
    found = steps(cfg(Conditional(), mean(-0.5), w), mean(1.0, 0.25))
    further = steps(Conditional(), mean(-0.5 + w * 1.5, -0.5 + w * 0.75))
    torch.testing.assert_close(found, further)


@pytest.mark.parametrize("schedule", [Flow(), VPLinear()])
@pytest.mark.parametrize("sampler", [Euler(), Heun(), DPMpp2M()])
def test_apg_without_its_three_changes_is_cfg(schedule, sampler):
    x, cond = normal(2, 3, 4, 4), mean(1.0, -2.0)
    a, b = (
        walk(guided(g, Conditional(), mean(0.2), 7.5), cond, x, schedule, sampler=sampler)
        for g in (PLAIN_APG, CFG())
    )
    assert torch.equal(a, b)


def answers(cond, uncond, x=None, at=AT, scale=4.0, share=1.0, **more):
    x = normal(*cond.shape, seed=9) if x is None else x
    return Seen(x, at, {"cond": cond, "uncond": uncond, **more}, scale, share)


def test_apg_drops_the_parallel_part():
    cond, uncond = normal(2, 3, 4, 4), normal(2, 3, 4, 4, seed=1)
    x0, memory = APG(threshold=0, momentum=0).combine(answers(cond, uncond), None)
    change = (x0 - cond).flatten(1)
    torch.testing.assert_close((change * cond.flatten(1)).sum(1), torch.zeros(2, dtype=DOUBLE))
    whole = 3 * (cond - uncond).flatten(1)
    away = whole - change
    cosine = (away * cond.flatten(1)).sum(1).abs() / away.norm(dim=1) / cond.flatten(1).norm(dim=1)
    torch.testing.assert_close(cosine, torch.ones(2, dtype=DOUBLE))
    assert memory is None
    half, _ = APG(threshold=0, momentum=0, eta=0.5).combine(answers(cond, uncond), None)
    torch.testing.assert_close(half, (x0 + cond + whole.reshape(cond.shape)) / 2)


def test_apg_bounds_the_difference_of_each_row():
    cond, uncond = normal(2, 3, 4, 4), normal(2, 3, 4, 4, seed=1)
    cond[1] = uncond[1] + 1e-3 * cond[1]
    guider = APG(eta=1, momentum=0, threshold=0.1)
    x0, _ = guider.combine(answers(cond, uncond, scale=2.0), None)
    size = (x0 - cond).square().mean((1, 2, 3)).sqrt()
    torch.testing.assert_close(size[0], torch.tensor(0.1, dtype=DOUBLE))
    torch.testing.assert_close(x0[1], (2 * cond - uncond)[1])


def test_apg_momentum_is_a_running_sum():
    pairs = [(normal(1, 2, 3, 3, seed=i), normal(1, 2, 3, 3, seed=i + 10)) for i in range(3)]
    guider, memory, running = APG(eta=1, threshold=0, momentum=-0.5), None, 0.0
    for cond, uncond in pairs:
        x0, memory = guider.combine(answers(cond, uncond, scale=2.0), memory)
        running = cond - uncond - 0.5 * running
        torch.testing.assert_close(x0, cond + running)
    assert not memory.requires_grad


def test_momentum_belongs_to_a_walk():
    x, cond = normal(2, 3, 4, 4), mean(1.0, -1.0)
    first, second = (
        walk(guided(APG(), Conditional(), mean(0.0), 5.0), cond, x) for _ in range(2)
    )
    assert torch.equal(first, second)


def test_cfg_zero_star_fits_the_unconditional_velocity():
    x, cond, uncond = normal(2, 3, 4, 4), normal(2, 3, 4, 4, seed=1), normal(2, 3, 4, 4, seed=2)
    x0, _ = CFGZeroStar(zero=0).combine(answers(cond, uncond, x), None)
    still = x / (AT.alpha + AT.sigma)
    v_cond, v_uncond, v = ((still - part).flatten(1) for part in (cond, uncond, x0))
    s = (v_cond * v_uncond).sum(1) / v_uncond.square().sum(1)
    torch.testing.assert_close(v, (1 - 4.0) * s[:, None] * v_uncond + 4.0 * v_cond)


def test_cfg_zero_star_is_cfg_where_the_fit_is_1():
    x, uncond, other = normal(2, 3, 4, 4), normal(2, 3, 4, 4, seed=2), normal(2, 3, 4, 4, seed=3)
    v = x / (AT.alpha + AT.sigma) - uncond
    along = (other * v).sum((1, 2, 3), keepdim=True) / v.square().sum((1, 2, 3), keepdim=True)
    seen = answers(uncond + other - along * v, uncond, x)
    star, plain = CFGZeroStar(zero=0).combine(seen, None)[0], CFG().combine(seen, None)[0]
    torch.testing.assert_close(star, plain)
    assert torch.equal(CFGZeroStar(zero=0, fitted=False).combine(seen, None)[0], plain)


def test_zero_init_leaves_the_sample_where_it_is():
    x, grid = normal(2, 3, 4, 4), levels(Flow(), 20)
    denoise = bind(guided(CFGZeroStar(zero=0.08), Conditional(), mean(0.0), 4.0), mean(1.0, 2.0))
    steps = list(sample(Euler(), denoise, x, grid, Noise([0, 1])))
    torch.testing.assert_close(steps[0].x, x)
    torch.testing.assert_close(steps[1].x, x)
    assert not torch.allclose(steps[2].x, x)


def test_tangential_keeps_what_the_answers_share():
    x, cond, uncond = normal(3, 2, 3, 3), normal(3, 2, 3, 3, seed=1), normal(3, 2, 3, 3, seed=2)
    cond[1], cond[2] = uncond[1], 2 * x[2] / (AT.alpha + AT.sigma) - uncond[2]
    x0, _ = Tangential().combine(answers(cond, uncond, x), None)
    still = x / (AT.alpha + AT.sigma)
    for row in range(2):
        rows = torch.stack([(still - part)[row].flatten() for part in (cond, uncond)])
        first = torch.linalg.svd(rows, full_matrices=False).Vh[0]
        kept = (rows[1] @ first) * first
        expected = still[row].flatten() - (kept + 4 * (rows[0] - kept))
        torch.testing.assert_close(x0[row].flatten(), expected)
    torch.testing.assert_close(x0[1], cond[1])
    assert x0.isfinite().all()


def test_dynamic_thresholding_of_pixels():
    x0 = torch.cat([normal(1, 3, 10, 10) * 4, normal(1, 3, 10, 10).clamp(-0.5, 0.5)])
    found = dynamic_threshold(x0, 0.9, 1.0)
    s = x0[0].abs().flatten().quantile(0.9)
    torch.testing.assert_close(found[0], x0[0].clamp(-s, s) / s)
    torch.testing.assert_close(found[1], x0[1])
    assert found.abs().max() <= 1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_dynamic_thresholding_in_other_types(dtype):
    x0 = normal(2, 3, 10, 10) * 4
    found = dynamic_threshold(x0.to(dtype), 0.9, 1.0)
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), dynamic_threshold(x0, 0.9, 1.0), rtol=0, atol=0.02)


def test_dynamic_thresholding_of_latents_keeps_the_size_of_a_milder_scale():
    cond, uncond = normal(2, 3, 8, 8), normal(2, 3, 8, 8, seed=1)

    def size(guider, scale):
        return guider.combine(answers(cond, uncond, scale=scale), None)[0].abs().amax((1, 2, 3))

    bounded = CFG(percentile=1.0, mimic=3.0)
    torch.testing.assert_close(size(bounded, 20.0), size(CFG(), 3.0))
    torch.testing.assert_close(size(bounded, 2.0), size(CFG(), 2.0))


@pytest.mark.parametrize(("kind", "key"), [(PAG, "perturbed"), (SkipLayer, "skipped")])
def test_weakened_rows_are_marked_in_the_one_call(kind, key):
    x, cond, network = normal(2, 3, 2, 2), mean(1.0, 2.0), Weak()
    x0 = guided(kind(strength=2.0), network, mean(-1.0), 3.0)(x, AT, cond)
    assert network.rows == [6] and set(network.seen) == {key}
    assert network.seen[key].tolist() == [[-1, -1]] * 4 + [[1, 2]] * 2
    plain = cfg(Conditional(), mean(-1.0), 3.0)(x, AT, cond)
    torch.testing.assert_close(x0, plain + 2 * -2)


def test_without_a_scale_only_the_weakened_answer_is_asked_for():
    network = Weak()
    guided(PAG(strength=1.0, layers=(3,)), network, mean(0.0), 1.0)(normal(2, 3), AT, mean(1.0, 1))
    assert network.rows == [4] and network.seen["perturbed"].tolist() == [[-1]] * 2 + [[3]] * 2


def test_strength_has_an_interval_of_its_own():
    network, grid = Weak(), levels(Flow(), 10)[:-1]
    guider = SkipLayer(strength_start=0.8, strength_stop=0.45)
    denoiser = guided(guider, network, mean(0.0), 2.0, stop=0.25)
    for at in grid:
        denoiser(normal(2, 3), at, mean(1.0, 1.0))
    fractions = [float(at.sigma) for at in grid]
    assert network.rows == [
        2 * (1 + (f >= 0.25) + (0.45 <= f <= 0.8 + 1e-12)) for f in fractions
    ]


def test_networks_that_weaken_nothing_say_so():
    with pytest.raises(ModelError, match=r"pag.*another guidance.name"):
        guided(PAG(), Conditional(), mean(0.0), 3.0)
    with pytest.raises(ModelError, match="skip_layer"):
        guided(SkipLayer(), Weak(["perturbed"]), mean(0.0), 3.0)
    with pytest.raises(ModelError, match=r"guidance.layers: .* 0 to 3, not 4"):
        guided(PAG(layers=(0, 4)), Weak(), mean(0.0), 3.0)
    assert guided(PAG(strength=0), Conditional(), mean(0.0), 3.0)(
        normal(1, 2), AT, mean(1.0)
    ).shape == (1, 2)


def test_autoguidance_moves_away_from_the_weaker_model():
    x, cond, strong = normal(2, 3, 2, 2), mean(1.0, 2.0), Conditional()
    weak = bind(Conditional(var=1.0), mean(0.8, 1.6))
    x0 = guided(Autoguidance("bad"), strong, {}, 3.0, weak=weak)(x, AT, cond)
    assert strong.rows == [2]
    low = weak(x, AT)
    torch.testing.assert_close(x0, low + 3 * (Conditional()(x, AT, cond) - low))


def test_autoguidance_corrects_a_model_that_is_too_wide():
    """Weak and strong err in the same way, the weak one twice as far: w = 2 undoes the error."""
    x, true, strong, weak = normal(4, 1, 2, 2), 0.5, 0.6, 0.7

    class Guess(Conditional):
        def __init__(self, bias):
            super().__init__()
            self.bias = bias

        def __call__(self, x, at, cond):
            return super().__call__(x, at, {"mean": cond["mean"] * 0 + self.bias})

    away = bind(Guess(weak), mean(0, 0, 0, 0))
    denoiser = guided(Autoguidance("bad"), Guess(strong), {}, 2.0, weak=away)
    found = walk(denoiser, mean(0, 0, 0, 0), x, steps=40)
    torch.testing.assert_close(found, walk(Guess(true), mean(0, 0, 0, 0), x, steps=40))


@pytest.mark.parametrize("guider", [*GUIDERS.values()])
def test_rows_are_independent(guider):
    guider = guider("bad") if guider is Autoguidance else guider()
    means, scale = torch.tensor([1.0, -1.0, 0.5, 2.0], dtype=DOUBLE), torch.tensor([1.0, 2, 4, 9])
    x = normal(4, 3, 4, 4)

    def pictures(rows):
        weak = bind(Conditional(var=2.0), {"mean": means[rows] / 2})
        denoiser = guided(
            guider, Weak(), mean(-0.3), scale[rows], rescale=torch.full((len(rows),), 0.3),
            course=lambda done: 1 - done / 2, weak=weak,
        )  # fmt: skip
        return walk(denoiser, {"mean": means[rows]}, x[rows], sampler=DPMpp2M())

    whole = pictures([0, 1, 2, 3])
    alone = torch.cat([pictures([row]) for row in range(4)])
    torch.testing.assert_close(whole, alone, rtol=1e-11, atol=1e-12)
    pair = torch.cat([pictures([2, 0]), pictures([1, 3])])
    torch.testing.assert_close(whole[[2, 0, 1, 3]], pair, rtol=1e-11, atol=1e-12)


def test_the_course_multiplies_what_is_added():
    seen = []

    def course(done):
        seen.append(done)
        return {0: 0.0, 5: 0.5}.get(round(done * 10), 1.0)

    x, cond, grid, network = normal(2, 3), mean(1.0, 2.0), levels(Flow(), 10), Weak()
    denoiser = guided(PAG(strength=2.0), network, mean(-1.0), 3.0, course=course)
    plain = Conditional()
    off, half, full = (denoiser(x, grid[i], cond) for i in (0, 5, 9))
    assert seen == pytest.approx([0, 0.5, 0.9]) and network.rows == [2, 6, 6]
    torch.testing.assert_close(off, plain(x, grid[0], cond))
    added = cfg(plain, mean(-1.0), 2.0)(x, grid[5], cond) - 2.0 * 0.5 * 2
    torch.testing.assert_close(half, added)
    torch.testing.assert_close(full, cfg(plain, mean(-1.0), 3.0)(x, grid[9], cond) - 4)


def test_rescale_serves_every_guider():
    x, cond = normal(3, 2, 4, 4), mean(1.0, 2.0, 3.0)
    for guider in (CFG(), APG(), Tangential()):
        x0 = guided(guider, Conditional(var=0.1), mean(-1.0), 8.0, rescale=1.0)(x, AT, cond)
        cond_x0 = Conditional(var=0.1)(x, AT, cond)
        torch.testing.assert_close(x0.std((1, 2, 3)), cond_x0.std((1, 2, 3)))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
@pytest.mark.parametrize("guider", [APG(), CFGZeroStar(), PAG(), Tangential(), Autoguidance("x")])
def test_losses_bend_any_guider_in_any_gradient_mode(guider, mode):
    def run():
        x, cond = normal(2, 3, 2, 2), mean(1.0, 2.0)
        weak = bind(Conditional(var=2.0), mean(1.0, 2.0))
        combined = guided(guider, Weak(), mean(-1.0), torch.tensor([2.0, 5.0]), weak=weak)
        term = Term(lambda x0, at, noise: x0.square().flatten(1).sum(1), 0.01)
        return walk(guide(combined, [term], noise=Noise([0, 1])), cond, x, steps=5)

    with mode():
        found = run()
    assert not found.requires_grad and found.isfinite().all()
    torch.testing.assert_close(found.clone(), run())


def test_a_learned_variance_is_that_of_cond():
    class Learned(Conditional):
        def with_variance(self, x, at, cond):
            return self(x, at, cond), cond["mean"][:, None] + 0 * x

    denoiser = guided(APG(), Learned(), mean(-1.0), 3.0)
    assert isinstance(denoiser, VarianceDenoiser)
    _, f = denoiser.with_variance(normal(2, 3), AT, mean(1.0, 2.0))
    assert f.tolist() == [[1.0] * 3, [2.0] * 3]


@dataclass(frozen=True)
class Broken:
    """A guider that is wrong in one way."""

    asked: tuple[str, ...] = ("uncond",)
    result: object = None
    name = "broken"

    def asks(self, scaled, at=None):
        return self.asked

    def init(self):
        return None

    def combine(self, seen, memory):
        return self.result, memory


def test_broken_guiders_are_named():
    denoiser = guided(Broken(result=torch.zeros(1)), Conditional(), mean(0.0), 2.0)
    with pytest.raises(PluginError, match=r"'broken' returned \(1,\), not \(2, 3\)"):
        denoiser(normal(2, 3), AT, mean(1.0, 1.0))
    with pytest.raises(PluginError, match="'broken' returned NoneType"):
        guided(Broken(), Conditional(), mean(0.0), 2.0)(normal(2, 3), AT, mean(1.0, 1.0))
    with pytest.raises(ValueError, match="uncond, perturbed, skipped, weak, not 'nothing'"):
        guided(Broken(("nothing",)), Conditional(), mean(0.0), 2.0)
    with pytest.raises(ValueError, match="needs a weaker model"):
        guided(Autoguidance("x"), Conditional(), mean(0.0), 2.0)


@pytest.mark.parametrize("values", [
    {"start": 0.2, "stop": 0.4}, {"stop": -0.1}, {"start": 1.1}, {"rescale": 1.5},
    {"rescale": torch.tensor([0.5, -0.1])},
])  # fmt: skip
def test_values_out_of_range_are_refused(values):
    with pytest.raises(ValueError):
        guided(CFG(), Conditional(), mean(0.0), 2.0, **values)


@pytest.mark.parametrize(("kind", "values"), [
    (CFG, {"percentile": 1.1}), (CFG, {"mimic": 0.5}), (APG, {"momentum": 1.0}),
    (APG, {"threshold": -1}), (CFGZeroStar, {"zero": 2}), (PAG, {"strength": -1}),
    (SkipLayer, {"strength_start": 0.2, "strength_stop": 0.3}), (Autoguidance, {}),
    (Tangential, {"eta": 1}),
])  # fmt: skip
def test_options_out_of_range_are_refused(kind, values):
    with pytest.raises(ValueError):
        kind.Options(**values)


def test_stacking_says_which_keys_differ():
    with pytest.raises(ValueError, match=r"uncond has the keys \['other'\], cond \['mean'\]"):
        stack([mean(1.0), {"other": torch.ones(1)}])


# The checks for authors of plugins.


@pytest.mark.parametrize("name", GUIDERS)
def test_ours_conform(name):
    options = {"model": "x"} if name == "autoguidance" else None
    assert check_guider(GUIDERS[name], options, name=name) == []


@dataclass(frozen=True)
class Sound:
    """A guider that conforms; the others below differ in one thing."""

    class Options(BaseModel, extra="forbid"):
        pass

    name: ClassVar[str] = "sound"
    passes: ClassVar[tuple[str, ...]] = ("uncond",)

    def asks(self, scaled, at=None):
        return self.passes if scaled else ()

    def init(self):
        return None

    def combine(self, seen, memory):
        return seen.classifier_free, memory


class Mixing(Sound):
    def combine(self, seen, memory):
        return seen.classifier_free - seen.cond.mean(), memory


class Bursting(Sound):
    def combine(self, seen, memory):
        return seen.x / seen.at.alpha, memory


class Greedy(Sound):
    def asks(self, scaled, at=None):
        return ("uncond", "skipped")


class Dreaming(Sound):
    passes = ("nothing",)


class Writing(Sound):
    def combine(self, seen, memory):
        return seen.x.mul_(0.5) + seen.classifier_free, memory


class Rolling(Sound):
    def combine(self, seen, memory):
        return seen.classifier_free + torch.randn_like(seen.x), memory


class Narrow(Sound):
    def combine(self, seen, memory):
        return seen.classifier_free.double(), memory


class Hiding(Sound):
    class Options(BaseModel, extra="forbid"):
        start: float = 1.0

    def __init__(self, start):
        pass


class Nameless(Sound):
    name = None


class Failing(Sound):
    def combine(self, seen, memory):
        return seen.answers["weak"], memory


@pytest.mark.parametrize(("kind", "check"), [
    (Sound, None), (Mixing, "rows"), (Bursting, "finite"), (Greedy, "passes"),
    (Dreaming, "passes"), (Writing, "in place"), (Rolling, "repeatable"), (Narrow, "dtype"),
    (Hiding, "options"), (Nameless, "declares"), (Failing, "runs"),
])  # fmt: skip
def test_the_check_finds_what_is_wrong(kind, check):
    found = {finding.check for finding in check_guider(kind)}
    assert check in found if check else not found, check_guider(kind)


# The starter's kind of network.


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    made = LatentTransformer(LatentTransformerConfig(
        channels=4, stem=8, stem_depth=1, width=32, depth=4, heads=2, hidden=32,
        vocabulary=32, text_length=6, text_width=16, text_depth=1, text_heads=2,
    ))  # fmt: skip
    for parameter in made.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    return made.eval()


def told(network, rows):
    return network.encode_text(torch.randint(1, 20, (rows, 6), generator=torch.manual_seed(1)))


@torch.no_grad()
def test_marks_of_minus_1_change_nothing(network):
    x, t = normal(3, 4, 6, 8).float(), torch.tensor([0.2, 0.5, 0.9])
    text = dict(told(network, 3))
    none = {key: torch.full((3, 2), -1) for key in ("perturbed", "skipped")}
    assert torch.equal(network(x, t, text), network(x, t, text | none))


@torch.no_grad()
@pytest.mark.parametrize("key", ["perturbed", "skipped"])
def test_only_marked_rows_change(network, key):
    x, t = normal(3, 4, 6, 8).float(), torch.tensor([0.2, 0.5, 0.9])
    text, marks = dict(told(network, 3)), torch.tensor([[-1, -1], [1, 3], [2, -1]])
    plain, weak = network(x, t, text), network(x, t, text | {key: marks})
    assert torch.equal(plain[0], weak[0])
    assert not torch.allclose(plain[1], weak[1]) and not torch.allclose(plain[2], weak[2])
    last = {name: part[2:] for name, part in text.items()} | {key: torch.tensor([[2]])}
    torch.testing.assert_close(network(x[2:], t[2:], last), weak[2:])


@torch.no_grad()
def test_perturbed_blocks_do_not_see_the_whole_picture(network):
    """With all attention maps the identity, a change reaches as far as the convolutions do."""
    x, t, text = normal(1, 4, 2, 64).float(), torch.tensor([0.5]), dict(told(network, 1))
    other = x.clone()
    other[..., -2:] += 1
    blind = text | {"perturbed": torch.tensor([[0, 1, 2, 3]])}

    def moved(said):
        return (network(x, t, said) - network(other, t, said)).abs()[..., :8].max()

    assert moved(blind) == 0 and moved(text) > 1e-4


@torch.no_grad()
def test_a_skipped_block_is_the_identity(network):
    x, t, text = normal(1, 4, 4, 4).float(), torch.tensor([0.5]), dict(told(network, 1))
    found = network(x, t, text | {"skipped": torch.tensor([[1]])})
    out = {}
    hook = network.blocks[1].register_forward_hook(lambda m, given, made: given[0])
    out = network(x, t, text)
    hook.remove()
    torch.testing.assert_close(found, out)


def test_a_network_behind_a_denoiser_says_what_it_weakens(network):
    denoiser = NetDenoiser(network, lambda at: at.sigma, "flow", "flow")
    assert blocks_of(denoiser, "perturbed", ()) == (1,)
    assert blocks_of(denoiser, "skipped", ()) == (2,)
    assert blocks_of(denoiser, "skipped", [0, 3]) == (0, 3)
    with pytest.raises(ModelError, match="0 to 3"):
        blocks_of(denoiser, "skipped", [-1])


@pytest.mark.parametrize("kind", [PAG, SkipLayer])
def test_weakened_guidance_on_the_network(network, kind):
    denoiser = NetDenoiser(network, lambda at: at.sigma, "flow", "flow")
    x, text, at = normal(2, 4, 4, 4).float(), told(network, 2), levels(Flow(), 4)[1]
    with torch.no_grad():
        found = guided(kind(strength=2.0), denoiser, {}, 1.0)(x, at, text)
        plain = denoiser(x, at, text)
        key, block = kind.passes[1], network.weakens[kind.passes[1]]
        weak = denoiser(x, at, dict(text) | {key: torch.tensor([block, block])})
    torch.testing.assert_close(found, plain + 2 * (plain - weak))
    assert not math.isclose(float((plain - weak).norm()), 0, abs_tol=1e-4)
