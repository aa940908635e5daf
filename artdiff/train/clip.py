"""Training a small text-image encoder that open_clip loads as one of its own."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from artdiff.errors import PresetError
from artdiff.film.sheet import contact_sheet
from artdiff.openclip import import_open_clip
from artdiff.train.checkpoint import read_tensors, write_tensors
from artdiff.train.data import Dataset, dataset_key, picture_size, prepare, to_images
from artdiff.train.draws import batch_indices
from artdiff.train.recipe import Count, Part, Recipe
from artdiff.train.stored import halved
from artdiff.train.task import Task

CHUNK = 64
SHARPEST = math.log(100)
"""The largest logit scale, as in Radford et al., arXiv 2103.00020, Section 2.5."""


class VisionConfig(Part):
    """The image side: a vision transformer."""

    patch: Count = Field(default=16, description="pixels on a side of a patch")
    width: Count = 192
    layers: Count = 6
    head_width: Count = 64

    @model_validator(mode="after")
    def _heads(self) -> Self:
        if self.width % self.head_width:
            raise ValueError(f"width must be a multiple of head_width, {self.head_width}")
        return self


class TextConfig(Part):
    """The text side: a transformer over the 49,408 word pieces of open_clip's own tokenizer."""

    length: Count = Field(default=32, description="word pieces of a caption, both ends included")
    width: Count = 128
    layers: Count = 4
    heads: Count = 4

    @model_validator(mode="after")
    def _heads(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads, {self.heads}")
        return self


class ClipTable(Part):
    """What is particular to training a text-image encoder."""

    free = ("validation",)
    embed: Count = Field(default=256, description="numbers that a picture or a text becomes")
    vision: VisionConfig = VisionConfig()
    text: TextConfig = TextConfig()
    loss: Literal["clip", "siglip"] = Field(
        default="clip", description="softmax over the batch, or a sigmoid for each pair"
    )
    validation: Count = Field(default=256, description="held-out pairs to tell apart")


class ClipRecipe(Recipe):
    """Training a text-image encoder."""

    kind: Literal["clip"] = "clip"
    clip: ClipTable = ClipTable()

    @model_validator(mode="after")
    def _pairs(self) -> Self:
        if self.batch < 2:
            raise ValueError("batch: a text-image encoder needs other pairs to tell apart")
        if self.data.flip:
            raise ValueError("data.flip: captions may say left and right")
        return self


class ClipTask(Task):
    """The encoder, its training steps and its validation."""

    def __init__(self, recipe: Recipe, dataset: Dataset, folder: Path, cache: Path) -> None:
        assert isinstance(recipe, ClipRecipe)
        self.recipe, self.part, self.dataset = recipe, recipe.clip, dataset
        open_clip = import_open_clip()
        data = recipe.data
        count = data.held_out + data.count
        self.config = _model_config(self.part, picture_size(dataset, count, data.size))
        self.pictures = prepare(dataset, count, cache, data.workers, data.size)
        settings = dict(self.config)
        self.model: nn.Module = open_clip.CLIP(**settings, output_dict=False)
        self.tokenizer = open_clip.SimpleTokenizer(context_length=self.part.text.length)
        self.seen = torch.zeros(self.config["text_cfg"]["vocab_size"], dtype=torch.bool)

    def loss(self, step: int, rows: range) -> tuple[Tensor, dict[str, Tensor]]:
        r"""The contrastive loss of the whole batch, with gradient through `rows` only.

        Every pair is told apart from the whole batch, also where the batch is worked through in
        parts: the features of the other rows are computed without gradient, and the gradients of
        all parts add up to that of the whole. There are no notes.
        """
        recipe, device, batch = self.recipe, self.device, self.recipe.batch
        indices = batch_indices(recipe.seed, step, batch, recipe.data.count)
        indices = indices + recipe.data.held_out
        ids = self.tokenizer([self.dataset.caption(index, step) for index in indices.tolist()])
        self.seen[ids.unique()] = True
        features = []
        for part in _parts(rows, batch):
            with torch.set_grad_enabled(part == rows):
                mine = slice(part.start, part.stop)
                images = self._images(indices[mine]).to(device)
                features.append(self._encode(self.model, images, ids[mine].to(device)))
        images, texts = (torch.cat(side) for side in zip(*features, strict=True))
        share = len(rows) / batch
        scale, bias = self._sharpness(self.model)
        scale, bias = (_share(part, share) for part in (scale, bias))
        loss = contrastive_loss(images, texts, scale, bias)
        return _share(loss, 1 / share), {}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Loss, and how often a held-out pair finds itself among all of them, both ways.

        ``retrieval/text`` is the share of pictures whose nearest caption is their own (or worded
        the same), ``retrieval/picture`` that of captions whose nearest picture is their own.
        """
        count = min(self.part.validation, self.recipe.data.held_out)
        images, texts = self._held_out(model, count)
        scale, bias = self._sharpness(model)
        captions = np.array([self.dataset.caption(row, 0) for row in range(count)])
        nearness = (images @ texts.mT).cpu().numpy()
        return {
            "loss": contrastive_loss(images, texts, scale, bias).item(),
            "retrieval/text": float((captions[nearness.argmax(1)] == captions).mean()),
            "retrieval/picture": float((captions[nearness.argmax(0)] == captions).mean()),
        }

    def sheet(self, model: nn.Module, path: Path) -> None:
        """Draw the four pictures that are nearest to each of six held-out captions."""
        count = min(self.part.validation, self.recipe.data.held_out)
        images, texts = self._held_out(model, count)
        pictures, labels = [], []
        for row in range(min(6, count)):
            nearest = (images @ texts[row]).topk(min(4, count)).indices.tolist()
            pictures += [self.pictures[index] for index in nearest]
            labels += [self.dataset.caption(row, 0), *[""] * (len(nearest) - 1)]
        contact_sheet(pictures, columns=min(4, count), labels=labels).save(path)

    def state(self) -> dict[str, Tensor]:
        """Which word pieces captions have had."""
        return {"seen": self.seen}

    @torch.no_grad()
    def finish(self, model: nn.Module) -> dict:
        """Empty the word pieces that no caption had; the facts that go with the file."""
        embedding: Any = model.token_embedding
        embedding.weight[~self.seen.to(embedding.weight.device)] = 0
        scale: Any = model.logit_scale
        scale.clamp_(max=SHARPEST)
        return {
            "kind": "clip",
            "config": self.config,
            "words": int(self.seen.sum()),
            "dataset_key": dataset_key(self.dataset),
        }

    def export(self, weights: Path) -> None:
        """Write ``open_clip_config.json`` and ``open_clip_model.safetensors`` beside the weights.

        ``open_clip.create_model_and_transforms("local-dir:FOLDER")`` loads them. It knows no
        weights in 8 bits: they are written in 16.
        """
        preprocess = {
            "mean": [0.5] * 3,
            "std": [0.5] * 3,
            "interpolation": "bicubic",
            "resize_mode": "shortest",
        }
        config = {"model_cfg": self.config, "preprocess_cfg": preprocess}
        path = weights.with_name("open_clip_config.json")
        temporary = path.with_name(f"{path.name}.part")
        temporary.write_text(json.dumps(config, indent=2) + "\n", "utf-8")
        os.replace(temporary, path)
        tensors, facts = read_tensors(weights)
        write_tensors(weights.with_name("open_clip_model.safetensors"), halved(tensors), facts)

    def _images(self, indices: np.ndarray) -> Tensor:
        return to_images(self.pictures[indices])

    @staticmethod
    def _encode(model: Any, images: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Features of length 1 of images and of texts, (B, embed) float32 each."""
        sides = model.encode_image(images), model.encode_text(ids)
        return F.normalize(sides[0].float(), dim=1), F.normalize(sides[1].float(), dim=1)

    def _held_out(self, model: nn.Module, count: int) -> tuple[Tensor, Tensor]:
        """Features of the first held-out pairs, each captioned by its first wording."""
        features = []
        for part in _chunks(range(count)):
            ids = self.tokenizer([self.dataset.caption(row, 0) for row in part])
            images = self._images(np.array(part)).to(self.device)
            features.append(self._encode(model, images, ids.to(self.device)))
        images, texts = (torch.cat(side) for side in zip(*features, strict=True))
        return images, texts

    @staticmethod
    def _sharpness(model: Any) -> tuple[Tensor, Tensor | None]:
        return model.logit_scale.clamp(max=SHARPEST).exp(), model.logit_bias


def contrastive_loss(images: Tensor, texts: Tensor, scale: Tensor, bias: Tensor | None) -> Tensor:
    r"""Tell pairs apart: the softmax loss of CLIP, or with a bias the sigmoid loss of SigLIP.

    With :math:`z_{ij} = s\, u_i \cdot v_j + b` for pictures u and texts v of length 1:

    .. math::
        \text{clip:}\ -\frac{1}{2N} \sum_i \left(\log \frac{e^{z_{ii}}}{\sum_j e^{z_{ij}}}
            + \log \frac{e^{z_{ii}}}{\sum_j e^{z_{ji}}}\right) \qquad
        \text{siglip:}\ \frac{1}{N} \sum_{ij} \log\left(1 + e^{\mp z_{ij}}\right)

    the sign minus for the pair itself. Radford et al., arXiv 2103.00020, Figure 3; Zhai et al.,
    arXiv 2303.15343, Eq. 1 (Algorithm 1).

    Args:
        images: u, (N, D).
        texts: v, (N, D).
        scale: s, 0-dim.
        bias: b, 0-dim, or None for the softmax loss.
    """
    logits = scale * images @ texts.mT
    if bias is None:
        own = torch.arange(len(logits), device=logits.device)
        return (F.cross_entropy(logits, own) + F.cross_entropy(logits.mT, own)) / 2
    signs = 2 * torch.eye(len(logits), device=logits.device) - 1
    return -F.logsigmoid(signs * (logits + bias)).sum() / len(logits)


def _share(value: Any, share: float) -> Any:
    """The same value with `share` times its gradient; None stays None."""
    if value is None or share == 1:
        return value
    return value.detach() + share * (value - value.detach())


def _parts(rows: range, batch: int) -> list[range]:
    """The batch in order: what comes before `rows`, the rows, what comes after."""
    parts = [*_chunks(range(rows.start)), rows, *_chunks(range(rows.stop, batch))]
    return [part for part in parts if len(part)]


def _chunks(rows: range) -> list[range]:
    return [rows[at : at + CHUNK] for at in range(0, len(rows), CHUNK)]


def _model_config(part: ClipTable, size: tuple[int, int]) -> dict[str, Any]:
    """What open_clip calls ``model_cfg``."""
    height, width = size
    if height != width:
        raise PresetError(f"data.size: the encoder sees squares, not {width}x{height}")
    if height % part.vision.patch:
        raise PresetError(
            f"clip.vision.patch: pictures of {height} are no multiple of {part.vision.patch}"
        )
    config: dict[str, Any] = {
        "embed_dim": part.embed,
        "vision_cfg": {
            "image_size": height,
            "patch_size": part.vision.patch,
            "width": part.vision.width,
            "layers": part.vision.layers,
            "head_width": part.vision.head_width,
        },
        "text_cfg": {
            "context_length": part.text.length,
            "vocab_size": 49408,
            "width": part.text.width,
            "heads": part.text.heads,
            "layers": part.text.layers,
        },
    }
    if part.loss == "siglip":
        config |= {"init_logit_scale": math.log(10), "init_logit_bias": -10.0}
    return config
