"""Presets: what a TOML file may say, read with `extends`, overridden, checked. No torch."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from artdiff.curve import EASINGS, Curve, Easing, Position
from artdiff.errors import PresetError, nearest

Values = dict[str, Any]
M = TypeVar("M", bound=BaseModel)


class Part(BaseModel):
    """A table of a preset: unknown keys are errors, true is no number, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def _within(curve: Curve, low: float, high: float) -> Curve:
    for value in curve.values:
        if not low <= value <= high:
            raise ValueError(f"must lie between {low:g} and {high:g} (got {value:g})")
    return curve


class Prompt(Part):
    """One text of a prompt and how much it counts beside the others."""

    text: str = Field(description="What the picture shows.")
    weight: float = Field(
        default=1.0, gt=0, description="Share of the mix, relative to the others."
    )


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
        for position, _ in curve.keys:
            if position.unit != "%" and len(curve.keys) > 1:
                raise ValueError(
                    f'{position} is not a part of the way from noise, "0%", to the picture, "100%"'
                )
        return _within(curve, 0, 100)

    @field_validator("scale", "rescale")
    @classmethod
    def _bounds(cls, curve: Curve, info: Any) -> Curve:
        return _within(curve, 0, 100 if info.field_name == "scale" else 1)

    @model_validator(mode="after")
    def _in_order(self) -> GuidancePart:
        if self.stop > self.start:
            raise ValueError(
                f"stop {self.stop:g} lies above start {self.start:g}; "
                "guidance begins at start and ends at stop"
            )
        return self


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
        return _within(curve, 0, 1)


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


class Preset(Part):
    """A picture or a film, described."""

    title: str = Field(default="", description="A name for people.")
    description: str = Field(default="", description="One or two sentences.")
    model: str = Field(default="starter", description="Model; `artdiff models list` names them.")
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
    sampler: SamplerPart = SamplerPart()
    guidance: GuidancePart = GuidancePart()
    init: InitPart = InitPart()
    tile: TilePart = TilePart()
    terms: dict[str, Values] = Field(
        default={}, description="[terms.LABEL]: guidance terms; `use` names the plugin's term."
    )
    effects: dict[str, Values] = Field(
        default={}, description="[effects.LABEL]: effects on finished pictures, in order."
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

    @field_validator("subseed_strength")
    @classmethod
    def _way(cls, curve: Curve) -> Curve:
        return _within(curve, 0, 1)

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
    for part in parts:
        if not isinstance(part, str | Mapping | Prompt):
            raise ValueError(
                f"must be a text, or a list of texts and {{ text, weight }} (got {part!r})"
            )
    return tuple({"text": part} if isinstance(part, str) else part for part in parts)


Find = Callable[[str], Path | Traversable]


@dataclass(frozen=True)
class Draft:
    """Values of a preset before they are checked, and who said them.

    `origin` maps dotted keys to a file name, ``-s`` or a model; the longest matching key tells
    where a value came from, and the empty one where all the others did.
    """

    name: str
    values: Values
    origin: Mapping[str, str]

    def where(self, key: str) -> str:
        """Who said the value of a dotted key."""
        while key and key not in self.origin:
            key = key.rpartition(".")[0]
        return self.origin.get(key, self.name)

    def at(self, key: str) -> str:
        """Where a dotted key stands, as in errors: ``film.toml: sampler.steps``, ``-s seed``."""
        where = self.where(key)
        return where if where == f"-s {key}" or not key else f"{where}: {key}"


def read_preset(name: str, find: Find) -> Draft:
    """Read a preset by name or path, with everything it extends underneath it.

    :param find: turns a preset's name into its file; raises PresetError for unknown names.
    :raises PresetError: a file is missing, is not UTF-8 or not TOML, or extends itself.
    """
    return _read(name, _locate(name, None, find), find, {})


def _read(
    name: str, source: Path | Traversable, find: Find, seen: Mapping[Path | str, str]
) -> Draft:
    """Read one file over what it extends; `seen` are the files on the way here, as shown."""
    label = str(source) if isinstance(source, Path) else name
    known = source.resolve() if isinstance(source, Path) else name
    if known in seen:
        raise PresetError(f"{label}: extends itself ({' -> '.join([*seen.values(), label])})")
    values = _parse_file(source, label)
    parent = values.pop("extends", None)
    draft = Draft(Path(name).stem if _is_path(name) else name, {}, {})
    if parent is not None:
        if not isinstance(parent, str):
            raise PresetError(f"{label}: extends: must be the name or path of a preset")
        try:
            above = _locate(parent, source.parent if isinstance(source, Path) else None, find)
        except PresetError as error:
            raise PresetError(f"{label}: extends: {error}") from None
        below = _read(parent, above, find, {**seen, known: label})
        draft = Draft(draft.name, below.values, below.origin)
    return overlay(Draft(draft.name, draft.values, {**draft.origin, "": label}), values, label)


def _is_path(name: str) -> bool:
    return name.endswith(".toml") or "/" in name


def _locate(name: str, beside: Path | None, find: Find) -> Path | Traversable:
    if not _is_path(name):
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
        return tomllib.loads(source.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise PresetError(f"{label}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PresetError(
            f"{label}: not UTF-8 (byte {error.start}); save the file as UTF-8"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise PresetError(f"{label}: not TOML: {error}") from error


def overlay(draft: Draft, values: Mapping[str, Any], label: str, depth: int = 0) -> Draft:
    """Lay values over a draft; tables merge, keyframes and everything else replace.

    Another sampler or frame source drops the options of the one that stood there before.

    :param depth: so many levels of tables merge even if they hold keyframes.
    """
    merged, origin = _spelled_out(draft.values), dict(draft.origin)
    values = _spelled_out(values)
    for key, (name, part) in _NAMED.items():
        above, _, last = key.rpartition(".")
        old, new = _table(merged, key), _table(values, key)
        if isinstance(old, dict) and isinstance(new, dict) and name in old and name in new:
            if old[name] != new[name]:
                (merged[above] if above else merged)[last] = {
                    k: v
                    for k, v in old.items()
                    if k in part.model_fields or _together(draft.where(f"{key}.{k}"), label)
                }
    if "prompt" in values:
        merged.pop("prompts", None)
    if "prompts" in values:
        merged.pop("prompt", None)
    for key, value in values.items():
        merged[key] = _merge(merged.get(key), value, key, label, origin, depth)
    return Draft(draft.name, merged, origin)


def _table(values: Any, key: str) -> Any:
    """What stands at a dotted key, or None."""
    for part in key.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values


def _spelled_out(values: Mapping[str, Any]) -> Values:
    """A copy where a sampler's grid that is a name is a table with that name."""
    copy, sampler = dict(values), values.get("sampler")
    if isinstance(sampler, dict):
        grid = sampler.get("grid")
        copy["sampler"] = sampler | ({"grid": {"name": grid}} if isinstance(grid, str) else {})
    return copy


_NAMED: Mapping[str, tuple[str, type[Part]]] = {
    "sampler": ("name", SamplerPart),
    "sampler.grid": ("name", GridPart),
    "guidance": ("name", GuidancePart),
    "frames": ("source", FramesPart),
}
"""Tables whose further keys belong to the class that one of their keys names."""


def _together(a: str, b: str) -> bool:
    """Whether two values are said at once, as all ``-s`` of a command are."""
    return a == b or (a.startswith("-s ") and b.startswith("-s "))


def _merge(old: Any, new: Any, key: str, label: str, origin: dict[str, str], depth: int) -> Any:
    table = isinstance(new, dict) and (depth > 0 or not is_keyframes(new))
    if not (table and isinstance(old, dict)):
        for said in [k for k in origin if k == key or k.startswith(f"{key}.")]:
            del origin[said]
        origin[key] = label
        old = {}
    if not table:
        return new
    return old | {
        k: _merge(old.get(k), v, f"{key}.{k}", label, origin, depth - 1) for k, v in new.items()
    }


def is_keyframes(value: Any) -> bool:
    """Whether a value is a table of keyframes, right or wrong: a key begins like a number."""
    return isinstance(value, Mapping) and any(re.match(r"-?\d", str(key)) for key in value)


def override(draft: Draft, assignments: Iterable[str]) -> Draft:
    """Apply ``-s key=value`` assignments; values are TOML, and what is not TOML is a text.

    :raises PresetError: an assignment has no ``=`` or no key.
    """
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not all(key.strip().split(".")):
            raise PresetError(f"-s {assignment}: write key=value, such as -s sampler.steps=30")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError as error:
            if text.lstrip().startswith(("{", "[")):
                raise PresetError(f"-s {assignment}: not a TOML value: {error}") from error
            value = text
        draft = assign(draft, key.strip(), value, f"-s {key.strip()}")
    return draft


def assign(draft: Draft, key: str, value: Any, label: str) -> Draft:
    """Set the value of one dotted key, which may be one keyframe: ``guidance.scale.50%``."""
    first, *rest = key.split(".")
    for part in reversed(rest):
        value = {part: value}
    return overlay(draft, {first: value}, label, depth=len(rest))


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
    return validate(draft, Preset, draft.values)


def validate(
    draft: Draft,
    model: type[M],
    values: Mapping[str, Any],
    prefix: str = "",
    also: Iterable[str] = (),
    context: object = None,
) -> M:
    """Validate the values that stand below the dotted key `prefix` of a draft.

    :param also: keys that are known beside those of the model.
    :param context: for validators of the model's fields.
    :raises PresetError: see `check`.
    """
    _refuse(draft, model, values, prefix)
    try:
        return model.model_validate(dict(values), context=context)
    except ValidationError as error:
        errors = error.errors()
        # a mistyped key comes before the key that is missing because of it
        first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
        raise explain(draft, first, model, prefix, also) from None


def _refuse(draft: Draft, model: type[BaseModel], values: Any, prefix: str) -> None:
    """Refuse what pydantic lets pass: true for a number, and numbers that are not finite."""
    for key, value in values.items():
        dotted = f"{prefix}.{key}" if prefix else str(key)
        field = model.model_fields.get(key)
        kinds = [field.annotation, *get_args(field.annotation)] if field else []
        if isinstance(value, bool) and bool not in kinds and (int in kinds or float in kinds):
            raise PresetError(f"{draft.at(dotted)}: must be a number (got {value!r})")
        for place, number in _floats(value, dotted):
            if not math.isfinite(number):
                raise PresetError(f"{draft.at(place)}: must be a finite number (got {number!r})")


def _floats(value: Any, key: str) -> Iterator[tuple[str, float]]:
    """Every float in a value, with its dotted key."""
    if isinstance(value, float):
        yield key, value
    parts = (
        value.items()
        if isinstance(value, Mapping)
        else (enumerate(value) if isinstance(value, list | tuple) else ())
    )
    for part, inner in parts:
        yield from _floats(inner, f"{key}.{part}")


def explain(
    draft: Draft,
    error: ErrorDetails,
    model: type[BaseModel],
    prefix: str = "",
    also: Iterable[str] = (),
) -> PresetError:
    """Say in one line what pydantic found wrong below the dotted key `prefix`."""
    place = [str(part) for part in error["loc"]]
    where = draft.at(".".join([*([prefix] if prefix else []), *place]))
    if error["type"] == "extra_forbidden":
        known = [*_known_keys(model, place[:-1]), *(also if len(place) == 1 else ())]
        return PresetError(f"{where}: unknown key{nearest(place[-1], known)}")
    if error["type"] == "missing":
        return PresetError(f"{where}: is missing")
    message = error["msg"].removeprefix("Value error, ")
    message = message.replace("Input should be", "must be")
    message = re.sub(r"a valid dictionary( or instance of \w+)?", "a table", message)
    shown = repr(error["input"])
    shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
    said = "(got " in message or isinstance(error["input"], BaseModel | dict)
    got = "" if said else f" (got {shown})"
    if error["type"] == "literal_error" and place[-1] == "easing":
        message += nearest(str(error["input"]), EASINGS)
    return PresetError(f"{where}: {message}{got}")


def _known_keys(model: type[BaseModel], place: list[str]) -> list[str]:
    for part in place:
        field = model.model_fields.get(part)
        annotation = field.annotation if field else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return list(Prompt.model_fields) if place[0] in ("prompt", "prompts") else []
        model = annotation
    return [*model.model_fields, *(["extends"] if model is Preset else [])]
