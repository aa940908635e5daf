"""The beginning of a plugin: one file that runs as it is."""

from __future__ import annotations

import re

from artdiff.errors import PluginError

_HEAD = '''"""{title}, a plugin of artdiff: artdiff render PRESET --plugin {file}.py"""

import torch
from pydantic import BaseModel, Field

import artdiff


'''

_BODIES = {
    "guidance": '''class {cls}:
    """Leads pictures towards a brightness."""

    class Options(BaseModel, extra="forbid"):
        target: float = Field(0.5, ge=0, le=1, description="Mean brightness, 0 black to 1 white.")

    def __init__(self, options, setup):
        self.options, self.setup = options, setup

    def loss(self, x0, at, noise):
        """One number per picture, smaller is better; x0 is (B, C, h, w)."""
        images = self.setup.decode(x0) / 2 + 0.5
        return (images.mean((1, 2, 3)) - self.options.target) ** 2


@artdiff.hookimpl
def register_guidance():
    return {{"{name}": {cls}}}
''',
    "projection": '''class {cls}:
    """Makes pictures mirror-symmetric."""

    class Options(BaseModel, extra="forbid"):
        amount: float = Field(1.0, ge=0, le=1, description="0 leaves the picture as it is.")

    def __init__(self, options, setup):
        self.options = options

    def __call__(self, x0, x, at, noise):
        """The changed x0, (B, C, h, w)."""
        return torch.lerp(x0, (x0 + x0.flip(3)) / 2, self.options.amount)


@artdiff.hookimpl
def register_guidance():
    return {{"{name}": {cls}}}
''',
    "effect": '''class {cls}:
    """Turns finished pictures upside down."""

    class Options(BaseModel, extra="forbid"):
        every: int = Field(1, ge=1, description="Every how many frames.")

    def __init__(self, options):
        self.options = options

    def __call__(self, picture, job):
        """The changed picture, uint8 (H, W, 3)."""
        return picture[::-1].copy() if job.index % self.options.every == 0 else picture


@artdiff.hookimpl
def register_effects():
    return {{"{name}": {cls}}}
''',
}


def plugin_file(name: str, kind: str) -> str:
    """The text of a plugin file.

    :param name: letters, digits, ``-`` and ``_``; what presets will call it.
    :raises PluginError: the name cannot be used.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", name):
        raise PluginError(f"{name!r}: use lower-case letters, digits, - and _, such as my-look")
    cls = "".join(part.capitalize() for part in re.split(r"[-_]", name))
    head = _HEAD if kind == "projection" else _HEAD.replace("import torch\n", "")
    text = head + _BODIES[kind]
    return text.format(title=cls, file=name.replace("-", "_"), name=name, cls=cls)
