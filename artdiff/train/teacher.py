"""What a distilled network learns: the guided velocity of its teacher, and its mean over a way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from artdiff.denoise import Conditioning
from artdiff.guiders.rows import stack, std
from artdiff.nn.latent_transformer import LatentTransformer

Velocity = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(x, t, rows) -> velocity: of the samples with those row numbers, at times t, one for each."""


@dataclass(frozen=True)
class Guided:
    """The guidance that goes into the weights, as `artdiff.guiders.guided` applies it.

    Attributes:
        rescale: phi in [0, 1].
        stop: the noise fraction below which guidance is off.
    """

    rescale: float
    stop: float


def guided_velocity(
    model: LatentTransformer,
    x: Tensor,
    t: Tensor,
    cond: Conditioning,
    uncond: Conditioning,
    scale: Tensor,
    how: Guided,
) -> Tensor:
    r"""Give the velocity of classifier-free guidance with rescaling, rows never mixed.

    .. math::
        g = x_{cond} + (w - 1)(x_{cond} - x_{uncond}), \qquad
        v = \frac{1}{t}\left(x - \varphi \frac{\mathrm{std}(x_{cond})}{\mathrm{std}(g)} g
            - (1 - \varphi) g\right)

    with x0 = x - t v on the flow; below `Guided.stop` the conditional velocity. A network that was
    told scales while it learned is asked once, with its own guidance, and twice otherwise.

    Args:
        model: the teacher.
        x: (B, C, h, w) at times `t`, (B,) in [0, 1].
        cond: of the captions, leading dimension B; `uncond` of the empty one, of 1.
        scale: w, (B,).
        how: what else belongs to the guidance.
    """
    if "scale" in model.config.told:
        return model(x, t, {**cond, "scale": scale[:, None]})
    both = model(torch.cat([x, x]), torch.cat([t, t]), dict(stack([cond, uncond])))
    v, other = both.chunk(2)
    at, w = t.view(-1, 1, 1, 1), scale.view(-1, 1, 1, 1)
    plain = x - at * v
    g = plain + (w - 1) * at * (other - v)
    change = std(plain).clamp(min=1e-6) / std(g).clamp(min=1e-6) - 1
    g = g * (1 + how.rescale * change)
    return torch.where((at >= how.stop) & (w != 1), (x - g) / at.clamp(min=1e-4), v)


def mean_velocity(velocity: Velocity, x: Tensor, t: Tensor, reach: Tensor, parts: int) -> Tensor:
    r"""Give the mean velocity of a flow on its way from time t to t - reach, (B, C, h, w).

    The way is walked in equal parts by the second-order method of Adams and Bashforth, which
    begins with a step of Euler's:

    .. math::
        x_{i+1} = x_i - h u_i, \quad u_0 = v_0, \quad u_i = \tfrac32 v_i - \tfrac12 v_{i-1},
        \qquad \bar v = \frac{1}{n} \sum_i u_i

    so that x - reach * result is where it ends. Rows whose reach is 0 are asked once: theirs is
    the velocity itself.

    Args:
        velocity: of the flow; it is asked for the rows that go on.
        x: (B, C, h, w) at times `t`, (B,).
        reach: (B,), at most t.
        parts: n, at least 1.
    """
    rows = torch.arange(len(x), device=x.device)
    before = velocity(x, t, rows)
    going = rows[reach > 0]
    if parts == 1 or not len(going):
        return before
    mean, h = before.clone(), (reach[going] / parts).view(-1, 1, 1, 1)
    slope = before = before[going]
    here, total = x[going], before.clone()
    for part in range(1, parts):
        here = here - h * slope
        now = velocity(here, t[going] - reach[going] * (part / parts), going)
        slope, before = 1.5 * now - 0.5 * before, now
        total = total + slope
    mean[going] = total / parts
    return mean


def of_rows(cond: Mapping[str, Tensor], rows: Tensor) -> dict[str, Tensor]:
    """The conditioning of some rows."""
    return {name: value[rows] for name, value in cond.items()}
