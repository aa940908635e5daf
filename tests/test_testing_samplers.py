"""The conformance kit catches bad samplers."""

from dataclasses import dataclass

import pytest
import torch
from conforming import wrong

from artdiff.sample import transfer
from artdiff.samplers import SAMPLERS, Euler, Heun
from artdiff.testing import (
    check_sampler,
)


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
