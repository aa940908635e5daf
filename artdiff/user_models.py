"""The user's own models: one folder each, in one place."""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from pathlib import Path

from artdiff.errors import ModelError, ModelWarning
from artdiff.model import ModelCard

VARIABLE = "ARTDIFF_MODELS"


def models_folder() -> Path:
    """Where the models lie: ``ARTDIFF_MODELS``, else the platform's folder for a user's data."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named).expanduser()
    from platformdirs import user_data_path

    return user_data_path("artdiff", appauthor=False) / "models"


def user_cards() -> dict[str, ModelCard]:
    """The cards of all models there, by the names of their folders.

    A folder whose card cannot be read is left out, with a `ModelWarning`.
    """
    cards = {}
    folder = models_folder()
    found = sorted(folder.glob("*/card.toml")) if folder.is_dir() else []
    for file in found:
        name = file.parent.name
        if name.startswith("."):
            continue
        try:
            cards[name] = replace(ModelCard.read(file.parent), name=name)
        except ModelError as error:
            warnings.warn(f"model {name!r} is left out: {error}", ModelWarning, stacklevel=2)
    return cards
