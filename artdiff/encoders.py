"""Text-image encoders: any model of open_clip, frozen, for guidance, masks and evaluation."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from artdiff.errors import ModelError, nearest
from artdiff.openclip import import_open_clip

__all__ = ["STARTER", "TextImageEncoder", "load_encoder"]

STARTER = "starter"
"""The name of the encoder that ships with artdiff."""

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of the pictures that CLIP saw; Radford et al., arXiv 2103.00020, in their published code."""

GENERIC = ("object", "things", "stuff", "texture")
"""What a place may be beside what is sought; Kerr et al., arXiv 2303.09553, Section 3.3."""

WINDOWS = (0.5, 0.375, 0.25)
"""Sides of the windows of a relevance map, as shares of the picture's shorter side."""

CHUNK = 64
"""Windows that are looked at together."""


class TextImageEncoder:
    """A model that puts pictures and texts into one space; its weights do not change.

    Attributes:
        network: the model of open_clip.
        size: height and width of the pictures that it sees.
    """

    def __init__(self, network: Any, tokenizer: Any, name: str) -> None:
        self.network, self.tokenizer, self.name = network, tokenizer, name
        side = network.visual.image_size
        self.size: tuple[int, int] = (side, side) if isinstance(side, int) else tuple(side)
        mean = getattr(network.visual, "image_mean", None) or MEAN
        std = getattr(network.visual, "image_std", None) or STD
        self.mean, self.std = (torch.tensor(v).view(3, 1, 1) for v in (mean, std))
        self._known: dict[str, Tensor] = {}

    def see(self, images: Tensor) -> Tensor:
        """Embeddings (B, E) of images (B, 3, H, W) in [-1, 1], as they come; gradients flow.

        Images of another size are scaled to the model's, regardless of their shape.
        """
        if images.shape[-2:] != self.size:
            images = scaled(images, self.size).clamp(-1, 1)
        network = self._on(images)
        images = images.to(next(network.parameters()).dtype)
        mean, std = self.mean.to(images), self.std.to(images)
        return network.encode_image(((images + 1) / 2 - mean) / std)

    def read(self, texts: Sequence[str]) -> Tensor:
        """Embeddings (B, E) of texts, as they come from the network; no gradient."""
        ids = self.tokenizer(list(texts))
        with torch.inference_mode(False), torch.no_grad():
            return self.network.encode_text(ids.to(self._device()))

    def reading(self, text: str) -> Tensor:
        """The embedding of a text, (E,) of length 1, remembered."""
        if text not in self._known:
            with torch.inference_mode(False):  # what is remembered may meet a gradient later
                self._known[text] = F.normalize(self.read([text])[0].float(), dim=0)
        return self._known[text]

    def unknown(self, text: str) -> list[str]:
        """Words of a text that mean nothing to the model: all their pieces are empty.

        Encoders that artdiff trains empty the pieces that no caption had.
        """
        table = getattr(self.network, "token_embedding", None)
        if table is None:
            return []
        words = text.split()
        return [word for word in words if not table.weight[self._pieces(word)].any()]

    def relevance(self, picture: Tensor, text: str, generic: Sequence[str] = GENERIC) -> Tensor:
        r"""Where a picture shows what a text says: (B, 1, H, W) in [0, 1].

        Windows of several sizes slide over the picture; each is an image of its own to the
        encoder, so any architecture will do. For the window's embedding :math:`\phi`, the text's
        :math:`\phi_q` and the generic ones :math:`\phi_i`, with the model's own sharpness s:

        .. math::
            r = \min_i \frac{\exp(s\,\phi \cdot \phi_q)}
                {\exp(s\,\phi \cdot \phi_i) + \exp(s\,\phi \cdot \phi_q)}

        A place has the mean of the windows that cover it, which count more near their middle, and
        the mean over the sizes. The least relevant place of a picture is 0 and the most relevant
        one 1, so a text that the picture does not show gives a map of chance.

        Kerr et al., "LERF: Language Embedded Radiance Fields", arXiv 2303.09553, Section 3.3 and
        Figure 3, with windows in the place of rendered embeddings.

        Args:
            picture: (B, 3, H, W) in [-1, 1].
            text: what to look for.
            generic: what else a place may be.
        """
        with torch.inference_mode(False), torch.no_grad():
            picture = picture.detach().clone()
            sides = [self.reading(said) for said in (text, *generic)]
            maps = [self._scan(picture, share, torch.stack(sides)) for share in WINDOWS]
        whole = torch.stack(maps).mean(0)
        low, high = whole.amin((1, 2, 3), True), whole.amax((1, 2, 3), True)
        return (whole - low) / (high - low).clamp(min=1e-6)

    def digest(self) -> str:
        """Sixteen hex digits that name the weights themselves, wherever they came from."""
        sha = hashlib.sha256()
        for name, tensor in sorted(self.network.state_dict().items()):
            sha.update(name.encode())
            sha.update(tensor.cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
        return sha.hexdigest()[:16]

    def _scan(self, picture: Tensor, share: float, texts: Tensor) -> Tensor:
        """The relevance of places by windows of one size, (B, 1, H, W)."""
        batch, _, height, width = picture.shape
        side = max(1, round(share * min(height, width)))
        corners = [(top, left) for top in _stops(height, side) for left in _stops(width, side)]
        bell = torch.hann_window(side + 2, periodic=False)[1:-1]
        bell = (bell[:, None] * bell).to(picture)
        total = picture.new_zeros(batch, 1, height, width)
        weight = picture.new_zeros(1, 1, height, width)
        step = max(1, CHUNK // batch)
        for start in range(0, len(corners), step):
            some = corners[start : start + step]
            cuts = [picture[:, :, top : top + side, left : left + side] for top, left in some]
            seen = scaled(torch.cat(cuts), self.size).clamp(-1, 1)
            found = self._likeness(self.see(seen), texts).view(len(some), batch)
            for (top, left), values in zip(some, found, strict=True):
                place = (..., slice(top, top + side), slice(left, left + side))
                total[place] += values.view(-1, 1, 1, 1) * bell
                weight[place] += bell
        return total / weight

    def _likeness(self, embedded: Tensor, texts: Tensor) -> Tensor:
        """LERF's relevancy (n,) of embeddings (n, E): `texts` are what is sought, then generic."""
        scale = self.network.logit_scale.detach().exp()
        logits = scale * F.normalize(embedded.float(), dim=1) @ texts.mT
        return torch.sigmoid(logits[:, :1] - logits[:, 1:]).amin(1)

    def _pieces(self, word: str) -> Tensor:
        """The word pieces of a word, without the ends."""
        ids = self.tokenizer([word])[0]
        return ids[1 : int(ids.argmax())]

    def _device(self) -> torch.device:
        return next(self.network.parameters()).device

    def _on(self, images: Tensor) -> Any:
        """The network where the images are."""
        if self._device() != images.device:
            self.network.to(images.device)
            self._known.clear()
        return self.network


def scaled(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Images (B, C, H, W) at another size by bicubic interpolation, averaged where they shrink."""
    if images.shape[-2:] == size:
        return images
    return F.interpolate(images, size, mode="bicubic", align_corners=False, antialias=True)


def _stops(length: int, side: int) -> list[int]:
    """Where windows begin: evenly, a third of their side apart at most, from end to end."""
    count = 1 + -(-(length - side) * 3 // side)
    return [round(i * (length - side) / max(count - 1, 1)) for i in range(count)]


def load_encoder(model: str = STARTER, weights: str = "") -> TextImageEncoder:
    """Load a model of open_clip, or give the one that is loaded already.

    Files are read as safetensors, or as pickles of nothing but tensors (``weights_only``).

    Args:
        model: ``starter``, a name that open_clip knows, ``hf-hub:OWNER/NAME``, or
            ``local-dir:FOLDER`` as ``artdiff train`` writes it.
        weights: a weights file, or a tag that open_clip knows, such as openai.

    Raises:
        ModelError: open_clip is not installed, knows no such model, or cannot load it.
    """
    if model == STARTER:
        folder = Path(str(files("artdiff") / "starter" / "clip"))
        if not (folder / "open_clip_config.json").is_file():
            raise ModelError(f"the starter's encoder is missing: {folder}; reinstall artdiff")
        model = f"local-dir:{folder}"
    places = [Path(weights), Path(model.removeprefix("local-dir:")) / "open_clip_config.json"]
    seen = tuple(p.stat().st_mtime_ns for p in places if p.is_file())
    return _load(model, weights, seen)


@lru_cache(maxsize=8)
def _load(model: str, weights: str, seen: tuple[int, ...]) -> TextImageEncoder:
    """Load a model, once in a process while its files are the same."""
    library = import_open_clip()
    local, whole = Path(weights), model.startswith(("hf-hub:", "local-dir:"))
    if not whole and model not in library.list_models():
        near = nearest(model, library.list_models()) or "; try 'ViT-B-32'"
        raise ModelError(f"open_clip knows no model {model!r}{near}")
    if not weights and not whole:
        raise ModelError(f"open_clip's {model} needs weights; set weights to a file or a tag")
    if local.suffix and not local.is_file():
        raise ModelError(f"{weights}: no such file")
    try:
        with torch.inference_mode(False):
            network = library.create_model(
                model, pretrained=weights or None, require_pretrained=not whole, weights_only=True
            )
            tokenizer = library.get_tokenizer(model)
    except Exception as error:
        line = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise ModelError(f"open_clip cannot load {model} with {weights!r}: {line}") from error
    network.eval().requires_grad_(False)
    return TextImageEncoder(network, tokenizer, model)
