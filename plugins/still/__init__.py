"""Stills: pictures that do not belong to a film (hookimpls only)."""

from __future__ import annotations

from artdiff import hookimpl


@hookimpl
def register_frame_sources() -> dict[str, type]:
    from .source import Still

    return {"still": Still}
