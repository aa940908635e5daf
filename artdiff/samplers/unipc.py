"""UniPC: a predictor and a corrector of any order, one model call a step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

from pydantic import BaseModel, Field
from torch import Tensor

from artdiff.denoise import Denoise
from artdiff.noise import Level
from artdiff.random import Noise
from artdiff.sample import transfer
from artdiff.samplers.weights import Past, Seen, Trail, blend, lagrange, moments, place, recall

__all__ = ["UniPC"]


class Walked(NamedTuple):
    """What UniPC remembers: x0 seen before, and where the last step began."""

    trail: Trail
    x: Tensor | None = None
    a: Level | None = None


@dataclass(frozen=True)
class UniPC:
    r"""UniPC of order p in data prediction: predict x_b, see x0 there, correct x_b with it.

    .. math::
        x_b = \frac{\sigma_b}{\sigma_a} x + \alpha_b (1 - q) x_0
            + \alpha_b B(h) \sum_m \rho_m \frac{D_m}{r_m}

    with :math:`D_m` the differences of x0 to those before and, for the corrector, to the one at b.
    Zhao et al., "UniPC", arXiv 2302.04867, Algorithms 1 and 2; :math:`B(h) = h` is ``bh1``,
    :math:`B(h) = e^h - 1` is ``bh2`` (in data prediction, :math:`1 - e^{-h}`). From three x0 on
    the :math:`\rho` make the step exact for polynomials, whatever B is (Eq. 9), which is how it is
    computed here; B matters for two, where :math:`\rho = 1/2`. The corrected x is carried on, what
    the model said at the predicted one is kept. Order p + 1 with the corrector, p without. The
    steps from alpha = 0 and to sigma = 0 are of first order and not corrected; with few steps the
    last but one looks at two (`Trail`).
    """

    class Options(BaseModel, extra="forbid"):
        """Options of unipc."""

        solver_order: int = Field(3, ge=1, le=3, description="How many steps are looked at.")
        variant: Literal["bh1", "bh2"] = Field(
            "bh2", description="B(h) of the paper; bh1 suits few steps without guidance."
        )
        corrector: bool = Field(True, description="Mend each step with what is seen after it.")
        lower_order_final: bool = Field(
            True, description="Fall to order 2 and 1 at the end of a walk of fewer than 15 steps."
        )

    solver_order: int = 3
    variant: Literal["bh1", "bh2"] = "bh2"
    corrector: bool = True
    lower_order_final: bool = True
    name: ClassVar[str] = "unipc"
    order: ClassVar[int] = 4
    nfe: ClassVar[int] = 1

    def init(self, steps: int) -> Walked:
        return Walked(Trail.begin(steps, self.lower_order_final))

    def step(
        self, denoise: Denoise, x: Tensor, a: Level, b: Level, state: Walked, noise: Noise
    ) -> tuple[Tensor, Tensor, Walked]:
        x0 = denoise(x, a)
        now = Seen(place(a), x0)
        if self.corrector and state.x is not None and state.a is not None:
            x = self._go(state.x, (*state.trail.past, now), state.a, a)
        past = recall(now, state.trail.past, state.trail.most(self.solver_order))
        finite = math.isfinite(now.at) and math.isfinite(place(b))
        ahead = self._go(x, past, a, b)
        trail = state.trail.on(past)
        return ahead, x0, Walked(trail, x if finite else None, a if finite else None)

    def _go(self, x: Tensor, past: Past, a: Level, b: Level) -> Tensor:
        """Carry x from a to b by what was seen at a (first), before it and perhaps at b."""
        h = place(b) - past[0].at
        if len(past) == 1 or not math.isfinite(h):
            return transfer(x, past[0].value, a, b)
        nodes = [(one.at - past[0].at) / h for one in past]
        if len(nodes) > 2:
            return transfer(x, blend(past, lagrange(nodes, moments(h, len(nodes)))), a, b)
        half = 0.5 / nodes[1]
        if self.variant == "bh1":
            half *= h / -math.expm1(-h)
        return transfer(x, blend(past, (1 - half, half)), a, b)
