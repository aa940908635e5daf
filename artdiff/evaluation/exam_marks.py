"""The marks of an examination: what pictures are worth beside those of the dataset."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from artdiff.api import OnFrame
from artdiff.evaluation.exam import Exam, Question, nearness, score, spread_of
from artdiff.evaluation.exam_report import ALL
from artdiff.evaluation.features import FeatureExtractor, Features, PictureRow, extract
from artdiff.evaluation.frechet import frechet_distance
from artdiff.evaluation.judge import Judge
from artdiff.train.data import square

__all__ = ["QUICK", "Size", "judged", "nearest"]

NEAREST = 8


@dataclass(frozen=True)
class Size:
    """How long an examination is.

    Args:
        questions: prompts, half of them seen in training, half held out.
        again: so many of them are drawn anew for diversity, each `each` times.
        alike: training pictures that each picture is held beside.
        frames: of each film.
    """

    questions: int = 500
    again: int = 25
    each: int = 4
    alike: int = 32
    frames: int = 96


QUICK = Size(questions=150, again=8, alike=8, frames=32)


@dataclass(frozen=True)
class Found:
    """Accuracies by trait and part, numbers by name, and the dataset's own answers."""

    scores: dict[str, dict[str, Any]]
    numbers: dict[str, float]
    renders: list[np.ndarray]


@dataclass(frozen=True)
class Near:
    """Distances to training pictures, and the nearest pairs for the page."""

    numbers: dict[str, float]
    pairs: list[np.ndarray]
    labels: list[str]


def judged(
    exam: Exam,
    judge: Judge,
    questions: Sequence[Question],
    made: PictureRow,
    again: PictureRow,
    length: Size,
    report: OnFrame,
) -> Found:
    """Accuracies, Frechet distances and diversity; and the dataset's own answers."""
    count, side = len(questions), made[0].shape[0]
    renders = []
    for index in range(count):
        renders.append(fitted(exam.answer(index, 0), side))
        report("renders", index + 1, count)
    others = [fitted(exam.answer(index, 1), side) for index in range(count)]
    beside = [
        fitted(exam.answer(index, draw), side)
        for index in range(length.again)
        for draw in range(length.each)
    ]

    def seen(pictures: PictureRow) -> Features:
        return extract(
            cast(FeatureExtractor, judge),
            pictures,
            on_progress=lambda done, total: report("judge", done, total),
        )

    ours, theirs, floor = seen(made), seen(renders), seen(others)
    choices, real = judge.choices(ours.need("logits")), judge.choices(theirs.need("logits"))
    scores: dict[str, dict[str, Any]] = {}
    for trait in (*judge.heads, None):
        halves = {
            name: score(*_half(questions, choices, side), trait)
            for name, side in (("seen", True), ("held_out", False))
        }
        scores[trait or ALL] = halves | {"renders": score(questions, real, trait)}
    numbers = {
        "frechet": frechet_distance(ours.need("pooled"), theirs.need("pooled")),
        "frechet_renders": frechet_distance(floor.need("pooled"), theirs.need("pooled")),
        "diversity": spread_of(seen(again).need("pooled"), length.each),
        "diversity_renders": spread_of(seen(beside).need("pooled"), length.each),
    }
    return Found(scores, numbers, renders)


def _half(
    questions: Sequence[Question], choices: Sequence[Mapping[str, str]], seen: bool
) -> tuple[list[Question], list[Mapping[str, str]]]:
    """The questions that are seen in training, or those that are not, and their answers."""
    rows = [row for row in zip(questions, choices, strict=True) if row[0].seen == seen]
    return [question for question, _ in rows], [choice for _, choice in rows]


def fitted(picture: np.ndarray, side: int) -> np.ndarray:
    """A dataset's picture at a model's size."""
    return square(picture, side) if side < min(picture.shape[:2]) else picture


def nearest(
    exam: Exam,
    made: PictureRow,
    renders: Sequence[np.ndarray],
    length: Size,
    report: OnFrame,
) -> Near:
    """How near pictures come to training pictures that show the same, and how near renders do."""
    ours: list[tuple[float, int]] = []
    theirs: list[float] = []
    for index in range(length.questions):
        places = exam.alike(index, length.alike)
        pictures = [exam.training(place) for place in places]
        distance, at = nearness(made[index], pictures)
        ours.append((distance, places[at]))
        theirs.append(nearness(renders[index], pictures)[0])
        report("training pictures", index + 1, length.questions)
    order = sorted(range(len(ours)), key=lambda index: ours[index][0])[:NEAREST]
    side = made[0].shape[0]
    pairs = [p for i in order for p in (made[i], fitted(exam.training(ours[i][1]), side))]
    labels = [text for i in order for text in (f"made, {ours[i][0]:.3f}", f"#{ours[i][1]}")]
    distances = [distance for distance, _ in ours]
    numbers = {
        "nearest": statistics.median(distances),
        "nearest_renders": statistics.median(theirs),
        "nearest_smallest": min(distances),
        "nearest_renders_smallest": min(theirs),
    }
    return Near(numbers, pairs, labels)
