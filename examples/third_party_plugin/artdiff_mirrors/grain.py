"""An effect: film grain. It works on finished pictures, after the model."""

import numpy as np
import torch
from pydantic import BaseModel, Field

from artdiff import Noise


class Grain:
    """Film grain, another one on every frame, and the same one again when it is made again."""

    class Options(BaseModel, extra="forbid"):
        strength: float = Field(0.04, ge=0, le=1, description="0 is none; 0.1 is a lot.")

    def __init__(self, options):
        self.options = options

    def __call__(self, picture, job):
        """The picture, uint8 (H, W, 3), with grain that depends on (seed, frame) alone."""
        # Noise is named, not drawn in turn: by a seed, a step (here the frame) and a stream.
        blank = torch.empty(1, *picture.shape[:2], 1)
        grain = Noise([job.seed], job.index).normal(blank, "artdiff_mirrors.grain")[0].numpy()
        grainy = picture + 255 * self.options.strength * grain
        return grainy.round().clip(0, 255).astype(np.uint8)
