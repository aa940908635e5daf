"""The pictures of docs/story.md; bench/story.py draws them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from story_runs import ROWS, SCALES, VARIANCES, Net, Story, validations

from artdiff.backends.unet import denoiser_of_network
from artdiff.denoise import bind
from artdiff.process import BETAS, Process, respace
from artdiff.random import Noise
from artdiff.sample import sample
from artdiff.samplers import DDPM
from artdiff.train.data import to_images, to_pictures

NAMES = {
    "ddpm": "1 ddpm",
    "cosine": "2 cosine",
    "iddpm": "3 iddpm",
    "vlb": "4 vlb",
    "adm": "5 adm",
}
TIMES = (0, 50, 150, 300, 450, 600, 750, 900, 999)


def draw_all(story: Story) -> None:
    """Draw every picture whose parts are there, into docs/pictures (or beside story.json)."""
    folder = story.out / "pictures"
    folder.mkdir(exist_ok=True)
    real = story.real()[0][:40]
    _grid(real, columns=10).save(folder / "story-real.png", optimize=True)
    _forward(story).save(folder / "story-forward.png", optimize=True)
    _schedules(folder / "story-schedules.png")
    _variances(story, folder / "story-variances.png")
    _bounds(story, folder / "story-bounds.png")
    _losses(story, folder / "story-losses.png")
    _steps(story, folder / "story-steps.png")
    _guided_curves(story, folder / "story-guidance-curves.png")
    if story.weights("iddpm").exists():
        _reverse(story).save(folder / "story-reverse.png", optimize=True)
    steps = max(story.sizes.steps)
    for row in ROWS:
        own = "large" if row in VARIANCES else "learned"
        path = story.pictures(f"{row}-{own}-{steps}")
        if path.exists():
            sheet = _grid(np.load(path)[:40], columns=10)
            sheet.save(folder / f"story-samples-{row}.png", optimize=True)
    _guidance(story, folder / "story-guidance.png")
    _cascade(story, folder / "story-cascade.png")


def _grid(
    pictures: Sequence[np.ndarray] | np.ndarray, columns: int, side: int = 64
) -> Image.Image:
    """Pictures in rows of `columns`, enlarged to `side` pixels without smoothing, 2 apart."""
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * (side + 2) - 2, rows * (side + 2) - 2), "white")
    for place, picture in enumerate(pictures):
        row, column = divmod(place, columns)
        large = Image.fromarray(picture).resize((side, side), Image.Resampling.NEAREST)
        sheet.paste(large, (column * (side + 2), row * (side + 2)))
    return sheet


def _forward(story: Story) -> Image.Image:
    """Two pictures on their way to noise, by the linear and by the cosine schedule."""
    pictures, _, _ = story.real()
    shown = []
    for index in (3, 8):
        x0 = to_images(pictures[index : index + 1])
        eps = Noise([index]).normal(x0, "eps")
        for name in ("linear", "cosine"):
            process = Process.named(name)
            noisy = [process.q_sample(x0, torch.tensor([t]), eps) for t in TIMES]
            shown += [to_pictures(x)[0] for x in noisy]
    return _grid(shown, len(TIMES), 72)


def _reverse(story: Story) -> Image.Image:
    """Two samples on their way from noise: x above, the expected picture below."""
    net = Net(story.weights("iddpm"))
    noise, side = Noise((0, 1)), net.facts.size
    denoise = bind(denoiser_of_network(net, net.facts), {})  # type: ignore[arg-type]
    x = noise.normal(torch.empty(2, 3, side, side), "start")
    levels = respace(net.process, str(max(story.sizes.steps))).levels()
    with torch.no_grad():
        walk = list(sample(DDPM("learned"), denoise, x, levels, noise))
    places = np.linspace(0, len(walk) - 1, len(TIMES)).round().astype(int)
    shown = []
    for index in range(2):
        shown += [to_pictures(walk[place].x)[index] for place in places]
        shown += [to_pictures(walk[place].x0)[index] for place in places]
    return _grid(shown, len(TIMES), 72)


def _figure(columns: int, path: Path) -> tuple[list[Axes], Figure]:
    figure = Figure(figsize=(4.6 * columns, 3.5), dpi=100, layout="constrained")
    axes = [figure.add_subplot(1, columns, place + 1) for place in range(columns)]
    for each in axes:
        each.grid(alpha=0.3)
    return axes, figure


def _color(row: str) -> str:
    return f"C{ROWS.index(row)}"


def _schedules(path: Path) -> None:
    (left, right), figure = _figure(2, path)
    for name in BETAS:
        kept = Process.named(name).alphas_cumprod
        left.plot(kept, label=name)
        right.plot((kept / (1 - kept)).log(), label=name)
    left.set(xlabel="t", title="signal left, alpha-bar")
    right.set(xlabel="t", title="log SNR", ylim=(-12, 10))
    left.legend()
    figure.savefig(path)


def _variances(story: Story, path: Path) -> None:
    (left, right), figure = _figure(2, path)
    for steps in (100, 1000, 4000):
        process = Process.named("cosine", steps)
        ratio = process.posterior_log_variance.exp() / process.betas
        left.plot(torch.linspace(0, 1, steps), ratio, label=f"N = {steps}")
    left.set(xlabel="t / N", title="least over most variance, cosine", ylim=(0, 1.05))
    left.legend()
    for row in ROWS:
        found = _bound(story, row)
        if "place" in found:
            t = np.arange(len(found["place"])) + 1
            right.plot(t, found["place"], label=NAMES[row], color=_color(row))
    right.set(
        xlabel="t + 1", xscale="log", title="learned f: 0 is the least, 1 the most", ylim=(0, 1.05)
    )
    right.legend()
    figure.savefig(path)


def _bound(story: Story, row: str) -> dict[str, np.ndarray]:
    path = story.runs / "story-samples" / f"bound-{row}.npz"
    return dict(np.load(path)) if path.exists() else {}


def _bounds(story: Story, path: Path) -> None:
    (left, right), figure = _figure(2, path)
    for row in ROWS:
        for name, terms in _bound(story, row).items():
            if not name.endswith("terms"):
                continue
            kind = name.removesuffix("-terms")
            label = NAMES[row] + (f", {kind}" if row in VARIANCES else "")
            t = np.arange(len(terms)) + 1
            look: Any = {"label": label, "linewidth": 1, "color": _color(row)}
            look["linestyle"] = "--" if kind == "small" else "-"
            left.plot(t, np.maximum(terms, 1e-6), **look)
            right.plot(t, terms[::-1].cumsum()[::-1], **look)
    left.set(xlabel="t + 1", xscale="log", yscale="log", title="terms of the bound, bits/dim")
    right.set(xlabel="t + 1", xscale="log", title="their sum from t on", ylim=(0, None))
    right.legend(fontsize="small")
    figure.savefig(path)


def _losses(story: Story, path: Path) -> None:
    (left, right), figure = _figure(2, path)
    for row in ROWS:
        if not story.weights(row).exists():
            continue
        found = validations(story, row)
        last = found[-1][0]
        done = [step / last for step, _ in found]
        errors = [
            [value for name, value in numbers.items() if name.startswith("error")]
            for _, numbers in found
        ]
        if all(errors):
            left.plot(
                done,
                [np.mean(each) for each in errors],
                "o-",
                ms=3,
                label=NAMES[row],
                color=_color(row),
            )
        if all("vb" in numbers for _, numbers in found):
            bits = [numbers["vb"] for _, numbers in found]
            right.plot(done, bits, "o-", ms=3, label=NAMES[row], color=_color(row))
    left.set(xlabel="share of the compute", title="L_simple, held-out pictures", ylim=(0, None))
    right.set(xlabel="share of the compute", title="L_vlb, every fourth t", ylim=(6, 11))
    left.legend()
    right.legend()
    figure.savefig(path)


def _numbers(story: Story) -> dict:
    path = story.out / "story.json"
    return json.loads(path.read_text("utf-8"))["samples"] if path.exists() else {}


def _steps(story: Story, path: Path) -> None:
    (left, right), figure = _figure(2, path)
    found, steps = _numbers(story), story.sizes.steps
    for row in ROWS:
        own = "large" if row in VARIANCES else "learned"
        for axes, samplers in ((left, (own, "small")), (right, ("ddim",))):
            for sampler in samplers:
                keys = [f"{row}-{sampler}-{count}" for count in steps]
                if not all(key in found for key in keys):
                    continue
                style = "--" if sampler == "small" else "-"
                label = NAMES[row] + (f", {sampler}" if row in VARIANCES and axes is left else "")
                values = [found[key]["texture"] for key in keys]
                axes.plot(steps, values, "o" + style, ms=3, label=label, color=_color(row))
    for axes, title in ((left, "ancestral"), (right, "DDIM")):
        if "floor" in found:
            axes.axhline(found["floor"]["texture"], color="0.5", linewidth=0.8, linestyle=":")
        axes.set(xlabel="steps", title=f"texture FD, {title}", yscale="log", xticks=steps)
        axes.legend(fontsize="small")
    right.set_ylim(left.get_ylim())
    figure.savefig(path)


def _guided_curves(story: Story, path: Path) -> None:
    axes, figure = _figure(3, path)
    found = _numbers(story)
    for key, label in (("free", "without labels"), ("told", "with labels")):
        scales = [s for s in (0, *SCALES) if f"{key}-guided-{s:g}" in found]
        if not scales:
            continue
        rows = [found[f"{key}-guided-{s:g}"] for s in scales]
        axes[0].plot(scales, [row["fd"] for row in rows], "o-", ms=3, label=label)
        axes[1].plot(scales, [row["accuracy"] for row in rows], "o-", ms=3, label=label)
        line = axes[2].plot(scales, [row["precision"] for row in rows], "o-", ms=3)
        color = line[0].get_color()
        axes[2].plot(scales, [row["recall"] for row in rows], "o--", ms=3, color=color)
    for each, title in zip(
        axes, ("FD", "scene recognised", "precision (-), recall (--)"), strict=True
    ):
        each.set(xlabel="scale of the classifier", title=title)
    axes[0].legend()
    figure.savefig(path)


def _guidance(story: Story, path: Path) -> None:
    """The same seeds and scenes at every scale, without labels above and with labels below."""
    _, labels, _ = story.real()
    scene = story.examples().classes.index("none")
    shown = [i for i in range(story.sizes.guided_count) if labels[i] != scene][:10]
    rows: list[np.ndarray] = []
    for key, base in (("free", "free-learned"), ("told", "adm-learned")):
        names = [f"{base}-{story.sizes.guided_steps}"]
        names += [f"{key}-guided-{scale:g}" for scale in (1.0, 4.0, 8.0)]
        if not all(story.pictures(name).exists() for name in names):
            return
        for name in names:
            rows += list(np.load(story.pictures(name))[shown])
    _grid(rows, len(shown)).save(path, optimize=True)


def _cascade(story: Story, path: Path) -> None:
    """Small samples, what the upsampler made of them."""
    made = story.pictures(f"cascade-learned-{story.sizes.guided_steps}")
    if made.exists():
        small, large = np.load(story.pictures("base16"))[:20], np.load(made)[:20]
        order = [*small[:10], *large[:10], *small[10:], *large[10:]]
        _grid(order, 10).save(path, optimize=True)
