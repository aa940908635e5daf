"""Plugins are found, told apart and blamed; nothing of it is global."""

import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points

import pytest

import artdiff
import artdiff.registry as registry_module
from artdiff.cli import doctor
from artdiff.errors import PluginError, PluginWarning
from artdiff.registry import BUILTINS, Selection, create_registry
from artdiff.testing import check_plugin, loading

HEAD = """import artdiff
from pydantic import BaseModel

class Thing:
    class Options(BaseModel):
        x: int = 1

"""


@pytest.fixture
def plugin(tmp_path):
    """Write a plugin file that offers a guidance term, or says something else."""

    def plugin(name, text=None, term="glow"):
        path = tmp_path / f"{name}.py"
        path.write_text(HEAD + (text or (
            f"@artdiff.hookimpl\ndef register_guidance():\n    return {{{term!r}: Thing}}\n")))
        return str(path)

    return plugin


def load(*files, names=()):
    return create_registry(Selection(names, files))


def failure(*files, kind=None, names=()):
    with pytest.raises(PluginError) as caught:
        made = load(*files, names=names)
        if kind:
            made.entries(kind)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_entries_know_who_offers_them(plugin):
    made = load(plugin("looks"))
    assert made.plugins == (*BUILTINS, "looks")
    entry = made.entries("guidance")["glow"]
    assert (entry.kind, entry.name, entry.plugin) == ("guidance", "glow", "looks")
    assert made.get("samplers", "euler").order == 1
    with pytest.raises(PluginError, match="unknown sampler 'eulr'; did you mean 'euler'"):
        made.get("samplers", "eulr")


def test_a_name_offered_twice_names_both_plugins(plugin):
    said = failure(plugin("one"), plugin("two"), kind="guidance")
    assert "'glow' is offered by both 'one' and 'two'" in said
    offer = "@artdiff.hookimpl\ndef register_samplers():\n    return {'euler': Thing}\n"
    mine = plugin("mine", offer)
    said = failure(mine, kind="samplers")
    assert "'euler' is offered by both 'artdiff.builtins' and 'mine'" in said


def test_two_plugins_of_one_name_are_refused_naming_both(plugin, tmp_path):
    (tmp_path / "other").mkdir()
    first = plugin("looks")
    second = tmp_path / "other" / "looks.py"
    second.write_text("")
    said = failure(first, str(second))
    assert "'looks'" in said and first in said and str(second) in said
    assert "two plugins are called 'still'" in failure(plugin("still"), names=("still",))
    assert load(first, first).plugins.count("looks") == 1  # the same file twice is one


@pytest.mark.parametrize(("text", "said"), [
    ("@artdiff.hookimpl\ndef register_gidance():\n    return {}\n",
     "'bad' implements the unknown hook 'register_gidance'; did you mean 'register_guidance'"),
    ("@artdiff.hookimpl\ndef on_frame(job, picture):\n    pass\n", "{'picture'}"),
    ("1 / 0", "plugin 'bad' could not be loaded: ZeroDivisionError: division by zero"),
    ("def x(:", "plugin 'bad' could not be loaded: SyntaxError: invalid syntax (bad.py, line 8)"),
    ("import no_such_module", "plugin 'bad' could not be loaded: ModuleNotFoundError"),
    ("raise SystemExit(3)", "plugin 'bad' could not be loaded: SystemExit: 3"),
])
def test_plugins_that_cannot_be_loaded(plugin, text, said):
    assert said in failure(plugin("bad", text))
    assert "artdiff_file_plugin_bad" not in sys.modules or "hookimpl" in text


@pytest.mark.parametrize(("body", "said"), [
    ("raise ValueError('no')", "plugin 'bad' failed in register_guidance: ValueError: no"),
    ("return None", "plugin 'bad' failed in register_guidance: TypeError"),
    ("return {'a': Thing()}", "plugin 'bad' offers 'a' in register_guidance, which must be a cl"),
    ("return {'a': int}", "'a' in register_guidance, which must be a class with its options"),
    ("return {5: Thing}", "offers 5 in register_guidance: names are texts"),
])
def test_plugins_that_offer_nonsense(plugin, body, said):
    text = f"@artdiff.hookimpl\ndef register_guidance():\n    {body}\n"
    assert said in failure(plugin("bad", text), kind="guidance")
    assert load(plugin("bad", text)).entries("samplers")  # the other kinds still work


def test_optional_hooks_may_be_unknown(plugin):
    """Pluggy's own mark for a hook of a later artdiff."""
    text = "@artdiff.hookimpl(optionalhook=True)\ndef on_moon(phase):\n    pass\n"
    assert "later" in load(plugin("later", text)).plugins


def test_missing_files(tmp_path):
    assert "no such file" in failure(str(tmp_path / "none.py"))
    (tmp_path / "notes.txt").write_text("")
    assert "not a Python file" in failure(str(tmp_path / "notes.txt"))


OURS = {"still", "prompt_animation", "latent_interpolation", "scenes"}


@pytest.mark.parametrize(("value", "loaded"), [
    (None, {*OURS, "fog"}), ("", OURS), (" , ", OURS), ("still", OURS),
    (" fog , still,fog", {*OURS, "fog"}),
])
def test_the_environment_selects_beside_what_artdiff_brings(monkeypatch, value, loaded):
    points = [*entry_points(group="artdiff"), EntryPoint("fog", "json", "artdiff")]
    monkeypatch.setattr("artdiff.registry.entry_points", lambda group: points)
    if value is None:
        monkeypatch.delenv("ARTDIFF_PLUGINS", raising=False)
    else:
        monkeypatch.setenv("ARTDIFF_PLUGINS", value)
    assert set(create_registry().plugins) & {*OURS, "fog"} == loaded


def test_an_unknown_name_in_the_environment(monkeypatch):
    monkeypatch.setenv("ARTDIFF_PLUGINS", "still,scnes")
    with pytest.raises(PluginError, match="no plugin 'scnes' is installed; did you mean 'scenes'"):
        create_registry()


def test_two_packages_that_install_a_plugin_of_one_name(monkeypatch):
    points = [EntryPoint("looks", module, "artdiff") for module in ("json", "csv")]
    monkeypatch.setattr(registry_module, "entry_points", lambda group: points)
    said = failure(names=None)
    assert "two plugins are called 'looks'" in said and "json" in said and "csv" in said


@pytest.mark.parametrize(("text", "said"), [
    ("1 / 0", "could not be loaded: ZeroDivisionError"),
    ("ARTDIFF_API = 99\n", "was written for hooks 99"),
    ("import artdiff\n@artdiff.hookimpl\ndef register_gidance():\n    pass\n", "unknown hook"),
    ("import artdiff\n@artdiff.hookimpl\ndef on_frame(picture):\n    pass\n", "does not fit"),
])
def test_a_broken_plugin_that_is_only_installed_is_left_out(monkeypatch, tmp_path, text, said):
    (tmp_path / "broken_thing.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    points = [*entry_points(group="artdiff"), EntryPoint("broken", "broken_thing", "artdiff")]
    monkeypatch.setattr(registry_module, "entry_points", lambda group: points)
    monkeypatch.delenv("ARTDIFF_PLUGINS", raising=False)
    with pytest.warns(PluginWarning, match=f"{said}.*; it is left out"):
        made = create_registry()
    assert "broken" not in made.plugins and "still" in made.plugins
    assert made.entries("guidance") and not made.manager.hook.on_frame.get_hookimpls()
    assert said in failure(names=("broken",))
    with pytest.raises(PluginWarning, match=said):
        doctor._plugins()
    sys.modules.pop("broken_thing", None)


def test_a_module_that_is_installed_under_two_names_is_loaded_once(monkeypatch):
    own = entry_points(group="artdiff")
    points = [*own, *(EntryPoint(name, "json", "artdiff") for name in ("fog", "mist"))]
    monkeypatch.setattr(registry_module, "entry_points", lambda group: points)
    monkeypatch.delenv("ARTDIFF_PLUGINS", raising=False)
    with pytest.warns(PluginWarning, match="'mist'.*; it is left out"):
        made = create_registry()
    assert {"fog", "mist"} & set(made.plugins) == {"fog"}


def test_a_broken_plugin_is_checked_by_its_name(monkeypatch, tmp_path):
    (tmp_path / "broken_thing.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    points = [*entry_points(group="artdiff"), EntryPoint("broken", "broken_thing", "artdiff")]
    for module in (registry_module, loading):
        monkeypatch.setattr(module, "entry_points", lambda group: points)
    monkeypatch.delenv("ARTDIFF_PLUGINS", raising=False)
    with pytest.warns(PluginWarning):
        (finding,) = check_plugin("broken")
    assert finding.check == "loads" and "division by zero" in finding.wrong


def test_two_registries_are_independent(plugin):
    with_it, without = load(plugin("looks")), load()
    assert "glow" in with_it.entries("guidance") and not without.entries("guidance")
    assert with_it.manager is not without.manager


def test_a_hook_is_called_once_for_each_kind_that_is_asked_for(plugin):
    text = "calls = []\n" + "".join(
        f"@artdiff.hookimpl\ndef register_{kind}():\n    calls.append({kind!r})\n    return {{}}\n"
        for kind in ("guidance", "effects"))
    path = plugin("counts", text)
    made = load(path)
    calls = made.manager.get_plugin("counts").calls
    assert calls == []
    for _ in range(2):
        made.entries("guidance")
    assert calls == ["guidance"]


def test_trace_says_every_hook_call(plugin, monkeypatch, capsys):
    path = plugin("looks")
    load(path).entries("guidance")
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("ARTDIFF_TRACE", "1")
    made = load(path)
    made.entries("guidance")
    made.hook.on_render_end(report="done")
    assert capsys.readouterr().err.splitlines() == [
        "artdiff hook register_guidance() -> looks",
        "artdiff hook on_render_end(report='done') -> nobody",
    ]


def test_blame_finds_the_plugin_in_the_traceback(plugin):
    made = load(plugin("looks", "def run():\n    return {}['key']\n"))
    with pytest.raises(PluginError, match="plugin 'looks' failed: KeyError: 'key'"):
        with made.blaming():
            made.manager.get_plugin("looks").run()
    with pytest.raises(KeyError), made.blaming():
        {}["key"]  # nobody's plugin


def test_every_exported_name_is_there():
    assert len(artdiff.__all__) == len(set(artdiff.__all__)) > 40
    for name in artdiff.__all__:
        assert getattr(artdiff, name) is not None
    assert set(dir(artdiff)) == set(artdiff.__all__)
    with pytest.raises(AttributeError, match="no attribute 'rendr'"):
        artdiff.rendr  # noqa: B018


WATCH = """
import sys
seen = []
kinds = ("open", "os.listdir", "os.scandir", "os.mkdir", "subprocess.Popen", "socket.connect")
sys.addaudithook(lambda event, args: seen.append(args[0]) if event in kinds else None)
import artdiff
ours = sorted({str(path).rpartition("/")[2] for path in seen if "/artdiff" in str(path)})
heavy = {"torch", "numpy", "pluggy", "pydantic", "click", "artdiff_plugins"} & set(sys.modules)
print(*(name.partition(".")[0] for name in ours), sorted(heavy))
"""


def test_importing_artdiff_is_cheap():
    """It reads its own file alone, and loads neither plugins nor torch."""
    done = subprocess.run(
        [sys.executable, "-B", "-c", WATCH], capture_output=True, text=True, check=True, cwd="/"
    )
    assert set(done.stdout.split()) == {"__init__", "[]"}
