"""Training the starter model's denoiser on latents and freshly worded captions."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

from artdiff.denoise import NetDenoiser, bind
from artdiff.errors import ModelError, PresetError
from artdiff.guidance import cfg
from artdiff.nn.latent_transformer import LatentTransformer, LatentTransformerConfig
from artdiff.nn.text import UNKNOWN, Tokenizer
from artdiff.noise import Flow, levels
from artdiff.random import Noise
from artdiff.sample import DPMpp2M, sample
from artdiff.sheet import contact_sheet
from artdiff.train.autoencoder import load_codec
from artdiff.train.checkpoint import read_tensors
from artdiff.train.data import Dataset, dataset_key, encode_latents, prepare, to_pictures
from artdiff.train.draws import batch_indices, numpy_draws, torch_draws
from artdiff.train.losses import add_noise, flow_loss, training_times
from artdiff.train.recipe import DenoiserRecipe, Recipe


class DenoiserTask:
    """The denoiser, its training steps, its validation and its sample sheets."""

    def __init__(self, recipe: Recipe, dataset: Dataset, folder: Path, cache: Path) -> None:
        assert recipe.denoiser is not None
        data = recipe.data
        self.recipe, self.dataset = recipe, dataset
        self.part: DenoiserRecipe = recipe.denoiser
        self.tokenizer = _vocabulary(dataset, folder, recipe.start, self.part.model)
        self.model: nn.Module = LatentTransformer(self.part.model)
        if not self.part.codec.exists():
            raise PresetError(f"denoiser.codec: there is no file {self.part.codec}")
        self.codec_hash = hashlib.sha256(self.part.codec.read_bytes()).hexdigest()[:12]
        self.codec = load_codec(self.part.codec)
        pictures = prepare(dataset, data.held_out + data.count, cache, data.workers)
        path = cache / dataset_key(dataset) / f"latents-{self.codec_hash}.npy"
        self.latents = encode_latents(self.codec, pictures, path)

    def ids(self, rows: list[int], step: int) -> Tensor:
        """Word ids (B, L) of freshly worded captions; some empty, some words made unknown."""
        draws = numpy_draws(self.recipe.seed, "words", step)
        captions = [self.dataset.caption(row, step) for row in rows]
        ids = self.tokenizer(captions)
        lost = torch.from_numpy(draws.random(ids.shape) < self.part.unknown)
        ids = torch.where(lost & (ids > UNKNOWN), UNKNOWN, ids)
        empty = torch.from_numpy(draws.random((len(rows), 1)) < self.part.empty)
        return torch.where(empty, self.tokenizer([""]), ids)

    def loss(self, step: int) -> Tensor:
        """The training loss of step `step`, a scalar with gradient."""
        recipe = self.recipe
        rows = batch_indices(recipe.seed, step, recipe.batch, recipe.data.count)
        rows = rows + recipe.data.held_out
        x0 = torch.from_numpy(self.latents[rows]).float()
        draws = torch_draws(recipe.seed, "noise", step)
        t = training_times(len(rows), draws)
        eps = torch.randn(x0.shape, generator=draws)
        return self._losses(self.model, x0, eps, t, self.ids(rows.tolist(), step)).mean()

    @staticmethod
    def _losses(model: nn.Module, x0: Tensor, eps: Tensor, t: Tensor, ids: Tensor) -> Tensor:
        text = model.encode_text(ids)  # type: ignore[operator]
        return flow_loss(model(add_noise(x0, eps, t), t, text), x0, eps)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Mean loss on held-out pictures, with the same captions, times and noise every time."""
        count = min(self.part.validation, self.recipe.data.held_out)
        losses = []
        for start in range(0, count, 32):
            rows = range(start, min(start + 32, count))
            draws = torch_draws(0, "validation", start)
            t = training_times(len(rows), draws)
            x0 = torch.from_numpy(self.latents[rows.start : rows.stop].copy()).float()
            eps = torch.randn(x0.shape, generator=draws)
            ids = self.tokenizer(self.dataset.caption(row, 0) for row in rows)
            losses.append(self._losses(model, x0, eps, t, ids))
        return {"loss": torch.cat(losses).mean().item()}

    def sheet(self, model: nn.Module, path: Path) -> None:
        """Sample the recipe's prompts with guidance and draw them, named, to `path`."""
        part, prompts = self.part, self.part.prompts
        if not prompts:
            return
        denoiser = NetDenoiser(model, lambda at: at.sigma, "flow", "flow")
        uncond = model.encode_text(self.tokenizer([""]))  # type: ignore[operator]
        guided = cfg(denoiser, uncond, part.guidance, stop=0.15, rescale=0.5)
        grid = levels(Flow(), part.sheet_steps, shift=1.5)
        pictures = []
        for start in range(0, len(prompts), 8):
            some = prompts[start : start + 8]
            noise = Noise(tuple(range(start, start + len(some))))
            x = noise.normal(torch.empty(len(some), *self.latents.shape[1:]), "start")
            cond = model.encode_text(self.tokenizer(some))  # type: ignore[operator]
            for step in sample(DPMpp2M(), bind(guided, cond), x, grid, noise):
                x = step.x
            pictures += list(to_pictures(self.codec.decode(x)))
        contact_sheet(pictures, columns=6, labels=prompts).save(path)

    def finish(self, model: nn.Module) -> dict:
        """The facts that go with the model file; the vocabulary lies beside it."""
        assert isinstance(model, LatentTransformer)
        return {
            "kind": "denoiser",
            "config": asdict(model.config),
            "prediction": "flow",
            "latent": list(self.latents.shape[1:]),
            "codec": self.codec_hash,
            "dataset": dataset_key(self.dataset),
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
    tokenizer.save(path)
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
