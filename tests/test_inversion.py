"""Inversion undoes DDIM, and follows the exact path."""

import pytest
import torch

from artdiff.denoise import GaussianDenoiser, MixtureDenoiser, bind
from artdiff.grid import levels
from artdiff.inversion import invert
from artdiff.noise import EDM, Flow, VPCosine, VPLinear
from artdiff.random import Noise
from artdiff.sample import sample
from artdiff.samplers import DDIM

SCHEDULES = {"vp-linear": VPLinear(), "vp-cosine": VPCosine(), "flow": Flow(), "edm": EDM()}
MIXTURE = bind(
    MixtureDenoiser(
        torch.tensor([[-1.0, 0.5], [1.5, 0.0]]), torch.tensor([0.3, 0.6]), torch.tensor([0.7, 0.3])
    ),
    {},
)
MEAN = torch.tensor([0.5, -1.0], dtype=torch.float64)
VAR = torch.tensor([0.2, 1.5], dtype=torch.float64)
GAUSSIAN = bind(GaussianDenoiser(MEAN, VAR), {})


MODE = torch.tensor([-1.0, 0.5], dtype=torch.float64)


def pictures(count=64):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, 2, generator=generator, dtype=torch.float64) * 0.4 + MODE


def there(denoise, x, grid, rounds=0):
    *_, step = invert(denoise, x, grid, rounds=rounds)
    return step.x


def and_back(denoise, x, grid, rounds=0):
    z = there(denoise, x, grid, rounds)
    *_, step = sample(DDIM(), denoise, z, grid, Noise(range(len(x))))
    return float((step.x - x).norm() / x.norm())


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_way_there_and_back(schedule):
    grids = [levels(SCHEDULES[schedule], n) for n in (25, 50, 100)]
    plain = [and_back(MIXTURE, pictures(), grid) for grid in grids]
    assert plain[0] < 0.2 and plain[2] < 0.7 * plain[1] < 0.55 * plain[0]
    assert and_back(MIXTURE, pictures(), grids[1], rounds=5) < plain[1] / 50
    assert and_back(MIXTURE, pictures(), grids[2], rounds=12) < 1e-7


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_noise_is_that_of_the_exact_path(schedule):
    """The end of the path of a Gaussian in closed form: whitened, at the first level's scale."""
    x, found = pictures(), []
    for steps in (60, 120):
        grid = levels(SCHEDULES[schedule], steps)
        a = grid[0]
        ratio = ((a.alpha**2 * VAR + a.sigma**2) / VAR).sqrt()
        wanted = a.alpha * MEAN + (x - MEAN) * ratio
        z = there(GAUSSIAN, x, grid, rounds=8)
        found.append(float((z - wanted).norm() / wanted.norm()))
    assert found[1] < 0.1 and found[1] < 0.75 * found[0]


def test_steps_go_up_the_levels():
    grid = levels(Flow(), 4)
    steps = list(invert(MIXTURE, pictures(3), grid))
    assert [step.index for step in steps] == [0, 1, 2, 3]
    assert [(step.a, step.b) for step in steps] == [(grid[i], grid[i - 1]) for i in (4, 3, 2, 1)]
    assert all(step.x.isfinite().all() and step.x0.shape == (3, 2) for step in steps)


@pytest.mark.parametrize("rounds", [0, 3])
def test_calls_are_as_said(rounds):
    seen = []

    def denoise(x, at):
        seen.append(at)
        return MIXTURE(x, at)

    there(denoise, pictures(2), levels(VPLinear(), 6), rounds)
    # the step from the clean sample asks at the upper level alone, once at least
    assert len(seen) == max(1, rounds) + 5 * (1 + rounds)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_dtype_and_rows_are_kept(schedule, dtype):
    x, grid = pictures(3).to(dtype), levels(SCHEDULES[schedule], 5)
    z = there(MIXTURE, x, grid, 2)
    assert z.dtype == dtype and z.isfinite().all()
    assert torch.equal(z, torch.cat([there(MIXTURE, x[i : i + 1], grid, 2) for i in range(3)]))


def test_negative_rounds_are_refused():
    with pytest.raises(ValueError, match="rounds >= 0, not -1"):
        there(MIXTURE, pictures(1), levels(Flow(), 3), -1)
