r"""Guidance: denoisers around a denoiser, so that any guidance goes with any sampler.

A guider (`artdiff.guiders`) combines several answers of a model; `guide` bends the result by the
gradients of losses, then by projections. The order is fixed: combine, losses, projections.
Rows of a batch are independent throughout. Levels are those of sampling, 0-dim.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from artdiff.denoise import Conditioning, Denoiser, answering, denoiser_of
from artdiff.errors import PluginError
from artdiff.guidance.bending import Rules, active_terms, bent, look_of
from artdiff.guidance.gradients import ClampBy, Combine
from artdiff.guidance.terms import Guidance, Look, Projection, Term, Through, Watch, noise_at
from artdiff.noise import Level
from artdiff.random import Noise

__all__ = ["Guidance", "Look", "Projection", "Term", "guide", "noise_at"]


def guide(
    denoiser: Denoiser,
    losses: Sequence[Term] = (),
    projections: Sequence[Projection] = (),
    *,
    noise: Noise,
    through: Through = "denoiser",
    combine: Combine = "sum",
    clamp: float = 0.0,
    clamp_by: ClampBy = "rms",
    watch: Watch | None = None,
) -> Denoiser:
    r"""Bend a denoiser by losses, then by projections; without either, return it as it is.

    With :math:`L(x_0) = \sum_i w_i \ell_i(x_0)`:

    .. math::
        \text{through = denoiser:}\quad x_0 \leftarrow x_0
            - \frac{\sigma^2}{\alpha} \nabla_x L(x_0(x)) \qquad
        \text{through = x0:}\quad x_0 \leftarrow x_0
            - \frac{\sigma^2}{\alpha^2 + \sigma^2} \nabla_{x_0} L(x_0)

    The first is exact when exp(-L) is proportional to the likelihood of what is wanted given x
    (Tweedie's formula; Chung et al., "Diffusion Posterior Sampling", arXiv 2209.14687, Eq. 16);
    it differentiates the denoiser and does nothing where alpha < 0.005 sigma: there the factor
    would enlarge the errors of a trained network two hundred times and more. The second treats x0
    as a free variable: bounded, no backward pass through the denoiser, about half the memory. It
    is the first for data of variance 1 and mean 0.

    A loss of a `Term` that sees x always acts by the first formula with :math:`\nabla_x \ell(x)`,
    and the denoiser is not differentiated for it (classifier guidance: Dhariwal & Nichol, arXiv
    2105.05233, Algorithm 2).

    Other rules than sum look at :math:`g_i = w_i \nabla_{x_0} \ell_i`, with x0 as a free variable,
    or :math:`\frac{\alpha^2 + \sigma^2}{\alpha} w_i \nabla_x \ell_i` of a loss that sees x, which
    would move x0 as far. They give shares (`artdiff.guidance.gradients.shares`), and one
    vector-Jacobian product carries :math:`\sum_i c_i g_i` through the denoiser. With the rule sum,
    one backward pass serves all losses. A clamp bounds the gradient that the formula above has:
    with respect to x through the denoiser, else to x0 (`artdiff.guidance.gradients.clamped`).

    Works in every gradient mode of the caller. Where there are losses x0 comes detached, at every
    level. A learned variance passes unchanged.

    Args:
        denoiser: what is bent, usually one with a guider around it.
        losses: each with its weight; a weight is a step size in units of x0. One whose weight is 0
            for all rows at a level is not called there.
        projections: applied in turn.
        noise: of B seeds, for the losses and projections; see `noise_at`.
        through: which of the two gradients.
        combine: how gradients become one.
        clamp: bound on the whole gradient of each row; 0 is off.
        clamp_by: the RMS of the gradient, or its largest values.
        watch: called with a `Look` at every call, if there are losses. It changes no bit of x0,
            and costs one backward pass through each loss.

    Raises:
        ValueError: if `through`, `combine` or `clamp_by` is unknown, the clamp is negative, or
            (when called) a weight has other than B rows or a course gives no finite number.
        PluginError: when called, naming the term, if a loss is not (B,), not finite, or does not
            depend on what it sees, if its gradient is not finite, or if a projection changes the
            shape.
        ModelError: when called, if the denoiser cannot be differentiated.
    """
    rules = Rules(through, combine, clamp, clamp_by)
    if not losses and not projections:
        return denoiser

    ask = answering(denoiser)

    def guided(x: Tensor, at: Level, cond: Conditioning) -> tuple[Tensor, Tensor | None]:
        here = noise_at(noise, at)
        active = active_terms(losses, x, at, through)
        if active:
            x0, place, look = bent(ask, active, rules, x, at, cond, here, watch is not None)
        else:
            (x0, place), look = ask(x, at, cond), None
            if losses:
                x0, place = x0.detach(), place if place is None else place.detach()
        if watch is not None and losses:
            watch(look_of(losses, active, look, at, len(x)))
        for projection in projections:
            shape, x0 = x0.shape, projection(x0, x, at, here)
            if x0.shape != shape:
                name = getattr(projection, "__name__", type(projection).__name__)
                wrong = f"{tuple(x0.shape)}, not {tuple(shape)}"
                raise PluginError(f"projection {name!r}: returned x0 of shape {wrong}")
        return x0, place

    return denoiser_of(guided, denoiser)
