r"""The discrete diffusion process: N trained steps, its posterior, its reverse step, respacing.

Step t of 0 ... N - 1 leads from :math:`x_{t-1}` to :math:`x_t`, where :math:`x_{-1}` is the clean
sample (the papers count from 1):

.. math::
    q(x_t \mid x_{t-1}) = N\left(\sqrt{1 - \beta_t}\, x_{t-1},\ \beta_t I\right), \qquad
    \bar\alpha_t = \prod_{s \le t} (1 - \beta_s)

Ho et al., "Denoising Diffusion Probabilistic Models", arXiv 2006.11239; Nichol & Dhariwal,
"Improved Denoising Diffusion Probabilistic Models", arXiv 2102.09672. Training and the variational
bound need integer steps and live here; sampling walks levels, which `Process.levels` gives.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from artdiff.denoise import Prediction, from_x0, to_epsilon, to_x0
from artdiff.errors import nearest
from artdiff.noise import DiscreteTable, Level, VPCosine, VPSigmoid
from artdiff.spacing import parse_spacing

__all__ = [
    "BETAS",
    "Process",
    "Reverse",
    "Target",
    "Variance",
    "make_betas",
    "parse_spacing",
    "respace",
    "split_output",
]

Target = Literal[Prediction, "previous"]
"""What a network outputs: one of `artdiff.denoise.Prediction`, or the mean of x_{t-1}."""

Variance = Literal["small", "large", "learned", "learned-range"]
"""The variance of the reverse step: beta~, beta, exp of the output, or a learned mix of both."""

BETAS = ("linear", "scaled-linear", "cosine", "sigmoid")
"""The names that `make_betas` knows."""


def make_betas(name: str, steps: int) -> Tensor:
    r"""Give the N rates beta_t of a named noise schedule, (N,) float64 in (0, 1).

    * ``linear``: from 1e-4 to 0.02, times 1000 / N (arXiv 2006.11239, Section 4);
    * ``scaled-linear``: the square of what is linear from sqrt(0.00085) to sqrt(0.012), times
      1000 / N (Rombach et al., "Latent Diffusion Models", as released with the weights);
    * ``cosine``: :math:`1 - \bar\alpha((t + 1) / N) / \bar\alpha(t / N)`, at most 0.999, with the
      alpha-bar of `artdiff.noise.VPCosine` (arXiv 2102.09672, Eq. 17 and Section 3.2);
    * ``sigmoid``: the same with the alpha-bar of `artdiff.noise.VPSigmoid`.

    Raises:
        ValueError: if the name is unknown, steps is below 1, or a rate would reach 1.
    """
    if name not in BETAS:
        raise ValueError(f"a noise schedule is not {name!r}{nearest(name, BETAS)}")
    if steps < 1:
        raise ValueError(f"steps >= 1, not {steps}")
    scale = 1000 / steps
    if name == "linear":
        betas = torch.linspace(1e-4 * scale, 0.02 * scale, steps, dtype=torch.float64)
    elif name == "scaled-linear":
        low, high = (0.00085 * scale) ** 0.5, (0.012 * scale) ** 0.5
        betas = torch.linspace(low, high, steps, dtype=torch.float64).square()
    else:
        schedule = VPCosine() if name == "cosine" else VPSigmoid()
        kept = schedule(torch.linspace(0, 1, steps + 1, dtype=torch.float64)).alpha.square()
        betas = (1 - kept[1:] / kept[:-1]).clamp(max=0.999)
    if betas.max() >= 1:
        few = f"{name!r} has rates of 1 and more at {steps} steps"
        raise ValueError(f"{few}; take more steps, or 'cosine'")
    return betas


class Reverse(NamedTuple):
    """The reverse step p(x_{t-1} | x_t): all (B, C, H, W), and the x0 it was made from."""

    mean: Tensor
    variance: Tensor
    log_variance: Tensor
    x0: Tensor


@dataclass(frozen=True, eq=False)
class Process:
    """A diffusion process of N discrete steps; its tables are (N,) float64 on the CPU.

    Below, x0, x and eps are (B, C, H, W), or of any shape (B, ...); t is (B,) long in [0, N) on
    the device of x. Coefficients are taken in the dtype of x, in float32 where that is narrower.

    Args:
        betas: the rates beta_t in (0, 1), (N,).
        timesteps: which trained step each step is, (N,) long, rising; all of them unless respaced.
        trained: the number of steps that the network was trained with.

    Raises:
        ValueError: if the rates or the timesteps are out of range, or a step is not (B,) long.
    """

    betas: Tensor
    timesteps: Tensor = field(default=None)  # type: ignore[assignment]
    trained: int = 0

    def __post_init__(self) -> None:
        betas = torch.as_tensor(self.betas, dtype=torch.float64, device="cpu")
        if betas.ndim != 1 or not len(betas) or not bool(((betas > 0) & (betas < 1)).all()):
            raise ValueError("betas are one or more rates in (0, 1), of shape (N,)")
        steps = torch.arange(len(betas)) if self.timesteps is None else self.timesteps
        steps = torch.as_tensor(steps, dtype=torch.long, device="cpu")
        trained = self.trained or int(steps[-1]) + 1
        inside = steps.shape == betas.shape and 0 <= steps[0] and steps[-1] < trained
        if not inside or not bool((steps.diff() > 0).all()):
            raise ValueError(f"timesteps are {len(betas)} rising integers in [0, {trained})")
        for name, value in (("betas", betas), ("timesteps", steps), ("trained", trained)):
            object.__setattr__(self, name, value)

    @classmethod
    def named(cls, name: str, steps: int = 1000) -> Process:
        """Give the process of a schedule that `make_betas` knows."""
        return cls(make_betas(name, steps))

    def __len__(self) -> int:
        return len(self.betas)

    @cached_property
    def alphas_cumprod(self) -> Tensor:
        """alpha-bar_t, the signal's share of the variance of x_t, falling."""
        return (1 - self.betas).cumprod(0)

    @cached_property
    def alphas_cumprod_prev(self) -> Tensor:
        """alpha-bar_{t-1}; 1 at t = 0."""
        return torch.cat([torch.ones(1, dtype=torch.float64), self.alphas_cumprod[:-1]])

    @cached_property
    def posterior_variance(self) -> Tensor:
        r"""The variance of q(x_{t-1} | x_t, x_0); 0 at t = 0.

        .. math:: \tilde\beta_t = \frac{1 - \bar\alpha_{t-1}}{1 - \bar\alpha_t} \beta_t

        arXiv 2006.11239, Eq. 7.
        """
        return self.betas * (1 - self.alphas_cumprod_prev) / (1 - self.alphas_cumprod)

    @cached_property
    def posterior_log_variance(self) -> Tensor:
        """log beta~_t; at t = 0, where it is -inf, that of t = 1 (log beta_0 where N is 1)."""
        first = self.posterior_variance[1:2] if len(self) > 1 else self.betas
        return torch.cat([first, self.posterior_variance[1:]]).log()

    @cached_property
    def posterior_mean_x0(self) -> Tensor:
        """The factor of x_0 in the mean of q(x_{t-1} | x_t, x_0); arXiv 2006.11239, Eq. 7."""
        return self.betas * self.alphas_cumprod_prev.sqrt() / (1 - self.alphas_cumprod)

    @cached_property
    def posterior_mean_x(self) -> Tensor:
        """The factor of x_t in the mean of q(x_{t-1} | x_t, x_0); arXiv 2006.11239, Eq. 7."""
        kept = (1 - self.alphas_cumprod_prev) * (1 - self.betas).sqrt()
        return kept / (1 - self.alphas_cumprod)

    @cached_property
    def schedule(self) -> DiscreteTable:
        """The levels of the steps as a noise schedule; of the trained steps, if not respaced.

        Its `DiscreteTable.index` is the time of a network that was trained with this process.
        """
        return DiscreteTable(tuple(self.alphas_cumprod.tolist()))

    def levels(self) -> list[Level]:
        """Give the N + 1 levels that a sampler walks, from the last step to the clean (1, 0)."""
        kept = torch.cat([self.alphas_cumprod.flip(0), torch.ones(1, dtype=torch.float64)])
        pairs = zip(kept.sqrt().unbind(), (1 - kept).sqrt().unbind(), strict=True)
        return [Level(alpha, sigma) for alpha, sigma in pairs]

    def time(self, t: Tensor, *, rescale: bool = False) -> Tensor:
        """Give the trained steps of t, what the network is told: (B,) long.

        With `rescale` times 1000 / trained, float32: for networks that always see 0 to 1000.
        """
        steps = self.timesteps.to(t.device)[t]
        return steps.float() * (1000 / self.trained) if rescale else steps

    def level(self, t: Tensor, like: Tensor) -> Level:
        """Give the level of step t, (B, 1, 1, 1) to go with `like`, (B, C, H, W)."""
        kept = self.alphas_cumprod
        return Level(self.take(kept.sqrt(), t, like), self.take((1 - kept).sqrt(), t, like))

    def take(self, table: Tensor, t: Tensor, like: Tensor) -> Tensor:
        """Give the entries t of an (N,) table, (B, 1, 1, 1), in the dtype and on the device of x.

        Raises:
            ValueError: if t is not (B,) long.
        """
        if t.shape != like.shape[:1] or t.dtype != torch.long:
            wrong = f"{tuple(t.shape)} of {t.dtype}"
            raise ValueError(f"steps t are ({len(like)},) of torch.int64, not {wrong}")
        wide = torch.promote_types(like.dtype, torch.float32)
        picked = table.to(wide).to(like.device).index_select(0, t)
        return picked.reshape(-1, *[1] * (like.ndim - 1))

    def q_sample(self, x0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        r"""Draw x_t given x_0: :math:`\sqrt{\bar\alpha_t} x_0 + \sqrt{1 - \bar\alpha_t}\,
        \varepsilon`.

        arXiv 2006.11239, Eq. 4.
        """
        at = self.level(t, x0)
        return at.alpha * x0 + at.sigma * eps

    def q_step(self, x: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        r"""Draw x_t given x_{t-1}: :math:`\sqrt{1 - \beta_t} x + \sqrt{\beta_t}\, \varepsilon`.

        arXiv 2006.11239, Eq. 2.
        """
        kept = self.take((1 - self.betas).sqrt(), t, x)
        return kept * x + self.take(self.betas.sqrt(), t, x) * eps

    def posterior(self, x0: Tensor, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        r"""Give mean, variance and log variance of q(x_{t-1} | x_t, x_0).

        .. math::
            \tilde\mu_t = \frac{\sqrt{\bar\alpha_{t-1}}\, \beta_t}{1 - \bar\alpha_t} x_0
                + \frac{\sqrt{1 - \beta_t}\, (1 - \bar\alpha_{t-1})}{1 - \bar\alpha_t} x_t

        arXiv 2006.11239, Eq. 6 and 7. The mean is (B, C, H, W), the others are (B, 1, 1, 1); the
        log variance is `posterior_log_variance`, finite at t = 0.
        """
        mean = self.take(self.posterior_mean_x0, t, x) * x0
        mean = mean + self.take(self.posterior_mean_x, t, x) * x
        variance = self.take(self.posterior_variance, t, x)
        return mean, variance, self.take(self.posterior_log_variance, t, x)

    def to_x0(self, output: Tensor, x: Tensor, t: Tensor, target: Target) -> Tensor:
        """Convert a network output at x_t to x_0; ``previous`` inverts the posterior mean."""
        if target == "previous":
            rest = output - self.take(self.posterior_mean_x, t, x) * x
            return rest / self.take(self.posterior_mean_x0, t, x)
        return to_x0(output, x, self.level(t, x), target)

    def from_x0(self, x0: Tensor, x: Tensor, t: Tensor, target: Target) -> Tensor:
        """Convert x_0 to what a network would output at x_t: the training target."""
        if target == "previous":
            return self.posterior(x0, x, t)[0]
        return from_x0(x0, x, self.level(t, x), target)

    def to_epsilon(self, x0: Tensor, x: Tensor, t: Tensor) -> Tensor:
        """Give the noise in x_t, (x - sqrt(alpha-bar) x0) / sqrt(1 - alpha-bar)."""
        return to_epsilon(x0, x, self.level(t, x))

    def p_mean_variance(
        self,
        output: Tensor,
        x: Tensor,
        t: Tensor,
        *,
        target: Target = "epsilon",
        variance: Variance = "small",
        clip: bool = False,
    ) -> Reverse:
        r"""Read a network output as the reverse step p(x_{t-1} | x_t).

        The mean is the posterior's at the predicted x_0 (with ``previous`` the output itself), the
        variance

        * ``small``: :math:`\tilde\beta_t`, and ``large``: :math:`\beta_t` (arXiv 2006.11239,
          Section 3.2), with :math:`\tilde\beta_1` in place of :math:`\beta_0` at t = 0;
        * ``learned``: exp of the second half of the output's channels;
        * ``learned-range``: :math:`\exp(f \log\beta_t + (1 - f) \log\tilde\beta_t)` with
          :math:`f = (v + 1) / 2` and v that second half (arXiv 2102.09672, Eq. 15).

        Args:
            output: (B, C, H, W), or (B, 2C, H, W) where the variance is learned.
            x: x_t.
            t: the step.
            target: what the output's first C channels are.
            variance: which variance.
            clip: keep the predicted x_0 in [-1, 1].

        Raises:
            ValueError: if the variance is unknown or the output has other than C or 2C channels.
        """
        if variance not in get_args(Variance):
            known = ", ".join(get_args(Variance))
            raise ValueError(f"variance is one of {known}, not {variance!r}")
        output, values = split_output(output, x, variance)
        x0 = self.to_x0(output, x, t, target)
        x0 = x0.clamp(-1, 1) if clip else x0
        mean = output if target == "previous" else self.posterior(x0, x, t)[0]
        spread, log = self._variance(values, x, t, variance)
        return Reverse(mean, spread.expand_as(x), log.expand_as(x), x0)

    def _variance(
        self, values: Tensor, x: Tensor, t: Tensor, variance: Variance
    ) -> tuple[Tensor, Tensor]:
        """Give variance and log variance of the reverse step, broadcastable to x."""
        low = self.take(self.posterior_log_variance, t, x)
        if variance == "small":
            return self.take(self.posterior_variance, t, x), low
        if variance == "large":
            table = torch.cat([self.posterior_log_variance[:1], self.betas[1:].log()])
            log = self.take(table, t, x)
        elif variance == "learned":
            log = values
        else:
            share = (values + 1) / 2
            log = share * self.take(self.betas.log(), t, x) + (1 - share) * low
        return log.exp(), log


def split_output(output: Tensor, x: Tensor, variance: Variance) -> tuple[Tensor, Tensor]:
    """Split a network output at x (B, C, H, W) into what it predicts and its variance's values.

    Both are (B, C, H, W); where the variance is not learned the second is the output again.

    Raises:
        ValueError: if the output has other than C or 2C channels, as the variance needs.
    """
    learned = variance in ("learned", "learned-range")
    wanted = (len(x), x.shape[1] * (2 if learned else 1), *x.shape[2:])
    if output.shape != wanted:
        wrong = f"an output has the shape {wanted}, not {tuple(output.shape)}"
        raise ValueError(f"with variance {variance!r} {wrong}")
    if not learned:
        return output, output
    predicted, values = output.chunk(2, dim=1)
    return predicted, values


def respace(process: Process, spec: str) -> Process:
    r"""Keep some of the steps, with the rates that give the same levels at those.

    .. math:: \beta'_i = 1 - \bar\alpha_{t_i} / \bar\alpha_{t_{i-1}}

    arXiv 2102.09672, Section 4 (Eq. 19). The result's `Process.timesteps` are the trained steps.

    Raises:
        ValueError: as `parse_spacing`.
    """
    kept = torch.tensor(parse_spacing(spec, len(process)))
    levels = process.alphas_cumprod[kept]
    before = torch.cat([torch.ones(1, dtype=torch.float64), levels[:-1]])
    return Process(1 - levels / before, process.timesteps[kept], process.trained)
