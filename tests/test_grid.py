"""Grids fall from noise to clean on every schedule, and are those of the papers and the peers."""

import math
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import torch
from pydantic import ValidationError

from artdiff.grid import GRIDS, karras_levels, levels
from artdiff.grids.entries import Leading, Linspace, SGMUniform, Trailing
from artdiff.grids.ratios import NOISE_LEVELS, AlignYourSteps, Exponential, Karras, LinearLogSNR
from artdiff.grids.times import Beta, LinearT, beta_quantiles
from artdiff.noise import EDM, DiscreteTable, Flow, VPCosine, VPLinear

BETAS = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
TABLE = DiscreteTable.from_betas(BETAS.tolist())
"""The levels of Stable Diffusion: sigma / alpha from 14.6 to 0.029."""
EVERY = [VPLinear(), VPCosine(), Flow(), EDM(), EDM(rho=math.inf), TABLE]

schedule = pytest.mark.parametrize("schedule", EVERY, ids=repr)
grid = pytest.mark.parametrize("name", GRIDS)


def ratios(found):
    return [float(level.sigma / level.alpha) for level in found]


@schedule
@grid
@pytest.mark.parametrize("steps", [1, 2, 40])
@pytest.mark.parametrize("start", [1.0, 0.4])
def test_grids_fall_from_noise_to_clean(schedule, name, steps, start):
    found = levels(schedule, steps, start=start, grid=GRIDS[name]())
    assert len(found) == steps + 1 and found[-1] == (1, 0)
    for part in (part for level in found for part in level):
        assert (part.dtype, part.ndim, part.device.type) == (torch.float64, 0, "cpu")
        assert part.isfinite() and part >= 0
    assert all(level.sigma > 0 for level in found[:-1])
    assert all(level.alpha > 0 for level in found[1:])
    fractions = torch.stack([level.fraction for level in found])
    assert (fractions.diff() < 0).all()
    first = schedule(torch.tensor(start, dtype=torch.float64))
    if name not in ("leading", "sgm-uniform", "trailing", "linspace"):
        assert found[0] == first
    elif name != "leading":  # the nearest entry
        assert found[0].fraction == pytest.approx(float(first.fraction), abs=0.01)


@schedule
@grid
def test_shift_bends_every_grid_towards_the_noise(schedule, name):
    plain, bent = (levels(schedule, 9, shift=s, grid=GRIDS[name]()) for s in (1.0, 3.0))
    for a, b in zip(plain[1:-1], bent[1:-1], strict=True):
        assert b.fraction > a.fraction or b.fraction == a.fraction == plain[-2].fraction


def test_start_takes_the_end_of_a_longer_grid():
    whole, half = levels(VPLinear(), 20, shift=3), levels(VPLinear(), 10, shift=3, start=0.5)
    torch.testing.assert_close(torch.tensor(whole[10:]), torch.tensor(half))


def test_shift_is_the_sd3_formula():
    sigmas = [float(level.sigma) for level in levels(Flow(), 4, shift=3.0)]
    assert sigmas == pytest.approx([3 * t / (1 + 2 * t) for t in (1, 0.75, 0.5, 0.25, 0)])


def test_karras_grid_of_edm_is_the_paper_grid():
    low, high = 0.002 ** (1 / 7), 80 ** (1 / 7)
    paper = [(high + i / 17 * (low - high)) ** 7 for i in range(18)] + [0]
    assert ratios(karras_levels(EDM(), 18)) == pytest.approx(paper, rel=1e-9)
    assert ratios(karras_levels(EDM(rho=math.inf), 18)) == pytest.approx(paper, rel=1e-9)
    assert ratios(levels(EDM(), 18, grid=Karras())) == pytest.approx(paper, rel=1e-9)


def test_karras_grid_stays_on_the_schedule():
    found = karras_levels(VPLinear(), 10, start=0.8)
    first = VPLinear()(torch.tensor(0.8, dtype=torch.float64))
    torch.testing.assert_close(torch.tensor(found[0]), torch.tensor(first))
    alpha, sigma = torch.tensor(found, dtype=torch.float64).unbind(1)
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones_like(alpha))
    steps = (sigma / alpha)[:-1].pow(1 / 7).diff()
    torch.testing.assert_close(steps, steps[:1].expand_as(steps))


@pytest.mark.parametrize("flow", [Flow(), VPCosine()], ids=repr)
@pytest.mark.parametrize("cls", [Karras, Exponential, LinearLogSNR, AlignYourSteps])
def test_ratios_begin_at_80_where_they_are_infinite(flow, cls):
    """The first level keeps alpha = 0; the others are as if it lay at 80."""
    found = ratios(levels(flow, 20, grid=cls()))
    end = flow(torch.tensor(1e-3, dtype=torch.float64))
    last = float(end.sigma / end.alpha)
    near = EDM(sigma_min=last, sigma_max=80.0)
    assert found[0] == math.inf
    assert found[1:] == pytest.approx(ratios(levels(near, 20, grid=cls()))[1:], rel=1e-6)


def test_exponential_falls_by_a_factor_and_is_linear_in_log_snr():
    found = torch.tensor(ratios(levels(TABLE, 12, grid=Exponential()))[:-1]).log()
    torch.testing.assert_close(found.diff(), found.diff()[:1].expand(11))
    pair = [levels(EDM(), 12, grid=g) for g in (Exponential(), LinearLogSNR())]
    assert pair[0] == pair[1]
    crowded = ratios(levels(TABLE, 12, grid=Exponential(rho=2.0)))
    assert crowded[5] < ratios(levels(TABLE, 12, grid=Exponential()))[5]


@pytest.mark.parametrize(("a", "b"), [(0.6, 0.6), (0.1, 10), (2, 3), (0.5, 1.5), (10, 0.1)])
def test_quantiles_are_those_of_scipy(a, b):
    shares = torch.linspace(0, 1, 301, dtype=torch.float64)
    wanted = scipy.stats.beta.ppf(shares.numpy(), a, b)
    assert np.abs(beta_quantiles(shares, a, b).numpy() - wanted).max() < 1e-5


def test_beta_with_one_and_one_is_even():
    pair = [levels(Flow(), 9, start=0.7, grid=g) for g in (Beta(1.0, 1.0), LinearT())]
    torch.testing.assert_close(*(torch.tensor(p) for p in pair), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("levels_of", ["sd15", "sdxl"])
def test_align_your_steps_are_the_published_levels(levels_of):
    """On Stable Diffusion's levels and ten steps; the published ones have three digits."""
    found = ratios(levels(TABLE, 10, grid=AlignYourSteps(levels_of)))
    assert found[:-1] == pytest.approx(NOISE_LEVELS[levels_of][:-1], rel=5e-3)
    twenty = ratios(levels(TABLE, 20, grid=AlignYourSteps(levels_of)))
    assert twenty[:-1:2] == pytest.approx(found[:-1], rel=1e-9)
    between = [math.sqrt(a * b) for a, b in pairwise(found[:-1])]
    assert twenty[1:-3:2] == pytest.approx(between, rel=1e-9)


def test_align_your_steps_from_below_the_start_keeps_to_the_curve():
    whole = torch.tensor(ratios(levels(TABLE, 1000, grid=AlignYourSteps()))[:-1])
    part = ratios(levels(TABLE, 10, start=0.5, grid=AlignYourSteps()))[:-1]
    assert part[0] == pytest.approx(float(TABLE(torch.tensor(0.5)).sigma
                                          / TABLE(torch.tensor(0.5)).alpha), rel=1e-5)  # fmt: skip
    place = [int((whole > ratio).sum()) for ratio in part]
    assert np.ptp(np.diff(place)) <= 2


def entries(found, table=TABLE):
    return [round(float(table.index(level))) for level in found[:-1]]


def test_entries_are_those_of_diffusers():
    """Timesteps of DDIMScheduler 0.42.1, 1000 trained, 7 steps: trailing, leading, linspace."""
    assert entries(levels(TABLE, 7, grid=Trailing())) == [999, 856, 713, 570, 428, 285, 142]
    assert entries(levels(TABLE, 7, grid=Leading())) == [853, 711, 569, 427, 285, 143, 1]
    assert entries(levels(TABLE, 7, grid=Leading(offset=0))) == [852, 710, 568, 426, 284, 142, 0]
    assert entries(levels(TABLE, 7, grid=Linspace())) == [999, 832, 666, 500, 333, 166, 0]
    assert entries(levels(TABLE, 7, grid=SGMUniform())) == [999, 856, 713, 570, 428, 285, 142]


@pytest.mark.parametrize("cls", [Trailing, Leading, Linspace, SGMUniform])
def test_entries_are_whole_and_below_the_start(cls):
    index = torch.tensor([float(TABLE.index(at)) for at in levels(TABLE, 9, grid=cls())[:-1]])
    torch.testing.assert_close(index, index.round(), rtol=0, atol=1e-6)
    assert max(entries(levels(TABLE, 9, start=0.3, grid=cls()))) <= 299


@pytest.mark.parametrize("cls", [Trailing, Leading, Linspace, SGMUniform])
def test_more_steps_than_entries_are_refused(cls):
    with pytest.raises(ValueError, match="has no 301 different levels"):
        levels(TABLE, 301, start=0.3, grid=cls())


@pytest.mark.parametrize(
    "make",
    [
        lambda: levels(Flow(), 0),
        lambda: levels(Flow(), 4, start=0),
        lambda: levels(Flow(), 4, start=1.1),
        lambda: levels(Flow(), 4, shift=0),
        lambda: karras_levels(EDM(), 4, end=1),
        lambda: karras_levels(EDM(), 4, rho=0),
    ],
)
def test_values_out_of_range_are_refused(make):
    with pytest.raises(ValueError, match="not "):
        make()


@pytest.mark.parametrize("cls", [Karras, Exponential, LinearLogSNR, AlignYourSteps])
def test_a_start_below_the_end_of_a_grid_ends_earlier(cls):
    usual = [float(at.sigma) for at in levels(Flow(), 4, start=0.0015, grid=cls())]
    assert usual[-2] == pytest.approx(1e-3, rel=0.5) and usual[-2] >= 0.999e-3
    times = [float(at.sigma) for at in levels(Flow(), 4, start=1e-4, grid=cls())]
    assert times[0] == pytest.approx(1e-4) and times[-1] == 0
    assert times == sorted(times, reverse=True) and times[-2] > 1e-5


def test_the_documented_table_is_true():
    page = (Path(__file__).parent.parent / "docs" / "samplers.md").read_text("utf-8")
    section = page.partition("\n## Grids\n")[2].partition("\n## ")[0]
    lines = re.findall(r"(?m)^\| `.*$", section)
    rows = [[cell.strip() for cell in line.split("|")[1:3]] for line in lines]
    assert [name.strip("`") for name, _ in rows] == list(GRIDS)
    for name, options in rows:
        known = GRIDS[name.strip("`")].Options.model_fields
        assert set(re.findall(r"\w+", options)) == set(known), name


def test_options_build_grids_and_refuse_what_is_wrong():
    for name, cls in GRIDS.items():
        assert cls.name == name and cls(**cls.Options().model_dump()) == cls()
    assert Karras(**Karras.Options(rho=3).model_dump()) == Karras(3.0)
    for cls, wrong in ((Karras, {"rho": 0}), (LinearT, {"rho": 7}), (Beta, {"a": 0}),
                       (AlignYourSteps, {"levels": "sd3"}), (Trailing, {"entries": 0}),
                       (Karras, {"end": 0}), (Leading, {"offset": -1})):  # fmt: skip
        with pytest.raises(ValidationError):
            cls.Options(**wrong)
