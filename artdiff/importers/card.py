"""Writing the card of a pixel network that was added."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from artdiff.errors import ModelError
from artdiff.model import TrainedOn
from artdiff.nn.unet_facts import LARGEST, NetworkFacts

BACKENDS = {
    "unet": "unet",
    "classifier": "unet-classifier",
    "superres": "unet-superres",
    "enlarger": "enlarger",
}
PASSING = ("torso", "checkpoint")
"""Fields of the sizes that whoever loads the network decides."""

TEXTS = ("title", "description", "licence", "paper", "classifier", "codec")
"""What else may be said of a network, in words."""

UNKNOWN_LICENCE = "unknown: ask who made the weights"
SMALLEST = 16
"""Pixels on a side of the smallest picture that a preset may ask for."""


def card_text(
    name: str, facts: NetworkFacts, values: Mapping[str, Any], parameters: int, where: str
) -> str:
    """The card of a network, as TOML; values are those of its published card, if it has one.

    What `artdiff train` says of the pictures comes with it, where the weights say it.

    :raises ModelError: a value is wrong, or no picture of its size can be drawn; the message
        begins with `where`.
    """
    for key in TEXTS:
        if not isinstance(values.get(key, ""), str):
            raise ModelError(f"{where}: {key}: must be a text (got {values[key]!r})")
    low = values.get("low", 1)
    if type(low) is not int or low < 1:
        raise ModelError(f"{where}: low: must be a whole number from 1 (got {low!r})")
    size, learned = facts.size, facts.process.variance == "learned-range"
    if facts.kind == "unet" and size < SMALLEST:
        raise ModelError(
            f"{where}: size: pictures of {size}x{size} cannot be drawn, only from {SMALLEST} to "
            f"{LARGEST} pixels on a side"
        )
    title = values.get("title", f"{name}, {size}x{size}")
    kept = {key: values[key] for key in ("paper", "classifier", "low", "codec") if key in values}
    top = {
        "name": name,
        "backend": BACKENDS[facts.kind],
        "title": title,
        "licence": values.get("licence", UNKNOWN_LICENCE),
        "weights": ["model.safetensors"],
        "multiple": facts.network.factor,
        "description": values.get("description", f"{title}. {parameters / 1e6:.1f} M parameters."),
    }
    tables: dict[str, Mapping[str, Any]] = {
        "": top,
        "defaults": {"width": size, "height": size, "batch": 1 if size >= 256 else 4},
        "defaults.sampler": {
            "name": "ddpm",
            "variance": "learned" if learned else facts.process.variance,
            "steps": min(250, facts.process.steps),
            "grid": "linspace",
        },
        "defaults.guidance": {"scale": 1.0},
        **trained_tables(
            {
                "kind": facts.kind,
                "size": size,
                **kept,
                "labels": values.get("labels") or None,
                "factor": values.get("factor"),
            },
            values,
            where,
        ),
        "facts.process": asdict(facts.process),
        "facts.network": {k: v for k, v in asdict(facts.network).items() if k not in PASSING},
    }
    if facts.kind == "enlarger":  # it knows all levels, and no steps
        del tables["facts.process"]
    if facts.kind != "unet":
        tables = {key: table for key, table in tables.items() if "defaults" not in key}
    return toml_text(tables)


def trained_tables(
    facts: Mapping[str, Any], said: Mapping[str, Any], where: str
) -> dict[str, Mapping[str, Any]]:
    """The table [facts] of a card, with the pictures that weights say they learned from.

    :raises ModelError: a value is wrong; the message begins with `where`.
    """
    trained = TrainedOn.read(said, where) if "held_out" in said else None
    if trained is None:
        return {"facts": facts}
    facts = {**facts, "dataset": trained.dataset, "held_out": trained.held_out}
    options = {"facts.dataset_options": trained.options} if trained.options else {}
    return {"facts": facts, **options}


def toml_text(tables: Mapping[str, Mapping[str, Any]]) -> str:
    """Tables by their dotted names as TOML, the top one first, under ""; None is left out."""
    return "\n".join(_table(key, table) for key, table in tables.items())


def _table(key: str, values: Mapping[str, Any]) -> str:
    """A TOML table; what is None is left out."""
    lines = [f"[{key}]"] if key else []
    lines += [
        f"{_key(name)} = {_value(value)}" for name, value in values.items() if value is not None
    ]
    return "\n".join(lines) + "\n"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _value(name)


def _value(value: Any) -> str:
    """A value as TOML writes it on one line."""
    if isinstance(value, Mapping):
        parts = [f"{_key(k)} = {_value(v)}" for k, v in value.items() if v is not None]
        return f"{{ {', '.join(parts)} }}" if parts else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(part) for part in value)}]"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    text = value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
