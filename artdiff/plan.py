"""A preset resolved against the registry: after this, no user error is left. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from artdiff.curve import Curve
from artdiff.errors import PluginError, PresetError, nearest
from artdiff.model import ModelCard
from artdiff.preset import Draft, Preset, check, explain, read_preset, underlay
from artdiff.registry import Registry
from artdiff.timeline import FrameJob, FrameSource, Score, TermTrack


@dataclass(frozen=True)
class Chosen:
    """A class that a preset names, with its checked options and the plugin it comes from."""

    label: str
    name: str
    kind: type
    options: BaseModel
    plugin: str


@dataclass(frozen=True)
class Plan:
    """All that a render needs, apart from the weights themselves."""

    name: str
    preset: Preset
    card: ModelCard
    sampler: Chosen
    source: FrameSource
    terms: tuple[Chosen, ...]
    effects: tuple[Chosen, ...]
    plugins: Mapping[str, str]

    @property
    def count(self) -> int:
        """The number of frames of the whole film."""
        return len(self.source)

    def job(self, index: int) -> FrameJob:
        """What frame `index` is made from."""
        return self.source[index]

    def manifest(self) -> dict[str, Any]:
        """The JSON-able settings that determine every pixel; a frame folder keeps them."""
        from artdiff import __version__

        preset = self.preset.model_dump(mode="json", exclude={"title", "description"})
        preset["frames"].pop("fps")
        return {
            "artdiff": __version__,
            "preset": preset,
            "model": {"name": self.card.name, "weights": self.card.digest()},
            "plugins": dict(sorted(self.plugins.items())),
        }


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
    preset = check(draft)
    for key, side in (("width", preset.width), ("height", preset.height)):
        if side % card.multiple:
            near = max(card.multiple, round(side / card.multiple) * card.multiple)
            raise PresetError(
                f"{draft.where(key)}: {key}: model {card.name!r} needs a multiple of "
                f"{card.multiple}; the nearest is {near} (got {side})"
            )
    sampler = _choose(
        registry, draft, "samplers", "sampler", preset.sampler.name, preset.sampler.model_extra
    )
    terms, tracks = [], []
    for label, values in preset.terms.items():
        chosen, track = _term(registry, draft, label, values)
        terms.append(chosen)
        tracks.append(track)
    effects = tuple(
        _choose(registry, draft, "effects", f"effects.{label}", values.get("use", label),
                {k: v for k, v in values.items() if k != "use"})
        for label, values in preset.effects.items()
    )
    frames = preset.frames
    chosen_source = _choose(
        registry, draft, "frame_sources", "frames", frames.source, frames.model_extra, "source"
    )
    source = chosen_source.kind(chosen_source.options, Score(preset, tuple(tracks)))
    used = [sampler, *terms, *effects, chosen_source]
    return Plan(
        name=draft.name,
        preset=preset,
        card=card,
        sampler=sampler,
        source=source,
        terms=tuple(terms),
        effects=effects,
        plugins={f"{c.label}={c.name}": c.plugin for c in used},
    )


def _model(draft: Draft, registry: Registry) -> ModelCard:
    name = draft.values.get("model", Preset.model_fields["model"].default)
    if not isinstance(name, str):
        raise PresetError(f"{draft.where('model')}: model: must be a name (got {name!r})")
    try:
        return registry.get("models", name)
    except PluginError as error:
        raise PresetError(f"{draft.where('model')}: model: {error}") from None


def _choose(
    registry: Registry, draft: Draft, kind: str, key: str, name: Any,
    values: Mapping[str, Any] | None, name_key: str = "name",
) -> Chosen:
    entries = registry.entries(kind)
    if name not in entries:
        part = f"{key}.{name_key}" if kind in ("samplers", "frame_sources") else key
        singular = kind.replace("_", " ").removesuffix("s")
        raise PresetError(
            f"{draft.where(part)}: {part}: unknown {singular} {name!r}"
            f"{nearest(str(name), entries)}"
        )
    entry = entries[name]
    options = check_options(draft, key, entry.value.Options, values or {})
    return Chosen(key.rpartition(".")[2], name, entry.value, options, entry.plugin)


def check_options(
    draft: Draft, key: str, model: type[BaseModel], values: Mapping[str, Any]
) -> BaseModel:
    """Validate a plugin's options that stand below a dotted key of the preset."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise explain(draft, error.errors()[0], model, key) from None


def _term(
    registry: Registry, draft: Draft, label: str, values: Mapping[str, Any]
) -> tuple[Chosen, TermTrack]:
    """A guidance term: its numbers may be keyframe tables, checked at each keyframe."""
    key = f"terms.{label}"
    rest = {k: v for k, v in values.items() if k not in ("use", "weight")}
    weight = _curve(draft, f"{key}.weight", values.get("weight", 1.0))
    curves = {
        k: _curve(draft, f"{key}.{k}", v)
        for k, v in rest.items()
        if isinstance(v, dict) and any(str(frame)[:1] in "-0123456789" for frame in v)
    }
    steady = {k: v for k, v in rest.items() if k not in curves}
    extremes = {k: min(curve.values) for k, curve in curves.items()}
    highest = {k: max(curve.values) for k, curve in curves.items()}
    name = values.get("use", label)
    _choose(registry, draft, "guidance", key, name, steady | highest)
    chosen = _choose(registry, draft, "guidance", key, name, steady | extremes)
    return chosen, TermTrack(label, weight, {**chosen.options.model_dump(), **curves})


def _curve(draft: Draft, key: str, value: Any) -> Curve:
    try:
        return Curve.parse(value)
    except ValueError as error:
        raise PresetError(f"{draft.where(key)}: {key}: {error}") from None
