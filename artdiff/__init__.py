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
        "ArtdiffError FrameError MachineError ModelError PluginError PresetError PromptWarning "
        "VideoError nearest"
    ),
    "artdiff.hookspecs": "HOOK_API hookimpl",
    "artdiff.options": "File NoOptions",
    "artdiff.openclip": "import_mended import_open_clip mend_torchvision",
    "artdiff.noise": "Flow Level Schedule VPCosine VPLinear",
    "artdiff.grid": "Grid levels",
    "artdiff.inversion": "invert",
    "artdiff.random": "Noise",
    "artdiff.denoise": (
        "Conditioning Denoiser GaussianDenoiser MixtureDenoiser NetDenoiser from_x0 to_x0"
    ),
    "artdiff.sample": "Sampler Step transfer",
    "artdiff.samplers": "SAMPLERS",
    "artdiff.guiders": "Guider Seen cfg guided",
    "artdiff.guidance.guide": "Guidance Look Projection guide",
    "artdiff.encoders": "TextImageEncoder load_encoder",
    "artdiff.model": "Codec Conditioner Model ModelCard",
    "artdiff.curve": "Curve Easing ease locate",
    "artdiff.preset.prompt": "Prompt",
    "artdiff.preset": "Preset",
    "artdiff.timeline": "Effect FrameJob FrameSource Init Mix Score Start Term",
    "artdiff.plan": "Plan RenderReport",
    "artdiff.guidance.setup": "Setup",
    "artdiff.starting": "slerp",
    "artdiff.engine": "Engine",
    "artdiff.tiles": "TiledCodec Tiling normal_by_place tiled_denoiser tiled_model",
    "artdiff.backends.unet": "NoisyClassifier helper load_classifier load_superres",
    "artdiff.upsampling": "Upsampler open_upsampler upsampler_card",
    "artdiff.files": "save_bytes",
    "artdiff.importers.weights": "read_plain_weights read_weights",
    "artdiff.frames": "FrameStore encode_png load_image read_settings save_picture upright",
    "artdiff.cli.options": "output_option picture_path plugins_option settings_option",
    "artdiff.film.video": "encode probe",
    "artdiff.film.sheet": "contact_sheet film_strip",
    "artdiff.guidance.profile": "GuidanceProfile",
    "artdiff.registry": "Registry Selection create_registry",
    "artdiff.evaluation.frechet": "frechet_distance frechet_from_moments",
    "artdiff.evaluation.kernel": "kernel_distance mmd_unbiased polynomial_kernel",
    "artdiff.evaluation.manifold": "density_coverage inside_balls precision_recall",
    "artdiff.evaluation.scores": "clip_scores inception_score",
    "artdiff.evaluation.features": "Estimate FeatureExtractor Features Metric Need extract",
    "artdiff.evaluation.report": "Evaluation Measured",
    "artdiff.evaluation.measure": "choose_metrics measure",
    "artdiff.evaluation.run": "evaluate",
    "artdiff.evaluation.exam": "Question",
    "artdiff.evaluation.exam_report": "Examination",
    "artdiff.evaluation.examine": "examine",
    "artdiff.api": "Rendered image render write_images",
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
    from artdiff.api import Rendered, image, render, write_images
    from artdiff.backends.unet import NoisyClassifier, helper, load_classifier, load_superres
    from artdiff.cli.options import (
        output_option,
        picture_path,
        plugins_option,
        settings_option,
    )
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
    from artdiff.encoders import TextImageEncoder, load_encoder
    from artdiff.engine import Engine
    from artdiff.errors import (
        ArtdiffError,
        FrameError,
        MachineError,
        ModelError,
        PluginError,
        PresetError,
        PromptWarning,
        VideoError,
        nearest,
    )
    from artdiff.evaluation.exam import Question
    from artdiff.evaluation.exam_report import Examination
    from artdiff.evaluation.examine import examine
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
    from artdiff.files import save_bytes
    from artdiff.film.sheet import contact_sheet, film_strip
    from artdiff.film.video import encode, probe
    from artdiff.frames import (
        FrameStore,
        encode_png,
        load_image,
        read_settings,
        save_picture,
        upright,
    )
    from artdiff.grid import Grid, levels
    from artdiff.guidance.guide import Guidance, Look, Projection, guide
    from artdiff.guidance.profile import GuidanceProfile
    from artdiff.guidance.setup import Setup
    from artdiff.guiders import Guider, Seen, cfg, guided
    from artdiff.hookspecs import HOOK_API, hookimpl
    from artdiff.importers.weights import read_plain_weights, read_weights
    from artdiff.inversion import invert
    from artdiff.model import Codec, Conditioner, Model, ModelCard
    from artdiff.noise import Flow, Level, Schedule, VPCosine, VPLinear
    from artdiff.openclip import import_mended, import_open_clip, mend_torchvision
    from artdiff.options import File, NoOptions
    from artdiff.plan import Plan, RenderReport
    from artdiff.preset import Preset
    from artdiff.preset.prompt import Prompt
    from artdiff.random import Noise
    from artdiff.registry import Registry, Selection, create_registry
    from artdiff.sample import Sampler, Step, transfer
    from artdiff.samplers import SAMPLERS
    from artdiff.starting import slerp
    from artdiff.tiles import TiledCodec, Tiling, normal_by_place, tiled_denoiser, tiled_model
    from artdiff.timeline import Effect, FrameJob, FrameSource, Init, Mix, Score, Start, Term
    from artdiff.upsampling import Upsampler, open_upsampler, upsampler_card
