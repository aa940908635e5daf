"""Schedules fall, tables and continuous schedules agree."""

import math

import pytest
import torch

from artdiff.grid import levels
from artdiff.noise import (
    EDM,
    SCHEDULES,
    DiscreteTable,
    Flow,
    Level,
    VPCosine,
    VPLinear,
    VPScaledLinear,
    VPSigmoid,
    diffuse,
    time_of,
)

BETAS = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64).tolist()
TABLE = DiscreteTable.from_betas(BETAS)
VP = [VPLinear(), VPScaledLinear(), VPCosine(), VPSigmoid(), TABLE]
EVERY = [*VP, Flow(), EDM(), EDM(rho=math.inf)]


def times(count):
    return torch.linspace(0, 1, count, dtype=torch.float64)


def test_every_schedule_is_registered_once():
    assert {type(schedule) for schedule in EVERY} == set(SCHEDULES.values())


@pytest.mark.parametrize("schedule", EVERY, ids=repr)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_alpha_over_sigma_strictly_falls(schedule, dtype):
    alpha, sigma = schedule(times(1001).to(dtype))
    assert alpha.dtype == sigma.dtype == dtype
    assert alpha.isfinite().all() and sigma.isfinite().all()
    assert (alpha >= 0).all() and (sigma >= 0).all()
    assert (torch.atan2(sigma, alpha).diff() > 0).all()


@pytest.mark.parametrize("schedule", VP, ids=repr)
def test_variance_is_preserved(schedule):
    alpha, sigma = schedule(times(201))
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones_like(alpha), rtol=1e-12, atol=0)


def test_ends_are_exact():
    start, end = (VPCosine()(torch.tensor(t, dtype=torch.float64)) for t in (1.0, 0.0))
    assert (start.alpha, end.sigma) == (0, 0)
    start, end = (VPSigmoid()(torch.tensor(t, dtype=torch.float64)) for t in (1.0, 0.0))
    assert (*start, *end) == (0, 1, 1, 0)
    assert Flow()(torch.tensor(1.0)) == (0, 1)
    assert VPLinear()(torch.tensor(0.0)) == (1, 0)
    edm = EDM()(torch.tensor([0.0, 1.0], dtype=torch.float64))
    torch.testing.assert_close(edm.sigma, torch.tensor([0.002, 80.0], dtype=torch.float64))


def test_cosine_is_the_paper_formula():
    t = times(11)
    f = torch.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2
    torch.testing.assert_close(VPCosine()(t).alpha ** 2, f / f[0], rtol=1e-9, atol=1e-15)


def test_vp_linear_is_the_limit_of_the_ddpm_table():
    t = torch.tensor([0.1, 0.3, 0.5, 0.8], dtype=torch.float64)
    torch.testing.assert_close(VPLinear()(t).log_snr, TABLE(t).log_snr, rtol=0.01, atol=0.03)


def test_vp_scaled_linear_is_the_limit_of_its_table():
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    t = torch.tensor([0.1, 0.3, 0.5, 0.8], dtype=torch.float64)
    table = DiscreteTable.from_betas(betas.tolist())(t)
    torch.testing.assert_close(VPScaledLinear()(t).log_snr, table.log_snr, rtol=0.01, atol=0.01)


def test_sigmoid_is_the_paper_formula():
    t, (start, end, tau) = times(11), (-2.0, 3.0, 0.7)
    low, high = (1 / (1 + math.exp(-u / tau)) for u in (start, end))
    paper = (high - torch.sigmoid((start + t * (end - start)) / tau)) / (high - low)
    alpha = VPSigmoid(start, end, tau)(t).alpha
    torch.testing.assert_close(alpha**2, paper, rtol=1e-12, atol=1e-15)


def test_table_holds_its_entries_and_finds_their_index():
    index = torch.tensor([0.0, 1.0, 499.0, 998.0, 999.0], dtype=torch.float64)
    at = TABLE(index / 999)
    expected = torch.tensor(TABLE.alphas_cumprod, dtype=torch.float64)[index.long()]
    torch.testing.assert_close(at.alpha**2, expected)
    torch.testing.assert_close(TABLE.index(at), index)
    between = torch.tensor([0.25, 700.5], dtype=torch.float64)
    moved = TABLE(between / 999)
    torch.testing.assert_close(TABLE.index(Level(3 * moved.alpha, 3 * moved.sigma)), between)


def test_table_index_is_clamped_at_both_ends():
    ends = Flow()(torch.tensor([0.0, 1.0], dtype=torch.float64))
    assert TABLE.index(ends).tolist() == [0, 999]
    assert TABLE.index(levels(Flow(), 1)[0]).shape == ()


@pytest.mark.parametrize("table", [(0.5,), (0.5, 0.6), (1.0, 0.5), (0.5, 0.0), (0.5, 0.5)])
def test_bad_tables_are_refused(table):
    with pytest.raises(ValueError, match="falling"):
        DiscreteTable(table)


@pytest.mark.parametrize(
    "make",
    [
        lambda: VPLinear(beta_min=0),
        lambda: VPScaledLinear(beta_min=2, beta_max=1),
        lambda: VPCosine(offset=1),
        lambda: VPSigmoid(start=3, end=-3),
        lambda: VPSigmoid(tau=0),
        lambda: EDM(sigma_min=2, sigma_max=1),
        lambda: EDM(rho=0),
    ],
)
def test_values_out_of_range_are_refused(make):
    with pytest.raises(ValueError, match="not "):
        make()


@pytest.mark.parametrize("schedule", EVERY, ids=repr)
def test_time_of_inverts(schedule):
    t = torch.tensor([0.05, 0.5, 0.93], dtype=torch.float64)
    torch.testing.assert_close(time_of(schedule, schedule(t).fraction), t)


def test_diffuse_and_log_snr():
    at = Level(torch.tensor(0.6, dtype=torch.float64), torch.tensor(0.8, dtype=torch.float64))
    x = diffuse(torch.full((2, 1), 10.0), torch.ones(2, 1), at)
    assert x.dtype == torch.float32 and x.flatten().tolist() == pytest.approx([6.8, 6.8])
    assert float(at.log_snr) == pytest.approx(math.log(0.36 / 0.64))
    assert float(at.fraction) == pytest.approx(4 / 7)
