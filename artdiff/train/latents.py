"""Latents of pictures, as the kinds that may learn from latents see them."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from artdiff.errors import PresetError
from artdiff.nn.unet_blocks import TorsoConfig
from artdiff.nn.unet_facts import Kind, ProcessFacts
from artdiff.train.autoencoder import load_codec
from artdiff.train.data import Dataset, dataset_key, prepare_latents
from artdiff.train.examples import training_indices
from artdiff.train.recipe import Recipe


class Latents:
    """Training and held-out latents of a recipe, in the place of `Examples`.

    Attributes:
        latents: float16 (held_out + count, C, h, w), memory-mapped.
        codec: twelve hex digits that name the codec's weights.

    Raises:
        PresetError: the codec's file is not there.
    """

    def __init__(self, codec: Path, recipe: Recipe, dataset: Dataset, cache: Path) -> None:
        if not codec.is_file():
            raise PresetError(f"classifier.codec: there is no file {codec}")
        self.recipe, self.key = recipe, dataset_key(dataset)
        self.codec = hashlib.sha256(codec.read_bytes()).hexdigest()[:12]
        self.latents = prepare_latents(load_codec(codec), self.codec, dataset, recipe.data, cache)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        _, channels, height, width = self.latents.shape
        return channels, height, width

    def batch(self, step: int, rows: range, device: torch.device) -> tuple[Tensor, None]:
        """Latents (n, C, h, w) of some rows of training step `step`, float32; no labels."""
        return self._take(training_indices(self.recipe, step, rows), device), None

    def held_out(self, rows: range, device: torch.device) -> tuple[Tensor, None]:
        """Latents of some held-out pictures."""
        return self._take(np.arange(rows.start, rows.stop), device), None

    def facts(self, kind: Kind, config: TorsoConfig, process: ProcessFacts) -> dict:
        """What goes with the weights of a network of these latents."""
        return {
            "kind": kind,
            "config": asdict(config),
            "process": asdict(process),
            "size": min(self.shape[1:]),
            "codec": self.codec,
            "dataset_key": self.key,
        }

    def _take(self, indices: np.ndarray, device: torch.device) -> Tensor:
        return torch.from_numpy(self.latents[indices]).float().to(device)
