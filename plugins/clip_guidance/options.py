"""What a preset says about CLIP guidance."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, Field, field_validator, model_validator

from artdiff import File

from .walk import Amount, Power, Share, walked

_WEIGHED = re.compile(r"(.*?)\s*:\s*([-+]?(?:\d+\.?\d*|\.\d+))\s*", re.DOTALL)


class Said(BaseModel, extra="forbid"):
    """A text to lead towards, or with a negative weight away from."""

    text: str = Field(min_length=1, description="What the picture shows.")
    weight: float = Field(
        default=1.0, ge=-100, le=100, description="Below 0: what it does not show."
    )


class Shown(BaseModel, extra="forbid"):
    """A picture to lead towards, or with a negative weight away from."""

    file: File = Field(min_length=1, description="A picture file.")
    weight: float = Field(default=1.0, ge=-100, le=100, description="Below 0: away from it.")


class Encoder(BaseModel, extra="forbid"):
    """A text-image encoder that guides."""

    model: str = Field(
        default="starter",
        description="starter, a name that open_clip knows, hf-hub:OWNER/NAME, or "
        "local-dir:FOLDER as artdiff train writes it.",
    )
    weights: str = Field(default="", description="A tag that open_clip knows, such as openai.")
    file: File = Field(default="", description="A weights file instead.")
    weight: float = Field(default=1.0, ge=0, description="Beside the other encoders.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.weights and self.file:
            raise ValueError("give weights, a tag, or file; one of the two")
        return self


class Cuts(BaseModel, extra="forbid"):
    """What of the picture the encoders look at; every number may change over the walk."""

    overview: Amount = walked(
        {"0%": 4, "40%": 2, "easing": "hold"},
        "How many cuts show all of it: as it is, grey, mirrored, both, and again.",
    )
    inner: Amount = walked(
        {"0%": 2, "40%": 6, "easing": "hold"}, "How many are squares of random size and place."
    )
    smallest: Share = walked(0.4, "Smallest side of these, as a share of the shorter side.")
    largest: Share = walked(1, "Largest side of these.")
    power: Power = walked(1, "Above 1: more of them are small; below: large.")
    grey: Share = walked(
        {"0%": 0.2, "40%": 0, "easing": "hold"},
        "Share of the inner cuts without colour, which leads form first.",
    )


class Augment(BaseModel, extra="forbid"):
    """How cuts are changed at random before an encoder sees them."""

    flip: float = Field(default=0.5, ge=0, le=1, description="Share that is mirrored.")
    rotate: float = Field(default=10, ge=0, le=180, description="Largest turn in degrees.")
    shift: float = Field(
        default=0.05, ge=0, le=1, description="Largest shift, as a share of the side."
    )
    grey: float = Field(default=0.1, ge=0, le=1, description="Share that loses its colour.")
    jitter: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Largest change of brightness, contrast and saturation.",
    )
    grain: float = Field(
        default=0.01, ge=0, le=1, description="Standard deviation of added noise."
    )


class Options(BaseModel, extra="forbid"):
    """Which encoders lead towards what, and how they look."""

    model: tuple[Encoder, ...] = Field(
        default=(Encoder(),),
        min_length=1,
        description='Encoders: "starter", ["starter", { model = "ViT-B-32", weights = "openai" }]',
    )
    prompts: tuple[Said, ...] = Field(
        default=(),
        description='["a red fox:2", "text:-0.5"]; none: what the film says at each frame.',
    )
    image_prompts: tuple[Shown, ...] = Field(
        default=(), description='["fox.png:2"]: pictures to lead towards.'
    )
    cuts: Cuts = Field(default=Cuts(), description="Numbers of cuts, and their sizes.")
    cut_batches: int = Field(
        default=1, ge=1, le=64, description="So many times all cuts, drawn anew."
    )
    at_once: int = Field(
        default=8, ge=1, le=1024, description="Cuts in memory together; changes nothing else."
    )
    augment: Augment = Field(default=Augment(), description="Random changes of cuts; false: none.")
    fuzz: float = Field(
        default=0.0, ge=0, le=1, description="Random change of what is led towards, of its length."
    )

    @field_validator(
        "model", mode="before", json_schema_input_type=str | Encoder | list[str | Encoder]
    )
    @classmethod
    def _encoders(cls, value: Any) -> Any:
        parts = value if isinstance(value, list | tuple) else [value]
        return tuple({"model": part} if isinstance(part, str) else part for part in parts)

    @field_validator(
        "prompts", mode="before", json_schema_input_type=str | Said | list[str | Said]
    )
    @classmethod
    def _texts(cls, value: Any) -> Any:
        return _weighed(value, "text")

    @field_validator(
        "image_prompts", mode="before", json_schema_input_type=str | Shown | list[str | Shown]
    )
    @classmethod
    def _pictures(cls, value: Any) -> Any:
        return _weighed(value, "file")

    @field_validator("augment", mode="before", json_schema_input_type=bool | Augment)
    @classmethod
    def _switch(cls, value: Any) -> Any:
        if isinstance(value, bool):
            return {} if value else dict.fromkeys(Augment.model_fields, 0)
        return value


def _weighed(value: Any, key: str) -> Any:
    """A text, or a list of texts and tables; ``text:2`` has the weight 2."""
    parts = value if isinstance(value, list | tuple) else [value]
    return tuple(_one(part, key) for part in parts)


def _one(part: Any, key: str) -> Any:
    if isinstance(part, str):
        found = _WEIGHED.fullmatch(part)
        return {key: found[1], "weight": float(found[2])} if found else {key: part}
    if not isinstance(part, Mapping | BaseModel):
        raise ValueError(f'must be "{key}:weight", or a list of such (got {part!r})')
    return part
