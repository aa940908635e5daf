"""What classifier guidance does: how often another classifier sees in a picture what was wanted.

    python bench/classifier_effect.py --judge JUDGE --head scene --weights 0 15 40 --count 64

Sample i has the seed i and is led to label i of the head, in turn, by the term `classifier`; the
same seeds at every weight. The judge is a network that never guided: weights that `artdiff
train starter-judge` left, or a classifier, its folder or its name among your models. It sees the
finished pictures, at its own size, as free of noise, and is right where the wanted label is its
first choice among the labels of that head. Intervals are of 95 %, by 2000 resamples; the gain over
the first weight is of the same seeds.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from artdiff import (
    Level,
    ModelCard,
    NoisyClassifier,
    Registry,
    contact_sheet,
    create_registry,
    helper,
    load_classifier,
)
from artdiff.api import prepare
from artdiff.evaluation.bootstrap import counts, interval
from artdiff.evaluation.judge import Judge as TraitJudge
from artdiff.model import Model
from artdiff.preset.draft import Draft, overlay
from artdiff.renderer import load_engine
from artdiff.train.data import to_images
from artdiff.user_models import models_folder

ROUNDS = 2000
SKIPPED = ("none",)
"""Labels that say that there is nothing of the kind."""


class Judge:
    """A judge of finished pictures, or a classifier as one."""

    def __init__(self, where: str, head: str) -> None:
        self.trained = Path(where).suffix == ".safetensors"
        if self.trained:
            self.network = TraitJudge(TraitJudge.Options(weights=Path(where)))
            heads = self.network.heads
            if head not in heads:
                raise SystemExit(f"{where}: no head {head!r}; it has {', '.join(heads)}")
            first = sum(len(heads[name]) for name in list(heads)[: list(heads).index(head)])
            self.classes = {name: first + place for place, name in enumerate(heads[head])}
            return
        folder = Path(where) if Path(where).is_dir() else models_folder() / where
        self.classifier: NoisyClassifier = load_classifier(
            ModelCard.read(folder), torch.device("cpu"), torch.float32
        )
        heads = self.classifier.heads
        if head not in heads and len(heads) > 1:
            raise SystemExit(f"{where}: no head {head!r}; it has {', '.join(heads)}")
        self.classes = heads[head] if head in heads else next(iter(heads.values()))

    @torch.no_grad()
    def __call__(self, pictures: np.ndarray, model: Model, labels: list[str]) -> list[str]:
        """Its first choice among some labels, for each of the pictures uint8 (N, H, W, 3)."""
        clean = Level(torch.ones((), dtype=torch.double), torch.zeros((), dtype=torch.double))
        images = to_images(pictures)
        found: list[int] = []
        if self.trained:
            columns = [self.classes[label] for label in labels]
            for rows in torch.from_numpy(pictures).permute(0, 3, 1, 2).split(32):
                found += self.network.pictures(rows)["logits"][:, columns].argmax(1).tolist()
            return [labels[place] for place in found]
        size = self.classifier.facts.size
        if self.classifier.codec:
            seen = model.codec.encode(images)
        else:
            seen = F.interpolate(images, (size, size), mode="area")
        columns = [self.classes[label] for label in labels]
        for rows in seen.split(32):
            found += self.classifier(rows, clean)[:, columns].argmax(1).tolist()
        return [labels[place] for place in found]


def draw(
    registry: Registry, options: argparse.Namespace, wanted: Sequence[str], weight: float
) -> tuple[np.ndarray, Model]:
    """One picture for each wanted label, with the seeds 0, 1, ..."""
    pictures: dict[int, np.ndarray] = {}
    model = None
    for label in dict.fromkeys(wanted):
        seeds = [seed for seed, other in enumerate(wanted) if other == label]
        for at in range(0, len(seeds), options.batch):
            some = seeds[at : at + options.batch]
            settings = [
                f"model={options.model}",
                *options.set,
                f"terms.classifier.weight={weight}",
            ]
            name = f"{options.head}:{label}" if options.qualified else label
            values = {"prompt": options.prompt, "terms": {"classifier": {"target": name}}}
            values["terms"]["classifier"] |= (
                {"classifier": options.classifier} if options.classifier else {}
            )
            values |= {"seed": some[0], "frames": {"source": "still", "count": 1}}
            plan = prepare(overlay(Draft("effect", {}, {}), values, "effect"), registry, settings)
            engine = load_engine(plan.plan, registry)
            jobs = [_with_seed(plan.plan.job(0), seed, row) for row, seed in enumerate(some)]
            pictures |= dict(zip(some, engine.images(jobs), strict=True))
            model = engine.model
    assert model is not None
    return np.stack([pictures[seed] for seed in range(len(wanted))]), model


def _with_seed(job, seed: int, row: int):  # noqa: ANN001, ANN202
    from dataclasses import replace

    from artdiff import Start

    return replace(job, index=row, seed=seed, start=Start.at(seed))


def mean_with_interval(values: np.ndarray, stream: str) -> dict[str, float]:
    rows = torch.from_numpy(values).double()

    def resampled(step: int) -> float:
        return float(counts(0, stream, step, len(rows)) @ rows / len(rows))

    low, high = interval(float(rows.mean()), resampled, ROUNDS)
    return {"mean": float(rows.mean()), "low": low, "high": high}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--judge", required=True, help="weights of a judge, or a classifier")
    parser.add_argument("--head", default="scene", help="the attribute that is wanted")
    parser.add_argument("--classifier", help="which one guides; else the model's own")
    parser.add_argument("--model", default="starter")
    parser.add_argument("--prompt", default="")
    parser.add_argument("--weights", type=float, nargs="+", default=[0, 5, 15, 40])
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("-s", dest="set", action="append", default=[], help="key=value")
    parser.add_argument("-o", "--output", type=Path, help="a JSON file for the numbers")
    parser.add_argument("--sheet", type=Path, help="a PNG of the first pictures at each weight")
    options = parser.parse_args()

    registry = create_registry()
    judge = Judge(options.judge, options.head)
    card = registry.get("models", options.model)
    heads = load_classifier(
        helper(card, "classifier", options.classifier), torch.device("cpu"), torch.float32
    ).heads
    options.qualified = options.head in heads
    known = heads[options.head] if options.qualified else next(iter(heads.values()))
    labels = [name for name in known if name in judge.classes and name not in SKIPPED]
    if len(labels) < 2:
        raise SystemExit(f"{options.judge}: shares no labels of {options.head!r} with the guide")
    wanted = [labels[i % len(labels)] for i in range(options.count)]
    right: dict[float, np.ndarray] = {}
    shown: list[np.ndarray] = []
    for weight in options.weights:
        pictures, model = draw(registry, options, wanted, weight)
        guesses = judge(pictures, model, labels)
        right[weight] = np.array([a == b for a, b in zip(guesses, wanted, strict=True)], float)
        shown += list(pictures[:8])
        print(f"weight {weight:g}: {right[weight].mean():.3f}", flush=True)
    first = options.weights[0]
    report = {
        "model": options.model, "judge": options.judge, "head": options.head,
        "labels": labels, "chance": 1 / len(labels), "count": options.count,
        "prompt": options.prompt, "settings": options.set,
        "accuracy": {f"{w:g}": mean_with_interval(r, "accuracy") for w, r in right.items()},
        "gain": {f"{w:g}": mean_with_interval(r - right[first], "gain")
                 for w, r in right.items() if w != first},
    }  # fmt: skip
    for weight, number in report["accuracy"].items():
        print("weight {:>5}: {mean:.3f} ({low:.3f} to {high:.3f})".format(weight, **number))
    if options.output:
        options.output.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    if options.sheet:
        captions = [f"{wanted[i % 8]}, weight {options.weights[i // 8]:g}"
                    for i in range(len(shown))]  # fmt: skip
        contact_sheet(shown, math.gcd(8, len(shown)), captions, cell=128).save(options.sheet)


if __name__ == "__main__":
    main()
