"""What a distilled network is told beside time and text: the guidance scale, the way ahead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from torch import Tensor

from artdiff.denoise import Conditioning, NetDenoiser
from artdiff.noise import Leap, Level

__all__ = ["TOLD", "LeapingDenoiser", "Told", "place_on_axis"]

Told = Literal["scale", "reach"]
"""``scale``: the guidance scale w that the answer is to have. ``reach``: how much of the noise
fraction the step takes away, t - s; 0 asks for the velocity at t itself."""

TOLD: tuple[str, ...] = get_args(Told)

_UNSAID = {"scale": 1.0, "reach": 0.0}


def place_on_axis(name: str, text: Mapping[str, Tensor], like: Tensor) -> Tensor:
    """Where on the axis of the time embedding a told number lies, (B,), float32.

    A scale w >= 0.01 stands at ``log(w) / 10``, so that equal ratios are equally far apart and
    nothing, 1, is at 0; a reach stands for itself.

    Args:
        name: one of `TOLD`.
        text: the conditioning; the number in it is (B, 1). Without it nothing was asked: scale 1,
            reach 0.
        like: (B,), for the batch and the device.
    """
    value = text[name].reshape(-1) if name in text else like.new_full(like.shape, _UNSAID[name])
    value = value.float()
    return value.clamp(min=0.01).log() / 10 if name == "scale" else value


class LeapingDenoiser(NetDenoiser):
    """A flow network that may be told how far a step goes; see `NetDenoiser`.

    At a `Leap` from fraction t to s the network learns ``reach`` = t - s, and x0 is where the mean
    velocity of the whole way, followed for all of t, would end: the x0 with which `transfer`
    arrives at s. At a plain level it is the x0 of the network as ever.
    """

    def __call__(self, x: Tensor, at: Level, cond: Conditioning) -> Tensor:
        if isinstance(at, Leap):
            reach = (at.fraction - at.to.fraction).to(x.device, x.dtype)
            cond = {**cond, "reach": reach.reshape(-1, 1).expand(len(x), 1)}
        return super().__call__(x, at, cond)
