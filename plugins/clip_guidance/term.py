"""CLIP guidance as a loss."""

from __future__ import annotations

import math
import warnings
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from artdiff import (
    Level,
    ModelError,
    Noise,
    PresetError,
    PromptWarning,
    Setup,
    TextImageEncoder,
    load_encoder,
)

from . import options as said
from .cuts import Cut, augmented, draw_cuts, take
from .parts import summed


def spherical(a: Tensor, b: Tensor) -> Tensor:
    r"""Half the square of the angle between unit vectors, over the last dimension.

    .. math:: d = 2 \arcsin^2\left(\frac{\lVert a - b \rVert}{2}\right) = \tfrac12 \angle(a, b)^2

    Crowson's "spherical distance loss" of CLIP guided diffusion and Disco Diffusion.
    """
    chord = (a - b).square().sum(-1).clamp(min=1e-12).sqrt()
    return 2 * torch.asin((chord / 2).clamp(max=1 - 1e-6)).square()


class ClipGuidance:
    r"""Leads pictures towards texts and pictures, as text-image encoders see them.

    .. math::
        \ell(x_0) = \sum_m \frac{w_m}{N} \sum_{n=1}^N
            \frac{\sum_i v_i\, d\bigl(E_m(C_n(\mathrm{decode}(x_0))), t_{m,i}\bigr)}
                 {\sum_i |v_i|}

    for encoders E of weight w, N random cuts C, targets t (texts and pictures) of weight v, and
    the spherical distance d. Crowson, "CLIP guided diffusion"; its descendant Disco Diffusion.
    """

    Options = said.Options
    per_frame: ClassVar[bool] = True

    def __init__(self, options: said.Options, setup: Setup) -> None:
        self.options, self.setup = options, setup
        texts = [(each.text, each.weight) for each in options.prompts]
        shown = [(setup.picture(each.file), each.weight) for each in options.image_prompts]
        if not texts and not shown and setup.job is not None:
            texts = [(text, weight) for text, weight in setup.job.prompts if text.strip()]
        size = sum(abs(weight) for _, weight in [*texts, *shown])
        if not size:
            raise PresetError(
                "clip has nothing to lead towards: set prompt, or prompts or image_prompts in "
                "its own table"
            )
        self.encoders: list[tuple[TextImageEncoder, float, Tensor]] = []
        with torch.inference_mode(False), torch.no_grad():
            self.weights = torch.tensor([weight / size for _, weight in [*texts, *shown]])
            for each in options.model:
                encoder = load_encoder(each.model, _weights(each, setup))
                _heard(encoder, [text for text, _ in texts], each.model)
                rows = [encoder.reading(text) for text, _ in texts]
                rows += [F.normalize(encoder.see(p)[0].float(), dim=0) for p, _ in shown]
                wanted = torch.stack([row.cpu() for row in rows])  # `see` may move the encoder
                self.encoders.append((encoder, each.weight, wanted))

    def loss(self, x0: Tensor, at: Level, noise: Noise) -> Tensor:
        """The weighted mean distance of cuts of x0, (B, C, h, w), to what is wanted: (B,)."""
        images, options = self.setup.decode(x0), self.options
        progress = 1 - float(at.fraction)
        total = images.flatten(1).sum(1) * 0
        for place, (encoder, weight, wanted) in enumerate(self.encoders):
            cuts = []
            for batch in range(options.cut_batches):
                stream = f"clip/{place}/{batch}"
                cuts += draw_cuts(options.cuts, progress, images.shape[2:], noise, stream)  # type: ignore[arg-type]
            if not cuts or not weight:
                continue

            def judge(
                images: Tensor,
                part: list[Cut],
                encoder: TextImageEncoder = encoder,
                wanted: Tensor = wanted,
                share: float = weight / len(cuts),
            ) -> Tensor:
                return share * self._judge(images, part, encoder, wanted, noise)

            step = options.at_once
            parts = [cuts[start : start + step] for start in range(0, len(cuts), step)]
            total = total + summed(images, judge, parts)
        return total

    def _judge(
        self,
        images: Tensor,
        cuts: list[Cut],
        encoder: TextImageEncoder,
        wanted: Tensor,
        noise: Noise,
    ) -> Tensor:
        """The sum over some cuts of their distances, (B,)."""
        seen = take(images, cuts, encoder.size)
        seen = augmented(seen, cuts, self.options.augment, noise)
        found = F.normalize(encoder.see(seen).to(images), dim=1)[:, None]
        targets = wanted.to(images).expand(len(found), -1, -1)
        if self.options.fuzz:
            like = targets.new_empty(len(images), *wanted.shape)
            drawn = torch.cat([noise.normal(like, f"{cut.name}/fuzz") for cut in cuts])
            moved = targets + self.options.fuzz * drawn / math.sqrt(wanted.shape[1])
            targets = F.normalize(moved, dim=2)
        distances = spherical(found, targets) @ self.weights.to(images)
        return distances.view(len(cuts), len(images)).sum(0)


def _weights(encoder: said.Encoder, setup: Setup) -> str:
    return str(setup.path(encoder.file)) if encoder.file else encoder.weights


def _heard(encoder: TextImageEncoder, texts: list[str], name: str) -> None:
    """Refuse texts of which an encoder knows no word: they would all mean the same to it."""
    strange: list[str] = []
    for text in texts:
        unknown = encoder.unknown(text)
        if len(unknown) == len(text.split()):
            raise ModelError(f"encoder {name!r} knows no word of {text!r}; say it in other words")
        strange += unknown
    if strange:
        words = ", ".join(dict.fromkeys(strange))
        warnings.warn(f"encoder {name!r} does not know: {words}", PromptWarning, stacklevel=2)
