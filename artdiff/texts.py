"""Conditioning: mixes of texts, each text asked of the model once."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from artdiff.denoise import Conditioning
from artdiff.model import Conditioner
from artdiff.timeline import Mix


class Texts:
    """What a model's conditioner says of texts; it is asked once for each."""

    def __init__(self, conditioner: Conditioner) -> None:
        self.conditioner = conditioner
        self._known: dict[str, Conditioning] = {}

    def __call__(self, mixes: Sequence[Mix]) -> Conditioning:
        """The conditioning of each mix of texts: the weighted sum of the texts' own."""
        rows = []
        for mix in mixes:
            parts = [(self._text(text), weight) for text, weight in mix]
            rows.append(
                {
                    key: sum(
                        (cond[key] * weight for cond, weight in parts[1:]),
                        parts[0][0][key] * parts[0][1],
                    )
                    for key in parts[0][0]
                }
            )
        return {key: torch.cat([row[key] for row in rows]) for key in rows[0]}

    def _text(self, text: str) -> Conditioning:
        if text not in self._known:
            self._known[text] = self.conditioner([text])
        return self._known[text]
