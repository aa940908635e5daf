r"""Samplers: from noise to a clean sample, one level to the next.

One loop, `sample`, serves them all. A sampler is an immutable value with ``init`` and ``step``:
state in, state out. Every update is built on the DDIM transfer (`transfer`), which is finite where
alpha = 0 (the start of a flow) and where sigma = 0 (the end).

Below, a is the level that a step leaves, b the one it reaches, :math:`\lambda = \log(\alpha /
\sigma)`, :math:`h = \lambda_b - \lambda_a > 0` and :math:`q = e^{-h}
= \alpha_a \sigma_b / (\alpha_b \sigma_a)`, which is 0 at both ends, where h is infinite.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

from pydantic import BaseModel, Field
from torch import Tensor

from artdiff.denoise import Denoise, to_epsilon
from artdiff.noise import Level
from artdiff.random import Noise

__all__ = [
    "DDIM",
    "DDPM",
    "SAMPLERS",
    "DPMpp2M",
    "DPMpp2MSDE",
    "Euler",
    "Heun",
    "NoOptions",
    "Past",
    "Sampler",
    "Step",
    "sample",
    "transfer",
]

S = TypeVar("S")

STREAM = "sampler"
"""The noise stream of every stochastic sampler."""


class NoOptions(BaseModel, extra="forbid"):
    """This sampler has no options."""


class Sampler(Protocol[S]):
    """One way to walk the levels; a frozen dataclass of its options.

    A preset's options are validated by a nested class, ``class Options(BaseModel,
    extra="forbid")``; construct with ``cls(**options.model_dump())``.

    Attributes:
        name: the name in `SAMPLERS` and in presets.
        order: the error at the end falls like steps**-order (deterministic samplers; for the
            stochastic ones it is the error of the distribution).
        nfe: model calls per step, at most.
    """

    name: ClassVar[str]
    order: ClassVar[int]
    nfe: ClassVar[int]

    def init(self) -> S:
        """Give the state before the first step."""
        ...

    def step(
        self, denoise: Denoise, x: Tensor, a: Level, b: Level, state: S, noise: Noise
    ) -> tuple[Tensor, Tensor, S]:
        """Go from level a to the cleaner level b.

        Args:
            denoise: (x, at) -> x0, the denoiser with its conditioning bound.
            x: the sample at a, (B, C, H, W).
            a: a level with sigma > 0.
            b: a level with alpha > 0.
            state: what `init` or the step before gave.
            noise: the noise of this step.

        Returns:
            The sample at b, x0 as seen from a, and the state for the next step.
        """
        ...


@dataclass(frozen=True, eq=False)
class Step:
    """One transition: number `index` from 0, from level a to b; x lies at b, x0 is seen from a."""

    index: int
    a: Level
    b: Level
    x: Tensor
    x0: Tensor


def sample(
    sampler: Sampler[S], denoise: Denoise, x: Tensor, levels: Sequence[Level], noise: Noise
) -> Iterator[Step]:
    """Walk the levels, yielding one `Step` for each transition; the last x is the sample.

    Progress bars, previews, tracing and early stop are consumers of this generator. It changes no
    gradient mode: consume it under ``torch.no_grad()``.

    The last step, to sigma = 0, is of first order for every sampler. On a variance-preserving
    schedule, where sigma**2 and not sigma is linear in t near 0, it bounds the order of a whole
    grid that is linear in t to 1 (with a small constant); everywhere else `Sampler.order` holds.

    Args:
        sampler: how to go from one level to the next.
        denoise: (x, at) -> x0; see `artdiff.denoise.bind`.
        x: the sample at levels[0], (B, C, H, W).
        levels: from noise to clean, as `artdiff.noise.levels` gives them.
        noise: of B seeds; step i draws from ``noise.at(i)``.
    """
    state = sampler.init()
    for index, (a, b) in enumerate(pairwise(levels)):
        x, x0, state = sampler.step(denoise, x, a, b, state, noise.at(index))
        yield Step(index, a, b, x, x0)


def transfer(x: Tensor, x0: Tensor, a: Level, b: Level) -> Tensor:
    r"""Carry a sample from level a to b, holding x0 and the noise that is in x fixed.

    .. math::
        x_b = \alpha_b x_0 + \sigma_b \frac{x - \alpha_a x_0}{\sigma_a}

    Song et al., "Denoising Diffusion Implicit Models", arXiv 2010.02502, Eq. 12 with no noise
    added. It is also the exponential Euler step, :math:`(\sigma_b / \sigma_a) x
    + \alpha_b (1 - q) x_0`. x and x0 are (B, C, H, W), sigma_a > 0.
    """
    kept = b.sigma / a.sigma
    return kept * x + (b.alpha - kept * a.alpha) * x0


@dataclass(frozen=True)
class DDPM:
    r"""Ancestral sampling: draw from the posterior :math:`q(x_b \mid x_a, x_0)`.

    .. math::
        x_b = \frac{\sigma_b^2}{\sigma_a^2} r x_a
            + \alpha_b \left(1 - r^2 \frac{\sigma_b^2}{\sigma_a^2}\right) x_0
            + \frac{\sigma_b}{\sigma_a} \sqrt{\sigma_a^2 - r^2 \sigma_b^2}\; z,
        \qquad r = \alpha_a / \alpha_b

    Ho et al., "Denoising Diffusion Probabilistic Models", arXiv 2006.11239, Eq. 7, written for
    any alpha and sigma. It equals DDIM with eta = 1.
    """

    name: ClassVar[str] = "ddpm"
    order: ClassVar[int] = 1
    nfe: ClassVar[int] = 1
    Options: ClassVar[type[BaseModel]] = NoOptions

    def init(self) -> None:
        return None

    def step(
        self, denoise: Denoise, x: Tensor, a: Level, b: Level, state: None, noise: Noise
    ) -> tuple[Tensor, Tensor, None]:
        x0 = denoise(x, a)
        ratio, kept = a.alpha / b.alpha, b.sigma / a.sigma
        mean = kept**2 * ratio * x + b.alpha * (1 - (ratio * kept) ** 2) * x0
        std = kept * (a.sigma**2 - (ratio * b.sigma) ** 2).clamp(min=0).sqrt()
        return mean if std == 0 else mean + std * noise.normal(x, STREAM), x0, None


@dataclass(frozen=True)
class DDIM:
    r"""DDIM, with eta from 0 (no noise) to 1 (DDPM).

    .. math::
        x_b = \alpha_b x_0 + \sqrt{\sigma_b^2 - s^2}\; \frac{x - \alpha_a x_0}{\sigma_a} + s z,
        \qquad s = \eta \frac{\sigma_b}{\sigma_a}
            \sqrt{\sigma_a^2 - \frac{\alpha_a^2}{\alpha_b^2} \sigma_b^2}

    Song et al., "Denoising Diffusion Implicit Models", arXiv 2010.02502, Eq. 12 and 16, written
    for any alpha and sigma.
    """

    class Options(BaseModel, extra="forbid"):
        """Options of ddim."""

        eta: float = Field(
            0.0, ge=0, le=1, description="Fresh noise per step: 0 is deterministic, 1 is DDPM."
        )

    eta: float = 0.0
    name: ClassVar[str] = "ddim"
    order: ClassVar[int] = 1
    nfe: ClassVar[int] = 1

    def init(self) -> None:
        return None

    def step(
        self, denoise: Denoise, x: Tensor, a: Level, b: Level, state: None, noise: Noise
    ) -> tuple[Tensor, Tensor, None]:
        x0 = denoise(x, a)
        spread = (a.sigma**2 - (a.alpha / b.alpha * b.sigma) ** 2).clamp(min=0).sqrt()
        std = self.eta * b.sigma / a.sigma * spread
        if std == 0:
            return transfer(x, x0, a, b), x0, None
        kept = (b.sigma**2 - std**2).clamp(min=0).sqrt() * to_epsilon(x0, x, a)
        return b.alpha * x0 + kept + std * noise.normal(x, STREAM), x0, None


@dataclass(frozen=True)
class Euler:
    r"""Euler on the probability-flow ODE in the coordinates z = x / alpha, s = sigma / alpha.

    .. math::
        \frac{dz}{ds} = \frac{z - x_0}{s}
        \quad\Rightarrow\quad z_b = z_a + (s_b - s_a) \frac{z_a - x_0}{s_a}

    Karras et al., arXiv 2206.00364, Eq. 1 and Algorithm 1 without lines 6-8. Multiplied out this
    is `transfer`, so that Euler equals DDIM with eta = 0 and needs no alpha > 0.
    """

    name: ClassVar[str] = "euler"
    order: ClassVar[int] = 1
    nfe: ClassVar[int] = 1
    Options: ClassVar[type[BaseModel]] = NoOptions

    def init(self) -> None:
        return None

    def step(
        self, denoise: Denoise, x: Tensor, a: Level, b: Level, state: None, noise: Noise
    ) -> tuple[Tensor, Tensor, None]:
        x0 = denoise(x, a)
        return transfer(x, x0, a, b), x0, None


@dataclass(frozen=True)
class Heun:
    r"""Heun's second-order method on the ODE of `Euler`: two model calls a step.

    .. math::
        x_b = \frac{\alpha_b}{\alpha_a} x_a + \left(\sigma_b - \frac{\alpha_b}{\alpha_a}
            \sigma_a\right) \frac{\varepsilon_a + \varepsilon_b}{2}

    where :math:`\varepsilon_b` is found at the Euler step. Karras et al., arXiv 2206.00364,
    Algorithm 1. Where alpha_a = 0 or sigma_b = 0 the step is Euler's, one model call.
    """

    name: ClassVar[str] = "heun"
    order: ClassVar[int] = 2
    nfe: ClassVar[int] = 2
    Options: ClassVar[type[BaseModel]] = NoOptions

    def init(self) -> None:
        return None

    def step(
        self, denoise: Denoise, x: Tensor, a: Level, b: Level, state: None, noise: Noise
    ) -> tuple[Tensor, Tensor, None]:
        x0 = denoise(x, a)
        ahead = transfer(x, x0, a, b)
        if a.alpha == 0 or b.sigma == 0:
            return ahead, x0, None
        slope = (to_epsilon(x0, x, a) + to_epsilon(denoise(ahead, b), ahead, b)) / 2
        ratio = b.alpha / a.alpha
        return ratio * x + (b.sigma - ratio * a.sigma) * slope, x0, None


class Past(NamedTuple):
    """What a two-step sampler remembers: x0 of the step before, and the h of that step, 0-dim."""

    x0: Tensor
    h: Tensor


def _extrapolate(x0: Tensor, h: Tensor, past: Past | None) -> Tensor:
    r"""Carry x0 half a step ahead, :math:`x_0 + \frac{h}{2 h'} (x_0 - x_0')`.

    Where h or the h' before it is infinite, and on the first step, x0 is returned: the step that
    uses it is of first order.
    """
    if past is None or not (h.isfinite() and past.h.isfinite()):
        return x0
    return x0 + h / (2 * past.h) * (x0 - past.x0)


@dataclass(frozen=True)
class DPMpp2M:
    r"""DPM-Solver++(2M): second order with one model call a step.

    .. math::
        x_b = \frac{\sigma_b}{\sigma_a} x + \alpha_b (1 - q) D,
        \qquad D = x_0 + \frac{h}{2 h'} (x_0 - x_0')

    with primes for the step before. Lu et al., "DPM-Solver++", arXiv 2211.01095, Algorithm 2.
    First order on the first step and where alpha_a = 0 or sigma_b = 0.
    """

    name: ClassVar[str] = "dpmpp_2m"
    order: ClassVar[int] = 2
    nfe: ClassVar[int] = 1
    Options: ClassVar[type[BaseModel]] = NoOptions

    def init(self) -> Past | None:
        return None

    def step(
        self, denoise: Denoise, x: Tensor, a: Level, b: Level, state: Past | None, noise: Noise
    ) -> tuple[Tensor, Tensor, Past | None]:
        x0, h = denoise(x, a), (b.log_snr - a.log_snr) / 2
        return transfer(x, _extrapolate(x0, h, state), a, b), x0, Past(x0, h)


@dataclass(frozen=True)
class DPMpp2MSDE:
    r"""SDE-DPM-Solver++(2M) with eta times the noise of the reverse SDE.

    .. math::
        x_b = \frac{\sigma_b}{\sigma_a} q^{\eta} x + \alpha_b (1 - q^{1 + \eta}) D
            + \sigma_b \sqrt{1 - q^{2 \eta}}\; z

    with D of `DPMpp2M`. Lu et al., "DPM-Solver++", arXiv 2211.01095, SDE-DPM-Solver++(2M),
    is eta = 1;
    eta = 0 is `DPMpp2M`, and eta = 1 with D = x0 is `DDPM`.
    """

    class Options(BaseModel, extra="forbid"):
        """Options of dpmpp_2m_sde."""

        eta: float = Field(
            1.0, ge=0, le=1, description="Fresh noise per step: 0 is dpmpp_2m, 1 the reverse SDE."
        )

    eta: float = 1.0
    name: ClassVar[str] = "dpmpp_2m_sde"
    order: ClassVar[int] = 1
    nfe: ClassVar[int] = 1

    def init(self) -> Past | None:
        return None

    def step(
        self, denoise: Denoise, x: Tensor, a: Level, b: Level, state: Past | None, noise: Noise
    ) -> tuple[Tensor, Tensor, Past | None]:
        x0, h = denoise(x, a), (b.log_snr - a.log_snr) / 2
        best, q = _extrapolate(x0, h, state), (-h).exp()
        x = b.sigma / a.sigma * q**self.eta * x + b.alpha * (1 - q ** (1 + self.eta)) * best
        std = b.sigma * (1 - q ** (2 * self.eta)).clamp(min=0).sqrt()
        return x if std == 0 else x + std * noise.normal(x, STREAM), x0, Past(x0, h)


SAMPLERS: Mapping[str, type[Sampler[Any]]] = {
    cls.name: cls for cls in (DDPM, DDIM, Euler, Heun, DPMpp2M, DPMpp2MSDE)
}
"""The samplers by the name that presets use."""
