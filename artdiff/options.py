"""The options of a sampler or a grid that has none."""

from __future__ import annotations

from pydantic import BaseModel

__all__ = ["NoOptions"]


class NoOptions(BaseModel, extra="forbid"):
    """There are no options."""
