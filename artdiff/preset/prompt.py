"""The texts of a preset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from artdiff.preset.part import Part


class Prompt(Part):
    """One text of a prompt and how much it counts beside the others."""

    text: str = Field(description="What the picture shows.")
    weight: float = Field(
        default=1.0, gt=0, description="Share of the mix, relative to the others."
    )


def mix(value: Any) -> Any:
    """What stands for a prompt, as a tuple of tables.

    It is a text, or a list of texts and { text, weight } tables.

    :raises ValueError: it is anything else.
    """
    parts = value if isinstance(value, list | tuple) else [value]
    for part in parts:
        if not isinstance(part, str | Mapping | Prompt):
            raise ValueError(
                f"must be a text, or a list of texts and {{ text, weight }} (got {part!r})"
            )
    return tuple({"text": part} if isinstance(part, str) else part for part in parts)
