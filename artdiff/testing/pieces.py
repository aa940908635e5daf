"""Checks of effects, frame sources and datasets."""

from __future__ import annotations

import json
import pickle
from typing import Any

import numpy as np

from artdiff.testing.findings import Finding, Report, make_options, repeats, said
from artdiff.testing.pictures import ANY_FRAME, PURE, check_change
from artdiff.testing.toys import toy_score
from artdiff.timeline import FrameJob, Score

__all__ = ["check_dataset", "check_effect", "check_frame_source"]


def check_effect(kind: type, options: Any = None, *, name: str = "effect") -> list[Finding]:
    """Check an `Effect` class: uint8 (H, W, 3) in and out of one size, pure, nothing in place.

    Args:
        kind: the class.
        options: its options, or a dictionary of some; the defaults otherwise.
        name: what the findings call it.
    """
    report = Report("effect", name)
    chosen = make_options(report, kind, options)
    if chosen is None:
        return report.findings

    def build() -> Any:
        return kind(chosen)  # type: ignore[call-arg]

    try:
        with report.random("its constructor"):
            build()
    except Exception as error:
        report.unmade(error)
        return report.findings
    check_change(report, "the effect", build, ((32, 48), (33, 17), (16, 16)))
    return report.findings


def check_frame_source(
    kind: type, options: Any = None, *, name: str = "source", score: Score | None = None
) -> list[Finding]:
    """Check a `FrameSource` class: frame i a pure, picklable function of i; shares that sum to 1.

    Args:
        kind: the class.
        options: its options, or a dictionary of some; the defaults otherwise.
        name: what the findings call it.
        score: what it reads; seven frames with two prompts if left out (`toy_score`).
    """
    report = Report("frame source", name)
    chosen = make_options(report, kind, options)
    if chosen is None:
        return report.findings
    score = score or toy_score()
    try:
        with report.random("the source"):
            source: Any = kind(chosen, score)  # type: ignore[call-arg]
            jobs = [source[index] for index in range(len(source))]
    except Exception as error:
        report.wrong("runs", said(error), "try it by hand: kind(options, score)[0]")
        return report.findings
    if not jobs:
        report.wrong("length", "has no frames", "return score.count from __len__")
    for index, job in enumerate(jobs):
        if not isinstance(job, FrameJob):
            got = type(job).__name__
            report.wrong("job", f"frame {index} is a {got}", "return score.job(index, ...)")
            return report.findings
        if job.index != index:
            report.wrong("job", f"frame {index} says it is {job.index}", "pass index to score.job")
        with report.guard("prompts", "build them by score.prompts(frame)"):
            shares = sum(share for _, share in job.prompts)
            if abs(shares - 1) > 1e-6:
                report.wrong(
                    "prompts", f"the prompts of frame {index} sum to {shares:g}, not 1",
                    "build them by score.prompts(frame)",
                )  # fmt: skip
        try:
            intact = pickle.loads(pickle.dumps(job)) == job
        except Exception:
            intact = False
        if not intact:
            report.wrong(
                "picklable", f"frame {index} cannot be sent to a worker",
                "put only numbers and texts into a job",
            )  # fmt: skip

    def backwards() -> list[FrameJob]:
        other: Any = kind(chosen, score)  # type: ignore[call-arg]
        return [other[index] for index in reversed(range(len(other)))][::-1]

    with report.guard("runs", ANY_FRAME):
        repeats(report, "frame i", backwards, lambda a, b: a == b)
        if backwards() != jobs:
            report.wrong("repeatable", "frame i differs with the order of asking", PURE)
    return report.findings


def check_dataset(
    kind: type, options: Any = None, *, name: str = "dataset", count: int = 4
) -> list[Finding]:
    """Check a dataset class: picture, attributes and captions pure functions of (options, index).

    Pictures must be uint8 (H, W, 3) of one size, attributes JSON-able, and the words of every
    caption in the vocabulary, each of them one word.

    Args:
        kind: the class.
        options: its options, or a dictionary of some; the defaults otherwise.
        name: what the findings call it.
        count: how many pictures to look at.
    """
    from artdiff.nn.text import Tokenizer

    report = Report("dataset", name)
    chosen = make_options(report, kind, options)
    if chosen is None:
        return report.findings
    for part in ("name", "version"):
        if not isinstance(getattr(kind, part, None), str):
            report.wrong("declares", f"has no {part}", f"add {part} = '...', for the caches")
    try:
        with report.random("the dataset"):
            dataset: Any = kind(chosen)  # type: ignore[call-arg]
            count = min(count, len(dataset)) if hasattr(dataset, "__len__") else count
            pictures = [dataset.picture(index) for index in range(count)]
            records = [dataset.attributes(index) for index in range(count)]
            captions = [dataset.caption(i, draw) for i in range(count) for draw in range(3)]
            words = dataset.vocabulary()
    except Exception as error:
        report.wrong("runs", said(error), "try it by hand: kind(options).picture(0)")
        return report.findings
    for index, picture in enumerate(pictures):
        fits = isinstance(picture, np.ndarray) and picture.dtype == np.uint8
        if not fits or picture.ndim != 3 or picture.shape[2] != 3:
            got = f"{getattr(picture, 'dtype', '')} {getattr(picture, 'shape', picture)}"
            report.wrong("shape", f"picture {index} is {got}", "return uint8 (H, W, 3)")
        elif picture.shape != pictures[0].shape:
            report.wrong("shape", f"picture {index} has another size than 0", "resize and crop")
    for index, record in enumerate(records):
        try:
            json.dumps(record)
        except (TypeError, ValueError) as error:
            report.wrong(
                "attributes", f"of {index}: {said(error)}", "plain numbers and texts only"
            )
    with report.guard("vocabulary", "captions are texts, the vocabulary a list of words"):
        known = set(words)
        for word in words:
            if Tokenizer.split(word) != [word]:
                mend = "lower-case words, each alone"
                report.wrong("vocabulary", f"{word!r} is not one word", mend)
        for caption in captions:
            strange = [word for word in Tokenizer.split(caption) if word not in known]
            if strange:
                report.wrong(
                    "vocabulary",
                    f"the caption {caption!r} has {strange[0]!r}, the vocabulary not",
                    "return every word of every caption from vocabulary()",
                )

    def again() -> list[Any]:
        other: Any = kind(type(chosen)(**chosen.model_dump()))  # type: ignore[call-arg]
        seen: dict[int, Any] = {}
        for i in reversed(range(count)):
            picture = np.asarray(other.picture(i)).tobytes()
            seen[i] = (picture, other.attributes(i), other.caption(i, 1))
        return [seen[i] for i in range(count)]

    with report.guard("runs", "any picture must work, after any other"):
        repeats(report, "picture i", again, lambda a, b: a == b)
        first = [
            (np.asarray(p).tobytes(), r, captions[3 * i + 1])
            for i, (p, r) in enumerate(zip(pictures, records, strict=True))
        ]
        if not any(f.level == "wrong" for f in report.findings) and again() != first:
            report.wrong("repeatable", "picture i differs with the order of asking", PURE)
    return report.findings
