r"""Training losses of the discrete process, and how the step t of each sample is drawn.

.. math::
    L_{simple} = E \lVert y - y^* \rVert^2, \qquad L_{vlb} = E[N L_t], \qquad
    L_{hybrid} = L_{simple} + \lambda L_{vlb}

with y the network's output, y* its target, :math:`L_t` the term of the variational bound
(`artdiff.vlb.step_term`) and N the number of steps. Ho et al., arXiv 2006.11239, Eq. 14; Nichol &
Dhariwal, "Improved Denoising Diffusion Probabilistic Models", arXiv 2102.09672, Eq. 16, 18.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, Self, get_args

import torch
from torch import Tensor

from artdiff.process import Process, Target, Variance, split_output
from artdiff.vlb import step_term

LossKind = Literal["simple", "vlb", "hybrid"]
"""Mean square error, the variational bound, or the first plus a small part of the second."""


class Losses(NamedTuple):
    """The losses of each sample, (B,) each; a part that is not computed is None.

    Attributes:
        loss: what is minimised; `min_snr` is in it, an importance weight of t is not.
        mse: mean square error of the output, without `min_snr`.
        vb: the term L_t of the bound, in bits per dimension; to sum over t.
    """

    loss: Tensor
    mse: Tensor | None
    vb: Tensor | None


@dataclass(frozen=True, eq=False)
class Objective:
    """What a network that walks a `Process` is trained for.

    Args:
        process: the N steps.
        kind: ``simple`` needs a fixed variance, ``hybrid`` a learned one; ``vlb`` takes any.
        target: what the network outputs.
        variance: which variance; see `Process.p_mean_variance`.
        vb_weight: lambda of ``hybrid``. In it the mean of the bound's term is held fixed, so that
            the bound teaches the variance only.
        min_snr: gamma of `min_snr_weights`, of ``simple`` and of the first part of ``hybrid``.
        rescale: as in `Process.time`.

    Raises:
        ValueError: if kind, target or variance is unknown, they do not go together, or a number is
            out of range.
    """

    process: Process
    kind: LossKind = "simple"
    target: Target = "epsilon"
    variance: Variance = "small"
    vb_weight: float = 0.001
    min_snr: float | None = None
    rescale: bool = False

    def __post_init__(self) -> None:
        for field, kinds in (("kind", LossKind), ("target", Target), ("variance", Variance)):
            known, value = get_args(kinds), getattr(self, field)
            if value not in known:
                raise ValueError(f"{field} is one of {', '.join(known)}, not {value!r}")
        learned = self.variance in ("learned", "learned-range")
        if self.kind != "vlb" and learned != (self.kind == "hybrid"):
            best = "'hybrid'" if learned else "'simple' or 'vlb'"
            raise ValueError(
                f"variance {self.variance!r} needs the loss {best}, not {self.kind!r}"
            )
        if not self.vb_weight >= 0:
            raise ValueError(f"vb_weight >= 0, not {self.vb_weight}")
        if self.min_snr is not None and not self.min_snr > 0:
            raise ValueError(f"min_snr > 0, not {self.min_snr}")
        if self.min_snr is not None and self.kind == "vlb":
            raise ValueError("min_snr weighs a mean square error; the loss 'vlb' has none")

    def __call__(
        self, network: Callable[[Tensor, Tensor], Tensor], x0: Tensor, t: Tensor, eps: Tensor
    ) -> Losses:
        """Noise x0 to step t, ask the network, judge its output.

        Args:
            network: (x, time) -> output, (B, C, H, W) or (B, 2C, H, W), its conditioning bound.
            x0: clean pictures, (B, C, H, W) in [-1, 1].
            t: steps, (B,) long in [0, N).
            eps: standard normal noise, (B, C, H, W).
        """
        x = self.process.q_sample(x0, t, eps)
        return self.judge(network(x, self.process.time(t, rescale=self.rescale)), x0, x, t, eps)

    def judge(self, output: Tensor, x0: Tensor, x: Tensor, t: Tensor, eps: Tensor) -> Losses:
        """Judge an output at x = ``q_sample(x0, t, eps)``; the rest is as in a call.

        Raises:
            ValueError: if the output has other than C or 2C channels, as the variance needs.
        """
        process, count = self.process, len(self.process)
        guess, values = split_output(output, x, self.variance)
        if self.kind == "vlb":
            vb = self._vb(output, x0, x, t)
            return Losses(count * vb, None, vb)
        vb = None
        if self.kind == "hybrid":
            vb = self._vb(torch.cat([guess.detach(), values], dim=1), x0, x, t)
        right = eps if self.target == "epsilon" else process.from_x0(x0, x, t, self.target)
        mse = (guess - right).square().flatten(1).mean(1)
        loss = mse
        if self.min_snr is not None:
            weights = min_snr_weights(process, self.target, self.min_snr)
            loss = mse * process.take(weights, t, x).flatten()
        if vb is not None:
            loss = loss + self.vb_weight * count * vb
        return Losses(loss, mse, vb)

    def _vb(self, output: Tensor, x0: Tensor, x: Tensor, t: Tensor) -> Tensor:
        """Term t of the bound, (B,)."""
        reverse = self.process.p_mean_variance(
            output, x, t, target=self.target, variance=self.variance
        )
        return step_term(self.process, reverse, x0, x, t)


def min_snr_weights(process: Process, target: Target = "epsilon", gamma: float = 5.0) -> Tensor:
    r"""Weights, (N,) float64, that make the mean square error min(SNR, gamma) times that of x0.

    .. math::
        \text{x0:}\ \min(SNR, \gamma) \qquad \text{epsilon:}\ \frac{\min(SNR, \gamma)}{SNR} \qquad
        \text{v:}\ \frac{\min(SNR, \gamma)}{SNR + 1}

    with :math:`SNR = \bar\alpha / (1 - \bar\alpha)`; other targets by their own factor of x0's
    error. Hang et al., "Efficient Diffusion Training via Min-SNR Weighting Strategy", arXiv
    2303.09556.
    """
    kept = process.alphas_cumprod
    snr = kept / (1 - kept)
    match target:
        case "x0":
            factor = torch.ones_like(snr)
        case "epsilon":
            factor = snr
        case "v":
            factor = snr + 1
        case "flow":
            factor = (snr.sqrt() + 1).square()
        case "previous":
            factor = process.posterior_mean_x0.square()
        case _:
            raise ValueError(f"target is unknown: {target!r}")
    return snr.clamp(max=gamma) / factor


class TimeSampler(Protocol):
    """How the steps t of a batch are drawn; a value, replaced by what `update` gives."""

    def draw(self, count: int, draws: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw steps t, (count,) long, and the weights of their losses, (count,) float32.

        The mean of weight times loss is that of the loss at uniform t.
        """
        ...

    def update(self, t: Tensor, losses: Tensor) -> Self:
        """Take the losses at t into account, both (B,), those of all workers in one order."""
        ...

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint keeps, for `restored`."""
        ...

    def restored(self, state: dict[str, Tensor]) -> Self:
        """Give the sampler that had this state."""
        ...


@dataclass(frozen=True)
class UniformTimes:
    """Every one of N steps is as likely as any other."""

    steps: int

    def draw(self, count: int, draws: torch.Generator) -> tuple[Tensor, Tensor]:
        return torch.randint(self.steps, (count,), generator=draws), torch.ones(count)

    def update(self, t: Tensor, losses: Tensor) -> Self:
        return self

    def state(self) -> dict[str, Tensor]:
        return {}

    def restored(self, state: dict[str, Tensor]) -> Self:
        return self


@dataclass(frozen=True, eq=False)
class LossSecondMoment:
    r"""Steps are drawn in proportion to the root mean square of their last losses.

    .. math:: p_t \propto \sqrt{E[L_t^2]}, \qquad \text{weight} = \frac{1}{N p_t}

    over the last `history` losses of each step; a share `uniform` of the draws stays uniform, and
    all are until every step has its history. Nichol & Dhariwal, arXiv 2102.09672, Eq. 18.

    Args:
        losses: the last losses of each step, (N, history) float64, oldest first.
        counts: how many of them are filled, (N,) long.
        uniform: the share of uniform draws, in [0, 1].

    Raises:
        ValueError: if the shapes disagree or the share is out of range.
    """

    losses: Tensor
    counts: Tensor
    uniform: float = 0.001

    def __post_init__(self) -> None:
        if self.losses.ndim != 2 or self.counts.shape != self.losses.shape[:1]:
            shapes = f"{tuple(self.losses.shape)} and {tuple(self.counts.shape)}"
            raise ValueError(f"losses are (N, history) and counts (N,), not {shapes}")
        if not 0 <= self.uniform <= 1:
            raise ValueError(f"0 <= uniform <= 1, not {self.uniform}")

    @classmethod
    def fresh(cls, steps: int, history: int = 10, uniform: float = 0.001) -> Self:
        """Give the sampler that has seen nothing."""
        losses = torch.zeros(steps, history, dtype=torch.float64)
        return cls(losses, torch.zeros(steps, dtype=torch.long), uniform)

    def probabilities(self) -> Tensor:
        """p_t, (N,) float64, of sum 1."""
        steps, history = self.losses.shape
        even = torch.full((steps,), 1 / steps, dtype=torch.float64)
        if bool((self.counts < history).any()):
            return even
        size = self.losses.square().mean(1).sqrt()
        if not size.sum() > 0:
            return even
        return (1 - self.uniform) * size / size.sum() + self.uniform * even

    def draw(self, count: int, draws: torch.Generator) -> tuple[Tensor, Tensor]:
        chances = self.probabilities()
        t = torch.multinomial(chances, count, replacement=True, generator=draws)
        return t, (1 / (len(chances) * chances[t])).float()

    def update(self, t: Tensor, losses: Tensor) -> Self:
        kept, counts = self.losses.clone(), self.counts.clone()
        history = kept.shape[1]
        for step, loss in zip(t.tolist(), losses.detach().double().tolist(), strict=True):
            if counts[step] == history:
                kept[step] = kept[step].roll(-1)
                kept[step, -1] = loss
            else:
                kept[step, counts[step]] = loss
                counts[step] += 1
        return type(self)(kept, counts, self.uniform)

    def state(self) -> dict[str, Tensor]:
        return {"losses": self.losses, "counts": self.counts}

    def restored(self, state: dict[str, Tensor]) -> Self:
        return type(self)(state["losses"], state["counts"], self.uniform)
