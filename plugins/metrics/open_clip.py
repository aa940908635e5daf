"""Any model of open_clip as a feature extractor."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic import BaseModel, Field
from torch import Tensor
from torch.nn import functional as F

from artdiff import ModelError, Need, import_open_clip

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


class OpenClip:
    """Any open_clip model: image embeddings, and those of the prompts in the same space.

    Pictures of any size are scaled to the model's, regardless of their shape.
    """

    class Options(BaseModel, extra="forbid"):
        model: str = Field(
            "ViT-B-32",
            description="A name that open_clip knows, hf-hub:OWNER/NAME, or local-dir:FOLDER as "
            "artdiff train writes it.",
        )
        weights: str = Field(
            "",
            description="A weights file, or a tag that open_clip knows, such as openai; a tag is "
            "taken from the Hugging Face cache, or downloaded if open_clip can.",
        )

    gives: ClassVar[tuple[Need, ...]] = ("pooled", "aligned")

    def __init__(self, options: Options) -> None:
        self.options, self.library = options, import_open_clip()
        name, weights = options.model, options.weights
        local, whole = Path(weights), name.startswith(("hf-hub:", "local-dir:"))
        if not whole and name not in self.library.list_models():
            raise ModelError(f"open_clip knows no model {name!r}; try -f model=ViT-B-32")
        if not weights and not whole:
            raise ModelError(f"open_clip's {name} needs weights: -f weights=FILE or a tag")
        if local.suffix and not local.is_file():
            raise ModelError(f"{weights}: no such file")
        try:
            self.network: Any = self.library.create_model(
                name, pretrained=weights or None, require_pretrained=not whole
            )
        except Exception as error:
            line = str(error).strip().splitlines()[0]
            raise ModelError(f"open_clip cannot load {name} with {weights!r}: {line}") from error
        self.network.eval().requires_grad_(False)
        self.tokenizer = self.library.get_tokenizer(name)

    def digest(self) -> str:
        """Names the weights themselves, wherever they came from."""
        sha = hashlib.sha256(self.options.model.encode())
        for name, tensor in sorted(self.network.state_dict().items()):
            sha.update(name.encode())
            sha.update(tensor.cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
        return sha.hexdigest()[:16]

    def pictures(self, pictures: Tensor) -> Mapping[str, Tensor]:
        """Embeddings (B, E) of uint8 pictures (B, 3, H, W), as they come from the network."""
        side = self.network.visual.image_size
        size = (side, side) if isinstance(side, int) else tuple(side)
        images = pictures.float() / 255
        if images.shape[-2:] != size:
            images = F.interpolate(
                images, size, mode="bicubic", align_corners=False, antialias=True
            ).clamp(0, 1)
        mean = getattr(self.network.visual, "image_mean", None) or MEAN
        std = getattr(self.network.visual, "image_std", None) or STD
        images = (images - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
        embedded = self.network.encode_image(images)
        return {"pooled": embedded, "aligned": embedded}

    def texts(self, texts: Sequence[str]) -> Tensor:
        """Embeddings (B, E) of prompts."""
        return self.network.encode_text(self.tokenizer(list(texts)))
