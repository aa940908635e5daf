"""The effect: finished pictures made larger, frame by frame."""

from __future__ import annotations

import numpy as np
from pydantic import Field, ValidationInfo, field_validator

from artdiff import FrameJob, ModelError

from .enlarge import enlarge, opened, weights_of
from .options import Enlarging


class Upscale:
    """A larger picture; frames that share a seed share the noise.

    Frames are enlarged one by one: what is invented in
    one may flicker in the next; fewer steps flicker less.
    """

    class Options(Enlarging):
        """`Enlarging`, and which weights, so that a film of other weights is another film."""

        weights: str = Field(
            "",
            validate_default=True,
            description="Hash of the upsampler's weights; found by itself, and refused if it is "
            "another.",
        )

        @field_validator("model")
        @classmethod
        def _known(cls, model: str) -> str:
            try:
                weights_of(model)
            except ModelError as error:
                raise ValueError(str(error)) from None
            return model

        @field_validator("weights")
        @classmethod
        def _found(cls, said: str, info: ValidationInfo) -> str:
            if "model" not in info.data:  # it is wrong, which is told already
                return said
            found = weights_of(info.data["model"])
            if said not in ("", found):
                raise ValueError(f"the weights of {info.data['model']!r} are {found}")
            return found

    def __init__(self, options: Options) -> None:
        self.options = options
        opened(options.model)

    def __call__(self, picture: np.ndarray, job: FrameJob) -> np.ndarray:
        return enlarge(picture, job.seed, self.options)
