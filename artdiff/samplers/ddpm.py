"""Ancestral sampling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from pydantic import BaseModel, Field
from torch import Tensor

from artdiff.denoise import Denoise
from artdiff.errors import ModelError
from artdiff.noise import Level
from artdiff.random import Noise
from artdiff.sample import STREAM

__all__ = ["DDPM"]


@dataclass(frozen=True)
class DDPM:
    r"""Ancestral sampling: draw from the posterior :math:`q(x_b \mid x_a, x_0)`, or wider.

    .. math::
        x_b = \frac{\sigma_b^2}{\sigma_a^2} r x_a
            + \alpha_b \left(1 - r^2 \frac{\sigma_b^2}{\sigma_a^2}\right) x_0 + s z, \qquad
        s = k \sqrt{\sigma_a^2 - r^2 \sigma_b^2}, \qquad r = \alpha_a / \alpha_b

    Ho et al., "Denoising Diffusion Probabilistic Models", arXiv 2006.11239, Eq. 7, written for
    any alpha and sigma. With :math:`c = \sqrt{\alpha^2 + \sigma^2}`, which is 1 on a
    variance-preserving schedule, k is

    * ``small``: :math:`\sigma_b / \sigma_a`, the variance :math:`\tilde\beta` of the posterior. It
      is right for data of one point, and equals DDIM with eta = 1;
    * ``large``: :math:`c_b / c_a`, the variance :math:`\beta`. It is right for data of N(0, I);
    * ``learned``: :math:`(c_b / c_a)^f (\sigma_b / \sigma_a)^{1 - f}` with f of
      `artdiff.denoise.VarianceDenoiser`; Nichol & Dhariwal, arXiv 2102.09672, Eq. 15.

    No noise is added on the step to sigma = 0.
    """

    class Options(BaseModel, extra="forbid"):
        """Options of ddpm."""

        variance: Literal["small", "large", "learned"] = Field(
            "small",
            description="Fresh noise per step: the least, the most, or as the model learned.",
        )

    variance: Literal["small", "large", "learned"] = "small"
    name: ClassVar[str] = "ddpm"
    order: ClassVar[int] = 1
    nfe: ClassVar[int] = 1

    def init(self, steps: int) -> None:
        return None

    def step(
        self, denoise: Denoise, x: Tensor, a: Level, b: Level, state: None, noise: Noise
    ) -> tuple[Tensor, Tensor, None]:
        x0, place = self._ask(denoise, x, a)
        ratio, kept = a.alpha / b.alpha, b.sigma / a.sigma
        mean = kept**2 * ratio * x + b.alpha * (1 - (ratio * kept) ** 2) * x0
        std = kept * (a.sigma**2 - (ratio * b.sigma) ** 2).clamp(min=0).sqrt()
        if std == 0:
            return mean, x0, None
        z = std * noise.normal(x, STREAM)
        if self.variance != "small":
            most = torch.hypot(b.alpha, b.sigma) / torch.hypot(a.alpha, a.sigma) / kept
            z = z * (most if place is None else most**place)
        return mean + z, x0, None

    def _ask(self, denoise: Denoise, x: Tensor, a: Level) -> tuple[Tensor, Tensor | None]:
        """Give x0 and, where the variance is learned, f.

        Raises:
            ModelError: if the model has no learned variance.
        """
        if self.variance != "learned":
            return denoise(x, a), None
        learned = getattr(denoise, "with_variance", None)
        if learned is None:
            raise ModelError(
                "sampler.variance: the model has learned no variance; set it to 'small' or 'large'"
            )
        return learned(x, a)
