"""Recognising guided-diffusion and improved-diffusion weights by the shapes of their tensors.

What shapes do not show (attention heads and their order, the process) is known of the published
networks; of others it must be said.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import Any

import torch

from artdiff.errors import ModelError, nearest
from artdiff.nn.unet_facts import KINDS, NetworkFacts

Shapes = Mapping[str, tuple[int, ...]]

UNSEEN = (
    "heads",
    "heads_up",
    "head_channels",
    "attention_order",
    "dropout",
    "torso",
    "checkpoint",
)
"""Fields of the sizes that no shape shows."""


@dataclass(frozen=True)
class Published:
    """One published network: what is on its card, and the names of its weights files."""

    name: str
    files: tuple[str, ...]
    values: Mapping[str, Any]

    @cached_property
    def facts(self) -> NetworkFacts:
        """Its kind, sizes and process."""
        return NetworkFacts.read(self.values, self.name)


@cache
def published() -> Mapping[str, Published]:
    """The published networks by the names of their cards."""
    found = {}
    for file in sorted(files("artdiff").joinpath("published").iterdir(), key=lambda f: f.name):
        if file.name.endswith(".toml"):
            values = tomllib.loads(file.read_text("utf-8"))
            name = file.name.removesuffix(".toml")
            found[name] = Published(name, tuple(values.pop("files")), values)
    return found


def shapes_of(facts: NetworkFacts) -> dict[str, tuple[int, ...]]:
    """The names and shapes of a network's parameters; no memory is needed."""
    with torch.device("meta"):
        network = facts.build()
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def sizes_of(shapes: Shapes, where: str) -> tuple[str, dict[str, Any]]:
    """Kind and sizes of a network, as far as the shapes of its parameters show them.

    :raises ModelError: they are not those of an ADM network; the message begins with `where`.
    """
    try:
        kind, known = _outline(shapes)
        levels = list(_levels(shapes))
    except (KeyError, IndexError, ZeroDivisionError, ValueError):
        missing = [
            n for n in ("time_embed.0.weight", "input_blocks.0.0.weight") if n not in shapes
        ]
        why = f"no tensor {missing[0]!r}" if missing else "their shapes do not go together"
        raise ModelError(f"{where}: not the weights of an ADM network: {why}") from None
    close: list[str] = []
    for level in levels:
        sizes = known | level
        if kind == "classifier" and "size" in sizes:
            sizes["size"] *= 2 ** (len(sizes["multipliers"]) - 1)
        try:
            facts = NetworkFacts.read(_with_process(kind, sizes), where)
            wanted = shapes_of(facts)
        except (ModelError, ValueError, RuntimeError):
            continue
        if wanted == shapes:
            return kind, sizes
        wrong = sorted(n for n in wanted.keys() | shapes.keys() if wanted.get(n) != shapes.get(n))
        close = wrong if not close or len(wrong) < len(close) else close
    more = f"; {len(close)} of its tensors do not fit, {close[0]!r} for one" if close else ""
    raise ModelError(f"{where}: not the weights of an ADM network that artdiff knows{more}")


def recognise(shapes: Shapes, stem: str, where: str) -> tuple[Published | None, str, dict]:
    """Find the published network, if it is one, with kind and sizes by the shapes.

    The file's name decides between networks of one shape; networks that differ in nothing but the
    number of classes count as the published one trained further.

    :raises ModelError: as `sizes_of`.
    """
    kind, sizes = sizes_of(shapes, where)
    same = [one for one in published().values() if _seen(one) == (kind, _plain(kind, sizes))]
    if not same:
        other = _plain(kind, sizes) | {"classes": None}
        same = [
            one
            for one in published().values()
            if (_seen(one)[0], _seen(one)[1] | {"classes": None}) == (kind, other)
        ]
    named = [one for one in same if stem in one.files]
    return next(iter(named or same), None), kind, sizes


def like(one: Published, kind: str, sizes: Mapping[str, Any]) -> dict[str, Any]:
    """Values for a network with these sizes that was made as a published one was.

    All of the card where it is that network; else what no shape shows: heads, process, size, and
    the names of the classes where there are as many.

    :raises ModelError: it is a network of another kind.
    """
    if kind != one.facts.kind:
        raise ModelError(f"--config {one.name}: of kind {one.facts.kind!r}, the file of {kind!r}")
    if _seen(one) == (kind, _plain(kind, sizes)):
        return dict(one.values)
    network, process = one.values["network"], dict(one.values.get("process", {}))
    learned = sizes.get("learned_variance", False)
    if learned != (process.get("variance") == "learned-range"):
        process["variance"] = "learned-range" if learned else "small"
    values = {
        "size": one.values["size"],
        "network": {key: value for key, value in network.items() if key in UNSEEN},
        "process": process,
    }
    if network.get("classes") == sizes.get("classes") and "labels" in one.values:
        values["labels"] = one.values["labels"]
    return values


def named(name: str) -> Published:
    """A published network by the name of its card or of a file.

    :raises ModelError: there is none; the message has the nearest name.
    """
    for one in published().values():
        if name == one.name or name in one.files:
            return one
    raise ModelError(f"no published network {name!r}{nearest(name, published())}")


def _seen(one: Published) -> tuple[str, dict[str, Any]]:
    """Kind and sizes of a published network, without what shapes do not show."""
    return one.facts.kind, _plain(one.facts.kind, asdict(one.facts.network))


def _plain(kind: str, sizes: Mapping[str, Any]) -> dict[str, Any]:
    facts = NetworkFacts.read(_with_process(kind, sizes), "sizes")
    return {k: v for k, v in asdict(facts.network).items() if k not in UNSEEN}


def _with_process(kind: str, sizes: Mapping[str, Any]) -> dict[str, Any]:
    """Values of a card whose process goes with the sizes; heads that always divide."""
    heads = {"head_channels": 32} if kind == "classifier" else {"heads": 1, "head_channels": None}
    size = 2 ** (len(sizes["multipliers"]) - 1)
    variance = "learned-range" if sizes.get("learned_variance") else "small"
    known = KINDS[kind][1].__dataclass_fields__
    network = {k: v for k, v in (dict(sizes) | heads).items() if k in known}
    process = {"variance": variance}
    return {"kind": kind, "network": network, "process": process, "size": size}


def _outline(shapes: Shapes) -> tuple[str, dict[str, Any]]:
    """Kind, and the sizes that single tensors show."""
    first = shapes["input_blocks.0.0.weight"]
    drive = shapes["input_blocks.1.0.emb_layers.1.weight"][0]
    sizes: dict[str, Any] = {
        "width": shapes["time_embed.0.weight"][1],
        "channels": first[1],
        "scale_shift": drive == 2 * shapes["input_blocks.1.0.out_layers.3.weight"][0],
    }
    if "output_blocks.0.0.in_layers.2.weight" in shapes:
        out = shapes["out.2.weight"][0]
        paired = first[1] not in (1, 3, 4)
        channels = first[1] // 2 if paired else first[1]
        classes = shapes["label_emb.weight"][0] if "label_emb.weight" in shapes else None
        sizes |= {
            "channels": channels,
            "learned_variance": out == 2 * channels,
            "classes": classes,
        }
        return ("superres" if paired else "unet"), sizes
    return "classifier", sizes | _pool(shapes)


def _pool(shapes: Shapes) -> dict[str, Any]:
    """The pool of a classifier, its classes, and the side of what it pools."""
    if "out.2.c_proj.weight" in shapes:
        tokens = shapes["out.2.positional_embedding"][1]
        side = math.isqrt(tokens - 1)
        return {"pool": "attention", "classes": shapes["out.2.c_proj.weight"][0], "size": side}
    if len(shapes["out.0.weight"]) == 1:
        return {"pool": "adaptive", "classes": shapes["out.3.weight"][0]}
    if "out.3.weight" in shapes:
        return {"pool": "spatial_v2", "classes": shapes["out.3.weight"][0]}
    return {"pool": "spatial", "classes": shapes["out.2.weight"][0]}


def _levels(shapes: Shapes) -> Iterator[dict[str, Any]]:
    """The ways in which the downward blocks may be levels, each to be tried."""
    numbers = {int(n.split(".")[1]) for n in shapes if n.startswith("input_blocks.")}
    attentive = {n for n in numbers if f"input_blocks.{n}.1.qkv.weight" in shapes}
    width = shapes["time_embed.0.weight"][1]
    if any(f"input_blocks.{n}.0.op.weight" in shapes for n in numbers):
        resample = "conv"
    else:
        resample = "resblock" if numbers == set(range(len(numbers))) else "pool"
    count = max(numbers) + 1
    for blocks in range(1, count):
        if count % (blocks + 1):
            continue
        firsts = [1 + level * (blocks + 1) for level in range(count // (blocks + 1))]
        names = [f"input_blocks.{n}.0.out_layers.3.weight" for n in firsts]
        if all(name in shapes for name in names):
            yield {
                "blocks": blocks,
                "multipliers": tuple(_whole(shapes[name][0] / width) for name in names),
                "attention": tuple(2**i for i, n in enumerate(firsts) if n in attentive),
                "resample": resample,
            }


def _whole(value: float) -> float:
    """The value, as an integer where it is one."""
    return int(value) if value == int(value) else value
