r"""Guidance: denoisers around a denoiser, so that any guidance goes with any sampler.

`cfg` combines the conditional and the unconditional answer; `guide` bends the result by the
gradients of losses, then by projections. The order is fixed: combine, losses, projections.
Rows of a batch are independent throughout. Levels are those of sampling, 0-dim.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from pydantic import BaseModel
from torch import Tensor

from artdiff.denoise import Answer, Conditioning, Denoiser, answering, denoiser_of
from artdiff.errors import ModelError, PluginError
from artdiff.noise import Level
from artdiff.random import Noise

__all__ = ["Guidance", "Loss", "Projection", "Term", "cfg", "guide", "noise_at"]

Loss = Callable[[Tensor, Level, Noise], Tensor]
"""(x0, at, noise) -> (B,): x0 is (B, C, H, W), smaller is better, rows never mixed."""


class Guidance(Protocol):
    """A gradient term, such as CLIP guidance: what a plugin writes.

    Its options are a nested class, ``class Options(BaseModel, extra="forbid")``.
    """

    @property
    def Options(self) -> type[BaseModel]: ...

    def loss(self, x0: Tensor, at: Level, noise: Noise) -> Tensor:
        """Judge x0, (B, C, H, W), at a level: (B,), finite, smaller is better, rows never mixed.

        Random crops and the like are drawn from ``noise.normal(..., stream)`` or ``uniform``
        under a stream name of the plugin's own.
        """
        ...


class Projection(Protocol):
    """A change of x0 without a gradient: an inpainting mask, thresholding, symmetry, tiling."""

    def __call__(self, x0: Tensor, x: Tensor, at: Level, noise: Noise) -> Tensor:
        """Give the new x0, (B, C, H, W), of the sample x at a level; rows never mixed."""
        ...


@dataclass(frozen=True, eq=False)
class Term:
    """A loss in use: its weight is one number or (B,), one for each row; 0 has no effect.

    The name is what errors call it.
    """

    loss: Loss
    weight: float | Tensor = 1.0
    name: str = "loss"


def noise_at(noise: Noise, at: Level) -> Noise:
    """Give the noise of losses and projections at a level.

    A denoiser sees levels, not step numbers: the step is the noise fraction times 2**20, rounded.
    Two calls at one level see the same noise, whatever the sampler and its number of steps.
    """
    return noise.at(round(float(at.fraction) * 2**20))


def cfg(
    denoiser: Denoiser,
    uncond: Conditioning,
    scale: float | Tensor,
    *,
    start: float = 1.0,
    stop: float = 0.0,
    rescale: float | Tensor = 0.0,
) -> Denoiser:
    r"""Classifier-free guidance, both answers from one call on [cond; uncond].

    .. math::
        x_w = x_{uncond} + w (x_{cond} - x_{uncond}), \qquad
        x_0 = \varphi \frac{\mathrm{std}(x_{cond})}{\mathrm{std}(x_w)} x_w + (1 - \varphi) x_w

    Ho & Salimans, "Classifier-Free Diffusion Guidance", arXiv 2207.12598, Eq. 6, whose w is this
    one less 1. Rescale: Lin et al., "Common Diffusion Noise Schedules and Sample Steps are
    Flawed", arXiv 2305.08891, Eq. 14-16, applied to x0, std over (C, H, W) of each sample.
    Interval: Kynkäänniemi et al., arXiv 2404.07724. A learned variance is the conditional one's.

    Args:
        denoiser: what is called; outside the interval with cond alone.
        uncond: the conditioning to move away from (nothing, or a negative prompt), with the keys
            of cond; leading dimension B, or 1 for all rows.
        scale: w, one number or (B,), one for each row; 1 is off, and costs nothing where it is 1
            for all rows: the denoiser itself is returned.
        start: guidance acts where start >= `Level.fraction` >= stop; 1 is pure noise.
        stop: 0 is the clean end.
        rescale: phi in [0, 1], one number or (B,); 0 is off. About 0.7 keeps high scales from
            oversaturating.

    Raises:
        ValueError: if start, stop or rescale is out of range, or (when called) if uncond has other
            keys than cond, or scale other than B rows.
    """
    if not 0 <= stop <= start <= 1:
        raise ValueError(f"0 <= stop <= start <= 1, not stop={stop}, start={start}")
    amount = torch.as_tensor(rescale)
    if not bool(((amount >= 0) & (amount <= 1)).all()):
        raise ValueError(f"0 <= rescale <= 1, not {rescale}")
    rescaled = bool((amount != 0).any())
    if bool((torch.as_tensor(scale) == 1).all()):
        return denoiser

    ask = answering(denoiser)

    def guided(x: Tensor, at: Level, cond: Conditioning) -> tuple[Tensor, Tensor | None]:
        if not start >= at.fraction >= stop:
            return ask(x, at, cond)
        both, places = ask(torch.cat([x, x]), at, _stack(cond, uncond))
        place = places if places is None else places.chunk(2)[0]
        cond_x0, uncond_x0 = both.chunk(2)
        weight = _per_row(scale, x, "scale")
        x0 = cond_x0 + (weight - 1) * (cond_x0 - uncond_x0)
        if not rescaled:
            return x0, place
        change = _std(cond_x0) / _std(x0).clamp(min=1e-6) - 1
        return x0 * (1 + _per_row(rescale, x, "rescale") * change), place

    return denoiser_of(guided, denoiser)


def guide(
    denoiser: Denoiser,
    losses: Sequence[Term] = (),
    projections: Sequence[Projection] = (),
    *,
    noise: Noise,
    through: Literal["denoiser", "x0"] = "denoiser",
) -> Denoiser:
    r"""Bend a denoiser by losses, then by projections; without either, return it as it is.

    One autograd pass serves all losses. With :math:`L(x_0) = \sum_i w_i \ell_i(x_0)`:

    .. math::
        \text{through = denoiser:}\quad x_0 \leftarrow x_0
            - \frac{\sigma^2}{\alpha} \nabla_x L(x_0(x)) \qquad
        \text{through = x0:}\quad x_0 \leftarrow x_0
            - \frac{\sigma^2}{\alpha^2 + \sigma^2} \nabla_{x_0} L(x_0)

    The first is exact when exp(-L) is proportional to the likelihood of what is wanted given x
    (Tweedie's formula; Chung et al., "Diffusion Posterior Sampling", arXiv 2209.14687, Eq. 16);
    it differentiates the denoiser and does nothing at alpha = 0. The second treats x0 as a free
    variable: bounded, no backward pass through the denoiser, about half the memory.

    Works under the caller's ``torch.no_grad()`` or ``torch.inference_mode()``; x0 comes detached.
    A learned variance passes unchanged.

    Args:
        denoiser: what is bent, usually a `cfg` one.
        losses: each with its weight; a weight is a step size in units of x0.
        projections: applied in turn.
        noise: of B seeds, for the losses and projections; see `noise_at`.
        through: which of the two gradients.

    Raises:
        ValueError: if `through` is unknown, or (when called) a weight has other than B rows.
        PluginError: when called, naming the term, if a loss is not (B,), not finite, or does not
            depend on x0, if its gradient is not finite, or if a projection changes the shape.
        ModelError: when called, if the denoiser cannot be differentiated.
    """
    if through not in ("denoiser", "x0"):
        raise ValueError(f"through is 'denoiser' or 'x0', not {through!r}")
    if not losses and not projections:
        return denoiser

    ask = answering(denoiser)

    def guided(x: Tensor, at: Level, cond: Conditioning) -> tuple[Tensor, Tensor | None]:
        here = noise_at(noise, at)
        if losses and through == "denoiser" and at.alpha > 0:
            x0, place = _bent_through_denoiser(ask, losses, x, at, cond, here)
        else:
            x0, place = ask(x, at, cond)
            if losses and through == "x0":
                x0 = _bent_through_x0(x0.detach(), losses, at, here)
        for projection in projections:
            shape, x0 = x0.shape, projection(x0, x, at, here)
            if x0.shape != shape:
                name = getattr(projection, "__name__", type(projection).__name__)
                wrong = f"{tuple(x0.shape)}, not {tuple(shape)}"
                raise PluginError(f"projection {name!r}: returned x0 of shape {wrong}")
        return x0, place

    return denoiser_of(guided, denoiser)


def _bent_through_denoiser(
    ask: Answer,
    losses: Sequence[Term],
    x: Tensor,
    at: Level,
    cond: Conditioning,
    here: Noise,
) -> tuple[Tensor, Tensor | None]:
    """Bend x0 by the gradient with respect to x; alpha > 0. Give f as well."""
    with torch.inference_mode(False), torch.enable_grad():
        at = Level(_plain(at.alpha), _plain(at.sigma))
        leaf = x.detach().clone().requires_grad_()
        x0, place = ask(leaf, at, {key: _plain(value) for key, value in cond.items()})
        if not x0.requires_grad:
            raise ModelError(
                "this denoiser cannot be differentiated; set through = 'x0' for its guidance"
            )
        gradient = _gradient(losses, x0, leaf, at, here)
        place = place if place is None else place.detach()
        return x0.detach() - at.sigma**2 / at.alpha * gradient, place


def _bent_through_x0(x0: Tensor, losses: Sequence[Term], at: Level, here: Noise) -> Tensor:
    """Bend x0 by the gradient with respect to x0 itself."""
    with torch.inference_mode(False), torch.enable_grad():
        at = Level(_plain(at.alpha), _plain(at.sigma))
        leaf = x0.clone().requires_grad_()
        gradient = _gradient(losses, leaf, leaf, at, here)
        return x0 - at.sigma**2 / (at.alpha**2 + at.sigma**2) * gradient


def _gradient(losses: Sequence[Term], x0: Tensor, leaf: Tensor, at: Level, here: Noise) -> Tensor:
    """Differentiate the weighted sum of all losses with respect to the leaf, in one pass."""
    values = []
    for term in losses:
        value = term.loss(x0, at, here)
        if value.shape != (len(x0),):
            wrong = f"{tuple(value.shape)}, not ({len(x0)},): one number for each sample"
            raise PluginError(f"guidance {term.name!r}: the loss has the shape {wrong}")
        if not value.requires_grad:
            raise PluginError(f"guidance {term.name!r}: the loss does not depend on x0")
        values.append(value)
    pairs = zip(losses, values, strict=True)
    weighted = [_per_row(term.weight, value, "weight") * value for term, value in pairs]
    (gradient,) = torch.autograd.grad(torch.stack(weighted).sum(), leaf)
    if not bool(gradient.isfinite().all() & torch.stack(values).isfinite().all()):
        wrong = [t.name for t, v in zip(losses, values, strict=True) if not v.isfinite().all()]
        what = "loss" if wrong else "gradient"
        names = ", ".join(repr(name) for name in wrong or [term.name for term in losses])
        raise PluginError(f"guidance {names}: the {what} is not finite (NaN or infinite)")
    return gradient


def _plain(tensor: Tensor) -> Tensor:
    """Copy a tensor made under inference mode, which autograd would refuse."""
    return tensor.clone() if tensor.is_inference() else tensor


def _per_row(value: float | Tensor, like: Tensor, what: str) -> float | Tensor:
    """Shape a (B,) tensor to multiply `like`, (B, ...); pass a number on."""
    if not isinstance(value, Tensor) or value.ndim == 0:
        return value
    if value.shape != like.shape[:1]:
        raise ValueError(f"{what} of shape {tuple(value.shape)} for {len(like)} samples")
    return _plain(value).to(like).reshape(-1, *[1] * (like.ndim - 1))


def _stack(cond: Conditioning, uncond: Conditioning) -> Mapping[str, Tensor]:
    """Stack two conditionings along the batch."""
    if cond.keys() != uncond.keys():
        raise ValueError(f"uncond has the keys {sorted(uncond)}, cond {sorted(cond)}")
    return {key: torch.cat([cond[key], uncond[key].expand_as(cond[key])]) for key in cond}


def _std(x0: Tensor) -> Tensor:
    """Give the standard deviation of each sample over its elements, (B, 1, 1, 1)."""
    return x0.std(dim=tuple(range(1, x0.ndim)), keepdim=True)
