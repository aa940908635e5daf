"""What a recipe says of distilling a denoiser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from artdiff.train.recipe import Count, Part, Positive, Recipe, Share

Scale = Annotated[float, Field(ge=1, le=100)]


class DistilTable(Part):
    """What is particular to distilling a denoiser."""

    free = ("time_mean", "time_std",
            "validation", "walks", "reference", "guidance", "prompts")  # fmt: skip
    teacher: Path | None = Field(
        default=None, description="model.safetensors of the denoiser; the starter's, if left out"
    )
    codec: Path | None = Field(
        default=None, description="model.safetensors of its codec; the starter's, if left out"
    )
    scale: tuple[Scale, Scale] = Field(
        default=(1.0, 8.0), description="smallest and largest guidance scale that it learns"
    )
    rescale: Share = Field(default=0.5, description="guidance.rescale, which it learns by heart")
    stop: Share = Field(default=0.15, description="guidance.stop, which it learns by heart")
    jumps: Share = Field(default=0.0, description="share of samples that learn a whole step")
    plain: Share = Field(
        default=0.0,
        description="share of samples that learn the plain velocity, for guidance by two passes",
    )
    steps: tuple[Count, Count] = Field(
        default=(4, 8), description="fewest and most steps of the walks that it learns"
    )
    shift: Positive = Field(default=1.5, description="sampler.shift of those walks")
    parts: Count = Field(default=4, description="in how many parts the teacher walks a step")
    empty: Share = Field(default=0.05, description="share of captions that are left empty")
    time_mean: float = Field(
        default=0.3, description="of the logit of training times, of samples that learn no step"
    )
    time_std: Positive = Field(default=1.0, description="of the logit of training times")
    validation: Count = Field(default=128, description="held-out pictures in a validation")
    walks: Count = Field(default=8, description="pictures that a validation draws by few steps")
    reference: Count = Field(default=32, description="guided steps that those are compared with")
    guidance: Scale = Field(default=4.0, description="guidance scale of walks and sample sheets")
    prompts: list[str] = Field(default=[], description="what the sample sheets show")

    @model_validator(mode="after")
    def _rising(self) -> Self:
        for name in ("scale", "steps"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name}: {low:g} is above {high:g}; the smaller one comes first")
        if not self.scale[0] <= self.guidance <= self.scale[1]:
            raise ValueError(f"guidance {self.guidance:g} is not a scale that it learns")
        return self


class DistilRecipe(Recipe):
    """Distilling a denoiser."""

    kind: Literal["distil"] = "distil"
    distil: DistilTable = DistilTable()
