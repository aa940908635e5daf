"""Loads pixel models with an ADM network, and the networks that help them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from artdiff.denoise import (
    Conditioning,
    Denoiser,
    NetDenoiser,
    VarianceNetDenoiser,
    answering,
    denoiser_of,
)
from artdiff.errors import ModelError
from artdiff.model import Model, ModelCard
from artdiff.nn.labels import LabelConditioner
from artdiff.nn.unet_classifier import ClassifierUNet
from artdiff.nn.unet_facts import Kind, NetworkFacts
from artdiff.noise import DiscreteTable, Flow, Level
from artdiff.train.checkpoint import read_tensors
from artdiff.user_models import models_folder

WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class PixelCodec:
    """Latents that are the pictures themselves."""

    channels: int = 3
    factor: int = 1

    def encode(self, images: Tensor) -> Tensor:
        return images

    def decode(self, latents: Tensor) -> Tensor:
        return latents if latents.shape[1] == 3 else latents[:, :1].expand(-1, 3, -1, -1)


@dataclass(frozen=True, eq=False)
class NoisyClassifier:
    """A classifier that was trained on noisy pictures, or on noisy latents, at any level.

    Attributes:
        codec: twelve hex digits of the codec whose latents it sees; empty for pictures.
    """

    network: ClassifierUNet
    facts: NetworkFacts
    schedule: DiscreteTable
    codec: str = ""

    def __call__(self, x: Tensor, at: Level) -> Tensor:
        """Logits (B, classes) of noisy samples x (B, C, H, W) at a level; gradients flow."""
        norm = torch.hypot(at.alpha, at.sigma)
        native = Level(at.alpha / norm, at.sigma / norm)
        time = self.schedule.index(native) * self.facts.process.time_scale
        return self.network(x / norm, time.to(x).reshape(-1).expand(len(x)))

    @property
    def heads(self) -> Mapping[str, Mapping[str, int]]:
        """The number of each class by its head and name.

        Of a classifier with several heads, whose labels are ``head:name``, each head has logits of
        its own; of another one, all classes are of one head without a name.
        """
        labels = self.facts.labels or map(str, range(self.facts.network.classes or 0))
        heads: dict[str, dict[str, int]] = {}
        several = all(":" in label for label in self.facts.labels) and self.facts.labels
        for number, label in enumerate(labels):
            head, name = label.split(":", 1) if several else ("", label)
            heads.setdefault(head, {})[name] = number
        return heads


def load(card: ModelCard, device: torch.device, dtype: torch.dtype) -> Model:
    """Read a model whose weights lie in the card's folder.

    The torso computes in `dtype`, norms and embeddings in float32.

    :raises ModelError: a file is missing or damaged, the card's facts are wrong, or the network is
        a classifier or an upsampler.
    """
    return _model(card, "unet", device, dtype)


def load_superres(card: ModelCard, device: torch.device, dtype: torch.dtype) -> Model:
    """Read an upsampler: a model whose conditioning also needs ``low``, (B, C, h, w) in [-1, 1].

    An `Enlarger` may be told the noise and the blur of ``low``, too: ``told``, (B, 2).

    :raises ModelError: as `load` does.
    """
    if card.facts.get("kind") == "enlarger":
        return _enlarger(card, device, dtype)
    return _model(card, "superres", device, dtype)


def _enlarger(card: ModelCard, device: torch.device, dtype: torch.dtype) -> Model:
    _, network = _load(card, "enlarger", device, dtype)
    return Model(
        denoiser=lambda x, at, cond: network(x, at, cond["low"], cond.get("told")),
        schedule=Flow(),
        codec=PixelCodec(),
        conditioner=LabelConditioner(None),
        card=card,
    )


def load_classifier(card: ModelCard, device: torch.device, dtype: torch.dtype) -> NoisyClassifier:
    """Read a classifier.

    :raises ModelError: as `load` does.
    """
    facts, network = _load(card, "classifier", device, dtype)
    assert isinstance(network, ClassifierUNet)
    codec = str(card.facts.get("codec", ""))
    return NoisyClassifier(network, facts, facts.process.process().schedule, codec)


def helper(card: ModelCard, role: str, name: str | None = None) -> ModelCard:
    """The card of a model's ``classifier`` or ``upsampler``.

    It lies in the model's folder, beside it, or among the user's models.

    :param name: which one; None: the one that the model's card names.
    :raises ModelError: the model's card names none, it is not there, or it belongs to the latents
        of another codec than the model's.
    """
    name = card.facts.get(role) if name is None else name
    if not isinstance(name, str):
        raise ModelError(
            f"the card of model {card.name!r} names no {role}, facts.{role}; name one of your "
            f"models, such as {role} = 'my-{role}'"
        )
    own = Path(str(card.folder))
    places = [folder / name for folder in (own, own.parent, models_folder())]
    folder = next((place for place in places if (place / "card.toml").is_file()), None)
    if folder is None:
        raise ModelError(
            f"model {card.name!r} has the {role} {name!r}, which is not there: {places[1]}; "
            f"artdiff models add {name}.pt puts it there"
        )
    found, codec = ModelCard.read(folder), own / "codec.safetensors"
    wanted = found.facts.get("codec")
    if wanted and codec.is_file() and wanted != _name_of(codec):
        raise ModelError(
            f"{folder}: the {role} {name!r} was trained on latents of the codec {wanted}, and "
            f"model {card.name!r} has the codec {_name_of(codec)}; train it anew"
        )
    return found


def _name_of(codec: Path) -> str:
    """Twelve hex digits that name a codec's weights, as training writes them."""
    return hashlib.sha256(codec.read_bytes()).hexdigest()[:12]


def denoiser_of_network(network: nn.Module, facts: NetworkFacts) -> Denoiser:
    """A network of kind ``unet`` or ``superres`` as a denoiser, with the variance it has learned.

    Its conditioning may hold ``classes``, (B, classes), and ``low``. With ``process.clip`` the
    expected picture is kept in [-1, 1], where it must lie; gradients pass as if it were not.
    """
    process, table = facts.process, facts.process.process().schedule

    def run(x: Tensor, time: Tensor, cond: Conditioning) -> Tensor:
        low = (cond["low"],) if facts.kind == "superres" else ()
        return network(x, time, *low, cond.get("classes"))

    kind = VarianceNetDenoiser if process.variance == "learned-range" else NetDenoiser
    denoiser = kind(run, lambda at: table.index(at) * process.time_scale, process.target)
    if not process.clip:
        return denoiser
    ask = answering(denoiser)

    def clipped(x: Tensor, at: Level, cond: Conditioning) -> tuple[Tensor, Tensor | None]:
        x0, place = ask(x, at, cond)
        return x0.detach().clamp(-1, 1) + (x0 - x0.detach()), place

    return denoiser_of(clipped, denoiser)


def _model(card: ModelCard, kind: Kind, device: torch.device, dtype: torch.dtype) -> Model:
    facts, network = _load(card, kind, device, dtype)
    return Model(
        denoiser=denoiser_of_network(network, facts),
        schedule=facts.process.process().schedule,
        codec=PixelCodec(facts.network.channels),
        conditioner=LabelConditioner(facts.network.classes, facts.labels),
        card=card,
    )


def _load(
    card: ModelCard, kind: Kind, device: torch.device, dtype: torch.dtype
) -> tuple[NetworkFacts, nn.Module]:
    """Read facts and weights; the network is in evaluation mode and needs no gradients."""
    folder = Path(str(card.folder))
    facts = NetworkFacts.read(card.facts, str(folder / "card.toml"))
    if facts.kind != kind:
        raise ModelError(f"{folder}: is of kind {facts.kind!r}, not {kind!r}")
    torso: Any = str(dtype).removeprefix("torch.")
    file = folder / (card.weights[0] if card.weights else WEIGHTS)
    try:
        facts = replace(facts, network=replace(facts.network, torso=torso))
        tensors, _ = read_tensors(file)
        with torch.device("meta"):
            network: Any = facts.build()
        network.load_state_dict(tensors, strict=True, assign=True)
    except OSError as error:
        raise ModelError(f"{file}: the weights cannot be read: {error}") from error
    except SafetensorError as error:
        raise ModelError(f"{file}: the weights are damaged: {error}") from error
    except RuntimeError as error:
        said = " ".join(str(error).split())
        raise ModelError(f"{file}: the weights do not fit the card: {said[:200]}") from error
    network = network.to(device, torch.float32)
    network.cast()
    return facts, network.eval().requires_grad_(False)
