"""Each picture on its own: the next seed, and the prompt that stands at its number."""

from __future__ import annotations

from pydantic import BaseModel

from artdiff import FrameJob, Score


class Still:
    """Pictures 0, 1, 2, ... from the seeds seed, seed + 1, ..., or from the subseeds."""

    class Options(BaseModel, extra="forbid"):
        """Stills have no options."""

    def __init__(self, options: Options, score: Score) -> None:
        self.score = score

    def __len__(self) -> int:
        return self.score.count

    def __getitem__(self, index: int) -> FrameJob:
        start = self.score.start(index, index)
        return self.score.job(index, self.score.prompts(index), start, start.seed)
