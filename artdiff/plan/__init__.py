"""Plans: all that a render needs, apart from the weights themselves. No torch."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from pydantic import BaseModel

from artdiff.curve import Curve
from artdiff.errors import PluginError
from artdiff.model import ModelCard
from artdiff.preset import Preset
from artdiff.preset.guidance import GuidancePart
from artdiff.preset.sampler import GridPart
from artdiff.registry import named_code
from artdiff.timeline import FrameJob, FrameSource

USUAL_GRID = GridPart().name
USUAL_GUIDER = GuidancePart().name
"""What a preset has that names none; folders of frames keep no word of it."""
_PICTURE = {"width", "height", "sampler", "guidance", "tile", "terms", "effects"}


@dataclass(frozen=True)
class Chosen:
    """A class that a preset names, with its checked options and the plugin it comes from."""

    label: str
    name: str
    kind: type
    options: BaseModel
    plugin: str

    def build(self) -> Any:
        """A sampler, a grid or a guider: an object whose fields are the options."""
        return self.kind(**self.options.model_dump())

    def plain(self) -> dict[str, Any]:
        """The options as JSON says them."""
        return self.options.model_dump(mode="json")

    def code(self) -> str:
        """Names the code of the class: ``plugin@`` and eight digits of its file's hash.

        What artdiff brings itself is named by the version of artdiff instead. Files that the
        class's own file imports are not looked at.
        """
        if self.plugin.startswith("artdiff."):
            return self.plugin
        try:
            file = inspect.getsourcefile(self.kind)
        except (OSError, TypeError):  # a class that was typed in, in a notebook say
            file = None
        return named_code(self.plugin, file)


@dataclass(frozen=True)
class Plan:
    """All that a render needs, apart from the weights themselves.

    Attributes:
        courses: what multiplies the weight of each term over the walk, see `TermTrack`.
        files: absolute paths by the references that options and jobs hold, see `File`.
        weak: the weaker model that the guider asks as well, if it does.
    """

    name: str
    preset: Preset
    card: ModelCard
    sampler: Chosen
    grid: Chosen
    guider: Chosen
    source: FrameSource
    terms: tuple[Chosen, ...]
    effects: tuple[Chosen, ...]
    plugins: Mapping[str, str]
    courses: tuple[Curve, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    weak: ModelCard | None = None

    @property
    def count(self) -> int:
        """The number of frames of the whole film."""
        return len(self.source)

    def job(self, index: int) -> FrameJob:
        """What frame `index` is made from.

        :raises PluginError: the frame source gave no job, or that of another frame.
        """
        job = self.source[index]
        if not isinstance(job, FrameJob) or job.index != index:
            got = f"the job of frame {job.index}" if isinstance(job, FrameJob) else repr(job)
            raise PluginError(
                f"frame source {self.preset.frames.source!r} gave {got} for frame {index}"
            )
        return job

    def noted(self, job: FrameJob) -> FrameJob:
        """A job of this plan that says what all of them have in common, for its picture's file.

        :raises ModelError: a weight file is missing.
        """
        return replace(job, made_with=self._made_with)

    @cached_property
    def _made_with(self) -> dict[str, Any]:
        """What decides pictures, without the course of a film."""
        told = {"artdiff", "model", "weak", "order"}
        kept = {key: value for key, value in self.manifest().items() if key in told}
        level = self.preset.quality if self.card.fast or self.card.distilled else None
        quality = {"quality": level} if level else {}
        return kept | quality | self.preset.model_dump(mode="json", include=_PICTURE)

    def manifest(self) -> dict[str, Any]:
        """The JSON-able settings that determine every pixel; a frame folder keeps them."""
        from artdiff import __version__

        preset = self.preset.model_dump(mode="json", exclude={"title", "description", "quality"})
        if preset["sampler"]["grid"] == {"name": USUAL_GRID}:
            preset["sampler"].pop("grid")  # as before there were others
        if not self.preset.tile.size:
            preset.pop("tile")
        if self.preset.pace is None:
            preset.pop("pace")
        if not _in_seconds(preset):
            preset["frames"].pop("fps")
        return {
            "artdiff": __version__,
            "preset": preset,
            "model": {"name": self.card.name, "weights": self.card.digest()}
            | ({"fast": True} if self.card.fast else {})
            | ({"distilled": asdict(known)} if (known := self.card.distilled) else {}),
            **({"weak": {"name": w.name, "weights": w.digest()}} if (w := self.weak) else {}),
            **_order(terms=self.terms, effects=self.effects),
            "plugins": dict(sorted(self.plugins.items())),
        }


def _order(**tables: tuple[Chosen, ...]) -> dict[str, Any]:
    """The labels of tables of more than one in their order, which sorted keys lose."""
    order = {
        name: [each.label for each in some] for name, some in tables.items() if len(some) > 1
    }
    return {"order": order} if order else {}


def _in_seconds(value: Any) -> bool:
    """Whether any keyframe stands at a time: then the frames depend on fps."""
    if not isinstance(value, dict):
        return False
    return any(
        re.fullmatch(r"\d.*s", key.strip()) or _in_seconds(part) for key, part in value.items()
    )


@dataclass(frozen=True)
class RenderReport:
    """How a render went: its folder, the frames made now, the seconds, and the error if any."""

    plan: Plan
    folder: str
    made: int
    seconds: float
    error: str | None = None
