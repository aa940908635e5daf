"""Recipes: a TOML file that says what to train, on what and for how long."""

from __future__ import annotations

import tomllib
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from artdiff.errors import PresetError, nearest
from artdiff.nn.codec import CodecConfig
from artdiff.nn.latent_transformer import LatentTransformerConfig

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class Part(BaseModel):
    """A table of a recipe: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataRecipe(Part):
    """Which pictures: the first `held_out` are for validation, the next `count` for training."""

    dataset: str
    options: dict[str, Any] = {}
    count: Count
    held_out: Count = 512
    workers: Annotated[int, Field(ge=0)] = 2
    cache: Path | None = Field(default=None, description="picture cache; else data beside it")


class OptimRecipe(Part):
    """Optimizer and learning-rate course."""

    name: Literal["muon", "adamw"] = "muon"
    convs: bool = Field(default=False, description="Muon also takes dense convolutions, flattened")
    muon_lr: Positive = 2e-3
    adam_lr: Positive = 1e-3
    momentum: Share = 0.95
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    clip: Positive = Field(default=1.0, description="largest norm of all gradients together")
    warmup: Annotated[int, Field(ge=0)] = Field(default=200, description="steps of linear rise")
    course: Literal["constant", "cosine"] = "constant"
    cooldown: Share = Field(default=0.0, description="last share of a constant course, falling")


class EmaRecipe(Part):
    """How slowly the averaged weights follow: a half-life in steps, or a decay per step."""

    half_life: Positive | None = None
    decay: Annotated[float, Field(ge=0, lt=1)] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.half_life is None) == (self.decay is None):
            raise ValueError("give half_life or decay, one of the two")
        return self


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


class AutoencoderRecipe(Part):
    """What is particular to training a codec."""

    model: CodecConfig = CodecConfig()
    crop: Count = 128
    noise: float = Field(default=0.3, ge=0, description="largest noise that the decoder sees")
    halved: Share = Field(default=0.2, description="share of steps on pictures of half the size")
    validation: Count = Field(default=64, description="held-out pictures in a validation")


class DenoiserRecipe(Part):
    """What is particular to training a denoiser."""

    codec: Path = Field(description="model.safetensors of the trained codec")
    model: LatentTransformerConfig = LatentTransformerConfig()
    empty: Share = Field(default=0.1, description="share of captions that are left empty")
    unknown: Share = Field(default=0.03, description="share of words replaced by the unknown word")
    validation: Count = Field(default=256, description="held-out pictures in a validation")
    prompts: list[str] = Field(default=[], description="what the sample sheets show")
    guidance: Positive = 4.0
    sheet_steps: Count = 12


class Recipe(Part):
    """All of a training run, but for the folder it happens in."""

    kind: Literal["autoencoder", "denoiser"]
    seed: int = 0
    batch: Count
    start: Path | None = Field(default=None, description="weights to begin from, not from chance")
    data: DataRecipe
    optim: OptimRecipe = OptimRecipe()
    ema: EmaRecipe
    stop: StopRecipe
    cadence: CadenceRecipe = CadenceRecipe()
    autoencoder: AutoencoderRecipe = AutoencoderRecipe()
    denoiser: DenoiserRecipe | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind == "denoiser" and self.denoiser is None:
            raise ValueError("kind = 'denoiser' needs a table [denoiser] with the key codec")
        return self


def load_recipe(path: Path) -> Recipe:
    """Read a recipe file; PresetError, one line, names the file and the key that is wrong."""
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise PresetError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PresetError(f"{path}: not TOML: {error}") from error
    return parse_recipe(table, str(path))


def parse_recipe(table: dict[str, Any], source: str = "recipe") -> Recipe:
    """Check the values of a recipe that was read from `source`."""
    try:
        return Recipe.model_validate(table)
    except ValidationError as error:
        raise PresetError(f"{source}: {_explain(error.errors()[0])}") from None


def _explain(error: ErrorDetails) -> str:
    place = [str(part) for part in error["loc"]]
    key = ".".join(place) or "recipe"
    if error["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"unknown key {key!r}{nearest(place[-1], _keys(place[:-1]))}"
    if error["type"] == "missing":
        return f"missing key {key!r}"
    return f"{key}: {error['msg'].removeprefix('Value error, ')} (got {error['input']!r})"


def _keys(place: list[str]) -> list[str]:
    """The keys known in the table at `place`."""
    model: Any = Recipe
    for part in place:
        annotation = model.model_fields[part].annotation
        model = next((a for a in get_args(annotation) if a is not NoneType), annotation)
    return list(getattr(model, "model_fields", None) or model.__dataclass_fields__)
