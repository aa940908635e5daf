"""What a guidance term may know beside its options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from artdiff.frames import load_image, load_mask
from artdiff.model import Model
from artdiff.timeline import FrameJob


@dataclass(frozen=True)
class Setup:
    """What a guidance term may know beside its options: the model, its frame, and files.

    Attributes:
        job: the frame, of a term that is ``per_frame``.
        files: paths by reference, as in `Plan.files`.
        last: the x0 that was decoded last, and its images; empty before.
    """

    model: Model
    height: int
    width: int
    job: FrameJob | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    last: list[tuple[Tensor, Tensor]] = field(default_factory=list, compare=False, repr=False)

    def decode(self, x0: Tensor) -> Tensor:
        """Latents (B, C, h, w) to images (B, 3, H, W) in [-1, 1]; gradients flow.

        All terms of a call that ask for the same x0 share one decoding.
        """
        graph = x0.requires_grad and torch.is_grad_enabled()
        if not self.last or self.last[0][0] is not x0 or self.last[0][1].requires_grad != graph:
            self.last[:] = [(x0, self.model.codec.decode(x0))]
        return self.last[0][1]

    def encode(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [-1, 1] to latents (B, C, h, w)."""
        return self.model.codec.encode(images)

    def path(self, reference: str) -> Path:
        """The file of an option of the type `File`."""
        return Path(self.files.get(reference, reference))

    def picture(self, reference: str) -> Tensor:
        """A picture file scaled and cropped to the frame: (1, 3, H, W) in [-1, 1].

        :raises FrameError: it is not a picture.
        """
        return _fitted(load_image(self.path(reference)), self) * 2 - 1

    def alpha(self, reference: str) -> Tensor:
        """A mask file, scaled and cropped to the frame: (1, 1, H, W) in [0, 1].

        It is the alpha channel, where the picture has one that is not all opaque, else its grey.

        :raises FrameError: it is not a picture.
        """
        return _fitted(load_mask(self.path(reference))[..., None], self)


def _fitted(picture: np.ndarray, setup: Setup) -> Tensor:
    """A uint8 picture (H, W, C) that covers the frame, (1, C, height, width) in [0, 1]."""
    image = Image.fromarray(picture.squeeze(2) if picture.shape[2] == 1 else picture)
    fitted = ImageOps.fit(image, (setup.width, setup.height), Image.Resampling.LANCZOS)
    values = torch.from_numpy(np.array(fitted, np.float32) / 255)
    return values.reshape(setup.height, setup.width, -1).permute(2, 0, 1)[None]
