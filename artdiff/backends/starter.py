"""The starter model, and any model of its kind that `artdiff train` made (hookimpls only)."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import TYPE_CHECKING

from artdiff.hookspecs import hookimpl
from artdiff.model import ModelCard

if TYPE_CHECKING:
    import torch

    from artdiff.model import Model

BACKEND = "latent-transformer"


@hookimpl
def register_models() -> Mapping[str, ModelCard]:
    return {"starter": ModelCard.read(files("artdiff").joinpath("starter"))}


@hookimpl
def load_model(card: ModelCard, device: torch.device, dtype: torch.dtype) -> Model | None:
    if card.backend != BACKEND:
        return None
    from artdiff.backends.latent_transformer import load

    return load(card, device, dtype)
