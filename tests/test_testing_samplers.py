"""The conformance kit catches bad samplers."""

from dataclasses import dataclass

import pytest
import torch
from conforming import wrong

from artdiff.sample import transfer
from artdiff.samplers import DDPM, SAMPLERS, Euler, Heun
from artdiff.testing import (
    check_sampler,
)
from artdiff.testing.samplers import _Bulk


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


@dataclass(frozen=True)
class DDPMByUniforms(DDPM):
    """As DDPM, of uniform numbers, seeded by its own: all that `Noise` has."""

    def step(self, denoise, x, a, b, state, noise):
        assert len(noise.seeds) == len(x)
        return super().step(denoise, x, a, b, state, _Uniform(noise))


class _Uniform:
    def __init__(self, noise):
        self.noise = noise

    def normal(self, like, stream):
        return (self.noise.uniform(like, stream) - 0.5) * 12**0.5


@dataclass(frozen=True)
class ShortWalks(Euler):
    def init(self, steps):
        if steps > 60:
            raise KeyError(f"no table of {steps} steps")


@dataclass(frozen=True)
class ShortNoisyWalks(DDPM):
    def init(self, steps):
        return ShortWalks().init(steps)


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


def test_a_sampler_may_draw_all_that_noise_has_and_is_judged_alike_every_time():
    assert check_sampler(DDPMByUniforms) == []
    like = torch.empty(2, 3, dtype=torch.double)
    bulk = _Bulk(range(2), 7)
    drawn = bulk.normal(like, "mine")[0].tolist()
    assert drawn == pytest.approx([-1.1518, 1.7575, -0.2091], abs=1e-4)  # in every process
    assert not torch.equal(bulk.normal(like, "mine"), bulk.at(8).normal(like, "mine"))


@pytest.mark.parametrize("kind", [ShortWalks, ShortNoisyWalks])
def test_a_sampler_that_fails_on_long_walks_is_told(kind):
    (finding,) = check_sampler(kind)
    assert finding.check == "runs" and "KeyError" in finding.wrong and "steps" in finding.wrong
