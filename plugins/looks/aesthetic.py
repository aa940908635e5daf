"""A linear judge of embeddings."""

from __future__ import annotations

from pathlib import Path

import torch
from pydantic import BaseModel, Field
from torch import Tensor
from torch.nn import functional as F

from artdiff import File, Level, ModelError, Noise, Setup, load_encoder, read_weights


class Aesthetic:
    r"""Leads pictures to a higher score by a linear head over an encoder's embeddings.

    .. math:: \ell(x_0) = -\left(w \cdot \frac{E(I)}{\lVert E(I) \rVert} + b\right)

    Any linear head will do: LAION's aesthetic predictors for CLIP ViT-B/32 and ViT-L/14
    (``sa_0_4_vit_b_32_linear.pth``), or one of your own for the starter's encoder.
    """

    class Options(BaseModel, extra="forbid"):
        head: File = Field(
            min_length=1,
            description="A file with weight (1, E) or (E,), and bias if it has one: safetensors, "
            "or a pickle of nothing but tensors.",
        )
        model: str = Field(
            "starter", description="The encoder that the head belongs to, as in the term clip."
        )
        weights: str = Field("", description="A tag that open_clip knows, such as openai.")
        file: File = Field("", description="A weights file of the encoder instead.")

    def __init__(self, options: Options, setup: Setup) -> None:
        weights = str(setup.path(options.file)) if options.file else options.weights
        self.setup, self.encoder = setup, load_encoder(options.model, weights)
        self.weight, self.bias = _head(setup.path(options.head))
        with torch.no_grad():
            width = self.encoder.see(torch.zeros(1, 3, *self.encoder.size)).shape[1]
        if len(self.weight) != width:
            raise ModelError(
                f"{options.head}: a head of {len(self.weight)} numbers; the encoder "
                f"{options.model!r} gives {width}"
            )

    def loss(self, x0: Tensor, at: Level, noise: Noise) -> Tensor:
        """The negative score, (B,)."""
        images = self.setup.decode(x0)
        found = F.normalize(self.encoder.see(images).to(images), dim=1)
        return -(found @ self.weight.to(found) + self.bias)


def _head(path: Path) -> tuple[Tensor, float]:
    """The weights (E,) and the bias of a linear head."""
    tensors, _ = read_weights(path)
    weights = [t.float().flatten() for name, t in tensors.items() if name.endswith("weight")]
    biases = [t.float().flatten() for name, t in tensors.items() if name.endswith("bias")]
    if len(weights) != 1 or len(biases) > 1 or any(len(bias) != 1 for bias in biases):
        raise ModelError(f"{path}: no linear head; it has {', '.join(sorted(tensors))}")
    return weights[0].clone(), float(biases[0]) if biases else 0.0
