"""Checks of what changes finished pictures: effects, and what terms do at last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from artdiff.testing.findings import Report, repeats, said
from artdiff.testing.toys import toy_job
from artdiff.timeline import FrameJob

__all__ = ["ANY_FRAME", "PURE", "check_change"]

ANY_FRAME = "any frame must work, after any other"
PURE = "let it depend on the options and its arguments alone"
Change = Callable[[np.ndarray, FrameJob], Any]


def check_change(
    report: Report,
    what: str,
    build: Callable[[], Change],
    sizes: Sequence[tuple[int, int]],
    frame: int = 3,
) -> None:
    """Check a change of pictures: uint8 (H, W, 3) in and out, pure, nothing changed in place.

    Args:
        report: gathers what is wrong.
        what: what the findings call it.
        build: makes the change anew; its errors are not looked for.
        sizes: height and width of the pictures that it must take.
        frame: the number of the frame.
    """
    draws = np.random.default_rng(0)
    pictures = [draws.integers(0, 256, (*size, 3), np.uint8) for size in sizes]
    pictures.append(np.full((*sizes[-1], 3), 255, np.uint8))
    change, job, made = build(), toy_job(frame), []
    for picture in pictures:
        kept = picture.copy()
        try:
            with report.random(what):
                found = change(picture, job)
        except Exception as error:
            size = f"{picture.shape[1]}x{picture.shape[0]}"
            report.wrong("runs", f"{said(error)} on a picture of {size}", "any size must work")
            return
        if not np.array_equal(picture, kept):
            report.wrong("in place", "changes the picture itself", "begin with picture.copy()")
            picture[...] = kept
        if not isinstance(found, np.ndarray) or found.ndim != 3 or found.shape[2] != 3:
            got = getattr(found, "shape", type(found).__name__)
            report.wrong("shape", f"gives {got}", "return an array (H, W, 3)")
            return
        if found.dtype != np.uint8:
            report.wrong(
                "dtype", f"gives {found.dtype}",
                "end with .round().clip(0, 255).astype(np.uint8)",
            )  # fmt: skip
            return
        made.append(found.shape)
    if made[-1] != made[-2]:
        report.wrong(
            "size", f"gives pictures of one size two sizes, {made[-2][:2]} and {made[-1][:2]}",
            "let the size depend on the options and the picture's size alone: a film has one",
        )  # fmt: skip
    first = pictures[0]
    with report.guard("runs", ANY_FRAME):
        repeats(report, what, lambda: change(first.copy(), job), np.array_equal)

    def in_other_order() -> np.ndarray:
        other = build()
        other(first[::-1].copy(), toy_job(frame + 6))
        return other(first.copy(), job)

    with report.guard("runs", ANY_FRAME):
        if not np.array_equal(in_other_order(), change(first.copy(), job)):
            report.wrong(
                "repeatable", f"frame {frame} differs with the frames made before it", PURE
            )
