"""Each picture on its own: the next seed, and the prompt that stands at its number."""

from __future__ import annotations

from pydantic import BaseModel

from artdiff import FrameJob, Score, Start


class Still:
    """Pictures 0, 1, 2, ... from the seeds seed, seed + 1, seed + 2, ..."""

    class Options(BaseModel, extra="forbid"):
        """Stills have no options."""

    def __init__(self, options: Options, score: Score) -> None:
        self.score = score

    def __len__(self) -> int:
        return self.score.count

    def __getitem__(self, index: int) -> FrameJob:
        seed = self.score.seed_after(index)
        return self.score.job(index, self.score.prompts(index), Start.at(seed), seed)
