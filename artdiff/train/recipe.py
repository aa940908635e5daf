"""Recipes: TOML files that say what to train, on what and for how long; what all kinds share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Precision = Literal["float32", "bfloat16", "float16"]


class Part(BaseModel):
    """A table of a recipe: unknown keys are errors, values do not change.

    Attributes:
        free: keys that may be others when a run goes on: they change how fast it is or what one
            sees of it, or are meant to be changed on the way.
    """

    free: ClassVar[tuple[str, ...]] = ()
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataRecipe(Part):
    """Which pictures: the first `held_out` are for validation, the next `count` for training."""

    free = ("workers", "cache")
    dataset: str
    options: dict[str, Any] = {}
    count: Count
    held_out: Count = 512
    size: Annotated[int, Field(ge=4)] | None = Field(
        default=None, description="side in pixels: squares cut from the middle, made smaller"
    )
    label: str | None = Field(default=None, description="the attribute whose values are classes")
    flip: bool = Field(default=False, description="half of the training pictures are mirrored")
    workers: Annotated[int, Field(ge=0)] = 2
    cache: Path | None = Field(default=None, description="picture cache; else data beside it")


class OptimRecipe(Part):
    """Optimizer and learning-rate course."""

    free = (
        *("muon_lr", "adam_lr", "momentum", "betas", "weight_decay", "clip"),
        *("warmup", "course", "cooldown"),
    )
    name: Literal["muon", "adamw"] = "muon"
    convs: bool = Field(default=False, description="Muon also takes dense convolutions, flattened")
    muon_lr: Positive = 2e-3
    adam_lr: Positive = 1e-3
    momentum: Decay = 0.95
    betas: tuple[Decay, Decay] = (0.9, 0.98)
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    clip: Positive = Field(default=1.0, description="largest norm of all gradients together")
    warmup: Annotated[int, Field(ge=0)] = Field(default=200, description="steps of linear rise")
    course: Literal["constant", "cosine"] = "constant"
    cooldown: Share = Field(default=0.0, description="last share of a constant course, falling")


class EmaRecipe(Part):
    """How slowly the averaged weights follow: a half-life in steps, or a decay per step.

    A list makes several averages at once; the first is the one that validates and is the model.
    """

    half_life: Positive | Annotated[tuple[Positive, ...], Field(min_length=1)] | None = None
    decay: Decay | Annotated[tuple[Decay, ...], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.half_life is None) == (self.decay is None):
            raise ValueError("give half_life or decay, one of the two")
        many = self.decay if self.half_life is None else self.half_life
        if isinstance(many, tuple) and len(self.decays()) < len(many):
            raise ValueError("two averages are the same")
        return self

    def decays(self) -> dict[str, float]:
        """The decay per step of every average by name, ``half-life-100`` or ``decay-0.999``."""
        if self.half_life is not None:
            lives = self.half_life if isinstance(self.half_life, tuple) else (self.half_life,)
            return {f"half-life-{steps:g}": 0.5 ** (1 / steps) for steps in lives}
        assert self.decay is not None
        decays = self.decay if isinstance(self.decay, tuple) else (self.decay,)
        return {f"decay-{decay:g}": decay for decay in decays}


class StopRecipe(Part):
    """When training ends: after `steps`, or after `minutes` of training over all resumes."""

    steps: Count | None = None
    minutes: Positive | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.steps is None) == (self.minutes is None):
            raise ValueError("give steps or minutes, one of the two")
        return self


class CadenceRecipe(Part):
    """How often checkpoints, validations and sample sheets are made."""

    save_minutes: Positive = 5.0
    save_steps: Count | None = Field(default=None, description="save too at multiples of it")
    validate_steps: Count = 250
    sheet_steps: Count = 500
    event_steps: Count = Field(default=10, description="steps between TensorBoard's points")


class Recipe(Part):
    """All of a training run, but for the folder it happens in.

    Every kind of model has a subclass that names its `kind` and adds a table of that name.
    """

    free = ("accumulate", "precision", "device", "start", "stop", "cadence", "keep")
    kind: Any = Field(description="its name, a literal of the subclass")
    seed: int = 0
    batch: Count = Field(description="pictures in a step, over all processes")
    accumulate: Count = Field(default=1, description="parts a batch is worked through in")
    precision: Precision = Field(default="float32", description="of the network's arithmetic")
    device: Literal["auto", "cpu", "cuda"] = "auto"
    start: Path | None = Field(default=None, description="weights to begin from, not from chance")
    data: DataRecipe
    optim: OptimRecipe = OptimRecipe()
    ema: EmaRecipe
    stop: StopRecipe
    cadence: CadenceRecipe = CadenceRecipe()
    keep: Literal["float16", "int8"] = Field(
        default="float16", description="how large weights are kept in model.safetensors"
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.accumulate > self.batch:
            raise ValueError(f"accumulate is at most batch, {self.batch}")
        return self


def left_out(plain: object, by: str, *keys: str) -> AfterValidator:
    """A check that a table leaves out `keys`, as `plain` does: what `by` names says them."""

    def check(model: object) -> object:
        for key in keys:
            if getattr(model, key) != getattr(plain, key):
                raise ValueError(f"{by} say its {key}; leave it out")
        return model

    return AfterValidator(check)


def first_change(begun: Mapping[str, Any], recipe: Part) -> tuple[str, Any, Any] | None:
    """The first key by which a recipe is not the one that a run was begun with.

    Args:
        begun: what `model_dump` with mode "json" said of the recipe then. Keys that it lacks, as
            those of older versions do, are not compared; nor are `Part.free` ones.
        recipe: the recipe now.

    Returns:
        The dotted key, its value then and its value now; None where the run may go on.
    """
    return _change(begun, recipe.model_dump(mode="json"), recipe, "")


def _change(begun: Any, now: Any, part: object, key: str) -> tuple[str, Any, Any] | None:
    if not isinstance(begun, Mapping) or not isinstance(now, Mapping):
        return None if begun == now else (key, begun, now)
    free = part.free if isinstance(part, Part) else ()
    for name in (name for name in now if name in begun and name not in free):
        below = _change(
            begun[name], now[name], getattr(part, name, None), f"{key}.{name}".lstrip(".")
        )
        if below:
            return below
    return None
