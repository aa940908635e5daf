"""The guidance term: what a classifier says of the noisy sample itself."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, ClassVar, Literal

import torch
from pydantic import BaseModel, Field, field_validator
from torch import Tensor

from artdiff import (
    Level,
    ModelCard,
    Noise,
    NoisyClassifier,
    PresetError,
    Setup,
    helper,
    load_classifier,
)

from .target import Target, read_target


class ClassifierGuidance:
    r"""Leads to what a classifier of noisy samples takes for the wanted labels.

    .. math:: \ell(x) = -\sum_k w_k \log p(y_k \mid x)

    `artdiff.guide` takes the gradient with respect to the noisy sample x itself and moves x0 by
    :math:`\sigma^2 / \alpha` of it, which is

    .. math:: \hat\varepsilon = \varepsilon - \sqrt{1 - \bar\alpha}\, \nabla_x \log p(y \mid x)

    of Dhariwal & Nichol, "Diffusion Models Beat GANs on Image Synthesis", arXiv 2105.05233,
    Algorithm 2 (Eq. 14). With the weight 1 and an exact classifier the denoiser becomes that of
    p(x0 | y), by Bayes' rule; the weight s stands for :math:`p(y \mid x)^s`. The model is not
    differentiated.
    """

    sees: ClassVar[Literal["x0", "x"]] = "x"

    class Options(BaseModel, extra="forbid"):
        target: Target = Field(
            description="A label, by name or number; a list of labels; or a table of labels with "
            "weights, below 0 for what is not wanted. 'dusk|night' is either of two, 'time:night' "
            "the label of one head.",
        )
        classifier: str | None = Field(
            None,
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
            description="One of your models, by name; else the one that the model's card names.",
        )

        @field_validator("target", mode="before")
        @classmethod
        def _named(cls, target: Any) -> Any:
            if isinstance(target, bool | float):
                raise ValueError(
                    "write a label, such as 'night', its number, a list or a table of labels; a "
                    "table whose keys begin with digits is one of keyframes"
                )
            return target

    def __init__(self, options: Options, setup: Setup) -> None:
        self.card = helper(setup.model.card, "classifier", options.classifier)
        classifier = self._classifier(torch.device("cpu"))
        _check(classifier, self.card.name, setup)
        self.wanted = read_target(options.target, classifier.heads, self.card.name)

    def loss(self, x: Tensor, at: Level, noise: Noise) -> Tensor:
        """Of noisy samples x, (B, C, H, W), at a level: (B,), 0 or more."""
        logits = self._classifier(x.device)(x.float(), at).float()
        return torch.stack([wish.surprise(logits) for wish in self.wanted]).sum(0)

    def _classifier(self, device: torch.device) -> NoisyClassifier:
        return _read(str(self.card.folder), self.card.digest(), device)


@lru_cache(maxsize=4)
def _read(folder: str, digest: str, device: torch.device) -> NoisyClassifier:
    """Read a classifier once in a process, and again when its weights are others."""
    from pathlib import Path

    return load_classifier(ModelCard.read(Path(folder)), device, torch.float32)


def _check(classifier: NoisyClassifier, name: str, setup: Setup) -> None:
    """Refuse a classifier that cannot see this model's samples."""
    network, codec = classifier.facts.network, setup.model.codec
    if network.channels != codec.channels:
        what = "latents" if classifier.codec else "pictures"
        raise PresetError(
            f"classifier: {name!r} sees {what} of {network.channels} channels, and the samples of "
            f"model {setup.model.card.name!r} have {codec.channels}"
        )
    size = classifier.facts.size
    wanted, found = size * codec.factor, (setup.width, setup.height)
    if getattr(network, "pool", "") == "attention" and found != (wanted, wanted):
        raise PresetError(
            f"classifier: {name!r} sees pictures of {wanted}x{wanted} only, not "
            f"{found[0]}x{found[1]}; set width and height"
        )
