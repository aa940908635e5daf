"""A trained judge at work: what pictures show, and features of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel
from torch import Tensor
from torch.nn import functional as F

from artdiff.errors import ModelError
from artdiff.evaluation.encoder import scale
from artdiff.evaluation.features import Need
from artdiff.nn.judge import JudgeConfig, JudgeNet
from artdiff.train.checkpoint import read_tensors

__all__ = ["Judge"]


class Judge:
    """A judge that `artdiff train` made, as a feature extractor: pooled features and logits.

    Pooled features are the mean of the last stage over the picture, brought to mean 0 and variance
    1 among each other. Pictures of any size are
    scaled to the judge's, regardless of their shape.

    Attributes:
        heads: the names of the classes by trait; the logits lie in this order.
    """

    class Options(BaseModel, extra="forbid"):
        weights: Path

    gives: ClassVar[tuple[Need, ...]] = ("pooled", "logits")

    def __init__(self, options: Options) -> None:
        self.file = options.weights
        try:
            tensors, facts = read_tensors(self.file)
        except FileNotFoundError:
            raise ModelError(f"{self.file}: no such file; a judge's model.safetensors") from None
        except Exception as error:
            raise ModelError(f"{self.file}: cannot be read as weights: {error}") from error
        if facts.get("kind") != "judge":
            raise ModelError(f"{self.file}: not a judge; artdiff train starter-judge makes one")
        try:
            self.network, self.heads = _build(tensors, facts)
        except Exception as error:
            said = " ".join(str(error).split())[:200]
            raise ModelError(f"{self.file}: a damaged judge: {said}") from error

    def digest(self) -> str:
        """Names the file."""
        return hashlib.sha256(self.file.read_bytes()).hexdigest()[:16]

    def pictures(self, pictures: Tensor) -> Mapping[str, Tensor]:
        """Features of uint8 pictures (B, 3, H, W): pooled (B, D), logits (B, all classes)."""
        images = scale(pictures.float() / 127.5 - 1, self.network.config.size)
        found = self.network.features(images)
        pooled = found.mean((2, 3))
        pooled = F.layer_norm(pooled, pooled.shape[1:])
        return {"pooled": pooled, "logits": self.network.read(found)}

    def texts(self, texts: Sequence[str]) -> Tensor:
        """There are none."""
        raise ModelError("a judge knows no texts")

    def choices(self, logits: Tensor) -> list[dict[str, str]]:
        """The first choice of each head, for each row of logits (B, all classes)."""
        sizes = [len(names) for names in self.heads.values()]
        firsts = [part.argmax(1).tolist() for part in logits.split(sizes, 1)]
        names = [[known[i] for i in some] for known, some in zip(self.heads.values(), firsts,
                                                                 strict=True)]  # fmt: skip
        return [dict(zip(self.heads, row, strict=True)) for row in zip(*names, strict=True)]


def _build(
    tensors: dict[str, Tensor], facts: Mapping[str, Any]
) -> tuple[JudgeNet, dict[str, tuple[str, ...]]]:
    values: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in facts["config"].items()
    }
    network = JudgeNet(JudgeConfig(**values))
    network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    heads = {name: tuple(classes) for name, classes in facts["heads"].items()}
    if tuple(map(len, heads.values())) != network.config.classes:
        raise ValueError("heads and config do not fit")
    return network.eval().requires_grad_(False), heads
