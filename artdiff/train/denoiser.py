"""Training the starter model's denoiser on latents and freshly worded captions."""

from __future__ import annotations

import hashlib
import os
import shutil
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from artdiff.denoise import NetDenoiser, bind
from artdiff.errors import ModelError, PresetError
from artdiff.film.sheet import contact_sheet
from artdiff.grid import levels
from artdiff.guiders import cfg
from artdiff.nn.latent_transformer import LatentTransformer, LatentTransformerConfig
from artdiff.nn.text import UNKNOWN, Tokenizer
from artdiff.noise import Flow
from artdiff.random import Noise
from artdiff.sample import sample
from artdiff.samplers import DPMpp2M
from artdiff.train.autoencoder import load_codec
from artdiff.train.checkpoint import read_tensors
from artdiff.train.data import Dataset, dataset_key, prepare_latents, to_pictures, weights_of
from artdiff.train.draws import batch_indices, numpy_draws, torch_draws, weighted_indices
from artdiff.train.focus import HasSubject, focus_weights
from artdiff.train.losses import add_noise, flow_loss, training_times
from artdiff.train.recipe import Count, Part, Positive, Recipe, Share
from artdiff.train.task import Task


class DenoiserTable(Part):
    """What is particular to training a denoiser."""

    free = ("often", "focus", "time_mean", "time_std", "compile",
            "validation", "prompts", "guidance", "sheet_steps")  # fmt: skip
    codec: Path = Field(description="model.safetensors of the trained codec")
    model: LatentTransformerConfig = LatentTransformerConfig()
    often: dict[str, dict[str, Positive]] = Field(
        default={}, description="how often pictures are taken by an attribute, where it is not 1"
    )
    focus: Positive = Field(
        default=1.0, description="how much more the error counts where a picture's subject stands"
    )
    empty: Share = Field(default=0.1, description="share of captions that are left empty")
    unknown: Share = Field(default=0.03, description="share of words replaced by the unknown word")
    time_mean: float = Field(
        default=0.3, description="of the logit of training times; 1 sees more noise, 0 the middle"
    )
    time_std: Positive = Field(default=1.0, description="of the logit of training times")
    compile: bool = Field(
        default=False, description="compile the loss: a minute or more at first, then faster steps"
    )
    validation: Count = Field(default=256, description="held-out pictures in a validation")
    prompts: list[str] = Field(default=[], description="what the sample sheets show")
    guidance: Positive = 4.0
    sheet_steps: Count = 12


class DenoiserRecipe(Recipe):
    """Training a denoiser."""

    kind: Literal["denoiser"] = "denoiser"
    denoiser: DenoiserTable


class DenoiserTask(Task):
    """The denoiser, its training steps, its validation and its sample sheets."""

    def __init__(self, recipe: Recipe, dataset: Dataset, folder: Path, cache: Path) -> None:
        assert isinstance(recipe, DenoiserRecipe)
        self.recipe, self.dataset = recipe, dataset
        self.part = recipe.denoiser
        if self.part.focus != 1 and not isinstance(dataset, HasSubject):
            raise PresetError(
                f"denoiser.focus: the dataset {recipe.data.dataset!r} does not say where subjects "
                "stand; leave it out"
            )
        self._teach = self._compiled() if self.part.compile else self._losses
        self.tokenizer = _vocabulary(dataset, folder, recipe.start, self.part.model)
        self.model: nn.Module = LatentTransformer(self.part.model)
        if not self.part.codec.exists():
            raise PresetError(f"denoiser.codec: there is no file {self.part.codec}")
        self.codec_hash = hashlib.sha256(self.part.codec.read_bytes()).hexdigest()[:12]
        self.codec = load_codec(self.part.codec)
        if self.codec.config.channels != self.part.model.channels:
            raise PresetError(
                f"denoiser.model.channels: the codec has latents of {self.codec.config.channels} "
                f"channels, not {self.part.model.channels}"
            )
        self.latents = prepare_latents(self.codec, self.codec_hash, dataset, recipe.data, cache)
        rows = range(recipe.data.held_out, recipe.data.held_out + recipe.data.count)
        often = self.part.often
        self.weights = weights_of(dataset, rows, often, "denoiser.often") if often else None

    def begin(self, folder: Path) -> None:
        """Write the vocabulary."""
        self.tokenizer.save(folder / "vocabulary.txt")

    def _compiled(self) -> Callable[..., Tensor]:
        names = [os.environ.get("CXX", "g++"), "clang++", "c++"]
        if not any(map(shutil.which, names)):
            raise PresetError("denoiser.compile: there is no C++ compiler such as g++ here")
        warnings.filterwarnings("ignore", "Dynamo detected a call to a `functools.lru_cache`")
        return torch.compile(self._losses)

    def ids(self, rows: list[int], step: int) -> Tensor:
        """Word ids (B, L) of freshly worded captions; some empty, some words made unknown."""
        draws = numpy_draws(self.recipe.seed, "words", step)
        captions = [self.dataset.caption(row, step) for row in rows]
        ids = self.tokenizer(captions)
        lost = torch.from_numpy(draws.random(ids.shape) < self.part.unknown)
        ids = torch.where(lost & (ids > UNKNOWN), UNKNOWN, ids)
        empty = torch.from_numpy(draws.random((len(rows), 1)) < self.part.empty)
        return torch.where(empty, self.tokenizer([""]), ids)

    def loss(self, step: int, rows: range) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean square error of the flow; it has no notes."""
        recipe, device, mine = self.recipe, self.device, slice(rows.start, rows.stop)
        if self.weights is None:
            indices = batch_indices(recipe.seed, step, recipe.batch, recipe.data.count)
        else:
            indices = weighted_indices(recipe.seed, step, recipe.batch, self.weights)
        indices = indices + recipe.data.held_out
        ids = self.ids(indices.tolist(), step)[mine].to(device)
        x0 = torch.from_numpy(self.latents[indices[mine]]).float().to(device)
        draws = torch_draws(recipe.seed, "noise", step)
        t = training_times(len(indices), draws, self.part.time_mean, self.part.time_std)
        t = t[mine].to(device)
        eps = torch.randn(len(indices), *x0.shape[1:], generator=draws)[mine].to(device)
        weights = self._focus(indices[mine])
        return self._teach(self.model, x0, eps, t, ids, weights).mean(), {}

    def _focus(self, indices: np.ndarray) -> Tensor | None:
        """Weights of the error at every place of some pictures; None where all count alike."""
        if self.part.focus == 1 or not isinstance(self.dataset, HasSubject):
            return None
        boxes = (self.dataset.subject(index) for index in indices.tolist())
        _, _, height, width = self.latents.shape
        return focus_weights(boxes, height, width, self.part.focus).to(self.device)

    @staticmethod
    def _losses(
        model: nn.Module, x0: Tensor, eps: Tensor, t: Tensor, ids: Tensor,
        weights: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        text = model.encode_text(ids)  # type: ignore[operator]
        return flow_loss(model(add_noise(x0, eps, t), t, text), x0, eps, weights)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Mean loss on held-out pictures, with the same captions, times and noise every time."""
        count = min(self.part.validation, self.recipe.data.held_out)
        losses = []
        for start in range(0, count, 32):
            rows = range(start, min(start + 32, count))
            draws = torch_draws(0, "validation", start)
            t = training_times(len(rows), draws).to(self.device)
            x0 = torch.from_numpy(self.latents[rows.start : rows.stop].copy()).float()
            eps = torch.randn(x0.shape, generator=draws).to(self.device)
            x0 = x0.to(self.device)
            ids = self.tokenizer(self.dataset.caption(row, 0) for row in rows).to(self.device)
            losses.append(self._losses(model, x0, eps, t, ids))
        return {"loss": torch.cat(losses).mean().item()}

    def sheet(self, model: nn.Module, path: Path) -> None:
        """Sample the recipe's prompts with guidance and draw them, named, to `path`."""
        part, prompts = self.part, self.part.prompts
        if not prompts:
            return
        denoiser = NetDenoiser(model, lambda at: at.sigma, "flow", "flow")
        uncond = model.encode_text(self._ids([""]))  # type: ignore[operator]
        guided = cfg(denoiser, uncond, part.guidance, stop=0.15, rescale=0.5)
        grid = levels(Flow(), part.sheet_steps, shift=1.5)
        pictures = []
        for start in range(0, len(prompts), 8):
            some = prompts[start : start + 8]
            noise = Noise(tuple(range(start, start + len(some))))
            like = torch.empty(len(some), *self.latents.shape[1:], device=self.device)
            x = noise.normal(like, "start")
            cond = model.encode_text(self._ids(some))  # type: ignore[operator]
            for step in sample(DPMpp2M(), bind(guided, cond), x, grid, noise):
                x = step.x
            pictures += list(to_pictures(self.codec.decode(x.cpu())))
        contact_sheet(pictures, columns=6, labels=prompts).save(path)

    def _ids(self, texts: list[str]) -> Tensor:
        return self.tokenizer(texts).to(self.device)

    def finish(self, model: nn.Module) -> dict:
        """The facts that go with the model file; the vocabulary lies beside it."""
        assert isinstance(model, LatentTransformer)
        return {
            "kind": "denoiser",
            "config": asdict(model.config),
            "prediction": "flow",
            "latent": list(self.latents.shape[1:]),
            "codec": self.codec_hash,
            "dataset_key": dataset_key(self.dataset),
        }


def _vocabulary(
    dataset: Dataset, folder: Path, start: Path | None, config: LatentTransformerConfig
) -> Tokenizer:
    """The run's tokenizer: words keep their ids when the dataset has learned new ones since.

    The ids are those of the run's own vocabulary file, or of the one beside the weights it
    starts from.
    """
    path = folder / "vocabulary.txt"
    known = path if path.exists() or start is None else start.with_name("vocabulary.txt")
    old = Tokenizer.load(known).words if known.exists() else []
    words = list(dict.fromkeys([*old, *dataset.vocabulary()]))
    tokenizer = Tokenizer(words, config.text_length)
    wrong = [word for word in words if tokenizer.split(word) != [word]]
    if wrong:
        raise PresetError(f"the dataset's vocabulary has {wrong[0]!r}, which is not one word")
    if len(tokenizer) > config.vocabulary:
        raise PresetError(
            f"denoiser.model.vocabulary: the dataset's words need {len(tokenizer)} ids, "
            f"not {config.vocabulary}"
        )
    return tokenizer


def load_denoiser(path: Path) -> tuple[LatentTransformer, Tokenizer, dict]:
    """Load a trained denoiser in evaluation mode and float32, its tokenizer and its facts."""
    tensors, facts = read_tensors(path)
    if facts.get("kind") != "denoiser":
        raise ModelError(f"{path} is not a denoiser that `artdiff train` made")
    model = LatentTransformer(LatentTransformerConfig(**facts["config"]))
    model.load_state_dict(tensors)
    tokenizer = Tokenizer.load(path.with_name("vocabulary.txt"), model.config.text_length)
    return model.eval().requires_grad_(False), tokenizer, facts
