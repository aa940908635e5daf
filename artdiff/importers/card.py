"""Writing the card of a pixel network that was added."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from artdiff.nn.unet_facts import NetworkFacts

BACKENDS = {"unet": "unet", "classifier": "unet-classifier", "superres": "unet-superres"}
PASSING = ("torso", "checkpoint")
"""Fields of the sizes that whoever loads the network decides."""


def card_text(name: str, facts: NetworkFacts, values: Mapping[str, Any], parameters: int) -> str:
    """The card of a network, as TOML; values are those of its published card, if it has one."""
    size, learned = facts.size, facts.process.variance == "learned-range"
    title = values.get("title", f"{name}, {size}x{size}")
    kept = {key: values[key] for key in ("paper", "classifier", "low") if key in values}
    top = {
        "name": name,
        "backend": BACKENDS[facts.kind],
        "title": title,
        "licence": values.get("licence", "unknown: ask who made the weights"),
        "weights": ["model.safetensors"],
        "multiple": facts.network.factor,
        "description": values.get("description", f"{title}. {parameters / 1e6:.1f} M parameters."),
    }
    tables = {
        "": top,
        "defaults": {"width": size, "height": size, "batch": 1 if size >= 256 else 4},
        "defaults.sampler": {
            "name": "ddpm",
            "variance": "learned" if learned else facts.process.variance,
            "steps": min(250, facts.process.steps),
            "grid": "linspace",
        },
        "defaults.guidance": {"scale": 1.0},
        "facts": {
            "kind": facts.kind,
            "size": size,
            **kept,
            "labels": values.get("labels") or None,
        },
        "facts.process": asdict(facts.process),
        "facts.network": {k: v for k, v in asdict(facts.network).items() if k not in PASSING},
    }
    if facts.kind != "unet":
        tables = {key: table for key, table in tables.items() if "defaults" not in key}
    return "\n".join(_table(key, table) for key, table in tables.items())


def _table(key: str, values: Mapping[str, Any]) -> str:
    """A TOML table of strings, numbers and lists; what is None is left out."""
    lines = [f"[{key}]"] if key else []
    for name, value in values.items():
        if value is not None:
            lines.append(f"{name} = {json.dumps(value, ensure_ascii=False)}")
    return "\n".join(lines) + "\n"
