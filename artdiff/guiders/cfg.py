"""Classifier-free guidance, with dynamic thresholding if asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from pydantic import BaseModel, Field
from torch import Tensor

from artdiff.denoise import Conditioning, Denoiser
from artdiff.guiders.guider import Seen, guided
from artdiff.noise import Level

__all__ = ["CFG", "cfg", "dynamic_threshold"]


@dataclass(frozen=True)
class CFG:
    r"""Classifier-free guidance.

    .. math:: x_w = x_{uncond} + w (x_{cond} - x_{uncond})

    Ho & Salimans, "Classifier-Free Diffusion Guidance", arXiv 2207.12598, Eq. 6, whose w is this
    one less 1. Then `dynamic_threshold`, unless `percentile` is 0.
    """

    class Options(BaseModel, extra="forbid"):
        """Options of cfg."""

        percentile: float = Field(
            0.0, ge=0, le=1, description="Dynamic thresholding: 0 is off, 0.995 is Imagen's."
        )
        bound: float = Field(
            0.0, ge=0, description="Values that thresholding keeps: 1 for pixels, 0 asks mimic."
        )
        mimic: float = Field(
            4.0, ge=1, le=100, description="For latents: values stay as large as at this scale."
        )

    percentile: float = 0.0
    bound: float = 0.0
    mimic: float = 4.0
    name: ClassVar[str] = "cfg"
    passes: ClassVar[tuple[str, ...]] = ("uncond",)

    def asks(self, scaled: bool, at: Level | None = None) -> tuple[str, ...]:
        return self.passes if scaled else ()

    def init(self) -> None:
        return None

    def combine(self, seen: Seen, memory: None) -> tuple[Tensor, None]:
        x0 = seen.classifier_free
        if not self.percentile:
            return x0, None
        return dynamic_threshold(x0, self.percentile, self.bound or self._mimicked(seen)), None

    def _mimicked(self, seen: Seen) -> Tensor:
        """The largest values of the answer at the scale `mimic`, (B, 1, 1, 1)."""
        more = seen.share * (self.mimic - 1)
        milder = seen.cond + more * (seen.cond - seen.answers["uncond"])
        return _size(milder, self.percentile)


def dynamic_threshold(x0: Tensor, percentile: float, bound: float | Tensor) -> Tensor:
    r"""Clip the largest values of each sample, and shrink the rest by as much.

    .. math::
        s = \max(b, Q_p(|x_0|)), \qquad x_0 \leftarrow \frac{b}{s}\, \mathrm{clip}(x_0, -s, s)

    Q_p is the p-quantile over the elements (C, H, W) of a sample. Saharia et al., "Photorealistic
    Text-to-Image Diffusion Models with Deep Language Understanding", arXiv 2205.11487, Section
    2.3, with b = 1 for pixels in [-1, 1]. Latents have no such bound: there `CFG` takes for b the
    same quantile of the answer at a milder scale, so that a high one leaves the largest values as
    large as the milder one would.

    Args:
        x0: (B, C, H, W).
        percentile: p in (0, 1].
        bound: b > 0, a number or (B, 1, 1, 1).
    """
    size = _size(x0, percentile)
    most = torch.maximum(size, torch.as_tensor(bound).to(size))
    return torch.maximum(torch.minimum(x0, most), -most) * (bound / most)


def _size(x0: Tensor, percentile: float) -> Tensor:
    """The quantile of the absolute values of each sample, (B, 1, 1, 1)."""
    sizes = x0.abs().flatten(1)
    wide = torch.promote_types(sizes.dtype, torch.float32)  # quantile knows no half precision
    size = sizes.to(wide).quantile(percentile, dim=1).clamp(min=1e-6)
    return size.to(x0).reshape(-1, *[1] * (x0.ndim - 1))


def cfg(
    denoiser: Denoiser,
    uncond: Conditioning,
    scale: float | Tensor,
    *,
    start: float = 1.0,
    stop: float = 0.0,
    rescale: float | Tensor = 0.0,
) -> Denoiser:
    """Put classifier-free guidance around a denoiser: `guided` with `CFG`, which says the rest.

    Both answers come from one call on [cond; uncond]; with a scale of 1 for all rows the denoiser
    itself is returned.
    """
    return guided(CFG(), denoiser, uncond, scale, start=start, stop=stop, rescale=rescale)
