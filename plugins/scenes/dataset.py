"""The scenes dataset: endless captioned illustrations, picture i a function of (options, i)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from random import Random
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from artdiff import PluginError

if TYPE_CHECKING:
    from .exam import SceneExam
    from .framing import Box
    from .records import Record
    from .traits import Traits

SIDE = 256


class Scenes:
    """Procedural illustrations: scenes, seasons, weather, objects, patterns, in many styles."""

    name = "scenes"
    version = "2"

    class Options(BaseModel):
        model_config = ConfigDict(extra="forbid", frozen=True)
        seed: int = Field(0, description="Another seed gives other pictures of the same kinds.")
        size: int = Field(
            SIDE, ge=32, le=SIDE, multiple_of=32,
            description="Side in pixels; pictures are drawn at 256 and made smaller.",
        )  # fmt: skip
        split: Literal["train", "heldout", "all"] = Field(
            "train",
            description="Pictures without the held-out combinations, only with them, or both.",
        )

    def __init__(self, options: Options) -> None:
        self.options = options

    def _random(self, index: int, stream: str) -> Random:
        options = self.options
        return Random(f"{options.seed}/{options.split}/{index}/{stream}")

    def attributes(self, index: int) -> Record:
        """What picture `index` shows: a JSON-able record, pure function of (options, index)."""
        held_out = {"train": False, "heldout": True, "all": None}[self.options.split]
        return _part("records").find_record(self._random(index, "record"), held_out)

    def traits(self, index: int) -> Traits:
        """What can be told from picture `index`: the right values of each attribute, any of them.

        `artdiff train starter-judge` learns them.
        """
        return _part("traits").traits(self.attributes(index))

    def picture(self, index: int) -> np.ndarray:
        """Picture `index`, (size, size, 3) uint8, pure function of (options, index)."""
        rng = np.random.default_rng(self._random(index, "picture").getrandbits(63))
        return self.render(self.attributes(index), rng)

    def render(self, record: dict[str, Any], rng: np.random.Generator) -> np.ndarray:
        """Draw a record of the kind that `attributes` returns."""
        flat = _part("compose").compose(record, rng)
        done = _part("styles").apply(flat, record["style"], record["grade"], rng)
        size = self.options.size
        if size == SIDE:
            return done
        return cv2.resize(done, (size, size), interpolation=cv2.INTER_AREA)

    def subject(self, index: int) -> Box | None:
        """About where the objects of picture `index` stand; see `framing.subject`."""
        return _part("framing").subject(self.attributes(index))

    def caption(self, index: int, draw: int) -> str:
        """A wording of picture `index`; every `draw` is another one."""
        writer = _part("captions").Writer(self._random(index, f"caption {draw}"))
        return writer.write(self.attributes(index))

    def exam(self) -> SceneExam:
        """What `artdiff evaluate` asks of a model that was trained on these pictures."""
        return _part("exam").SceneExam(self)

    def vocabulary(self) -> list[str]:
        """Every word that a caption can hold, sorted."""
        return sorted({w for phrase in _phrases() for w in re.findall(r"[a-z0-9]+", phrase)})


@cache
def _part(name: str) -> Any:
    """A module that draws or words pictures, read when it is first needed.

    :raises PluginError: it needs what is not installed; the message says what to type.
    """
    try:
        return import_module(f".{name}", __package__)
    except ModuleNotFoundError as error:
        raise PluginError(
            f"the dataset 'scenes' needs {error.name}: pip install 'artdiff[train]'"
        ) from error


def _phrases() -> Iterable[str]:
    words, things = _part("words"), _part("things")
    yield "a an one in the of on with and background style gradient glowing saturns sketch"
    for table in (
        words.WEATHERS, words.SEASONS, words.SCENES, words.PATTERNS, words.GROUNDS, words.STYLES,
        words.GRADES, words.NUMBERS, words.SIZES, words.PLACES, words.VIEWS, words.MOODS,
        words.COLOR_WORDS,
    ):  # fmt: skip
        for options in table.values():
            yield from options
    yield from (*words.FILLERS, *words.TRAILERS, *words.BESIDE, *words.COLORS)
    for light in words.LIGHTS.values():
        yield from light.words
    for entry in map(things.object_words, things.OBJECTS.values()):
        yield from (*entry.singular, *entry.plural)
