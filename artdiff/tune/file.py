"""The file in which a model keeps its tuned steps: what it says, where it lies, who fits."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from pydantic import Field, ValidationError, model_validator

from artdiff.errors import ModelError, ModelWarning
from artdiff.model import ModelCard
from artdiff.tune.solver import Data, Solver
from artdiff.user_models import models_folder

__all__ = ["FILE", "Guided", "TunedFile", "Tuning", "home", "read_file", "read_tuned", "solver_of"]

FILE = "tuned.json"
"""The name of the file, in the model's folder or in the user's folder of that model."""


class Tuning(Data):
    """A solver and how it did on prompts and seeds that it was not tuned on.

    Errors are distances to the many-step reference relative to its length: root mean square over
    all samples, and the median of the samples.
    """

    solver: Solver
    rms: float = Field(ge=0)
    median: float = Field(ge=0)
    pixels: float = Field(ge=0, description="Root mean square over decoded pixels in [-1, 1].")
    before_rms: float = Field(ge=0, description="The untuned sampler's, at as many steps.")
    before_median: float = Field(ge=0)
    before_pixels: float = Field(ge=0)
    seen_rms: float = Field(ge=0, description="Ours, on the samples that it was tuned on.")


class Guided(Data):
    """The classifier-free guidance that the steps were tuned for."""

    scale: float = 1.0
    rescale: float = 0.0
    start: float = 1.0
    stop: float = 0.0


class TunedFile(Data):
    """What ``tuned.json`` holds.

    Attributes:
        weights: `ModelCard.digest` of the weights that the steps were tuned for.
        guidance: what it was tuned for.
        reference: the many-step solution, in words.
        untuned: the sampler and grid that `Tuning.before_rms` speaks of, in words.
        counts: tunings by their number of steps.
    """

    version: int = Field(default=1, ge=1, le=1)
    weights: str
    guidance: Guided
    reference: str
    untuned: str
    counts: dict[int, Tuning] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _counted(self) -> TunedFile:
        for steps, tuning in self.counts.items():
            if tuning.solver.steps != steps:
                raise ValueError(f"counts.{steps} has {tuning.solver.steps} steps")
        return self


def home(card: ModelCard) -> Path:
    """Where to write a model's tuned steps: beside its weights, if it is the user's own model.

    The models that came with artdiff, and folders that cannot be written, get a folder of their
    name in the user's folder of models.
    """
    folder = Path(str(card.folder))
    shipped = folder.resolve().is_relative_to(Path(__file__).resolve().parents[1])
    own = folder.is_dir() and os.access(folder, os.W_OK) and not shipped
    return (folder if own else models_folder() / card.name) / FILE


def read_tuned(card: ModelCard) -> dict[int, TunedFile]:
    """A model's tuned steps: by their number, the file that has them.

    Those in the user's folder of models come before those beside the weights.

    :raises ModelError: a file is damaged.
    """
    found: dict[int, TunedFile] = {}
    for path in (Path(str(card.folder)) / FILE, models_folder() / card.name / FILE):
        if path.is_file():
            tuned = read_file(path)
            found |= dict.fromkeys(tuned.counts, tuned)
    return dict(sorted(found.items()))


def read_file(path: Path) -> TunedFile:
    """Read a file of tuned steps.

    :raises ModelError: it is damaged.
    """
    try:
        return TunedFile.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ModelError(f"{path}: not a file of tuned steps: {_why(error)}") from error


def solver_of(card: ModelCard, steps: int) -> Solver:
    """Give a model's solver of so many steps.

    Warns with `ModelWarning` where the weights are others than those it was tuned for.

    :raises ModelError: the model has no tuned steps, or none of that count.
    """
    known = read_tuned(card)
    if not known:
        raise ModelError(
            f"model {card.name!r} has no tuned steps; run "
            f"artdiff models tune {card.name} --steps {steps}"
        )
    if steps not in known:
        near = min(known, key=lambda count: (abs(count - steps), count))
        raise ModelError(
            f"model {card.name!r} has tuned steps for {', '.join(map(str, known))}, not for "
            f"{steps}; the nearest is sampler.steps={near}"
        )
    tuned = known[steps]
    if tuned.weights != card.digest():
        warnings.warn(
            f"the tuned steps of model {card.name!r} belong to other weights ({tuned.weights}); "
            f"run artdiff models tune {card.name}",
            ModelWarning,
            stacklevel=2,
        )
    return tuned.counts[steps].solver


def _why(error: OSError | ValidationError) -> str:
    if isinstance(error, OSError):
        return str(error)
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
