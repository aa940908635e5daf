"""Adding a denoiser that `artdiff train` made, with its codec and its words."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from artdiff.errors import ModelError
from artdiff.importers.card import UNKNOWN_LICENCE, toml_text, trained_tables
from artdiff.quality import Distilled
from artdiff.train.autoencoder import load_codec
from artdiff.train.denoiser import load_denoiser

WORDS = "vocabulary.txt"
LATENT = "denoiser"
"""What the weights of such a denoiser say to be, as their `kind`."""


def latent_files(file: Path, codec: Path | None) -> tuple[dict[str, Path], Callable[[str], str]]:
    """What goes into the folder of a denoiser's model, and the card by the model's name.

    :param file: the denoiser's weights; `vocabulary.txt` lies beside them.
    :param codec: the weights of the codec whose latents it learned, or the folder that
        `artdiff train` left them in.
    :returns: files by the names that they get, and the card as TOML.
    :raises ModelError: a part is missing, is not what it is said to be, or is of another codec.
    """
    if codec is None:
        raise ModelError(
            f"{file}: holds a denoiser of latents, which needs its codec: --codec FOLDER, such as "
            "that of the recipe's denoiser.codec"
        )
    codec = codec / "model.safetensors" if codec.is_dir() else codec
    words = file.with_name(WORDS)
    for part in (codec, words):
        if not part.is_file():
            raise ModelError(f"{part}: no such file")
    denoiser, tokenizer, facts = _loaded(load_denoiser, file)
    found = _loaded(load_codec, codec)
    digest = hashlib.sha256(codec.read_bytes()).hexdigest()[:12]
    if facts.get("codec") != digest:
        raise ModelError(
            f"{codec}: another codec than {file} learned from ({digest}, not {facts.get('codec')})"
        )
    factor, (_, height, width) = found.config.factor, facts["latent"]
    sampler = {"name": "dpmpp_2m", "steps": 20, "shift": 1.5}
    guidance = {"scale": 4.0, "rescale": 0.5, "stop": 0.15}
    if (taught := facts.get("distilled")) is not None:
        known = Distilled.read(taught, f"{file}: distilled")
        scale = min(max(4.0, known.scale[0]), known.scale[1])
        guidance = {"scale": scale, "rescale": known.rescale, "stop": known.stop}
        sampler = {"name": "euler", "steps": known.steps[1]} if known.steps else sampler
    parameters = sum(p.numel() for net in (denoiser, found) for p in net.parameters())
    files = {"codec.safetensors": codec, "denoiser.safetensors": file, WORDS: words}

    def card(name: str) -> str:
        title = f"{name}, {width * factor}x{height * factor}"
        said = f"{title}. {parameters / 1e6:.1f} M parameters, {len(tokenizer.words)} words."
        top = {
            "name": name,
            "backend": "latent-transformer",
            "title": title,
            "licence": UNKNOWN_LICENCE,
            "weights": list(files),
            "multiple": factor * denoiser.config.patch,
            "description": said,
        }
        tables: dict[str, Mapping[str, Any]] = {
            "": top,
            "defaults": {"width": width * factor, "height": height * factor, "batch": 4},
            "defaults.sampler": sampler,
            "defaults.guidance": guidance,
            **({"distilled": taught} if taught else {}),
            **trained_tables({"kind": LATENT}, facts, str(file)),
        }
        return toml_text(tables)

    return files, card


def _loaded(load: Callable[[Path], Any], file: Path) -> Any:
    """What a file holds.

    :raises ModelError: it is damaged, or something else.
    """
    try:
        return load(file)
    except ModelError:
        raise
    except OSError as error:
        raise ModelError(f"{file}: cannot be read: {error.strerror or error}") from error
    except Exception as error:  # reading a damaged file may raise anything
        raise ModelError(f"{file}: not a file of weights, or a damaged one") from error
