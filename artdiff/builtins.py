"""What artdiff itself offers, through the same hooks as everyone (hookimpls only)."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

from artdiff.hookspecs import hookimpl


@hookimpl
def register_samplers() -> Mapping[str, type]:
    from artdiff.samplers import SAMPLERS

    return SAMPLERS


@hookimpl
def register_feature_extractors() -> Mapping[str, type]:
    from artdiff.evaluation.encoder import StarterEncoder

    return {"starter": StarterEncoder}


@hookimpl
def register_grids() -> Mapping[str, type]:
    from artdiff.grid import GRIDS

    return GRIDS


@hookimpl
def register_guiders() -> Mapping[str, type]:
    from artdiff.guiders import GUIDERS

    return GUIDERS


@hookimpl
def register_presets() -> Mapping[str, Traversable]:
    folder = files("artdiff.presets")
    return {
        entry.name.removesuffix(".toml"): entry
        for entry in folder.iterdir()
        if entry.name.endswith(".toml")
    }
