"""Metrics for `artdiff evaluate`, and feature extractors for them (hookimpls only)."""

from __future__ import annotations

from artdiff import hookimpl


@hookimpl
def register_metrics() -> dict[str, type]:
    from .distances import Frechet, Kernel, SpatialFrechet
    from .manifolds import Coverage, Density, Precision, Recall
    from .scores import ClipScore, InceptionScore

    return {
        "fid": Frechet,
        "sfid": SpatialFrechet,
        "kid": Kernel,
        "is": InceptionScore,
        "precision": Precision,
        "recall": Recall,
        "density": Density,
        "coverage": Coverage,
        "clip": ClipScore,
    }


@hookimpl
def register_feature_extractors() -> dict[str, type]:
    from .inception import Inception
    from .open_clip import OpenClip

    return {"inception": Inception, "open_clip": OpenClip}
