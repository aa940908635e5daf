"""A guidance plugin in one file: it leads pictures towards warm colours, or towards cold ones.

artdiff render examples/warm.toml --plugin examples/warm_colours.py
"""

from pydantic import BaseModel, Field

import artdiff


class WarmColours:
    """Leads pictures towards warm colours."""

    class Options(BaseModel, extra="forbid"):
        warmth: float = Field(0.5, ge=-2, le=2, description="Red less blue; below 0 is cold.")

    def __init__(self, options, setup):
        self.options, self.setup = options, setup

    def loss(self, x0, at, noise):
        red, _, blue = self.setup.decode(x0).mean((2, 3)).unbind(1)
        return (red - blue - self.options.warmth) ** 2


@artdiff.hookimpl
def register_guidance():
    return {"warm_colours": WarmColours}
