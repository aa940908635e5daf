"""Every plugin that ships with artdiff passes the checks that artdiff offers to others."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import artdiff
from artdiff.errors import PluginError
from artdiff.provenance import provenance
from artdiff.registry import Selection, create_registry
from artdiff.scaffold import plugin_file, plugin_package
from artdiff.testing import check_plugin

ROOT = Path(__file__).parent.parent
FIRST_PARTY = sorted(p.parent.name for p in (ROOT / "plugins").glob("*/__init__.py"))
MODULES = [
    "artdiff.builtins",
    "artdiff.backends.starter",
    "artdiff.backends.adm",
    *(f"artdiff_plugins.{name}" for name in FIRST_PARTY),
]
EXAMPLES = [
    ROOT / "examples/warm_colours.py",
    ROOT / "examples/third_party_plugin/artdiff_mirrors",
]


KNOWN = {("lcm", "distribution")}
"""It is for models that were distilled, which do not give the expectation of x0."""


def wrong(findings):
    return [str(f) for f in findings if f.level == "wrong" and (f.name, f.check) not in KNOWN]


@pytest.mark.parametrize("module", MODULES)
def test_a_first_party_plugin(module):
    assert not wrong(check_plugin(module))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_an_example(path):
    assert check_plugin(path) == []


@pytest.mark.parametrize("kind", ["guidance", "projection", "effect"])
def test_what_plugins_new_writes(kind, tmp_path):
    path = tmp_path / "my_look.py"
    path.write_text(plugin_file("my_look", kind))
    assert check_plugin(path) == []


EXTRAS = ("skia", "scipy", "matplotlib", "tensorboard", "open_clip", "torchvision", "spandrel",
          "torch_fidelity")  # fmt: skip
WITHOUT = f"""
import sys
for name in {EXTRAS}:
    sys.modules[name] = None
from artdiff.hookspecs import REGISTRATIONS
from artdiff.registry import Selection, create_registry
registry = create_registry(Selection())
print(*(name for kind in REGISTRATIONS for name in registry.entries(kind)))
from artdiff_plugins.scenes.dataset import Scenes
try:
    Scenes(Scenes.Options()).vocabulary()
except Exception as error:
    print(error)
"""


def test_everything_is_offered_without_the_extras():
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    offered, said = done.stdout.splitlines()
    assert {"scenes", "upscale", "inception", "clip"} <= set(offered.split())
    assert "needs skia: pip install 'artdiff[train]'" in said


@pytest.mark.parametrize(
    "plugin",
    [ROOT / "plugins/variations", "variations", ROOT / "examples/third_party_plugin"],
    ids=["a plugin with only a command", "by its name", "a project"],
)
def test_what_a_check_finds_by_other_ways(plugin):
    assert check_plugin(plugin) == []


@pytest.mark.parametrize(
    ("make", "said"),
    [
        ("empty/", "holds neither __init__.py nor pyproject.toml"),
        ("p/pyproject.toml=[project]", "no entry point of the group"),
        ("p/pyproject.toml=[project.entry-points.artdiff]\na = 'aa'", "names the module aa"),
        ("p/pyproject.toml=[project.entry-points.artdiff]\na = 'aa'\nb = 'bb'", "check each"),
        ("p/pyproject.toml=[", "not TOML"),
    ],
)
def test_folders_that_hold_no_plugin(make, said, tmp_path):
    name, _, text = make.partition("=")
    file = tmp_path / name
    (file if name.endswith("/") else file.parent).mkdir()
    if text:
        file.write_text(text)
    (finding,) = check_plugin(tmp_path / name.partition("/")[0])
    assert said in finding.wrong


def test_another_plugins_fault_is_not_ones_own(tmp_path, monkeypatch):
    from artdiff_plugins import pictures

    def broken():
        raise KeyError("broken")

    monkeypatch.setattr(pictures, "register_datasets", artdiff.hookimpl(broken))
    file = tmp_path / "dots.py"
    file.write_text(DOTS)
    findings = check_plugin(file)
    assert [f.level for f in findings] == ["note"] and "'pictures' failed" in findings[0].wrong
    assert any("'pictures' failed" in text for p in provenance(create_registry(Selection()))
               for text in p.trouble if p.name == "pictures")  # fmt: skip


DOTS = """
import numpy as np, artdiff
from pydantic import BaseModel

class Dots:
    name, version = "dots", "1"
    class Options(BaseModel, extra="forbid"):
        pass
    def __init__(self, options): pass
    def attributes(self, index): return {}
    def picture(self, index): return np.zeros((8, 8, 3), np.uint8)
    def caption(self, index, draw): return "dot"
    def vocabulary(self): return ["dot"]

@artdiff.hookimpl
def register_datasets(): return {"dots": Dots}
"""


def test_commands_and_observers_are_listed(tmp_path):
    file = tmp_path / "diary.py"
    file.write_text("import artdiff\n@artdiff.hookimpl\ndef on_frame(job): pass\n")
    known = {p.name: p for p in provenance(create_registry(Selection(None, (str(file),))))}
    assert known["variations"].offers == {"commands": ("vary",)}
    assert known["diary"].offers == {"observers": ("on_frame",)}


@pytest.mark.parametrize("name", ["torch", "class", "json", "3d", "Look"])
def test_names_that_a_plugin_cannot_have(name):
    with pytest.raises(PluginError, match=repr(name)):
        plugin_package(name, "guidance")


def test_the_first_film_of_a_new_term_follows_its_target(tmp_path):
    path = tmp_path / "glow.py"
    path.write_text(plugin_file("glow", "guidance"))
    said = tomllib.loads(plugin_package("glow", "guidance")["glow/glow.toml"])
    settings = ["sampler.steps=6", f"guidance.through={said['guidance']['through']}"]
    settings += [f"terms.glow.weight={said['terms']['glow']['weight']}"]
    light = []
    for target in (0.3, 0.8):
        more = [*settings, f"terms.glow.target={target}"]
        ((_, drawn),) = artdiff.image(said["prompt"], settings=more, plugins=[path])
        light.append(drawn.mean() / 255)
    assert light[0] < 0.45 and light[1] > 0.68
