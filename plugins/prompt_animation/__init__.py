"""Prompt animation: a film whose prompt changes over time (hookimpls only)."""

from __future__ import annotations

from artdiff import hookimpl


@hookimpl
def register_frame_sources() -> dict[str, type]:
    from artdiff_plugins.prompt_animation.source import PromptAnimation

    return {"prompt_animation": PromptAnimation}
