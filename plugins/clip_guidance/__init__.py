"""CLIP guidance: text-image encoders lead pictures towards texts and pictures (hookimpls only)."""

from __future__ import annotations

from artdiff import hookimpl


@hookimpl
def register_guidance() -> dict[str, type]:
    from .term import ClipGuidance

    return {"clip": ClipGuidance}
