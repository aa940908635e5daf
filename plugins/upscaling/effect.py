"""The effect: finished pictures made larger, frame by frame."""

from __future__ import annotations

import numpy as np

from artdiff import FrameJob

from .enlarge import enlarge, opened
from .options import Enlarging


class Upscale:
    """A larger picture; frames that share a seed share the noise.

    Frames are enlarged one by one: what is invented in
    one may flicker in the next; fewer steps flicker less.
    """

    class Options(Enlarging):
        """`Enlarging`."""

    def __init__(self, options: Options) -> None:
        self.options = options
        opened(options.model)

    def __call__(self, picture: np.ndarray, job: FrameJob) -> np.ndarray:
        return enlarge(picture, job.seed, self.options)
