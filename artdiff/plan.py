"""A preset resolved against the registry: after this, no user error is left. No torch."""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from artdiff.curve import Curve, Held
from artdiff.errors import ModelError, PluginError, PresetError, nearest
from artdiff.model import ModelCard
from artdiff.options import Files
from artdiff.preset import (
    Draft,
    FramesPart,
    GridPart,
    GuidancePart,
    Preset,
    SamplerPart,
    check,
    is_keyframes,
    read_preset,
    underlay,
    validate,
)
from artdiff.registry import Registry
from artdiff.timeline import FrameJob, FrameSource, Score, TermTrack
from artdiff.tuned import solver_of

K = TypeVar("K", Curve, Held)


@dataclass(frozen=True)
class Chosen:
    """A class that a preset names, with its checked options and the plugin it comes from."""

    label: str
    name: str
    kind: type
    options: BaseModel
    plugin: str

    def code(self) -> str:
        """Names the code of the class: ``plugin@`` and eight digits of its file's hash.

        What artdiff brings itself is named by the version of artdiff instead. Files that the
        class's own file imports are not looked at.
        """
        if self.plugin.startswith("artdiff."):
            return self.plugin
        try:
            file = inspect.getsourcefile(self.kind)
        except (OSError, TypeError):  # a class that was typed in, in a notebook say
            file = None
        if file is None:
            return self.plugin
        return f"{self.plugin}@{hashlib.sha256(Path(file).read_bytes()).hexdigest()[:8]}"


@dataclass(frozen=True)
class Plan:
    """All that a render needs, apart from the weights themselves.

    Attributes:
        courses: what multiplies the weight of each term over the walk, see `TermTrack`.
        files: absolute paths by the references that options and jobs hold, see `File`.
        weak: the weaker model that the guider asks as well, if it does.
    """

    name: str
    preset: Preset
    card: ModelCard
    sampler: Chosen
    grid: Chosen
    guider: Chosen
    source: FrameSource
    terms: tuple[Chosen, ...]
    effects: tuple[Chosen, ...]
    plugins: Mapping[str, str]
    courses: tuple[Curve, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    weak: ModelCard | None = None

    @property
    def count(self) -> int:
        """The number of frames of the whole film."""
        return len(self.source)

    def job(self, index: int) -> FrameJob:
        """What frame `index` is made from.

        :raises PluginError: the frame source gave the job of another frame.
        """
        job = self.source[index]
        if job.index != index:
            raise PluginError(
                f"frame source {self.preset.frames.source!r} gave the job of frame {job.index} "
                f"for frame {index}"
            )
        return job

    def manifest(self) -> dict[str, Any]:
        """The JSON-able settings that determine every pixel; a frame folder keeps them."""
        from artdiff import __version__

        preset = self.preset.model_dump(mode="json", exclude={"title", "description"})
        if preset["sampler"]["grid"] == {"name": _EVEN}:
            preset["sampler"].pop("grid")  # as before there were others
        if not self.preset.tile.size:
            preset.pop("tile")
        if not _in_seconds(preset):
            preset["frames"].pop("fps")
        return {
            "artdiff": __version__,
            "preset": preset,
            "model": {"name": self.card.name, "weights": self.card.digest()},
            **({"weak": {"name": w.name, "weights": w.digest()}} if (w := self.weak) else {}),
            "plugins": dict(sorted(self.plugins.items())),
        }


_EVEN = GridPart().name
_PLAIN = GuidancePart().name
COMMON = ("use", "weight", "course")
"""Keys of every table [terms.LABEL], beside the term's own options."""


def _in_seconds(value: Any) -> bool:
    """Whether any keyframe stands at a time: then the frames depend on fps."""
    if not isinstance(value, dict):
        return False
    return any(re.fullmatch(r"\d.*s", key) or _in_seconds(part) for key, part in value.items())


def find_preset(registry: Registry, name: str) -> Any:
    """The file of a preset by name.

    :raises PresetError: no plugin offers it; the message has the nearest name.
    """
    entries = registry.entries("presets")
    if name not in entries:
        here = " (a file needs its .toml)" if Path(f"{name}.toml").exists() else ""
        raise PresetError(f"unknown preset {name!r}{nearest(name, entries)}{here}")
    return entries[name].value


def draft_preset(registry: Registry, name: str) -> Draft:
    """Read a preset by name or path, with what it extends."""
    return read_preset(name, lambda wanted: find_preset(registry, wanted))


def resolve(draft: Draft, registry: Registry) -> Plan:
    """Check a draft and find everything that it names.

    :raises PresetError: a value is wrong. :raises PluginError: a name is unknown.
    """
    card = _model(draft, registry)
    draft = underlay(draft, card.defaults, f"model {card.name}")
    preset, files = check(draft), {}
    preset = _started(draft, preset, files)
    sides = {"width": preset.width, "height": preset.height}
    if preset.tile.size:
        sides |= {"tile.size": preset.tile.size, "tile.overlap": preset.tile.overlap}
    for key, side in sides.items():
        if side % card.multiple:
            near = max(card.multiple, round(side / card.multiple) * card.multiple)
            raise PresetError(
                f"{draft.at(key)}: model {card.name!r} needs a multiple of "
                f"{card.multiple}; the nearest is {near} (got {side})"
            )
    sampler = _choose(
        registry,
        draft,
        "samplers",
        "sampler",
        preset.sampler.name,
        preset.sampler.model_extra,
        "name",
        SamplerPart.model_fields,
    )
    if hasattr(sampler.kind, "levels") and preset.init.image:
        raise PresetError(
            f"{draft.at('sampler.name')}: {sampler.name!r} walks its own levels from pure noise; "
            "with [init] use another, such as 'dpmpp_2m'"
        )
    if hasattr(sampler.kind, "solved_by"):
        sampler = _solved(draft, sampler, card, preset.sampler.steps)
    grid = _choose(
        registry,
        draft,
        "grids",
        "sampler.grid",
        preset.sampler.grid.name,
        preset.sampler.grid.model_extra,
        "name",
        GridPart.model_fields,
    )
    _fits(draft, sampler, grid, card, preset.sampler.steps)
    guider = _choose(
        registry,
        draft,
        "guiders",
        "guidance",
        preset.guidance.name,
        preset.guidance.model_extra,
        "name",
        GuidancePart.model_fields,
    )
    weak = _weaker(registry, draft, guider, card)
    terms, tracks = [], []
    for label, values in preset.terms.items():
        chosen, track = _term(registry, draft, label, values, files)
        terms.append(chosen)
        tracks.append(track)
    effects = tuple(
        _choose(
            registry,
            draft,
            "effects",
            f"effects.{label}",
            values.get("use", label),
            {k: v for k, v in values.items() if k != "use"},
            "use",
            ["use"],
            label,
            files,
        )
        for label, values in preset.effects.items()
    )
    frames = preset.frames
    chosen_source = _choose(
        registry,
        draft,
        "frame_sources",
        "frames",
        frames.source,
        frames.model_extra,
        "source",
        FramesPart.model_fields,
        files=files,
    )
    preset = _complete(
        preset, sampler, grid, guider, terms, effects, chosen_source,
        {track.label: track.options for track in tracks},
    )  # fmt: skip
    source = chosen_source.kind(chosen_source.options, Score(preset, tuple(tracks)))
    used = [sampler, *([grid] if grid.name != _EVEN else [])]
    used += [*([guider] if guider.name != _PLAIN else []), *terms, *effects, chosen_source]
    return Plan(
        name=draft.name,
        preset=preset,
        card=card,
        sampler=sampler,
        grid=grid,
        guider=guider,
        source=source,
        terms=tuple(terms),
        effects=effects,
        plugins={f"{c.label}={c.name}": c.code() for c in used},
        courses=tuple(track.course for track in tracks),
        files=files,
        weak=weak,
    )


def _weaker(registry: Registry, draft: Draft, guider: Chosen, card: ModelCard) -> ModelCard | None:
    """The card of the weaker model that a guider asks, if it does."""
    if "weak" not in getattr(guider.kind, "passes", ()):
        return None
    name, at = getattr(guider.options, "model", ""), draft.at("guidance.model")
    try:
        weak = registry.get("models", name)
    except PluginError as error:
        raise PresetError(f"{at}: {error}") from None
    if weak.name == card.name:
        raise PresetError(f"{at}: {name!r} is the model itself; name a smaller or earlier one")
    return weak


def _started(draft: Draft, preset: Preset, files: dict[str, str]) -> Preset:
    """Find the images that pictures start from; they become references."""
    image, said = preset.init.image, {}
    found = Files(lambda key: _folder(draft.where(key)), files)
    for key, name in {"": image}.items() if isinstance(image, str) else image.items():
        dotted = f"init.image.{key}" if key else "init.image"
        try:
            said[key] = found.refer(name, dotted)
        except ValueError as error:
            raise PresetError(f"{draft.at(dotted)}: {error}") from None
    init = preset.init.model_copy(update={"image": said[""] if isinstance(image, str) else said})
    return preset.model_copy(update={"init": init})


def _folder(said: str) -> Path:
    """The folder of the preset file that said something; the working folder for anything else."""
    path = Path(said)
    return path.parent if path.suffix == ".toml" and path.is_file() else Path()


def _solved(draft: Draft, sampler: Chosen, card: ModelCard, steps: int) -> Chosen:
    """Give a sampler the solver that was tuned for the model, unless its options say one."""
    said = len(getattr(sampler.options, "fractions", ()))
    if said:
        if said != steps:
            raise PresetError(f"{draft.at('sampler.steps')}: sampler.fractions has {said} steps")
        return sampler
    try:
        solver = solver_of(card, steps)
    except ModelError as error:
        raise PresetError(f"{draft.at('sampler.steps')}: {error}") from None
    return replace(sampler, options=sampler.kind.solved_by(sampler.options, solver))


def _fits(draft: Draft, sampler: Chosen, grid: Chosen, card: ModelCard, steps: int) -> None:
    """Make sure that the model has what sampler and grid need, as far as its card tells."""
    process = card.facts.get("process")
    if not isinstance(process, Mapping):
        return
    learned = getattr(sampler.options, "variance", None) == "learned"
    if learned and process.get("variance", "learned-range") != "learned-range":
        raise PresetError(
            f"{draft.at('sampler.variance')}: model {card.name!r} has learned no variance; "
            "set it to 'small' or 'large'"
        )
    entries = process.get("steps")
    walks = hasattr(grid.kind, "check") and not hasattr(sampler.kind, "levels")
    if walks and isinstance(entries, int) and entries > 0:
        try:
            grid.kind(**grid.options.model_dump()).check(steps, entries)
        except ValueError as error:
            raise PresetError(f"{draft.at('sampler.steps')}: {error}") from None


def _complete(
    preset: Preset,
    sampler: Chosen,
    grid: Chosen,
    guider: Chosen,
    terms: Iterable[Chosen],
    effects: Iterable[Chosen],
    source: Chosen,
    tracks: Mapping[str, Mapping[str, Any]],
) -> Preset:
    """Fill in the options of all that was chosen, as they were checked; keyframes stay."""
    tables = {"terms": dict(preset.terms), "effects": dict(preset.effects)}
    for kind, chosen in (("terms", terms), ("effects", effects)):
        for each in chosen:
            said = tables[kind][each.label]
            curves = {k: v for k, v in said.items() if kind == "terms" and is_keyframes(v)}
            keyed = tracks.get(each.label, {}) if kind == "terms" else {}
            held = {k: v.plain() for k, v in keyed.items() if isinstance(v, Held)}
            tables[kind][each.label] = said | _plain(each.options) | curves | held
    return preset.model_copy(
        update={
            "sampler": preset.sampler.model_copy(
                update={
                    **_plain(sampler.options),
                    "grid": preset.sampler.grid.model_copy(update=_plain(grid.options)),
                }
            ),
            "guidance": preset.guidance.model_copy(update=_plain(guider.options)),
            "frames": preset.frames.model_copy(update=_plain(source.options)),
            **tables,
        }
    )


def _plain(options: BaseModel) -> dict[str, Any]:
    """Options as JSON says them."""
    return options.model_dump(mode="json")


def _model(draft: Draft, registry: Registry) -> ModelCard:
    name = draft.values.get("model", Preset.model_fields["model"].default)
    if not isinstance(name, str):
        raise PresetError(f"{draft.at('model')}: must be a name (got {name!r})")
    try:
        return registry.get("models", name)
    except PluginError as error:
        raise PresetError(f"{draft.at('model')}: {error}") from None


def _choose(
    registry: Registry,
    draft: Draft,
    kind: str,
    key: str,
    name: Any,
    values: Mapping[str, Any] | None,
    name_key: str,
    also: Iterable[str],
    label: str | None = None,
    files: dict[str, str] | None = None,
) -> Chosen:
    """Find the class of a name and check its options, beside which the keys `also` may stand."""
    entries = registry.entries(kind)
    if not isinstance(name, str) or name not in entries:
        part = key if name == label else f"{key}.{name_key}"
        singular = "guidance term" if kind == "guidance" else kind.replace("_", " ")[:-1]
        raise PresetError(
            f"{draft.at(part)}: unknown {singular} {name!r}{nearest(str(name), entries)}"
        )
    entry = entries[name]
    found = Files(
        lambda name: _folder(draft.where(f"{key}.{name}")), {} if files is None else files
    )
    options = validate(draft, entry.value.Options, values or {}, key, also, found)
    return Chosen(label or key, name, entry.value, options, entry.plugin)


def check_options(
    draft: Draft,
    key: str,
    model: type[BaseModel],
    values: Mapping[str, Any],
    also: Iterable[str] = (),
) -> BaseModel:
    """Validate a plugin's options that stand below a dotted key of the preset."""
    return validate(draft, model, values, key, also)


def _term(
    registry: Registry,
    draft: Draft,
    label: str,
    values: Mapping[str, Any],
    files: dict[str, str],
) -> tuple[Chosen, TermTrack]:
    """A guidance term: its numbers may be keyframe tables, checked at each keyframe."""
    key = f"terms.{label}"
    rest = {k: v for k, v in values.items() if k not in COMMON}
    weight = _curve(draft, f"{key}.weight", values.get("weight", 1.0))
    course = _curve(draft, f"{key}.course", values.get("course", 1.0))
    for position, _ in course.keys:
        if position.unit != "%" and len(course.keys) > 1:
            raise PresetError(
                f"{draft.at(f'{key}.course')}: {position} is not a part of the way from noise, "
                '"0%", to the picture, "100%"'
            )
    keyed = {k: v for k, v in rest.items() if is_keyframes(v)}
    held = {k: _keyed(draft, f"{key}.{k}", v, Held) for k, v in keyed.items() if _jumps(v)}
    curves = {k: _curve(draft, f"{key}.{k}", v) for k, v in keyed.items() if k not in held}
    name = values.get("use", label)

    def choose(some: Mapping[str, Any]) -> Chosen:
        return _choose(registry, draft, "guidance", key, name, some, "use", COMMON, label, files)

    steady = {k: v for k, v in rest.items() if k not in keyed}
    steady |= {k: each.keys[0][1] for k, each in held.items()}
    for extreme in (max, min):
        chosen = choose(steady | {k: extreme(curve.values) for k, curve in curves.items()})
    for k, curve in curves.items():
        steady[k] = min(curve.values)
        curves[k] = replace(curve, whole=isinstance(getattr(chosen.options, k), int))
    for k, each in held.items():
        said = ((at, choose(steady | {k: value})) for at, value in each.keys)
        held[k] = Held(tuple((at, _plain(found.options)[k]) for at, found in said))
    return chosen, TermTrack(label, weight, {**_plain(chosen.options), **curves, **held}, course)


def _jumps(table: Mapping[str, Any]) -> bool:
    """Whether a table of keyframes holds texts, lists or tables, between which nothing lies."""
    kinds = (str, list, tuple, Mapping)
    return any(isinstance(value, kinds) for k, value in table.items() if k != "easing")


def _keyed(draft: Draft, key: str, value: Any, kind: type[K]) -> K:
    try:
        return kind.parse(value)
    except ValueError as error:
        raise PresetError(f"{draft.at(key)}: {error}") from None


def _curve(draft: Draft, key: str, value: Any) -> Curve:
    return _keyed(draft, key, value, Curve)
