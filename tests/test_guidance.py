"""Guidance against closed forms; rows stay apart; errors name the term."""

import math
from functools import partial

import pytest
import torch

from artdiff.denoise import GaussianDenoiser, bind
from artdiff.errors import ModelError, PluginError
from artdiff.grid import levels
from artdiff.guidance.guide import Term, guide, noise_at
from artdiff.guiders import cfg
from artdiff.noise import Flow, Level, VPLinear
from artdiff.random import Noise
from artdiff.sample import sample
from artdiff.samplers import Heun

MEAN = torch.tensor([-1.0, 0.5, 2.0], dtype=torch.float64)
VAR = torch.tensor([0.2, 0.5, 1.0], dtype=torch.float64)
GAUSSIAN = GaussianDenoiser(MEAN, VAR)
WANTED, SPREAD = torch.tensor([1.0, 0.0, -1.0], dtype=torch.float64), 0.3
NOISE = Noise([0, 1, 2, 3])
AT = Level(torch.tensor(0.6, dtype=torch.float64), torch.tensor(0.8, dtype=torch.float64))


def normal(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def surprise(x0, at, noise):
    """-log p(wanted | x) of the Gaussian: x0 is known up to its posterior variance."""
    left = VAR * at.sigma**2 / (at.alpha**2 * VAR + at.sigma**2)
    return ((x0 - WANTED) ** 2 / (2 * (SPREAD + left))).sum(1)


def quadratic(x0, at, noise):
    return (x0**2).flatten(1).sum(1) / 2


def pushed(x, at, cond):
    """A toy denoiser that conditioning moves."""
    return x / 2 + cond["push"]


def conditioning(value, rows=4):
    return {"push": torch.full((rows, 1), value, dtype=torch.float64)}


class Calls:
    def __init__(self, denoiser=pushed):
        self.denoiser, self.rows = denoiser, []

    def __call__(self, x, at, cond):
        self.rows.append(len(x))
        return self.denoiser(x, at, cond)


@pytest.mark.parametrize("at", levels(VPLinear(), 5)[:-1] + levels(Flow(), 5)[1:-1])
def test_guided_gaussian_is_the_posterior(at):
    """Gaussian prior x Gaussian likelihood: the guided x0 is E[x0 | x, wanted], exactly."""
    x = normal(4, 3)
    guided = guide(GAUSSIAN, [Term(surprise)], noise=NOISE)(x, at, {})
    precision = 1 / VAR + at.alpha**2 / at.sigma**2 + 1 / SPREAD
    posterior = (MEAN / VAR + at.alpha * x / at.sigma**2 + WANTED / SPREAD) / precision
    torch.testing.assert_close(guided, posterior)


@pytest.mark.parametrize("schedule", [VPLinear(), Flow()])
def test_guided_samples_have_the_posterior_distribution(schedule):
    """The flow carries N(0, 1) to the posterior: each sample lands at its own quantile."""
    grid, unit = levels(schedule, 100), torch.tensor([[-2.0], [0.0], [1.0], [2.0]]).expand(4, 3)
    denoise = bind(guide(GAUSSIAN, [Term(surprise)], noise=NOISE), {})
    *_, step = sample(Heun(), denoise, unit.double() * grid[0].sigma, grid, NOISE)
    var = 1 / (1 / VAR + 1 / SPREAD)
    expected = var * (MEAN / VAR + WANTED / SPREAD) + unit * var.sqrt()
    torch.testing.assert_close(step.x, expected, rtol=0, atol=0.02)


def test_through_x0_is_a_gradient_step_on_x0():
    x = normal(4, 3)
    x0 = GAUSSIAN(x, AT, {})
    guided = guide(GAUSSIAN, [Term(quadratic, 0.5)], noise=NOISE, through="x0")
    torch.testing.assert_close(guided(x, AT, {}), x0 - 0.64 * 0.5 * x0)


def test_through_denoiser_differentiates_the_denoiser():
    x = normal(4, 3)
    guided = guide(lambda x, at, cond: x**2, [Term(quadratic)], noise=NOISE)(x, AT, {})
    torch.testing.assert_close(guided, x**2 - 0.64 / 0.6 * 2 * x**3)


def test_at_alpha_0_only_the_cheap_gradient_acts():
    x, at = normal(4, 3), levels(Flow(), 2)[0]
    exact = guide(GAUSSIAN, [Term(quadratic)], noise=NOISE)(x, at, {})
    assert torch.equal(exact, MEAN.expand(4, 3))
    cheap = guide(GAUSSIAN, [Term(quadratic)], noise=NOISE, through="x0")(x, at, {})
    torch.testing.assert_close(cheap, torch.zeros(4, 3, dtype=torch.float64))


def test_nothing_to_do_returns_the_denoiser():
    assert guide(GAUSSIAN, noise=NOISE) is GAUSSIAN
    assert cfg(GAUSSIAN, {}, 1.0) is GAUSSIAN
    assert cfg(GAUSSIAN, {}, torch.ones(4)) is GAUSSIAN


def test_weights_add_up_in_one_pass_and_rows_have_their_own():
    x, calls = normal(4, 3), Calls(GAUSSIAN)
    rows = torch.tensor([0.0, 1.0, 2.0, 3.0])
    terms = [Term(quadratic, 0.5), Term(surprise, rows)]
    both = guide(calls, terms, noise=NOISE)(x, AT, {})
    assert calls.rows == [4]
    plain = GAUSSIAN(x, AT, {})
    each = [guide(GAUSSIAN, [Term(t.loss)], noise=NOISE)(x, AT, {}) - plain for t in terms]
    torch.testing.assert_close(both, plain + 0.5 * each[0] + rows[:, None] * each[1])


@pytest.mark.parametrize("through", ["denoiser", "x0"])
def test_rows_are_independent(through):
    def crops(x0, at, noise):
        return (x0 * noise.normal(x0, "crops")).sum(1) ** 2

    def shake(x0, x, at, noise):
        return x0 + noise.uniform(x0, "shake")

    def picture(rows):
        scale, weight = torch.tensor([1.0, 2.0, 3.0, 7.5]), torch.tensor([0.1, 1.0, 0.0, 2.0])
        noise = Noise([NOISE.seeds[row] for row in rows])
        inner = cfg(pushed, conditioning(-1.0, 1), scale[rows], rescale=0.5)
        terms, x = [Term(crops, weight[rows])], normal(4, 3)[rows]
        guided = guide(inner, terms, [shake], noise=noise, through=through)
        return guided(x, AT, conditioning(1.0, len(rows)))

    whole = picture([0, 1, 2, 3])
    alone = torch.cat([picture([row]) for row in range(4)])
    torch.testing.assert_close(whole, alone, rtol=1e-13, atol=0)  # sums round as torch groups them


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
@pytest.mark.parametrize("through", ["denoiser", "x0"])
def test_every_gradient_mode_of_the_caller(mode, through):
    def run():
        rows = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
        inner = cfg(pushed, conditioning(-1.0), rows)
        terms = [Term(quadratic, rows)]
        guided = guide(inner, terms, noise=NOISE, through=through)
        at = Level(AT.alpha.clone(), AT.sigma.clone())
        return guided(normal(4, 3), at, conditioning(1.0))

    with mode():
        result = run()
    assert not result.requires_grad
    torch.testing.assert_close(result.clone(), run())


def test_no_graph_leaves_a_level_where_no_loss_acts():
    """Else a walk with gradients on would keep the graphs of all such levels."""
    leaf = normal(4, 3).requires_grad_()
    for course in (lambda way: 0.0, lambda way: 1.0):
        guided = guide(pushed, [Term(quadratic, course=course)], noise=NOISE)
        assert not guided(leaf, AT, conditioning(1.0)).requires_grad
    assert guide(pushed, [], [lambda x0, *_: x0], noise=NOISE)(
        leaf, AT, conditioning(1.0)
    ).requires_grad


def test_projections_come_after_losses_in_turn():
    def double(x0, x, at, noise):
        assert at is AT and noise == noise_at(NOISE, AT)
        return 2 * x0

    x = normal(4, 3)
    plus = lambda x0, x, at, noise: x0 + x  # noqa: E731
    bent = guide(GAUSSIAN, [Term(quadratic)], noise=NOISE)(x, AT, {})
    result = guide(GAUSSIAN, [Term(quadratic)], [double, plus], noise=NOISE)(x, AT, {})
    torch.testing.assert_close(result, 2 * bent + x)
    alone = guide(GAUSSIAN, projections=[double], noise=NOISE)(x, AT, {})
    torch.testing.assert_close(alone, 2 * GAUSSIAN(x, AT, {}))


def test_noise_follows_the_level():
    near, far = levels(VPLinear(), 1000)[500:502]
    assert noise_at(NOISE, near) == noise_at(NOISE, near) != noise_at(NOISE, far)


def test_cfg_is_one_call_of_twice_the_rows():
    x, calls = normal(4, 3), Calls()
    guided = cfg(calls, conditioning(-1.0), 3.0)(x, AT, conditioning(1.0))
    assert calls.rows == [8]
    torch.testing.assert_close(guided, x / 2 - 1 + 3 * 2)
    off = Calls()
    cfg(off, conditioning(-1.0), 1.0)(x, AT, conditioning(1.0))
    assert off.rows == [4]


def test_cfg_scale_for_each_row():
    scale = torch.tensor([0.0, 1.0, 2.0, 7.5])
    x, cond = normal(4, 3), conditioning(1.0)
    guided = cfg(pushed, conditioning(-1.0, rows=1), scale)(x, AT, cond)
    torch.testing.assert_close(guided, x / 2 - 1 + 2 * scale[:, None])
    assert torch.equal(guided[1], pushed(x, AT, cond)[1])


def test_cfg_acts_in_its_interval_only():
    calls = Calls()
    guided = cfg(calls, conditioning(-1.0), 3.0, start=0.8, stop=0.4)
    for level in levels(Flow(), 10)[:-1]:
        guided(normal(4, 3), level, conditioning(1.0))
    fractions = [level.sigma for level in levels(Flow(), 10)[:-1]]
    assert calls.rows == [8 if 0.4 <= f <= 0.8 else 4 for f in fractions]
    assert calls.rows.count(8) >= 4


def test_rescale_restores_the_contrast_of_each_sample():
    def stretch(x, at, cond):
        return x * cond["push"][:, :, None]

    x = normal(4, 3, 5) * torch.tensor([1.0, 2.0, 3.0, 4.0])[:, None, None]
    cond = conditioning(1.0)
    plain, full, half = (
        cfg(stretch, conditioning(0.5), 5.0, rescale=phi)(x, AT, cond) for phi in (0, 1, 0.5)
    )
    std = partial(torch.std, dim=(1, 2))
    torch.testing.assert_close(std(full), std(stretch(x, AT, cond)))
    torch.testing.assert_close(half, (plain + full) / 2)
    assert (std(plain) > 2 * std(full)).all()


@pytest.mark.parametrize("through", ["denoiser", "x0"])
@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda x0, at, noise: x0.mean(), "shape"),
        (lambda x0, at, noise: x0, "shape"),
        (lambda x0, at, noise: x0.sum(1) * math.nan, "loss is not finite"),
        (lambda x0, at, noise: (x0 * 0).sum(1).sqrt(), "gradient is not finite"),
        (lambda x0, at, noise: x0.detach().sum(1), "does not depend on x0"),
    ],
)
def test_a_broken_loss_is_named(loss, message, through):
    terms = [Term(quadratic, name="good"), Term(loss, name="bad")]
    guided = guide(GAUSSIAN, terms, noise=NOISE, through=through)
    with pytest.raises(PluginError, match=f"'bad'.*{message}"), torch.no_grad():
        guided(normal(4, 3), AT, {})


def test_a_broken_projection_is_named():
    def crop(x0, x, at, noise):
        return x0[:, :1]

    with pytest.raises(PluginError, match=r"'crop'.*shape"):
        guide(GAUSSIAN, projections=[crop], noise=NOISE)(normal(4, 3), AT, {})


def test_a_denoiser_without_gradient_says_what_to_do():
    def closed(x, at, cond):
        return GAUSSIAN(x.detach(), at, cond)

    with pytest.raises(ModelError, match="through = 'x0'"):
        guide(closed, [Term(quadratic)], noise=NOISE)(normal(4, 3), AT, {})
    guide(closed, [Term(quadratic)], noise=NOISE, through="x0")(normal(4, 3), AT, {})


@pytest.mark.parametrize(
    "make",
    [
        lambda: cfg(pushed, {}, 2.0, start=0.2, stop=0.4),
        lambda: cfg(pushed, {}, 2.0, rescale=1.5),
        lambda: cfg(pushed, {"other": torch.ones(4, 1)}, 2.0)(normal(4, 3), AT, conditioning(1.0)),
        lambda: cfg(pushed, conditioning(0.0), torch.tensor([1.0, 2.0]))(
            normal(4, 3), AT, conditioning(1.0)
        ),
        lambda: guide(GAUSSIAN, noise=NOISE, through="latent"),
    ],
)
def test_values_out_of_range_are_refused(make):
    with pytest.raises(ValueError):
        make()


@pytest.mark.parametrize("sees", ["x0", "x"])
def test_no_gradient_is_asked_for_where_next_to_nothing_of_the_picture_is_left(sees):
    """There sigma^2 / alpha is 20,000 on the cosine schedule: it guides by a network's errors."""
    asked = []

    def loss(x0, at, noise):
        asked.append(float(at.alpha))
        return x0.square().sum((1, 2, 3))

    bent = guide(GAUSSIAN, [Term(loss, sees=sees)], noise=NOISE)
    for alpha in (5e-5, 0.1):
        at = Level(torch.tensor(alpha), torch.tensor((1 - alpha**2) ** 0.5))
        bent(normal(4, 1, 1, 3), at, {})
    assert asked == pytest.approx([0.1])
