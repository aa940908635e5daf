r"""Denoisers: from a noisy sample to the expected clean one, :math:`E[x_0 \mid x]`.

Everything behind this border speaks of x0. What a network outputs (epsilon, x0, v or flow) is
converted here, once; samplers and guidance never see it. The analytic denoisers are exact and
serve as oracles: a sampler or a guidance term can be tested against them without any network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, get_args, runtime_checkable

import torch
from torch import Tensor

from artdiff.noise import Level

__all__ = [
    "Answer",
    "Conditioning",
    "Denoise",
    "Denoiser",
    "GaussianDenoiser",
    "MixtureDenoiser",
    "NetDenoiser",
    "Prediction",
    "Scaling",
    "VarianceDenoiser",
    "VarianceNetDenoiser",
    "answering",
    "bind",
    "denoiser_of",
    "from_x0",
    "to_epsilon",
    "to_x0",
]

Conditioning = Mapping[str, Tensor]
"""What a model is told about each sample; every tensor has leading dimension B."""

Denoise = Callable[[Tensor, Level], Tensor]
"""A denoiser with its conditioning bound, (x, at) -> x0: what samplers call."""

Prediction = Literal["epsilon", "x0", "v", "flow"]
"""What a network outputs: eps, x0, alpha * eps - sigma * x0, or eps - x0."""

Scaling = Literal["vp", "flow", "ve"]
"""The coordinates of x: alpha**2 + sigma**2 = 1, alpha + sigma = 1, or alpha = 1."""


class Denoiser(Protocol):
    """The expectation of the clean sample given the noisy one."""

    def __call__(self, x: Tensor, at: Level, cond: Conditioning) -> Tensor:
        """Give E[x0 | x], of the shape and dtype of x, (B, C, H, W); rows are independent."""
        ...


@runtime_checkable
class VarianceDenoiser(Denoiser, Protocol):
    """A denoiser that also knows how far x lies from what it expects: a learned variance."""

    def with_variance(self, x: Tensor, at: Level, cond: Conditioning) -> tuple[Tensor, Tensor]:
        r"""Give x0 and f, both of the shape of x, from one call.

        f places the log variance of an ancestral step between that of the posterior, at 0, and the
        largest one, at 1, whatever the step's length. Usually in [0, 1]; Nichol & Dhariwal, arXiv
        2102.09672, Eq. 15, where it is called v.
        """
        ...


Answer = Callable[[Tensor, Level, Conditioning], tuple[Tensor, Tensor | None]]
"""(x, at, cond) -> (x0, f), where f is None without a learned variance."""


def answering(denoiser: Denoiser) -> Answer:
    """Ask any denoiser for x0 and, where it has a learned variance, f."""
    if isinstance(denoiser, VarianceDenoiser):
        return denoiser.with_variance
    return lambda x, at, cond: (denoiser(x, at, cond), None)


def denoiser_of(answer: Answer, like: Denoiser) -> Denoiser:
    """Make a denoiser of an answer; it has the network of `like`, and its learned variance."""
    network = getattr(like, "network", like)
    kind = _Varied if isinstance(like, VarianceDenoiser) else _Answering
    return kind(answer, network)


@dataclass(frozen=True, eq=False)
class _Answering:
    answer: Answer
    network: object

    def __call__(self, x: Tensor, at: Level, cond: Conditioning) -> Tensor:
        return self.answer(x, at, cond)[0]


class _Varied(_Answering):
    def with_variance(
        self, x: Tensor, at: Level, cond: Conditioning
    ) -> tuple[Tensor, Tensor | None]:
        return self.answer(x, at, cond)


def bind(denoiser: Denoiser, cond: Conditioning) -> Denoise:
    """Bind the conditioning: (x, at) -> denoiser(x, at, cond).

    Of a `VarianceDenoiser` the result has ``with_variance(x, at) -> (x0, f)`` too.
    """
    if isinstance(denoiser, VarianceDenoiser):
        return _Bound(denoiser, cond)
    return lambda x, at: denoiser(x, at, cond)


@dataclass(frozen=True, eq=False)
class _Bound:
    denoiser: VarianceDenoiser
    cond: Conditioning

    def __call__(self, x: Tensor, at: Level) -> Tensor:
        return self.denoiser(x, at, self.cond)

    def with_variance(self, x: Tensor, at: Level) -> tuple[Tensor, Tensor]:
        return self.denoiser.with_variance(x, at, self.cond)


def _inverse(value: Tensor) -> Tensor:
    """Give 1 / value, and 0 where value is 0."""
    return torch.where(value == 0, 0.0, 1 / value)


def to_x0(output: Tensor, x: Tensor, at: Level, prediction: Prediction) -> Tensor:
    r"""Convert a network output to x0.

    .. math::
        \text{epsilon:}\ \frac{x - \sigma y}{\alpha} \qquad \text{x0:}\ y \qquad
        \text{v:}\ \frac{\alpha x - \sigma y}{\alpha^2 + \sigma^2} \qquad
        \text{flow:}\ \frac{x - \sigma y}{\alpha + \sigma}

    epsilon: Ho et al., arXiv 2006.11239, Eq. 15. v: Salimans & Ho, "Progressive Distillation",
    arXiv 2202.00512, Appendix D. flow: Liu et al., arXiv 2209.03003. All are finite at sigma = 0;
    at alpha = 0 epsilon says nothing about x0, and 0, the mean of centred data, is returned.

    Args:
        output: y, (B, C, H, W).
        x: the noisy sample in the coordinates that the network was trained in, (B, C, H, W).
        at: the level of x in the same coordinates.
        prediction: what y is.

    Raises:
        ValueError: if the prediction is unknown.
    """
    alpha, sigma = at
    match prediction:
        case "epsilon":
            return (x - sigma * output) * _inverse(alpha)
        case "x0":
            return output
        case "v":
            return (alpha * x - sigma * output) / (alpha**2 + sigma**2)
        case "flow":
            return (x - sigma * output) / (alpha + sigma)
    raise ValueError(f"prediction is one of {', '.join(get_args(Prediction))}, not {prediction!r}")


def from_x0(x0: Tensor, x: Tensor, at: Level, prediction: Prediction) -> Tensor:
    r"""Convert x0 to what a network would output: the inverse of `to_x0`, and the training target.

    With :math:`\varepsilon = (x - \alpha x_0) / \sigma` of `to_epsilon`, which is 0 at sigma = 0:

    .. math::
        \text{epsilon:}\ \varepsilon \qquad \text{x0:}\ x_0 \qquad
        \text{v:}\ \alpha\varepsilon - \sigma x_0 \qquad \text{flow:}\ \varepsilon - x_0

    Shapes and coordinates as in `to_x0`.

    Raises:
        ValueError: if the prediction is unknown.
    """
    match prediction:
        case "epsilon":
            return to_epsilon(x0, x, at)
        case "x0":
            return x0
        case "v":
            return at.alpha * to_epsilon(x0, x, at) - at.sigma * x0
        case "flow":
            return to_epsilon(x0, x, at) - x0
    raise ValueError(f"prediction is one of {', '.join(get_args(Prediction))}, not {prediction!r}")


def to_epsilon(x0: Tensor, x: Tensor, at: Level) -> Tensor:
    """Give the noise in x, eps = (x - alpha * x0) / sigma, or 0 at sigma = 0; (B, C, H, W)."""
    return (x - at.alpha * x0) * _inverse(at.sigma)


@dataclass(frozen=True, eq=False)
class NetDenoiser:
    r"""A network as a denoiser, at the levels of any schedule.

    x and its level are divided by one number so that they lie in the coordinates that the network
    was trained in; this keeps alpha / sigma and therefore x0. With :math:`c` equal to
    :math:`\sqrt{\alpha^2 + \sigma^2}` (vp), :math:`\alpha + \sigma` (flow) or :math:`\alpha` (ve):

    .. math::
        x_0 = \text{to\_x0}(F(x / c;\ \tau(\alpha / c, \sigma / c)),\ x / c)

    A ve network has no answer at alpha = 0, where c is 0.

    Args:
        network: F, (x, time, cond) -> output; x and output (B, C, H, W), time (B,)
            in float32 or wider.
        time: tau, what the network is told of the level: Level -> 0-dim or (B, 1, 1, 1). It must
            be finite at every level that is used (log-SNR is not at alpha = 0 or sigma = 0).
        prediction: what the network outputs.
        scaling: the coordinates that the network was trained in.

    Raises:
        ValueError: if the prediction or the scaling is unknown.
    """

    network: Callable[[Tensor, Tensor, Conditioning], Tensor]
    time: Callable[[Level], Tensor]
    prediction: Prediction
    scaling: Scaling = "vp"

    def __post_init__(self) -> None:
        if self.prediction not in get_args(Prediction):
            known = ", ".join(get_args(Prediction))
            raise ValueError(f"prediction is one of {known}, not {self.prediction!r}")
        if self.scaling not in get_args(Scaling):
            known = ", ".join(get_args(Scaling))
            raise ValueError(f"scaling is one of {known}, not {self.scaling!r}")

    def __call__(self, x: Tensor, at: Level, cond: Conditioning) -> Tensor:
        output, scaled, native = self._ask(x, at, cond)
        return to_x0(output, scaled, native, self.prediction)

    def _ask(self, x: Tensor, at: Level, cond: Conditioning) -> tuple[Tensor, Tensor, Level]:
        """Give the network's output, and x and its level as the network sees them."""
        match self.scaling:
            case "vp":
                norm = torch.hypot(at.alpha, at.sigma)
            case "flow":
                norm = at.alpha + at.sigma
            case "ve":
                norm = at.alpha
        native, scaled = Level(at.alpha / norm, at.sigma / norm), x / norm
        full = torch.promote_types(x.dtype, torch.float32)
        time = self.time(native).to(x.device, full, non_blocking=x.is_cuda)
        time = time.reshape(-1).expand(len(x))
        return self.network(scaled, time, cond), scaled, native


class VarianceNetDenoiser(NetDenoiser):
    """A network with a learned variance as a denoiser.

    It outputs (B, 2C, H, W): first what `prediction` names, then values v, in [-1, 1] or near,
    that say f = (v + 1) / 2 of `VarianceDenoiser.with_variance`.
    """

    def __call__(self, x: Tensor, at: Level, cond: Conditioning) -> Tensor:
        return self.with_variance(x, at, cond)[0]

    def with_variance(self, x: Tensor, at: Level, cond: Conditioning) -> tuple[Tensor, Tensor]:
        output, scaled, native = self._ask(x, at, cond)
        output, values = output.split(x.shape[1], dim=1)
        return to_x0(output, scaled, native, self.prediction), (values + 1) / 2


@dataclass(frozen=True, eq=False)
class GaussianDenoiser:
    r"""The exact denoiser of a Gaussian with independent elements, :math:`x_0 \sim N(\mu, v)`.

    .. math:: E[x_0 \mid x] = \mu + \frac{\alpha v}{\alpha^2 v + \sigma^2} (x - \alpha \mu)

    Conditioning is ignored. Finite at alpha = 0 (it gives mu) and at sigma = 0 (x / alpha).

    Args:
        mean: mu, of the shape of one sample (C, H, W), or one that broadcasts to it.
        var: v > 0, of a shape that broadcasts to the sample.

    Raises:
        ValueError: if a variance is not above 0.
    """

    mean: Tensor
    var: Tensor

    def __post_init__(self) -> None:
        if not bool((self.var > 0).all()):
            raise ValueError("every variance must be above 0")

    def __call__(self, x: Tensor, at: Level, cond: Conditioning) -> Tensor:
        mean, var = self.mean.to(x), self.var.to(x)
        gain = at.alpha * var / (at.alpha**2 * var + at.sigma**2)
        return mean + gain * (x - at.alpha * mean)


@dataclass(frozen=True, eq=False)
class MixtureDenoiser:
    r"""The exact denoiser of a mixture of isotropic Gaussians, :math:`\sum_k w_k N(\mu_k, s_k^2)`.

    .. math::
        E[x_0 \mid x] = \sum_k r_k \left(\mu_k
            + \frac{\alpha s_k^2}{v_k} (x - \alpha \mu_k)\right), \quad
        v_k = \alpha^2 s_k^2 + \sigma^2, \quad
        r_k \propto w_k\, v_k^{-D/2} e^{-\lVert x - \alpha \mu_k \rVert^2 / 2 v_k}

    D is the number of elements of a sample. Computed in float64 and returned in the dtype of x.
    Conditioning is ignored. With s_k = 0 the components are points and this is the ideal denoiser
    of a finite data set; finite at alpha = 0 and sigma = 0 all the same.

    Args:
        means: mu_k, (K, C, H, W), or (K, D) for samples (B, D).
        stds: s_k >= 0, (K,).
        weights: w_k > 0, (K,), of any sum.

    Raises:
        ValueError: if the three disagree in K, or a std or a weight is out of range.
    """

    means: Tensor
    stds: Tensor
    weights: Tensor

    def __post_init__(self) -> None:
        if not self.stds.shape == self.weights.shape == self.means.shape[:1]:
            raise ValueError("means, stds and weights need the same number of components")
        if not bool(((self.stds >= 0) & (self.weights > 0)).all()):
            raise ValueError("every std must be at least 0 and every weight above 0")

    def __call__(self, x: Tensor, at: Level, cond: Conditioning) -> Tensor:
        points, means = x.flatten(1).double(), self.means.to(x.device).flatten(1).double()
        stds, weights = self.stds.to(x.device).double(), self.weights.to(x.device).double()
        alpha, sigma = (part.double().reshape(-1, 1, 1) if part.ndim else part for part in at)
        total = (alpha**2 * stds[:, None] ** 2 + sigma**2).clamp(min=1e-60)
        away = points[:, None] - alpha * means
        logits = weights.log()[:, None] - total.log() * means.shape[1] / 2
        logits = logits - (away**2 / (2 * total)).sum(-1, keepdim=True)
        each = means + alpha * stds[:, None] ** 2 / total * away
        return (logits.softmax(1) * each).sum(1).reshape(x.shape).to(x.dtype)
