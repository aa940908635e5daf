"""The conformance kit checks whole plugins."""

import re
import textwrap
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from conforming import wrong

from artdiff.testing import check_plugin
from artdiff.testing.plugin import CHECKS

BAD = """
import numpy as np
import torch
from pydantic import BaseModel, Field

import artdiff


class Louder:
    class Options(BaseModel, extra="forbid"):
        path: str = Field(description="Needed.")

    def __init__(self, options):
        self.factor = float(options.path)

    def __call__(self, picture, job):
        picture *= 2
        return picture


class Mean:
    class Options(BaseModel, extra="forbid"):
        pass

    def __init__(self, options, setup):
        pass

    def loss(self, x0, at, noise):
        return (x0 - x0.mean(0)).square().mean((1, 2, 3))


@artdiff.hookimpl
def register_effects():
    return {"louder": Louder}


@artdiff.hookimpl
def register_guidance():
    return {"the_mean": Mean}
"""


@pytest.fixture
def bad(tmp_path):
    path = tmp_path / "bad_plugin.py"
    path.write_text(BAD)
    return path


def test_check_plugin_checks_all_that_is_registered(bad):
    findings = check_plugin(bad)
    assert wrong(findings) == {"rows"}
    notes = [f for f in findings if f.level == "note"]
    assert [f.name for f in notes] == ["louder"] and "'path'" in str(notes[0])
    findings = check_plugin(bad, {"louder": {"path": "2"}})
    assert {(f.name, f.check) for f in findings} >= {("louder", "in place"), ("the_mean", "rows")}


def test_a_check_that_fails_is_a_finding_and_the_others_are_told(bad, monkeypatch):
    def check(kind, options, *, name):
        raise KeyError("of the plugin")

    monkeypatch.setitem(CHECKS, "effects", check)
    findings = check_plugin(bad)
    assert {(f.kind, f.name, f.check) for f in findings} == {
        ("effect", "louder", "runs"), ("guidance", "the_mean", "rows")
    }  # fmt: skip
    assert "KeyError" in str(findings[0]) or "KeyError" in str(findings[1])


@pytest.mark.parametrize(("text", "said"), [
    ("import nowhere_at_all", "nowhere_at_all"),
    ("x = 1", "implements no hook"),
    ("import artdiff\n@artdiff.hookimpl\ndef register_effect():\n    return {}",
     "unknown hook 'register_effect'; did you mean 'register_effects'?"),
    ("import artdiff\n@artdiff.hookimpl\ndef on_step(jobs):\n    pass", "jobs"),
    ("import artdiff\n@artdiff.hookimpl\ndef register_effects():\n    return {'x': 3}", "a class"),
    ("import artdiff\n@artdiff.hookimpl\ndef register_effects():\n    1 / 0", "ZeroDivision"),
    ("import artdiff\n@artdiff.hookimpl\ndef register_samplers():\n"
     "    from artdiff.samplers import Euler\n    return {'euler': Euler}", "offered by both"),
])  # fmt: skip
def test_a_plugin_that_does_not_load(text, said, tmp_path):
    path = tmp_path / "broken.py"
    path.write_text(text)
    findings = check_plugin(path)
    assert any(said in str(f) for f in findings), [str(f) for f in findings]
    assert all("\n" not in str(f) for f in findings)


def test_a_package_with_a_preset_a_command_and_a_heavy_start(tmp_path):
    folder = tmp_path / "heavy_plugin"
    folder.mkdir()
    (folder / "look.toml").write_text('title = "x"\n[effects.sparkle]\n')
    (folder / "__init__.py").write_text(
        textwrap.dedent("""
        from pathlib import Path
        import click
        import torch
        import artdiff

        @artdiff.hookimpl
        def register_presets():
            return {"look": Path(__file__).with_name("look.toml")}

        @artdiff.hookimpl
        def register_commands(cli):
            @cli.command("mute")
            def mute():
                pass
    """)
    )
    assert wrong(check_plugin(folder)) == {"slow start", "resolves", "commands"}


def test_not_there(tmp_path):
    assert "no such file" in str(check_plugin(tmp_path / "none.py")[0])
    assert wrong(check_plugin("no_such_module_at_all")) == {"loads"}


def test_the_command(bad):
    from artdiff.cli.plugins import command

    assert isinstance(command, click.Group)
    result = CliRunner().invoke(command, ["check", str(bad)])
    assert result.exit_code == 1 and "the_mean" in result.output
    result = CliRunner().invoke(command, ["check", str(bad), "-s", "louder.path=2"])
    assert "[in place]" in result.output
    result = CliRunner().invoke(command, ["check", "artdiff_plugins.still"])
    assert result.exit_code == 0 and "nothing wrong" in result.output


def test_the_page_of_the_kit_runs(monkeypatch):
    root = Path(__file__).parent.parent
    page = (root / "docs" / "plugin-testing.md").read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 3
    monkeypatch.chdir(root)
    for block in blocks:
        names = {"__name__": "page"}
        exec(compile(block, "plugin-testing.md", "exec"), names)
        if "test_it_keeps_what_artdiff_relies_on" in names:
            names["test_it_keeps_what_artdiff_relies_on"]()
