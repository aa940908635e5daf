"""Prompt animation: a film whose prompt changes over time (hookimpls only)."""

from __future__ import annotations

from artdiff import hookimpl


@hookimpl
def register_frame_sources() -> dict[str, type]:
    from .source import PromptAnimation

    return {"prompt_animation": PromptAnimation}
