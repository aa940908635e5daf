"""Every plugin that ships with artdiff passes the checks that artdiff offers to others."""

from pathlib import Path

import pytest

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
    from artdiff.scaffold import plugin_file

    path = tmp_path / "my_look.py"
    path.write_text(plugin_file("my_look", kind))
    assert check_plugin(path) == []
