"""Which of N trained steps to keep: the words for it, read."""

from __future__ import annotations

from itertools import accumulate, repeat

__all__ = ["parse_spacing"]


def parse_spacing(spec: str, steps: int) -> list[int]:
    """Read which of N trained steps to keep: rising integers in [0, N).

    * ``"250"``: so many, evenly, first and last included;
    * ``"10,15,20"``: so many of each of three equal sections, evenly in each;
    * ``"ddim25"``: so many at one integer stride from 0 on.

    The rules and the spellings are those of Nichol & Dhariwal's published code.

    Raises:
        ValueError: if the text says something else, or more steps than there are.
    """
    ddim = spec.strip().removeprefix("ddim") if spec.strip().startswith("ddim") else None
    try:
        counts = [int(part) for part in (ddim if ddim is not None else spec).split(",")]
    except ValueError:
        counts = []
    if not counts or min(counts) < 1 or (ddim is not None and len(counts) > 1):
        known = "a number as '250', counts of sections as '10,15,20' or a stride as 'ddim25'"
        raise ValueError(f"spacing is {known}, not {spec!r}")
    if ddim is not None:
        return _strided(counts[0], steps)
    size, longer = divmod(steps, len(counts))
    kept, start = [], 0
    for place, count in enumerate(counts):
        length = size + (place < longer)
        if count > length:
            raise ValueError(f"spacing {spec!r}: a section of {length} steps cannot give {count}")
        stride = (length - 1) / (count - 1) if count > 1 else 1.0
        places = accumulate(repeat(stride, count - 1), initial=0.0)
        kept += [start + round(at) for at in places]
        start += length
    return sorted(set(kept))


def _strided(count: int, steps: int) -> list[int]:
    """Give `count` of N steps at the smallest integer stride that yields so many."""
    lengths = {len(range(0, steps, stride)) for stride in range(1, steps + 1)}
    if count not in lengths:
        best = min(lengths, key=lambda length: abs(length - count))
        wrong = f"no integer stride takes {count} of {steps} steps"
        raise ValueError(f"spacing 'ddim{count}': {wrong}; nearest: 'ddim{best}'")
    stride = next(s for s in range(1, steps + 1) if len(range(0, steps, s)) == count)
    return list(range(0, steps, stride))
