"""Progress bars with an estimate of the time left, on a terminal, in a pipe and in CI."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, TextIO

from tqdm import tqdm


class _Lines:
    """A stream for tqdm that ends every update with a line feed, where no cursor can go back."""

    def __init__(self, stream: TextIO) -> None:
        self.stream, self.last = stream, ""

    def write(self, text: str) -> None:
        text = text.strip("\r\n")
        if text and text != self.last:
            self.stream.write(f"{text}\n")
            self.last = text

    def flush(self) -> None:
        self.stream.flush()


def progress(steps: Iterable[Any] | None = None, **options: Any) -> tqdm:
    """A tqdm bar on standard error; where that is no terminal, one line every 10 seconds."""
    if sys.stderr.isatty():
        return tqdm(steps, mininterval=0.2, dynamic_ncols=True, **options)
    return tqdm(
        steps,
        file=_Lines(sys.stderr),
        mininterval=10.0,
        maxinterval=20.0,
        ncols=80,
        ascii=True,
        **options,
    )
