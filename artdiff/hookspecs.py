"""Every hook that artdiff calls.

Hooks *offer named things* and *observe*. Only a preset *assembles*: a picture depends on the
preset, the seed, the model and the code of the plugins that the preset names, never on which
other plugins are installed or in what order.

A ``register_*`` hook returns a mapping from names to classes (never instances) and is called once
when something of its kind is first looked up. Two plugins that offer the same name are an error
that names both. Import heavy modules inside the hook, so that ``artdiff --help`` stays fast.

    import artdiff

    @artdiff.hookimpl
    def register_guidance():
        from my_plugin.symmetry import Symmetry
        return {"symmetry": Symmetry}
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import click
    import numpy as np
    import torch

    from artdiff.model import Model, ModelCard
    from artdiff.plan import Plan, RenderReport
    from artdiff.sample import Step
    from artdiff.timeline import FrameJob

GROUP = "artdiff"
HOOK_API = 1
"""The number of this set of hooks; it rises when one is taken away or asks for something new."""
OLDEST_API = 1
"""Plugins that were written for this number still work; hooks that will go warn until they do."""
hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec
def register_models() -> Mapping[str, ModelCard]:  # type: ignore[empty-body]
    """Offer models by name: cards that say what a model is and where its weights lie.

    No weights are read here; ``load_model`` does that when a render needs them.
    """


@hookspec
def register_samplers() -> Mapping[str, type]:  # type: ignore[empty-body]
    """Offer samplers: classes of the ``Sampler`` protocol with pydantic ``Options``."""


@hookspec
def register_grids() -> Mapping[str, type]:  # type: ignore[empty-body]
    """Offer timestep grids: classes of the ``Grid`` protocol with pydantic ``Options``."""


@hookspec
def register_guiders() -> Mapping[str, type]:  # type: ignore[empty-body]
    """Offer guiders: classes of the ``Guider`` protocol with pydantic ``Options``.

    A guider combines answers of the model without a gradient, as classifier-free guidance does. A
    preset uses one by ``guidance.name``; further keys of ``[guidance]`` are its ``Options``.
    """


@hookspec
def register_guidance() -> Mapping[str, type]:  # type: ignore[empty-body]
    """Offer guidance terms: ``Guidance`` (a loss whose gradient steers) or ``Projection`` classes.

    A preset uses one by ``[terms.NAME]``; its keys are the class's ``Options``.
    """


@hookspec
def register_frame_sources() -> Mapping[str, type]:  # type: ignore[empty-body]
    """Offer frame sources: classes that say what frame i of a film is made from."""


@hookspec
def register_effects() -> Mapping[str, type]:  # type: ignore[empty-body]
    """Offer effects: classes that change a finished picture, uint8 (H, W, 3) in and out."""


@hookspec
def register_datasets() -> Mapping[str, type]:  # type: ignore[empty-body]
    """Offer training datasets: classes of captioned pictures, picture i a pure function of i."""


@hookspec
def register_metrics() -> Mapping[str, type]:  # type: ignore[empty-body]
    """Offer metrics for `artdiff evaluate`: classes of the ``Metric`` protocol."""


@hookspec
def register_feature_extractors() -> Mapping[str, type]:  # type: ignore[empty-body]
    """Offer feature extractors for `artdiff evaluate`: ``FeatureExtractor`` classes.

    They have pydantic ``Options``, and read their weights when they are made.
    """


@hookspec
def register_importers() -> Mapping[str, type]:  # type: ignore[empty-body]
    """Offer readers of other programs' settings files."""


@hookspec
def register_presets() -> Mapping[str, Traversable]:  # type: ignore[empty-body]
    """Offer presets: name -> TOML file. Called when presets are listed or looked up."""


@hookspec
def register_commands(cli: click.Group) -> None:
    """Add commands to the command line. Called when the group is first listed.

    :param cli: the ``artdiff`` group; use ``@cli.command()``. The return value is not used.
    """


@hookspec(firstresult=True)
def load_model(  # type: ignore[empty-body]
    card: ModelCard, device: torch.device, dtype: torch.dtype
) -> Model | None:
    """Load the model of a card, or return None if the card's backend is not yours.

    Called once per worker. **Stops at the first result that is not None.** The plugin that offers
    the card is asked first, then artdiff itself, then all others.
    """


@hookspec
def on_render_start(plan: Plan) -> None:
    """Observe that a render begins, before its first frame."""


@hookspec
def on_step(job: FrameJob, step: Step) -> None:
    """Observe one sampling step of one frame; costs nothing when nobody implements it.

    :param step: live tensors of that frame, ``step.x`` and ``step.x0`` (1, C, H, W): read them,
        do not write into them.
    """


@hookspec
def on_frame(job: FrameJob, image: np.ndarray) -> None:
    """Observe a finished frame before it is stored.

    :param image: uint8 (H, W, 3), read-only.
    """


@hookspec
def on_render_end(report: RenderReport) -> None:
    """Observe that a render ended, also when it failed or was interrupted."""


REGISTRATIONS: Mapping[str, str] = {
    "models": "register_models",
    "samplers": "register_samplers",
    "grids": "register_grids",
    "guiders": "register_guiders",
    "guidance": "register_guidance",
    "frame_sources": "register_frame_sources",
    "effects": "register_effects",
    "datasets": "register_datasets",
    "metrics": "register_metrics",
    "feature_extractors": "register_feature_extractors",
    "importers": "register_importers",
    "presets": "register_presets",
}


def hook_arguments(name: str) -> tuple[str, ...]:
    """The argument names of a hook, as the reference documents them."""
    function: Any = globals()[name]
    return tuple(a for a in function.__annotations__ if a != "return")
