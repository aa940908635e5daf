"""A preset: what its file may say, checked and frozen. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from artdiff.curve import Curve, Easing, Position
from artdiff.preset.frames import FramesPart, InitPart, TilePart
from artdiff.preset.guidance import GuidancePart
from artdiff.preset.part import Part, within
from artdiff.preset.prompt import Prompt, mix
from artdiff.preset.sampler import SamplerPart


class Preset(Part):
    """A picture or a film, described."""

    title: str = Field(default="", description="A name for people.")
    description: str = Field(default="", description="One or two sentences.")
    model: str = Field(default="starter", description="Model; `artdiff models list` names them.")
    quality: Literal["draft", "normal", "best"] | None = Field(
        default=None,
        description="How much time a picture may take; the model's card says what that means. "
        "Other keys of the preset come before it.",
    )
    seed: int = Field(default=0, ge=-(2**63), lt=2**64, description="Names every random draw.")
    subseed: int | None = Field(
        default=None, ge=-(2**63), lt=2**64, description="Seed of a variation."
    )
    subseed_strength: Curve = Field(
        default=Curve.parse(0.1),
        description="Where the noise lies between seed and subseed, 0 to 1; keyframes allowed.",
    )
    width: int = Field(default=256, ge=16, le=8192, description="Pixels.")
    height: int = Field(default=256, ge=16, le=8192, description="Pixels.")
    batch: int = Field(default=4, ge=1, le=1024, description="Frames made at once.")
    prompt: tuple[Prompt, ...] = Field(default=(), description="One prompt for the whole film.")
    prompts: dict[str, tuple[Prompt, ...]] = Field(
        default={},
        description='Keyframes: { 0 = "...", "50%" = "..." }; prompts cross-fade between.',
    )
    negative: str = Field(default="", description="What guidance leads away from.")
    easing: Easing = Field(default="ease-in-out", description="How prompts cross-fade.")
    pace: Curve | None = Field(
        default=None,
        description="Where on the way of the prompts the film is, in percent: "
        '{ "0%" = 0, "50%" = 20, "100%" = 100 }; `artdiff pace` finds one that is even.',
    )
    sampler: SamplerPart = SamplerPart()
    guidance: GuidancePart = GuidancePart()
    init: InitPart = InitPart()
    tile: TilePart = TilePart()
    terms: dict[str, dict[str, Any]] = Field(
        default={}, description="[terms.LABEL]: guidance terms; `use` names the plugin's term."
    )
    effects: dict[str, dict[str, Any]] = Field(
        default={}, description="[effects.LABEL]: effects on finished pictures, in order."
    )
    frames: FramesPart = FramesPart()

    @field_validator("prompt", mode="before")
    @classmethod
    def _one_prompt(cls, value: Any) -> Any:
        return mix(value)

    @field_validator("prompts", mode="before")
    @classmethod
    def _keyed_prompts(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise ValueError('must be a table of keyframes, such as { 0 = "a red fox" }')
        for key in value:
            Position.parse(str(key))
        return {str(key): mix(said) for key, said in value.items()}

    @field_validator("subseed_strength")
    @classmethod
    def _way(cls, curve: Curve) -> Curve:
        return within(curve, 0, 1)

    @field_validator("pace")
    @classmethod
    def _percent(cls, curve: Curve | None) -> Curve | None:
        return curve and within(curve, 0, 100)

    @model_validator(mode="after")
    def _one_of_both(self) -> Preset:
        if self.prompt and self.prompts:
            raise ValueError("give prompt or prompts, one of the two")
        return self

    @property
    def keyed_prompts(self) -> dict[str, tuple[Prompt, ...]]:
        """The prompts by keyframe; a single prompt stands at frame 0."""
        return self.prompts or {"0": self.prompt or (Prompt(text=""),)}
