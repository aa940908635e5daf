"""Adding a model to the user's own: weights become a folder with a card."""

from __future__ import annotations

import re
import shutil
import tempfile
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from artdiff.errors import MachineError, ModelError, nearest
from artdiff.importers.adm import like, named, recognise, shapes_of
from artdiff.importers.card import TEXTS, card_text
from artdiff.importers.latent import LATENT, latent_files
from artdiff.importers.weights import read_weights
from artdiff.model import ModelCard
from artdiff.nn.unet_facts import KINDS, NetworkFacts
from artdiff.train.checkpoint import read_facts, write_tensors
from artdiff.tune.file import FILE as TUNED
from artdiff.user_models import models_folder

WEIGHTS, CARD = "model.safetensors", "card.toml"
KEYS = ("kind", "size", "labels", "network", "process", "low", *TEXTS)
"""What a config may hold at its top."""

NEEDED = "[network] heads or head_channels, [process] schedule and steps, and size"


@dataclass(frozen=True)
class Added:
    """A model that was added: where it is, what it is, and how that was known."""

    card: ModelCard
    kind: str
    known_by: str


def add(
    source: Path,
    name: str | None,
    config: str | None,
    taken: Collection[str] = (),
    codec: Path | None = None,
) -> Added:
    """Add a weights file, or a folder that `artdiff train` left, to the user's models.

    :param name: what to call it; None: as the file or the folder is called.
    :param config: the name of a published network, or a TOML file with ``kind``, ``size``,
        ``labels``, ``[network]`` and ``[process]``, for what the weights do not say.
    :param taken: names that other models have.
    :param codec: of a denoiser of latents, the weights of its codec or the folder of its training.
    :raises ModelError: the weights or the config cannot be used; nothing was changed.
    :raises MachineError: the folder cannot be written.
    """
    name = _name(source, name, taken)
    folder = models_folder() / name
    if folder.exists():
        raise ModelError(
            f"there is a model {name!r} already, {folder}; give another --name, or delete it"
        )
    if source.is_dir() and (source / CARD).is_file():
        return _copy(source, folder, name)
    file = source / WEIGHTS if source.is_dir() else source
    kind = read_facts(file).get("kind")
    if kind == LATENT:
        return _latent(file, folder, name, codec)
    if codec is not None:
        raise ModelError(f"--codec: {file} holds no denoiser of latents")
    if kind is not None and (not isinstance(kind, str) or kind not in KINDS):
        raise ModelError(f"{file}: holds a {kind!r}, which draws nothing by itself")
    tensors, said = read_weights(file)
    values, known_by = _values(tensors, said, file, config)
    facts = NetworkFacts.read(values, str(file))
    _compare(facts, tensors, file)
    card = card_text(name, facts, values, sum(t.numel() for t in tensors.values()), str(file))
    metadata = {
        "kind": facts.kind,
        "config": asdict(facts.network),
        "process": asdict(facts.process),
        "size": facts.size,
    }

    def fill(here: Path) -> None:
        write_tensors(here / WEIGHTS, tensors, metadata)
        (here / CARD).write_text(card, "utf-8")

    _place(folder, fill)
    return Added(ModelCard.read(folder), facts.kind, known_by)


def _name(source: Path, name: str | None, taken: Collection[str]) -> str:
    if not source.exists():
        raise ModelError(f"{source}: no such file or folder")
    chosen = name if name is not None else source.resolve().name
    if name is None and source.is_file():
        chosen = source.stem
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", chosen):
        raise ModelError(f"--name: letters, digits, '.', '_' and '-', not {chosen!r}")
    if chosen in taken:
        raise ModelError(f"there is a model {chosen!r} already; give another --name")
    return chosen


def _values(
    tensors: Mapping[str, Tensor], said: Mapping[str, Any], file: Path, config: str | None
) -> tuple[dict[str, Any], str]:
    """Values as on a published card, and how they were known."""
    if said.get("kind") is not None and config is None:
        return dict(said), "by what artdiff train wrote into it"
    shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    one, kind, sizes = recognise(shapes, file.stem, str(file))
    base: dict[str, Any] = dict(one.values) if one is not None else {}
    if base.get("network", {}).get("classes") != sizes.get("classes"):
        base.pop("labels", None)
    given: dict[str, Any] = {}
    if config is not None and not config.endswith(".toml"):
        one = named(config)
        base = like(one, kind, sizes)
    elif config is not None:
        given = _config(config)
    if one is None and not _enough(given, kind):
        raise ModelError(
            f"{file}: an ADM network that was not published, and shapes do not say everything; "
            f"give --config a published network's name, or a TOML file with {NEEDED}"
        )
    network = {**base.get("network", {}), **sizes, **given.pop("network", {})}
    learned = network.get("learned_variance", False)
    process = {"variance": "learned-range"} if learned else {}
    process |= {**base.get("process", {}), **given.pop("process", {})}
    values = {**base, "kind": kind, **given, "network": network, "process": process}
    if kind == "classifier" and "size" in sizes:
        values["size"] = sizes["size"]
    known_by = "by its shapes and --config"
    if one is not None and config is None:
        known_by = f"as {one.name}, by its shapes"
    return values, known_by


def _enough(given: Mapping[str, Any], kind: str) -> bool:
    """Whether a config says all that shapes do not."""
    network, process = given.get("network", {}), given.get("process", {})
    heads = "heads" in network or "head_channels" in network
    return heads and "size" in given and {"schedule", "steps"} <= process.keys()


def _config(config: str) -> dict[str, Any]:
    """The values of a TOML file."""
    try:
        values = tomllib.loads(Path(config).read_text("utf-8"))
    except OSError as error:
        raise ModelError(f"--config {config}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"--config {config}: not TOML: {error}") from error
    for key, value in values.items():
        if key not in KEYS:
            raise ModelError(f"--config {config}: unknown key {key!r}{nearest(key, KEYS)}")
        if key in ("network", "process") and not isinstance(value, dict):
            raise ModelError(f"--config {config}: {key}: must be a table (got {value!r})")
    return values


def _compare(facts: NetworkFacts, tensors: Mapping[str, Tensor], file: Path) -> None:
    """Refuse weights that do not fit the network that they are said to be of."""
    try:
        wanted = shapes_of(facts)
    except ModelError as error:
        raise ModelError(f"{file}: {error}") from None
    for key in sorted(wanted.keys() | tensors.keys()):
        there = tuple(tensors[key].shape) if key in tensors else None
        if there != wanted.get(key):
            raise ModelError(
                f"{file}: does not fit its config: {key!r} is {there or 'missing'}, not "
                f"{wanted.get(key, 'there')}"
            )


def _copy(source: Path, folder: Path, name: str) -> Added:
    """Add a folder that has a card: the card, the weights that it names, and tuned steps."""
    card = ModelCard.read(source)
    names = [CARD, *card.files()]
    wrong = next((n for n in names if not (source / n).is_file() or Path(n).name != n), None)
    if wrong is not None:
        raise ModelError(f"{source / CARD}: the weights {wrong!r} are not beside it")

    names += [TUNED] if (source / TUNED).is_file() else []

    def fill(here: Path) -> None:
        for file in names:
            shutil.copyfile(source / file, here / file)

    _place(folder, fill)
    card = replace(ModelCard.read(folder), name=name)
    return Added(card, str(card.facts.get("kind", card.backend)), "by its card")


def _latent(file: Path, folder: Path, name: str, codec: Path | None) -> Added:
    """Add a denoiser of latents with its codec and its words."""
    files, card = latent_files(file, codec)

    def fill(here: Path) -> None:
        for part, source in files.items():
            shutil.copyfile(source, here / part)
        (here / CARD).write_text(card(name), "utf-8")

    _place(folder, fill)
    return Added(ModelCard.read(folder), LATENT, "by what artdiff train wrote into it")


def _place(folder: Path, fill: Any) -> None:
    """Make a folder that is there whole or not at all."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".adding-", dir=folder.parent) as scratch:
            here = Path(scratch) / folder.name
            here.mkdir()
            fill(here)
            here.rename(folder)
    except OSError as error:
        raise MachineError(f"{folder}: cannot be written: {error.strerror or error}") from error
