"""Training a UNet on pixels by the discrete process: DDPM, Improved DDPM and ADM."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import torch
from pydantic import AfterValidator, Field, model_validator
from torch import Tensor, nn

from artdiff.denoise import NetDenoiser, VarianceNetDenoiser, bind
from artdiff.film.sheet import contact_sheet
from artdiff.guidance.guide import guide
from artdiff.guiders import cfg
from artdiff.nn.unet import UNet, UNetConfig
from artdiff.nn.unet_blocks import TorsoConfig
from artdiff.nn.unet_facts import Kind, ProcessFacts
from artdiff.noise import Level
from artdiff.process import Process, respace
from artdiff.random import Noise
from artdiff.sample import Sampler, sample
from artdiff.samplers import DDIM, DDPM
from artdiff.train.data import Dataset, to_pictures
from artdiff.train.diffusion_losses import (
    LossSecondMoment,
    Objective,
    TimeSampler,
    UniformTimes,
)
from artdiff.train.draws import numpy_draws, row_noise, torch_draws
from artdiff.train.examples import Examples, size_for
from artdiff.train.recipe import Count, Part, Positive, Recipe, Share, left_out
from artdiff.train.task import Task
from artdiff.vlb import variational_bound

Betas = Literal["linear", "scaled-linear", "cosine", "sigmoid"]
Torso = TypeVar("Torso", bound=TorsoConfig)
SHEET = 16
CHUNK = 32


def in_float32(model: Torso) -> Torso:
    """Refuse a narrow torso: the network's own precision is for sampling."""
    if model.torso != "float32":
        raise ValueError("torso is for sampling; train with the recipe's precision")
    return model


_LEFT = left_out(
    UNetConfig(), "pictures, data.label and variance", "channels", "classes", "learned_variance"
)


class DiffusionTable(Part):
    """What is particular to training a UNet on pixels."""

    free = ("validation", "bound", "bound_steps", "sampler", "sheet_steps", "guidance")
    model: Annotated[UNetConfig, AfterValidator(in_float32), _LEFT] = Field(
        default=UNetConfig(),
        description="the network; data.label and variance say classes and learned_variance",
    )
    betas: Betas = Field(default="linear", description="noise schedule")
    steps: Count = Field(default=1000, description="steps of the process")
    prediction: Literal["epsilon", "x0", "v"] = Field(
        default="epsilon", description="what the network puts out"
    )
    variance: Literal["small", "large", "learned-range"] = Field(
        default="small", description="of the reverse step; fixed, or learned in between"
    )
    loss: Literal["simple", "vlb", "hybrid"] = Field(
        default="simple", description="mean square error, the variational bound, or both"
    )
    vb_weight: Positive = Field(default=0.001, description="the bound's share of hybrid")
    times: Literal["uniform", "loss-second-moment"] = Field(
        default="uniform", description="how the step of each picture is drawn"
    )
    history: Count = Field(default=10, description="losses of each step that are remembered")
    min_snr: Positive | None = Field(default=None, description="gamma of min-SNR weighting")
    empty: Share = Field(default=0.1, description="share of labels that are left out")
    validation: Count = Field(default=256, description="held-out pictures in a validation")
    bound: int = Field(
        default=0, ge=0, description="held-out pictures whose bits per dimension are bounded"
    )
    bound_steps: str = Field(default="50", description="steps of that bound: 250 or 10,15,20")
    sampler: Literal["ddpm", "ddim"] = Field(default="ddpm", description="of the sample sheets")
    sheet_steps: str = Field(default="50", description="its steps: 250, ddim25 or 10,15,20")
    guidance: Positive = Field(default=1.0, description="scale of classifier-free guidance")

    def objective(self) -> Objective:
        """What the network is trained for; ValueError where the settings do not go together."""
        process = Process.named(self.betas, self.steps)
        return Objective(
            process, self.loss, self.prediction, self.variance, self.vb_weight, self.min_snr
        )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        process = self.objective().process
        respace(process, self.sheet_steps)
        if self.bound:
            respace(process, self.bound_steps)
        return self


class DiffusionRecipe(Recipe):
    """Training a diffusion model of pixels."""

    kind: Literal["diffusion"] = "diffusion"
    diffusion: DiffusionTable = DiffusionTable()


Network = Callable[[Tensor, Tensor], Tensor]
"""(x, time) -> output, whatever else it is told already bound."""


class DiffusionTask(Task):
    """The network, its training steps, its validation and its sample sheets."""

    network_kind: Kind = "unet"

    def __init__(self, recipe: Recipe, dataset: Dataset, folder: Path, cache: Path) -> None:
        assert isinstance(recipe, DiffusionRecipe)
        self._prepare(recipe, recipe.diffusion, dataset, cache)
        self.model = UNet(self.config)

    def _prepare(
        self, recipe: Recipe, part: DiffusionTable, dataset: Dataset, cache: Path
    ) -> None:
        self.recipe, self.part = recipe, part
        self._check_size(*size_for(part.model.factor, recipe, dataset))
        self.examples = Examples(recipe, dataset, cache)
        self.objective = part.objective()
        self.process = self.objective.process
        self.config = replace(
            part.model,
            channels=3,
            classes=len(self.examples.classes) or None,
            learned_variance=part.variance == "learned-range",
        )
        self.times: TimeSampler = UniformTimes(part.steps)
        if part.times == "loss-second-moment":
            self.times = LossSecondMoment.fresh(part.steps, part.history)

    def _check_size(self, height: int, width: int) -> None:
        """Refuse pictures that do not suit, before they are made."""

    def loss(self, step: int, rows: range) -> tuple[Tensor, dict[str, Tensor]]:
        """The objective's loss, weighted so that its mean is that of steps drawn evenly."""
        seed, mine = self.recipe.seed, slice(rows.start, rows.stop)
        x0, labels = self.examples.batch(step, rows, self.device)
        t, weight = self.times.draw(self.recipe.batch, torch_draws(seed, "t", step))
        t, weight = t[mine].to(x0.device), weight[mine].to(x0.device)
        noise = row_noise(seed, "eps", step, rows)
        y = self._told(labels, self._left_out(step)[mine])
        network = self._network(self.model, x0, y, noise)
        found = self.objective(network, x0, t, noise.normal(x0, "eps"))
        notes = {"t": t, "weight": weight, "loss": found.loss.detach()}
        notes |= {"mse": found.mse.detach()} if found.mse is not None else {}
        notes |= {"vb": found.vb.detach()} if found.vb is not None else {}
        return (found.loss * weight).mean(), notes

    def _left_out(self, step: int) -> Tensor:
        draws = numpy_draws(self.recipe.seed, "labels", step)
        return torch.from_numpy(draws.random(self.recipe.batch) < self.part.empty)

    def _told(self, labels: Tensor | None, left_out: Tensor | None = None) -> Tensor | None:
        """Labels (n,) as mixtures of classes (n, K); a row that is left out is zero."""
        if labels is None:
            return None
        y = nn.functional.one_hot(labels, len(self.examples.classes)).float()
        return y if left_out is None else y * (~left_out).to(y)[:, None]

    def _network(
        self, model: nn.Module, x0: Tensor, y: Tensor | None, noise: Noise | None
    ) -> Network:
        """The network, told what there is to know of pictures x0; `noise` while training."""
        return lambda x, time: model(x, time, y).float()

    def after(self, step: int, notes: Mapping[str, Tensor]) -> dict[str, float]:
        """Remember the losses of the steps that were drawn; the parts of the loss."""
        self.times = self.times.update(notes["t"].long(), notes["loss"])
        told = self.part.loss != "simple" or self.part.min_snr is not None
        parts = [name for name in ("mse", "vb") if told and name in notes]
        return {name: (notes[name] * notes["weight"]).mean().item() for name in parts}

    def state(self) -> dict[str, Tensor]:
        """The losses that loss-second-moment remembers."""
        return self.times.state()

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take them over; a run that had none begins to collect them."""
        mine = self.times.state()
        if not mine or not state:
            return
        if any(state[name].shape != tensor.shape for name, tensor in mine.items()):
            raise KeyError("the losses belong to another number of steps")
        self.times = self.times.restored(dict(state))

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Loss on held-out pictures at evenly spaced steps, always with the same noise.

        ``error/...`` is the mean square error by quarter of the steps, ``vb`` the bound from one
        step of each picture, without its constant prior term, and ``bits`` the whole bound.
        """
        count = min(self.part.validation, self.recipe.data.held_out)
        losses, errors, terms = [], [], []
        for rows in _chunks(count):
            x0, labels = self.examples.held_out(rows, self.device)
            t = (torch.arange(rows.start, rows.stop) * self.part.steps // count).to(x0.device)
            network = self._network(model, x0, self._told(labels), None)
            found = self.objective(network, x0, t, Noise(tuple(rows)).normal(x0, "eps"))
            losses.append(found.loss.cpu())
            errors += [found.mse.cpu()] if found.mse is not None else []
            terms += [found.vb.cpu()] if found.vb is not None else []
        numbers = {"loss": torch.cat(losses).mean().item()}
        if errors:
            quarters = torch.cat(errors).tensor_split(4)
            for place, quarter in enumerate(quarters):
                if len(quarter):
                    first = self.part.steps * place // 4
                    numbers[f"error/t from {first}"] = quarter.mean().item()
        if terms:
            first, rest = torch.cat(terms).tensor_split([1])  # t = 0 stands for no other step
            share = (self.part.steps - 1) / max(len(rest), 1)
            numbers["vb"] = first.item() + rest.sum().item() * share
        if self.part.bound:
            numbers["bits"] = self._bits(model)
        return numbers

    def _bits(self, model: nn.Module) -> float:
        """The variational bound of held-out pictures, bits per dimension, over fewer steps."""
        process, bits = respace(self.process, self.part.bound_steps), []
        for rows in _chunks(min(self.part.bound, self.recipe.data.held_out)):
            x0, labels = self.examples.held_out(rows, self.device)
            bound = variational_bound(
                process,
                self._network(model, x0, self._told(labels), None),
                x0,
                Noise(tuple(rows)),
                target=self.part.prediction,
                variance=self.part.variance,
            )
            bits.append(bound.total.cpu())
        return torch.cat(bits).mean().item()

    def sheet(self, model: nn.Module, path: Path) -> None:
        """Sample sixteen pictures, their classes in turn, and draw them to `path`."""
        classes = self.examples.classes
        labels = torch.arange(SHEET) % max(len(classes), 1)
        told = self._told(labels.to(self.device) if classes else None)
        pictures = self._draw(model, lambda x, t, y: model(x, t, y), told)
        names = [classes[label] for label in labels.tolist()] if classes else None
        contact_sheet(pictures, labels=names, cell=max(pictures[0].shape[0], 96)).save(path)

    def _draw(self, model: nn.Module, ask: Callable[..., Tensor], y: Tensor | None) -> list:
        """Sample sixteen pictures; `ask` is (x, time, y) -> output."""
        part, noise = self.part, Noise(range(SHEET))
        cond = {} if y is None else {"y": y}
        make = VarianceNetDenoiser if part.variance == "learned-range" else NetDenoiser
        denoiser: Any = make(
            lambda x, time, told: ask(x, time, told.get("y")).float(),
            self.process.schedule.index,
            part.prediction,
        )
        if y is not None:
            denoiser = cfg(denoiser, {"y": torch.zeros_like(y[:1])}, part.guidance)
        denoiser = guide(denoiser, projections=[_clip], noise=noise)
        x = noise.normal(torch.empty(SHEET, 3, *self.examples.size, device=self.device), "start")
        for step in sample(
            self._sampler(),
            bind(denoiser, cond),
            x,
            respace(self.process, part.sheet_steps).levels(),
            noise,
        ):
            x = step.x
        return list(to_pictures(x))

    def _sampler(self) -> Sampler[Any]:
        if self.part.sampler == "ddim":
            return DDIM()
        variance = self.part.variance
        return DDPM("learned" if variance == "learned-range" else variance)

    def finish(self, model: nn.Module) -> dict:
        """The facts that go with the file, as `artdiff models add` reads them."""
        part = self.part
        process = ProcessFacts(part.betas, part.steps, part.prediction, part.variance)
        return self.examples.facts(self.network_kind, self.config, process)


def _chunks(count: int) -> list[range]:
    return [range(at, min(at + CHUNK, count)) for at in range(0, count, CHUNK)]


def _clip(x0: Tensor, x: Tensor, at: Level, noise: Noise) -> Tensor:
    """Keep x0 where pictures are."""
    return x0.clamp(-1, 1)
