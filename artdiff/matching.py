"""Whether what a preset names goes together: model, sampler, grid, guider. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from artdiff.draft import Draft
from artdiff.errors import ModelError, PluginError, PresetError
from artdiff.model import ModelCard
from artdiff.plan import Chosen
from artdiff.preset import Preset
from artdiff.registry import Registry
from artdiff.tuned import solver_of


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
