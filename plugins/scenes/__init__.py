"""Scenes: the procedural dataset that the starter model learns from (hookimpls only)."""

from __future__ import annotations

from artdiff import hookimpl


@hookimpl
def register_datasets() -> dict[str, type]:
    from .dataset import Scenes

    return {"scenes": Scenes}
