"""What the tests of the conformance kit share."""

from pydantic import BaseModel, Field


class Options(BaseModel, extra="forbid"):
    target: float = Field(0.2, description="Where to.")


def wrong(findings):
    """The checks that found something wrong."""
    return {f.check for f in findings if f.level == "wrong"}
