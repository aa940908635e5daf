"""Spherical interpolation between the noise of several seeds, as a loop or as a one-way trip."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from artdiff import Easing, FrameJob, Score, Start, ease

Seed = Annotated[int, Field(ge=-(2**63), lt=2**64)]


class LatentInterpolation:
    """A film through the noise of several seeds.

    A loop returns to the first seed: the frame after the last one would be frame 0, exactly.
    A one-way trip begins exactly at the first seed and ends exactly at the last one.
    """

    class Options(BaseModel, extra="forbid"):
        seeds: tuple[Seed, ...] = Field((), description="The stops; empty = seed, seed + 1, ...")
        stops: int = Field(4, ge=1, le=10_000, description="How many stops, when seeds is empty.")
        loop: bool = Field(True, description="Return to the first seed at the end.")
        ease: Easing = Field("linear", description="How it moves between two stops.")

    def __init__(self, options: Options, score: Score) -> None:
        self.options, self.score = options, score
        self.seeds = options.seeds or tuple(map(score.seed_after, range(options.stops)))

    def __len__(self) -> int:
        return self.score.count

    def __getitem__(self, index: int) -> FrameJob:
        return self.score.job(index, self.score.prompts(index), self.start(index))

    def start(self, index: int) -> Start:
        legs = len(self.seeds) if self.options.loop else len(self.seeds) - 1
        span = self.score.count if self.options.loop else max(1, self.score.count - 1)
        # In integers, so that stops are met exactly.
        leg, rest = divmod(index * legs, span)
        here = self.seeds[leg % len(self.seeds)]
        there = self.seeds[(leg + 1) % len(self.seeds)]
        return Start(here, there, ease(self.options.ease, rest / span))
