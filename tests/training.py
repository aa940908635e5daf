"""Small datasets and recipes that the tests of training share."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from pydantic import BaseModel

from artdiff.train import run as running
from artdiff.train.kinds import parse_recipe
from artdiff.train.report import read_metrics

COLOURS = {
    "red": (220, 40, 40), "green": (30, 190, 60), "blue": (40, 60, 220), "white": (250, 250, 250),
}  # fmt: skip


class Shapes:
    """A coloured disc or square on a coloured ground."""

    name = "shapes"
    version = "1"

    class Options(BaseModel, extra="forbid"):
        size: int = 32

    def __init__(self, options=None):
        self.options = options or self.Options()

    def attributes(self, index):
        draws = np.random.default_rng(index)
        names = list(COLOURS)
        return {
            "shape": ["disc", "square"][draws.integers(2)],
            "colour": names[draws.integers(4)],
            "ground": names[draws.integers(4)],
            "at": draws.random(2).tolist(),
        }

    def picture(self, index):
        facts, size = self.attributes(index), self.options.size
        rows, columns = (np.mgrid[:size, :size] + 0.5) / size
        away = np.stack([rows - facts["at"][0], columns - facts["at"][1]])
        disc = np.hypot(*away) < 0.3
        inside = disc if facts["shape"] == "disc" else np.abs(away).max(0) < 0.25
        picture = np.where(inside[..., None], COLOURS[facts["colour"]], COLOURS[facts["ground"]])
        return picture.astype(np.uint8)

    def caption(self, index, draw):
        facts = self.attributes(index)
        if draw % 2:
            return f"a {facts['colour']} {facts['shape']} on {facts['ground']}"
        return f"{facts['shape']} in {facts['colour']}, {facts['ground']} ground"

    def vocabulary(self):
        return sorted({*COLOURS, "disc", "square", "a", "on", "in", "ground"})


class Counting(Shapes):
    """Notes which pictures were asked for."""

    def __init__(self, options=None):
        super().__init__(options)
        self.asked = []

    def picture(self, index):
        self.asked.append(index)
        return super().picture(index)


COMMON = {
    "seed": 3,
    "data": {"dataset": "shapes", "count": 96, "held_out": 16, "workers": 0},
    "cadence": {"save_steps": 5, "validate_steps": 40, "sheet_steps": 40},
}
UNET = {"width": 32, "multipliers": [1, 1], "blocks": 1, "attention": [2], "heads": 2}
DATA = {**COMMON["data"], "size": 8}
LABELLED = {**DATA, "label": "ground"}


def codec_recipe(steps=60, **changes):
    small = {"channels": 4, "patch": 2, "encoder_widths": [16, 24], "encoder_depths": [1, 1],
             "decoder_widths": [16, 32], "decoder_depths": [1, 1]}  # fmt: skip
    return parse_recipe({
        **COMMON, "kind": "autoencoder", "batch": 8,
        "autoencoder": {"model": small, "crop": 16, "validation": 16},
        "optim": {"name": "adamw", "adam_lr": 4e-3, "warmup": 5, "course": "cosine"},
        "ema": {"half_life": 5}, "stop": {"steps": steps},
        "cadence": {"save_steps": 5, "validate_steps": 30, "sheet_steps": 30},
        **changes,
    })  # fmt: skip


def denoiser_recipe(codec, steps=80, **changes):
    small = {"channels": 4, "stem": 16, "stem_depth": 1, "width": 32, "depth": 2, "heads": 2,
             "hidden": 64, "vocabulary": 24, "text_length": 8, "text_width": 24, "text_depth": 1,
             "text_heads": 2}  # fmt: skip
    return parse_recipe({
        **COMMON, "kind": "denoiser", "batch": 16,
        "denoiser": {"codec": str(codec), "model": small, "prompts": ["red disc on blue"],
                     "sheet_steps": 3},
        "optim": {"muon_lr": 1e-2, "adam_lr": 4e-3, "warmup": 5, "cooldown": 0.25},
        "ema": {"decay": 0.9}, "stop": {"steps": steps},
        **changes,
    })  # fmt: skip


def distil_recipe(folder, steps=160, lr=1e-2, table=None, **changes):
    """A recipe for a student of the ``denoiser`` in `folder`, beside whose ``codec`` it lies."""
    part = {
        "codec": str(folder / "codec" / "model.safetensors"),
        "teacher": str(folder / "denoiser" / "model.safetensors"),
        "scale": [1, 6], "validation": 16, "reference": 16, "prompts": ["red disc on blue"],
    }  # fmt: skip
    return parse_recipe({
        **COMMON, "kind": "distil", "batch": 16, "distil": part | (table or {}),
        "optim": {"muon_lr": lr, "adam_lr": 0.4 * lr, "warmup": 5, "cooldown": 0.4,
                  "weight_decay": 0.0},
        "ema": {"decay": 0.9}, "stop": {"steps": steps},
        **changes,
    })  # fmt: skip


def pixel_recipe(kind, steps=40, table=None, **changes):
    """A recipe of kind diffusion, classifier or upsampler."""
    parts = {
        "diffusion": {"steps": 24, "sheet_steps": "4", "validation": 16},
        "upsampler": {"steps": 24, "sheet_steps": "4", "validation": 16, "factor": 2},
        "classifier": {"steps": 24, "validation": 16},
    }
    model = UNET | ({"head_channels": 16} if kind == "classifier" else {})
    return parse_recipe({
        **COMMON, "kind": kind, "batch": 8, "data": LABELLED,
        kind: {"model": model, **parts[kind], **(table or {})},
        "optim": {"name": "adamw", "adam_lr": 2e-3, "warmup": 5, "weight_decay": 0.0},
        "ema": {"half_life": 5}, "stop": {"steps": steps},
        **changes,
    })  # fmt: skip


def losses(folder):
    return [
        line["loss"] for line in read_metrics(Path(folder) / "metrics.jsonl") if "loss" in line
    ]


def validations(folder, name):
    lines = read_metrics(Path(folder) / "metrics.jsonl")
    return [line["validation"][name] for line in lines if "validation" in line]


class Killed(BaseException):
    """What no code of ours catches."""


@contextmanager
def ended_at(step, how=None):
    """Here, training ends all at once after `step` steps, as if the power had gone."""
    advance = running.Run.advance

    def mortal(run):
        value = advance(run)
        if run.step == step:
            if how is not None:
                os.kill(os.getpid(), how)
            raise Killed
        return value

    running.Run.advance = mortal
    try:
        yield
    finally:
        running.Run.advance = advance


def train_apart(recipe, folder, wait=True, **task):
    """Train in a process of its own."""
    task |= {"recipe": recipe.model_dump(mode="json"), "folder": str(folder)}
    command = [sys.executable, __file__, json.dumps(task)]
    if not wait:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return subprocess.run(command, capture_output=True, text=True)


if __name__ == "__main__":  # a training in a process of its own, or of torchrun's
    import torch

    from artdiff.train.loop import train

    torch.set_num_threads(1)
    task = json.loads(sys.argv[1])
    with ended_at(task.get("die_at"), signal.SIGKILL):
        train(parse_recipe(task["recipe"]), Shapes(), Path(task["folder"]))
