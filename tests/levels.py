"""A model with levels of quality, one of them distilled, and what its network is asked."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from artdiff.api import prepare
from artdiff.hookspecs import hookimpl
from artdiff.model import ModelCard
from artdiff.nn.latent_transformer import LatentTransformer
from artdiff.plan.resolve import resolve
from artdiff.preset.draft import Draft, overlay, override
from artdiff.registry import Registry
from artdiff.renderer import load_engine
from artdiff.train.checkpoint import write_tensors
from artdiff.train.denoiser import load_denoiser

KNOWS = {"scale": [1.0, 6.0], "rescale": 0.0, "stop": 0.0, "steps": [2, 4]}
FEW = """
[quality.draft]
weights = ["codec.safetensors", "few.safetensors", "vocabulary.txt"]
sampler = { name = "euler", steps = 2 }
distilled = { scale = [1.0, 6.0], rescale = 0.0, stop = 0.0, steps = [2, 4] }

[quality.normal]

[quality.best]
sampler = { steps = 8 }
guidance = { scale = 3.0 }
"""


@pytest.fixture(scope="session")
def few_folder(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with levels of quality, the first of them with distilled weights."""
    folder = tmp_path_factory.mktemp("few")
    for file in tiny_folder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    teacher, _, _ = load_denoiser(folder / "denoiser.safetensors")
    student = LatentTransformer(replace(teacher.config, told=("scale", "reach")))
    student.load_state_dict(student.state_dict() | teacher.state_dict())
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(1)
        for layer in student.told.values():
            layer[-1].weight.normal_(std=0.5)  # type: ignore[index]
    facts = {"kind": "denoiser", "config": asdict(student.config), "distilled": KNOWS}
    write_tensors(folder / "few.safetensors", student.state_dict(), facts)
    card = (folder / "card.toml").read_text()
    (folder / "card.toml").write_text(card.replace('"tiny"', '"few"', 1) + FEW)
    return folder


class Cards:
    """A plugin that offers models of some cards."""

    def __init__(self, *cards: ModelCard) -> None:
        self.cards = {card.name: card for card in cards}

    @hookimpl
    def register_models(self) -> dict[str, ModelCard]:
        return self.cards


@pytest.fixture
def both(registry: Registry, few_folder: Path) -> Registry:
    """All plugins, the tiny model and the one with levels."""
    registry.manager.register(Cards(ModelCard.read(few_folder)), "few-model")
    return registry


@pytest.fixture
def plan(both: Registry):
    def plan(*assignments, **values):
        draft = overlay(Draft("film", {}, {}), {"model": "few", **values}, "film.toml")
        return resolve(override(draft, assignments), both)

    return plan


class Asked:
    """What a network is asked: rows of each call, and what it is told."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.told: list[dict[str, list[float]]] = []

    def note(self, network, args) -> None:
        x, _, cond = args
        self.batches.append(len(x))
        self.told.append({k: cond[k].flatten().tolist() for k in ("scale", "reach") if k in cond})


def asked(registry, **values):
    """What the network of one film is asked for two pictures, and the pictures."""
    settings = {"model": "few", "frames.count": 2, "prompt": "a red fox", **values}
    plan = prepare(Draft("film", {}, {}), registry, settings).plan
    engine, noted = load_engine(plan, registry), Asked()
    engine.model.conditioner.network.register_forward_pre_hook(noted.note)
    return noted, np.stack(engine.images([engine.plan.job(i) for i in range(2)]))
