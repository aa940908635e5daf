"""Loads models of the starter's kind: a codec, a latent transformer and a vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from artdiff.denoise import Conditioning, NetDenoiser
from artdiff.errors import ModelError
from artdiff.model import Model, ModelCard
from artdiff.nn.codec import Codec
from artdiff.nn.latent_transformer import LatentTransformer
from artdiff.nn.narrow import fast_dtype, narrow
from artdiff.nn.text import Tokenizer
from artdiff.nn.told import LeapingDenoiser
from artdiff.noise import Flow
from artdiff.quality import Distilled
from artdiff.train.autoencoder import load_codec
from artdiff.train.denoiser import load_denoiser


@dataclass(frozen=True)
class StarterCodec:
    """The trained autoencoder as the engine knows codecs."""

    network: Codec

    @property
    def channels(self) -> int:
        return self.network.config.channels

    @property
    def factor(self) -> int:
        return self.network.config.factor

    def encode(self, images: Tensor) -> Tensor:
        return self.network.encode(images)

    def decode(self, latents: Tensor) -> Tensor:
        return self.network.decode(latents)


@dataclass(frozen=True)
class WordConditioner:
    """Texts to the denoiser's own text encoding."""

    network: LatentTransformer
    tokenizer: Tokenizer

    def __call__(self, texts: Sequence[str]) -> Conditioning:
        return self.network.encode_text(self.tokenizer(texts))

    def unknown(self, text: str) -> list[str]:
        return self.tokenizer.unknown(text)


def denoiser_file(card: ModelCard) -> str:
    """The file of the denoiser, of those that the card names: neither codec nor vocabulary."""
    others = [n for n in card.weights if n.endswith(".safetensors") and n != "codec.safetensors"]
    return others[0] if others else "denoiser.safetensors"


def _check_distilled(card: ModelCard, facts: object) -> None:
    """Refuse a card that says of its denoiser what that does not say itself.

    :raises ModelError: it does.
    """
    file = card.folder.joinpath(denoiser_file(card))
    taught = None if facts is None else Distilled.read(facts, f"{file}: distilled")
    said = card.distilled
    if taught is None or said is None:
        agree = taught is said or (taught is not None and taught.plain)
    else:
        agree = said.of(taught)
    if not agree:
        card_file = card.folder.joinpath("card.toml")
        raise ModelError(f"{card_file}: distilled: the weights {file.name} say {facts}")


def load(card: ModelCard, device: torch.device, dtype: torch.dtype) -> Model:
    """Read the weights that lie in the card's folder.

    A card that is `fast` has its large products computed in `fast_dtype`, and its decoder.

    :raises ModelError: a file is missing or damaged, or codec and denoiser do not belong
        together.
    """
    folder = Path(str(card.folder))
    try:
        codec = load_codec(folder / "codec.safetensors")
        denoiser, tokenizer, facts = load_denoiser(folder / denoiser_file(card))
    except ModelError:
        raise
    except OSError as error:
        raise ModelError(
            f"{folder}: the weights of model {card.name!r} cannot be read: {error}"
        ) from error
    except Exception as error:
        raise ModelError(f"{folder}: the weights of {card.name!r} are damaged: {error}") from error
    if codec.config.channels != denoiser.config.channels:
        raise ModelError(
            f"{folder}: codec and denoiser do not belong together: latents of "
            f"{codec.config.channels} channels and of {denoiser.config.channels}"
        )
    if len(tokenizer) > denoiser.config.vocabulary:
        raise ModelError(
            f"{folder}: vocabulary.txt has {len(tokenizer)} ids, the denoiser knows "
            f"{denoiser.config.vocabulary}"
        )
    _check_distilled(card, facts.get("distilled"))
    codec, denoiser = codec.to(device, dtype), denoiser.to(device, dtype)
    if card.fast and dtype == torch.float32:
        narrow(denoiser, fast_dtype(device))
        codec.decoder.to(fast_dtype(device))
    kind = LeapingDenoiser if card.distilled and card.distilled.steps else NetDenoiser
    return Model(
        denoiser=kind(denoiser, lambda at: at.sigma, "flow", "flow"),
        schedule=Flow(),
        codec=StarterCodec(codec),
        conditioner=WordConditioner(denoiser, tokenizer),
        card=card,
    )
