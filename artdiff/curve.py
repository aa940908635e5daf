"""Keyframes: positions in a film, easings between them, and curves of numbers."""

from __future__ import annotations

import math
import re
import sys
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic_core import core_schema

from artdiff.errors import nearest

Easing = Literal["linear", "ease-in", "ease-out", "ease-in-out", "hold"]
EASINGS: tuple[str, ...] = get_args(Easing)

_POSITION = re.compile(r"(-?\d+(?:\.\d+)?)\s*(%|s)?")


def ease(easing: str, t: float) -> float:
    """Map the way between two keyframes, t in [0, 1], to the way between their values.

    ``linear``; ``ease-in`` t^2; ``ease-out`` 1 - (1 - t)^2; ``ease-in-out`` the cosine
    (1 - cos(pi t)) / 2; ``hold`` stays at the first value until the next keyframe.
    """
    match easing:
        case "linear":
            return t
        case "ease-in":
            return t * t
        case "ease-out":
            return 1 - (1 - t) ** 2
        case "ease-in-out":
            return (1 - math.cos(math.pi * t)) / 2
        case "hold":
            return 0.0 if t < 1 else 1.0
    raise ValueError(f"unknown easing {easing!r}{nearest(easing, EASINGS)}")


@dataclass(frozen=True)
class Position:
    """A place in a film: a frame number, a percentage of its length, or seconds.

    Written ``12``, ``"50%"`` (100% is the last frame) or ``"1.5s"``.
    """

    value: float
    unit: Literal["frame", "%", "s"] = "frame"

    @classmethod
    def parse(cls, text: str) -> Position:
        """Read a keyframe's key.

        :raises ValueError: it is not a position, or it lies before the first frame.
        """
        found = _POSITION.fullmatch(text.strip())
        if not found:
            raise ValueError(f'{text!r} is not a frame; write 12, "50%" or "1.5s"')
        value, unit = float(found[1]), found[2] or "frame"
        if value < 0:
            raise ValueError(f"frame {text.strip()} lies before the film; the first frame is 0")
        if unit == "%" and value > 100:
            raise ValueError(f"{text.strip()} lies behind the film; its last frame is 100%")
        return cls(value, unit)  # type: ignore[arg-type]

    def frame(self, count: int, fps: float) -> float:
        """The frame number in a film of `count` frames at `fps`."""
        if self.unit == "%":
            return self.value / 100 * (count - 1)
        return self.value * fps if self.unit == "s" else self.value

    def __str__(self) -> str:
        number = int(self.value) if self.value == int(self.value) else self.value
        return f"{number}" + ("" if self.unit == "frame" else self.unit)


def locate(frames: Sequence[float], frame: float) -> tuple[int, int, float]:
    """The two keyframes around a frame and the way between them, t in [0, 1].

    `frames` rises. Before the first and after the last keyframe both are the same one.
    """
    right = bisect_right(frames, frame)
    if right == 0:
        return 0, 0, 0.0
    if right == len(frames):
        return right - 1, right - 1, 0.0
    left = right - 1
    return left, right, (frame - frames[left]) / (frames[right] - frames[left])


@dataclass(frozen=True)
class Curve:
    """A number that may change over the film: one value, or keyframes with an easing.

    In a preset: ``4.5`` or ``{ 0 = 2.0, "50%" = 6.0, easing = "ease-in-out" }``. Values between
    the keyframes are rounded where only whole numbers will do.
    """

    keys: tuple[tuple[Position, float], ...]
    easing: str = "linear"
    whole: bool = False

    @classmethod
    def parse(cls, value: Any) -> Curve:
        """Read a number or a table of keyframes.

        :raises ValueError: a key is not a position or a value is not a number.
        """
        if isinstance(value, Curve):
            return value
        if is_number(value):
            return cls(((Position(0), float(value)),))
        if not isinstance(value, Mapping):
            raise ValueError(f"must be a number or a table of keyframes (got {value!r})")
        easing = value.get("easing", "linear")
        if easing not in EASINGS:
            raise ValueError(f"unknown easing {easing!r}{nearest(str(easing), EASINGS)}")
        keys = []
        for key, number in value.items():
            if key == "easing":
                continue
            if not is_number(number):
                raise ValueError(f"keyframe {key}: must be a number (got {number!r})")
            keys.append((Position.parse(str(key)), float(number)))
        if not keys:
            raise ValueError("a table of keyframes needs at least one, such as { 0 = 1.0 }")
        return cls(tuple(keys), easing)

    @property
    def values(self) -> tuple[float, ...]:
        return tuple(value for _, value in self.keys)

    def at(self, frame: float, count: int, fps: float) -> float:
        """The value at a frame of a film of `count` frames at `fps`."""
        keys = sorted(
            ((position.frame(count, fps), value) for position, value in self.keys),
            key=lambda key: key[0],
        )
        a, b, t = locate([f for f, _ in keys], frame)
        value = keys[a][1] + (keys[b][1] - keys[a][1]) * ease(self.easing, t)
        return round(value) if self.whole else value

    def along(self, progress: float) -> float:
        """The value at a part of a way, progress in [0, 1]; keyframes are percentages of it."""
        return self.at(100 * progress, 101, 1.0)

    def plain(self) -> float | dict[str, float | str]:
        """The curve as a preset writes it."""
        if len(self.keys) == 1:
            return self.keys[0][1]
        return {str(p): v for p, v in self.keys} | {"easing": self.easing}

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse,
            serialization=core_schema.plain_serializer_function_ser_schema(cls.plain),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> dict[str, Any]:
        keyframes = {
            "type": "object",
            "properties": {"easing": {"enum": list(EASINGS)}},
            "patternProperties": {r"^\d+(\.\d+)?\s*(%|s)?$": {"type": "number"}},
            "additionalProperties": False,
        }
        return {"anyOf": [{"type": "number"}, keyframes]}


@dataclass(frozen=True)
class Held:
    """Values of any kind, each from its keyframe to the next; the first holds before its own.

    In a preset: ``{ 0 = ["a red fox"], "50%" = ["an owl:2", "fog:-1"] }``.
    """

    keys: tuple[tuple[Position, Any], ...]

    @classmethod
    def parse(cls, table: Mapping[str, Any]) -> Held:
        """Read a table of keyframes.

        :raises ValueError: a key is not a position.
        """
        return cls(tuple((Position.parse(str(key)), value) for key, value in table.items()))

    def at(self, frame: float, count: int, fps: float) -> Any:
        """The value at a frame of a film of `count` frames at `fps`."""
        keys = sorted(
            ((position.frame(count, fps), value) for position, value in self.keys),
            key=lambda key: key[0],
        )
        passed = [value for at, value in keys if at <= frame]
        return passed[-1] if passed else keys[0][1]

    def plain(self) -> dict[str, Any]:
        """The values as a preset writes them."""
        return {str(position): value for position, value in self.keys}


def is_number(value: Any) -> bool:
    """Whether a value is a finite number (true and false are not)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= sys.float_info.max  # false for NaN as well
