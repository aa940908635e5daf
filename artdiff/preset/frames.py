"""[init], [tile] and [frames]: what pictures start from, their windows, how many there are."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from artdiff.curve import Curve, Position
from artdiff.preset.part import Part, within


class InitPart(Part):
    """[init]: an image that pictures start from, in place of noise alone."""

    image: str | dict[str, str] = Field(
        default="", description='A file, or keyframes: { 0 = "a.png", "50%" = "b.png" }.'
    )
    strength: Curve = Field(
        default=Curve.parse(0.6),
        description="1 keeps nothing of the image, 0 all of it; keyframes allowed.",
    )
    how: Literal["noise", "inversion"] = Field(
        default="noise",
        description="noise adds fresh noise to the image; inversion finds the noise behind it.",
    )
    prompt: str = Field(default="", description="What the image shows, for inversion.")

    @field_validator("image")
    @classmethod
    def _positions(cls, value: Any) -> Any:
        for key in value if isinstance(value, dict) else ():
            Position.parse(key)
        if value == {}:
            raise ValueError('must be a file or a table of keyframes, such as { 0 = "a.png" }')
        return value

    @field_validator("strength")
    @classmethod
    def _share(cls, curve: Curve) -> Curve:
        return within(curve, 0, 1)


class TilePart(Part):
    """[tile]: windows over pictures that are larger than the model draws well at once."""

    size: int = Field(
        default=0, ge=0, le=8192, description="Pixels on a side of a window; 0 is no windows."
    )
    overlap: int = Field(
        default=64, ge=0, le=8192, description="Pixels that neighbouring windows share."
    )

    @model_validator(mode="after")
    def _smaller(self) -> TilePart:
        if self.size and self.overlap >= self.size:
            raise ValueError(f"overlap {self.overlap} is not below size {self.size}")
        return self


class FramesPart(Part):
    """[frames]: how many pictures and from where. Further keys are the frame source's options."""

    model_config = ConfigDict(extra="allow")

    source: str = Field(
        default="still", description="Frame source, such as still, prompt_animation."
    )
    count: int = Field(default=1, ge=1, le=1_000_000, description="Number of frames.")
    fps: float = Field(default=24.0, ge=0.1, le=240, description="Frames a second of the film.")
