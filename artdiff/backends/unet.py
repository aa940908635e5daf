"""Loads pixel models with an ADM network, and the networks that help them."""

from __future__ import annotations

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
from artdiff.noise import DiscreteTable, Level
from artdiff.train.checkpoint import read_tensors

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
    """A classifier that was trained on noisy pictures, at any level."""

    network: ClassifierUNet
    facts: NetworkFacts
    schedule: DiscreteTable

    def __call__(self, x: Tensor, at: Level) -> Tensor:
        """Logits (B, classes) of noisy pictures x (B, C, H, W) at a level; gradients flow."""
        norm = torch.hypot(at.alpha, at.sigma)
        native = Level(at.alpha / norm, at.sigma / norm)
        time = self.schedule.index(native) * self.facts.process.time_scale
        return self.network(x / norm, time.to(x).reshape(-1).expand(len(x)))


def load(card: ModelCard, device: torch.device, dtype: torch.dtype) -> Model:
    """Read a model whose weights lie in the card's folder.

    The torso computes in `dtype`, norms and embeddings in float32.

    :raises ModelError: a file is missing or damaged, the card's facts are wrong, or the network is
        a classifier or an upsampler.
    """
    return _model(card, "unet", device, dtype)


def load_superres(card: ModelCard, device: torch.device, dtype: torch.dtype) -> Model:
    """Read an upsampler: a model whose conditioning also needs ``low``, (B, C, h, w) in [-1, 1].

    :raises ModelError: as `load` does.
    """
    return _model(card, "superres", device, dtype)


def load_classifier(card: ModelCard, device: torch.device, dtype: torch.dtype) -> NoisyClassifier:
    """Read a classifier.

    :raises ModelError: as `load` does.
    """
    facts, network = _load(card, "classifier", device, dtype)
    assert isinstance(network, ClassifierUNet)
    return NoisyClassifier(network, facts, facts.process.process().schedule)


def helper(card: ModelCard, role: str) -> ModelCard:
    """The card of a model's ``classifier`` or ``upsampler``, which lies beside its folder.

    :raises ModelError: the model's card names none, or it is not there.
    """
    name = card.facts.get(role)
    if not isinstance(name, str):
        raise ModelError(f"the card of model {card.name!r} names no {role}, facts.{role}")
    folder = Path(str(card.folder)).parent / name
    if not (folder / "card.toml").is_file():
        raise ModelError(
            f"model {card.name!r} has the {role} {name!r}, which is not there: {folder}; "
            f"artdiff models add {name}.pt puts it there"
        )
    return ModelCard.read(folder)


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
