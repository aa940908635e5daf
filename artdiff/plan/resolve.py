"""A draft resolved against the registry: after this, no user error is left. No torch."""

from __future__ import annotations

from collections.abc import Iterable

from artdiff.curve import Held
from artdiff.errors import PluginError, PresetError
from artdiff.model import ModelCard
from artdiff.options import Files
from artdiff.plan import USUAL_GRID, USUAL_GUIDER, Chosen, Plan
from artdiff.plan.choosing import Chooser, folder
from artdiff.plan.matching import (
    as_asked,
    at_quality,
    check_process,
    check_sides,
    solved,
    weaker,
)
from artdiff.plan.tracks import choose_term
from artdiff.preset import Preset
from artdiff.preset.check import check
from artdiff.preset.draft import Draft, is_keyframes, underlay
from artdiff.registry import Registry
from artdiff.timeline import Score, TermTrack


def resolve(draft: Draft, registry: Registry) -> Plan:
    """Check a draft and find everything that it names.

    :raises PresetError: a value is wrong. :raises PluginError: a name is unknown.
    """
    card = _model(draft, registry)
    card, draft = at_quality(draft, card)
    draft = underlay(draft, card.defaults, f"model {card.name}")
    chooser = Chooser(registry, draft)
    preset = _started(draft, check(draft), chooser.files)
    check_sides(draft, preset, card)
    sampler = solved(draft, preset, card, chooser.part("samplers", "sampler", preset.sampler))
    grid = chooser.part("grids", "sampler.grid", preset.sampler.grid)
    check_process(draft, preset, card, sampler, grid)
    guider = chooser.part("guiders", "guidance", preset.guidance)
    card = as_asked(draft, preset, card, sampler, guider)
    weak = weaker(draft, registry, card, guider)
    tracked = [choose_term(chooser, label, values) for label, values in preset.terms.items()]
    terms, tracks = tuple(term for term, _ in tracked), tuple(track for _, track in tracked)
    effects = tuple(
        chooser.labelled("effects", "effects", label, values)
        for label, values in preset.effects.items()
    )
    frames = chooser.part("frame_sources", "frames", preset.frames, "source")
    preset = _complete(preset, sampler, grid, guider, terms, effects, frames, tracks)
    unusual = [c for c, usual in ((grid, USUAL_GRID), (guider, USUAL_GUIDER)) if c.name != usual]
    used = [sampler, *unusual, *terms, *effects, frames]
    return Plan(
        name=draft.name,
        preset=preset,
        card=card,
        sampler=sampler,
        grid=grid,
        guider=guider,
        source=frames.kind(frames.options, Score(preset, tracks)),
        terms=terms,
        effects=effects,
        plugins={f"{c.label}={c.name}": c.code() for c in used}
        | _codes(registry, card, weak),
        courses=tuple(track.course for track in tracks),
        files=chooser.files,
        weak=weak,
    )


def _codes(registry: Registry, *cards: ModelCard | None) -> dict[str, str]:
    """The code of the plugins that offer cards, but for those that artdiff itself offers."""
    entries = registry.entries("models")
    found = [entries[card.name] for card in cards if card and card.name in entries]
    others = (entry for entry in found if not entry.plugin.startswith("artdiff."))
    plugins = (entry for entry in others if entry.plugin in registry.plugins)
    return {f"model={entry.name}": registry.code(entry.plugin) for entry in plugins}


def _model(draft: Draft, registry: Registry) -> ModelCard:
    """The card of the model that a draft names."""
    name = draft.values.get("model", Preset.model_fields["model"].default)
    if not isinstance(name, str):
        raise PresetError(f"{draft.at('model')}: must be a name (got {name!r})")
    with draft.blaming("model", PluginError):
        return registry.get("models", name)


def _started(draft: Draft, preset: Preset, files: dict[str, str]) -> Preset:
    """Find the images that pictures start from; they become references."""
    image, said = preset.init.image, {}
    found = Files(lambda key: folder(draft, key), files)
    for key, name in {"": image}.items() if isinstance(image, str) else image.items():
        dotted = f"init.image.{key}" if key else "init.image"
        with draft.blaming(dotted, ValueError):
            said[key] = found.refer(name, dotted)
    init = preset.init.model_copy(update={"image": said[""] if isinstance(image, str) else said})
    return preset.model_copy(update={"init": init})


def _complete(
    preset: Preset,
    sampler: Chosen,
    grid: Chosen,
    guider: Chosen,
    terms: Iterable[Chosen],
    effects: Iterable[Chosen],
    frames: Chosen,
    tracks: Iterable[TermTrack],
) -> Preset:
    """Fill in the options of all that was chosen, as they were checked; keyframes stay."""
    done = {}
    for term, track in zip(terms, tracks, strict=True):
        said = preset.terms[term.label]
        curves = {k: v for k, v in said.items() if is_keyframes(v)}
        held = {k: v.plain() for k, v in track.options.items() if isinstance(v, Held)}
        done[term.label] = said | term.plain() | curves | held
    spaced = preset.sampler.grid.model_copy(update=grid.plain())
    return preset.model_copy(
        update={
            "sampler": preset.sampler.model_copy(update={**sampler.plain(), "grid": spaced}),
            "guidance": preset.guidance.model_copy(update=guider.plain()),
            "frames": preset.frames.model_copy(update=frames.plain()),
            "terms": done,
            "effects": {e.label: preset.effects[e.label] | e.plain() for e in effects},
        }
    )
