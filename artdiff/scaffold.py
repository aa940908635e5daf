"""The beginning of a plugin: one file that runs as it is, or a package with test and preset."""

from __future__ import annotations

import re
import sys
from importlib.machinery import PathFinder
from importlib.metadata import entry_points
from keyword import iskeyword

from artdiff.errors import PluginError
from artdiff.hookspecs import GROUP

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


_PRESET = {
    "guidance": '''# The gradient stays in front of the network: fast, right for colours and light.
[guidance]
through = "x0"

[terms.{name}]
weight = 8000
target = {{ 0 = 0.3, "100%" = 0.8 }}
''',
    "projection": '''[terms.{name}]
amount = {{ 0 = 0.0, "100%" = 1.0 }}
''',
    "effect": '''[effects.{name}]
every = 2
''',
}

_IMPORTS = "from pydantic import BaseModel, Field\n"

_PACKAGE = {
    "pyproject.toml": '''[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "{name}"
version = "0.1.0"
description = "A plugin of artdiff."
license = "MIT"
requires-python = ">=3.11"
dependencies = ["artdiff"]

# artdiff loads every entry point of the group "artdiff".
[project.entry-points.artdiff]
{name} = "{module}"

[tool.setuptools]
packages = ["{module}"]

[tool.setuptools.package-data]
{module} = ["*.toml"]
''',
    "{module}/__init__.py": '''"""{title}, a plugin of artdiff: what it offers."""

from pathlib import Path

from artdiff import hookimpl

ARTDIFF_API = 1


@hookimpl
def {hook}():
    from {module}.look import {cls}

    return {{"{name}": {cls}}}


@hookimpl
def register_presets():
    return {{"{name}": Path(__file__).with_name("{name}.toml")}}
''',
    "README.md": '''# {name}

A plugin of artdiff. In this folder, install it so that changes are seen at once:

    pip install -e .

Then say what is wrong with it, make its film, and run its test (`pip install pytest`):

    artdiff plugins check {name}
    artdiff render {name}
    pytest
''',
    "{module}/{name}.toml": '''title = "{title}"
description = "What {name} does, from the first frame to the last."
prompt = "mountain lake"

[frames]
source = "prompt_animation"
count = 24

{preset}''',
    "tests/test_{module}.py": '''"""What every plugin keeps, and that its preset makes a film."""

import artdiff
from artdiff.testing import check_plugin


def test_it_keeps_what_artdiff_relies_on():
    assert [str(finding) for finding in check_plugin("{module}")] == []


def test_its_preset_makes_frames(tmp_path):
    made = artdiff.render("{name}", tmp_path, settings=["sampler.steps=2"], frames="::23")
    assert made.made == 2
''',
}

def plugin_package(name: str, kind: str) -> dict[str, str]:
    """The files of a plugin package by their path: code, a preset, a test that passes, metadata.

    :param name: letters, digits, ``-`` and ``_``; what presets will call it.
    :raises PluginError: the name cannot be used.
    """
    words = _words(name)
    imports = "import torch\n" if kind == "projection" else ""
    look = f'"""{words["title"]}: what it does."""\n\n{imports}{_IMPORTS}\n\n'
    body = _BODIES[kind].partition("\n\n@artdiff.hookimpl")[0]
    words["hook"] = "register_effects" if kind == "effect" else "register_guidance"
    words["preset"] = _PRESET[kind].format(**words)
    files = {path.format(**words): text.format(**words) for path, text in _PACKAGE.items()}
    files[f"{words['module']}/look.py"] = look + body.format(**words) + "\n"
    return dict(sorted(files.items(), key=lambda file: ("/" in file[0], file[0])))


def plugin_file(name: str, kind: str) -> str:
    """The text of a plugin file.

    :param name: letters, digits, ``-`` and ``_``; what presets will call it.
    :raises PluginError: the name cannot be used.
    """
    words = _words(name)
    head = _HEAD if kind == "projection" else _HEAD.replace("import torch\n", "")
    return (head + _BODIES[kind]).format(**words)


def _words(name: str) -> dict[str, str]:
    """What the templates are filled in with."""
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", name):
        raise PluginError(f"{name!r}: use lower-case letters, digits, - and _, such as my-look")
    cls = "".join(part.capitalize() for part in re.split(r"[-_]", name))
    module, title = name.replace("-", "_"), re.sub("[-_]+", " ", name).strip().capitalize()
    known = module in sys.stdlib_module_names or PathFinder.find_spec(module) is not None
    if iskeyword(module) or (known and not _is_plugin(name)):
        raise PluginError(f"{name!r}: Python has a module or a word of that name; use another")
    return {"name": name, "module": module, "file": module, "cls": cls, "title": title}


def _is_plugin(name: str) -> bool:
    """Whether an installed plugin has that name: it may be begun anew elsewhere."""
    return bool(entry_points(group=GROUP, name=name))
