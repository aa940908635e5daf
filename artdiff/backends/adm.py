"""Pixel models with an ADM network, and all models of the user's own folder (hookimpls only)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from artdiff.hookspecs import hookimpl
from artdiff.model import ModelCard

if TYPE_CHECKING:
    import torch

    from artdiff.model import Model

BACKEND = "unet"
HELPERS = ("unet-classifier", "unet-superres", "enlarger")
"""Backends of networks that help a model and draw nothing by themselves."""


@hookimpl
def register_models() -> Mapping[str, ModelCard]:
    from artdiff.user_models import user_cards

    return {name: card for name, card in user_cards().items() if card.backend not in HELPERS}


@hookimpl
def load_model(card: ModelCard, device: torch.device, dtype: torch.dtype) -> Model | None:
    if card.backend != BACKEND:
        return None
    from artdiff.backends.unet import load

    return load(card, device, dtype)
