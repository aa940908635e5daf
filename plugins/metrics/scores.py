"""Scores of made pictures alone: Inception score, CLIP score."""

from __future__ import annotations

from math import inf
from typing import ClassVar, Literal

from artdiff import Estimate, Features, Need, PluginError, clip_scores, inception_score

ENOUGH_PER_CLASS = 10
ENOUGH_PROMPTS = 100


class InceptionScore:
    """Inception score (arXiv:1606.03498) of all pictures at once, from a classifier's logits."""

    need: ClassVar[Need] = "logits"
    real: ClassVar[bool] = False
    better: ClassVar[Literal["lower", "higher"]] = "higher"
    least: ClassVar[int] = 2
    recentre: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float]] = (1.0, inf)

    def prepare(self, made: Features, real: Features | None) -> Estimate:
        logits = made.need("logits")
        return lambda counts, _: inception_score(logits, counts)

    def doubt(self, made: Features, real: Features | None) -> str:
        rows, classes = made.need("logits").shape
        if rows >= ENOUGH_PER_CLASS * classes:
            return ""
        return (
            f"n = {rows} is below {ENOUGH_PER_CLASS} times its {classes} classes: the mean over "
            "few pictures is closer to each of them, so the score is too small"
        )


class ClipScore:
    """100 x cosine of picture and prompt, not below 0 (arXiv:2104.08718), averaged."""

    need: ClassVar[Need] = "aligned"
    real: ClassVar[bool] = False
    better: ClassVar[Literal["lower", "higher"]] = "higher"
    least: ClassVar[int] = 1
    recentre: ClassVar[bool] = False
    bounds: ClassVar[tuple[float, float]] = (0.0, 100.0)

    def prepare(self, made: Features, real: Features | None) -> Estimate:
        if made.texts is None:
            raise PluginError("clip needs the pictures' prompts; give --prompts FILE")
        scores = clip_scores(made.need("aligned"), made.texts)
        return lambda counts, _: float(counts.to(scores) @ scores / counts.sum())

    def doubt(self, made: Features, real: Features | None) -> str:
        rows = len(made.need("aligned"))
        if rows >= ENOUGH_PROMPTS:
            return ""
        return f"n = {rows} is below {ENOUGH_PROMPTS}: few prompts stand for all that it may draw"
