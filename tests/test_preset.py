"""A preset says what was meant, and a mistake in it says who made it and what to write."""

import pytest

from artdiff.errors import PresetError
from artdiff.preset import Preset
from artdiff.preset.check import check, validate
from artdiff.preset.draft import Draft, assign, overlay, override, underlay
from artdiff.preset.file import read_preset


def nobody(name):
    raise PresetError(f"unknown preset {name!r}")


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def said(values, *assignments):
    with pytest.raises(PresetError) as caught:
        check(override(overlay(Draft("film", {}, {}), values, "film.toml"), assignments))
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Reading.


def test_extends_is_relative_to_the_file_that_says_it(write):
    write("lib/base.toml", 'seed = 1\nwidth = 64\n[sampler]\nname = "ddim"\nsteps = 9\neta = 0.5')
    write("lib/middle.toml", 'extends = "base.toml"\nseed = 2\n[sampler]\nsteps = 10')
    write("film.toml", 'extends = "lib/middle.toml"\nheight = 96')
    draft = read_preset("film.toml", nobody)
    assert draft.name == "film"
    assert draft.values == {
        "seed": 2, "width": 64, "height": 96,
        "sampler": {"name": "ddim", "steps": 10, "eta": 0.5},
    }
    places = {"seed": "lib/middle.toml", "width": "lib/base.toml", "height": "film.toml",
              "sampler.steps": "lib/middle.toml", "sampler.eta": "lib/base.toml"}
    assert {key: draft.where(key) for key in places} == places


def test_extends_by_name_is_asked_for(write):
    write("four.toml", "seed = 4")
    write("mine.toml", 'extends = "four"')
    path = write("elsewhere/found.toml", "seed = 5")
    assert read_preset("mine.toml", lambda name: path).values == {"seed": 5}
    assert read_preset("v1.5", lambda name: path).name == "v1.5"


@pytest.mark.parametrize(("a", "b"), [
    ("b.toml", "a.toml"), ("../x/b.toml", "../x/a.toml"), ("./b.toml", "../x/../x/a.toml"),
    ("a.toml", ""),
])
def test_a_circle_of_presets_is_named(write, a, b):
    write("x/a.toml", f'extends = "{a}"')
    write("x/b.toml", f'extends = "{b}"')
    with pytest.raises(PresetError, match=r"a\.toml: extends itself \(x/a\.toml -> "):
        read_preset("x/a.toml", nobody)


@pytest.mark.parametrize(("text", "message"), [
    (b"prompt = '\xe9t\xe9'", r"film\.toml: not UTF-8 \(byte 10\)"),
    ("this is = = no", r"film\.toml: not TOML: .*line 1"),
    ('extends = "none.toml"', r"film\.toml: extends: none\.toml: no such file"),
    ('extends = "none"', r"film\.toml: extends: unknown preset 'none'"),
    ("extends = 3", r"film\.toml: extends: must be the name or path"),
])
def test_files_that_cannot_be_read(write, text, message):
    write("film.toml", text)
    with pytest.raises(PresetError, match=message):
        read_preset("film.toml", nobody)


def test_missing_files_and_folders(write):
    write("folder.toml/x", "")
    with pytest.raises(PresetError, match=r"folder\.toml: is a folder"):
        read_preset("folder.toml", nobody)
    with pytest.raises(PresetError, match=r"none\.toml: no such file"):
        read_preset("none.toml", nobody)


def test_the_byte_order_mark_of_some_editors_is_no_mistake(write):
    write("film.toml", b"\xef\xbb\xbfseed = 3")
    assert read_preset("film.toml", nobody).values == {"seed": 3}


# Merging and overriding.


def layered(*layers):
    draft = Draft("film", {}, {})
    for number, values in enumerate(layers):
        draft = overlay(draft, values, f"layer {number}")
    return draft.values


def test_tables_merge_and_keyframes_replace():
    below = {"guidance": {"scale": {"0": 1, "50%": 2}, "stop": 0.1}, "terms": {"a": {"x": 1}}}
    above = {"guidance": {"scale": {"10": 3}}, "terms": {"a": {"y": 2}, "b": {}}}
    assert layered(below, above) == {
        "guidance": {"scale": {"10": 3}, "stop": 0.1},
        "terms": {"a": {"x": 1, "y": 2}, "b": {}},
    }
    assert below["terms"] == {"a": {"x": 1}}  # the layers themselves stay


def test_labels_may_begin_with_a_digit():
    below = {"effects": {"grain": {}}, "terms": {"clip": {}}}
    above = {"effects": {"2x": {"use": "upscale"}}, "terms": {"3": {"use": "clip"}}}
    assert layered(below, above) == {
        "effects": {"grain": {}, "2x": {"use": "upscale"}},
        "terms": {"clip": {}, "3": {"use": "clip"}},
    }


def test_prompt_and_prompts_take_each_others_place():
    assert layered({"prompts": {"0": "a"}}, {"prompt": "b"}) == {"prompt": "b"}
    assert layered({"prompt": "a"}, {"prompts": {"0": "b"}}) == {"prompts": {"0": "b"}}
    assert "give prompt or prompts" in said({"prompt": "a", "prompts": {"0": "b"}})


def test_another_sampler_drops_the_options_of_the_old_one():
    ddim = {"sampler": {"name": "ddim", "eta": 0.5, "steps": 9}}
    assert layered(ddim, {"sampler": {"name": "euler"}})["sampler"] == {
        "name": "euler", "steps": 9
    }
    assert layered(ddim, {"sampler": {"name": "ddim"}}) == ddim
    travel = {"frames": {"source": "prompt_animation", "noise": "travel", "count": 5}}
    assert layered(travel, {"frames": {"source": "still"}})["frames"] == {
        "source": "still", "count": 5
    }


@pytest.mark.parametrize("order", [1, -1])
def test_options_given_with_another_sampler_stay(order):
    draft = overlay(Draft("film", {}, {}), {"sampler": {"name": "euler"}}, "film.toml")
    both = ["sampler.name=ddim", "sampler.eta=0.25"][::order]
    assert override(draft, both).values == {"sampler": {"name": "ddim", "eta": 0.25}}


@pytest.mark.parametrize(("text", "value"), [
    ("seed=3", {"seed": 3}),
    ("frames.fps=23.976", {"frames": {"fps": 23.976}}),
    ("frames.loop=true", {"frames": {"loop": True}}),
    ("prompt=a red fox", {"prompt": "a red fox"}),
    ('prompt="a = b"', {"prompt": "a = b"}),
    ("prompt=a = b", {"prompt": "a = b"}),
    ("negative=", {"negative": ""}),
    ("easing=hold", {"easing": "hold"}),
    (" terms.clip.weight = 3 ", {"terms": {"clip": {"weight": 3}}}),
    ("frames.seeds=[1, 2]", {"frames": {"seeds": [1, 2]}}),
    ('guidance.scale={0=2, "50%"=6}', {"guidance": {"scale": {"0": 2, "50%": 6}}}),
    ("guidance.scale.50%=6", {"guidance": {"scale": {"50%": 6}}}),
    ('prompts."1.5s"=a fox', {"prompts": {"1.5s": "a fox"}}),
    ("prompts.'0.5s'=a fox", {"prompts": {"0.5s": "a fox"}}),
])
def test_overrides_are_toml_or_text(text, value):
    assert override(Draft("film", {}, {}), [text]).values == value


@pytest.mark.parametrize("key", ["guidance..scale", "guidance.", "", 'a."b'])
def test_keys_of_python_that_are_none(key):
    with pytest.raises(PresetError, match=r"is no key, such as sampler\.steps"):
        assign(Draft("film", {}, {}), key, 3, "here")


def test_a_dotted_key_sets_one_keyframe_and_a_table_all_of_them():
    draft = overlay(Draft("film", {}, {}), {"prompts": {"0": "a", "50%": "b"}}, "film.toml")
    assert override(draft, ["prompts.50%=c"]).values == {"prompts": {"0": "a", "50%": "c"}}
    assert override(draft, ['prompts={9="c"}']).values == {"prompts": {"9": "c"}}
    scale = ["guidance.scale=4", "guidance.scale.0=1", "guidance.scale.9=2"]
    assert override(draft, scale).values["guidance"] == {"scale": {"0": 1, "9": 2}}


@pytest.mark.parametrize(
    "wrong", ["seed", "=3", "a..b=3", ".a=3", "a.=3", 'a."1.5s"b=3', 'a."1.5=3']
)
def test_overrides_without_a_key(wrong):
    with pytest.raises(PresetError, match="write key=value"):
        override(Draft("film", {}, {}), [wrong])


# Checking.


@pytest.mark.parametrize(("key", "value", "message"), [
    ("sede", 3, "film.toml: sede: unknown key; did you mean 'seed'?"),
    ("extend", "x", "film.toml: extend: unknown key; did you mean 'extends'?"),
    ("init.strenth", 3, "film.toml: init.strenth: unknown key; did you mean 'strength'?"),
    ("prompt", [{"txt": "a"}], "film.toml: prompt.0.txt: unknown key; did you mean 'text'?"),
    ("prompt", 5, "film.toml: prompt: must be a text, or a list"),
    ("prompts.abc", "x", "film.toml: prompts: 'abc' is not a frame; write 12"),
    ("prompts.-3", "x", "film.toml: prompts: frame -3 lies before the film"),
    ("prompt", [{"text": "a", "weight": 0}], "film.toml: prompt.0.weight: must be greater than"),
    ("seed", 1.5, "film.toml: seed: must be a valid integer (got 1.5)"),
    ("seed", 2**64, "film.toml: seed: must be less than"),
    ("width", "256", "film.toml: width: must be a valid integer (got '256')"),
    ("sampler.steps", True, "film.toml: sampler.steps: must be a valid integer (got True)"),
    ("sampler.steps", -1, "film.toml: sampler.steps: must be greater than or equal to 1"),
    ("frames.count", 0, "film.toml: frames.count: must be greater than or equal to 1 (got 0)"),
    ("frames.fps", float("nan"), "film.toml: frames.fps: must be a finite number (got nan)"),
    ("sampler.shift", float("inf"), "film.toml: sampler.shift: must be a finite number"),
    ("terms.a.x", [1, float("nan")], "film.toml: terms.a.x.1: must be a finite number"),
    ("guidance.scale", True, "film.toml: guidance.scale: must be a number or a table"),
    ("guidance.scale", -1, "film.toml: guidance.scale: must lie between 0 and 100"),
    ("guidance.rescale", {"0": 0, "9": 2}, "film.toml: guidance.rescale: must lie between 0 and"),
    ("guidance.scale", {"x": 1}, "film.toml: guidance.scale: 'x' is not a frame"),
    ("easing", "ease-inn", "did you mean 'ease-in'?"),
    ("sampler", 3, "film.toml: sampler: must be a table (got 3)"),
    ("terms.a", 3, "film.toml: terms.a: must be a table (got 3)"),
])
def test_mistakes_are_named(key, value, message):
    assert message in said(assign(Draft("film", {}, {}), key, value, "film.toml").values)


def test_the_one_who_said_it_is_named():
    defaults = {"sampler": {"name": "ddim", "steps": 0}, "guidance": {"scale": 4.0, "stop": 0.5}}
    draft = overlay(Draft("film", {}, {}), {"sampler": {"shift": 2.0}}, "film.toml")
    draft = underlay(draft, defaults, "model tiny")
    places = {
        "sampler.steps": "model tiny: sampler.steps", "sampler.name": "model tiny: sampler.name",
        "sampler.shift": "film.toml: sampler.shift",
    }
    assert {key: draft.at(key) for key in places} == places
    with pytest.raises(PresetError, match=r"^model tiny: sampler\.steps: must be greater"):
        check(draft)
    with pytest.raises(PresetError, match=r"^-s sampler\.steps: must be greater .*\(got -2\)$"):
        check(override(draft, ["sampler.steps=-2"]))
    with pytest.raises(PresetError, match=r"^-s init: init\.strenth: unknown key"):
        check(override(draft, ["sampler.steps=2", "init={strenth=3}"]))
    with pytest.raises(PresetError, match=r"guidance: stop 0\.5 lies above start 0\.2"):
        check(override(draft, ["sampler.steps=2", "guidance.start=0.2"]))


def test_what_a_draft_says_lies_above_the_defaults():
    defaults = {"width": 64, "sampler": {"name": "ddim", "eta": 0.5, "steps": 9}, "prompt": "x"}
    values = {"sampler": {"name": "euler"}, "prompts": {"0": "a"}}
    draft = underlay(overlay(Draft("film", {}, {}), values, "film.toml"), defaults, "model")
    assert draft.values == {
        "width": 64, "sampler": {"name": "euler", "steps": 9}, "prompts": {"0": "a"}
    }


def test_a_preset_is_what_its_dump_says():
    """A frame folder remembers the dump: it must lose nothing."""
    preset = Preset.model_validate({
        "seed": -(2**63), "prompts": {"0": ["a", {"text": "b", "weight": 2}], "1.5s": "c"},
        "guidance": {"scale": {"0": 1.5, "33.3%": 2.0}}, "sampler": {"name": "ddim", "eta": 0.5},
    })
    dump = preset.model_dump(mode="json")
    assert dump["prompts"]["0"][1] == {"text": "b", "weight": 2.0}
    assert Preset.model_validate(
        {**dump, "prompt": (), "prompts": preset.prompts}
    ).model_dump(mode="json") == dump


def test_python_may_number_keyframes_with_numbers():
    draft = assign(Draft("film", {}, {}), "prompts", {0: "a", "50%": "b"}, "settings")
    draft = assign(draft, "guidance.scale", {0: 1, 9: 2.5}, "settings")
    preset = check(draft)
    assert list(preset.prompts) == ["0", "50%"] and preset.guidance.scale.at(9, 10, 24) == 2.5


def test_true_is_no_number_in_the_options_of_plugins_either():
    from pydantic import BaseModel

    class Options(BaseModel):
        amount: float | None = 1.0
        on: bool = False

    draft = Draft("film", {}, {})
    assert validate(draft, Options, {"on": True, "amount": 2}).amount == 2
    with pytest.raises(PresetError, match=r"film: terms\.a\.amount: must be a number"):
        validate(draft, Options, {"amount": True}, "terms.a")


@pytest.mark.parametrize("text", ["terms.a={weight=1", "prompts={0='x'", "sampler.x=[1, 2"])
def test_half_a_table_is_not_a_text(text):
    with pytest.raises(PresetError, match="not a TOML value"):
        override(Draft("film", {}, {}), [text])
