"""Where the subject of a picture stands, told from its record alone, without drawing it.

Places and fields settle the exact spot while they are painted. This is where it is to within a
twentieth of the picture, mostly: enough for a training that looks closer at subjects.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .compose import CENTERS, CLOSE_UP, PORTRAIT, SIDES, WIDEST, columns
from .paint import SIZE
from .things import OBJECTS, object_words

Box = tuple[float, float, float, float]
GROUND, FAR_GROUND, HOVER = 239.0, 200.0, 100.0
"""Where feet stand near and far, and the middle of what flies, in pixels from the top."""
GROUNDS = {
    "underwater": 189.0, "clouds": 172.0, "space": 172.0, "sea": 217.0, "floating": 223.0,
    "island": 220.0, "table": 227.0, "synthgrid": 227.0, "pond": 225.0, "harbor": 227.0,
}  # fmt: skip
"""Where feet stand in places that are not like most."""


def subject(record: Mapping[str, Any]) -> Box | None:
    """Left, top, right and bottom of a record's objects together, as shares of the picture.

    None where there are none. A part of a close-up lies outside of the picture.
    """
    if not record["object"]:
        return None
    count = 2 if record["second"] else record["count"]
    frame = _portrait if record["kind"] == "portrait" else _scene
    side, feet, center = frame(record, count)
    spots = columns(count, side, center)
    left, right = spots[0] - side / 2, spots[-1] + side / 2
    return left / SIZE, (feet - side) / SIZE, right / SIZE, feet / SIZE


def _portrait(record: Mapping[str, Any], count: int) -> tuple[float, float, float]:
    """Side, feet and middle, as `compose` has them."""
    if record["view"] == "close-up":
        return *CLOSE_UP, 128.0
    side = {1: 183.0, **PORTRAIT}[count]
    return side, 128 + side / 2, 128.0


def _scene(record: Mapping[str, Any], count: int) -> tuple[float, float, float]:
    center = CENTERS[record["place"]]
    side = min(SIDES[record["size"]], WIDEST[count])
    flies = object_words(OBJECTS[record["object"]]).home == "a" and not record["second"]
    if flies and record["scene"] not in ("table", "window"):
        return side, HOVER + side / 2, center
    if record["view"] == "distant":
        return 46.0, FAR_GROUND, center
    return side, GROUNDS.get(record["scene"], GROUND), center
