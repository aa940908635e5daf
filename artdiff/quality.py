"""What a model's card says of draft, normal and best, and of weights that were distilled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from artdiff.errors import ModelError, nearest

LEVELS = ("draft", "normal", "best")
"""The words for `quality` in a preset."""


@dataclass(frozen=True)
class Distilled:
    """The guidance that weights give in one pass, without an unconditional answer.

    Attributes:
        scale: the smallest and the largest guidance scale that they were trained for.
        rescale: the one guidance.rescale that they know.
        stop: the one guidance.stop.
        steps: fewest and most steps of ``sampler.name = "euler"`` that they were trained to take
            as they stand; None where guidance alone was distilled.
        plain: whether they were also taught to answer as if nothing had been distilled, so that
            other guidance than the above takes two passes of the same weights.
    """

    scale: tuple[float, float]
    rescale: float = 0.0
    stop: float = 0.0
    steps: tuple[int, int] | None = None
    plain: bool = False

    @classmethod
    def read(cls, values: object, where: str) -> Distilled:
        """Take it from a card, or from the facts of a weights file.

        :raises ModelError: a value is wrong; the message begins with `where` and names the key.
        """
        if not isinstance(values, Mapping):
            raise ModelError(f"{where}: must be a table (got {values!r})")
        known = {"scale", "rescale", "stop", "steps", "plain"}
        for key in values:
            if key not in known:
                raise ModelError(f"{where}.{key}: unknown key{nearest(str(key), known)}")
        for key in ("rescale", "stop"):
            if not _number(values.get(key, 0.0)):
                raise ModelError(f"{where}.{key}: must be a number (got {values[key]!r})")
        steps, plain = values.get("steps"), values.get("plain", False)
        if not isinstance(plain, bool):
            raise ModelError(f"{where}.plain: must be true or false (got {plain!r})")
        return cls(
            _pair(values.get("scale"), f"{where}.scale"),
            float(values.get("rescale", 0.0)),
            float(values.get("stop", 0.0)),
            _pair(steps, f"{where}.steps") if steps else None,
            plain,
        )

    def of(self, taught: Distilled) -> bool:
        """Whether weights that were `taught` something know all this: fewer things are well."""
        few = replace(taught, steps=self.steps, plain=self.plain)
        return few == self and self.steps in (None, taught.steps) and self.plain <= taught.plain


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _pair(value: Any, where: str) -> tuple[Any, Any]:
    two = isinstance(value, list | tuple) and len(value) == 2
    if not two or not all(map(_number, value)) or value[0] > value[1]:
        raise ModelError(f"{where}: must be [smallest, largest] (got {value!r})")
    return value[0], value[1]


@dataclass(frozen=True)
class Quality:
    """One level of a model: preset values that lie over its defaults, and other weights.

    Attributes:
        values: as a preset would say them.
        weights: weight files in the place of the card's; None keeps those.
        distilled: what `weights` know by heart, if they were distilled.
        fast: whether large products may be computed in a narrower type where the processor
            multiplies it natively: pictures differ by some steps of 255 between processors.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    weights: tuple[str, ...] | None = None
    distilled: Distilled | None = None
    fast: bool = False

    @classmethod
    def read(cls, values: object, where: str) -> Quality:
        """Take it from a table of a card.

        :raises ModelError: a value is wrong; the message begins with `where` and names the key.
        """
        if not isinstance(values, Mapping):
            raise ModelError(f"{where}: must be a table (got {values!r})")
        rest = dict(values)
        weights, distilled = rest.pop("weights", None), rest.pop("distilled", None)
        fast = rest.pop("fast", False)
        if not isinstance(fast, bool):
            raise ModelError(f"{where}.fast: must be true or false (got {fast!r})")
        if weights is not None and (
            not isinstance(weights, list) or not all(isinstance(w, str) for w in weights)
        ):
            raise ModelError(f"{where}.weights: must be a list of files (got {weights!r})")
        if distilled is not None:
            if weights is None:
                raise ModelError(f"{where}.weights: is missing; [distilled] is said of weights")
            distilled = Distilled.read(distilled, f"{where}.distilled")
        for key in ("model", "quality"):
            if key in rest:
                raise ModelError(f"{where}.{key}: is not for a level to say")
        return cls(rest, None if weights is None else tuple(weights), distilled, fast)


def read_levels(values: object, where: str) -> dict[str, Quality]:
    """Take all levels from a card's table [quality].

    :raises ModelError: a value is wrong; the message begins with `where` and names the key.
    """
    if not isinstance(values, Mapping):
        raise ModelError(f"{where}: must be a table (got {values!r})")
    for name in values:
        if name not in LEVELS:
            raise ModelError(f"{where}.{name}: unknown level{nearest(str(name), LEVELS)}")
    return {name: Quality.read(table, f"{where}.{name}") for name, table in values.items()}
