"""Documentation is run and compared with the code, so that it cannot go stale."""

import ast
import importlib.util
import inspect
import re
import shlex
import shutil
import subprocess
import tomllib
from importlib import import_module
from pathlib import Path

import click
import numpy as np
import pytest
import torch
from jsonschema import Draft202012Validator

import artdiff
from artdiff import hookspecs
from artdiff.api import prepare
from artdiff.cli import COMMANDS, main
from artdiff.hookspecs import REGISTRATIONS, hook_arguments
from artdiff.plan.resolve import resolve
from artdiff.preset.draft import override
from artdiff.preset.file import draft_preset
from artdiff.preset.schema import preset_schema
from artdiff.registry import Selection, create_registry
from artdiff.renderer import load_engine

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "examples").rglob("*.md")),
]
WARM = ROOT / "examples" / "warm_colours.py"
HOOKS = [n for n, f in vars(hookspecs).items() if hasattr(f, "artdiff_spec")]

page = pytest.mark.parametrize("path", PAGES, ids=lambda p: str(p.relative_to(ROOT)))


def read(name):
    return (ROOT / name).read_text("utf-8")


def blocks(path, language):
    """The fenced blocks of a language: (line number, text)."""
    found = []
    lines, start = path.read_text("utf-8").splitlines(), None
    for number, line in enumerate(lines):
        if start is None and line.startswith("```"):
            start = number if line == f"```{language}" else -1
        elif line == "```":
            if start != -1:
                found.append((start + 1, "\n".join(lines[start + 1 : number]) + "\n"))
            start = None
    return found


def all_blocks(language):
    return [
        pytest.param(path, text, id=f"{path.relative_to(ROOT)}:{line}")
        for path in PAGES for line, text in blocks(path, language)
    ]


def prose(path):
    """A page without its fenced blocks."""
    return re.sub(r"(?ms)^```.*?^```$", "", path.read_text("utf-8"))


def with_tiny(tiny_plugin, *files):
    return create_registry(Selection(files=(str(tiny_plugin), *map(str, files))))


# What the code knows best.


def generate():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_parts_are_up_to_date():
    for path, text in generate().generated().items():
        if path.read_text("utf-8") != text:
            pytest.fail(f"{path.name} is not what the code says; run: python docs/generate.py")


def test_command_line_has_every_command():
    text = read("docs/command-line.md")
    assert all(f"\n## artdiff {name}\n" in text for name in COMMANDS)


@pytest.mark.parametrize("name", HOOKS)
def test_hooks_are_documented_with_their_arguments(name):
    heading = f"\n### {name}({', '.join(hook_arguments(name))})\n"
    assert heading in read("docs/plugins.md"), f"docs/plugins.md lacks the heading{heading}"


def test_no_other_hooks_are_documented():
    assert set(re.findall(r"(?m)^### (\w+)\(", read("docs/plugins.md"))) == set(HOOKS)


def keys_of(schema):
    """Every key that a schema knows."""
    if isinstance(schema, list):
        return {key for part in schema for key in keys_of(part)}
    if not isinstance(schema, dict):
        return set()
    own = set(schema["properties"]) if isinstance(schema.get("properties"), dict) else set()
    return own.union(*(keys_of(part) for name, part in schema.items() if name != "default"))


def test_every_key_of_presets_is_documented():
    registry = create_registry(Selection(names=generate().first_party()))
    keys = keys_of(preset_schema(registry)) - {"keys", "unit", "value"}
    assert {"seed", "prompts", "steps", "weight", "travel_frames"} <= keys
    text = read("docs/presets.md")
    missing = sorted(k for k in keys if not re.search(rf"`\[?{k}\b|`{k}`|\b{k} = ", text))
    assert not missing


# Blocks.


@pytest.mark.parametrize(("path", "text"), all_blocks("toml"))
def test_presets_in_the_documentation_resolve(path, text, tiny_plugin, tmp_path):
    values = tomllib.loads(text)
    if text.startswith("# pyproject.toml\n"):
        points = tomllib.loads(read("examples/third_party_plugin/pyproject.toml"))
        assert values["project"]["entry-points"] == points["project"]["entry-points"]
        return
    file = tmp_path / "block.toml"
    file.write_text(text, encoding="utf-8")
    registry = with_tiny(tiny_plugin, WARM)
    Draft202012Validator(preset_schema(registry)).validate(values)
    plan = resolve(override(draft_preset(registry, str(file)), ["model=tiny"]), registry)
    for index in {0, plan.count // 2, plan.count - 1}:
        plan.job(index)


PLUGINS = [
    param for param in all_blocks("python")
    if "hookimpl" in param.values[1] and param.values[0].name == "plugins.md"
]


@pytest.mark.parametrize(("path", "text"), PLUGINS)
def test_plugins_in_the_documentation_work(path, text, tiny_plugin, tmp_path, capsys):
    file = tmp_path / "documented.py"
    file.write_text(text, encoding="utf-8")
    registry = with_tiny(tiny_plugin, file)
    offered = {
        kind: [e for e in registry.entries(kind).values() if e.plugin == "documented"]
        for kind in REGISTRATIONS
    }
    common = ["prompt=a red fox", "frames.count=2", "frames.source=prompt_animation"]
    tries = [
        *[(f"terms.{e.name}.weight=0.5",) for e in offered["guidance"]],
        *[(f"effects.{e.name}.use={e.name}",) for e in offered["effects"]],
        *[(f"frames.source={e.name}",) for e in offered["frame_sources"]],
        *[(f"sampler.name={e.name}",) for e in offered["samplers"]],
        *[(f"sampler.grid={e.name}",) for e in offered["grids"]],
        *[(f"guidance.name={e.name}",) for e in offered["guiders"]],
        *[(f"model={e.name}",) for e in offered["models"]],
    ]
    for settings in tries:
        work = prepare(artdiff_draft(), registry, [*common, "model=tiny", *settings])
        pictures = load_engine(work.plan, registry).images([work.plan.job(0), work.plan.job(1)])
        assert [p.shape for p in pictures] == [(32, 32, 3)] * 2
    for entry in offered["datasets"]:
        dataset = entry.value(entry.value.Options())
        words = set(dataset.vocabulary())
        for index in range(4):
            assert (dataset.picture(index) == dataset.picture(index)).all()
            assert set(dataset.caption(index, index).split()) <= words
    black = [np.zeros((8, 8, 3), np.uint8)] * 3
    for entry in offered["feature_extractors"]:
        found = artdiff.extract(entry.value(entry.value.Options()), black)
        assert len(found) == 3
    for entry in offered["metrics"]:
        rows = artdiff.Features(pooled=torch.zeros(12, 3))
        (measured,) = artdiff.measure({entry.name: entry.value()}, rows, rows)
        assert measured.low == measured.value == measured.high and measured.warning
    judges = [*offered["feature_extractors"], *offered["metrics"]]
    done = [*tries, *offered["datasets"], *judges]
    if "def register_commands" in text:
        group = click.Group()
        registry.hook.register_commands(cli=group)
        group.main(["hello", "you"], standalone_mode=False)
        assert capsys.readouterr().out == "hello you\n"
        done.append("command")
    if "def on_frame" in text:
        settings = ["model=tiny", "frames.count=2", "sampler.steps=2"]
        artdiff.render("four-seasons", tmp_path / "film", settings=settings, registry=registry)
        said = capsys.readouterr().err.splitlines()
        assert said[0] == "four-seasons: 2 frames" and said[-1].startswith("2 frames in ")
        assert sum("step 0" in line for line in said) == 2
        assert sum("brightness" in line for line in said) == 2
        done.append("observers")
    assert done or "Path(__file__)" in text, "this example is not run at all"


def artdiff_draft():
    from artdiff.preset.draft import Draft

    return Draft("documented", {}, {})


@pytest.mark.parametrize(("path", "text"), all_blocks("python"))
def test_python_in_the_documentation_compiles(path, text):
    ast.parse(text)


@pytest.mark.parametrize("name", ["README.md", "docs/plugins.md"])
def test_the_ten_line_plugin_is_the_example(name):
    shown = next(text for _, text in blocks(ROOT / name, "python") if "class WarmColours" in text)
    assert shown[shown.index("class WarmColours"):].strip() in WARM.read_text("utf-8")


# Commands.


def commands(path):
    return [line for _, text in blocks(path, "sh") for line in text.splitlines() if line.strip()]


@page
def test_commands_in_the_documentation_run(path, tiny_plugin, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    for _, text in blocks(path, "toml"):
        if 'title = "A sea voyage"' in text:
            (tmp_path / "voyage.toml").write_text(text, encoding="utf-8")
    installed = "artdiff_mirrors" in path.read_text("utf-8") and path.parent.name != "docs"
    for line in commands(path):
        program, *words = shlex.split(line)
        if program == "make":
            assert_make(words)
        elif program == "artdiff" and words[0] == "train":
            assert (ROOT / "artdiff" / "train" / "recipes" / f"{words[1]}.toml").is_file()
        elif program == "artdiff" and not installed:  # the other ones: tests/test_examples.py
            run(words, tiny_plugin, line, capsys)
        else:
            assert program in ("artdiff", "pip", "python"), line
            for word in words:
                assert not word.startswith("examples/") or (ROOT / word).exists(), line


def run(words, tiny_plugin, line, capsys):
    drawing = words[0] in ("render", "image", "plan", "pace", "vary", "inpaint", "outpaint")
    if drawing and "--quality" not in words:  # the tiny model has no levels
        words = [*words, "-s", "model=tiny", "--plugin", str(tiny_plugin)]
    if words[0] in ("render", "pace"):
        words += ["-s", f"frames.count={20 if '--frames' in words else 8}"]
    if words[0] == "evaluate" and not {"-n", "--against", "--features"}.intersection(words):
        from artdiff.cli.evaluate import command

        command.make_parser(click.Context(command)).parse_args(words[1:])
        return  # the starter's exam: tests/test_exam.py
    if words[0] == "evaluate":
        words = ["tiny" if word == "starter" else word for word in words]
        words += ["-n", "4", "-f", "size=64", "--plugin", str(tiny_plugin)]
        words += ["--against", "scenes"]
    with pytest.raises(SystemExit) as done:
        main(words)
    assert done.value.code == 0, f"{line}: {capsys.readouterr().err}"


def assert_make(words):
    targets = [word for word in words if "=" not in word]
    said = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", *targets], cwd=ROOT, capture_output=True,
        text=True, check=True,
    )
    wanted = {
        "film": "artdiff render four-seasons -o renders/four-seasons.mp4",
        "test": "python -m pytest",
    }
    for target in targets:
        assert wanted.get(target, "") in said.stdout


@page
def test_commands_in_prose_exist(path):
    """What stands in `artdiff ...` between backticks has a known command and known options."""
    from artdiff.cli import cli

    for text in re.findall(r"`artdiff ([^`]+)`", prose(path)):
        words = shlex.split(text.replace("...", "").replace("COMMAND", "render"))
        if not words or words[0].startswith("-"):
            continue
        command = cli.get_command(click.Context(cli), words[0])
        if command is None:
            assert words[0] == "symmetry", text
            continue
        if isinstance(command, click.Group) and len(words) > 1:
            command = command.get_command(click.Context(command), words[1])
            assert command is not None, text
        known = {"--help", *(o for p in command.params for o in p.opts)}
        assert {w for w in words if re.match(r"--?[a-z]", w)} <= known, text


def test_make_targets_in_the_documentation_exist():
    known = set(re.findall(r"(?m)^([a-z]+):", read("Makefile")))
    said = {t for path in PAGES for t in re.findall(r"`make ([a-z]+)", path.read_text("utf-8"))}
    assert {"film", "test"} <= said <= known


def test_the_recipes_fit_together():
    def recipe(name):
        return tomllib.loads(read(f"artdiff/train/recipes/starter-{name}.toml"))

    assert recipe("codec-decoder")["start"] == "runs/starter-codec/model.safetensors"
    assert recipe("denoiser")["start"] == "runs/starter-denoiser-small/model.safetensors"
    for name, table in (("denoiser", "denoiser"), ("denoiser-small", "denoiser"),
                        ("classifier", "classifier")):  # fmt: skip
        codec = "runs/starter-codec-decoder/model.safetensors"
        assert recipe(name)[table]["codec"] == codec
    sizes = [recipe(name)["denoiser"]["model"] for name in ("denoiser", "denoiser-small")]
    assert sizes[0] == sizes[1]


# Links and words.


def slug(heading):
    kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return kept.replace(" ", "-")


@page
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(path)):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        file = path.parent / name if name else path
        assert file.exists(), f"{path.name}: {target} does not exist"
        if anchor:
            headings = re.findall(r"(?m)^#+ (.+)$", prose(file))
            assert anchor in {slug(h) for h in headings}, f"{path.name}: no heading for {target}"


@page
def test_nothing_is_left_to_fill_in(path):
    places = re.findall(r"MEASURE\([^)]*\)|TODO|TBD", path.read_text("utf-8"))
    assert not places


def tracked():
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [ROOT / name for name in done.stdout.decode().split("\0") if name]


def test_no_paths_of_somebodys_machine():
    wrong = []
    for path in tracked():
        if path.suffix in (".png", ".safetensors", ".mp4", ".npz", ".tar") or not path.is_file():
            continue
        text = path.read_text("utf-8")
        found = re.findall(r"(?<![\w.])/(?:root|work|tmp|home|opt)/[\w.]*", text)
        wrong += [f"{path.relative_to(ROOT)}: {place}" for place in found]
    assert not wrong


# The architecture page.


def layout():
    """The Python files of artdiff in the order of the architecture page."""
    shown = blocks(ROOT / "docs" / "architecture.md", "text")
    block = next(text for _, text in shown if "errors.py" in text)
    return [line.split()[0] for line in block.splitlines() if re.match(r"  [\w/]+\.py ", line)]


def test_the_layout_names_every_file():
    files = {str(p.relative_to(ROOT / "artdiff")) for p in (ROOT / "artdiff").rglob("*.py")}
    entrances = {f for f in files if f.endswith(("__init__.py", "__main__.py"))}
    assert sorted({*layout()} | entrances) == sorted(files)
    assert len(layout()) == len({*layout()})


def imported(path):
    """What a file imports from artdiff, other than for type checkers."""
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "artdiff":
            for alias in node.names:
                yield f"{node.module}.{alias.name}"


def test_files_import_only_from_above():
    order = layout()
    modules = {f"artdiff.{f.removesuffix('.py').removesuffix('/__init__').replace('/', '.')}": i
               for i, f in enumerate(order)}
    wrong = []
    for place, file in enumerate(order):
        for name in imported(ROOT / "artdiff" / file):
            module = name if name in modules else name.rpartition(".")[0]
            if modules.get(module, -1) >= place:
                wrong.append(f"{file} imports {module}")
    assert not wrong


def test_signatures_on_the_architecture_page():
    modules = [import_module(f"artdiff.{f.removesuffix('.py').replace('/', '.')}")
               for f in layout() if not f.startswith(("cli/", "train/", "nn/", "backends/"))]
    checked = 0
    for _, text in blocks(ROOT / "docs" / "architecture.md", "python"):
        for shown in ast.parse(text).body:
            assert isinstance(shown, ast.ClassDef)
            real = next(getattr(m, shown.name) for m in modules if hasattr(m, shown.name)
                        and getattr(m, shown.name).__module__ == m.__name__)
            fields = [n.target.id for n in shown.body if isinstance(n, ast.AnnAssign)]
            known = [n for n in inspect.get_annotations(real) if n != "Options"]
            assert fields == (known if fields else []), shown.name
            for method in (n for n in shown.body if isinstance(n, ast.FunctionDef)):
                member = inspect.getattr_static(real, method.name)
                member = member.fget if isinstance(member, property) else member
                signature = inspect.signature(getattr(member, "__func__", member))
                names = [a.arg for a in method.args.args]
                assert names == list(signature.parameters), f"{shown.name}.{method.name}"
                given = [ast.unparse(a.annotation) for a in method.args.args[1:]]
                wanted = [str(p.annotation) for p in list(signature.parameters.values())[1:]]
                assert given == wanted, f"{shown.name}.{method.name}"
                checked += 1
    assert checked > 15
