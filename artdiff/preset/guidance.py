"""[guidance]: what is made of the model's answers, and how the gradients of [terms] meet."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from artdiff.curve import Curve
from artdiff.preset.part import Part, over_the_walk, within


class GuidancePart(Part):
    """[guidance]: uncond + scale (cond - uncond), or what another guider makes of its answers.

    Further keys are the guider's own options.
    """

    model_config = ConfigDict(extra="allow")

    name: str = Field(default="cfg", description="Guider; `artdiff plugins list` names them.")
    scale: Curve = Field(default=Curve.parse(1.0), description="1 = off; keyframes allowed.")
    rescale: Curve = Field(
        default=Curve.parse(0.0), description="0 to 1: keeps contrast as it was."
    )
    start: float = Field(
        default=1.0, ge=0, le=1, description="Noise fraction where guidance begins."
    )
    stop: float = Field(
        default=0.0, ge=0, le=1, description="Noise fraction below which it is off."
    )
    course: Curve = Field(
        default=Curve.parse(1.0),
        description="How much of it acts on the way from noise to picture: "
        '{ "0%" = 0, "30%" = 1 }.',
    )
    through: Literal["denoiser", "x0"] = Field(
        default="denoiser",
        description="Where gradients of [terms] flow; x0 is cheaper and rougher.",
    )
    combine: Literal["sum", "balanced", "projected", "priority"] = Field(
        default="sum",
        description="How gradients of [terms] meet: added, brought to one length first, freed of "
        "what conflicts, or earlier terms first.",
    )
    clamp: float = Field(
        default=0.0, ge=0, description="Largest strength of the whole gradient; 0 is no limit."
    )
    clamp_by: Literal["rms", "dynamic"] = Field(
        default="rms", description="rms scales the gradient; dynamic cuts its highest values."
    )

    @field_validator("course")
    @classmethod
    def _over_the_walk(cls, curve: Curve) -> Curve:
        return within(over_the_walk(curve), 0, 100)

    @field_validator("scale", "rescale")
    @classmethod
    def _bounds(cls, curve: Curve, info: Any) -> Curve:
        return within(curve, 0, 100 if info.field_name == "scale" else 1)

    @model_validator(mode="after")
    def _in_order(self) -> GuidancePart:
        if self.stop > self.start:
            raise ValueError(
                f"stop {self.stop:g} lies above start {self.start:g}; "
                "guidance begins at start and ends at stop"
            )
        return self
