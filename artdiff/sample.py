r"""From noise to a clean sample, one level to the next: the loop, and what a sampler is.

One loop, `sample`, serves every sampler of `artdiff.samplers`. A sampler is an immutable value
with ``init`` and ``step``: state in, state out. Every update is built on the DDIM transfer
(`transfer`), which is finite where alpha = 0 (the start of a flow) and where sigma = 0 (the end).

Below, a is the level that a step leaves, b the one it reaches, :math:`\lambda = \log(\alpha /
\sigma)`, :math:`h = \lambda_b - \lambda_a > 0` and :math:`q = e^{-h}
= \alpha_a \sigma_b / (\alpha_b \sigma_a)`, which is 0 at both ends, where h is infinite.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from artdiff.denoise import Denoise
from artdiff.noise import Level
from artdiff.random import Noise

__all__ = ["STREAM", "Sampler", "Step", "asked", "sample", "transfer"]

S = TypeVar("S")

STREAM = "sampler"
"""The noise stream of every stochastic sampler."""


class Sampler(Protocol[S]):
    """One way to walk the levels; a frozen dataclass of its options.

    A preset's options are validated by a nested class, ``class Options(BaseModel,
    extra="forbid")``; construct with ``cls(**options.model_dump())``. A sampler that brings its
    own grid has a method ``levels(schedule) -> list[Level]``, and the preset's is not used.

    Attributes:
        name: the name in `artdiff.samplers.SAMPLERS` and in presets.
        order: the error falls like steps**-order where the levels lie smoothly and the first steps
            weigh little, with the default options. For a sampler that draws noise the error is
            that of mean and standard deviation where the data are Gaussian.
        nfe: model calls for each step of a walk, at most; `asked` counts them.
    """

    name: ClassVar[str]
    order: ClassVar[int]
    nfe: ClassVar[int]

    def init(self, steps: int) -> S:
        """Give the state before the first of `steps` steps."""
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
        levels: from noise to clean, as `artdiff.grid.levels` gives them.
        noise: of B seeds; step i draws from ``noise.at(i)``.
    """
    state = sampler.init(len(levels) - 1)
    for index, (a, b) in enumerate(pairwise(levels)):
        x, x0, state = sampler.step(denoise, x, a, b, state, noise.at(index))
        yield Step(index, a, b, x, x0)


def asked(sampler: Sampler[S], levels: Sequence[Level]) -> list[Level]:
    """Give the levels at which a walk asks the model, in order: as many as it makes model calls.

    The walk is made with a sample of one zero and a model that knows nothing, so that a sampler
    whose steps depend on the sample makes as few calls as it ever does.
    """
    model = _Listener([])
    for _ in sample(sampler, model, torch.zeros(1, 1, 1, 1), levels, Noise([0])):
        pass
    return model.heard


class _Listener(NamedTuple):
    heard: list[Level]

    def __call__(self, x: Tensor, at: Level) -> Tensor:
        self.heard.append(at)
        return x * 0

    def with_variance(self, x: Tensor, at: Level) -> tuple[Tensor, Tensor]:
        return self(x, at), x * 0


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
