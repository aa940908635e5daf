"""Conditioning travels between the prompts' keyframes; the noise stays, or travels as well."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from artdiff import FrameJob, Score, Start


class PromptAnimation:
    """A film in which prompts cross-fade.

    With fixed noise the composition stays and what it shows changes. Travelling noise moves along
    great circles from seed to seed, so that shapes drift as well.
    """

    class Options(BaseModel, extra="forbid"):
        noise: Literal["fixed", "travel"] = Field(
            "fixed", description="fixed keeps the composition; travel lets it drift."
        )
        travel_frames: int = Field(
            48, ge=1, description="Frames from one seed's noise to the next, when it travels."
        )

    def __init__(self, options: Options, score: Score) -> None:
        self.options, self.score = options, score

    def __len__(self) -> int:
        return self.score.count

    def __getitem__(self, index: int) -> FrameJob:
        return self.score.job(index, self.score.prompts(index), self.start(index))

    def start(self, index: int) -> Start:
        if self.options.noise == "fixed":
            return self.score.start(index)
        stop, rest = divmod(index, self.options.travel_frames)
        here, there = self.score.seed_after(stop), self.score.seed_after(stop + 1)
        return Start(here, there, rest / self.options.travel_frames)
