"""Small stand-ins for what a render gives to plugins: a model, pictures, a score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from artdiff.denoise import Conditioning, GaussianDenoiser
from artdiff.guidance.setup import Setup
from artdiff.model import Model, ModelCard
from artdiff.noise import Flow
from artdiff.preset import Preset
from artdiff.random import Noise
from artdiff.timeline import FrameJob, Score, Start

__all__ = ["toy_pictures", "toy_score", "toy_setup"]


class _Identity:
    channels, factor = 3, 1

    def encode(self, images: Tensor) -> Tensor:
        return images

    def decode(self, latents: Tensor) -> Tensor:
        return latents


class _NoText:
    def __call__(self, texts: Any) -> Conditioning:
        return {"text": torch.zeros(len(texts), 1)}

    def unknown(self, text: str) -> list[str]:
        return []


def toy_setup(size: int = 32) -> Setup:
    """What the engine gives to guidance: here of an exact pixel model of grey pictures."""
    grey = GaussianDenoiser(torch.zeros(3, size, size), torch.full((3, size, size), 0.25))
    card = ModelCard("toy", "toy", Path())
    return Setup(Model(grey, Flow(), _Identity(), _NoText(), card), size, size)


def toy_pictures(
    count: int = 3, channels: int = 3, size: int = 32, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Smooth coloured pictures with a little noise, (count, channels, size, size) in [-1, 1]."""
    noise = Noise(range(count))
    coarse = noise.normal(torch.empty(count, channels, 4, 4, dtype=torch.double), "coarse")
    smooth = F.interpolate(coarse, (size, size), mode="bilinear")
    fine = noise.normal(torch.empty(count, channels, size, size, dtype=torch.double), "fine")
    return (0.5 * smooth + 0.05 * fine).tanh().to(dtype)


def toy_job(index: int, seed: int = 5) -> FrameJob:
    """The job of a frame of one prompt."""
    return FrameJob(index, seed, (("a fox", 1.0),), "", Start.at(seed))


def toy_score(count: int = 7) -> Score:
    """A score of `count` frames with two prompts that fade into each other."""
    prompts = {"0": "a fox in the snow", "100%": "the sea at night"}
    return Score(
        Preset.model_validate({"seed": 5, "prompts": prompts, "frames": {"count": count}})
    )
