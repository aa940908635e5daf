"""Whether loaded models can do what a guider asks for: known before the first frame."""

from __future__ import annotations

import math
from typing import Any

import torch

from artdiff.errors import ModelError
from artdiff.guiders.guider import MARKED, Guider, blocks_of
from artdiff.model import Model
from artdiff.random import Noise

__all__ = ["check_models", "same_space"]


def check_models(guider: Guider[Any], scaled: bool, model: Model, weak: Model | None) -> None:
    """Make sure that the models can give all that a guider asks for.

    Raises:
        ModelError: the network weakens no blocks, or has none of that number; there is no weaker
            model, or it draws in another latent space.
    """
    named = f"guidance {guider.name!r}: model {model.card.name!r}"
    for key in guider.asks(scaled):
        if key in MARKED:
            try:
                blocks_of(model.denoiser, key, getattr(guider, "layers", ()))
            except ModelError as error:
                raise ModelError(f"{named}: {error}") from None
    if weak is not None and not same_space(model, weak):
        raise ModelError(
            f"{named} and {weak.card.name!r} do not draw in the same latent space: "
            "the weaker model needs the same codec"
        )


@torch.inference_mode()
def same_space(a: Model, b: Model) -> bool:
    """Whether the codecs of two models encode a picture alike, to a thousandth."""
    if (a.codec.channels, a.codec.factor) != (b.codec.channels, b.codec.factor):
        return False
    side = math.lcm(a.card.multiple, b.card.multiple, a.codec.factor)
    picture = Noise([0]).uniform(torch.empty(1, 3, side, side), "probe") * 2 - 1
    first, second = a.codec.encode(picture), b.codec.encode(picture)
    return torch.allclose(first, second, rtol=1e-3, atol=1e-3 * float(first.std()))
