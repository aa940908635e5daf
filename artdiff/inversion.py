r"""DDIM inversion: from a clean sample to the noise that DDIM would turn into it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from torch import Tensor

from artdiff.denoise import Denoise, to_epsilon
from artdiff.noise import Level
from artdiff.sample import Step, transfer

__all__ = ["invert"]


def invert(
    denoise: Denoise, x: Tensor, levels: Sequence[Level], *, rounds: int = 0
) -> Iterator[Step]:
    r"""Walk the levels backwards, yielding one `Step` for each transition; the last x is noise.

    A step of DDIM (eta = 0) from the noisier level a to b is

    .. math::
        x_b = \frac{\alpha_b}{\alpha_a} x_a + \left(\sigma_b - \frac{\alpha_b}{\alpha_a} \sigma_a
            \right) \varepsilon(x_a, a)

    and solved for :math:`x_a`. With no rounds :math:`\varepsilon(x_b, b)` stands for
    :math:`\varepsilon(x_a, a)`: Song et al., arXiv 2010.02502, Section 4.3. Then DDIM gives the
    sample back with an error that falls like 1 / steps. Each round puts the latest
    :math:`x_a` into the right side: Pan et al., "Effective Real Image Editing with Accelerated
    Iterative Diffusion Inversion", arXiv 2309.04907, Section 3. The step may be written with x0 in
    place of epsilon; whichever form shrinks the error more for data of unit variance is taken, x0
    at high noise. At alpha_a = 0 and sigma_b = 0, where epsilon or the step cannot be had from b,
    at least one round is made.

    Args:
        denoise: (x, at) -> x0, the denoiser with its conditioning bound.
        x: the sample at levels[-1], (B, C, H, W).
        levels: from noise to clean, as `artdiff.grid.levels` gives them.
        rounds: how often each step is mended, a model call each; about 5 make it exact where steps
            are short.

    Raises:
        ValueError: if rounds is negative.
    """
    if rounds < 0:
        raise ValueError(f"rounds >= 0, not {rounds}")
    for index, (a, b) in enumerate(reversed(list(pairwise(levels)))):
        if b.sigma == 0:
            x0, there = x, a.alpha / b.alpha * x
            turns = max(1, rounds)
        elif a.alpha == 0:
            x0, there = denoise(x, b), x * (a.sigma / b.sigma)
            turns = max(1, rounds)
        else:
            x0 = denoise(x, b)
            there, turns = transfer(x, x0, b, a), rounds
        for _ in range(turns):
            there = _mend(x, denoise(there, a), there, a, b)
        x = there
        yield Step(index, b, a, x, x0)


def _mend(x: Tensor, x0: Tensor, there: Tensor, a: Level, b: Level) -> Tensor:
    """Solve the step from a to b for the sample at a, given x at b and what `there` looks like."""
    if b.sigma > 0 and a.alpha * b.alpha * a.sigma / b.sigma - a.alpha**2 < (
        a.sigma**2 - a.alpha * a.sigma * b.sigma / b.alpha
    ):
        kept = b.sigma / a.sigma
        return (x - (b.alpha - kept * a.alpha) * x0) / kept
    ratio = a.alpha / b.alpha
    return ratio * x + (a.sigma - ratio * b.sigma) * to_epsilon(x0, there, a)
