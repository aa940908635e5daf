"""Latent interpolation: a film that wanders from seed to seed (hookimpls only)."""

from __future__ import annotations

from artdiff import hookimpl


@hookimpl
def register_frame_sources() -> dict[str, type]:
    from .source import LatentInterpolation

    return {"latent_interpolation": LatentInterpolation}
