"""Conversions are inverse to each other; the oracles are what integration says."""

import math

import pytest
import torch

from artdiff.denoise import (
    GaussianDenoiser,
    MixtureDenoiser,
    NetDenoiser,
    bind,
    from_x0,
    to_epsilon,
    to_x0,
)
from artdiff.noise import EDM, Flow, Level, VPLinear, diffuse

PREDICTIONS = ["epsilon", "x0", "v", "flow"]


def level(alpha, sigma):
    return Level(*torch.tensor([alpha, sigma], dtype=torch.float64))


def normal(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("at", [level(0.6, 0.8), level(0.3, 0.7), level(1.0, 40.0)])
def test_to_x0_inverts_from_x0(prediction, at):
    x0, eps = normal(2, 3, 4, 4), normal(2, 3, 4, 4, seed=1)
    x = diffuse(x0, eps, at)
    output = from_x0(x0, x, at, prediction)
    definition = {
        "epsilon": eps, "x0": x0, "v": at.alpha * eps - at.sigma * x0, "flow": eps - x0
    }[prediction]  # fmt: skip
    torch.testing.assert_close(output, definition)
    torch.testing.assert_close(to_x0(output, x, at, prediction), x0)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_ends_are_finite(prediction):
    x0, x = normal(2, 3), normal(2, 3, seed=1)
    for at in (level(0.0, 1.0), level(1.0, 0.0)):
        assert to_x0(x0, x, at, prediction).isfinite().all()
        assert from_x0(x0, x, at, prediction).isfinite().all()
    clean = level(1.0, 0.0)
    torch.testing.assert_close(to_x0(from_x0(x, x, clean, prediction), x, clean, prediction), x)
    if prediction != "epsilon":
        noise = level(0.0, 1.0)
        again = to_x0(from_x0(x0, x, noise, prediction), x, noise, prediction)
        torch.testing.assert_close(again, x0)


def test_rows_of_training_have_levels_of_their_own():
    at = VPLinear()(torch.tensor([0.2, 0.9]).reshape(2, 1, 1, 1))
    x0, x = normal(2, 3, 4, 4).float(), normal(2, 3, 4, 4, seed=1).float()
    both = from_x0(x0, x, at, "v")
    second = from_x0(x0[1:], x[1:], Level(at.alpha[1:], at.sigma[1:]), "v")
    torch.testing.assert_close(both[1:], second)
    assert both.dtype == torch.float32


def test_unknown_predictions_are_refused():
    x, at = normal(1, 2), level(0.6, 0.8)
    for make in (
        lambda: to_x0(x, x, at, "eps"),
        lambda: from_x0(x, x, at, "eps"),
        lambda: NetDenoiser(lambda x, t, c: x, lambda at: at.sigma, "eps"),
        lambda: NetDenoiser(lambda x, t, c: x, lambda at: at.sigma, "v", "edm"),
    ):
        with pytest.raises(ValueError, match="one of"):
            make()


@pytest.mark.parametrize("at", [level(0.6, 0.8), level(0.25, 0.75), level(1.0, 3.0)])
def test_oracles_match_integration(at):
    """E[x0 | x] by quadrature of Bayes' formula on a line."""
    means, stds, weights = (
        torch.tensor(v, dtype=torch.float64) for v in ([-1.0, 0.5], [0.3, 0.7], [1.0, 3.0])
    )
    grid = torch.linspace(-8, 8, 20_001, dtype=torch.float64)
    pieces = weights / stds * (-((grid[:, None] - means) ** 2) / (2 * stds**2)).exp()
    x = torch.tensor([[-2.0], [0.1], [1.7]], dtype=torch.float64)
    likelihood = (-((x - at.alpha * grid) ** 2) / (2 * at.sigma**2)).exp()
    for prior, oracle in (
        (pieces.sum(1), MixtureDenoiser(means[:, None], stds, weights)),
        (pieces[:, 1], GaussianDenoiser(means[1:], stds[1:] ** 2)),
    ):
        expected = (likelihood * prior * grid).sum(1) / (likelihood * prior).sum(1)
        torch.testing.assert_close(oracle(x, at, {})[:, 0], expected, rtol=1e-8, atol=1e-8)


def test_mixture_of_one_is_the_gaussian():
    mean, x, at = normal(3, 2, 2), normal(4, 3, 2, 2, seed=1), level(0.6, 0.8)
    one = torch.ones(1, dtype=torch.float64)
    mixture = MixtureDenoiser(mean[None], one * 0.4, one)
    gaussian = GaussianDenoiser(mean, one * 0.16)
    torch.testing.assert_close(mixture(x, at, {}), gaussian(x, at, {}))


def test_mixture_weighs_components_by_their_likelihood():
    """Three dimensions: a wide component loses density with every one of them."""
    means, stds, weights = normal(2, 3), torch.tensor([0.2, 1.5]), torch.tensor([1.0, 4.0])
    x, at = normal(5, 3, seed=1), level(0.6, 0.8)
    total = 0.36 * stds.double() ** 2 + 0.64
    spread = torch.distributions.Normal(0.6 * means, total.sqrt()[:, None])
    density = weights * spread.log_prob(x[:, None]).sum(-1).exp()
    each = means + (0.6 * stds**2 / total)[:, None] * (x[:, None] - 0.6 * means)
    expected = (density[..., None] * each).sum(1) / density.sum(1, keepdim=True)
    torch.testing.assert_close(MixtureDenoiser(means, stds, weights)(x, at, {}), expected)


def test_mixture_takes_a_level_for_each_row():
    mixture = MixtureDenoiser(normal(3, 2, 4), torch.tensor([0.1, 0.2, 0.5]), torch.ones(3))
    x, at = normal(2, 2, 4, seed=1), VPLinear()(torch.tensor([0.2, 0.9]).reshape(2, 1, 1))
    alone = mixture(x[1:], Level(at.alpha[1], at.sigma[1]), {})
    torch.testing.assert_close(mixture(x, at, {})[1:], alone)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_oracles_are_finite_at_both_ends(dtype):
    x = normal(5, 2).to(dtype)
    means, weights = normal(3, 2, seed=1), torch.tensor([1.0, 1.0, 2.0])
    gaussian = GaussianDenoiser(means[0], torch.tensor([0.1, 2.0]))
    smooth = MixtureDenoiser(means, torch.tensor([0.1, 0.2, 0.3]), weights)
    points = MixtureDenoiser(means, torch.zeros(3), weights)
    noise, clean = level(0.0, 1.0), level(1.0, 0.0)
    average = (means * weights[:, None]).sum(0) / 4
    for oracle, start in ((gaussian, means[0]), (smooth, average), (points, average)):
        at_start = oracle(x, noise, {})
        assert at_start.dtype == dtype
        torch.testing.assert_close(at_start, start.expand(5, 2).to(dtype))
    for oracle in (gaussian, smooth):
        torch.testing.assert_close(oracle(x, clean, {}), x)
    nearest = torch.cdist(x.double(), means).argmin(1)
    torch.testing.assert_close(points(x, clean, {}), means[nearest].to(dtype))


def test_bad_oracles_are_refused():
    one = torch.ones(2)
    for make in (
        lambda: GaussianDenoiser(one, one * 0),
        lambda: MixtureDenoiser(torch.ones(2, 3), -one, one),
        lambda: MixtureDenoiser(torch.ones(2, 3), one, one * 0),
        lambda: MixtureDenoiser(torch.ones(3, 3), one, one),
    ):
        with pytest.raises(ValueError, match=r"above 0|same number"):
            make()


@pytest.mark.parametrize("scaling", ["vp", "flow", "ve"])
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_network_answers_on_any_schedule(scaling, prediction):
    """A network of one set of coordinates, asked on others, gives the x0 of the oracle."""
    oracle = GaussianDenoiser(normal(3, seed=2), torch.tensor([0.1, 0.5, 2.0]).double())

    def network(x, ratio, cond):
        alpha = {"vp": 1 / (1 + ratio**2).sqrt(), "flow": 1 / (1 + ratio), "ve": ratio**0}[scaling]
        at = Level(alpha[:, None], (ratio * alpha)[:, None])
        assert ratio.shape == (4,) and cond["label"] == "cat"
        return from_x0(oracle(x, at, {}), x, at, prediction)

    denoiser = NetDenoiser(network, lambda at: at.sigma / at.alpha, prediction, scaling)
    x = normal(4, 3)
    for schedule in (VPLinear(), Flow(), EDM()):
        at = schedule(torch.tensor(0.6, dtype=torch.float64))
        given = bind(denoiser, {"label": "cat"})(x, at)
        torch.testing.assert_close(given, oracle(x, at, {}))


def test_network_time_keeps_its_precision():
    seen = []
    denoiser = NetDenoiser(lambda x, t, c: seen.append(t) or x, lambda at: at.sigma * 999, "x0")
    denoiser(torch.zeros(2, 1, dtype=torch.bfloat16), level(0.0, 1.0), {})
    assert seen[0].tolist() == [999, 999]


def test_to_epsilon_finds_the_noise():
    x0, eps, at = normal(2, 3), normal(2, 3, seed=1), level(0.1, math.sqrt(0.99))
    torch.testing.assert_close(to_epsilon(x0, diffuse(x0, eps, at), at), eps)
