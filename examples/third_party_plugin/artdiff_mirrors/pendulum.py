"""A frame source: the noise swings from one seed towards another and back."""

import math

from pydantic import BaseModel, Field

from artdiff import Start


class Pendulum:
    """A loop that swings from the preset's seed towards another one, slow at both ends."""

    class Options(BaseModel, extra="forbid"):
        towards: int = Field(1, description="The seed that it swings towards.")
        reach: float = Field(0.5, gt=0, le=1, description="How far, of the way to that seed.")
        swings: int = Field(1, ge=1, le=1000, description="How often in the film, there and back.")

    def __init__(self, options, score):
        self.options, self.score = options, score

    def __len__(self):
        return self.score.count

    def __getitem__(self, index):
        """What frame `index` is made from; nothing but numbers and texts, so it costs nothing."""
        turn = 2 * math.pi * self.options.swings * index / self.score.count
        way = self.options.reach * (1 - math.cos(turn)) / 2
        start = Start(self.score.seed, self.options.towards, way)
        return self.score.job(index, self.score.prompts(index), start)
