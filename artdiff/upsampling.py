"""Enlarging pictures with a diffusion upsampler, of any size, window by window."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from artdiff.backends.unet import load_superres
from artdiff.denoise import bind
from artdiff.errors import ModelError, nearest
from artdiff.grid import levels
from artdiff.model import Model, ModelCard
from artdiff.noise import diffuse
from artdiff.random import Noise
from artdiff.sample import sample
from artdiff.samplers.dpmpp import DPMpp2M
from artdiff.tiles import Tiling, normal_by_place, tiled_denoiser
from artdiff.user_models import user_cards

__all__ = ["Upsampler", "open_upsampler", "upsampler_card"]

BACKENDS = ("enlarger", "unet-superres")
PUBLISHED = 4
"""The factor of upsamplers whose cards say none: all that were published have it."""


@dataclass(frozen=True)
class Upsampler:
    """A diffusion upsampler that is loaded.

    Attributes:
        model: its conditioning holds ``low`` and, of an `Enlarger`, ``told``.
        scale: how many times larger a side becomes.
        ratio: sigma / alpha of the noise that sampling starts from; infinite: pure noise.
        window: the largest side that the network should see, in pixels of the large picture.
    """

    model: Model
    scale: int
    ratio: float
    window: int

    @cached_property
    def multiple(self) -> int:
        """Sides of windows, in pixels of the large picture, are multiples of it."""
        return math.lcm(self.model.card.multiple, self.scale)

    @torch.inference_mode()
    def enlarge(
        self,
        low: Tensor,
        noise: Noise,
        *,
        steps: int = 4,
        window: int | None = None,
        overlap: int = 64,
        dirt: float = 0.0,
        blur: float = 0.0,
    ) -> Tensor:
        """Enlarge small pictures (B, 3, h, w) in [-1, 1] to (B, 3, h * scale, w * scale).

        The large picture is one sample: at every step its windows are denoised and averaged
        (`artdiff.tiles`). The noise of a pixel is named by its place, so that the left half of a
        picture is enlarged as the left half alone would be, but for what is near the cut.

        Args:
            low: small pictures, of any size.
            noise: of B seeds.
            steps: calls of the network for each window; 1 gives the expected picture, smoother.
            window: side of a window in pixels of the large picture; None: `Upsampler.window`.
            overlap: how far windows overlap.
            dirt: the standard deviation of noise on the small pictures, in [-1, 1] units, that the
                network is told of and takes away; only of an `Enlarger`.
            blur: the same for blur, in small pixels.

        Raises:
            ValueError: if a number does not suit.
        """
        height, width = (side * self.scale for side in low.shape[-2:])
        whole = [-(-side // self.multiple) * self.multiple for side in (height, width)]
        fill = (0, (whole[1] - width) // self.scale, 0, (whole[0] - height) // self.scale)
        low = F.pad(low, fill, mode="replicate")
        side = self.window if window is None else window
        tiling = Tiling(side, min(overlap, side - self.multiple), self.multiple)
        told = low.new_tensor([[dirt, blur]]).expand(len(low), 2)
        cond = {**self.model.conditioner([""] * len(low)), "low": low, "told": told}
        denoiser = tiled_denoiser(self.model.denoiser, tiling, {"low": self.scale})
        start = 1.0 if math.isinf(self.ratio) else self.ratio / (1 + self.ratio)
        walk = levels(self.model.schedule, steps, start=start)
        near = F.interpolate(low, scale_factor=self.scale, mode="bicubic", align_corners=False)
        x = diffuse(near, normal_by_place(noise, near, "upsampling"), walk[0])
        for step in sample(DPMpp2M(), bind(denoiser, cond), x, walk, noise):
            x = step.x
        return x[..., :height, :width].clamp(-1, 1)


def upsampler_card(name: str, shipped: Path | None = None) -> ModelCard:
    """The card of an upsampler: a folder that holds one, or its name among the user's models.

    :param shipped: a folder with more of them.
    :raises ModelError: there is none of that name, or it is another kind of model.
    """
    known = {card.name: card for card in user_cards().values() if card.backend in BACKENDS}
    for file in sorted(shipped.glob("*/card.toml")) if shipped and shipped.is_dir() else ():
        known.setdefault(file.parent.name, ModelCard.read(file.parent))
    if "/" in name or Path(name).is_dir():
        if not (Path(name) / "card.toml").is_file():
            raise ModelError(f"{name}: no card.toml there; `artdiff models add` makes one")
        known[name] = ModelCard.read(Path(name))
    if name not in known:
        none = "" if known else "; train one: artdiff train starter-upsampler"
        raise ModelError(f"no upsampler is called {name!r}{nearest(name, known)}{none}")
    if known[name].backend not in BACKENDS:
        raise ModelError(f"model {name!r} is no upsampler, but a {known[name].backend}")
    return known[name]


def open_upsampler(card: ModelCard) -> Upsampler:
    """Load an upsampler.

    :raises ModelError: as `load_superres` does.
    """
    model = load_superres(card, torch.device("cpu"), torch.float32)
    network = card.facts.get("network", {})
    if card.backend == "enlarger":
        return Upsampler(model, network.get("scale", 2), network.get("start", 1.0), 512)
    size = int(card.facts.get("size", 256))
    return Upsampler(model, int(card.facts.get("factor", PUBLISHED)), math.inf, size)
