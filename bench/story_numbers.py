"""The numbers of docs/story.md: bounds, distances, accuracies."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from story_runs import (
    HALVES,
    HELPERS,
    LEARNED,
    ROWS,
    VARIANCES,
    Net,
    Sizes,
    Story,
    chunks,
    compute,
    multiply_adds,
    validations,
)
from story_samples import jobs, more_jobs
from torch import Tensor, nn

from artdiff.evaluation.bootstrap import counts, interval
from artdiff.evaluation.frechet import frechet_distance
from artdiff.evaluation.kernel import kernel_distance
from artdiff.evaluation.manifold import precision_recall
from artdiff.nn.unet_classifier import ClassifierUNet
from artdiff.process import respace
from artdiff.random import Noise
from artdiff.train.data import to_images
from artdiff.vlb import variational_bound


def phase_bound(story: Story) -> None:
    """Bound the bits per dimension of held-out pictures, every step of the process."""
    pictures, labels, _ = story.real()
    for row in ROWS:
        path = story.runs / "story-samples" / f"bound-{row}.npz"
        if path.exists() or not story.weights(row).exists() or row not in story.rows:
            continue
        print("bound", row, flush=True)
        found = _bounds(Net(story.weights(row)), row, pictures, labels, story.sizes)
        path.parent.mkdir(exist_ok=True)
        np.savez(path, **found)  # type: ignore[arg-type]


def _bounds(
    net: Net, row: str, pictures: np.ndarray, labels: np.ndarray, sizes: Sizes
) -> dict[str, np.ndarray]:
    """Totals (n,), priors (n,) and mean terms (N,) for each variance; the mean f of each step."""
    process = net.process
    if sizes.bound_steps < len(process):
        process = respace(process, str(sizes.bound_steps))
    kinds: tuple[Any, ...] = VARIANCES.get(row, LEARNED)
    found: dict[str, list[Tensor]] = {}
    for rows in chunks(sizes.bound, 16):
        x0 = to_images(pictures[rows.start : rows.stop])
        classes, y = net.facts.network.classes, None
        if classes:
            here = torch.from_numpy(labels[rows.start : rows.stop])
            y = nn.functional.one_hot(here, classes).float()
        outputs: list[Tensor] = []
        for kind in kinds:
            ask = _remembering(net, y, outputs)
            bound = variational_bound(process, ask, x0, Noise(tuple(rows)), variance=kind)
            found.setdefault(f"{kind}-total", []).append(bound.total)
            found.setdefault(f"{kind}-prior", []).append(bound.prior)
            found.setdefault(f"{kind}-terms", []).append(bound.terms)
        if kinds == LEARNED:
            places = [(output[:, 3:].mean() + 1) / 2 for output in reversed(outputs)]
            found.setdefault("place", []).append(torch.stack(places)[None])
    joined = {name: torch.cat(parts) for name, parts in found.items()}
    means = ("place", "terms")
    return {
        name: (part.mean(0) if name.endswith(means) else part).double().numpy()
        for name, part in joined.items()
    }


def _remembering(net: Net, y: Tensor | None, outputs: list[Tensor]) -> Any:
    """Ask the network, or, where it was asked the same before, remember."""
    before = iter(list(outputs))

    def ask(x: Tensor, time: Tensor) -> Tensor:
        known = next(before, None)
        if known is None:
            known = net(x, time, y)
            outputs.append(known)
        return known

    return ask


class Judge:
    """Features and scenes of clean pictures, by two classifiers of noisy ones at t = 0."""

    def __init__(self, story: Story) -> None:
        self.nets = [Net(story.weights(name)) for name in ("judge-scene", "judge-style")]

    @torch.no_grad()
    def __call__(self, pictures: np.ndarray) -> tuple[Tensor, Tensor]:
        """Features (N, D) and scenes (N,) of uint8 pictures (N, H, W, 3)."""
        features, scenes = [], []
        for rows in chunks(len(pictures), 64):
            images = to_images(pictures[rows.start : rows.stop])
            both = [_pooled(net, images) for net in self.nets]
            features.append(torch.cat([pooled for pooled, _ in both], dim=1))
            scenes.append(both[0][1].argmax(1))
        return torch.cat(features), torch.cat(scenes)


def _pooled(net: Net, images: Tensor) -> tuple[Tensor, Tensor]:
    """What a classifier's last layer sees, (B, C), and its logits, (B, K)."""
    network, kept = net.network, []
    assert isinstance(network, ClassifierUNet)
    handle = network.out[2].register_forward_hook(lambda _, __, out: kept.append(out))
    logits = net(images, torch.zeros(len(images)))
    handle.remove()
    return kept[0].float().flatten(1), logits


def texture(pictures: np.ndarray) -> Tensor:
    """Colours and textures of uint8 pictures (N, H, W, 3), (N, 30), without any weights.

    The mean of each channel, and the logarithm of the energy of each channel's horizontal,
    vertical and diagonal Haar details at three scales.
    """
    images = to_images(pictures)
    parts = [images.mean((2, 3))]
    for _ in range(3):
        corners = [images[..., row::2, column::2] for row in (0, 1) for column in (0, 1)]
        a, b, c, d = corners
        for detail in (a - b + c - d, a + b - c - d, a - b - c + d):
            parts.append(((detail / 4).square().mean((2, 3)) + 1e-5).log())
        images = (a + b + c + d) / 4
    return torch.cat(parts, dim=1)


def phase_measure(story: Story) -> None:
    """Write what is known to story.json."""
    pictures, labels, held_out = story.real()
    sizes, scenes, judge = story.sizes, torch.from_numpy(labels), Judge(story)
    features, seen = judge(pictures[:held_out])
    spread = features.std(0).clamp(min=1e-6)
    reference = features / spread
    plain = texture(pictures[:held_out])
    scale = plain.std(0)

    def numbers(made: np.ndarray, told: bool, first: int) -> dict[str, Any]:
        found, classes = judge(made)
        found = found / spread
        value = frechet_distance(found, reference)
        low, high = interval(
            value,
            lambda step: frechet_distance(found, reference, counts(0, "story", step, len(found))),
            sizes.rounds,
            recentre=True,
            bounds=(0, float("inf")),
        )
        result: dict[str, Any] = {"n": len(made), "fd": value, "fd_low": low, "fd_high": high}
        result["texture"] = frechet_distance(texture(made) / scale, plain / scale)
        result["kid"] = kernel_distance(found, reference)
        few = found[:first], texture(made[:first]) / scale
        result["fd_few"] = frechet_distance(few[0], reference)
        result["texture_few"] = frechet_distance(few[1], plain / scale)
        near = reference[: sizes.count][: len(made)]
        result["precision"], result["recall"] = precision_recall(found, near)
        if told:
            right = classes == scenes[: len(made)]
            result["accuracy"] = right.double().mean().item()
        return result

    sets = {
        "floor": numbers(pictures[held_out : held_out + sizes.count], False, sizes.long_count),
        "floor-guided": numbers(
            pictures[held_out : held_out + sizes.guided_count], False, sizes.long_count
        ),
    }
    for job in (*jobs(sizes), *more_jobs(sizes)):
        path = story.pictures(job.key)
        if path.exists():
            told = job.told or job.scale is not None
            sets[job.key] = numbers(np.load(path), told, sizes.long_count)
    for name in ("adm-learned", "free-learned"):
        path = story.pictures(f"{name}-{sizes.guided_steps}")
        if path.exists():
            made = np.load(path)[: sizes.guided_count]
            key = {"adm-learned": "told", "free-learned": "free"}[name]
            sets[f"{key}-guided-0"] = numbers(made, True, sizes.long_count)
    right = (seen == scenes[:held_out]).double().mean().item()
    result = {
        "made_by": "python bench/story.py all",
        "held_out": held_out,
        "judge_accuracy": right,
        "rows": {name: _facts(story, name) for name in (*ROWS, *HALVES, *HELPERS)},
        "samples": sets,
    }
    text = json.dumps(_rounded(result), indent=1, sort_keys=True)
    (story.out / "story.json").write_text(text + "\n", "utf-8")


def _facts(story: Story, name: str) -> dict[str, Any]:
    """What is known of a training: its size, its compute, its last validation, its bound."""
    recipe = story.recipe(name)
    facts: dict[str, Any] = {
        "macs": multiply_adds(recipe),
        "steps": recipe.stop.steps,
        "batch": recipe.batch,
        "compute": compute(recipe),
    }
    if not story.weights(name).exists():
        return facts
    net = Net(story.weights(name))
    facts |= {"parameters": net.parameters, "minutes": net.minutes}
    facts["validation"] = validations(story, name)[-1][1]
    if name in HELPERS:
        examples = story.examples(name)
        assert examples.labels is not None
        held_out = examples.labels[: recipe.data.held_out]
        facts["commonest"] = np.bincount(held_out).max() / len(held_out)
    path = story.runs / "story-samples" / f"bound-{name}.npz"
    if path.exists():
        found = np.load(path)
        facts["bits"] = {
            kind: {
                "n": len(found[f"{kind}-total"]),
                "total": found[f"{kind}-total"].mean(),
                "prior": found[f"{kind}-prior"].mean(),
                "decoder": found[f"{kind}-terms"][0],
            }
            for kind in VARIANCES.get(name, LEARNED)
        }
        if "place" in found:
            facts["bits"]["learned-range"]["f"] = found["place"].mean()
    return facts


def _rounded(value: Any) -> Any:
    """Numbers of five digits."""
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    if isinstance(value, float):
        return float(f"{value:.5g}")
    return value
