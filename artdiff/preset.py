"""Presets: what a TOML file may say, read with `extends`, overridden, checked. No torch."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from artdiff.curve import EASINGS, Curve, Easing, Position
from artdiff.errors import PresetError, nearest

Values = dict[str, Any]


class Part(BaseModel):
    """A table of a preset: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Prompt(Part):
    """One text of a prompt and how much it counts beside the others."""

    text: str = Field(description="What the picture shows.")
    weight: float = Field(1.0, gt=0, description="Share of the mix, relative to the others.")


class SamplerPart(Part):
    """[sampler]: how noise becomes a picture. Further keys are the sampler's own options."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str = Field("dpmpp_2m", description="Sampler; `artdiff plugins list` names them.")
    steps: int = Field(20, ge=1, le=1000, description="Transitions from noise to picture.")
    shift: float = Field(1.0, gt=0, le=20, description="Above 1: more of the steps at high noise.")


class GuidancePart(Part):
    """[guidance]: classifier-free guidance, uncond + scale (cond - uncond)."""

    scale: Curve = Field(Curve.parse(1.0), description="1 = off; keyframes allowed.")
    rescale: Curve = Field(Curve.parse(0.0), description="0 to 1: keeps contrast as it was.")
    start: float = Field(1.0, ge=0, le=1, description="Noise fraction where guidance begins.")
    stop: float = Field(0.0, ge=0, le=1, description="Noise fraction below which it is off.")
    through: Literal["denoiser", "x0"] = Field(
        "denoiser", description="Where gradients of [terms] flow; x0 is cheaper and rougher."
    )

    @field_validator("scale", "rescale")
    @classmethod
    def _bounds(cls, curve: Curve, info: Any) -> Curve:
        low, high = (0.0, 100.0) if info.field_name == "scale" else (0.0, 1.0)
        for value in curve.values:
            if not low <= value <= high:
                raise ValueError(f"must lie between {low:g} and {high:g} (got {value:g})")
        return curve


class FramesPart(Part):
    """[frames]: how many pictures and from where. Further keys are the frame source's options."""

    model_config = ConfigDict(extra="allow", frozen=True)

    source: str = Field("still", description="Frame source, such as still, prompt_animation.")
    count: int = Field(1, ge=1, le=1_000_000, description="Number of frames.")
    fps: float = Field(24.0, gt=0, le=240, description="Frames a second of the film.")


class Preset(Part):
    """A picture or a film, described."""

    title: str = Field("", description="A name for people.")
    description: str = Field("", description="One or two sentences.")
    model: str = Field("starter", description="Model; `artdiff models list` names them.")
    seed: int = Field(0, ge=-(2**63), lt=2**64, description="Names every random draw.")
    width: int = Field(256, ge=16, le=8192, description="Pixels.")
    height: int = Field(256, ge=16, le=8192, description="Pixels.")
    batch: int = Field(4, ge=1, le=1024, description="Frames made at once.")
    prompt: tuple[Prompt, ...] = Field((), description="One prompt for the whole film.")
    prompts: dict[str, tuple[Prompt, ...]] = Field(
        {}, description='Keyframes: { 0 = "...", "50%" = "..." }; prompts cross-fade between.'
    )
    negative: str = Field("", description="What guidance leads away from.")
    easing: Easing = Field("ease-in-out", description="How prompts cross-fade.")
    sampler: SamplerPart = SamplerPart()
    guidance: GuidancePart = GuidancePart()
    terms: dict[str, Values] = Field(
        {}, description="[terms.LABEL]: guidance terms; `use` names the plugin's term."
    )
    effects: dict[str, Values] = Field(
        {}, description="[effects.LABEL]: effects on finished pictures, in order."
    )
    frames: FramesPart = FramesPart()

    @field_validator("prompt", mode="before")
    @classmethod
    def _one_prompt(cls, value: Any) -> Any:
        return _mix(value)

    @field_validator("prompts", mode="before")
    @classmethod
    def _keyed_prompts(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise ValueError('must be a table of keyframes, such as { 0 = "a red fox" }')
        for key in value:
            Position.parse(str(key))
        return {str(key): _mix(mix) for key, mix in value.items()}

    @model_validator(mode="after")
    def _one_of_both(self) -> Preset:
        if self.prompt and self.prompts:
            raise ValueError("give prompt or prompts, one of the two")
        return self

    @property
    def keyed_prompts(self) -> dict[str, tuple[Prompt, ...]]:
        """The prompts by keyframe; a single prompt stands at frame 0."""
        return self.prompts or {"0": self.prompt or (Prompt(text=""),)}


def _mix(value: Any) -> Any:
    """A prompt is a text, or a list of texts and { text, weight } tables."""
    parts = value if isinstance(value, list | tuple) else [value]
    return tuple({"text": part} if isinstance(part, str) else part for part in parts)


Find = Callable[[str], Path | Traversable]


@dataclass(frozen=True)
class Draft:
    """Values of a preset before they are checked, and who said them.

    `origin` maps dotted keys to a file name, ``-s`` or a model; the longest matching key tells
    where a value came from.
    """

    name: str
    values: Values
    origin: Mapping[str, str]

    def where(self, key: str) -> str:
        """Who said the value of a dotted key."""
        while key and key not in self.origin:
            key = key.rpartition(".")[0]
        return self.origin.get(key, self.name)


def read_preset(name: str, find: Find) -> Draft:
    """Read a preset by name or path, with everything it extends underneath it.

    :param find: turns a preset's name into its file; raises PresetError for unknown names.
    :raises PresetError: a file is missing, is not UTF-8 or not TOML, or extends itself.
    """
    return _read(name, None, find, ())


def _read(name: str, beside: Path | None, find: Find, seen: tuple[str, ...]) -> Draft:
    source = _locate(name, beside, find)
    label = str(source) if isinstance(source, Path) else name
    if label in seen:
        raise PresetError(f"{label}: extends itself ({' -> '.join([*seen, label])})")
    values = _parse_file(source, label)
    parent = values.pop("extends", None)
    draft = Draft(Path(label).stem, {}, {})
    if parent is not None:
        if not isinstance(parent, str):
            raise PresetError(f"{label}: extends: must be the name or path of a preset")
        here = source.parent if isinstance(source, Path) else None
        below = _read(parent, here, find, (*seen, label))
        draft = Draft(draft.name, below.values, below.origin)
    return overlay(draft, values, label)


def _locate(name: str, beside: Path | None, find: Find) -> Path | Traversable:
    looks_like_path = name.endswith(".toml") or "/" in name
    if not looks_like_path:
        return find(name)
    path = Path(name)
    if beside is not None and not path.is_absolute():
        path = beside / path
    if not path.is_file():
        what = "is a folder, not a preset" if path.is_dir() else "no such file"
        raise PresetError(f"{path}: {what}")
    return path


def _parse_file(source: Path | Traversable, label: str) -> Values:
    try:
        return tomllib.loads(source.read_bytes().decode("utf-8"))
    except OSError as error:
        raise PresetError(f"{label}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PresetError(
            f"{label}: not UTF-8 (byte {error.start}); save the file as UTF-8"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise PresetError(f"{label}: not TOML: {error}") from error


def overlay(draft: Draft, values: Mapping[str, Any], label: str) -> Draft:
    """Lay values over a draft; tables merge, keyframes and everything else replace."""
    merged, origin = dict(draft.values), dict(draft.origin)
    if "prompt" in values:
        merged.pop("prompts", None)
    if "prompts" in values:
        merged.pop("prompt", None)
    for key, value in values.items():
        merged[key] = _merge(merged.get(key), value, key, label, origin)
    return Draft(draft.name, merged, origin)


def _merge(old: Any, new: Any, key: str, label: str, origin: dict[str, str]) -> Any:
    if isinstance(old, dict) and isinstance(new, dict) and not _is_keyframes(new):
        return old | {
            k: _merge(old.get(k), v, f"{key}.{k}", label, origin) for k, v in new.items()
        }
    for said in [k for k in origin if k == key or k.startswith(f"{key}.")]:
        del origin[said]
    origin[key] = label
    return new


def _is_keyframes(table: Mapping[str, Any]) -> bool:
    return any(str(key)[:1].isdigit() for key in table)


def override(draft: Draft, assignments: Iterable[str]) -> Draft:
    """Apply ``-s key=value`` assignments; values are TOML, and what is not TOML is a text.

    :raises PresetError: an assignment has no ``=`` or no key.
    """
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        path = key.strip().split(".")
        if not equals or not all(path):
            raise PresetError(f"-s {assignment}: write key=value, such as -s sampler.steps=30")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        draft = assign(draft, key.strip(), value, f"-s {key.strip()}")
    return draft


def assign(draft: Draft, key: str, value: Any, label: str) -> Draft:
    """Set the value of one dotted key."""
    first, *rest = key.split(".")
    for part in reversed(rest):
        value = {part: value}
    return overlay(draft, {first: value}, label)


def underlay(draft: Draft, defaults: Mapping[str, Any], label: str) -> Draft:
    """Put defaults (of a model, say) below what a draft says."""
    below = overlay(Draft(draft.name, {}, {}), defaults, label)
    merged = overlay(below, draft.values, draft.name)
    return Draft(draft.name, merged.values, {**below.origin, **draft.origin})


def check(draft: Draft) -> Preset:
    """Validate a draft.

    :raises PresetError: one line that names who said the wrong value, the key and the nearest
        right one.
    """
    try:
        return Preset.model_validate(draft.values)
    except ValidationError as error:
        raise explain(draft, error.errors()[0], Preset) from None


def explain(
    draft: Draft, error: ErrorDetails, model: type[BaseModel], prefix: str = ""
) -> PresetError:
    """Say in one line what pydantic found wrong below the dotted key `prefix`."""
    place = [str(part) for part in error["loc"]]
    key = ".".join([*([prefix] if prefix else []), *place])
    where = draft.where(key)
    where = where if where.startswith("-s") else f"{where}: {key}" if key else where
    if error["type"] == "extra_forbidden":
        known = _known_keys(model, place[:-1])
        return PresetError(f"{where}: unknown key{nearest(place[-1], known)}")
    if error["type"] == "missing":
        return PresetError(f"{where}: is missing")
    message = error["msg"].removeprefix("Value error, ")
    message = message.replace("Input should be", "must be")
    got = "" if "got " in message or isinstance(error["input"], dict) else (
        f" (got {error['input']!r})"
    )
    if error["type"] == "literal_error" and place[-1] == "easing":
        message += nearest(str(error["input"]), EASINGS)
    return PresetError(f"{where}: {message}{got}")


def _known_keys(model: type[BaseModel], place: list[str]) -> list[str]:
    for part in place:
        field = model.model_fields.get(part)
        annotation = field.annotation if field else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return list(Prompt.model_fields)
        model = annotation
    return list(model.model_fields)
