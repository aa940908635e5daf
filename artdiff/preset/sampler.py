"""[sampler] and [sampler.grid]: how noise becomes a picture, and where the steps lie."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field, field_validator

from artdiff.preset.part import Part


class GridPart(Part):
    """[sampler.grid]: where the steps lie. Further keys are the grid's own options."""

    model_config = ConfigDict(extra="allow")

    name: str = Field(default="linear-t", description="Grid; `artdiff plugins list` names them.")


class SamplerPart(Part):
    """[sampler]: how noise becomes a picture. Further keys are the sampler's own options."""

    model_config = ConfigDict(extra="allow")

    name: str = Field(
        default="dpmpp_2m", description="Sampler; `artdiff plugins list` names them."
    )
    steps: int = Field(default=20, ge=1, le=1000, description="Transitions from noise to picture.")
    shift: float = Field(
        default=1.0, gt=0, le=20, description="Above 1: more of the steps at high noise."
    )
    grid: GridPart = Field(
        default=GridPart(), description="Where the steps lie; a name, or a table with options."
    )

    @field_validator("grid", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value
