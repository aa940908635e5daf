"""The house's order: everything imports downwards, and plugins only what is offered to them."""

import ast
import tomllib
from pathlib import Path

import pytest

import artdiff

ROOT = Path(__file__).parent.parent
ORDER = """
    errors hookspecs progress openclip options
    noise spacing grids.times grids.ratios grids.entries grid random denoise process vlb sample
    inversion tune.solver
    samplers.weights samplers.ddpm samplers.ddim samplers.euler samplers.heun samplers.dpmpp
    samplers.dpmpp_single samplers.dpmpp_three samplers.adams samplers.unipc samplers.lcm
    samplers.restart samplers.adaptive samplers.tuned samplers
    guiders.rows guiders.guider guiders.cfg guiders.apg guiders.cfg_zero guiders.tangential
    guiders.weakened guiders.autoguidance guiders
    guidance.gradients guidance.terms guidance.bending guidance.guide tune.path tune.fit
    nn.attention nn.narrow nn.threads nn.codec nn.text nn.told nn.latent_transformer
    nn.unet_blocks nn.unet nn.unet_superres nn.unet_classifier nn.enlarger nn.judge
    nn.unet_facts nn.labels encoders
    quality model guiders.fit tiles user_models tune.file curve registry
    preset.part preset.prompt preset.sampler preset.guidance preset.frames preset
    preset.draft preset.check preset.file timeline plan plan.choosing plan.matching plan.tracks
    plan.resolve preset.schema scaffold
    files frames film.change film.sheet film.webp film.video guidance.profile guidance.chart
    train.recipe train.draws train.losses train.focus train.diffusion_losses train.ema train.stored
    train.checkpoint
    train.data train.examples train.optim train.report train.ranks train.precision train.task
    train.autoencoder train.latents train.heads train.denoiser train.diffusion train.classifier
    train.upsampler train.enlarger train.clip train.judge train.teacher
    train.distil_recipe train.distil
    train.kinds train.run train.loop
    evaluation.frechet evaluation.kernel evaluation.manifold evaluation.scores
    evaluation.bootstrap evaluation.features evaluation.encoder evaluation.judge
    evaluation.pictures evaluation.report evaluation.measure evaluation.page evaluation.exam
    evaluation.exam_report evaluation.exam_page
    backends.latent_transformer backends.starter backends.unet backends.adm builtins
    importers.weights importers.adm importers.card importers.latent importers.add
    upsampling guidance.setup guidance.verdicts texts starting guidance.plan_terms engine renderer
    api tune.run tune.chart film.pace film.pace_chart
    evaluation.subject evaluation.run evaluation.exam_marks evaluation.examine
    testing.findings testing.oracles testing.toys testing.pictures testing.terms testing.samplers
    testing.guiders testing.pieces
    testing.measures testing.loading testing.plugin testing
    provenance
    cli.options cli.render cli.image cli.plan cli.pace cli.sheet cli.presets cli.plugins cli.tune
    cli.models cli.train cli.evaluate cli.doctor
""".split()
NO_TORCH = {
    "errors", "hookspecs", "progress", "openclip", "options", "spacing", "quality", "model",
    "curve", "registry", "preset", "timeline", "plan", "plan.choosing", "plan.matching",
    "plan.tracks", "plan.resolve", "scaffold", "files", "frames", "film.change", "film.sheet",
    "film.webp", "film.video", "backends.starter", "backends.adm", "user_models", "tune.solver",
    "tune.file", "tune.run", "tune.chart", "guidance.profile", "guidance.chart", "builtins",
    "renderer", "api",
    *(name for name in ORDER if name.startswith(("cli.", "preset."))),
}  # fmt: skip
"""What is there before a model is needed: no torch, moviepy or skia when it is imported."""


def modules(folder):
    """Dotted names and paths of the Python files of a package, without the package's name."""
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        if parts[-1] != "__main__":
            yield ".".join(p for p in parts if p != "__init__"), path


def imports(path, module, top=False):
    """Absolute names that a file imports (at its top), other than for type checkers."""
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            node.body = []
    for node in tree.body if top else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module if path.name == "__init__.py" else module.rpartition(".")[0]
                up = package.split(".")
                base = ".".join([*up[: len(up) - node.level + 1], *([base] if base else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


OURS = dict(modules(ROOT / "artdiff"))
PACKAGES = {
    "", "grids", "nn", "guidance", "tune", "film", "train", "backends", "cli", "train.recipes",
    "starter", "importers", "evaluation",
}  # fmt: skip


def test_the_order_names_every_file():
    assert set(ORDER) == set(OURS) - PACKAGES and len(ORDER) == len(set(ORDER))


@pytest.mark.parametrize("name", ORDER)
def test_a_file_imports_only_from_above(name):
    place, module = ORDER.index(name), f"artdiff.{name}"
    for wanted in imports(OURS[name], module):
        assert wanted.partition(".")[0] != "artdiff_plugins"
        if not wanted.startswith("artdiff."):
            continue
        target = wanted.removeprefix("artdiff.")
        target = target if target in ORDER else target.rpartition(".")[0]
        if target:  # names of artdiff itself, such as __version__, are no file of the list
            assert ORDER.index(target) < place, f"{module} imports {wanted}"


@pytest.mark.parametrize("name", sorted(PACKAGES & set(OURS)))
def test_packages_import_nothing_but_what_is_named_here(name):
    found = {n for n in imports(OURS[name], f"artdiff.{name}".rstrip(".")) if "artdiff" in n}
    allowed = {"artdiff", "artdiff.errors", "artdiff.registry"} if name == "cli" else set()
    assert {n.rpartition(".")[0] for n in found} <= allowed


@pytest.mark.parametrize("name", sorted(NO_TORCH))
def test_what_comes_before_the_model_imports_no_torch(name):
    heavy = {"torch", "moviepy", "skia", "cv2", "scipy", "matplotlib"}
    top = [n for n in imports(OURS[name], f"artdiff.{name}", top=True)]
    assert not {n.partition(".")[0] for n in top} & heavy
    for wanted in (n.removeprefix("artdiff.") for n in top if n.startswith("artdiff.")):
        target = wanted if wanted in ORDER else wanted.rpartition(".")[0]
        assert not target or target in NO_TORCH, f"{name} imports {wanted}, which imports torch"


PLUGINS = dict(modules(ROOT / "plugins"))


@pytest.mark.parametrize("name", sorted(PLUGINS))
def test_plugins_import_only_what_is_exported(name):
    module = f"artdiff_plugins.{name}".rstrip(".")
    own = ".".join(module.split(".")[:2])
    for wanted in imports(PLUGINS[name], module):
        if wanted.startswith("artdiff."):
            assert wanted.removeprefix("artdiff.") in artdiff.__all__, f"{module} imports {wanted}"
        assert not wanted.startswith("artdiff_plugins") or wanted.startswith(own), wanted


@pytest.mark.parametrize(
    "name", sorted(p.name for p in (ROOT / "plugins").iterdir() if (p / "__init__.py").is_file())
)
def test_the_hooks_of_plugins_load_nothing(name):
    """The file that is imported at every start holds hooks; they import the rest."""
    file = ROOT / "plugins" / name / "__init__.py"
    top = set(imports(file, f"artdiff_plugins.{name}", top=True))
    standard = {
        "__future__.annotations",
        "collections.abc.Mapping",
        "importlib.resources.files",
        "importlib.resources.abc.Traversable",
        "typing.TYPE_CHECKING",
    }
    assert top - standard == {"artdiff.hookimpl"}


def test_the_wheel_holds_every_package():
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    said = set(tool["tool"]["setuptools"]["packages"])
    places = {"artdiff": "artdiff", "artdiff_plugins": "plugins", "artdiff.presets": "presets"}
    found = set(places)
    for package, folder in places.items():
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.parent.relative_to(ROOT / folder).parts
            found.add(".".join([package, *parts]))
    # folders of files that are no Python
    data = {"artdiff.published", "artdiff.starter", "artdiff.train.recipes"}
    assert said == found | data
    points = tool["project"]["entry-points"]["artdiff"]
    assert set(points.values()) == {p for p in found if p.startswith("artdiff_plugins.")}
    for package, pattern in tool["tool"]["setuptools"]["package-data"].items():
        folder = ROOT / places.get(package, package.replace(".", "/").replace("artdiff_", ""))
        assert any(list(folder.glob(p)) for p in pattern), package
