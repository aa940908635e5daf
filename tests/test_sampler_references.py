"""Samplers beside k-diffusion and diffusers: the same end from the same noise."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from artdiff.denoise import MixtureDenoiser, bind
from artdiff.noise import Level
from artdiff.sample import STREAM, sample
from artdiff.samplers import (
    DEIS,
    DPM2,
    IPNDM,
    LMS,
    PLMS,
    DPMpp2M,
    DPMpp2MSDE,
    DPMpp2S,
    DPMpp3M,
    DPMpp3MSDE,
    DPMppSDE,
    Euler,
    EulerAncestral,
    Heun,
    UniPC,
)

FILE = Path(__file__).parent / "references" / "samplers.npz"
REFERENCE = {
    name: torch.from_numpy(value) for name, value in np.load(FILE).items() if name != "made_by"
}
DENOISE = bind(MixtureDenoiser(REFERENCE["means"], REFERENCE["stds"], REFERENCE["weights"]), {})


class Given:
    """The noise that the reference was made with."""

    def __init__(self, step=0):
        self.step = step

    def at(self, step):
        return Given(step)

    def normal(self, like, stream):
        return REFERENCE["z"][self.step, 0 if stream == STREAM else 1]


def walk(sampler, grid):
    *_, last = sample(sampler, DENOISE, REFERENCE["start"] * grid[0].sigma, grid, Given())
    return last.x


def exploding(sigmas):
    return [Level(torch.ones_like(sigma), sigma) for sigma in sigmas.unbind()]


def preserving(sigmas):
    return [Level(1 / (1 + s**2).sqrt(), s / (1 + s**2).sqrt()) for s in sigmas.unbind()]


K_DIFFUSION = {
    "euler": Euler(),
    "euler_ancestral": EulerAncestral(),
    "euler_ancestral_eta": EulerAncestral(eta=0.6, s_noise=1.1),
    "heun": Heun(),
    "heun_churn": Heun(s_churn=1.6, s_tmin=0.1, s_tmax=10, s_noise=1.02),
    "dpm2": DPM2(),
    "lms": LMS(),
    "lms2": LMS(solver_order=2),
    "dpmpp_2m": DPMpp2M(),
    "dpmpp_2m_sde": DPMpp2MSDE(),
    "dpmpp_2m_sde_eta": DPMpp2MSDE(eta=0.5),
    "dpmpp_2s": DPMpp2S(),
    "dpmpp_2s_eta": DPMpp2S(eta=0.7),
    "dpmpp_sde": DPMppSDE(),
    "dpmpp_3m": DPMpp3M(),
    "dpmpp_3m_sde": DPMpp3MSDE(),
    "dpmpp_3m_sde_eta": DPMpp3MSDE(eta=0.4),
}
DIFFUSERS = {
    "deis1": DEIS(solver_order=1),
    "deis2": DEIS(solver_order=2, lower_order_final=False),
    "deis3": DEIS(lower_order_final=False),
    **{
        f"unipc{order}_{variant}": UniPC(order, variant, lower_order_final=False)
        for order in (1, 2, 3) for variant in ("bh1", "bh2")
    },
    "unip2_bh1": UniPC(2, "bh1", corrector=False, lower_order_final=False),
    "unip2_bh2": UniPC(2, corrector=False, lower_order_final=False),
    "unip3": UniPC(corrector=False, lower_order_final=False),
    "dpmpp_2m": DPMpp2M(),
    "dpmpp_3m": DPMpp3M(),
}  # fmt: skip


def relative(found, wanted):
    return float((found - wanted).norm() / wanted.norm())


def test_every_stored_end_is_compared():
    stored = {name for name in REFERENCE if name[:2] in ("k/", "d/")}
    compared = {f"k/{n}" for n in K_DIFFUSION} | {f"d/{n}" for n in DIFFUSERS}
    assert stored == compared | {"d/plms", "d/ipndm"}


@pytest.mark.parametrize("name", K_DIFFUSION)
def test_the_end_is_that_of_k_diffusion(name):
    found = walk(K_DIFFUSION[name], exploding(REFERENCE["sigmas"]))
    assert relative(found, REFERENCE[f"k/{name}"]) < 1e-10


@pytest.mark.parametrize("name", DIFFUSERS)
def test_the_end_is_that_of_diffusers(name):
    found = walk(DIFFUSERS[name], preserving(REFERENCE["sigmas_open"]))
    # DPMSolverMultistepScheduler computes in float32
    assert relative(found, REFERENCE[f"d/{name}"]) < (1e-6 if "dpmpp" in name else 1e-10)


def test_plms_and_ipndm_are_those_of_diffusers():
    kept = REFERENCE["plms_alphas_cumprod"]
    grid = [Level(a.sqrt(), (1 - a).sqrt()) for a in kept.unbind()]
    *_, step = sample(PLMS(), DENOISE, REFERENCE["start"], grid, Given())
    assert relative(step.x, REFERENCE["d/plms"]) < 1e-10
    grid = preserving(REFERENCE["sigmas"])
    assert relative(walk(IPNDM(), grid), REFERENCE["d/ipndm"]) < 1e-10


def test_a_wrong_coefficient_would_be_seen():
    """The curvature of dpmpp_3m is half of the parabola's; the whole one ends elsewhere."""
    found = walk(DPMpp3M(curvature=1.0), exploding(REFERENCE["sigmas"]))
    assert math.isfinite(away := relative(found, REFERENCE["k/dpmpp_3m"])) and away > 1e-3
