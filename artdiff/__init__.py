"""artdiff: a preset becomes a picture or a film.

Everything a plugin or a script needs is exported here, and loaded when it is first used::

    import artdiff
    artdiff.render("four-seasons", "seasons.mp4")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "artdiff.errors": (
        "ArtdiffError FrameError MachineError ModelError PluginError PresetError VideoError"
    ),
    "artdiff.hookspecs": "hookimpl",
    "artdiff.openclip": "import_mended import_open_clip mend_torchvision",
    "artdiff.noise": "Flow Level Schedule VPCosine VPLinear",
    "artdiff.grid": "Grid levels",
    "artdiff.inversion": "invert",
    "artdiff.random": "Noise",
    "artdiff.denoise": (
        "Conditioning Denoiser GaussianDenoiser MixtureDenoiser NetDenoiser from_x0 to_x0"
    ),
    "artdiff.sample": "Sampler Step transfer",
    "artdiff.guidance": "Guidance Projection cfg guide",
    "artdiff.model": "Codec Conditioner Model ModelCard",
    "artdiff.curve": "Curve Easing ease locate",
    "artdiff.preset": "Preset Prompt",
    "artdiff.timeline": "Effect FrameJob FrameSource Mix Score Start Term",
    "artdiff.plan": "Plan",
    "artdiff.engine": "Engine Setup slerp",
    "artdiff.frames": "FrameStore",
    "artdiff.renderer": "RenderReport",
    "artdiff.video": "encode probe",
    "artdiff.sheet": "contact_sheet film_strip",
    "artdiff.registry": "Registry Selection create_registry",
    "artdiff.evaluation.frechet": "frechet_distance frechet_from_moments",
    "artdiff.evaluation.kernel": "kernel_distance mmd_unbiased polynomial_kernel",
    "artdiff.evaluation.manifold": "density_coverage inside_balls precision_recall",
    "artdiff.evaluation.scores": "clip_scores inception_score",
    "artdiff.evaluation.features": "Estimate FeatureExtractor Features Metric Need extract",
    "artdiff.evaluation.report": "Evaluation Measured",
    "artdiff.evaluation.measure": "choose_metrics measure",
    "artdiff.evaluation.run": "evaluate",
    "artdiff.api": "Rendered image render",
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = [*sorted(_HOME_OF), "__version__"]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'artdiff' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)


if TYPE_CHECKING:
    from artdiff.api import Rendered, image, render
    from artdiff.curve import Curve, Easing, ease, locate
    from artdiff.denoise import (
        Conditioning,
        Denoiser,
        GaussianDenoiser,
        MixtureDenoiser,
        NetDenoiser,
        from_x0,
        to_x0,
    )
    from artdiff.engine import Engine, Setup, slerp
    from artdiff.errors import (
        ArtdiffError,
        FrameError,
        MachineError,
        ModelError,
        PluginError,
        PresetError,
        VideoError,
    )
    from artdiff.evaluation.features import (
        Estimate,
        FeatureExtractor,
        Features,
        Metric,
        Need,
        extract,
    )
    from artdiff.evaluation.frechet import frechet_distance, frechet_from_moments
    from artdiff.evaluation.kernel import kernel_distance, mmd_unbiased, polynomial_kernel
    from artdiff.evaluation.manifold import density_coverage, inside_balls, precision_recall
    from artdiff.evaluation.measure import choose_metrics, measure
    from artdiff.evaluation.report import Evaluation, Measured
    from artdiff.evaluation.run import evaluate
    from artdiff.evaluation.scores import clip_scores, inception_score
    from artdiff.frames import FrameStore
    from artdiff.grid import Grid, levels
    from artdiff.guidance import Guidance, Projection, cfg, guide
    from artdiff.hookspecs import hookimpl
    from artdiff.inversion import invert
    from artdiff.model import Codec, Conditioner, Model, ModelCard
    from artdiff.noise import Flow, Level, Schedule, VPCosine, VPLinear
    from artdiff.openclip import import_mended, import_open_clip, mend_torchvision
    from artdiff.plan import Plan
    from artdiff.preset import Preset, Prompt
    from artdiff.random import Noise
    from artdiff.registry import Registry, Selection, create_registry
    from artdiff.renderer import RenderReport
    from artdiff.sample import Sampler, Step, transfer
    from artdiff.sheet import contact_sheet, film_strip
    from artdiff.timeline import Effect, FrameJob, FrameSource, Mix, Score, Start, Term
    from artdiff.video import encode, probe
