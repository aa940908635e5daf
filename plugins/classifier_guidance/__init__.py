"""Guidance by classifiers of noisy pictures (hookimpls only)."""

from __future__ import annotations

from artdiff import hookimpl


@hookimpl
def register_guidance() -> dict[str, type]:
    from .term import ClassifierGuidance

    return {"classifier": ClassifierGuidance}
