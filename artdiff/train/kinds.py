"""The kinds of models that can be trained, and reading their recipes."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import NoneType
from typing import Any, NamedTuple, get_args

import torch
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from safetensors import SafetensorError

from artdiff.errors import PresetError, nearest
from artdiff.train.autoencoder import AutoencoderRecipe, AutoencoderTask
from artdiff.train.checkpoint import read_tensors
from artdiff.train.classifier import ClassifierRecipe, ClassifierTask
from artdiff.train.clip import ClipRecipe, ClipTask
from artdiff.train.data import Dataset
from artdiff.train.denoiser import DenoiserRecipe, DenoiserTask
from artdiff.train.diffusion import DiffusionRecipe, DiffusionTask
from artdiff.train.distil import DistilTask
from artdiff.train.distil_recipe import DistilRecipe
from artdiff.train.draws import draw_seed
from artdiff.train.enlarger import EnlargerRecipe, EnlargerTask
from artdiff.train.judge import JudgeRecipe, JudgeTask
from artdiff.train.recipe import Recipe
from artdiff.train.task import Task
from artdiff.train.upsampler import UpsamplerRecipe, UpsamplerTask


class Kind(NamedTuple):
    """What a kind's file holds."""

    recipe: type[Recipe]
    task: type[Task]


KINDS: Mapping[str, Kind] = {
    "autoencoder": Kind(AutoencoderRecipe, AutoencoderTask),
    "denoiser": Kind(DenoiserRecipe, DenoiserTask),
    "distil": Kind(DistilRecipe, DistilTask),
    "diffusion": Kind(DiffusionRecipe, DiffusionTask),
    "classifier": Kind(ClassifierRecipe, ClassifierTask),
    "upsampler": Kind(UpsamplerRecipe, UpsamplerTask),
    "enlarger": Kind(EnlargerRecipe, EnlargerTask),
    "clip": Kind(ClipRecipe, ClipTask),
    "judge": Kind(JudgeRecipe, JudgeTask),
}


def load_recipe(path: Path) -> Recipe:
    """Read a recipe file; PresetError, one line, names the file and the key that is wrong."""
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise PresetError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PresetError(f"{path}: not TOML: {error}") from error
    return parse_recipe(table, str(path))


def parse_recipe(table: dict[str, Any], source: str = "recipe") -> Recipe:
    """Check the values of a recipe that was read from `source`."""
    kind = table.get("kind")
    if kind is None:
        raise PresetError(f"{source}: missing key 'kind'; known: {', '.join(KINDS)}")
    if not isinstance(kind, str) or kind not in KINDS:
        raise PresetError(f"{source}: unknown kind {kind!r}{nearest(str(kind), KINDS)}")
    model = KINDS[kind].recipe
    try:
        return model.model_validate(table)
    except ValidationError as error:
        raise PresetError(f"{source}: {_explain(error.errors()[0], model)}") from None


def _explain(error: ErrorDetails, model: type[Recipe]) -> str:
    if error["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        *above, last = error["loc"]
        place = _place(above)
        key = ".".join([*place, str(last)])
        return f"unknown key {key!r}{nearest(str(last), _keys(place, model))}"
    key = ".".join(_place(error["loc"])) or "recipe"
    if error["type"] == "missing":
        return f"missing key {key!r}"
    said, got = error["msg"].removeprefix("Value error, "), error["input"]
    if error["type"] == "literal_error":
        said += nearest(str(got), error.get("ctx", {}).get("expected", "").split("'")[1::2])
    if not isinstance(got, dict):  # a whole table is no help
        said += f" (got {got!r})"
    return " ".join(f"{key}: {said}".split())


def _place(loc: Sequence[int | str]) -> list[str]:
    """The keys among the parts of an error's place: others are indices and names of types."""
    return [part for part in loc if isinstance(part, str) and part.isidentifier()]


def _keys(place: list[str], model: Any) -> list[str]:
    """The keys known in the table at `place`."""
    for part in place:
        annotation = _annotation(model, part)
        model = next((a for a in get_args(annotation) if a is not NoneType), annotation)
    return list(getattr(model, "model_fields", None) or model.__dataclass_fields__)


def _annotation(model: Any, name: str) -> Any:
    return model.model_fields[name].annotation


def build_task(recipe: Recipe, dataset: Dataset, folder: Path) -> Task:
    """Gather the data and make the model, with first weights from `start` or from the seed."""
    cache = recipe.data.cache or folder.parent / "data"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(draw_seed(recipe.seed, "weights", 0))
        task = KINDS[recipe.kind].task(recipe, dataset, folder, cache)
    if recipe.start is not None:
        _load_start(task, recipe.start)
    return task


def _load_start(task: Task, path: Path) -> None:
    try:
        task.model.load_state_dict(read_tensors(path)[0])
    except (OSError, SafetensorError) as error:
        raise PresetError(f"start: {path} cannot be read: {error}") from error
    except RuntimeError as error:
        raise PresetError(f"start: {path} holds weights of another model") from error
