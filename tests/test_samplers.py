"""Samplers against exact solutions: order of convergence, identities, distributions."""

import math
import re
from itertools import pairwise, product
from pathlib import Path
from zlib import crc32

import pytest
import torch
from pydantic import ValidationError

from artdiff.denoise import GaussianDenoiser, MixtureDenoiser, bind
from artdiff.grid import levels
from artdiff.noise import EDM, Flow, Level, VPCosine, VPLinear
from artdiff.random import Noise
from artdiff.sample import asked, sample, transfer
from artdiff.samplers import (
    DDIM,
    DDPM,
    DEIS,
    DPM2,
    IPNDM,
    LCM,
    LMS,
    PLMS,
    SAMPLERS,
    Adaptive,
    DPMpp2M,
    DPMpp2MSDE,
    DPMpp2S,
    DPMpp3M,
    DPMpp3MSDE,
    DPMppSDE,
    Euler,
    EulerAncestral,
    Heun,
    Restart,
    UniPC,
)
from artdiff.samplers.weights import lagrange, moments

PAGE = (Path(__file__).parent.parent / "docs" / "samplers.md").read_text("utf-8")
SCHEDULES = {"vp-linear": VPLinear(), "vp-cosine": VPCosine(), "flow": Flow(), "edm": EDM()}
DETERMINISTIC = {
    1: [DDIM(), Euler(), EulerAncestral(eta=0.0), DEIS(solver_order=1)],
    2: [
        *(Heun(), DPM2(), DPMpp2M(), DPMpp2MSDE(eta=0.0), DPMpp2S(), DPMppSDE(eta=0.0)),
        *(DPMpp3M(), DPMpp3MSDE(eta=0.0), LMS(solver_order=2), DEIS(solver_order=2)),
        *(IPNDM(), IPNDM(solver_order=2), PLMS(), UniPC(solver_order=1)),
        *(UniPC(solver_order=2, corrector=False), Adaptive()),
        UniPC(solver_order=2, variant="bh1", corrector=False),
        Restart(intervals=((1e-9, 1e-8),)),
    ],
    3: [
        *(DPMpp3M(curvature=1.0), LMS(solver_order=3), DEIS(), UniPC(corrector=False)),
        *(UniPC(solver_order=2), UniPC(solver_order=2, variant="bh1")),
    ],
    4: [LMS(), UniPC(), UniPC(variant="bh1")],
}
"""Samplers by their order."""
ORDERS = [(sampler, order) for order, group in DETERMINISTIC.items() for sampler in group]
STOCHASTIC = [
    *(DDPM(), DDIM(eta=0.5), EulerAncestral(), DPMpp2MSDE(), DPMpp3MSDE(), DPMppSDE()),
    *(DPMpp2S(eta=1.0), Heun(s_churn=0.3 * 12, s_tmax=30.0), Restart()),
]
VARIANTS = [
    *(DPMpp3MSDE(eta=0.5, curvature=1.0), DPMppSDE(eta=0.5), DPMpp2MSDE(eta=0.5)),
    Restart(((0.05, 0.3), (0.5, 2.0)), times=2),
]

WEAK = [
    *((sampler, 1) for sampler in (DDPM(), DDIM(eta=0.5), EulerAncestral())),
    *((sampler, 2) for sampler in (DPMpp2MSDE(), DPMpp3MSDE(), DPMppSDE(), DPMpp2S(eta=1.0))),
]
"""Those that draw noise, by the order of the distribution that comes out."""

MEAN = torch.linspace(-1, 1, 4, dtype=torch.float64)
VAR = torch.linspace(0.1, 1.5, 4, dtype=torch.float64)
GAUSSIAN = bind(GaussianDenoiser(MEAN, VAR), {})
UNIT = torch.linspace(-2, 2, 8, dtype=torch.float64).reshape(2, 4)


class Bulk:
    """The noise of many samples at once, by one generator: quick where rows need no names."""

    def __init__(self, step=0):
        self.step = step

    def at(self, step):
        return Bulk(step)

    def normal(self, like, stream):
        generator = torch.Generator().manual_seed(1000 * crc32(stream.encode()) + self.step)
        return torch.randn(like.shape, generator=generator, dtype=like.dtype)


def last(sampler, denoise, x, grid, noise=None):
    *_, step = sample(sampler, denoise, x, grid, noise or Noise(range(len(x))))
    return step.x


def grid_to(schedule, steps, begin=1.0, end=0.1, power=1.0):
    """A grid that ends at t = end, where noise is left; above 1 power makes first steps short."""
    place = torch.linspace(0, 1, steps + 1, dtype=torch.float64) ** power
    alpha, sigma = schedule(begin - (begin - end) * place)
    return [Level(*pair) for pair in zip(alpha, sigma, strict=True)]


def exact(x, a, b):
    """The probability-flow ODE of a Gaussian, solved."""
    ratio = (b.alpha**2 * VAR + b.sigma**2) / (a.alpha**2 * VAR + a.sigma**2)
    return b.alpha * MEAN + (x - a.alpha * MEAN) * ratio.sqrt()


def errors(sampler, grids):
    for grid in grids:
        x = UNIT * torch.hypot(*grid[0])
        yield float((last(sampler, GAUSSIAN, x, grid) - exact(x, grid[0], grid[-1])).norm())


def slope(steps, found):
    x = torch.tensor([[math.log(n), 1.0] for n in steps], dtype=torch.float64)
    y = torch.tensor([[math.log(e)] for e in found], dtype=torch.float64)
    return -float(torch.linalg.lstsq(x, y).solution[0])


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("sampler", "order"), ORDERS, ids=repr)
def test_order_of_convergence(sampler, order, schedule):
    """From pure noise, alpha = 0 on two of the schedules, to t = 0.1.

    Orders above 2 from t = 0.9: the first steps of a sampler that looks back are of lower order,
    which shows where x0 moves much in them, so they begin with short ones.
    """
    steps = [32, 64, 128, 256]
    begin = 1.0 if order <= 2 else 0.9
    power = 1 if order <= 2 else 1.3 if getattr(sampler, "corrector", False) else 2
    grids = [grid_to(SCHEDULES[schedule], n, begin, power=power) for n in steps]
    assert abs(slope(steps, errors(sampler, grids)) - order) < 0.5


class Basis:
    """Noise of a walk of many rows: row 2 + k is 1 in the k-th draw and 0 in all others."""

    def __init__(self, step=0, drawn=None):
        self.step, self.drawn = step, {} if drawn is None else drawn

    def at(self, step):
        return Basis(step, self.drawn)

    def normal(self, like, stream):
        row = 2 + self.drawn.setdefault((self.step, stream), len(self.drawn))
        return (torch.arange(len(like)) == row).to(like)[:, None].expand_as(like)


def moments_at_the_end(sampler, grid):
    """Mean and standard deviation that a sampler gives a Gaussian, exactly.

    The walk is linear in the start and in every draw: row 0 has none, each other row has one of
    them, so that the differences are the standard deviations that add up.
    """
    noise, a = Basis(), grid[0]
    std = (a.alpha**2 * VAR + a.sigma**2).sqrt()
    for rows in (2, 10**6):
        x = (a.alpha * MEAN).repeat(min(rows, 2 + len(noise.drawn)), 1)
        x[1] += std
        x = last(sampler, GAUSSIAN, x, grid, noise)
    return x[0], (x[1:] - x[0]).square().sum(0).sqrt()


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("sampler", "order"), WEAK, ids=repr)
def test_order_of_the_distribution(sampler, order, schedule):
    """The error of mean and standard deviation of a Gaussian, from pure noise to t = 0.1."""
    steps, found = [32, 64, 128], []
    for grid in (grid_to(SCHEDULES[schedule], n) for n in steps):
        mean, std = moments_at_the_end(sampler, grid)
        alpha, sigma = grid[-1]
        wanted = (alpha**2 * VAR + sigma**2).sqrt()
        found.append(float(torch.hypot((mean - alpha * MEAN).norm(), (std - wanted).norm())))
    assert abs(slope(steps, found) - order) < 0.5


def test_declared_orders_are_those_of_the_default_options():
    measured = [*ORDERS, *WEAK]
    orders = {sampler.name: order for sampler, order in measured if sampler == type(sampler)()}
    assert set(SAMPLERS) - set(orders) == {"lcm", "restart", "tuned"}
    assert all(SAMPLERS[name].order == order for name, order in orders.items())


def test_the_documented_table_is_true():
    lines = re.findall(r"(?m)^\| `\w+` \| \d .*$", PAGE)
    rows = [[cell.strip(" `") for cell in line.split("|")[1:6]] for line in lines]
    assert {name for name, *_ in rows} == set(SAMPLERS)
    for name, order, calls, _, options in rows:
        cls = SAMPLERS[name]
        assert (cls.order, cls.nfe) == (int(order), int(calls)), name
        assert set(re.findall(r"\w+", options)) == set(cls.Options.model_fields), name


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("sampler", "order"), [o for o in ORDERS if o[1] <= 2], ids=repr)
def test_order_on_whole_grids(sampler, order, schedule):
    """To sigma = 0: the last step bounds the order to 1 where sigma**2 is linear in t."""
    steps = [64, 128, 256]
    found = list(errors(sampler, [levels(SCHEDULES[schedule], n) for n in steps]))
    assert slope(steps, found) > (0.8 if schedule.startswith("vp") else order - 0.5)
    euler = list(errors(Euler(), [levels(SCHEDULES[schedule], 64)]))
    assert order == 1 or found[0] < euler[0] / 2.5


@pytest.mark.parametrize(
    ("sampler", "schedule"),
    [*product(STOCHASTIC, SCHEDULES), *product(VARIANTS, ["vp-cosine"])],
    ids=repr,
)
def test_distribution_of_a_mixture(sampler, schedule):
    """Mean within 4, covariance within 8 standard errors of the mean of the widest axis."""
    means = torch.tensor([[-1.0, 0.5], [1.5, 0.0]], dtype=torch.float64)
    stds, weights = torch.tensor([0.3, 0.6]), torch.tensor([0.7, 0.3])
    denoise = bind(MixtureDenoiser(means, stds, weights), {})
    grid, count = levels(SCHEDULES[schedule], 120 if sampler.nfe == 1 else 40), 3_000
    x = Bulk(-1).normal(torch.empty(count, 2, dtype=torch.float64), "start") * grid[0].sigma
    x = last(sampler, denoise, x, grid, Bulk())

    away = means - (weights[:, None] * means).sum(0)
    mean = means[0] - away[0]
    cov = torch.eye(2) * (weights * stds**2).sum() + (away.T * weights) @ away
    error = 4 * math.sqrt(float(cov.diagonal().max()) / count)
    assert (x.mean(0) - mean).abs().max() < error
    assert (x.T.cov() - cov).abs().max() < 2 * error
    left = x[:, 0] < 0.2  # components part here; a wrong noise level blurs them
    assert float(left.double().mean()) == pytest.approx(0.7, abs=0.03)
    assert float(x[left, 1].std()) == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_lcm_draws_from_the_data_with_a_consistency_model(schedule, steps):
    """The end of the path of a Gaussian in closed form is the perfect consistency model."""
    clean = Level(torch.tensor(1.0, dtype=torch.float64), torch.tensor(0.0, dtype=torch.float64))
    grid, count = levels(SCHEDULES[schedule], steps), 20_000
    x = Bulk(-1).normal(torch.empty(count, 4, dtype=torch.float64), "start")
    x = grid[0].alpha * MEAN + (grid[0].alpha ** 2 * VAR + grid[0].sigma ** 2).sqrt() * x
    x = last(LCM(), lambda x, at: exact(x, at, clean), x, grid, Bulk())
    assert ((x.mean(0) - MEAN) / (VAR / count).sqrt()).abs().max() < 5
    assert (x.var(0) / VAR - 1).abs().max() < 5 * math.sqrt(2 / count)
    assert (x.T.corrcoef() - torch.eye(4)).abs().max() < 5 / math.sqrt(count)


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_euler_is_euler_in_sigma_over_alpha_and_ddim_without_noise(schedule):
    grid = levels(schedule, 12, start=0.9)
    x = UNIT * grid[0].sigma
    z, s = x / grid[0].alpha, [level.sigma / level.alpha for level in grid]
    for a, here, there in zip(grid, s, s[1:], strict=False):
        z = z + (there - here) * (z - GAUSSIAN(z * a.alpha, a)) / here
    torch.testing.assert_close(last(Euler(), GAUSSIAN, x, grid), z)
    assert torch.equal(last(Euler(), GAUSSIAN, x, grid), last(DDIM(), GAUSSIAN, x, grid))


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_ddim_with_eta_1_is_ddpm(schedule):
    grid = levels(schedule, 12)
    x = UNIT * grid[0].sigma
    ddpm, ddim = (last(sampler, GAUSSIAN, x, grid) for sampler in (DDPM(), DDIM(eta=1.0)))
    torch.testing.assert_close(ddpm, ddim)
    other = last(DDPM(), GAUSSIAN, x, grid, Noise([5, 6]))
    assert (other - ddpm).abs().max() > 1e-3


SAME = {
    "euler_ancestral is ddim": (EulerAncestral(eta=0.7), DDIM(eta=0.7)),
    "euler_ancestral 1 is ddpm": (EulerAncestral(), DDPM()),
    "euler_ancestral 0 is euler": (EulerAncestral(eta=0.0), Euler()),
    "dpmpp_2m_sde 0 is dpmpp_2m": (DPMpp2MSDE(eta=0.0), DPMpp2M()),
    "dpmpp_3m_sde 0 is dpmpp_3m": (DPMpp3MSDE(eta=0.0), DPMpp3M()),
    "dpmpp_sde 0 is dpmpp_2s": (DPMppSDE(eta=0.0), DPMpp2S()),
    "ipndm 1 is euler": (IPNDM(solver_order=1), Euler()),
    "lms 1 is euler": (LMS(solver_order=1), Euler()),
    "deis 1 is euler": (DEIS(solver_order=1), Euler()),
    "unipc 1 is euler": (UniPC(solver_order=1, corrector=False), Euler()),
    "unipc 2 is dpmpp_2m": (UniPC(solver_order=2, corrector=False), DPMpp2M()),
    "adaptive at ease is dpmpp_2s": (Adaptive(rtol=1.0, atol=1.0), DPMpp2S()),
    "restart out of reach is heun": (Restart(intervals=((1e-9, 1e-8),)), Heun()),
    "churn out of reach is none": (Heun(s_churn=0.3 * 12, s_tmin=1e5), Heun()),
}


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("name", SAME)
def test_identities(name, schedule):
    grid = levels(schedule, 12)
    x = UNIT * grid[0].sigma
    pair = [last(sampler, GAUSSIAN, x, grid) for sampler in SAME[name]]
    torch.testing.assert_close(*pair, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("kind", [DEIS, UniPC])
@pytest.mark.parametrize("steps, lowered", [(8, True), (14, True), (15, False), (20, False)])
def test_the_order_falls_at_the_end_of_few_steps(kind, steps, lowered):
    grid = levels(VPLinear(), steps)
    third, second = kind(lower_order_final=False), kind(solver_order=2)
    x, state = UNIT * grid[0].sigma, third.init(steps)
    for index, (a, b) in enumerate(pairwise(grid)):
        now = second if lowered and index == steps - 2 else third
        x, _, state = now.step(GAUSSIAN, x, a, b, state, Noise([0, 1]))
    found = last(kind(), GAUSSIAN, UNIT * grid[0].sigma, grid)
    torch.testing.assert_close(found, x, rtol=1e-12, atol=1e-12)
    unlowered = last(third, GAUSSIAN, UNIT * grid[0].sigma, grid)
    assert torch.equal(found, unlowered) != lowered


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_unipc_3_without_corrector_is_the_whole_parabola(schedule):
    """After the second step, in which it takes half of a straight line's weight."""
    grid = levels(schedule, 12, start=0.9)
    x, noise = UNIT, Noise([0, 1])
    parabola, unipc = DPMpp3M(curvature=1.0), UniPC(corrector=False)
    one, two = parabola.init(20), unipc.init(20)
    for a, b in pairwise(grid[:3]):
        _, _, one = parabola.step(GAUSSIAN, x, a, b, one, noise)
        _, _, two = unipc.step(GAUSSIAN, x, a, b, two, noise)
    pair = [s.step(GAUSSIAN, x, *grid[2:4], now, noise)[0] for s, now in
            ((parabola, one), (unipc, two))]  # fmt: skip
    torch.testing.assert_close(*pair)


def test_fixed_weights_are_right_where_sigma_over_alpha_falls_in_equal_steps():
    sigma = torch.linspace(5, 0, 11, dtype=torch.float64)
    grid = [Level(torch.ones_like(s), s) for s in sigma]
    pair = [last(s, GAUSSIAN, UNIT * 5, grid) for s in (IPNDM(), LMS())]
    torch.testing.assert_close(*pair)


def test_the_first_step_of_dpmpp_2m_sde_is_ddpm():
    grid = levels(VPLinear(), 12)
    pair = [next(sample(s, GAUSSIAN, UNIT, grid, Noise([0, 1]))).x for s in (DDPM(), DPMpp2MSDE())]
    torch.testing.assert_close(*pair)


@pytest.mark.parametrize("h", [1e-6, 0.01, 0.5, 1.0, 1.0001, 3.0, 40.0])
def test_moments_are_the_integrals(h):
    u = (torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000
    weight = (-h * (1 - u)).exp()
    wanted = [float((weight * u**k).sum() / weight.sum()) for k in range(5)]
    assert moments(h, 5) == pytest.approx(wanted, rel=1e-6)


def test_lagrange_weights_integrate_polynomials():
    nodes, m = [0.0, -0.4, -1.3, -2.0], [1.0, 0.5, 1 / 3, 1 / 4]
    weights = lagrange(nodes, m)
    for k in range(4):
        assert sum(w * u**k for w, u in zip(weights, nodes, strict=True)) == pytest.approx(m[k])


def test_adaptive_steps_reach_what_was_asked_for():
    """A tighter tolerance costs calls and buys accuracy; no row costs the others theirs."""
    grid = grid_to(VPCosine(), 4, 0.95)
    x = UNIT * torch.hypot(*grid[0])
    seen, found, calls = [], [], []

    def denoise(x, at):
        seen.append(at)
        return GAUSSIAN(x, at)

    for tolerance in (1.0, 0.1, 0.01, 0.001):
        sampler = Adaptive(rtol=tolerance, atol=tolerance, halvings=6)
        there = last(sampler, denoise, x, grid)
        found.append(float((there - exact(x, grid[0], grid[-1])).norm()))
        calls.append(len(seen) - sum(calls))
    assert found == sorted(found, reverse=True) and calls == sorted(calls)
    assert found[-1] < found[0] / 50 and calls[0] == 8 and calls[-1] > 40
    assert calls[-1] <= 4 * (2 * (2**7 - 1) - 6)


def test_adaptive_rows_do_not_depend_on_their_company():
    sampler, grid = Adaptive(rtol=0.02, atol=0.01), grid_to(VPCosine(), 3, 0.95)
    x = torch.cat([UNIT, torch.zeros(1, 4, dtype=torch.float64) + MEAN * grid[0].alpha])
    together = last(sampler, GAUSSIAN, x, grid)
    assert torch.equal(together, torch.cat([last(sampler, GAUSSIAN, x[i:i + 1], grid)
                                            for i in range(3)]))  # fmt: skip


def test_restart_walks_its_intervals_as_often_as_asked():
    grid = levels(EDM(), 18)
    plain = len(asked(Heun(), grid))
    assert len(asked(Restart(((0.1, 0.5),), times=3, steps_within=4), grid)) == plain + 3 * 4 * 2
    seen = asked(Restart(((0.1, 0.5), (1.0, 3.0)), times=1, steps_within=2), grid)
    ups = [float(b.sigma / b.alpha) for a, b in pairwise(seen)
           if b.sigma / b.alpha > 1.01 * a.sigma / a.alpha]  # fmt: skip
    assert ups == pytest.approx([3.0, 0.5])


def test_churn_goes_up_before_it_goes_down():
    grid = levels(EDM(), 6)
    seen = asked(Heun(s_churn=0.2 * 6, s_tmin=0.1, s_tmax=30), grid)
    sigmas = [float(at.sigma) for at in seen]
    starts = [float(at.sigma) for at in grid[:-1]]
    wanted = [s * (1.2 if 0.1 <= s <= 30 else 1) for s in starts]
    assert sigmas[::2] == pytest.approx(wanted)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("name", SAMPLERS)
def test_ends_are_finite_and_dtype_is_kept(name, schedule, dtype):
    sampler, grid = SAMPLERS[name](), levels(schedule, 3)
    x = (UNIT * grid[0].sigma).to(dtype)
    steps = list(sample(sampler, GAUSSIAN, x, grid, Noise([1, 2])))
    assert [step.index for step in steps] == [0, 1, 2]
    assert all(step.x.isfinite().all() and step.x.dtype == dtype for step in steps)
    assert (steps[-1].a, steps[-1].b) == (grid[2], grid[3])
    torch.testing.assert_close(steps[0].x0, GAUSSIAN(x, grid[0]))
    if name not in ("dpmpp_2m", "lms", "ipndm", "plms"):
        torch.testing.assert_close(steps[-1].x, steps[-1].x0)


@pytest.mark.parametrize("name", SAMPLERS)
def test_one_batch_is_three_batches(name):
    sampler, grid = SAMPLERS[name](), levels(VPCosine(), 5)

    def picture(seeds):
        noise = Noise(seeds)
        x = noise.normal(torch.empty(len(seeds), 4), "start")
        return last(sampler, GAUSSIAN, x, grid, noise)

    assert torch.equal(picture([1, 2, 3]), torch.cat([picture([s]) for s in (1, 2, 3)]))


@pytest.mark.parametrize("name", SAMPLERS)
def test_model_calls_are_as_declared(name):
    seen = []

    def denoise(x, at):
        seen.append(at)
        return GAUSSIAN(x, at)

    sampler, grid = SAMPLERS[name](), levels(VPLinear(), 6)
    list(sample(sampler, denoise, UNIT, grid, Noise([0, 1])))
    calls = {"heun": 11, "dpm2": 11, "dpmpp_2s": 11, "dpmpp_sde": 11, "plms": 7, "restart": 23}
    if name == "adaptive":
        assert len(asked(sampler, grid)) == 11 <= len(seen) <= 6 * sampler.nfe
    else:
        assert len(seen) == calls.get(name, 6) <= 6 * sampler.nfe
        assert [(float(at.alpha), float(at.sigma)) for at in asked(sampler, grid)] == [
            (float(at.alpha), float(at.sigma)) for at in seen
        ]
    assert sampler.name == name


def test_sampling_is_lazy_and_has_no_hidden_state():
    grid, sampler = levels(VPLinear(), 8), DPMpp2M()
    stream = sample(sampler, GAUSSIAN, UNIT, grid, Noise([0, 1]))
    next(stream)
    whole = last(sampler, GAUSSIAN, UNIT, grid)
    *_, step = stream
    assert torch.equal(step.x, whole)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("name", [n for n in SAMPLERS if n != "adaptive"])
def test_no_step_waits_for_the_device(name):
    x, grid = UNIT.float().cuda(), levels(Flow(), 5)
    mode = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for step in sample(SAMPLERS[name](), lambda x, at: x / 2, x, grid, Noise([0, 1])):
            assert step.x.is_cuda
    finally:
        torch.cuda.set_sync_debug_mode(mode)


def test_transfer_to_the_same_level_changes_nothing():
    at = levels(VPLinear(), 4)[2]
    torch.testing.assert_close(transfer(UNIT, UNIT.flip(0), at, at), UNIT)


WRONG = [
    (DDIM, {"eta": 1.1}), (DPMpp2MSDE, {"eta": -1}), (Euler, {"eta": 0}), (Heun, {"s_churn": -1}),
    (LMS, {"solver_order": 5}), (UniPC, {"variant": "bh3"}), (Restart, {"intervals": [[2, 1]]}),
    (Restart, {"intervals": [[0.0, 0.1]]}), (Adaptive, {"rtol": 0}), (DPMpp3M, {"curvature": 2}),
    (PLMS, {"solver_order": 4}), (DEIS, {"solver_order": 0}), (Restart, {"intervals": [0.1, 0.2]}),
]  # fmt: skip


def test_options_build_samplers():
    for cls in SAMPLERS.values():
        assert cls(**cls.Options().model_dump()) == cls()
    assert DDIM(**DDIM.Options(eta=0.3).model_dump()).eta == 0.3
    several = Restart.Options(intervals=[[0.1, 0.2], [0.5, 1]])
    assert Restart(**several.model_dump()).intervals == ((0.1, 0.2), (0.5, 1.0))


@pytest.mark.parametrize(("cls", "wrong"), WRONG)
def test_options_refuse_what_is_wrong(cls, wrong):
    with pytest.raises(ValidationError):
        cls.Options(**wrong)
