"""Looks: smooth, in range, colourful, pleasing, whatever is shown (hookimpls only)."""

from __future__ import annotations

from artdiff import hookimpl


@hookimpl
def register_guidance() -> dict[str, type]:
    from .aesthetic import Aesthetic
    from .terms import OutOfRange, Saturation, TotalVariation

    return {
        "tv": TotalVariation,
        "range": OutOfRange,
        "saturation": Saturation,
        "aesthetic": Aesthetic,
    }
