"""Distilling guidance into one pass, and many steps into few.

The student is the teacher with two more numbers to be told: the guidance scale (Meng et al., "On
Distillation of Guided Diffusion Models", arXiv 2210.03142, section 3.1), and the reach of a step.
It learns the teacher's guided velocity where the reach is 0, and elsewhere the mean velocity over
the step, which the teacher finds by walking it in several parts: the two-time velocity of Geng et
al., "Mean Flows for One-step Generative Modeling", arXiv 2505.13447, Eq. 3, with the many-step
solution in the place of the self-consistent target there, as Salimans & Ho, "Progressive
Distillation", arXiv 2202.00512, have it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from artdiff.denoise import Conditioning, NetDenoiser, bind
from artdiff.errors import PresetError
from artdiff.film.sheet import contact_sheet
from artdiff.grid import levels
from artdiff.guiders import cfg
from artdiff.nn.latent_transformer import LatentTransformer
from artdiff.nn.told import LeapingDenoiser
from artdiff.noise import Flow, shift_time
from artdiff.random import Noise
from artdiff.sample import sample
from artdiff.samplers import DPMpp2M, Euler
from artdiff.train.autoencoder import load_codec
from artdiff.train.data import Dataset, dataset_key, prepare_latents, to_pictures
from artdiff.train.denoiser import load_denoiser
from artdiff.train.distil_recipe import DistilRecipe
from artdiff.train.draws import batch_indices, torch_draws
from artdiff.train.losses import add_noise, training_times
from artdiff.train.recipe import Recipe
from artdiff.train.task import Task
from artdiff.train.teacher import Guided, guided_velocity, mean_velocity, of_rows


class Lesson(NamedTuple):
    """What a batch learns from: samples at times, captions, scales, reaches."""

    x: Tensor
    t: Tensor
    ids: Tensor
    scale: Tensor
    reach: Tensor


class DistilTask(Task):
    """The student and its teacher, the training steps, the validation and the sample sheets."""

    def __init__(self, recipe: Recipe, dataset: Dataset, folder: Path, cache: Path) -> None:
        assert isinstance(recipe, DistilRecipe)
        self.recipe, self.dataset, self.part = recipe, dataset, recipe.distil
        teacher = _weights("teacher", self.part.teacher, "denoiser.safetensors")
        codec = _weights("codec", self.part.codec, "codec.safetensors")
        self.teacher, self.tokenizer, facts = load_denoiser(teacher)
        self._fits(facts, teacher)
        self.teacher_hash = _hash(teacher)
        self.codec, self.codec_hash = load_codec(codec), _hash(codec)
        ours, theirs = self.codec.config.channels, self.teacher.config.channels
        if ours != theirs:
            raise PresetError(
                f"distil.codec: {codec} has latents of {ours} channels, the teacher of {theirs}"
            )
        told = ("scale", "reach") if self.part.jumps else ("scale",)
        student = LatentTransformer(replace(self.teacher.config, told=told))
        student.load_state_dict(student.state_dict() | self.teacher.state_dict())
        self.model: nn.Module = student
        self.latents = prepare_latents(self.codec, self.codec_hash, dataset, recipe.data, cache)
        self.how = Guided(self.part.rescale, self.part.stop)
        self._solved: tuple[Tensor, Tensor, Tensor] | None = None

    def _fits(self, facts: dict, path: Path) -> None:
        """Refuse a teacher that has learned other guidance by heart, or a walk already."""
        known = facts.get("distilled")
        if known is None:
            return
        if self.part.plain and not known.get("plain"):
            raise PresetError(f"distil.plain: {path} was taught no plain answers")
        for key in ("rescale", "stop", "scale"):
            said = getattr(self.part, key)
            if (list(said) if key == "scale" else said) != known[key]:
                raise PresetError(f"distil.{key}: {path} has learned {known[key]}, not {said}")
        if known["steps"]:
            raise PresetError(
                f"distil.teacher: {path} was distilled into few steps; take its teacher"
            )

    def begin(self, folder: Path) -> None:
        """Write the teacher's vocabulary."""
        self.tokenizer.save(folder / "vocabulary.txt")

    def state(self) -> dict[str, Tensor]:
        """Which teacher it is: a run does not go on with another."""
        return {"teacher": torch.tensor(int(self.teacher_hash, 16))}

    def load(self, state: Any) -> None:
        """Take over a saved `state`.

        :raises PresetError: the run was begun with another teacher.
        """
        if int(state["teacher"]) != int(self.teacher_hash, 16):
            raise PresetError(
                "distil.teacher: its weights are others than those that the run was begun with; "
                "take another folder"
            )

    def loss(self, step: int, rows: range) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean square of how far student and teacher are apart; it has no notes."""
        recipe = self.recipe
        indices = batch_indices(recipe.seed, step, recipe.batch, recipe.data.count)
        indices = (indices + recipe.data.held_out).tolist()
        lesson = self.lesson(indices, step, torch_draws(recipe.seed, "distil", step), rows)
        return self._losses(self.model, lesson).mean(), {}

    def lesson(
        self, indices: Sequence[int], draw: int, draws: torch.Generator, rows: range | None = None
    ) -> Lesson:
        """What some pictures teach; all that is random comes from `draws`, for all of them.

        A picture that learns a step takes one of a walk of k steps, k log-uniform between the two
        ends of `steps`, as the grid with `shift` has them.
        """
        part, count = self.part, len(indices)
        mine = slice(rows.start, rows.stop) if rows else slice(None)
        latents = torch.from_numpy(self.latents[list(indices)[mine]]).float()
        eps = torch.randn(count, *latents.shape[1:], generator=draws)[mine]
        numbers = torch.rand(6, count, generator=draws, dtype=torch.float64)
        plain = numbers[5] < part.plain
        low, high = part.scale
        scale = torch.where(plain, 1.0, low + (high - low) * numbers[0])
        few, many = part.steps
        k = few * (many / few) ** numbers[1]
        begin = 1 - (numbers[2] * k).floor() / k
        t, end = (shift_time(u, part.shift) for u in (begin, (begin - 1 / k).clamp(min=0)))
        still = training_times(count, draws, part.time_mean, part.time_std).double()
        jumps = (numbers[3] < part.jumps) & ~plain
        reach = torch.where(jumps, t - end, 0.0)
        t = torch.where(jumps, t, still)
        captions = [self.dataset.caption(row, draw) for row in indices]
        ids = self.tokenizer(captions)
        ids = torch.where((numbers[4] < part.empty)[:, None], self.tokenizer([""]), ids)
        t, scale, reach = (value[mine].float() for value in (t, scale, reach))
        lesson = Lesson(add_noise(latents, eps, t), t, ids[mine], scale, reach)
        return Lesson(*(tensor.to(self.device) for tensor in lesson))

    def _losses(self, model: nn.Module, lesson: Lesson) -> Tensor:
        x, t, ids, scale, reach = lesson
        text = model.encode_text(ids)  # type: ignore[operator]
        text = {**text, "scale": scale[:, None], "reach": reach[:, None]}
        return (model(x, t, text) - self.target(lesson)).square().mean(dim=(1, 2, 3))

    @torch.no_grad()
    def target(self, lesson: Lesson) -> Tensor:
        """What the teacher says to a lesson, (B, C, h, w)."""
        teacher = self.teacher.to(self.device)
        cond = teacher.encode_text(lesson.ids)
        uncond = teacher.encode_text(self._ids([""]))

        def velocity(x: Tensor, t: Tensor, rows: Tensor) -> Tensor:
            said = of_rows(cond, rows)
            return guided_velocity(teacher, x, t, said, uncond, lesson.scale[rows], self.how)

        return mean_velocity(velocity, lesson.x, lesson.t, lesson.reach, self.part.parts)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """The loss on held-out pictures, always with the same draws, and how far walks end.

        ``walk/4`` is the distance of the pictures of 4 steps from those of the teacher's many
        guided ones, relative to their length, from the same noise.
        """
        count = min(self.part.validation, self.recipe.data.held_out)
        losses = []
        for start in range(0, count, 32):
            indices = range(start, min(start + 32, count))
            lesson = self.lesson(indices, 0, torch_draws(0, "validation", start))
            losses.append(self._losses(model, lesson))
        numbers = {"loss": torch.cat(losses).mean().item()}
        if self.part.jumps:
            ids, eps, there = self._solutions()
            for steps in dict.fromkeys(self.part.steps):
                away = self._walk(model, ids, eps, steps) - there
                numbers[f"walk/{steps}"] = float(away.square().mean().sqrt() / _size(there))
        return numbers

    def _solutions(self) -> tuple[Tensor, Tensor, Tensor]:
        """Captions, noise, and where the teacher's many guided steps lead, of some pictures."""
        if self._solved is None:
            count = min(self.part.walks, self.recipe.data.held_out)
            ids = self.tokenizer(self.dataset.caption(row, 0) for row in range(count))
            ids = ids.to(self.device)
            eps = torch.randn(
                count, *self.latents.shape[1:], generator=torch_draws(0, "walks", 0)
            ).to(self.device)
            teacher = self.teacher.to(self.device)
            denoiser, cond = NetDenoiser(teacher, lambda at: at.sigma, "flow", "flow"), {}
            if "scale" in teacher.config.told:
                cond = {"scale": self._scale(count)}
            else:
                uncond = teacher.encode_text(self._ids([""]))
                part = self.part
                denoiser = cfg(
                    denoiser, uncond, part.guidance, stop=part.stop, rescale=part.rescale
                )
            cond = {**teacher.encode_text(ids), **cond}
            grid, x = levels(Flow(), self.part.reference, shift=self.part.shift), eps
            for step in sample(DPMpp2M(), bind(denoiser, cond), x, grid, Noise([0] * count)):
                x = step.x
            self._solved = (ids, eps, x)
        return self._solved

    def _walk(self, model: nn.Module, ids: Tensor, eps: Tensor, steps: int) -> Tensor:
        """Where the student's steps lead: few of its own, or many of its guided velocity."""
        cond: Conditioning = model.encode_text(ids)  # type: ignore[operator]
        cond = {**cond, "scale": self._scale(len(ids))}
        denoiser = LeapingDenoiser(model, lambda at: at.sigma, "flow", "flow")
        sampler: Any = Euler() if self.part.jumps else DPMpp2M()
        grid, x = levels(Flow(), steps, shift=self.part.shift), eps
        for step in sample(sampler, bind(denoiser, cond), x, grid, Noise([0] * len(ids))):
            x = step.x
        return x

    def _scale(self, count: int) -> Tensor:
        return torch.full((count, 1), self.part.guidance, device=self.device)

    def sheet(self, model: nn.Module, path: Path) -> None:
        """Draw the recipe's prompts, named: by the fewest steps, or 12 where it learns none."""
        part, prompts, pictures = self.part, self.part.prompts, []
        steps = part.steps[0] if part.jumps else 12
        for start in range(0, len(prompts), 8):
            some = prompts[start : start + 8]
            noise = Noise(tuple(range(start, start + len(some))))
            like = torch.empty(len(some), *self.latents.shape[1:], device=self.device)
            x = self._walk(model, self._ids(some), noise.normal(like, "start"), steps)
            pictures += list(to_pictures(self.codec.decode(x.cpu())))
        if pictures:
            contact_sheet(pictures, columns=6, labels=prompts).save(path)

    def _ids(self, texts: list[str]) -> Tensor:
        return self.tokenizer(texts).to(self.device)

    def finish(self, model: nn.Module) -> dict:
        """The facts that go with the model file; ``distilled`` is for the card to repeat."""
        assert isinstance(model, LatentTransformer)
        part = self.part
        return {
            "kind": "denoiser",
            "config": asdict(model.config),
            "prediction": "flow",
            "latent": list(self.latents.shape[1:]),
            "codec": self.codec_hash,
            "dataset_key": dataset_key(self.dataset),
            "teacher": self.teacher_hash,
            "distilled": {
                "scale": list(part.scale),
                "rescale": part.rescale,
                "stop": part.stop,
                "steps": list(part.steps) if part.jumps else [],
                "plain": part.plain > 0,
            },
        }


def _weights(key: str, path: Path | None, shipped: str) -> Path:
    """The file of a key of the recipe, or the one that ships with artdiff."""
    found = path or Path(str(files("artdiff").joinpath("starter", shipped)))
    if not found.is_file():
        raise PresetError(f"distil.{key}: there is no file {found}")
    return found


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def _size(x: Tensor) -> float:
    return math.sqrt(float(x.square().mean()))
