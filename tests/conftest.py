"""A tiny model of the starter's kind with random weights, so that tests run in milliseconds."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path

import pytest

# Before torch is imported: tiny models are fastest on one thread, here and in subprocesses.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Models that whoever runs the tests has added are none of the tests' business.
os.environ["ARTDIFF_MODELS"] = os.path.join(os.path.dirname(__file__), "no-models")

# A shell that starts the tests in the background has them ignore Ctrl-C, and their children too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import torch
from training import Shapes, codec_recipe, denoiser_recipe

from artdiff.hookspecs import hookimpl
from artdiff.model import ModelCard
from artdiff.registry import Registry, Selection, create_registry

pytest_plugins = ["levels"]

WORDS = "a red blue fox cat in the snow sea at night day spring summer autumn winter".split()

CARD = """
name = "tiny"
backend = "latent-transformer"
title = "random weights for tests"
licence = "Apache-2.0"
weights = ["codec.safetensors", "denoiser.safetensors", "vocabulary.txt"]
multiple = 32

[defaults]
width = 32
height = 32
batch = 4
sampler = { name = "dpmpp_2m", steps = 4 }
guidance = { scale = 2.0 }
"""


def write_tiny_model(folder: Path) -> Path:
    """Write the weights, the vocabulary and the card of a tiny model."""
    from artdiff.nn.codec import Codec, CodecConfig
    from artdiff.nn.latent_transformer import LatentTransformer, LatentTransformerConfig
    from artdiff.nn.text import Tokenizer
    from artdiff.train.checkpoint import write_tensors

    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        codec = Codec(CodecConfig(
            channels=4, encoder_widths=(8, 8, 8), encoder_depths=(1, 1, 1),
            decoder_widths=(8, 8, 8), decoder_depths=(1, 1, 1),
        ))
        network = LatentTransformer(LatentTransformerConfig(
            channels=4, stem=8, stem_depth=1, width=32, depth=2, heads=2, hidden=32,
            vocabulary=32, text_length=12, text_width=16, text_depth=1, text_heads=2,
        ))
        for module in (codec, network):
            for parameter in module.parameters():
                if not parameter.any():
                    torch.nn.init.normal_(parameter, std=0.05)
    write_tensors(folder / "codec.safetensors", codec.state_dict(),
                  {"kind": "codec", "config": asdict(codec.config)})
    write_tensors(folder / "denoiser.safetensors", network.state_dict(),
                  {"kind": "denoiser", "config": asdict(network.config)})
    Tokenizer(WORDS, 12).save(folder / "vocabulary.txt")
    (folder / "card.toml").write_text(CARD, encoding="utf-8")
    return folder


class TinyModel:
    """A plugin that offers the tiny model."""

    def __init__(self, folder: Path) -> None:
        self.card = ModelCard.read(folder)

    @hookimpl
    def register_models(self) -> dict[str, ModelCard]:
        return {"tiny": self.card}


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def codec_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished training of a tiny codec."""
    from artdiff.train.loop import train

    folder = tmp_path_factory.mktemp("train") / "codec"
    assert train(codec_recipe(), Shapes(), folder) == folder / "model.safetensors"
    return folder


@pytest.fixture(scope="session")
def denoiser_run(codec_run: Path) -> Path:
    """The folder of a finished training of a tiny denoiser on that codec's latents."""
    from artdiff.train.loop import train

    folder = codec_run.parent / "denoiser"
    train(denoiser_recipe(codec_run / "model.safetensors"), Shapes(), folder)
    return folder


@pytest.fixture
def registry(tiny_folder: Path) -> Registry:
    """All installed plugins and the tiny model."""
    made = create_registry(Selection())
    made.manager.register(TinyModel(tiny_folder), "tiny-model")
    return made


@pytest.fixture
def tiny_plugin(tiny_folder: Path, tmp_path: Path) -> Path:
    """A plugin file that offers the tiny model, for ``--plugin``."""
    path = tmp_path / "tiny_model_plugin.py"
    path.write_text(
        "from pathlib import Path\n\nimport artdiff\n\n\n"
        "@artdiff.hookimpl\ndef register_models():\n"
        f"    return {{'tiny': artdiff.ModelCard.read(Path({str(tiny_folder)!r}))}}\n",
        encoding="utf-8",
    )
    return path


@pytest.fixture
def small_disk(tmp_path: Path) -> Callable[[str], AbstractContextManager[Path]]:
    """``with small_disk("64k") as folder``: a disk of that size, where one may be mounted here."""

    @contextmanager
    def mounted(size: str) -> Iterator[Path]:
        folder = tmp_path / "disk"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        allowed = shutil.which("mount") is not None
        if not allowed or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("no permission to mount a small disk")
        try:
            yield folder
        finally:
            subprocess.run(["umount", str(folder)], check=True)

    return mounted
