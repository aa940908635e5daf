"""Any model of open_clip as a feature extractor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import BaseModel, Field
from torch import Tensor

from artdiff import Need, load_encoder


class OpenClip:
    """Any open_clip model: image embeddings, and those of the prompts in the same space.

    Pictures of any size are scaled to the model's, regardless of their shape.
    """

    class Options(BaseModel, extra="forbid"):
        model: str = Field(
            "ViT-B-32",
            description="A name that open_clip knows, hf-hub:OWNER/NAME, local-dir:FOLDER as "
            "artdiff train writes it, or starter, the encoder that ships with artdiff.",
        )
        weights: str = Field(
            "",
            description="A weights file, or a tag that open_clip knows, such as openai; a tag is "
            "taken from the Hugging Face cache, or downloaded if open_clip can.",
        )

    gives: ClassVar[tuple[Need, ...]] = ("pooled", "aligned")

    def __init__(self, options: Options) -> None:
        self.encoder = load_encoder(options.model, options.weights)
        self.network = self.encoder.network

    def digest(self) -> str:
        """Names the weights themselves, wherever they came from."""
        return self.encoder.digest()

    def pictures(self, pictures: Tensor) -> Mapping[str, Tensor]:
        """Embeddings (B, E) of uint8 pictures (B, 3, H, W), as they come from the network."""
        embedded = self.encoder.see(pictures.float() / 127.5 - 1)
        return {"pooled": embedded, "aligned": embedded}

    def texts(self, texts: Sequence[str]) -> Tensor:
        """Embeddings (B, E) of prompts."""
        return self.encoder.read(texts)
