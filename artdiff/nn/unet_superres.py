"""The upsampler: a `UNet` that also sees the small picture."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from artdiff.nn.unet import UNet

__all__ = ["SuperResUNet"]


class SuperResUNet(UNet):
    """A `UNet` whose first convolution also sees a low-resolution picture, enlarged bilinearly.

    Nichol & Dhariwal, arXiv 2102.09672, Section 7; Dhariwal & Nichol, arXiv 2105.05233,
    Section 4.4. `UNetConfig` says the channels of one picture, as for the `UNet`.
    """

    extra_inputs = 1

    def forward(  # type: ignore[override]
        self, x: Tensor, timesteps: Tensor, low: Tensor, y: Tensor | None = None
    ) -> Tensor:
        """Predict as `UNet` does; low is (B, C, h, w) in [-1, 1], of any size."""
        large = F.interpolate(low, x.shape[-2:], mode="bilinear", align_corners=False)
        return super().forward(torch.cat([x, large.to(x.dtype)], dim=1), timesteps, y)
