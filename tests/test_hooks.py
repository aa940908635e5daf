"""Every hook is called when the documentation says, with exactly its arguments."""

import inspect
from importlib.resources.abc import Traversable
from pathlib import Path

import click
import numpy as np
import pytest
import torch
from conftest import TinyModel
from pydantic import BaseModel

import artdiff
from artdiff import hookspecs
from artdiff.api import prepare
from artdiff.cli import Group
from artdiff.hookspecs import REGISTRATIONS, hook_arguments, hookimpl
from artdiff.model import ModelCard
from artdiff.plan import Plan, RenderReport
from artdiff.renderer import load_engine, load_model
from artdiff.sample import Step
from artdiff.timeline import FrameJob

HOOKS = [n for n in vars(hookspecs) if n.startswith(("register_", "load_", "on_"))]
SETTINGS = {
    "model": "tiny", "prompt": "a red fox", "sampler.steps": 2, "frames.count": 3,
    "frames.source": "still",
}


@pytest.fixture
def calls(registry):
    """Every hook call of a registry, as (name, arguments), written down by pluggy itself."""
    found = []
    registry.manager.add_hookcall_monitoring(
        lambda name, methods, arguments: found.append((name, dict(arguments))), lambda *_: None
    )
    return found


def render(registry, place, **settings):
    return artdiff.render(
        "four-seasons", place, settings=SETTINGS | settings, registry=registry
    )


def test_each_hook_is_tested_here():
    assert sorted(HOOKS) == sorted([
        *REGISTRATIONS.values(), "register_commands", "load_model",
        "on_render_start", "on_step", "on_frame", "on_render_end",
    ])
    for name in HOOKS:
        hook = getattr(hookspecs, name)
        assert hook_arguments(name) == tuple(inspect.signature(hook).parameters)
        assert hook.__doc__


@pytest.mark.parametrize("kind", REGISTRATIONS)
def test_registrations_are_asked_for_at_the_first_look(registry, kind):
    class Thing:
        class Options(BaseModel):
            pass

    offered = {"models": ModelCard("x", "y", Path()), "presets": Path("x.toml")}.get(kind, Thing)
    asked = []

    def register():
        asked.append(kind)
        return {"thing": offered}

    plugin = type("Plugin", (), {REGISTRATIONS[kind]: staticmethod(hookimpl(register))})()
    registry.manager.register(plugin, "things")
    for other in set(REGISTRATIONS) - {kind}:
        registry.entries(other)
    assert asked == []
    assert registry.get(kind, "thing") is offered and registry.get(kind, "thing") is offered
    assert asked == [kind]
    assert hook_arguments(REGISTRATIONS[kind]) == ()


def test_presets_are_files(registry):
    assert all(isinstance(e.value, Traversable) for e in registry.entries("presets").values())


def test_commands_are_added_when_they_are_listed(monkeypatch):
    groups = []

    class Plugin:
        @hookimpl
        def register_commands(self, cli):
            groups.append(cli)
            cli.add_command(click.Command("wave", help="Wave."))

    registry = artdiff.create_registry(artdiff.Selection(()))
    registry.manager.register(Plugin(), "waves")
    monkeypatch.setattr("artdiff.registry.create_registry", lambda: registry)
    group = Group("artdiff")
    context = click.Context(group)
    assert group.get_command(context, "render") is not None and groups == []
    assert group.list_commands(context)[-1] == "wave" and groups == [group]
    assert group.get_command(context, "wave").help == "Wave." and groups == [group]


@pytest.mark.parametrize("name", ["render", "wave"])
def test_a_command_cannot_take_the_place_of_another(monkeypatch, name, tmp_path):
    file = tmp_path / "waves.py"
    file.write_text("import artdiff, click\n@artdiff.hookimpl\ndef register_commands(cli):\n"
                    f"    for _ in range(2):\n        cli.add_command(click.Command({name!r}))\n")
    registry = artdiff.create_registry(artdiff.Selection((), (str(file),)))
    monkeypatch.setattr("artdiff.registry.create_registry", lambda: registry)
    with pytest.raises(artdiff.PluginError, match=f"'waves' failed.*command '{name}' already"):
        Group("artdiff").list_commands(click.Context(click.Group()))


def test_a_render_calls_its_hooks_in_order(registry, calls, tmp_path):
    observed = []

    class Plugin:
        @hookimpl
        def on_step(self, job, step):
            observed.append((job.index, step.index))

    registry.manager.register(Plugin(), "observer")
    done = render(registry, tmp_path / "film", batch=2)
    names = [name for name, _ in calls]
    batch = ["on_step"] * 4 + ["on_frame"] * 2
    assert names == ["on_render_start", "load_model", *batch, "on_step", "on_step", "on_frame",
                     "on_render_end"]
    for name, arguments in calls:
        assert tuple(arguments) == hook_arguments(name)

    first = {}
    for name, arguments in calls:
        first.setdefault(name, arguments)
    plan = first["on_render_start"]["plan"]
    assert isinstance(plan, Plan) and plan.count == 3
    assert first["load_model"] == {
        "card": plan.card, "device": torch.device("cpu"), "dtype": torch.float32
    }
    assert observed == [(0, 0), (1, 0), (0, 1), (1, 1), (2, 0), (2, 1)]
    step = first["on_step"]["step"]
    assert isinstance(first["on_step"]["job"], FrameJob) and isinstance(step, Step)
    assert step.x.shape == step.x0.shape == (1, 4, 2, 2) and step.x.isfinite().all()
    frames = [arguments for name, arguments in calls if name == "on_frame"]
    assert [a["job"].index for a in frames] == [0, 1, 2]
    image = frames[0]["image"]
    assert image.shape == (32, 32, 3) and image.dtype == np.uint8 and not image.flags.writeable
    assert np.array_equal(image, artdiff.FrameStore.existing(done.folder).read(0))
    report = calls[-1][1]["report"]
    assert isinstance(report, RenderReport)
    assert (report.made, report.error, report.folder) == (3, None, str(done.folder))


def test_nothing_to_do_loads_no_model(registry, calls, tmp_path):
    render(registry, tmp_path / "film")
    calls.clear()
    assert render(registry, tmp_path / "film").made == 0
    assert [name for name, _ in calls] == ["on_render_start", "on_render_end"]


def test_on_step_is_free_when_nobody_listens(registry):
    work = prepare("four-seasons", registry, SETTINGS)
    assert load_engine(work.plan, registry).observe is None


def test_pictures_call_on_step_and_no_other_observer(registry, calls):
    class Plugin:
        @hookimpl
        def on_step(self):  # a function may leave out arguments
            pass

    registry.manager.register(Plugin(), "listener")
    settings = {"model": "tiny", "sampler.steps": 2}
    assert len(list(artdiff.image("a fox", settings=settings, registry=registry))) == 1
    assert [name for name, _ in calls] == ["load_model", "on_step", "on_step"]


def test_the_first_model_is_taken(registry, calls):
    class Plugin:
        @hookimpl(tryfirst=True)
        def load_model(self, card):
            return None if card.name == "tiny" else "another"

    registry.manager.register(Plugin(), "backend")
    work = prepare("four-seasons", registry, SETTINGS)
    assert load_engine(work.plan, registry).model.card.name == "tiny"


def test_a_backend_that_answers_for_every_card_gets_its_own_alone(registry):
    mine = ModelCard("mine", "mine", Path())

    class Plugin:
        @hookimpl
        def register_models(self):
            return {"mine": mine}

        @hookimpl(tryfirst=True)
        def load_model(self, card):
            return card

    registry.manager.register(Plugin(), "backend")
    tiny = registry.get("models", "tiny")
    assert load_model(tiny, registry).card == tiny
    assert load_model(mine, registry) is mine


def test_observers_cannot_change_a_picture(registry, tmp_path):
    plain = render(registry, tmp_path / "plain")

    class Plugin:
        @hookimpl
        def on_step(self, step):
            step.x.mul_(0)
            step.x0.clamp_(-0.1, 0.1)

        @hookimpl
        def on_frame(self, image):
            torch.from_numpy(image).mul_(0)  # which does not ask whether it may

    registry.manager.register(Plugin(), "vandal")
    spoilt = render(registry, tmp_path / "spoilt")
    for one, other in zip(
        *(artdiff.FrameStore.existing(each.folder).paths() for each in (plain, spoilt)),
        strict=True,
    ):
        assert one.read_bytes() == other.read_bytes()


def test_a_model_that_nobody_can_load(registry):
    card = ModelCard("strange", "no-such-backend", Path())
    plugin = type("Plugin", (), {"register_models": staticmethod(
        hookimpl(lambda: {"strange": card}))})()
    registry.manager.register(plugin, "strange")
    work = prepare("four-seasons", registry, SETTINGS | {"model": "strange"})
    with pytest.raises(artdiff.ModelError, match=r"'strange' \(backend 'no-such-backend'\)"):
        load_engine(work.plan, registry)


OBSERVERS = ["on_render_start", "on_step", "on_frame", "on_render_end"]


@pytest.mark.parametrize("name", OBSERVERS)
def test_an_observer_that_raises_is_named(registry, calls, tmp_path, name):
    file = tmp_path / "nosy.py"
    code = f"import artdiff\n@artdiff.hookimpl\ndef {name}():\n    raise ValueError('no')\n"
    file.write_text(code)
    nosy = artdiff.create_registry(artdiff.Selection((), (str(file),)))
    registry.manager.register(nosy.manager.get_plugin("nosy"), "nosy")
    with pytest.raises(artdiff.PluginError, match="plugin 'nosy' failed: ValueError: no"):
        render(registry, tmp_path / "film")
    report = calls[-1][1]["report"]  # the end is told in any case
    assert (report.error is None) == (name == "on_render_end")
    made = {"on_render_end": 3}.get(name, 0)
    assert report.made == len(artdiff.FrameStore.existing(tmp_path / "film").present()) == made


def test_the_first_error_is_the_one_that_is_told(registry, tmp_path):
    class Plugin:
        @hookimpl
        def on_frame(self, job):
            raise artdiff.PluginError(f"frame {job.index} is ugly")

        @hookimpl
        def on_render_end(self):
            raise RuntimeError("and I am tired")

    registry.manager.register(Plugin(), "moody")
    with pytest.raises(artdiff.PluginError, match="frame 0 is ugly"):
        render(registry, tmp_path / "film")


def files(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_plugins_that_are_not_named_change_no_byte(registry, tiny_folder, tmp_path):
    class Busy:
        """Offers much, draws from every global generator, and looks at everything."""

        class Glow:
            class Options(BaseModel):
                pass

        @hookimpl
        def register_guidance(self):
            return {"glow": self.Glow}

        @hookimpl
        def register_samplers(self):
            return {"aaa": self.Glow}

        @hookimpl
        def on_step(self, job, step):
            torch.rand(7), np.random.rand(7)

        @hookimpl
        def on_frame(self, job, image):
            torch.manual_seed(job.index)

    alone = artdiff.create_registry(artdiff.Selection(("still",)))
    alone.manager.register(TinyModel(tiny_folder), "tiny-model")
    registry.manager.register(Busy(), "busy")
    ancestral = {"sampler.name": "ddpm"}
    one = render(alone, tmp_path / "one", **ancestral).folder
    two = render(registry, tmp_path / "two", **ancestral).folder
    assert files(one) == files(two)
