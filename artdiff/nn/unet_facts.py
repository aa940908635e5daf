"""What must be known of a pixel network beside its weights: its kind, its sizes, its process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, TypeAdapter, ValidationError
from torch import nn

from artdiff.denoise import Prediction
from artdiff.errors import ModelError, nearest
from artdiff.nn.enlarger import Enlarger, EnlargerConfig
from artdiff.nn.unet import UNet, UNetConfig
from artdiff.nn.unet_classifier import ClassifierConfig, ClassifierUNet
from artdiff.nn.unet_superres import SuperResUNet
from artdiff.process import Process

__all__ = ["KINDS", "Kind", "NetworkFacts", "ProcessFacts"]

Kind = Literal["unet", "classifier", "superres", "enlarger"]

KINDS: Mapping[str, tuple[type[nn.Module], type]] = {
    "unet": (UNet, UNetConfig),
    "classifier": (ClassifierUNet, ClassifierConfig),
    "superres": (SuperResUNet, UNetConfig),
    "enlarger": (Enlarger, EnlargerConfig),
}
"""The networks and their sizes by kind."""

LARGEST = 8192
"""Pixels on a side of the largest picture; a preset has the same limit."""

Steps = Annotated[int, Field(ge=2, le=100_000)]
Side = Annotated[int, Field(ge=1, le=LARGEST)]


@dataclass(frozen=True)
class ProcessFacts:
    """The process that a network was trained to undo; every field is JSON-able.

    Args:
        schedule: one of `artdiff.process.BETAS`.
        steps: the number N of trained steps, 2 or more.
        target: what the network outputs.
        variance: of the reverse step; ``learned-range`` where the network has learned it.
        rescale: whether the network is told t * 1000 / N rather than t.
        clip: whether expected pictures are kept in [-1, 1].
    """

    schedule: Literal["linear", "scaled-linear", "cosine", "sigmoid"] = "linear"
    steps: Steps = 1000
    target: Prediction = "epsilon"
    variance: Literal["small", "large", "learned-range"] = "small"
    rescale: bool = False
    clip: bool = True

    __pydantic_config__: ClassVar[dict] = {"extra": "forbid"}

    def process(self) -> Process:
        """The process of all trained steps.

        :raises ValueError: there are too few steps for the schedule.
        """
        return Process.named(self.schedule, self.steps)

    @property
    def time_scale(self) -> float:
        """What trained steps are multiplied by before the network is told."""
        return 1000 / self.steps if self.rescale else 1.0


@dataclass(frozen=True)
class NetworkFacts:
    """All that is known of a network; `read` takes it from a card or from a weights file.

    Args:
        kind: which network.
        network: its sizes.
        process: what it was trained for.
        size: pixels on a side of the pictures it was trained on.
        labels: names of its classes in their order; a card may name a list, such as ``imagenet``.
    """

    kind: Kind
    network: UNetConfig | ClassifierConfig | EnlargerConfig
    process: ProcessFacts = field(default_factory=ProcessFacts)
    size: int = 64
    labels: tuple[str, ...] = ()

    @classmethod
    def read(cls, values: Mapping[str, Any], where: str) -> NetworkFacts:
        """Check values that were read from somewhere; keys that are not fields are left alone.

        The sizes may stand under ``config``, where weights files of `artdiff train` have them.

        :raises ModelError: a value is wrong; the message begins with `where` and names the key.
        """
        kind = values.get("kind", "unet")
        if kind not in tuple(KINDS):  # it may be a list
            raise ModelError(f"{where}: kind {kind!r} is unknown{nearest(str(kind), KINDS)}")
        process = _check(ProcessFacts, values.get("process", {}), f"{where}: process")
        try:
            _ = process.process().schedule
        except ValueError as error:
            raise ModelError(f"{where}: process: {error}") from None
        size = _check(Side, values.get("size", 64), f"{where}: size")
        sizes = values.get("network", values.get("config", {}))
        if kind == "classifier" and isinstance(sizes, Mapping):
            sizes = {"size": size, **sizes}
        network = _check(KINDS[kind][1], sizes, f"{where}: network")
        size = _check(Side, getattr(network, "size", size), f"{where}: size")
        if size % network.factor:
            near = max(round(size / network.factor), 1) * network.factor
            raise ModelError(
                f"{where}: size: {size} is no multiple of {network.factor}, as this network "
                f"needs; the nearest is {near}"
            )
        labels = values.get("labels", ())
        if isinstance(labels, str):
            labels = label_list(labels, where)
        labels = _check(tuple[str, ...], labels, f"{where}: labels")
        if labels and len(labels) != (network.classes or 0):
            raise ModelError(
                f"{where}: labels: {len(labels)} names for {network.classes or 0} classes"
            )
        learned = getattr(network, "learned_variance", False)
        if kind != "classifier" and learned != (process.variance == "learned-range"):
            raise ModelError(
                f"{where}: network.learned_variance is {str(learned).lower()}, and "
                f"process.variance is {process.variance!r}"
            )
        return cls(kind, network, process, size, labels)

    def build(self) -> nn.Module:
        """The network, with weights by chance.

        :raises ModelError: its sizes do not go together.
        """
        kind: Any = KINDS[self.kind][0]
        try:
            return kind(self.network)
        except (ValueError, TypeError, ArithmeticError, RuntimeError) as error:
            said = " ".join(str(error).split())[:200]
            raise ModelError(f"network: cannot be built with such sizes: {said}") from error


def label_list(name: str, where: str) -> tuple[str, ...]:
    """The names of the classes of a data set, of ``published/NAME.txt``.

    :raises ModelError: there is no such list; the message begins with `where`.
    """
    folder = files("artdiff").joinpath("published")
    known = [f.name[:-4] for f in folder.iterdir() if f.name.endswith(".txt")]
    if name not in known:
        raise ModelError(f"{where}: labels: no list {name!r}{nearest(name, known)}")
    return tuple(folder.joinpath(f"{name}.txt").read_text("utf-8").splitlines())


_adapter = cache(TypeAdapter)


def _check(kind: Any, value: Any, where: str) -> Any:
    try:
        return _adapter(kind).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        at = f"{where}.{key}" if key else where
        if first["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            known = getattr(kind, "__dataclass_fields__", ())
            raise ModelError(f"{at}: unknown key{nearest(str(first['loc'][-1]), known)}") from None
        said = first["msg"].removeprefix("Value error, ")
        got = f" (got {first['input']!r})" if key or not isinstance(value, Mapping) else ""
        raise ModelError(f"{at}: {said}{got}") from None
