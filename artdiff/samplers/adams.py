r"""Adams' methods on the probability-flow ODE: the noise that was seen before is used again.

In the coordinates :math:`z = x / \alpha`, :math:`s = \sigma / \alpha` the ODE is
:math:`dz = \varepsilon\, ds`. Each step holds :math:`\varepsilon` to be a polynomial through what
was seen; the samplers differ in the variable of the polynomial, and in how they begin. One model
call a step. Where alpha_a = 0 the step is Euler's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pydantic import BaseModel, Field
from torch import Tensor

from artdiff.denoise import Denoise, to_epsilon
from artdiff.noise import Level
from artdiff.options import NoOptions
from artdiff.random import Noise
from artdiff.sample import transfer
from artdiff.samplers.weights import (
    Past,
    Seen,
    Trail,
    blend,
    lagrange,
    moments,
    place,
    recall,
    spread,
)

__all__ = ["DEIS", "IPNDM", "LMS", "PLMS"]

FIXED = (
    (1.0,),
    (3 / 2, -1 / 2),
    (23 / 12, -16 / 12, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)
"""The weights of Adams and Bashforth for equal steps, the latest first."""


def _along(x: Tensor, epsilon: Tensor, a: Level, b: Level) -> Tensor:
    """Carry x from a to b, its noise being epsilon all the way; alpha_a > 0."""
    ratio = b.alpha / a.alpha
    return ratio * x + (b.sigma - ratio * a.sigma) * epsilon


def _step(
    x: Tensor, x0: Tensor, a: Level, b: Level, past: Past, weights: Sequence[float]
) -> Tensor:
    if a.alpha == 0 or len(weights) == 1:
        return transfer(x, x0, a, b)
    return _along(x, blend(past, weights), a, b)


@dataclass(frozen=True)
class LMS:
    r"""Linear multistep: the noise is a polynomial in :math:`s = \sigma / \alpha`.

    .. math::
        z_b = z_a + \sum_j \varepsilon_j \int_{s_a}^{s_b} \prod_{i \ne j}
            \frac{s - s_i}{s_j - s_i}\, ds

    Adams & Bashforth with steps of any length; known from k-diffusion, without a paper of its own.
    Integrated exactly.
    """

    class Options(BaseModel, extra="forbid"):
        """Options of lms."""

        solver_order: int = Field(4, ge=1, le=4, description="How many steps are looked at.")

    solver_order: int = 4
    name: ClassVar[str] = "lms"
    order: ClassVar[int] = 4
    nfe: ClassVar[int] = 1

    def init(self, steps: int) -> Past:
        return ()

    def step(
        self, denoise: Denoise, x: Tensor, a: Level, b: Level, state: Past, noise: Noise
    ) -> tuple[Tensor, Tensor, Past]:
        x0 = denoise(x, a)
        here, length = spread(a), spread(b) - spread(a)
        past = recall(Seen(here, to_epsilon(x0, x, a)), state, self.solver_order)
        nodes = [(one.at - here) / length for one in past] if math.isfinite(here) else [0.0]
        weights = lagrange(nodes, [1 / (k + 1) for k in range(len(nodes))])
        return _step(x, x0, a, b, past, weights), x0, past


@dataclass(frozen=True)
class DEIS:
    r"""DEIS: the noise is a polynomial in :math:`\lambda = -\log s`.

    .. math::
        z_b = z_a + \sum_j \varepsilon_j \int_{s_a}^{s_b} \prod_{i \ne j}
            \frac{\log s - \log s_i}{\log s_j - \log s_i}\, ds

    Zhang & Chen, "Fast Sampling of Diffusion Models with Exponential Integrator", arXiv
    2204.13902, Eq. 15 with polynomials in :math:`\log\rho`. The last step, to sigma = 0, is
    Euler's; with few steps the one before it looks at two (`Trail`).
    """

    class Options(BaseModel, extra="forbid"):
        """Options of deis."""

        solver_order: int = Field(3, ge=1, le=3, description="How many steps are looked at.")
        lower_order_final: bool = Field(
            True, description="Fall to order 2 and 1 at the end of a walk of fewer than 15 steps."
        )

    solver_order: int = 3
    lower_order_final: bool = True
    name: ClassVar[str] = "deis"
    order: ClassVar[int] = 3
    nfe: ClassVar[int] = 1

    def init(self, steps: int) -> Trail:
        return Trail.begin(steps, self.lower_order_final)

    def step(
        self, denoise: Denoise, x: Tensor, a: Level, b: Level, state: Trail, noise: Noise
    ) -> tuple[Tensor, Tensor, Trail]:
        x0 = denoise(x, a)
        here, there = place(a), place(b)
        most = state.most(self.solver_order)
        past = recall(Seen(here, to_epsilon(x0, x, a)), state.past, most)
        h = there - here
        if not math.isfinite(h):
            return transfer(x, x0, a, b), x0, state.on(past)
        nodes = [(there - one.at) / h for one in past]  # from b backwards the weight is moments'
        weights = lagrange(nodes, moments(h, len(nodes)))
        return _step(x, x0, a, b, past, weights), x0, state.on(past)


@dataclass(frozen=True)
class IPNDM:
    r"""iPNDM: the weights of Adams and Bashforth for equal steps, whatever the steps are.

    .. math::
        \varepsilon = \tfrac{1}{24} (55 \varepsilon_a - 59 \varepsilon_{a-1}
            + 37 \varepsilon_{a-2} - 9 \varepsilon_{a-3})

    carries the step as Euler's would; the first ones take as many as there are. Zhang & Chen,
    arXiv 2204.13902, Section 3.3 (improved PNDM). Of fourth order where s falls in equal steps,
    of second on other smooth grids.
    """

    class Options(BaseModel, extra="forbid"):
        """Options of ipndm."""

        solver_order: int = Field(4, ge=1, le=4, description="How many steps are looked at.")

    solver_order: int = 4
    name: ClassVar[str] = "ipndm"
    order: ClassVar[int] = 2
    nfe: ClassVar[int] = 1

    def init(self, steps: int) -> Past:
        return ()

    def step(
        self, denoise: Denoise, x: Tensor, a: Level, b: Level, state: Past, noise: Noise
    ) -> tuple[Tensor, Tensor, Past]:
        x0 = denoise(x, a)
        past = (Seen(0.0, to_epsilon(x0, x, a)), *state)[: self.solver_order]
        return _step(x, x0, a, b, past, FIXED[len(past) - 1]), x0, past


@dataclass(frozen=True)
class PLMS:
    r"""Pseudo linear multistep: `IPNDM` that begins with a step of Heun's, of two model calls.

    Liu et al., "Pseudo Numerical Methods for Diffusion Models on Manifolds", arXiv 2202.09778,
    Eq. 12 (the weights) and Algorithm 2, with the first steps as Stable Diffusion has them: the
    noise of one Heun step, then weights of as many as there are.
    """

    name: ClassVar[str] = "plms"
    order: ClassVar[int] = 2
    nfe: ClassVar[int] = 2
    Options: ClassVar[type[BaseModel]] = NoOptions

    def init(self, steps: int) -> Past:
        return ()

    def step(
        self, denoise: Denoise, x: Tensor, a: Level, b: Level, state: Past, noise: Noise
    ) -> tuple[Tensor, Tensor, Past]:
        x0 = denoise(x, a)
        past = (Seen(0.0, to_epsilon(x0, x, a)), *state)[:4]
        if state or a.alpha == 0 or b.sigma == 0:
            return _step(x, x0, a, b, past, FIXED[len(past) - 1]), x0, past
        ahead = transfer(x, x0, a, b)
        slope = (past[0].value + to_epsilon(denoise(ahead, b), ahead, b)) / 2
        return _along(x, slope, a, b), x0, past
