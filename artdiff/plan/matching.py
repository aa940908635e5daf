"""Whether what a preset names goes together: model, quality, sampler, guider. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from artdiff.errors import ModelError, PluginError, PresetError, nearest
from artdiff.model import ModelCard
from artdiff.plan import USUAL_GUIDER, Chosen
from artdiff.preset import Preset
from artdiff.preset.draft import Draft, underlay
from artdiff.quality import LEVELS, Distilled
from artdiff.registry import Registry
from artdiff.tune.file import solver_of


def at_quality(draft: Draft, card: ModelCard) -> tuple[ModelCard, Draft]:
    """The card with the weights of the draft's quality, and the draft over what that says.

    :raises PresetError: it is no level, or the card says nothing of it.
    """
    level = draft.values.get("quality")
    if level is None:
        return card, draft
    at = draft.at("quality")
    if level not in LEVELS:
        known = "must be 'draft', 'normal' or 'best'"
        near = nearest(level, LEVELS) if isinstance(level, str) else ""
        raise PresetError(f"{at}: {known}{near if near.endswith('?') else ''} (got {level!r})")
    said = card.quality.get(level)
    if said is None:
        has = f"only {', '.join(card.quality)}" if card.quality else "no levels of quality"
        raise PresetError(f"{at}: model {card.name!r} has {has}; set sampler.steps instead")
    card = replace(card, fast=said.fast)
    if said.weights is not None:
        card = replace(card, weights=said.weights, distilled=said.distilled)
    return card, underlay(draft, said.values, f"model {card.name}, quality {level}")


def as_asked(
    draft: Draft, preset: Preset, card: ModelCard, sampler: Chosen, guider: Chosen
) -> ModelCard:
    """The card of distilled weights, or of the same asked plainly where they know no better.

    :raises PresetError: they do not know what is asked of them, and cannot be asked plainly; the
        message names a level that may know it, if the card has one.
    """
    known = card.distilled
    strange = known and _unknown(known, preset, sampler, guider)
    if not known or not strange:
        return card
    if known.plain and known.steps is None:
        return replace(card, distilled=None)
    level = draft.values.get("quality")
    other = "normal" in card.quality and level not in (None, "normal")
    instead = "set quality to 'normal'" if other else "take another model"
    key, why = strange
    raise PresetError(
        f"{draft.at(key)}: the distilled weights of model {card.name!r} {why}; {instead}"
    )


def _unknown(
    known: Distilled, preset: Preset, sampler: Chosen, guider: Chosen
) -> tuple[str, str] | None:
    """The first key of a preset that asks for what distilled weights do not know, and why."""
    part = preset.guidance
    if preset.negative:
        return "negative", "take no negative prompt"
    if guider.name != USUAL_GUIDER or getattr(guider.options, "percentile", 0):
        return "guidance.name", "know plain 'cfg' only"
    low, high = known.scale
    for value in part.scale.values:
        if not low <= value <= high:
            why = f"know guidance scales from {low:g} to {high:g} (got {value:g})"
            return "guidance.scale", why
    fixed = {
        "rescale": (known.rescale, part.rescale.values),
        "stop": (known.stop, (part.stop,)),
        "start": (1.0, (part.start,)),
        "course": (1.0, part.course.values),
    }
    for key, (value, said) in fixed.items():
        for got in said:
            if got != value:
                return f"guidance.{key}", f"know {value:g} only (got {got:g})"
    if known.steps is None:
        return None
    few, many = known.steps
    if sampler.name == "euler" and not few <= preset.sampler.steps <= many:
        return "sampler.steps", f"walk {few} to {many} steps (got {preset.sampler.steps})"
    if preset.terms:
        return "terms", "take steps too long for [terms]"
    return None


def check_sides(draft: Draft, preset: Preset, card: ModelCard) -> None:
    """Make sure that the model draws pictures and windows of these sizes.

    :raises PresetError: a side is not a multiple of what the model needs.
    """
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


def solved(draft: Draft, preset: Preset, card: ModelCard, sampler: Chosen) -> Chosen:
    """The sampler, with the solver that was tuned for the model if it is to walk one.

    Options of the preset's own come before that.

    :raises PresetError: none was tuned for so many steps; the sampler walks levels of its own,
        and there is an image to start from.
    """
    if hasattr(sampler.kind, "levels") and preset.init.image:
        raise PresetError(
            f"{draft.at('sampler.name')}: {sampler.name!r} walks its own levels from pure noise; "
            "with [init] use another, such as 'dpmpp_2m'"
        )
    if not hasattr(sampler.kind, "solved_by"):
        return sampler
    steps, said = preset.sampler.steps, len(getattr(sampler.options, "fractions", ()))
    if said:
        if said != steps:
            raise PresetError(f"{draft.at('sampler.steps')}: sampler.fractions has {said} steps")
        return sampler
    with draft.blaming("sampler.steps", ModelError):
        solver = solver_of(card, steps)
    return replace(sampler, options=sampler.kind.solved_by(sampler.options, solver))


def check_process(
    draft: Draft, preset: Preset, card: ModelCard, sampler: Chosen, grid: Chosen
) -> None:
    """Make sure that the model has what sampler and grid need, as far as its card tells.

    :raises PresetError: it has learned no variance, or was trained on too few steps.
    """
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
        with draft.blaming("sampler.steps", ValueError):
            grid.build().check(preset.sampler.steps, entries)


def weaker(draft: Draft, registry: Registry, card: ModelCard, guider: Chosen) -> ModelCard | None:
    """The card of the weaker model that a guider asks, if it does.

    :raises PresetError: it is unknown, or the model itself.
    """
    if "weak" not in getattr(guider.kind, "passes", ()):
        return None
    name = getattr(guider.options, "model", "")
    with draft.blaming("guidance.model", PluginError):
        weak = registry.get("models", name)
    if weak.name == card.name:
        raise PresetError(
            f"{draft.at('guidance.model')}: {name!r} is the model itself; "
            "name a smaller or earlier one"
        )
    return weak
