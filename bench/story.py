"""The story of docs/story.md, from nothing: train, sample, bound, measure, draw, write.

    python bench/story.py all                    # about five hours on one core
    python bench/story.py sample bound           # some of it
    python bench/story.py all --quick --runs quick    # does it run? minutes, no meaning

Every phase leaves out what is there already, so it can be stopped at any time. Models, samples
and bounds lie in the folder --runs; numbers go to docs/story.json, pictures to docs/pictures and
tables to docs/story.md (with --quick into the folder --runs as well).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from artdiff.backends.unet import NoisyClassifier, denoiser_of_network
from artdiff.denoise import bind
from artdiff.evaluation.bootstrap import counts, interval
from artdiff.evaluation.frechet import frechet_distance
from artdiff.evaluation.kernel import kernel_distance
from artdiff.evaluation.manifold import precision_recall
from artdiff.nn.unet_classifier import ClassifierUNet
from artdiff.nn.unet_facts import KINDS, NetworkFacts
from artdiff.noise import Level
from artdiff.process import respace
from artdiff.random import Noise
from artdiff.registry import create_registry
from artdiff.sample import Sampler, sample
from artdiff.samplers import DDIM, DDPM
from artdiff.train.checkpoint import read_tensors
from artdiff.train.data import to_images, to_pictures
from artdiff.train.examples import Examples
from artdiff.train.kinds import load_recipe
from artdiff.train.loop import train
from artdiff.train.recipe import Recipe, StopRecipe
from artdiff.vlb import variational_bound

ROOT = Path(__file__).parent.parent
ROWS = ("ddpm", "cosine", "iddpm", "vlb", "adm")
HALVES = ("base16", "upsampler")
HELPERS = ("classifier", "judge-scene", "judge-style")
VARIANCES = {"ddpm": ("large", "small"), "cosine": ("large", "small")}
LEARNED = ("learned-range",)
CLASSES = {"scene": 15, "style": 10}
SCALES = (0.5, 1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    count: int = 256
    long_count: int = 128
    steps: tuple[int, ...] = (10, 25, 50)
    long_steps: int = 250
    guided_count: int = 128
    guided_steps: int = 25
    bound: int = 16
    bound_steps: int = 1000
    batch: int = 64
    rounds: int = 100


QUICK = Sizes(8, 8, (2, 3), 4, 8, 2, 4, 4, 8, 3)


@dataclass(frozen=True)
class Story:
    """Where things lie, and how large they are."""

    runs: Path
    out: Path
    sizes: Sizes
    quick: bool = False
    rows: tuple[str, ...] = (*ROWS, *HALVES)

    def recipe(self, name: str) -> Recipe:
        """The shipped recipe of a row; a tiny one of the same kind if quick."""
        path = Path(str(files("artdiff.train") / "recipes" / f"story-{name}.toml"))
        recipe = load_recipe(path)
        data = recipe.data.model_copy(update={"cache": self.runs / "data", "workers": 0})
        if not self.quick:
            return recipe.model_copy(update={"data": data})
        few = {"count": 48, "held_out": 16, "options": {"size": 64}}
        data = data.model_copy(update=few)
        part = getattr(recipe, recipe.kind).model_copy(update={"validation": 4})
        tiny = {"data": data, "stop": StopRecipe(steps=2), "batch": 4, recipe.kind: part}
        return recipe.model_copy(update=tiny)

    def weights(self, name: str) -> Path:
        """Where a row's trained weights lie."""
        return self.runs / f"story-{name}" / "model.safetensors"

    def examples(self, name: str = "adm") -> Examples:
        """The pictures that a row was trained on, and those held out."""
        recipe = self.recipe(name)
        return Examples(recipe, _dataset(recipe), self.runs / "data")

    def real(self) -> tuple[np.ndarray, np.ndarray, int]:
        """All pictures, their scenes, and how many of the first are held out."""
        examples = self.examples()
        assert examples.labels is not None
        return examples.pictures, examples.labels, examples.recipe.data.held_out

    def pictures(self, key: str) -> Path:
        """Where samples lie."""
        return self.runs / "story-samples" / f"{key}.npy"


def _dataset(recipe: Recipe) -> Any:
    kind = create_registry().get("datasets", recipe.data.dataset)
    return kind(kind.Options(**recipe.data.options))


def multiply_adds(recipe: Recipe) -> int:
    """Multiply-adds of one picture's way forward through the network that a recipe trains."""
    part: Any = getattr(recipe, recipe.kind)
    side = recipe.data.size or 0
    classes = CLASSES.get(recipe.data.label or "")
    kind = {"diffusion": "unet", "upsampler": "superres"}.get(recipe.kind, recipe.kind)
    facts: dict[str, Any] = {"classes": classes}
    if kind == "classifier":
        facts["size"] = side
    else:
        facts["learned_variance"] = part.variance == "learned-range"
    with torch.device("meta"):
        network: Any = KINDS[kind][0](replace(part.model, **facts))  # type: ignore[arg-type]
        inputs = [torch.zeros(1, 3, side, side), torch.zeros(1)]
        inputs += [torch.zeros(1, 3, side // 2, side // 2)] if kind == "superres" else []
        inputs += [torch.zeros(1, classes)] if kind != "classifier" and classes else []
        with FlopCounterMode(display=False) as counter:
            network(*inputs)
    return counter.get_total_flops() // 2


def compute(recipe: Recipe) -> int:
    """Multiply-adds of all forward passes of a training; a backward pass is about two more."""
    return multiply_adds(recipe) * recipe.batch * (recipe.stop.steps or 0)


class Net:
    """A trained network, asked in the precision that it was trained in, bfloat16."""

    def __init__(self, path: Path) -> None:
        tensors, values = read_tensors(path)
        self.facts = NetworkFacts.read(values, str(path))
        self.minutes = float(values["minutes"])
        network = self.facts.build()
        network.load_state_dict(tensors)
        self.network: nn.Module = network.float().eval().requires_grad_(False)
        self.process = self.facts.process.process()
        self.parameters = sum(p.numel() for p in self.network.parameters())

    def __call__(self, *inputs: Tensor | None) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return self.network(*inputs).float()


def phase_train(story: Story) -> None:
    """Train what is not trained."""
    for name in (*ROWS, *HALVES, *HELPERS):
        if not story.weights(name).exists():
            recipe = story.recipe(name)
            train(recipe, _dataset(recipe), story.runs / f"story-{name}")


@dataclass(frozen=True)
class Job:
    """A set of samples: `key` names it, `row` makes it."""

    key: str
    row: str
    sampler: str
    steps: int
    count: int
    told: bool = False
    scale: float | None = None


def jobs(sizes: Sizes) -> Iterator[Job]:
    """The sets of samples that compare all rows, and those of guidance."""
    for row in ROWS:
        own = "large" if row in VARIANCES else "learned"
        for sampler in (own, "ddim"):
            for steps in sizes.steps:
                key = f"{row}-{sampler}-{steps}"
                yield Job(key, row, sampler, steps, sizes.count, told=row == "adm")
    steps = sizes.guided_steps
    yield Job(f"cascade-learned-{steps}", "base16", "learned", steps, sizes.count)
    yield Job(f"free-learned-{steps}", "adm", "learned", steps, sizes.count)
    for told in (False, True):
        for scale in SCALES:
            key = f"{'told' if told else 'free'}-guided-{scale:g}"
            yield Job(key, "adm", "learned", steps, sizes.guided_count, told, scale)


def more_jobs(sizes: Sizes) -> Iterator[Job]:
    """The other fixed variance, and longer walks."""
    for row in VARIANCES:
        for steps in sizes.steps:
            yield Job(f"{row}-small-{steps}", row, "small", steps, sizes.count)
    for row in ("ddpm", "iddpm", "adm"):
        own, steps = "large" if row in VARIANCES else "learned", sizes.long_steps
        key = f"{row}-{own}-{steps}"
        yield Job(key, row, own, steps, sizes.long_count, told=row == "adm")


@dataclass(frozen=True, eq=False)
class _Known:
    """An answer that was given already."""

    x0: Tensor
    place: Tensor

    def __call__(self, x: Tensor, at: Level) -> Tensor:
        return self.x0

    def with_variance(self, x: Tensor, at: Level) -> tuple[Tensor, Tensor]:
        return self.x0, self.place


@dataclass(frozen=True, eq=False)
class Guided:
    r"""Ancestral steps with learned variance, moved by a classifier of noisy pictures.

    .. math:: x_b \sim N(\mu + s \Sigma \nabla_x \log p(y \mid x_a),\ \Sigma)

    Dhariwal & Nichol, arXiv 2105.05233, Algorithm 1.
    """

    classifier: Callable[[Tensor, Level], Tensor]
    labels: Tensor
    scale: float
    name: ClassVar[str] = "guided"
    order: ClassVar[int] = 1
    nfe: ClassVar[int] = 1

    def init(self, steps: int) -> None:
        return None

    def step(
        self, denoise: Any, x: Tensor, a: Level, b: Level, state: None, noise: Noise
    ) -> tuple[Tensor, Tensor, None]:
        x0, place = denoise.with_variance(x, a)
        drawn, _, _ = DDPM("learned").step(_Known(x0, place), x, a, b, None, noise)
        if b.sigma == 0:
            return drawn, x0, None
        kept = b.sigma / a.sigma
        least = kept**2 * (a.sigma**2 - (a.alpha / b.alpha * b.sigma) ** 2)
        variance = least * kept ** (-2 * place)
        with torch.enable_grad():
            leaf = x.detach().clone().requires_grad_()
            logs = self.classifier(leaf, a).float().log_softmax(1)
            chosen = logs.gather(1, self.labels[:, None]).sum()
            (gradient,) = torch.autograd.grad(chosen, leaf)
        return drawn + self.scale * variance * gradient, x0, None


def phase_sample(story: Story) -> None:
    """Draw the sets of samples whose models are trained."""
    _draw(story, jobs(story.sizes))


def phase_more(story: Story) -> None:
    """Draw those of `more_jobs`."""
    _draw(story, more_jobs(story.sizes))


def _draw(story: Story, wanted: Iterable[Job]) -> None:
    nets: dict[str, Net] = {}

    def net(name: str) -> Net:
        if name not in nets:
            nets[name] = Net(story.weights(name))
        return nets[name]

    labels = torch.from_numpy(story.real()[1])
    for job in wanted:
        path = story.pictures(job.key)
        needed = [job.row, *(["classifier"] if job.scale is not None else [])]
        needed += ["upsampler"] if job.row == "base16" else []
        trained = all(story.weights(name).exists() for name in needed)
        if path.exists() or not trained or job.row not in story.rows:
            continue
        print(job.key, flush=True)
        made = _samples(job, net, labels, story.sizes.batch)
        path.parent.mkdir(exist_ok=True)
        if job.row == "base16":
            np.save(story.pictures("base16"), made)
            made = _enlarged(made, net("upsampler"), job, story.sizes.batch)
        np.save(path, made)


def _samples(job: Job, net: Callable[[str], Net], labels: Tensor, batch: int) -> np.ndarray:
    """Samples of a job, uint8 (count, H, W, 3); those of adm are told, or led to, `labels`."""
    model, parts = net(job.row), []
    for rows in _chunks(job.count, batch):
        here, cond = labels[rows.start : rows.stop], {}
        if job.told:
            classes = model.facts.network.classes or 0
            cond["classes"] = nn.functional.one_hot(here, classes).float()
        sampler: Sampler[Any] = DDIM() if job.sampler == "ddim" else DDPM(job.sampler)  # type: ignore[arg-type]
        if job.scale is not None:
            sampler = Guided(_noisy(net("classifier")), here, job.scale)
        parts.append(_drawn(model, sampler, job.steps, rows, cond))
    return np.concatenate(parts)


def _noisy(net: Net) -> NoisyClassifier:
    network: Any = net
    return NoisyClassifier(network, net.facts, net.process.schedule)


@torch.no_grad()
def _drawn(
    net: Net, sampler: Sampler[Any], steps: int, rows: range, cond: dict[str, Tensor]
) -> np.ndarray:
    noise, side = Noise(tuple(rows)), net.facts.size
    denoise = bind(denoiser_of_network(net, net.facts), cond)  # type: ignore[arg-type]
    x = noise.normal(torch.empty(len(rows), 3, side, side), "start")
    for step in sample(sampler, denoise, x, respace(net.process, str(steps)).levels(), noise):
        x = step.x
    return to_pictures(x)


def _enlarged(small: np.ndarray, net: Net, job: Job, batch: int) -> np.ndarray:
    """Small pictures through the upsampler."""
    parts = []
    for rows in _chunks(len(small), batch):
        low = {"low": to_images(small[rows.start : rows.stop])}
        parts.append(_drawn(net, DDPM("learned"), job.steps, rows, low))
    return np.concatenate(parts)


def _chunks(count: int, batch: int) -> list[range]:
    return [range(at, min(at + batch, count)) for at in range(0, count, batch)]


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
    for rows in _chunks(sizes.bound, 16):
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
        for rows in _chunks(len(pictures), 64):
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


def validations(story: Story, name: str) -> list[tuple[int, dict[str, float]]]:
    """Step and numbers of each validation of a training."""
    text = (story.runs / f"story-{name}" / "metrics.jsonl").read_text("utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    return [(line["step"], line["validation"]) for line in lines if "validation" in line]


def _rounded(value: Any) -> Any:
    """Numbers of five digits."""
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    if isinstance(value, float):
        return float(f"{value:.5g}")
    return value


def phase_draw(story: Story) -> None:
    """Draw the pictures."""
    from story_pictures import draw_all  # beside this file

    draw_all(story)


def phase_page(story: Story) -> None:
    """Write the tables into the page."""
    from story_tables import write_tables  # beside this file

    if not story.quick:
        write_tables(ROOT / "docs" / "story.md", ROOT / "docs" / "story.json")


PHASES = {
    "train": phase_train,
    "sample": phase_sample,
    "bound": phase_bound,
    "more": phase_more,
    "measure": phase_measure,
    "draw": phase_draw,
    "page": phase_page,
}


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("phases", nargs="+", choices=["all", *PHASES])
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--rows", nargs="+", default=(*ROWS, *HALVES), help="sample only these")
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args(words)
    out = asked.runs if asked.quick else ROOT / "docs"
    sizes = QUICK if asked.quick else Sizes()
    story = Story(asked.runs, out, sizes, asked.quick, tuple(asked.rows))
    for name in PHASES if "all" in asked.phases else asked.phases:
        PHASES[name](story)


if __name__ == "__main__":
    main()
